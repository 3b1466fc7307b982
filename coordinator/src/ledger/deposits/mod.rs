//! The pool's validators and the money that goes to them.
//!
//! **Keys** come from clusters with the deposits that their ceremony signed. Each is verified before it is registered:
//! signature under this network's fork, credentials byte for byte the pool's, the policy's amounts, a key that nobody
//! registered. **Batches** say which keys get money next. The rest of proven validators comes first, then those that
//! compound are filled up, and new ones begin only with what would pay for both of their deposits. **Guardians** sign
//! exactly one batch over exactly one root of the deposit contract; with enough of them, and nothing stopped, it can be
//! sent, and [`calldata`] names what. **Looks** at the chain move validators on ([`Stage`]).
//!
//! Who holds a key can make the first deposit for it, with credentials of his own, and then the pool's deposits are his:
//! here `t` operators of a cluster together could. So the first deposit is small, and the rest is sent only after a
//! finalized state has the validator with exactly the pool's credentials. What is lost to one with others is counted
//! ([`Validator::lost`]) until its operators' guarantee has paid for it. A deposit's signature is verified by the chain
//! only when it makes a validator, so deposits that wait in the chain's queue are believed only if they are signed.
//!
//! **Alarms** hold a validator: it gets no more money, and a batch that has it cannot be sent, until governance releases it.
//!
//! **Money.** [`Event::moves`] says what an event is in the pool's book of money, and [`State::planned`] and
//! [`State::in_flight`] what that book must hold; [`State::arrived`] is what the next report tells it.
//!
//! Whoever tells keeps to the chain's order: deposits in finalized blocks up to a state before the state. What is given
//! up must not be sent any more, which is the payer's to keep: it sends what [`calldata`] names, at the root it names it
//! for, and nothing else.
//!
//! Sources: Lido's LIP-5, `DepositSecurityModule.sol`, `PredepositGuarantee.sol`; EIP-7251, EIP-6110 for the chain's queue.

mod apply;
mod asked;
mod batch;
mod chain;
mod command;
mod decide;
mod keys;
mod observed;
mod stage;

pub use apply::{Corrupt, apply};
pub use asked::{GivenUp, Seen, Wish};
pub use batch::{Batch, Calldata, ITEMS_MAX, Item, NotSendable, Purpose, calldata};
pub use chain::{Look, PendingDeposit, SeenValidator};
pub use command::{Balance, Command, Event, Limit, Rules, SentDeposit};
pub use decide::{Refusal, adopt, decide};
pub use keys::{Charter, CharterError, KEYS_MAX, KeyError, KeyOffer, ONE_AND_31, Offered, Split, SplitError};
pub use observed::{KnownValidator, ObservedLook};
pub use stage::{Life, Stage, Step};

use crate::formulas::wide::{self, GWEI_WEI};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::operators::ClusterId;
use types::{Epoch, Gwei, PublicKey, Root, Signature, Slot, ValidatorIndex, Wei};

/// The most validators that a pool has: about as many as Ethereum.
pub const VALIDATORS_MAX: usize = 1 << 20;

/// A deposit's amount and its key's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// How much.
    pub amount: Gwei,
    /// To the pool's credentials.
    pub signature: Signature,
}

/// A deposit that was sent and has not arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InFlight {
    /// How much.
    pub amount: Gwei,
    /// The slot of the block that has it.
    pub slot: Slot,
}

/// What is wrong with a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alarm {
    /// It is on the chain with other credentials.
    OtherCredentials,
    /// It, or a good deposit for it, was on the chain before the pool sent anything.
    KnownBefore,
    /// Its key signed a deposit to other credentials, which waits behind the pool's.
    Rival,
    /// Another index than before, or another key's.
    Index,
    /// Other credentials than before.
    CredentialsChanged,
    /// It, or a deposit of the pool for it, is gone.
    Vanished,
    /// The chain says what cannot follow.
    Backwards,
    /// Slashed, in a state that is not final.
    Slashed,
    /// A deposit was sent that guardians had not approved.
    Unapproved,
}

/// A validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validator {
    /// Its place in the order of registration.
    pub no: u64,
    /// Whose.
    pub cluster: ClusterId,
    /// The small deposit.
    pub predeposit: Signed,
    /// The other.
    pub rest: Signed,
    /// The public shares of its key, by the operators' places.
    pub shares: Vec<PublicKey>,
    /// How many finalized states had been looked at when it was registered.
    pub looks: u64,
    /// How far it is.
    pub stage: Stage,
    /// Its index, once it has one.
    pub index: Option<ValidatorIndex>,
    /// From when on it has duties, once the chain says so.
    pub activation: Option<Epoch>,
    /// The credentials that the chain has for it.
    pub credentials: Option<Root>,
    /// Its balance, if its credentials are the pool's.
    pub balance: Gwei,
    /// Its effective balance, likewise.
    pub effective: Gwei,
    /// The batch that has a deposit for it.
    pub planned: Option<u64>,
    /// Deposits on their way to it.
    pub sent: Vec<InFlight>,
    /// What was sent and is not the pool's any more.
    pub lost: Gwei,
    /// What is wrong with it.
    pub alarms: BTreeSet<Alarm>,
}

impl Validator {
    /// Whether it is not the pool's.
    pub fn is_foreign(&self) -> bool {
        matches!(self.stage, Stage::Foreign | Stage::Compensated)
    }

    /// Whether it gets no more money until governance has looked.
    pub fn is_held(&self) -> bool {
        !self.alarms.is_empty()
    }

    /// Whether it has nothing of the pool's, and nothing is on its way to it or to come.
    pub fn is_over(&self) -> bool {
        let over = match self.stage {
            Stage::Ready | Stage::Withdrawn | Stage::Compensated => true,
            Stage::PredepositPlanned
            | Stage::Predeposited
            | Stage::Proven
            | Stage::RestPlanned
            | Stage::RestDeposited
            | Stage::Active
            | Stage::Exiting
            | Stage::Exited
            | Stage::Slashed
            | Stage::Foreign => false,
        };
        over && self.planned.is_none() && self.sent.is_empty() && self.balance == Gwei(0)
    }

    /// What is on its way to it.
    pub fn in_flight(&self) -> Gwei {
        total(self.sent.iter().map(|sent| sent.amount))
    }
}

/// Everything the book knows. Changed by [`apply`] only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub(crate) validators: BTreeMap<PublicKey, Validator>,
    pub(crate) by_index: BTreeMap<ValidatorIndex, PublicKey>,
    pub(crate) batches: BTreeMap<u64, Batch>,
    pub(crate) batch_next: u64,
    pub(crate) looks: u64,
    pub(crate) looked: Option<Slot>,
    /// Validators that are slashed and have a balance still: every payment asks.
    pub(crate) slashed: u64,
}

impl State {
    /// All validators.
    pub fn validators(&self) -> &BTreeMap<PublicKey, Validator> {
        &self.validators
    }

    /// The validator of an index.
    pub fn by_index(&self, index: ValidatorIndex) -> Option<(PublicKey, &Validator)> {
        let key = self.by_index.get(&index)?;
        self.validators.get(key).map(|validator| (*key, validator))
    }

    /// Batches that are not sent as a whole.
    pub fn batches(&self) -> &BTreeMap<u64, Batch> {
        &self.batches
    }

    /// The slot of the last finalized state that was looked at.
    pub fn looked(&self) -> Option<Slot> {
        self.looked
    }

    /// How many keys a cluster has registered. Cost: all validators.
    pub fn keys_of(&self, cluster: ClusterId) -> u64 {
        self.validators.values().filter(|validator| validator.cluster == cluster).count() as u64
    }

    /// How many validators of a cluster are not over: they hold stake, or lost some that nobody has paid for. Cost: all
    /// validators.
    pub fn holding(&self, cluster: ClusterId) -> usize {
        let its = self.validators.values().filter(|validator| validator.cluster == cluster);
        its.filter(|validator| !validator.is_over()).count()
    }

    /// Whether a validator is slashed and has a balance still: what it loses is not known before the end.
    pub fn is_loss_pending(&self) -> bool {
        self.slashed > 0
    }

    /// What batches have and is not sent: the pool's book has as much set aside. Cost: all batches.
    pub fn planned(&self) -> Gwei {
        total(self.batches.values().map(Batch::unsent))
    }

    /// What is on its way to validators. Cost: all validators.
    pub fn in_flight(&self) -> Gwei {
        total(self.validators.values().map(Validator::in_flight))
    }

    /// What has arrived since the last report, in a balance or lost to a validator that is not the pool's.
    ///
    /// - `transient`: what the pool's book has as transient.
    /// - `None` if that is less than what is on its way: the books do not belong together.
    pub fn arrived(&self, transient: Wei) -> Option<Gwei> {
        let flying = wide::wei(self.in_flight());
        let gwei = transient.0.checked_sub(flying.0)? / GWEI_WEI;
        gwei.try_into().ok().map(Gwei)
    }

    /// What the pool's validators have. Cost: all validators.
    pub fn balance(&self) -> Gwei {
        total(self.validators.values().map(|validator| validator.balance))
    }

    /// What will still be sent to validators that have begun, or are about to, unless they are held. Cost: all validators.
    pub fn committed(&self) -> Gwei {
        let begun =
            self.validators.values().filter(|validator| batch::has_begun(validator) && !validator.is_held());
        total(begun.map(|validator| validator.rest.amount))
    }

    /// Looks at everything for what cannot be. Cost: all validators and batches. For who reads a stored state, and for
    /// tests; [`apply`] keeps to it.
    pub fn audit(&self) -> Result<(), Corrupt> {
        let mut items = BTreeMap::new();
        for (batch, item) in
            self.batches.iter().flat_map(|(no, batch)| batch.items.iter().map(move |item| (*no, item)))
        {
            if !item.sent && items.insert(item.pubkey, batch).is_some() {
                return Err(Corrupt::Planned { pubkey: item.pubkey });
            }
        }
        for (pubkey, validator) in &self.validators {
            if items.get(pubkey).copied() != validator.planned {
                return Err(Corrupt::Planned { pubkey: *pubkey });
            }
            let key = validator.index.map(|index| self.by_index.get(&index));
            if key.is_some_and(|key| key != Some(pubkey)) {
                return Err(Corrupt::Index { pubkey: *pubkey });
            }
        }
        let slashed = self.validators.values().filter(|validator| validator.stage == Stage::Slashed).count();
        if slashed as u64 != self.slashed {
            return Err(Corrupt::Slashed { have: self.slashed, want: slashed as u64 });
        }
        let known = self.validators.values().filter(|validator| validator.index.is_some()).count();
        let unknown = items.keys().find(|pubkey| !self.validators.contains_key(pubkey));
        match (unknown, self.batches.last_key_value()) {
            (Some(pubkey), _) => Err(Corrupt::Unknown { pubkey: *pubkey }),
            (None, Some((no, _))) if *no >= self.batch_next => {
                Err(Corrupt::Batch { have: *no, next: self.batch_next })
            }
            (None, _) if known != self.by_index.len() => {
                Err(Corrupt::Indices { known, have: self.by_index.len() })
            }
            (None, _) => Ok(()),
        }
    }
}

/// Amounts together. All ETH is far below the largest number, and amounts are of batches, which were free in the buffer.
fn total(amounts: impl IntoIterator<Item = Gwei>) -> Gwei {
    Gwei(amounts.into_iter().fold(0, |sum, amount| sum.saturating_add(amount.0)))
}
