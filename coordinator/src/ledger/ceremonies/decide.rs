//! Whether a lock is this cluster's, and made for this pool.

use super::{Event, Locked, State, validators_max};
use crate::ledger::deposits::{KeyOffer, Offered};
use crate::ledger::operators::OperatorId;
use crate::ledger::policy::DepositSplit;
use cluster::{ClusterValidator, Lock, Networks, SignedDeposit};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::{ClusterId, Gwei, PublicKey, Root};

/// What the book must be told of a cluster and its pool.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Which: the hash of its definition.
    pub cluster: ClusterId,
    /// The pool's network among those that are known.
    pub networks: &'a Networks,
    /// The deposits that its operators were asked to sign for each validator.
    pub deposit: DepositSplit,
}

/// Why a lock is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
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
    /// Made of another definition than the cluster's operators accepted.
    #[error("the lock is of definition {have}; the cluster was accepted with definition {want}")]
    OtherDefinition {
        /// Of the lock.
        have: Root,
        /// The cluster's id.
        want: ClusterId,
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
    /// A check of the lock that does not hold.
    #[error("the lock does not hold, {name}: {detail}")]
    Check {
        /// Which.
        name: &'static str,
        /// What was found.
        detail: String,
    },
    /// A validator whose lock entry has not exactly the deposits that were asked for.
    #[error("validator {pubkey} has {have} deposits, which are not those that the cluster was asked for")]
    Deposits {
        /// Which.
        pubkey: PublicKey,
        /// How many.
        have: usize,
    },
    /// Somebody else's keys.
    #[error("{operator} is no operator of cluster {cluster}")]
    Stranger {
        /// Which.
        cluster: ClusterId,
        /// Who.
        operator: OperatorId,
    },
    /// Nothing new.
    #[error("{operator} has offered these keys for cluster {cluster} already")]
    Offered {
        /// Which.
        cluster: ClusterId,
        /// Who.
        operator: OperatorId,
    },
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
    /// What a cluster's lock makes.
    ///
    /// - Errors: there is a lock, this one or another; it is not made of the cluster's definition; a check of it does not
    ///   hold.
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
        let (have, operators) = (lock.definition().validators().len(), lock.definition().operators().len());
        let most = validators_max(operators);
        if have > most {
            return Err(Refusal::TooMany { have, operators, most });
        }
        let have = lock.definition().definition_hash();
        if have != cluster {
            return Err(Refusal::OtherDefinition { have, want: cluster });
        }
        if let Some(broken) = lock.check(facts.networks).into_iter().find(|check| !check.holds()) {
            return Err(Refusal::Check { name: broken.name, detail: broken.detail });
        }
        let keys = facts.offers(lock)?;
        let locked = Locked { lock: hash, generation: 0 };
        Ok(Made { keys, event: Event::Locked { cluster, locked } })
    }

    /// What it leads to that an operator offers keys by hand, which can be registered.
    ///
    /// - `members`: the cluster's operators.
    /// - `keys`: the hash of the keys.
    /// - Returns `Agreed` if all others have offered the same last, else `Offered`: it takes the place of its offer before.
    /// - Errors: `Stranger`, `Offered`.
    pub fn offer(
        &self,
        cluster: ClusterId,
        members: &[OperatorId],
        operator: OperatorId,
        keys: Root,
    ) -> Result<Event, Refusal> {
        if !members.contains(&operator) {
            return Err(Refusal::Stranger { cluster, operator });
        }
        let mut others = members.iter().filter(|member| **member != operator);
        if others.all(|other| self.offered(cluster, *other) == Some(keys)) {
            return Ok(Event::Agreed { cluster });
        }
        if self.offered(cluster, operator) == Some(keys) {
            return Err(Refusal::Offered { cluster, operator });
        }
        Ok(Event::Offered { cluster, operator, keys })
    }

    /// What an operator has offered last, if nothing was agreed since.
    pub(super) fn offered(&self, cluster: ClusterId, operator: OperatorId) -> Option<Root> {
        self.offers.get(&cluster)?.get(&operator).copied()
    }
}

impl Facts<'_> {
    /// One amount, if both are the same: one signature is good for both deposits then.
    fn amounts(&self) -> BTreeSet<Gwei> {
        [self.deposit.first, self.deposit.rest].into()
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
        let (Some(predeposit), Some(rest)) = (offered(self.deposit.first), offered(self.deposit.rest)) else {
            return Err(refused);
        };
        Ok(KeyOffer { pubkey, predeposit, rest, shares: validator.public_shares.clone() })
    }
}
