//! Whether a definition, or a lock, is this cluster's and this pool's.

use super::{Event, Locked, State, validators_max};
use crate::ledger::deposits::{KeyOffer, Offered};
use cluster::{ClusterValidator, Definition, Lock, Networks, NodeKey, NotReady, SignedDeposit, Version};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::{Address, ClusterId, ForkVersion, Gwei, PublicKey, Root};

/// What the book must be told of a cluster and its pool.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Which.
    pub cluster: ClusterId,
    /// Its operators' nodes; the first has share 1.
    pub nodes: &'a [NodeKey],
    /// How many of them sign.
    pub threshold: u8,
    /// How many validators it may still have.
    pub keys_max: u64,
    /// The pool's network among those that are known.
    pub networks: &'a Networks,
    /// The pool's network.
    pub fork_version: ForkVersion,
    /// Where the pool's withdrawals go.
    pub withdrawal: Address,
    /// Whether its validators compound.
    pub compounding: bool,
    /// Where its fees go.
    pub fee_recipient: Address,
    /// What is deposited first.
    pub first: Gwei,
    /// And then.
    pub rest: Gwei,
}

/// Why a definition, or a lock, is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// The definition is there.
    #[error("the definition of cluster {0} is there already")]
    Defined(ClusterId),
    /// The lock is there: whoever brings it can go.
    #[error("the pool has this lock of cluster {cluster} already: {lock}")]
    HaveIt {
        /// Whose.
        cluster: ClusterId,
        /// Its hash.
        lock: Root,
    },
    /// There is another lock.
    #[error("lock {have} of cluster {cluster}, which has lock {known}")]
    OtherLock {
        /// Whose.
        cluster: ClusterId,
        /// This one's hash.
        have: Root,
        /// Of the lock that is there.
        known: Root,
    },
    /// Another definition than the cluster was accepted with.
    #[error("the definition's hash is {have}; the cluster was accepted with definition {want}")]
    OtherDefinition {
        /// Of this definition.
        have: Root,
        /// The cluster's id.
        want: ClusterId,
    },
    /// A format whose locks have not the deposits that a pool needs.
    #[error("a definition of {0}; ceremonies of a pool begin with v1.8")]
    OldVersion(Version),
    /// No ceremony may run on it.
    #[error("no ceremony may run on the definition: {0}")]
    NotReady(#[from] NotReady),
    /// Another network.
    #[error("the definition is for fork version {have}, the pool's network has {want}")]
    Network {
        /// The definition's.
        have: ForkVersion,
        /// The pool's.
        want: ForkVersion,
    },
    /// Withdrawals would go elsewhere.
    #[error("validator {validator} would pay to {have:?}, the pool's withdrawal address is {want}")]
    Withdrawal {
        /// Which, from 0.
        validator: usize,
        /// Where to; nothing if that is no address.
        have: Option<Address>,
        /// The pool's.
        want: Address,
    },
    /// Another kind of credentials.
    #[error("validators compound: the definition says {have}, the pool {want}")]
    Compounding {
        /// The definition.
        have: bool,
        /// The pool.
        want: bool,
    },
    /// Fees would go elsewhere.
    #[error("validator {validator}'s fee recipient is {have:?}, the pool's is {want}")]
    FeeRecipient {
        /// Which, from 0.
        validator: usize,
        /// Who; nothing if that is no address.
        have: Option<Address>,
        /// The pool's.
        want: Address,
    },
    /// Other numbers than the cluster's.
    #[error("any {threshold} of {operators} sign; of the cluster, any {want_threshold} of {want_operators}")]
    Size {
        /// The definition's operators.
        operators: usize,
        /// The definition's threshold.
        threshold: u64,
        /// The cluster's operators.
        want_operators: usize,
        /// The cluster's threshold.
        want_threshold: u8,
    },
    /// Another node, or another place.
    #[error("operator {place} of the definition has node {have:?}, the cluster's has {want}")]
    Node {
        /// The place, from 1.
        place: usize,
        /// The definition's.
        have: Option<NodeKey>,
        /// The cluster's.
        want: NodeKey,
    },
    /// Deposits of other amounts.
    #[error("deposits of {have:?} gwei, the pool's policy says {first} and {rest}", have = gwei(.have))]
    Amounts {
        /// What is there.
        have: Vec<Gwei>,
        /// First.
        first: Gwei,
        /// And then.
        rest: Gwei,
    },
    /// More than one entry of the log holds.
    #[error("{have} validators: a pool's cluster of {operators} takes at most {most} validators by one lock")]
    TooMany {
        /// How many.
        have: usize,
        /// Of how many operators.
        operators: usize,
        /// At most.
        most: usize,
    },
    /// More than the cluster may have.
    #[error("{have} validators, the cluster may have {most} more")]
    Validators {
        /// How many.
        have: usize,
        /// At most.
        most: u64,
    },
    /// A check of the lock that does not hold.
    #[error("the lock does not hold, {name}: {detail}")]
    Check {
        /// Which.
        name: &'static str,
        /// What was found.
        detail: String,
    },
    /// A validator whose lock entry has not exactly the pool's deposits.
    #[error("validator {pubkey} has {have} deposits, which are not the pool's")]
    Deposits {
        /// Which.
        pubkey: PublicKey,
        /// How many.
        have: usize,
    },
}

fn gwei(amounts: &[Gwei]) -> Vec<u64> {
    amounts.iter().map(|amount| amount.0).collect()
}

/// What a lock makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Keys with the deposits that they signed, verified.
    pub keys: Vec<KeyOffer>,
    /// What is kept of the lock.
    pub event: Event,
}

impl State {
    /// That a cluster's definition is known.
    ///
    /// - Errors: it is there; it is not this cluster's, or not made for this pool; no ceremony may run on it.
    /// - Cost: some hashes for every validator, and wallets' signatures where there are any.
    pub fn define(&self, facts: &Facts<'_>, definition: &Definition) -> Result<Event, Refusal> {
        let cluster = facts.cluster;
        if self.definitions.contains_key(&cluster) {
            return Err(Refusal::Defined(cluster));
        }
        facts.fits(definition)?;
        definition.ready(facts.networks)?;
        Ok(Event::Defined { cluster, definition: definition.to_json() })
    }

    /// What a cluster's lock makes.
    ///
    /// - Errors: there is a lock, this one or another; it is not made of the cluster's definition, or not for this pool;
    ///   a check of it does not hold.
    /// - Cost: that of [`Lock::check`]: for a validator of four operators some 4 ms on two cores.
    pub fn deliver(&self, facts: &Facts<'_>, lock: &Lock) -> Result<Made, Refusal> {
        let (cluster, hash) = (facts.cluster, lock.lock_hash());
        match self.locks.get(&cluster) {
            Some(known) if known.lock == hash => return Err(Refusal::HaveIt { cluster, lock: hash }),
            Some(Locked { lock: known, .. }) => {
                return Err(Refusal::OtherLock { cluster, have: hash, known: *known });
            }
            None => {}
        }
        facts.fits(lock.definition())?;
        if let Some(broken) = lock.check(facts.networks).into_iter().find(|check| !check.holds()) {
            return Err(Refusal::Check { name: broken.name, detail: broken.detail });
        }
        let keys = facts.offers(lock)?;
        let locked = Locked { lock: hash, generation: 0 };
        Ok(Made { keys, event: Event::Locked { cluster, locked } })
    }
}

impl Facts<'_> {
    /// Whether a definition is the cluster's, and made for this pool.
    fn fits(&self, definition: &Definition) -> Result<(), Refusal> {
        let version = definition.version();
        if !version.has_deposit_amounts() {
            return Err(Refusal::OldVersion(version));
        }
        let (have, operators) = (definition.validators().len(), definition.operators().len());
        let most = validators_max(operators);
        if have > most {
            return Err(Refusal::TooMany { have, operators, most });
        }
        let hash = definition.definition_hash();
        if hash != self.cluster {
            return Err(Refusal::OtherDefinition { have: hash, want: self.cluster });
        }
        if have as u64 > self.keys_max {
            return Err(Refusal::Validators { have, most: self.keys_max });
        }
        self.fits_money(definition)?;
        self.fits_members(definition)
    }

    fn fits_money(&self, definition: &Definition) -> Result<(), Refusal> {
        let (have, want) = (definition.fork_version(), self.fork_version);
        if have != want {
            return Err(Refusal::Network { have, want });
        }
        let (have, want) = (definition.compounding(), self.compounding);
        if have != want {
            return Err(Refusal::Compounding { have, want });
        }
        for (validator, addresses) in definition.validators().iter().enumerate() {
            let (have, want) = (addresses.withdrawal.address(), self.withdrawal);
            if have != Some(want) {
                return Err(Refusal::Withdrawal { validator, have, want });
            }
            let (have, want) = (addresses.fee_recipient.address(), self.fee_recipient);
            if have != Some(want) {
                return Err(Refusal::FeeRecipient { validator, have, want });
            }
        }
        let have = definition.deposit_amounts();
        if have.iter().copied().collect::<BTreeSet<_>>() != self.amounts() {
            return Err(Refusal::Amounts { have, first: self.first, rest: self.rest });
        }
        Ok(())
    }

    fn fits_members(&self, definition: &Definition) -> Result<(), Refusal> {
        let (operators, threshold) = (definition.operators().len(), definition.threshold());
        let (want_operators, want_threshold) = (self.nodes.len(), self.threshold);
        if (operators, threshold) != (want_operators, u64::from(want_threshold)) {
            return Err(Refusal::Size { operators, threshold, want_operators, want_threshold });
        }
        for ((have, want), place) in definition.node_keys().zip(self.nodes).zip(1..) {
            if have != Some(*want) {
                return Err(Refusal::Node { place, have, want: *want });
            }
        }
        Ok(())
    }

    /// One amount, if both are the same: one signature is good for both deposits then.
    fn amounts(&self) -> BTreeSet<Gwei> {
        [self.first, self.rest].into()
    }

    /// The keys of a lock whose checks hold.
    fn offers(&self, lock: &Lock) -> Result<Vec<KeyOffer>, Refusal> {
        let broken = |name, detail: String| Refusal::Check { name, detail };
        let cluster = lock.cluster().map_err(|error| broken("cluster", error.to_string()))?;
        let deposits = lock.deposits();
        let deposits = deposits.ok_or_else(|| broken("deposits", "a deposit is incomplete".to_owned()))?;
        let mut signed: BTreeMap<PublicKey, Vec<SignedDeposit>> = BTreeMap::new();
        for deposit in deposits {
            signed.entry(deposit.message.public_key).or_default().push(deposit);
        }
        let offer = |validator: &ClusterValidator| {
            let its = signed.get(&validator.public_key).map_or(&[][..], Vec::as_slice);
            self.offer(validator, its)
        };
        cluster.validators.iter().map(offer).collect()
    }

    fn offer(&self, validator: &ClusterValidator, deposits: &[SignedDeposit]) -> Result<KeyOffer, Refusal> {
        let (pubkey, have) = (validator.public_key, deposits.len());
        let refused = Refusal::Deposits { pubkey, have };
        if have != self.amounts().len() {
            return Err(refused);
        }
        let offered = |amount| {
            let deposit = deposits.iter().find(|deposit| deposit.message.amount == amount)?;
            let credentials = deposit.message.withdrawal_credentials;
            Some(Offered { credentials, amount, signature: deposit.signature })
        };
        let (Some(predeposit), Some(rest)) = (offered(self.first), offered(self.rest)) else {
            return Err(refused);
        };
        Ok(KeyOffer { pubkey, predeposit, rest })
    }
}
