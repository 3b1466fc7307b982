//! What stands behind the routes: the chain, the clock, and who waits for heads.

use super::deeds::Deeds;
use crate::clock;
use crate::curve::Bls;
use cluster::{DepositMessage, SignedDeposit};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sim::chain::registry::Deposit;
use sim::chain::{Chain, Record, Rejection, Slashing};
use sim::curve::Curve as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use tokio::sync::broadcast;
use types::aggregate::{Aggregate, SignedAggregate};
use types::attestation::SingleAttestation;
use types::block::{ProposedBlock, SignedBlockParts};
use types::operations::SignedVoluntaryExit;
use types::sync::SyncCommitteeMessage;
use types::{
    Address, BeaconVote, ChainSpec, DomainType, Epoch, Millis, Root, Signature, SigningRoot, Slot,
    ValidatorIndex,
};

/// Heads that a slow listener may lag behind: some minutes of slots.
const HEADS_WAITING_MAX: usize = 64;

/// How late an attestation's data may be asked for, in slots.
const DATA_AGE_MAX: u64 = 1;

/// A new head, as the event of that name has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Its slot.
    pub slot: Slot,
    /// The block.
    pub block: Root,
    /// State after it.
    pub state: Root,
    /// Whether it is the first block of its epoch.
    pub epoch_transition: bool,
    /// Block that the attester duties of its epoch depend on.
    pub previous_duty_dependent_root: Root,
    /// Block that the attester duties of the next epoch depend on.
    pub current_duty_dependent_root: Root,
    /// Whether its payload is not verified yet: never here.
    pub execution_optimistic: bool,
}

/// What the chain saw, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The finalized epoch.
    pub finalized_epoch: Epoch,
    /// What was refused, in words, in order.
    pub rejected: Vec<String>,
    /// Pairs of published things for which a validator could be slashed.
    pub slashable: usize,
}

/// Why there is nothing to sign. Each names the broken rule.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotDue {
    /// The chain has not begun.
    #[error("the chain has not begun")]
    BeforeGenesis,
    /// Another slot than the current one, or the one just past.
    #[error("slot {slot} is not due: the chain is at slot {now}")]
    Slot {
        /// What was asked for.
        slot: Slot,
        /// The chain's.
        now: Slot,
    },
    /// The slot has its block already.
    #[error("slot {0} has its block already")]
    Taken(Slot),
    /// The RANDAO reveal is not the proposer's.
    #[error("the RANDAO reveal is not that of the proposer of slot {0}")]
    Randao(Slot),
}

/// The chain and everything that changes with it.
#[derive(Debug)]
pub(super) struct World {
    pub(super) chain: Chain,
    /// Body root and signature of each block but the first, for its header.
    pub(super) headers: BTreeMap<Root, (Root, Signature)>,
    pub(super) fee_recipients: BTreeMap<ValidatorIndex, Address>,
    /// Attestations in the pool: a second copy is taken without another look.
    accepted: BTreeSet<(Slot, ValidatorIndex, Root, Signature)>,
    /// Hashes of other things that were taken, with their slots: likewise, for every operator hands in the same.
    copies: BTreeSet<(Slot, Root)>,
    deeds: Deeds,
    /// Each block as it was handed in.
    pub(super) blocks: BTreeMap<Root, Value>,
}

/// A beacon node over the toy chain.
#[derive(Debug)]
pub struct BeaconNode {
    spec: ChainSpec,
    curve: Bls,
    world: Mutex<World>,
    heads: broadcast::Sender<Head>,
}

impl BeaconNode {
    /// A node for a chain. `curve`: holds the keys of its validators.
    pub fn new(chain: Chain, curve: Bls) -> Self {
        let spec = chain.spec().clone();
        let (heads, _) = broadcast::channel(HEADS_WAITING_MAX);
        let world = World {
            chain,
            headers: BTreeMap::new(),
            fee_recipients: BTreeMap::new(),
            accepted: BTreeSet::new(),
            copies: BTreeSet::new(),
            deeds: Deeds::default(),
            blocks: BTreeMap::new(),
        };
        Self { spec, curve, world: Mutex::new(world), heads }
    }

    /// The network.
    pub const fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// Heads from now on.
    pub fn heads(&self) -> broadcast::Receiver<Head> {
        self.heads.subscribe()
    }

    /// The slot by the wall clock; `None` before genesis.
    pub fn now(&self) -> Option<Slot> {
        self.spec.slot_at(clock::now())
    }

    /// Looks at the chain.
    pub fn look<T>(&self, at: impl FnOnce(&Chain) -> T) -> T {
        at(&self.world().chain)
    }

    /// What the chain saw.
    pub fn tally(&self) -> Tally {
        let world = self.world();
        Tally {
            finalized_epoch: world.chain.finalized().epoch,
            rejected: world.chain.rejected().iter().map(Rejection::to_string).collect(),
            slashable: world.deeds.slashable(),
        }
    }

    /// How often something that only a group's signature makes was handed in: for which slot, in which slot.
    pub fn handed_in(&self) -> BTreeMap<(Slot, Slot), usize> {
        self.world().deeds.handed_in().clone()
    }

    /// Notes that something was handed in, whatever becomes of it.
    fn hand_in(&self, of: Slot) {
        self.world().deeds.hand_in(of, self.now().unwrap_or_default());
    }

    /// A panic elsewhere leaves a chain that is whole: every change is made at once, after all checks.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to attest in a slot.
    pub(crate) fn vote(&self, slot: Slot) -> Result<BeaconVote, NotDue> {
        let now = self.now().ok_or(NotDue::BeforeGenesis)?;
        if slot > now || slot.0 + DATA_AGE_MAX < now.0 {
            return Err(NotDue::Slot { slot, now });
        }
        let mut world = self.world();
        let head = world.chain.head();
        Ok(world.chain.vote(slot, head))
    }

    /// A block to sign.
    pub(crate) fn produce(
        &self,
        slot: Slot,
        randao: Signature,
        graffiti: Root,
    ) -> Result<ProposedBlock, NotDue> {
        let now = self.now().ok_or(NotDue::BeforeGenesis)?;
        // The reveal is the proposer's.
        self.hand_in(slot);
        if slot != now {
            return Err(NotDue::Slot { slot, now });
        }
        let mut world = self.world();
        world.chain.begin(slot);
        let chain = &world.chain;
        let head = chain.head();
        if chain.block(&head).is_some_and(|block| block.slot >= slot) {
            return Err(NotDue::Taken(slot));
        }
        let proposer = chain.proposer(slot);
        let reveal = SigningRoot::randao(&self.spec, self.spec.epoch_of(slot));
        if !self.verify(chain, proposer, &reveal, &randao) {
            return Err(NotDue::Randao(slot));
        }
        let fee_recipient = world.fee_recipients.get(&proposer).copied().unwrap_or_default();
        Ok(chain.produce(&self.curve, slot, head, randao, graffiti, fee_recipient))
    }

    /// Takes an attestation into the pool.
    pub(crate) fn attest(&self, attestation: &SingleAttestation) -> Result<(), Rejection> {
        let data = attestation.data;
        self.hand_in(data.slot);
        let now = self.now().ok_or(Rejection::Slot(data.slot))?;
        let who = attestation.attester_index;
        let copy = (data.slot, who, Root::of(&data), attestation.signature);
        let mut world = self.world();
        if world.accepted.contains(&copy) {
            return Ok(());
        }
        let result = world.chain.attest(&self.curve, clock::now(), attestation);
        let root = SigningRoot::of(&self.spec, DomainType::BeaconAttester, data.target.epoch, copy.2);
        if result.is_ok() || self.verify(&world.chain, who, &root, &attestation.signature) {
            world.deeds.vote(who, &data);
        }
        if result.is_ok() {
            let oldest = Slot(now.0.saturating_sub(2 * self.spec.slots_per_epoch));
            world.accepted =
                world.accepted.split_off(&(oldest, ValidatorIndex(0), Root::ZERO, Signature::ZERO));
            world.accepted.insert(copy);
        }
        result
    }

    /// Takes a block onto the chain and tells it to who waits for heads.
    ///
    /// - `json`: the same, as it was handed in.
    pub(crate) fn publish(&self, signed: &SignedBlockParts, json: Value) -> Result<(), Rejection> {
        let block = &signed.block;
        self.hand_in(block.slot);
        let mut world = self.world();
        if world.headers.contains_key(&block.root) {
            return Err(Rejection::Known);
        }
        let epoch = self.spec.epoch_of(block.slot);
        let root = SigningRoot::of(&self.spec, DomainType::BeaconProposer, epoch, block.root);
        if self.verify(&world.chain, block.proposer_index, &root, &signed.signature) {
            world.deeds.block(block.proposer_index, block.slot, block.root);
        }
        world.chain.propose(&self.curve, clock::now(), block, &signed.signature)?;
        world.headers.insert(block.root, (block.body_root, signed.signature));
        world.blocks.insert(block.root, json);
        let head = self.head(&world.chain);
        drop(world);
        // Nobody may be listening, which is no error.
        let _ = self.heads.send(head);
        Ok(())
    }

    /// Takes a vote of a sync committee member into the pool.
    pub(super) fn take_sync_message(&self, message: &SyncCommitteeMessage) -> Result<(), Rejection> {
        let copy = (message.slot, Root::of(message));
        self.take(copy, |chain, now| chain.take_sync_message(&self.curve, now, message))
    }

    /// Takes an aggregate or a contribution from its aggregator.
    pub(super) fn take_aggregate(&self, signed: &SignedAggregate) -> Result<(), Rejection> {
        let SignedAggregate { aggregator_index, aggregate, selection_proof, signature } = signed;
        let mut hasher = Sha256::new();
        hasher.update(aggregate.proof_root(*aggregator_index, *selection_proof).0);
        hasher.update(signature.0);
        let copy = (aggregate.slot, Root(hasher.finalize().into()));
        self.take(copy, |chain, now| chain.take_aggregate(&self.curve, now, signed))
    }

    /// Takes something, or a copy of what was taken already.
    fn take(
        &self,
        copy: (Slot, Root),
        take: impl FnOnce(&mut Chain, Millis) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        let now = clock::now();
        self.hand_in(copy.0);
        let mut world = self.world();
        if world.copies.contains(&copy) {
            return Ok(());
        }
        take(&mut world.chain, now)?;
        let slot = self.spec.slot_at(now).unwrap_or_default();
        let oldest = Slot(slot.0.saturating_sub(2 * self.spec.slots_per_epoch));
        world.copies = world.copies.split_off(&(oldest, Root::ZERO));
        world.copies.insert(copy);
        Ok(())
    }

    /// Takes an exit into the pool.
    pub(super) fn take_exit(&self, exit: &SignedVoluntaryExit) -> Result<(), Rejection> {
        self.world().chain.take_exit(&self.curve, clock::now(), exit)
    }

    /// Takes two contradicting attestations into the pool.
    pub(super) fn take_slashing(&self, slashing: &Slashing) -> Result<(), Rejection> {
        self.world().chain.take_slashing(&self.curve, clock::now(), slashing)
    }

    /// A deposit of the newest block joins the queue, if its key is one.
    pub fn deposit(&self, deposit: &SignedDeposit) {
        let DepositMessage { public_key, withdrawal_credentials, amount } = deposit.message;
        if self.curve.learn(&public_key).is_err() {
            return;
        }
        let root = deposit.message.signing_root(self.spec.genesis_fork_version);
        let is_signed = crypto::verify_root(&public_key, &root, &deposit.signature);
        let mut world = self.world();
        let slot = world.chain.block(&world.chain.head()).map_or(Slot(0), |block| block.slot);
        world.chain.deposit(Deposit {
            pubkey: public_key,
            credentials: withdrawal_credentials,
            amount,
            signature: deposit.signature,
            is_signed,
            slot,
        });
    }

    /// A committee's aggregate of what is in the pool.
    pub(super) fn aggregate(&self, slot: Slot, data_root: Root) -> Option<Aggregate> {
        self.look(|chain| chain.aggregate(&self.curve, slot, data_root, clock::now()))
    }

    /// A subcommittee's contribution of what is in the pool.
    pub(super) fn contribution(&self, slot: Slot, subcommittee: u64, head: Root) -> Option<Aggregate> {
        self.look(|chain| chain.contribution(&self.curve, (slot, subcommittee), head, clock::now()))
    }

    fn verify(&self, chain: &Chain, who: ValidatorIndex, root: &SigningRoot, signature: &Signature) -> bool {
        let key = usize::try_from(who.0).ok().and_then(|at| chain.validators().get(at));
        key.is_some_and(|key| self.curve.verify(key, root, signature))
    }

    fn head(&self, chain: &Chain) -> Head {
        let root = chain.head();
        let record = &chain.block(&root).expect("a chain knows its head");
        let epoch = self.spec.epoch_of(record.slot);
        let parent = chain.block(&record.parent);
        Head {
            slot: record.slot,
            block: root,
            state: record.state_root,
            epoch_transition: parent.is_some_and(|parent| self.spec.epoch_of(parent.slot) < epoch),
            previous_duty_dependent_root: chain.attester_dependent_root(root, epoch),
            current_duty_dependent_root: chain.attester_dependent_root(root, epoch.next()),
            execution_optimistic: false,
        }
    }
}

/// The newest block of the chain that `wanted` takes; the genesis block where there is none.
pub(super) fn ancestor(chain: &Chain, wanted: impl Fn(&Record) -> bool) -> Root {
    let mut root = chain.head();
    while let Some(record) = chain.block(&root) {
        if wanted(record) {
            return root;
        }
        root = record.parent;
    }
    chain.origin()
}
