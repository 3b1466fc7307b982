//! Which state of the chain is to be looked at next, and when.
//!
//! ```text
//! report   each frame's boundary, once it is final: the state is looked at first, and nothing later before the report
//! look     else the latest final state: every 75 epochs, every 16 while something is on its way
//! seed     the latest final state, once an epoch after that of the open call's seed is final
//! ```
//!
//! Only states of finalized epochs' first slots are looked at. Where there are no validators there is nothing to look at,
//! but for a report.

use crate::formulas::shares::Shares;
use crate::ledger::State;
use crate::ledger::deposits::{Stage, Validator};
use crate::ledger::exits::{self, Exit};
use types::{Epoch, Preset, Slot};

/// Epochs between two looks when nothing moves: three a day. A look has all of the pool's validators, and is kept for ever.
pub const LOOK_EPOCHS: u64 = 75;
/// Epochs between two looks while a deposit or an exit is on its way: under two hours, and these take days.
pub const LOOK_SOON_EPOCHS: u64 = 16;
/// Epochs that a boundary which is final is waited for, if no node has its state or the report is refused: a third of a day.
/// Then the looks go on, and the next report is of the boundary after.
pub const PATIENCE_EPOCHS: u64 = 75;
/// Between two times that the chain's stake is weighed.
const DAY_MS: u64 = 86_400_000;

/// The slot of the state that is to be looked at now, if one is.
pub fn look(state: &State) -> Option<Slot> {
    let finalized = state.chain.finalized.epoch;
    if finalized == Epoch(0) {
        return None;
    }
    let network = &state.network;
    let looked = state.deposits.looked();
    if let Some(boundary) = boundary(state).filter(|boundary| *boundary <= finalized) {
        let slot = network.epoch_start(boundary);
        let patient = finalized.0 - boundary.0 < PATIENCE_EPOCHS;
        match looked {
            // The report waits.
            Some(looked) if looked == slot && patient => return None,
            Some(looked) if looked == slot => {}
            _ if patient => return Some(slot),
            _ => {}
        }
    }
    let validators = state.deposits.validators();
    if validators.is_empty() {
        return None;
    }
    let looks = state.deposits.looks;
    let moving = validators.values().any(|validator| is_moving(validator, looks))
        || state.exits.exits().values().any(is_leaving);
    let every = if moving { LOOK_SOON_EPOCHS } else { LOOK_EPOCHS };
    let due = looked.is_none_or(|looked| finalized.0 >= network.epoch_of(looked).0.saturating_add(every));
    due.then(|| network.epoch_start(finalized))
}

/// The slot of the state in which the chain's stake is to be weighed now, if it is: once a day, because a node has to write
/// down all of its validators.
pub fn stake(state: &State) -> Option<Slot> {
    let (finalized, network) = (state.chain.finalized.epoch, &state.network);
    let epoch_ms = network.slot_ms.saturating_mul(network.slots_per_epoch).max(1);
    let day = DAY_MS.div_ceil(epoch_ms);
    let due = match state.chain.stake {
        None => finalized > Epoch(0),
        Some(stake) => finalized.0 >= stake.epoch.0.saturating_add(day),
    };
    due.then(|| network.epoch_start(finalized))
}

/// The epoch whose RANDAO mix the open call waits for, and the slot of the state that is asked for it, once the mix is fixed.
///
/// That is the latest final state, which every node has, or the last one that still has this mix.
pub fn seed(state: &State) -> Option<(Epoch, Slot)> {
    let epoch = state.calls.open.as_ref()?.terms().seed_epoch;
    let finalized = state.chain.finalized.epoch;
    let last = epoch.0.saturating_add(historical_epochs(state.network.preset) - 1);
    (finalized > epoch).then(|| (epoch, state.network.epoch_start(Epoch(finalized.0.min(last)))))
}

/// `EPOCHS_PER_HISTORICAL_VECTOR`: of so many epochs a state has the mixes.
fn historical_epochs(preset: Preset) -> u64 {
    match preset {
        Preset::Mainnet | Preset::Gnosis => 65_536,
        Preset::Minimal => 64,
    }
}

/// The epoch of the next report: a whole number of frames after the last, and not before what was looked at. `None` while
/// nobody has shares: then there is nobody to report to.
///
/// The first report is of an epoch that is itself a whole number of frames, the last such that is final or a later one.
pub fn boundary(state: &State) -> Option<Epoch> {
    if state.money.rate().shares == Shares::ZERO {
        return None;
    }
    let frame = u64::from(state.policy.terms().reports.frame_epochs);
    let last = state.money.reported().map(|last| last.0);
    let looked = state.deposits.looked().map_or(0, |looked| {
        let epoch = state.network.epoch_of(looked);
        epoch.0 + u64::from(state.network.epoch_start(epoch) != looked)
    });
    let least = last.map_or_else(
        || state.chain.finalized.epoch.0.saturating_sub(frame - 1),
        |last| last.saturating_add(1),
    );
    let (least, base) = (least.max(looked).max(1), last.unwrap_or(0));
    let frames = least.saturating_sub(base).div_ceil(frame);
    Some(Epoch(base.saturating_add(frames.saturating_mul(frame))))
}

/// Whether the chain was asked for an exit, and has not been seen to have it.
fn is_leaving(exit: &Exit) -> bool {
    exit.to_broadcast().is_some() || exit.stage < exits::Stage::Seen && !exit.triggers.is_empty()
}

/// Whether the chain is about to do something with a validator that waits for it.
///
/// - `looks`: how many states were looked at. A key that was registered since has to be looked for before it gets money.
fn is_moving(validator: &Validator, looks: u64) -> bool {
    if !validator.sent.is_empty() {
        return true;
    }
    match validator.stage {
        Stage::Ready => validator.looks == looks,
        Stage::Predeposited | Stage::RestDeposited | Stage::Exiting => true,
        Stage::PredepositPlanned
        | Stage::Proven
        | Stage::RestPlanned
        | Stage::Active
        | Stage::Exited
        | Stage::Slashed
        | Stage::Withdrawn
        | Stage::Foreign
        | Stage::Compensated => false,
    }
}
