//! Asks a beacon node once an epoch which of the pool's validators it saw on duty, for the pages to show. Nothing of it is in
//! the log: what counts there [`crate::lookout`] observes.

use crate::api::{self, ApiError, Shared, now_ms};
use crate::office::Office;
use crate::pages::strip;
use beacon::Beacon;
use std::collections::BTreeMap;
use std::time::Duration;
use types::{ClusterId, Epoch, Millis, ValidatorIndex};

/// The least between two looks at the clock, for networks whose slots are short.
const ROUND_MIN: Duration = Duration::from_millis(100);

/// What is asked: of which epoch, and of which validators.
type Asked = (Epoch, BTreeMap<ValidatorIndex, ClusterId>);

/// Asks until it is dropped. What is not answered is asked again each slot, while it is due; after that it stays unknown.
pub async fn run(shared: Shared, beacon: Beacon) {
    if let Err(error) = api::watch_duty(&shared) {
        tracing::error!(%error, "nobody is watched on duty");
        return;
    }
    let slot = shared.look(|office| Ok(office.ledger()?.state().network.slot_ms)).await;
    let mut round = tokio::time::interval(Duration::from_millis(slot.unwrap_or_default()).max(ROUND_MIN));
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut answered, mut failed) = (None, None);
    loop {
        round.tick().await;
        match watch(&shared, &beacon, &mut answered, now_ms()).await {
            Ok(Ok(())) => {}
            // Said once for an epoch.
            Ok(Err((epoch, why))) => {
                if failed.replace(epoch) != Some(epoch) {
                    tracing::warn!(%epoch, why, "it is not known who was on duty");
                }
            }
            Err(error) => {
                tracing::error!(%error, "nobody is watched on duty any more");
                return;
            }
        }
    }
}

/// One round, at a time. Errors: the office's; inside, why no node has answered.
async fn watch(
    shared: &Shared,
    beacon: &Beacon,
    answered: &mut Option<Epoch>,
    now: Millis,
) -> Result<Result<(), (Epoch, String)>, ApiError> {
    let Some((epoch, asked)) = due(shared, *answered, now).await? else { return Ok(Ok(())) };
    let indices: Vec<_> = asked.keys().copied().collect();
    beacon.check_network().await;
    let said = match beacon.liveness(epoch, &indices).await {
        Ok(said) => said.into_iter().map(|one| (one.index, one.is_live)).collect(),
        Err(error) => return Ok(Err((epoch, error.to_string()))),
    };
    api::record(shared, epoch, &asked, &said)?;
    *answered = Some(epoch);
    Ok(Ok(()))
}

/// What is to be asked now, if anything is that was not answered.
async fn due(shared: &Shared, answered: Option<Epoch>, now: Millis) -> Result<Option<Asked>, ApiError> {
    let due = move |office: &Office| {
        let state = office.ledger()?.state();
        let epoch = strip::due(state, now).filter(|epoch| answered < Some(*epoch));
        Ok(epoch.map(|epoch| (epoch, strip::on_duty(state, epoch))))
    };
    shared.look(due).await
}

#[cfg(test)]
mod tests;
