//! A validator that leaves: its operators approve one after the other, each with its client's half.
//!
//! What a validator client's own command does: sign the exit, and hand it to the beacon node, which is the operator's node.

use crate::operators::Operator;
use anyhow::{Context as _, ensure};
use cluster::folder;
use keys::VcHalf;
use keys::keystores::{Passwords, read_folder};
use serde_json::json;
use std::str::FromStr;
use types::operations::VoluntaryExit;
use types::{ChainSpec, SigningRoot, Slot, ValidatorIndex};

/// `VALIDATOR@SLOT`: who leaves, and when the first operator approves. The others follow slot by slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The validator's index: those of the cluster come first.
    pub validator: u64,
    /// At its beginning.
    pub slot: u64,
}

impl FromStr for Exit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = || format!("{text:?} is not VALIDATOR@SLOT");
        let (validator, slot) = text.split_once('@').ok_or_else(words)?;
        let validator = validator.parse().map_err(|_| words())?;
        Ok(Self { validator, slot: slot.parse().map_err(|_| words())? })
    }
}

/// Has those operators approve whose turn it is: the first `threshold`, one a slot. The epoch is that of the exit's slot.
pub async fn approve(
    exits: &[Exit],
    operators: &[Operator],
    threshold: usize,
    spec: &ChainSpec,
    slot: u64,
) -> anyhow::Result<()> {
    for exit in exits {
        let Some(turn) = slot.checked_sub(exit.slot).and_then(|turn| usize::try_from(turn).ok()) else {
            continue;
        };
        let Some(operator) = operators.get(turn).filter(|_| turn < threshold) else { continue };
        let (epoch, validator_index) = (spec.epoch_of(Slot(exit.slot)), ValidatorIndex(exit.validator));
        let message = VoluntaryExit { epoch, validator_index };
        hand_in(operator, spec, &message).await?;
        tracing::info!(operator = operator.number, validator = exit.validator, slot, "exit approved");
    }
    Ok(())
}

async fn hand_in(operator: &Operator, spec: &ChainSpec, message: &VoluntaryExit) -> anyhow::Result<()> {
    let http = crate::lodestar::http_client()?;
    let half = half_of(operator, message.validator_index)?;
    let signature = half.sign(&SigningRoot::voluntary_exit(spec, message));
    let url = format!("{}/eth/v1/beacon/pool/voluntary_exits", operator.api_url());
    let body = json!({ "message": message, "signature": signature });
    let answer = http.post(url).json(&body).send().await?;
    let status = answer.status();
    ensure!(status.is_success(), "operator {}'s node: {status}: {}", operator.number, answer.text().await?);
    Ok(())
}

/// The client's half of a validator's share: keystores are in the lock's order, which is that of the cluster's indices.
fn half_of(operator: &Operator, index: ValidatorIndex) -> anyhow::Result<VcHalf> {
    let keystores = read_folder(&operator.client_dir.join(folder::KEYSTORES), &Passwords::Beside)?;
    let keystore = usize::try_from(index.0).ok().and_then(|place| keystores.into_iter().nth(place));
    let keystore = keystore
        .with_context(|| format!("operator {} has no half for validator {index}", operator.number))?;
    Ok(keystore.secret.into_imported_half())
}
