//! A chain in a jar, as far as a pool's deposits go: what is sent waits, makes a validator, adds to its balance, and goes on.

use super::{EPOCH, Pool};
use crate::ledger::deposits::{KeyOffer, Look, Offered, PendingDeposit, SeenValidator};
use cluster::deposit::{DepositMessage, withdrawal_credentials};
use crypto::{G1, PublicKeyPoint, Scalar, hash_to_g2};
use std::collections::{BTreeMap, BTreeSet};
use types::{Address, Gwei, PublicKey, Root, Signature, Slot, ValidatorIndex, ValidatorStatus};

const ETH: u64 = 1_000_000_000;

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
        KeyOffer { pubkey: key(secret), predeposit, rest }
    }
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
            });
            seen.balance.0 += one.amount.0;
            // Whoever holds the key may have made the validator, or added to it.
            if self.sent.contains(&(one.pubkey, one.slot)) && seen.credentials == one.credentials {
                *self.arrived.entry(one.pubkey).or_default() += one.amount.0;
            }
        }
        for seen in self.validators.values_mut() {
            seen.status = match seen.status {
                ValidatorStatus::PendingInitialized if seen.balance.0 >= 32 * ETH => {
                    ValidatorStatus::PendingQueued
                }
                ValidatorStatus::PendingQueued => ValidatorStatus::ActiveOngoing,
                ValidatorStatus::ActiveOngoing if exits(seen.index) => ValidatorStatus::ActiveExiting,
                ValidatorStatus::ActiveExiting => ValidatorStatus::ExitedUnslashed,
                ValidatorStatus::ExitedUnslashed => ValidatorStatus::WithdrawalPossible,
                ValidatorStatus::WithdrawalPossible => {
                    *self.swept.entry(seen.pubkey).or_default() += std::mem::take(&mut seen.balance.0);
                    ValidatorStatus::WithdrawalDone
                }
                status => status,
            };
            seen.effective_balance = Gwei(seen.balance.0 / ETH * ETH);
        }
    }

    /// All that a validator has comes back to the pool's address.
    pub(crate) fn sweep(&mut self, pubkey: PublicKey) {
        let seen = self.validators.get_mut(&pubkey).unwrap();
        *self.swept.entry(pubkey).or_default() += std::mem::take(&mut seen.balance.0);
        seen.status = ValidatorStatus::WithdrawalDone;
    }

    /// A validator that has duties earns something, or misses some.
    pub(crate) fn earn(&mut self, pubkey: PublicKey, gwei: i64) {
        let active = |seen: &&mut SeenValidator| seen.status == ValidatorStatus::ActiveOngoing;
        if let Some(seen) = self.validators.get_mut(&pubkey).filter(active) {
            seen.balance = Gwei(seen.balance.0.saturating_add_signed(gwei));
        }
    }

    /// What a finalized state has.
    pub(crate) fn look(&self) -> Look {
        let validators = self.validators.values().copied().collect();
        Look { slot: Slot(self.slot), finalized: true, validators, pending: self.queue.clone() }
    }
}
