//! Which validators a beacon node saw on duty in the last epochs. Live, and no evidence: nothing of it is in the log, and a
//! coordinator that is started again begins with nothing.
//!
//! Memory: a few words for each cluster and epoch, of the last [`EPOCHS_MAX`] epochs.

use crate::ledger::State;
use crate::ledger::deposits::Stage;
use std::collections::BTreeMap;
use types::{ClusterId, Epoch, Millis, ValidatorIndex};

/// Epochs that are kept: on mainnet seven hours.
pub const EPOCHS_MAX: u64 = 64;

/// What was seen of a cluster's validators in an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Validators that did something.
    pub live: u32,
    /// Validators that did nothing that the node saw.
    pub dark: u32,
    /// Validators that the node did not speak of.
    pub unknown: u32,
}

/// What was seen, by epoch and cluster.
#[derive(Clone, Debug, Default)]
pub struct Strips {
    watched: bool,
    epochs: BTreeMap<Epoch, BTreeMap<ClusterId, Cell>>,
}

impl Strips {
    /// Somebody asks from now on.
    pub fn watch(&mut self) {
        self.watched = true;
    }

    /// Whether anybody asks.
    pub fn watched(&self) -> bool {
        self.watched
    }

    /// Keeps what a node said of an epoch, and forgets what is too old.
    ///
    /// - `asked`: validators that it was asked of; `said`: what it said of them, or of some.
    pub fn record(
        &mut self,
        epoch: Epoch,
        asked: &BTreeMap<ValidatorIndex, ClusterId>,
        said: &BTreeMap<ValidatorIndex, bool>,
    ) {
        let mut cells: BTreeMap<ClusterId, Cell> = BTreeMap::new();
        for (index, cluster) in asked {
            let cell = cells.entry(*cluster).or_default();
            match said.get(index) {
                Some(true) => cell.live += 1,
                Some(false) => cell.dark += 1,
                None => cell.unknown += 1,
            }
        }
        self.epochs.insert(epoch, cells);
        while self.epochs.len() as u64 > EPOCHS_MAX {
            self.epochs.pop_first();
        }
    }

    /// Whether an epoch was answered.
    pub fn has(&self, epoch: Epoch) -> bool {
        self.epochs.contains_key(&epoch)
    }

    /// The last [`EPOCHS_MAX`] epochs of a cluster, the newest last. What was not answered, or nobody was asked of, is
    /// nothing.
    ///
    /// - `last`: the last that may have been answered by now, if no later one was.
    pub fn cells(&self, cluster: ClusterId, last: Epoch) -> Vec<(Epoch, Option<Cell>)> {
        let last = self.epochs.last_key_value().map_or(last, |(newest, _)| last.max(*newest));
        let first = last.0.saturating_sub(EPOCHS_MAX - 1);
        let cell = |epoch| self.epochs.get(&epoch).and_then(|cells| cells.get(&cluster)).copied();
        (first..=last.0).map(Epoch).map(|epoch| (epoch, cell(epoch))).collect()
    }
}

/// Validators of the pool that have duties in an epoch, as far as the log knows. Cost: all validators.
pub fn on_duty(state: &State, epoch: Epoch) -> BTreeMap<ValidatorIndex, ClusterId> {
    let has_duties = |validator: &&crate::ledger::deposits::Validator| {
        let stays = matches!(validator.stage, Stage::Active | Stage::Exiting);
        stays && validator.activation.is_some_and(|activation| activation <= epoch)
    };
    let on_duty = state.deposits.validators().values().filter(has_duties);
    let indexed = on_duty.filter_map(|validator| Some((validator.index?, validator.cluster)));
    let exited = |index: ValidatorIndex| {
        let exit = state.exits.exits().get(&index).and_then(|exit| exit.epochs);
        exit.is_some_and(|[exit, _]| exit <= epoch)
    };
    indexed.filter(|(index, _)| !exited(*index)).collect()
}

/// The epoch that is asked about: the one before the present, in the second half of the present, when nearly everything that
/// was done in it is in a block. `None` before that half, and before the second epoch.
///
/// - `now`: by this machine's clock.
pub fn due(state: &State, now: Millis) -> Option<Epoch> {
    let slot = state.network.slot_at(now)?;
    let epoch = state.network.epoch_of(slot);
    let into = slot.0 - state.network.epoch_start(epoch).0;
    let half = 2 * into >= state.network.slots_per_epoch;
    epoch.0.checked_sub(1).filter(|_| half).map(Epoch)
}

/// The last epoch that may have been answered by now.
pub fn last(state: &State, now: Millis) -> Epoch {
    let slot = state.network.slot_at(now).unwrap_or_default();
    Epoch(state.network.epoch_of(slot).0.saturating_sub(2))
}
