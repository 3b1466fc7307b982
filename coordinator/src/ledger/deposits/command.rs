//! What the book is told and asked, by which rules, and what comes of it.

use super::batch::Item;
use super::chain::Look;
use super::keys::{Charter, KeyOffer, Split};
use super::observed::balances;
use super::stage::Stage;
use super::{Alarm, total};
use crate::ledger::pool;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::operators::{ClusterId, ClusterSize};
use types::{Address, Epoch, Gwei, PublicKey, Root, Slot, ValidatorIndex, Wei};

/// What a cluster may have. A cluster that is not told gets nothing, not even the rest of what it has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its numbers: a key of it has as many shares.
    pub size: ClusterSize,
    /// Validators: by bonds, by its share of the pool.
    pub validators_max: u64,
    /// Stake, all of its validators together.
    pub stake_max: Gwei,
}

/// What charter, policy and the other books say when a command is decided.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// What the pool is.
    pub charter: Charter,
    /// The network's: a state's status and epochs must fit.
    pub slots_per_epoch: u64,
    /// Amounts of new keys' deposits.
    pub split: Split,
    /// Who the guardians are.
    pub guardians: &'a BTreeSet<Address>,
    /// How many of them must sign a batch; none is sent without any.
    pub guardians_needed: usize,
    /// What clusters may have.
    pub clusters: &'a BTreeMap<ClusterId, Limit>,
    /// What the pool's book has free for deposits.
    pub depositable: Wei,
    /// Whether a guardian has stopped deposits, or something else does.
    pub stopped: bool,
}

/// A deposit of the pool that a block has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentDeposit {
    /// For which key.
    pub pubkey: PublicKey,
    /// The root of its data: of key, credentials, amount and signature.
    pub data_root: Root,
    /// The block's slot.
    pub slot: Slot,
    /// The transaction.
    pub tx: Root,
}

/// What the book is told (observations), and what it is asked. Who may ask is decided before: `guardian` signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A cluster's keys.
    Register {
        /// Whose.
        cluster: ClusterId,
        /// At most [`super::KEYS_MAX`].
        keys: Vec<KeyOffer>,
    },
    /// Make a batch of what should be sent next.
    Plan,
    /// Give a batch up, which cannot be sent any more at this root of the deposit contract.
    GiveUp {
        /// Which.
        batch: u64,
        /// The deposit contract's root in a finalized state.
        deposit_root: Root,
    },
    /// A guardian has checked a batch against the chain.
    Approve {
        /// Who.
        guardian: Address,
        /// Which.
        batch: u64,
        /// The deposit contract's root that was checked against: what came after it is not.
        deposit_root: Root,
        /// What the batch sends ([`super::Batch::keys_hash`]).
        keys_hash: Root,
    },
    /// A deposit was seen sent.
    Sent(SentDeposit),
    /// What a state of the chain has.
    Look(Look),
    /// Governance has looked at a validator's alarms.
    Release {
        /// Which.
        pubkey: PublicKey,
    },
    /// A guarantee has paid for what was lost to a key.
    Compensate {
        /// Which.
        pubkey: PublicKey,
    },
}

/// A validator's balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// What it has.
    pub balance: Gwei,
    /// What it counts for.
    pub effective: Gwei,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// Keys are good and ready.
    Registered {
        /// Whose.
        cluster: ClusterId,
        /// In the order in which they get money.
        keys: Vec<KeyOffer>,
    },
    /// A batch is to be approved and sent.
    Batched {
        /// Its number: they are counted from 0.
        batch: u64,
        /// Its deposits.
        items: Vec<Item>,
    },
    /// A batch is not sent, or no more of it.
    GivenUp {
        /// Which.
        batch: u64,
        /// What was not sent.
        unsent: Gwei,
    },
    /// A guardian has approved a batch.
    Approved {
        /// Who.
        guardian: Address,
        /// Which.
        batch: u64,
        /// At this root.
        deposit_root: Root,
    },
    /// A deposit is on its way, or lost to a validator that is known not to be the pool's.
    Sent {
        /// Which.
        deposit: SentDeposit,
        /// How much.
        amount: Gwei,
        /// Whether it is lost.
        lost: bool,
    },
    /// A finalized state was looked at.
    Looked {
        /// Its slot.
        slot: Slot,
    },
    /// The chain has the validator.
    Known {
        /// Which.
        pubkey: PublicKey,
        /// Its index.
        index: ValidatorIndex,
        /// Its credentials.
        credentials: Root,
    },
    /// It is told when the validator has duties, and the chain never tells another epoch.
    Activates {
        /// Which.
        pubkey: PublicKey,
        /// From when on.
        epoch: Epoch,
    },
    /// It has exactly the pool's credentials, for ever.
    Proven {
        /// Which.
        pubkey: PublicKey,
    },
    /// It is not the pool's.
    Foreign {
        /// Which.
        pubkey: PublicKey,
        /// What was sent to it.
        lost: Gwei,
    },
    /// It is further on.
    Lived {
        /// Which.
        pubkey: PublicKey,
        /// Where it is.
        stage: Stage,
    },
    /// A deposit is in its balance.
    Arrived {
        /// Which.
        pubkey: PublicKey,
        /// The deposit's amount.
        amount: Gwei,
        /// The slot of its block.
        slot: Slot,
    },
    /// Balances that changed.
    Balances(#[serde(with = "balances")] BTreeMap<ValidatorIndex, Balance>),
    /// Something is wrong.
    Alarmed {
        /// With which.
        pubkey: PublicKey,
        /// What.
        alarm: Alarm,
    },
    /// Its alarms are over.
    Released {
        /// Whose.
        pubkey: PublicKey,
    },
    /// What was lost is paid.
    Compensated {
        /// For which.
        pubkey: PublicKey,
    },
}

impl Event {
    /// What the event is in the pool's book of money, which must take it.
    pub fn moves(&self) -> Option<pool::Command> {
        match self {
            Self::Batched { items, .. } => {
                Some(pool::Command::Plan(total(items.iter().map(|item| item.amount))))
            }
            Self::GivenUp { unsent, .. } => Some(pool::Command::Unplan(*unsent)),
            Self::Sent { amount, .. } => Some(pool::Command::Send(*amount)),
            Self::Registered { .. }
            | Self::Approved { .. }
            | Self::Looked { .. }
            | Self::Known { .. }
            | Self::Activates { .. }
            | Self::Proven { .. }
            | Self::Foreign { .. }
            | Self::Lived { .. }
            | Self::Arrived { .. }
            | Self::Balances(_)
            | Self::Alarmed { .. }
            | Self::Released { .. }
            | Self::Compensated { .. } => None,
        }
    }
}
