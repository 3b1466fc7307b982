//! A toy beacon chain with Electra's shapes, strict about every signature and root it is given.
//!
//! It has one branch; a beacon node that lags is modelled by the head it is asked with. Committees and proposers
//! follow from a seed. Justification and finality follow the real rules in their plainest form: an epoch whose
//! target has two thirds of all validators in blocks is justified when the next epoch begins, and the one before is
//! final if it was justified too. What counts as done is what is in a block, never what a node says of itself.

use crate::curve::Curve;
use sha2::{Digest, Sha256};
use ssz::{BitVector, Encode as _};
use ssz_types::VariableList;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::attestation::{AttestationElectra, SingleAttestation};
use types::block::body::{BeaconBlock, BodyElectra};
use types::block::{BlockError, BlockShape, ProposedBlock};
use types::duty::{AttesterDuty, ProposerDuty};
use types::payload::ExecutionPayloadDeneb;
use types::sizes::Minimal;
use types::sync::SyncAggregate;
use types::{
    Address, AttestationData, BeaconVote, ChainSpec, Checkpoint, DomainType, Epoch, PublicKey, Root,
    Signature, SigningRoot, Slot, ValidatorIndex, ValidatorNo,
};

/// Attestations of a block: Electra's limit.
const ATTESTATIONS_MAX: usize = 8;

/// What a chain begins with.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// Network; its preset is minimal and its only fork Electra.
    pub spec: ChainSpec,
    /// Keys of all validators, by index.
    pub validators: Vec<PublicKey>,
    /// Of committees and proposers.
    pub seed: u64,
}

/// A block in the chain.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its slot.
    pub slot: Slot,
    /// Its parent.
    pub parent: Root,
    /// State after it.
    pub state_root: Root,
    /// Its proposer.
    pub proposer: ValidatorIndex,
}

/// Why something is not taken. Each names the broken rule.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Rejection {
    /// A block in the chain already.
    #[error("already known")]
    Known,
    /// Bytes that are no block.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A field that is not what the chain says.
    #[error("{field} is not what the chain says")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// A slot in the future, or too old.
    #[error("slot {0} is not due")]
    Slot(Slot),
    /// A signature that does not verify.
    #[error("the signature of {0} does not verify")]
    Signature(&'static str),
    /// The parent is not in the chain.
    #[error("unknown parent {0}")]
    Parent(Root),
    /// The parent is in the chain, but not its head any more.
    #[error("parent {0} is not the head")]
    Stale(Root),
}

/// The chain.
#[derive(Debug)]
pub struct Chain {
    genesis: Genesis,
    blocks: BTreeMap<Root, Record>,
    head: Root,
    origin: Root,
    /// Justified checkpoint in force in each epoch, fixed when the epoch is first asked about.
    sources: BTreeMap<Epoch, Checkpoint>,
    finalized: Checkpoint,
    /// Attestations waiting for a block.
    pool: BTreeMap<AttestationData, BTreeMap<ValidatorIndex, Signature>>,
    /// Attestations in blocks: slot, validator, and the target voted for.
    included: BTreeMap<(Slot, ValidatorIndex), AttestationData>,
    rejected: Vec<Rejection>,
}

impl Chain {
    /// A chain with nothing but its genesis block, which every node knows.
    pub fn new(genesis: Genesis) -> Self {
        let origin = Root(Sha256::digest(b"genesis block").into());
        let record = Record {
            slot: Slot(0),
            parent: Root::ZERO,
            state_root: Root(Sha256::digest(b"genesis state").into()),
            proposer: ValidatorIndex(0),
        };
        Self {
            genesis,
            blocks: BTreeMap::from([(origin, record)]),
            head: origin,
            origin,
            sources: BTreeMap::new(),
            finalized: Checkpoint::default(),
            pool: BTreeMap::new(),
            included: BTreeMap::new(),
            rejected: Vec::new(),
        }
    }

    /// The network.
    pub const fn spec(&self) -> &ChainSpec {
        &self.genesis.spec
    }

    /// Keys of all validators, by index.
    pub fn validators(&self) -> &[PublicKey] {
        &self.genesis.validators
    }

    /// The head's root.
    pub const fn head(&self) -> Root {
        self.head
    }

    /// A block of the chain.
    pub fn block(&self, root: &Root) -> Option<&Record> {
        self.blocks.get(root)
    }

    /// The finalized checkpoint.
    pub const fn finalized(&self) -> Checkpoint {
        self.finalized
    }

    /// Everything that was refused so far, in order.
    pub fn rejected(&self) -> &[Rejection] {
        &self.rejected
    }

    fn hash(&self, label: &str, number: u64) -> u64 {
        let mut hasher = Sha256::new();
        hasher.update(label);
        hasher.update(self.genesis.seed.to_le_bytes());
        hasher.update(number.to_le_bytes());
        let digest = hasher.finalize();
        u64::from_le_bytes(digest[..8].try_into().expect("8 of 32 bytes"))
    }

    /// Who proposes in a slot.
    pub fn proposer(&self, slot: Slot) -> ValidatorIndex {
        ValidatorIndex(self.hash("proposer", slot.0) % self.genesis.validators.len() as u64)
    }

    /// The one committee of a slot, in order.
    pub fn committee(&self, slot: Slot) -> Vec<ValidatorIndex> {
        let spec = self.spec();
        let epoch = spec.epoch_of(slot);
        let count = self.genesis.validators.len() as u64;
        let mut order: Vec<u64> = (0..count).collect();
        order.sort_by_key(|index| (self.hash("committee", epoch.0 ^ (index << 32)), *index));
        let place = slot.0 % spec.slots_per_epoch;
        let of_slot = |position: u64| position % spec.slots_per_epoch == place;
        order
            .iter()
            .zip(0..)
            .filter(|(_, at)| of_slot(*at))
            .map(|(index, _)| ValidatorIndex(*index))
            .collect()
    }

    /// Attestations of an epoch.
    pub fn attesters(&self, epoch: Epoch) -> Vec<AttesterDuty> {
        let first = self.spec().epoch_start(epoch).0;
        let slots = (first..first + self.spec().slots_per_epoch).map(Slot);
        slots.flat_map(|slot| self.committee_duties(slot)).collect()
    }

    fn committee_duties(&self, slot: Slot) -> Vec<AttesterDuty> {
        let committee = self.committee(slot);
        let length = committee.len() as u64;
        let duty = |(validator_index, place): (ValidatorIndex, u64)| AttesterDuty {
            pubkey: self.genesis.validators[validator_index.0 as usize],
            validator_index,
            committee_index: 0,
            committee_length: length,
            committees_at_slot: 1,
            validator_committee_index: place,
            slot,
        };
        committee.into_iter().zip(0..).map(duty).collect()
    }

    /// Blocks of an epoch. The genesis slot has its block.
    pub fn proposers(&self, epoch: Epoch) -> Vec<ProposerDuty> {
        let first = self.spec().epoch_start(epoch).0;
        let slots = (first..first + self.spec().slots_per_epoch).filter(|slot| *slot > 0).map(Slot);
        let duty = |slot| {
            let validator_index = self.proposer(slot);
            let pubkey = self.genesis.validators[validator_index.0 as usize];
            ProposerDuty { pubkey, validator_index, slot }
        };
        slots.map(duty).collect()
    }

    /// The newest block of the branch below `head` whose slot is at most `slot`.
    fn ancestor(&self, head: Root, slot: Slot) -> Root {
        let mut root = head;
        while self.blocks[&root].slot > slot {
            root = self.blocks[&root].parent;
        }
        root
    }

    /// What a beacon node that knows the branch up to `head` answers when asked what to attest.
    pub fn vote(&mut self, slot: Slot, head: Root) -> BeaconVote {
        let epoch = self.spec().epoch_of(slot);
        let head = self.ancestor(head, slot);
        let boundary = self.ancestor(head, self.spec().epoch_start(epoch));
        let source = self.source(epoch);
        let target = Checkpoint { epoch, root: boundary };
        BeaconVote { slot, index: 0, beacon_block_root: head, source, target }
    }

    /// The justified checkpoint in force in an epoch; fixes it, and finality, at the first question.
    pub fn source(&mut self, epoch: Epoch) -> Checkpoint {
        if let Some(source) = self.sources.get(&epoch) {
            return *source;
        }
        let before =
            epoch.0.checked_sub(1).map_or(Checkpoint::default(), |before| self.source(Epoch(before)));
        let source = self.justify(epoch).unwrap_or(before);
        if source != before && before.epoch.next() == source.epoch {
            self.finalized = before;
        }
        self.sources.insert(epoch, source);
        source
    }

    /// The epoch before `epoch`, if two thirds of the validators voted for its target in blocks.
    fn justify(&self, epoch: Epoch) -> Option<Checkpoint> {
        let before = Epoch(epoch.0.checked_sub(1)?);
        let root = self.ancestor(self.head, self.spec().epoch_start(before));
        let target = Checkpoint { epoch: before, root };
        let votes: BTreeSet<_> =
            self.included.iter().filter(|(_, data)| data.target == target).map(|((_, who), _)| who).collect();
        (before.0 > 0 && votes.len() * 3 >= self.genesis.validators.len() * 2).then_some(target)
    }

    /// A block on `head` for a slot, with all attestations that wait.
    pub fn produce(
        &self,
        curve: &impl Curve,
        slot: Slot,
        head: Root,
        randao: Signature,
        graffiti: Root,
        fee_recipient: Address,
    ) -> ProposedBlock {
        let waiting = self.pool.iter().filter(|(data, _)| data.slot < slot);
        let packed: Vec<_> = waiting.filter_map(|(data, votes)| self.pack(curve, data, votes)).collect();
        let newest = packed.len().saturating_sub(ATTESTATIONS_MAX);
        let sync_committee_signature = Signature::INFINITY;
        let execution_payload = ExecutionPayloadDeneb {
            fee_recipient,
            timestamp: self.spec().slot_start(slot).0 / 1000,
            ..Default::default()
        };
        let body = BodyElectra::<Minimal> {
            randao_reveal: randao,
            graffiti,
            attestations: VariableList::new(packed[newest..].to_vec()).expect("within Electra's limit"),
            sync_aggregate: SyncAggregate { sync_committee_signature, ..Default::default() },
            execution_payload,
            ..Default::default()
        };
        let state_root = self.state_root(head, slot);
        let block =
            BeaconBlock { slot, proposer_index: self.proposer(slot), parent_root: head, state_root, body };
        self.shape().decode(&block.as_ssz_bytes()).expect("just encoded")
    }

    fn shape(&self) -> BlockShape {
        let fork = self.spec().fork_at(Epoch(0)).fork;
        BlockShape::full(self.spec().preset, fork)
    }

    fn state_root(&self, parent: Root, slot: Slot) -> Root {
        let mut hasher = Sha256::new();
        hasher.update(self.blocks[&parent].state_root.0);
        hasher.update(slot.0.to_le_bytes());
        Root(hasher.finalize().into())
    }

    fn pack(
        &self,
        curve: &impl Curve,
        data: &AttestationData,
        votes: &BTreeMap<ValidatorIndex, Signature>,
    ) -> Option<AttestationElectra<Minimal>> {
        let committee = self.committee(data.slot);
        let fresh = |who: &ValidatorIndex| !self.included.contains_key(&(data.slot, *who));
        let votes: BTreeMap<_, _> = votes.iter().filter(|(who, _)| fresh(who)).collect();
        let signatures: Vec<_> = votes.values().map(|signature| **signature).collect();
        let signature = curve.aggregate(&signatures)?;
        let mut aggregation_bits = ssz_types::BitList::with_capacity(committee.len()).ok()?;
        for (position, who) in committee.iter().enumerate() {
            aggregation_bits.set(position, votes.contains_key(who)).ok()?;
        }
        let mut committee_bits = BitVector::new();
        committee_bits.set(0, true).ok()?;
        Some(AttestationElectra { aggregation_bits, data: *data, signature, committee_bits })
    }

    /// Takes an attestation into the pool.
    ///
    /// - `now`: the chain's slot; attestations of later slots are refused.
    pub fn attest(
        &mut self,
        curve: &impl Curve,
        now: Slot,
        attestation: &SingleAttestation,
    ) -> Result<(), Rejection> {
        let result = self.check_attestation(curve, now, attestation);
        match &result {
            Ok(()) => {
                let votes = self.pool.entry(attestation.data).or_default();
                votes.insert(attestation.attester_index, attestation.signature);
            }
            Err(rejection) => self.rejected.push(rejection.clone()),
        }
        result
    }

    fn check_attestation(
        &mut self,
        curve: &impl Curve,
        now: Slot,
        attestation: &SingleAttestation,
    ) -> Result<(), Rejection> {
        let data = &attestation.data;
        field("committee", attestation.committee_index == 0 && data.index == 0)?;
        self.check_data(now, data)?;
        let member = self.committee(data.slot).contains(&attestation.attester_index);
        field("attester", member)?;
        let key = self.genesis.validators[attestation.attester_index.0 as usize];
        let valid = curve.verify(&key, &self.attestation_root(data), &attestation.signature);
        if valid { Ok(()) } else { Err(Rejection::Signature("an attester")) }
    }

    fn check_data(&mut self, now: Slot, data: &AttestationData) -> Result<(), Rejection> {
        let epoch = self.spec().epoch_of(data.slot);
        if data.slot > now || data.slot.0 + self.spec().slots_per_epoch < now.0 {
            return Err(Rejection::Slot(data.slot));
        }
        let head = self.blocks.get(&data.beacon_block_root);
        field("head", head.is_some_and(|head| head.slot <= data.slot))?;
        field("source", data.source == self.source(epoch))?;
        let boundary = self.ancestor(data.beacon_block_root, self.spec().epoch_start(epoch));
        field("target", data.target == Checkpoint { epoch, root: boundary })
    }

    fn attestation_root(&self, data: &AttestationData) -> SigningRoot {
        SigningRoot::of(self.spec(), DomainType::BeaconAttester, data.target.epoch, Root::of(data))
    }

    /// Takes a block onto the chain.
    pub fn propose(
        &mut self,
        curve: &impl Curve,
        now: Slot,
        block: &ProposedBlock,
        signature: &Signature,
    ) -> Result<(), Rejection> {
        let result = self.check_block(curve, now, block, signature);
        match &result {
            Ok(votes) => self.import(block, votes),
            Err(Rejection::Known) => {}
            Err(rejection) => self.rejected.push(rejection.clone()),
        }
        result.map(|_| ())
    }

    fn check_block(
        &mut self,
        curve: &impl Curve,
        now: Slot,
        block: &ProposedBlock,
        signature: &Signature,
    ) -> Result<Vec<(ValidatorIndex, AttestationData)>, Rejection> {
        if self.blocks.contains_key(&block.root) {
            return Err(Rejection::Known);
        }
        if block.slot > now {
            return Err(Rejection::Slot(block.slot));
        }
        field("proposer", block.proposer_index == self.proposer(block.slot))?;
        let Some(parent) = self.blocks.get(&block.parent_root) else {
            return Err(Rejection::Parent(block.parent_root));
        };
        field("slot", parent.slot < block.slot)?;
        if block.parent_root != self.head {
            return Err(Rejection::Stale(block.parent_root));
        }
        field("state root", block.state_root == self.state_root(block.parent_root, block.slot))?;
        let key = self.genesis.validators[block.proposer_index.0 as usize];
        let epoch = self.spec().epoch_of(block.slot);
        let root = SigningRoot::of(self.spec(), DomainType::BeaconProposer, epoch, block.root);
        if !curve.verify(&key, &root, signature) {
            return Err(Rejection::Signature("the proposer"));
        }
        if !curve.verify(&key, &SigningRoot::randao(self.spec(), epoch), &block.randao_reveal) {
            return Err(Rejection::Signature("the RANDAO reveal"));
        }
        self.check_packed(curve, block)
    }

    fn check_packed(
        &mut self,
        curve: &impl Curve,
        block: &ProposedBlock,
    ) -> Result<Vec<(ValidatorIndex, AttestationData)>, Rejection> {
        let decoded = <BeaconBlock<BodyElectra<Minimal>> as ssz::Decode>::from_ssz_bytes(&block.ssz.0)
            .map_err(|_| Rejection::Field { field: "body" })?;
        let mut votes = Vec::new();
        for packed in decoded.body.attestations.iter() {
            field("attestation slot", packed.data.slot < block.slot)?;
            self.check_data(block.slot, &packed.data)?;
            let committee = self.committee(packed.data.slot);
            field("aggregation bits", packed.aggregation_bits.len() == committee.len())?;
            let bits = packed.aggregation_bits.iter();
            let voters: Vec<_> =
                committee.iter().zip(bits).filter(|(_, bit)| *bit).map(|(who, _)| *who).collect();
            let keys: Vec<_> = voters.iter().map(|who| self.genesis.validators[who.0 as usize]).collect();
            if !curve.verify_aggregate(&keys, &self.attestation_root(&packed.data), &packed.signature) {
                return Err(Rejection::Signature("an aggregate"));
            }
            votes.extend(voters.into_iter().map(|who| (who, packed.data)));
        }
        Ok(votes)
    }

    fn import(&mut self, block: &ProposedBlock, votes: &[(ValidatorIndex, AttestationData)]) {
        // Justification of this epoch counts what was included before it began.
        self.source(self.spec().epoch_of(block.slot));
        let record = Record {
            slot: block.slot,
            parent: block.parent_root,
            state_root: block.state_root,
            proposer: block.proposer_index,
        };
        self.blocks.insert(block.root, record);
        self.head = block.root;
        for (who, data) in votes {
            self.included.entry((data.slot, *who)).or_insert(*data);
        }
        let oldest = Slot(block.slot.0.saturating_sub(self.spec().slots_per_epoch));
        self.pool.retain(|data, _| data.slot >= oldest);
    }

    /// Whether a validator's attestation of a slot is in a block, and names the chain's own head for that slot.
    pub fn attested(&self, slot: Slot, who: ValidatorIndex) -> Option<&AttestationData> {
        self.included.get(&(slot, who))
    }

    /// Which of the first validators have an attestation of an epoch in a block.
    pub fn live(&self, epoch: Epoch, validators: u32) -> BTreeSet<ValidatorNo> {
        let first = self.spec().epoch_start(epoch).0;
        let slots = first..first + self.spec().slots_per_epoch;
        let live = |number: &u32| {
            let who = ValidatorIndex(u64::from(*number));
            slots.clone().any(|slot| self.attested(Slot(slot), who).is_some())
        };
        (0..validators).filter(live).map(ValidatorNo).collect()
    }

    /// Whether a slot has its block.
    pub fn has_block(&self, slot: Slot) -> bool {
        slot > Slot(0) && self.blocks[&self.ancestor(self.head, slot)].slot == slot
    }

    /// The genesis block's root.
    pub const fn origin(&self) -> Root {
        self.origin
    }
}

fn field(field: &'static str, holds: bool) -> Result<(), Rejection> {
    if holds { Ok(()) } else { Err(Rejection::Field { field }) }
}
