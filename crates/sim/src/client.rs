//! A validator client in the jar: it asks for what its duties need and signs what it gets with its halves.
//!
//! It keeps no slashing database, so that the judges see what the node alone prevents. When it asks for selection proofs
//! is a habit, as it is with real clients; once asked it does not ask again, unless the connection broke.

use crate::curve::Symbolic;
use crate::roster::{Candidate, Roster};
use std::collections::{BTreeMap, BTreeSet};
use symbolon_core::{Answer, Ask, HalfAggregate, HalfAttestation, HalfSelection, HalfSyncMessage, RequestId};
use types::aggregate::{Aggregate, SignedAggregate};
use types::operations::VoluntaryExit;
use types::selection::{is_aggregator, is_sync_aggregator};
use types::wire::{Item, Kind};
use types::{
    ChainSpec, DomainType, Epoch, Root, ShareIndex, Signature, SigningRoot, Slot, ValidatorIndex, ValidatorNo,
};

/// When a client asks for the selection proofs of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selecting {
    /// When the slot begins.
    #[default]
    InSlot,
    /// When the slot before begins.
    SlotAhead,
    /// When the epoch before begins, for all slots of the epoch.
    EpochAhead,
    /// Never: it is not in distributed mode, and takes its own half's proof for the validator's.
    Never,
}

/// What a request was for.
#[derive(Clone, Debug)]
enum Pending {
    Vote { slot: Slot },
    Block { slot: Slot, validator: ValidatorNo },
    Head { slot: Slot },
    Selections { kind: Kind, slot: Slot, items: Vec<Item> },
    Aggregate(Question),
}

/// A question for an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// [`Kind::Aggregate`] or [`Kind::Contribute`].
    pub kind: Kind,
    /// Of which slot.
    pub slot: Slot,
    /// Committee or subcommittee.
    pub place: u64,
    /// What it is about.
    pub subject: Root,
}

/// One operator's validator client.
#[derive(Debug)]
pub struct Client {
    operator: ShareIndex,
    selecting: Selecting,
    next: u64,
    pending: BTreeMap<RequestId, Pending>,
    /// Slots for whose selection proofs it has asked.
    selected: BTreeSet<(Slot, Kind)>,
    proofs: BTreeMap<(Slot, Kind), BTreeMap<Item, Signature>>,
    /// What it attested, and the head it voted for as a sync committee member: what its aggregates are about.
    subjects: BTreeMap<(Slot, Kind), Root>,
    /// Slots whose aggregates are due.
    due: BTreeSet<Slot>,
    /// Slots for whose aggregates it has asked.
    gathered: BTreeSet<(Slot, Kind)>,
}

/// The kinds of aggregates, each with that of the proofs that say who aggregates.
const AGGREGATES: [(Kind, Kind); 2] =
    [(Kind::Aggregate, Kind::Selection), (Kind::Contribute, Kind::SyncSelection)];

impl Client {
    /// Holds the halves of one operator.
    pub fn new(operator: ShareIndex, selecting: Selecting) -> Self {
        Self {
            operator,
            selecting,
            next: 0,
            pending: BTreeMap::new(),
            selected: BTreeSet::new(),
            proofs: BTreeMap::new(),
            subjects: BTreeMap::new(),
            due: BTreeSet::new(),
            gathered: BTreeSet::new(),
        }
    }

    /// When it asks for selection proofs.
    pub const fn selecting(&self) -> Selecting {
        self.selecting
    }

    fn request(&mut self, pending: Option<Pending>) -> RequestId {
        self.next += 1;
        let request = RequestId(self.next);
        self.pending.extend(pending.map(|pending| (request, pending)));
        request
    }

    fn sign(&self, validator: ValidatorNo, root: &SigningRoot) -> Signature {
        Symbolic.sign(&Symbolic.half_key(validator, self.operator), root)
    }

    /// Asks what to attest.
    pub fn attest(&mut self, slot: Slot) -> (RequestId, Ask) {
        (self.request(Some(Pending::Vote { slot })), Ask::Vote { slot })
    }

    /// Asks which head to vote for in the sync committee.
    pub fn vote_for_head(&mut self, slot: Slot) -> (RequestId, Ask) {
        (self.request(Some(Pending::Head { slot })), Ask::HeadRoot { slot })
    }

    /// Votes in the sync committee for the head that its event stream told.
    pub fn vote_at_once(&mut self, roster: &Roster<'_>, slot: Slot, head: Root) -> (RequestId, Ask) {
        let halves = self.head_halves(roster, slot, head);
        (self.request(None), Ask::SyncMessages { slot, halves })
    }

    fn head_halves(&mut self, roster: &Roster<'_>, slot: Slot, head: Root) -> Vec<HalfSyncMessage> {
        self.subjects.insert((slot, Kind::Contribute), head);
        let root = SigningRoot::sync_message(roster.chain.spec(), slot, head);
        let half = |(validator, _)| HalfSyncMessage {
            validator,
            beacon_block_root: head,
            half: self.sign(validator, &root),
        };
        roster.members(slot).into_iter().map(half).collect()
    }

    /// Asks for a block to sign.
    pub fn propose(&mut self, spec: &ChainSpec, slot: Slot, validator: ValidatorNo) -> (RequestId, Ask) {
        let randao_half = self.sign(validator, &SigningRoot::randao(spec, spec.epoch_of(slot)));
        (self.request(Some(Pending::Block { slot, validator })), Ask::Block { slot, randao_half })
    }

    /// Wants a validator to leave.
    pub fn exit(&mut self, spec: &ChainSpec, validator: ValidatorNo, epoch: Epoch) -> (RequestId, Ask) {
        let index = ValidatorIndex(u64::from(validator.0));
        let exit = VoluntaryExit { epoch, validator_index: index };
        let half = self.sign(validator, &SigningRoot::voluntary_exit(spec, &exit));
        (self.request(None), Ask::Exit { validator, index, epoch, half })
    }

    /// A slot begins: asks for the selection proofs that are due by the client's habit, and were not asked for.
    pub fn select(&mut self, roster: &Roster<'_>, slot: Slot) -> Vec<(RequestId, Ask)> {
        let spec = roster.chain.spec();
        let last = match self.selecting {
            Selecting::InSlot => slot,
            Selecting::SlotAhead => slot.next(),
            Selecting::EpochAhead => Slot(spec.epoch_start(Epoch(spec.epoch_of(slot).0 + 2)).0 - 1),
            Selecting::Never => return Vec::new(),
        };
        let slots = (slot.0..=last.0).map(Slot);
        slots
            .flat_map(|slot| AGGREGATES.map(|(_, kind)| (slot, kind)))
            .filter_map(|(slot, kind)| self.select_one(roster, slot, kind))
            .collect()
    }

    fn select_one(&mut self, roster: &Roster<'_>, slot: Slot, kind: Kind) -> Option<(RequestId, Ask)> {
        let items: Vec<_> =
            roster.candidates(slot, kind).into_iter().map(|candidate| candidate.item).collect();
        if items.is_empty() || !self.selected.insert((slot, kind)) {
            return None;
        }
        let spec = roster.chain.spec();
        let half = |item: &Item| HalfSelection {
            item: *item,
            half: self.sign(item.validator, &proof_root(spec, slot, kind, *item)),
        };
        let halves = items.iter().map(half).collect();
        let request = self.request(Some(Pending::Selections { kind, slot, items }));
        Some((request, Ask::Selections { kind, slot, halves }))
    }

    /// The duties of an epoch have changed: selection proofs are asked for again.
    pub fn duties_changed(&mut self, spec: &ChainSpec, epoch: Epoch) {
        self.selected.retain(|(slot, _)| spec.epoch_of(*slot) != epoch);
    }

    /// The connection to the node broke: what was asked for will be asked for again where it still matters.
    pub fn disconnected(&mut self) {
        for pending in std::mem::take(&mut self.pending).into_values() {
            if let Pending::Selections { kind, slot, .. } = pending {
                self.selected.remove(&(slot, kind));
            }
        }
    }

    /// The slot's aggregates are due: asks for those of its aggregators.
    pub fn aggregate(&mut self, roster: &Roster<'_>, slot: Slot) -> Vec<(RequestId, Ask)> {
        self.forget(Slot(slot.0.saturating_sub(2 * roster.chain.spec().slots_per_epoch)));
        self.due.insert(slot);
        AGGREGATES.iter().flat_map(|(kind, _)| self.aggregate_kind(roster, slot, *kind)).collect()
    }

    fn forget(&mut self, before: Slot) {
        self.due = self.due.split_off(&before);
        self.selected = self.selected.split_off(&(before, Kind::Attest));
        self.gathered = self.gathered.split_off(&(before, Kind::Attest));
        self.proofs = self.proofs.split_off(&(before, Kind::Attest));
        self.subjects = self.subjects.split_off(&(before, Kind::Attest));
    }

    fn aggregate_kind(&mut self, roster: &Roster<'_>, slot: Slot, kind: Kind) -> Vec<(RequestId, Ask)> {
        let Some(&subject) = self.subjects.get(&(slot, kind)) else { return Vec::new() };
        let places: BTreeSet<u64> =
            self.aggregators(roster, slot, kind).into_iter().map(|(candidate, _)| candidate.place).collect();
        if places.is_empty() || !self.gathered.insert((slot, kind)) {
            return Vec::new();
        }
        let ask = |place| {
            let question = Question { kind, slot, place, subject };
            (self.request(Some(Pending::Aggregate(question))), Ask::Aggregate { kind, slot, place, subject })
        };
        places.into_iter().map(ask).collect()
    }

    /// Those who aggregate as far as this client knows, with their proofs.
    fn aggregators(&self, roster: &Roster<'_>, slot: Slot, kind: Kind) -> Vec<(Candidate, Signature)> {
        let spec = roster.chain.spec();
        let selection = if kind == Kind::Contribute { Kind::SyncSelection } else { Kind::Selection };
        let proof = |candidate: &Candidate| match self.selecting {
            Selecting::Never => {
                let root = proof_root(spec, slot, selection, candidate.item);
                Some(self.sign(candidate.item.validator, &root))
            }
            Selecting::InSlot | Selecting::SlotAhead | Selecting::EpochAhead => {
                self.proofs.get(&(slot, selection))?.get(&candidate.item).copied()
            }
        };
        let wins = |candidate: &Candidate, proof: &Signature| match kind {
            Kind::Contribute => is_sync_aggregator(spec.preset, proof),
            _ => is_aggregator(candidate.members, proof),
        };
        let candidates = roster.candidates(slot, selection).into_iter();
        let proven = candidates.filter_map(|candidate| Some((candidate, proof(&candidate)?)));
        proven.filter(|(candidate, proof)| wins(candidate, proof)).collect()
    }

    /// Whether a request was for an aggregate, and which.
    pub fn question(&self, request: RequestId) -> Option<Question> {
        match self.pending.get(&request)? {
            Pending::Aggregate(question) => Some(*question),
            Pending::Vote { .. }
            | Pending::Block { .. }
            | Pending::Head { .. }
            | Pending::Selections { .. } => None,
        }
    }

    /// Takes an answer; signs if it brings something to sign.
    pub fn answer(
        &mut self,
        roster: &Roster<'_>,
        request: RequestId,
        answer: &Answer,
    ) -> Vec<(RequestId, Ask)> {
        let spec = roster.chain.spec();
        let Some(pending) = self.pending.remove(&request) else { return Vec::new() };
        match (pending, answer) {
            (Pending::Vote { slot }, Answer::Vote(vote)) => {
                let data = vote.data(0);
                let object = Root::of(&data);
                self.subjects.insert((slot, Kind::Aggregate), object);
                let root = SigningRoot::of(spec, DomainType::BeaconAttester, vote.target.epoch, object);
                let half =
                    |(validator, _)| HalfAttestation { validator, data, half: self.sign(validator, &root) };
                let halves = roster.attesters(slot).into_iter().map(half).collect();
                vec![(self.request(None), Ask::Attestations { slot, halves })]
            }
            (Pending::Block { slot, validator }, Answer::Block(block)) => {
                let root = SigningRoot::of(spec, DomainType::BeaconProposer, spec.epoch_of(slot), block.root);
                let half = self.sign(validator, &root);
                vec![(self.request(None), Ask::SignedBlock { slot, root: block.root, half })]
            }
            (Pending::Head { slot }, Answer::HeadRoot(head)) => {
                let halves = self.head_halves(roster, slot, *head);
                vec![(self.request(None), Ask::SyncMessages { slot, halves })]
            }
            (Pending::Selections { kind, slot, items }, Answer::Selections(proofs)) => {
                let proofs =
                    proofs.iter().filter_map(|(position, proof)| Some((*items.get(*position)?, *proof)));
                self.proofs.entry((slot, kind)).or_default().extend(proofs);
                let of = if kind == Kind::SyncSelection { Kind::Contribute } else { Kind::Aggregate };
                if self.due.contains(&slot) { self.aggregate_kind(roster, slot, of) } else { Vec::new() }
            }
            (Pending::Aggregate(question), Answer::Aggregate(aggregate)) => {
                self.sign_aggregate(roster, question, aggregate).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn sign_aggregate(
        &mut self,
        roster: &Roster<'_>,
        Question { kind, slot, place, .. }: Question,
        aggregate: &Aggregate,
    ) -> Option<(RequestId, Ask)> {
        let spec = roster.chain.spec();
        let domain = if kind == Kind::Contribute {
            DomainType::ContributionAndProof
        } else {
            DomainType::AggregateAndProof
        };
        let here = self.aggregators(roster, slot, kind).into_iter().filter(|(one, _)| one.place == place);
        let half = |(Candidate { item, index, .. }, selection_proof)| {
            let object = aggregate.proof_root(index, selection_proof);
            let signature =
                self.sign(item.validator, &SigningRoot::of(spec, domain, spec.epoch_of(slot), object));
            let (aggregator_index, aggregate) = (index, aggregate.clone());
            let signed = SignedAggregate { aggregator_index, aggregate, selection_proof, signature };
            HalfAggregate { item, signed }
        };
        let halves: Vec<_> = here.map(half).collect();
        (!halves.is_empty()).then(|| (self.request(None), Ask::SignedAggregates { kind, slot, halves }))
    }
}

/// What a selection proof signs.
fn proof_root(spec: &ChainSpec, slot: Slot, kind: Kind, item: Item) -> SigningRoot {
    if kind == Kind::SyncSelection {
        SigningRoot::sync_selection_proof(spec, slot, u64::from(item.part))
    } else {
        SigningRoot::selection_proof(spec, slot)
    }
}

/// Its signatures are by another key than its own.
pub(crate) fn spoil(ask: &mut Ask) {
    each_half(ask, |half| half.0[40] ^= 1);
}

/// It signs for every other validator only.
pub(crate) fn halve(ask: &mut Ask) {
    let odd = |validator: ValidatorNo| validator.0 % 2 == 1;
    match ask {
        Ask::Attestations { halves, .. } => halves.retain(|half| odd(half.validator)),
        Ask::SyncMessages { halves, .. } => halves.retain(|half| odd(half.validator)),
        Ask::Selections { halves, .. } => halves.retain(|half| odd(half.item.validator)),
        Ask::SignedAggregates { halves, .. } => halves.retain(|half| odd(half.item.validator)),
        Ask::Vote { .. }
        | Ask::Block { .. }
        | Ask::SignedBlock { .. }
        | Ask::HeadRoot { .. }
        | Ask::Aggregate { .. }
        | Ask::Approvals
        | Ask::Register { .. }
        | Ask::Exit { .. } => {}
    }
}

fn each_half(ask: &mut Ask, mut change: impl FnMut(&mut Signature)) {
    match ask {
        Ask::Attestations { halves, .. } => halves.iter_mut().for_each(|half| change(&mut half.half)),
        Ask::SyncMessages { halves, .. } => halves.iter_mut().for_each(|half| change(&mut half.half)),
        Ask::Selections { halves, .. } => halves.iter_mut().for_each(|half| change(&mut half.half)),
        Ask::SignedAggregates { halves, .. } => {
            halves.iter_mut().for_each(|half| change(&mut half.signed.signature));
        }
        Ask::Register { halves, .. } => halves.iter_mut().for_each(change),
        Ask::Block { randao_half: half, .. } | Ask::SignedBlock { half, .. } | Ask::Exit { half, .. } => {
            change(half)
        }
        Ask::Vote { .. } | Ask::HeadRoot { .. } | Ask::Aggregate { .. } | Ask::Approvals => {}
    }
}
