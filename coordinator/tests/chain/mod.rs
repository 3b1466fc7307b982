//! A chain in a jar, as far as deposits go: what is sent waits in its queue, makes validators, and adds to balances. It
//! follows the chain's own rules and knows nothing of the books. Keys have public secrets.

use cluster::deposit::{DepositMessage, withdrawal_credentials};
use coordinator::formulas::ratio::BasisPoints;
use coordinator::ledger::deposits::{
    Charter, Command, Event, KeyOffer, Limit, Look, ONE_AND_31, Offered, PendingDeposit, Refusal, Rules,
    SeenValidator, SentDeposit, Split, State, apply, decide,
};
use coordinator::ledger::pool;
use crypto::{G1, PublicKeyPoint, Scalar, hash_to_g2};
use std::collections::{BTreeMap, BTreeSet};
use types::operators::{ClusterId, ClusterSize};
use types::{
    Address, Epoch, ForkVersion, Gwei, PublicKey, Root, Signature, Slot, ValidatorIndex, ValidatorStatus, Wei,
};

use super::pool::{Book, account};

pub(crate) const ETH: u64 = 1_000_000_000;
pub(crate) const FORK: ForkVersion = ForkVersion([0, 0, 0, 1]);
pub(crate) const POOL: Address = Address([0x77; 20]);
const VALIDATOR_SLOTS: u64 = 32;

pub(crate) fn ours(compounding: bool) -> Root {
    withdrawal_credentials(POOL, compounding)
}

pub(crate) fn theirs() -> Root {
    withdrawal_credentials(Address([0x66; 20]), false)
}

pub(crate) fn cluster(no: u8) -> ClusterId {
    Root([no; 32])
}

pub(crate) fn root(no: u8) -> Root {
    Root([no; 32])
}

pub(crate) fn key(secret: u64) -> PublicKey {
    PublicKeyPoint::new(G1::generator() * Scalar::from(secret)).unwrap().bytes()
}

/// A deposit that a key signs.
pub(crate) fn signed(secret: u64, credentials: Root, gwei: u64) -> Offered {
    let amount = Gwei(gwei);
    let message = DepositMessage { public_key: key(secret), withdrawal_credentials: credentials, amount };
    let root = message.signing_root(FORK);
    let signature = Signature((hash_to_g2(root.as_ref()) * Scalar::from(secret)).compress());
    Offered { credentials, amount, signature }
}

pub(crate) fn offer(secret: u64, credentials: Root) -> KeyOffer {
    let [predeposit, rest] = [1, 31].map(|eth| signed(secret, credentials, eth * ETH));
    KeyOffer { pubkey: key(secret), predeposit, rest, shares: shares(secret) }
}

/// A key's public shares: of a polynomial of degree 2, so three of four sign.
pub(crate) fn shares(secret: u64) -> Vec<PublicKey> {
    (1..=4).map(|x| key(secret + 5 * x + 3 * x * x)).collect()
}

#[derive(Clone, Debug)]
struct Held {
    index: u64,
    credentials: Root,
    balance: u64,
    status: ValidatorStatus,
    slashed: bool,
    activation: Option<Epoch>,
    swept: u64,
}

/// In how many epochs who has this status has no duties, and can be withdrawn: as a look would find it.
fn leaving(status: ValidatorStatus) -> Option<(u64, u64)> {
    match status {
        ValidatorStatus::PendingInitialized
        | ValidatorStatus::PendingQueued
        | ValidatorStatus::ActiveOngoing => None,
        ValidatorStatus::ActiveExiting | ValidatorStatus::ActiveSlashed => Some((1, 2)),
        ValidatorStatus::ExitedUnslashed | ValidatorStatus::ExitedSlashed => Some((0, 1)),
        ValidatorStatus::WithdrawalPossible | ValidatorStatus::WithdrawalDone => Some((0, 0)),
    }
}

/// The chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    pub(crate) slot: u64,
    validators: BTreeMap<PublicKey, Held>,
    queue: Vec<PendingDeposit>,
}

impl Chain {
    /// A deposit gets into a block, and into the queue.
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

    /// The first `many` of the queue are taken up: into a balance, or they make a validator if the key has signed them.
    pub(crate) fn take_up(&mut self, many: usize) {
        self.slot += VALIDATOR_SLOTS;
        let many = many.min(self.queue.len());
        for one in self.queue.drain(..many).collect::<Vec<_>>() {
            if let Some(held) = self.validators.get_mut(&one.pubkey) {
                held.balance += one.amount.0;
                continue;
            }
            let message = DepositMessage {
                public_key: one.pubkey,
                withdrawal_credentials: one.credentials,
                amount: one.amount,
            };
            let point = PublicKeyPoint::parse(&one.pubkey).unwrap();
            if crypto::verify(&point, message.signing_root(FORK).as_ref(), &one.signature) {
                let held = Held {
                    index: 1000 + self.validators.len() as u64,
                    credentials: one.credentials,
                    balance: one.amount.0,
                    status: ValidatorStatus::PendingInitialized,
                    slashed: false,
                    activation: None,
                    swept: 0,
                };
                self.validators.insert(one.pubkey, held);
            }
        }
    }

    /// Every validator that can goes a step on; `exit` and `slash` are of the validator at that place.
    pub(crate) fn go_on(&mut self, exit: Option<usize>, slash: Option<usize>) {
        self.slot += VALIDATOR_SLOTS;
        for (at, held) in self.validators.values_mut().enumerate() {
            held.status = match held.status {
                ValidatorStatus::PendingInitialized if held.balance >= 32 * ETH => {
                    ValidatorStatus::PendingQueued
                }
                ValidatorStatus::PendingQueued => {
                    held.activation = Some(Epoch(self.slot / VALIDATOR_SLOTS));
                    ValidatorStatus::ActiveOngoing
                }
                ValidatorStatus::ActiveOngoing if slash == Some(at) => {
                    (held.slashed, held.balance) = (true, held.balance - held.balance / 4096);
                    ValidatorStatus::ActiveSlashed
                }
                ValidatorStatus::ActiveOngoing if exit == Some(at) => ValidatorStatus::ActiveExiting,
                ValidatorStatus::ActiveExiting => ValidatorStatus::ExitedUnslashed,
                ValidatorStatus::ActiveSlashed => ValidatorStatus::ExitedSlashed,
                ValidatorStatus::ExitedUnslashed | ValidatorStatus::ExitedSlashed => {
                    ValidatorStatus::WithdrawalPossible
                }
                ValidatorStatus::WithdrawalPossible | ValidatorStatus::WithdrawalDone => {
                    held.swept += std::mem::take(&mut held.balance);
                    ValidatorStatus::WithdrawalDone
                }
                ValidatorStatus::PendingInitialized | ValidatorStatus::ActiveOngoing => held.status,
            };
        }
    }

    /// What those of these keys have, and had swept to the pool, that pay to it.
    pub(crate) fn of_pool(&self, keys: impl Iterator<Item = PublicKey>) -> (u64, u64) {
        let held =
            keys.filter_map(|key| self.validators.get(&key)).filter(|held| held.credentials != theirs());
        held.fold((0, 0), |(balance, swept), held| (balance + held.balance, swept + held.swept))
    }

    pub(crate) fn look(&self, finalized: bool) -> Look {
        let epoch = self.slot / VALIDATOR_SLOTS;
        let seen = |(pubkey, held): (&PublicKey, &Held)| SeenValidator {
            pubkey: *pubkey,
            index: ValidatorIndex(held.index),
            credentials: held.credentials,
            balance: Gwei(held.balance),
            effective_balance: Gwei(held.balance / ETH * ETH),
            status: held.status,
            slashed: held.slashed,
            activation: held.activation,
            exit: leaving(held.status).map(|(exit, _)| Epoch(epoch + exit)),
            withdrawable: leaving(held.status).map(|(_, free)| Epoch(epoch + free)),
        };
        let validators = self.validators.iter().map(seen).collect();
        Look { slot: Slot(self.slot), finalized, validators, pending: self.queue.clone() }
    }
}

/// Both books of a pool, and the chain.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) chain: Chain,
    pub(crate) state: State,
    pub(crate) pool: Book,
    pub(crate) compounding: bool,
    pub(crate) split: Split,
    pub(crate) guardians: BTreeSet<Address>,
    pub(crate) needed: usize,
    pub(crate) clusters: BTreeMap<ClusterId, Limit>,
    pub(crate) stopped: bool,
    /// What was sent for the pool.
    pub(crate) sent: u64,
    /// What the reports have told the pool as swept.
    told: u64,
}

#[allow(dead_code, reason = "each test program uses its part")]
impl World {
    pub(crate) fn new(compounding: bool) -> Self {
        let mut pool = Book::default();
        pool.bounds.cl_decrease_max = BasisPoints::WHOLE;
        pool.bounds.positive_rebase_max_ppb = u64::MAX;
        let size = ClusterSize::new_safe(4, 3).unwrap();
        let limit = Limit { size, validators_max: 100, stake_max: Gwei(100_000 * ETH) };
        Self {
            chain: Chain { slot: 1, ..Chain::default() },
            state: State::default(),
            pool,
            compounding,
            split: ONE_AND_31,
            guardians: [50, 51, 52].map(account).into(),
            needed: 2,
            clusters: [1, 2, 3].map(|no| (cluster(no), limit)).into(),
            stopped: false,
            sent: 0,
            told: 0,
        }
    }

    pub(crate) fn funded(eth: &str, compounding: bool) -> Self {
        let mut world = Self::new(compounding);
        world.pool.pay(account(0), Wei::from_eth(eth).unwrap());
        world
    }

    pub(crate) fn charter(&self) -> Charter {
        Charter::new(FORK, ours(self.compounding)).unwrap()
    }

    pub(crate) fn rules(&self) -> Rules<'_> {
        Rules {
            charter: self.charter(),
            slots_per_epoch: VALIDATOR_SLOTS,
            split: self.split,
            guardians: &self.guardians,
            guardians_needed: self.needed,
            clusters: &self.clusters,
            depositable: self.pool.state.depositable(&self.pool.rules()).unwrap(),
            stopped: self.stopped,
        }
    }

    /// Decides and applies, in both books. Both must audit and agree, and come back out of their text.
    pub(crate) fn run(&mut self, command: &Command) -> Result<Vec<Event>, Refusal> {
        let events = decide(&self.state, &self.rules(), command)?;
        for event in &events {
            apply(&mut self.state, event).expect("what is decided applies");
            if let Some(moves) = event.moves() {
                self.pool.run(&moves).expect("the pool's book takes what was decided");
            }
        }
        self.state.audit().unwrap();
        let books = self.pool.state.books();
        let wei = |gwei: Gwei| coordinator::formulas::wide::wei(gwei);
        assert_eq!(wei(self.state.planned()), books.planned);
        assert!(wei(self.state.in_flight()) <= books.transient);
        let text = serde_json::to_string(&self.state).unwrap();
        let back: State = serde_json::from_str(&text).unwrap();
        assert_eq!((&back, serde_json::to_string(&back).unwrap()), (&self.state, text));
        Ok(events)
    }

    pub(crate) fn register(&mut self, of: u8, secrets: &[u64]) {
        let keys = secrets.iter().map(|secret| offer(*secret, ours(self.compounding))).collect();
        self.run(&Command::Register { cluster: cluster(of), keys }).unwrap();
    }

    pub(crate) fn look(&mut self) -> Result<Vec<Event>, Refusal> {
        self.run(&Command::Look(self.chain.look(true)))
    }

    /// What the next report tells the pool: balances, what has arrived or is lost, what was swept.
    pub(crate) fn report(&mut self) -> Result<Vec<pool::Event>, pool::Refusal> {
        let arrived = self.state.arrived(self.pool.state.books().transient).unwrap();
        let (_, swept) = self.chain.of_pool(self.state.validators().keys().copied());
        let withdrawn = swept - self.told;
        let events = self.pool.report(self.state.balance().0, arrived.0, withdrawn)?;
        self.told = swept;
        Ok(events)
    }

    pub(crate) fn approve(
        &mut self,
        guardian: u8,
        batch: u64,
        deposit_root: Root,
    ) -> Result<Vec<Event>, Refusal> {
        let keys_hash = self.state.batches().get(&batch).map(|batch| batch.keys_hash()).unwrap_or_default();
        self.run(&Command::Approve { guardian: account(guardian), batch, deposit_root, keys_hash })
    }

    /// Sends a deposit of a batch, and tells of it.
    pub(crate) fn send(&mut self, batch: u64, at: usize) -> Result<Vec<Event>, Refusal> {
        let item = self.state.batches()[&batch].items[at];
        let credentials = self.charter().credentials();
        self.chain.deposit(item.pubkey, credentials, item.amount, item.signature);
        self.sent += item.amount.0;
        let (slot, tx) = (Slot(self.chain.slot), root(9));
        self.run(&Command::Sent(SentDeposit { pubkey: item.pubkey, data_root: item.data_root, slot, tx }))
    }

    /// Plans, approves and sends everything that can be sent; gives the amounts in ETH.
    pub(crate) fn plan_and_send(&mut self) -> Vec<u64> {
        let Ok(events) = self.run(&Command::Plan) else { return Vec::new() };
        let Event::Batched { batch, items } = &events[0] else { panic!("{events:?}") };
        for guardian in [50, 51] {
            self.approve(guardian, *batch, root(1)).unwrap();
        }
        let rules = self.rules();
        let calls = coordinator::ledger::deposits::calldata(&self.state, &rules, *batch, root(1)).unwrap();
        assert_eq!(calls.len(), items.len());
        for at in 0..items.len() {
            let events = self.send(*batch, at).unwrap();
            assert_eq!(events.len(), 1, "no alarm: {events:?}");
        }
        items.iter().map(|item| item.amount.0 / ETH).collect()
    }

    pub(crate) fn stages(&self, secrets: &[u64]) -> Vec<coordinator::ledger::deposits::Stage> {
        secrets.iter().map(|secret| self.state.validators()[&key(*secret)].stage).collect()
    }
}
