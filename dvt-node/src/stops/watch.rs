//! Watches the chain for slashed validators of ours: at the start, and once an epoch.
//!
//! `slashed` stands in the validator's record and in no other; a validator that left long ago keeps it. So one that was
//! slashed before this cluster had it, an imported one say, stops the first start too, until the operator acknowledges it.

use super::Stops;
use crate::chain_side::ChainSide;
use crate::clock::now;
use crate::engine::{Door, Event};
use crate::watch::until_next_slot;
use beacon::ApiError;
use std::collections::BTreeSet;
use std::sync::Arc;
use types::{ChainSpec, Epoch, ValidatorNo};

/// Who says which of our validators are slashed.
pub trait Statuses: Send + Sync {
    /// Those that the head's state calls slashed.
    fn slashed(&self) -> impl Future<Output = Result<BTreeSet<ValidatorNo>, ApiError>> + Send;
}

impl Statuses for ChainSide {
    async fn slashed(&self) -> Result<BTreeSet<ValidatorNo>, ApiError> {
        self.slashed_validators().await
    }
}

/// Asks once an epoch, for ever; in every slot while nobody answers.
pub async fn watch_slashed(chain: Arc<impl Statuses>, spec: Arc<ChainSpec>, stops: Arc<Stops>, door: Door) {
    let mut answered: Option<Epoch> = None;
    loop {
        let epoch = spec.epoch_of(spec.slot_at(now()).unwrap_or_default());
        if answered != Some(epoch) {
            match look(&*chain, &stops, &door).await {
                Ok(()) => answered = Some(epoch),
                Err(error) => {
                    tracing::warn!(%error, "no beacon node says whether our validators are slashed")
                }
            }
        }
        tokio::time::sleep(until_next_slot(&spec, now())).await;
    }
}

async fn look(chain: &impl Statuses, stops: &Arc<Stops>, door: &Door) -> Result<(), ApiError> {
    let slashed = chain.slashed().await?;
    let stops = stops.clone();
    let told = tokio::task::spawn_blocking(move || stops.slashed(&slashed)).await;
    if let Some(input) = told.ok().flatten() {
        door.send(Event::Input(input)).await;
    }
    Ok(())
}
