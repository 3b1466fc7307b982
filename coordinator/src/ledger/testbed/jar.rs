//! A chain in a jar, as far as a pool's deposits go: what is sent waits, makes a validator, adds to its balance, and goes on.

use super::{EPOCH, Pool};
use crate::ledger::charter::Charter;
use crate::ledger::deposits::{KeyOffer, Look, Offered, PendingDeposit, SeenValidator};
use crate::ledger::entry::Sealed;
use crate::ledger::log::AppendError;
use cluster::deposit::{DepositMessage, withdrawal_credentials};
use crypto::{G1, PublicKeyPoint, Scalar, hash_to_g2};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use types::{
    Address, ClusterId, Epoch, Gwei, PublicKey, Root, Signature, SigningRoot, Slot, ValidatorIndex,
    ValidatorStatus,
};

const ETH: u64 = 1_000_000_000;

/// The epoch of a pool that is [`Pool::staked`]: its validators are old enough to exit.
pub(crate) const STAKED: u64 = EPOCH + 300;

/// The public key of a secret that everybody knows.
pub(crate) fn key(secret: u64) -> PublicKey {
    PublicKeyPoint::new(G1::generator() * Scalar::from(secret)).unwrap().bytes()
}

/// Whoever holds a key may have others' credentials for it.
pub(crate) fn theirs() -> Root {
    withdrawal_credentials(Address([0x66; 20]), false)
}

impl Pool {
    /// The pool's withdrawal credentials.
    pub(crate) fn ours(&self) -> Root {
        withdrawal_credentials(self.state().charter.withdrawal_address, false)
    }

    fn offered(&self, secret: u64, credentials: Root, eth: u64) -> Offered {
        let amount = Gwei(eth * ETH);
        let message = DepositMessage { public_key: key(secret), withdrawal_credentials: credentials, amount };
        let root = message.signing_root(self.state().charter.network.genesis_fork_version);
        let signature = Signature((hash_to_g2(root.as_ref()) * Scalar::from(secret)).compress());
        Offered { credentials, amount, signature }
    }

    /// A key's two deposits, as its ceremony made them.
    pub(crate) fn offer(&self, secret: u64) -> KeyOffer {
        let [predeposit, rest] = [1, 31].map(|eth| self.offered(secret, self.ours(), eth));
        KeyOffer {
            pubkey: key(secret),
            predeposit,
            rest,
            shares: (1..=4).map(|at| public(share(secret, at))).collect(),
        }
    }
}

impl Pool {
    /// A pool with a cluster of the team that has so many active validators, of keys 1, 2, ..., and its chain at
    /// [`STAKED`].
    pub(crate) fn staked(charter: Charter, keys: u32) -> (Self, Jar, ClusterId) {
        let mut pool = Self::of(charter);
        pool.finalize(EPOCH);
        let stake = json!({"epoch": EPOCH.to_string(), "active": "35000000000000000"});
        pool.see("network-stake", &stake).unwrap();
        let team = pool.team();
        let cluster = pool.cluster(team, keys);
        pool.pay(71, &(33 * keys).to_string(), 0).unwrap();
        let mut jar = Jar::new();
        let secrets: Vec<_> = (1..=u64::from(keys)).collect();
        pool.activate(&mut jar, cluster, &secrets);
        jar.go_to(32 * STAKED);
        pool.look(&jar).unwrap();
        (pool, jar, cluster)
    }

    /// All managers of a cluster of the team offer the same keys: they are registered.
    pub(crate) fn register(&mut self, cluster: ClusterId, secrets: &[u64]) -> Result<(), AppendError> {
        let offers: Vec<_> = secrets.iter().map(|secret| self.offer(*secret)).collect();
        let keys = json!({"keys": offers});
        for manager in 101..105 {
            self.post(manager, &format!("/v1/clusters/{cluster}/keys"), &keys)?;
        }
        Ok(())
    }

    /// Validators of a cluster of the team, from their keys' registration to their duties.
    pub(crate) fn activate(&mut self, jar: &mut Jar, cluster: ClusterId, secrets: &[u64]) {
        self.register(cluster, secrets).unwrap();
        self.look(jar).unwrap();
        for _ in 0..2 {
            self.see("plan", &json!({})).unwrap();
            let batch = *self.state().deposits.batches().last_key_value().unwrap().0;
            self.approve(batch).unwrap();
            self.send_batch(jar, batch).unwrap();
            jar.go_on(|_| false);
            self.look(jar).unwrap();
        }
        jar.go_on(|_| false);
        self.look(jar).unwrap();
    }

    /// The index of a key's validator.
    pub(crate) fn index(&self, secret: u64) -> ValidatorIndex {
        self.state().deposits.validators()[&key(secret)].index.unwrap()
    }

    /// A key's partial signature by the operator at a place, over the exit that was asked for.
    pub(crate) fn exit_partial(&self, secret: u64, place: u8) -> Signature {
        let exit = &self.state().exits.exits()[&self.index(secret)];
        let root = cluster::exit::signing_root(&self.state().network, &exit.message());
        partial(&root, secret, place)
    }

    /// The manager of the team's operator at a place sends its partial signature.
    pub(crate) fn sign_exit(
        &mut self,
        cluster: ClusterId,
        secret: u64,
        place: u8,
    ) -> Result<Sealed, AppendError> {
        let path = format!("/v1/clusters/{cluster}/exits/{}/partials", self.index(secret));
        let body = json!({"generation": 0, "signature": self.exit_partial(secret, place)});
        self.post(100 + place, &path, &body)
    }
}

/// A partial signature of a key by the operator at a place.
pub(crate) fn partial(root: &SigningRoot, secret: u64, place: u8) -> Signature {
    Signature((hash_to_g2(root.as_ref()) * share(secret, place)).compress())
}

/// A key's share at a place: of a polynomial of degree 2, so three of four sign.
pub(crate) fn share(secret: u64, place: u8) -> Scalar {
    let x = u64::from(place);
    Scalar::from(secret + 5 * x + 3 * x * x)
}

fn public(secret: Scalar) -> PublicKey {
    PublicKeyPoint::new(G1::generator() * secret).unwrap().bytes()
}

/// The chain. Whose deposits verify it is told: it does no curve work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar {
    pub(crate) slot: u64,
    pub(crate) validators: BTreeMap<PublicKey, SeenValidator>,
    queue: Vec<PendingDeposit>,
    /// Deposits that the pool has sent, by key and slot.
    sent: BTreeSet<(PublicKey, Slot)>,
    /// Of what no report has told: the pool's deposits that came into a balance.
    pub(super) arrived: BTreeMap<PublicKey, u64>,
    /// And what came back to the pool's address.
    pub(super) swept: BTreeMap<PublicKey, u64>,
}

impl Jar {
    pub(crate) fn new() -> Self {
        Self { slot: 32 * EPOCH, ..Self::default() }
    }

    /// A deposit that its key has signed gets into a block.
    pub(crate) fn deposit(
        &mut self,
        pubkey: PublicKey,
        credentials: Root,
        amount: Gwei,
        signature: Signature,
    ) {
        self.slot += 1;
        self.age();
        self.queue.push(PendingDeposit { pubkey, credentials, amount, signature, slot: Slot(self.slot) });
    }

    /// The deposit that was made last is the pool's.
    pub(super) fn ours(&mut self, pubkey: PublicKey) {
        self.sent.insert((pubkey, Slot(self.slot)));
    }

    /// All that waits is taken up; each validator goes a step on. Those that `exits` names exit, the others stay.
    pub(crate) fn go_on(&mut self, exits: impl Fn(ValidatorIndex) -> bool) {
        self.slot += 32;
        for one in std::mem::take(&mut self.queue) {
            let index = ValidatorIndex(1000 + self.validators.len() as u64);
            let seen = self.validators.entry(one.pubkey).or_insert(SeenValidator {
                pubkey: one.pubkey,
                index,
                credentials: one.credentials,
                balance: Gwei(0),
                effective_balance: Gwei(0),
                status: ValidatorStatus::PendingInitialized,
                slashed: false,
                activation: None,
                exit: None,
                withdrawable: None,
            });
            seen.balance.0 += one.amount.0;
            // Whoever holds the key may have made the validator, or added to it.
            if self.sent.contains(&(one.pubkey, one.slot)) && seen.credentials == one.credentials {
                *self.arrived.entry(one.pubkey).or_default() += one.amount.0;
            }
        }
        let epoch = self.epoch();
        self.age();
        for seen in self.validators.values_mut() {
            seen.status = match seen.status {
                ValidatorStatus::PendingInitialized if seen.balance.0 >= 32 * ETH => {
                    ValidatorStatus::PendingQueued
                }
                ValidatorStatus::PendingQueued => {
                    seen.activation = Some(epoch);
                    ValidatorStatus::ActiveOngoing
                }
                ValidatorStatus::ActiveOngoing if exits(seen.index) => {
                    (seen.exit, seen.withdrawable) = (Some(Epoch(epoch.0 + 1)), Some(Epoch(epoch.0 + 2)));
                    ValidatorStatus::ActiveExiting
                }
                ValidatorStatus::WithdrawalPossible if seen.withdrawable < Some(epoch) => {
                    *self.swept.entry(seen.pubkey).or_default() += std::mem::take(&mut seen.balance.0);
                    ValidatorStatus::WithdrawalDone
                }
                status => status,
            };
            seen.effective_balance = Gwei(seen.balance.0 / ETH * ETH);
        }
    }

    /// What waits.
    pub(crate) fn queue(&self) -> &[PendingDeposit] {
        &self.queue
    }

    /// A validator that has duties earns something, or misses some.
    pub(crate) fn earn(&mut self, pubkey: PublicKey, gwei: i64) {
        let active = |seen: &&mut SeenValidator| seen.status == ValidatorStatus::ActiveOngoing;
        if let Some(seen) = self.validators.get_mut(&pubkey).filter(active) {
            seen.balance = Gwei(seen.balance.0.saturating_add_signed(gwei));
        }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.slot / 32)
    }

    /// The chain goes on to a slot.
    pub(crate) fn go_to(&mut self, slot: u64) {
        self.slot = slot;
        self.age();
    }

    /// Who exits is as far as the epoch makes it.
    fn age(&mut self) {
        let epoch = self.epoch();
        let past = |event: Option<Epoch>| event.is_some_and(|event| event <= epoch);
        for seen in self.validators.values_mut() {
            let (left, free) = (past(seen.exit), past(seen.withdrawable));
            seen.status = match (seen.status, left, free) {
                (ValidatorStatus::WithdrawalDone, ..) => ValidatorStatus::WithdrawalDone,
                (_, _, true) => ValidatorStatus::WithdrawalPossible,
                (_, true, false) if seen.slashed => ValidatorStatus::ExitedSlashed,
                (_, true, false) => ValidatorStatus::ExitedUnslashed,
                (status, false, false) => status,
            };
        }
    }

    /// A validator is slashed, and loses so much at once.
    pub(crate) fn slash(&mut self, secret: u64, gwei: u64) {
        let epoch = self.epoch();
        let seen = self.validators.get_mut(&key(secret)).unwrap();
        (seen.exit, seen.withdrawable) = (Some(Epoch(epoch.0 + 1)), Some(Epoch(epoch.0 + 8192)));
        (seen.slashed, seen.status) = (true, ValidatorStatus::ActiveSlashed);
        seen.balance.0 -= gwei;
    }

    /// Epochs go by, in which nothing happens to whoever does not exit.
    pub(crate) fn pass(&mut self, epochs: u64) {
        self.go_to(self.slot + 32 * epochs);
    }

    /// What a finalized state has.
    pub(crate) fn look(&self) -> Look {
        let validators = self.validators.values().copied().collect();
        Look { slot: Slot(self.slot), finalized: true, validators, pending: self.queue.clone() }
    }
}
