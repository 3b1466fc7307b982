//! Validators with balances: deposits, rewards, penalties, exits, slashings and withdrawals.
//!
//! The jar needs none of this: its validators have 32 ETH for ever. A chain for a whole pool does. The rules are the
//! specification's for Electra with the minimal preset, in their plainest form: no churn limits but those of lists, no
//! inactivity leak, nothing for proposers and sync committees, no consolidations.
//!
//! ```text
//! epoch begins   the one before the last is paid -> activations -> what slashings cost half-way -> deposits -> effective balances
//! block          withdrawals, exits, slashings
//! ```
//!
//! Source: consensus-specs, `specs/electra/beacon-chain.md`, `presets/minimal`.

mod epoch;
mod operations;
#[cfg(test)]
mod tests;

pub use epoch::{Flags, Paid};

use std::collections::{BTreeMap, VecDeque};
use types::{Address, Epoch, Gwei, PublicKey, Root, Signature, Slot, ValidatorIndex, ValidatorStatus};

/// `EFFECTIVE_BALANCE_INCREMENT`.
const INCREMENT: u64 = 1_000_000_000;
/// `MIN_ACTIVATION_BALANCE`.
const ACTIVATION: u64 = 32 * INCREMENT;
/// `MAX_EFFECTIVE_BALANCE_ELECTRA`.
const COMPOUNDING_MAX: u64 = 2_048 * INCREMENT;
/// `MAX_SEED_LOOKAHEAD`: what is decided now holds so many epochs after the next.
const LOOKAHEAD: u64 = 4;
/// `MIN_VALIDATOR_WITHDRAWABILITY_DELAY` of this chain: a run has minutes, not a day.
pub const WITHDRAWABILITY_DELAY: u64 = 8;
/// `SHARD_COMMITTEE_PERIOD` of the minimal configuration.
pub const ACTIVE_EPOCHS_MIN: u64 = 64;
/// `EPOCHS_PER_SLASHINGS_VECTOR` of the minimal preset.
pub const SLASHINGS_EPOCHS: u64 = 64;
/// `MAX_WITHDRAWALS_PER_PAYLOAD` of the minimal preset.
pub const WITHDRAWALS_MAX: usize = 4;
/// `MAX_PENDING_DEPOSITS_PER_EPOCH`.
const DEPOSITS_MAX: usize = 16;

/// What the registry has of a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its key.
    pub pubkey: PublicKey,
    /// Where its ETH goes.
    pub credentials: Root,
    /// What it has.
    pub balance: Gwei,
    /// What it counts for.
    pub effective: Gwei,
    /// Whether it was slashed.
    pub slashed: bool,
    /// Since when it waits to be active.
    pub eligible: Option<Epoch>,
    /// From when on it has duties.
    pub activation: Option<Epoch>,
    /// From when on it has none any more.
    pub exit: Option<Epoch>,
    /// From when on its balance goes.
    pub withdrawable: Option<Epoch>,
}

impl Account {
    /// Whether it has duties in an epoch.
    pub fn is_active(&self, epoch: Epoch) -> bool {
        self.activation.is_some_and(|at| at <= epoch) && self.exit.is_none_or(|at| epoch < at)
    }

    /// As the beacon API calls it.
    pub fn status(&self, epoch: Epoch) -> ValidatorStatus {
        let past = |at: Option<Epoch>| at.is_some_and(|at| at <= epoch);
        match () {
            () if past(self.withdrawable) && self.balance == Gwei(0) => ValidatorStatus::WithdrawalDone,
            () if past(self.withdrawable) => ValidatorStatus::WithdrawalPossible,
            () if past(self.exit) && self.slashed => ValidatorStatus::ExitedSlashed,
            () if past(self.exit) => ValidatorStatus::ExitedUnslashed,
            () if past(self.activation) && self.slashed => ValidatorStatus::ActiveSlashed,
            () if past(self.activation) && self.exit.is_some() => ValidatorStatus::ActiveExiting,
            () if past(self.activation) => ValidatorStatus::ActiveOngoing,
            () if self.eligible.is_some() => ValidatorStatus::PendingQueued,
            () => ValidatorStatus::PendingInitialized,
        }
    }

    /// The address of its credentials; `None` if they have none.
    fn address(&self) -> Option<Address> {
        let bytes = self.credentials.0;
        let address = bytes[12..].try_into().expect("20 of 32 bytes");
        matches!(bytes[0], 1 | 2).then_some(Address(address))
    }

    /// What of its balance counts at most.
    fn effective_max(&self) -> u64 {
        if self.credentials.0[0] == 2 { COMPOUNDING_MAX } else { ACTIVATION }
    }
}

/// A deposit that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// For which key.
    pub pubkey: PublicKey,
    /// To which credentials, if it makes a validator.
    pub credentials: Root,
    /// How much.
    pub amount: Gwei,
    /// The key's, or anything.
    pub signature: Signature,
    /// Whether that is the key's over this deposit: who has curves says so. Needed only of a key's first.
    pub is_signed: bool,
    /// The slot of the block that brought it.
    pub slot: Slot,
}

/// All validators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    accounts: Vec<Account>,
    pending: VecDeque<Deposit>,
    /// What was slashed in each epoch.
    slashings: BTreeMap<Epoch, u64>,
    /// The number of the next withdrawal, and the validator that is looked at first.
    next_withdrawal: u64,
    next_swept: u64,
    /// What was paid for each epoch.
    paid: BTreeMap<Epoch, Paid>,
    /// The accounts and what waited at each epoch's beginning, with the block of its first slot, if that has one.
    states: BTreeMap<Epoch, (Vec<Account>, Vec<Deposit>)>,
}

impl Registry {
    /// Validators that are active from the first epoch on.
    pub fn new(validators: impl IntoIterator<Item = (PublicKey, Root, Gwei)>) -> Self {
        let account = |(pubkey, credentials, balance): (PublicKey, Root, Gwei)| {
            let mut account = Account {
                pubkey,
                credentials,
                balance,
                effective: Gwei(0),
                slashed: false,
                eligible: Some(Epoch(0)),
                activation: Some(Epoch(0)),
                exit: None,
                withdrawable: None,
            };
            account.effective = Gwei(whole(balance.0).min(account.effective_max()));
            account
        };
        let accounts: Vec<_> = validators.into_iter().map(account).collect();
        let states = BTreeMap::from([(Epoch(0), (accounts.clone(), Vec::new()))]);
        Self { accounts, states, ..Self::default() }
    }

    /// All validators, by index.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// A validator.
    pub fn account(&self, who: ValidatorIndex) -> Option<&Account> {
        self.accounts.get(usize::try_from(who.0).ok()?)
    }

    fn account_mut(&mut self, who: ValidatorIndex) -> Option<&mut Account> {
        self.accounts.get_mut(usize::try_from(who.0).ok()?)
    }

    /// All validators in the state of an epoch's first slot, and what waited then; `None` if the chain is not there yet.
    pub fn at(&self, epoch: Epoch) -> Option<(&[Account], &[Deposit])> {
        self.states.get(&epoch).map(|(accounts, pending)| (&accounts[..], &pending[..]))
    }

    /// Deposits that wait now.
    pub fn pending(&self) -> impl Iterator<Item = &Deposit> {
        self.pending.iter()
    }

    /// What was paid for an epoch; `None` if it was not yet.
    pub fn paid(&self, epoch: Epoch) -> Option<&Paid> {
        self.paid.get(&epoch)
    }

    /// What counts of all that have duties in an epoch.
    pub fn active(&self, epoch: Epoch) -> Gwei {
        let active = self.accounts.iter().filter(|account| account.is_active(epoch));
        Gwei(active.map(|account| account.effective.0).sum::<u64>().max(INCREMENT))
    }

    /// Remembers how all stands as the state of an epoch's first slot.
    pub(super) fn remember(&mut self, epoch: Epoch) {
        self.states.insert(epoch, (self.accounts.clone(), self.pending.iter().copied().collect()));
    }
}

/// Whole increments.
fn whole(gwei: u64) -> u64 {
    gwei / INCREMENT * INCREMENT
}
