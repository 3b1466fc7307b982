//! Aggregates of a slot's attestations, or contributions of its sync messages: one agreement for all aggregators.
//!
//! ```text
//! selection proofs say who aggregates -> (aggregates are due) the leader's FetchAggregates
//!      -> agree (propose, vote, decide) -> the client takes the agreed aggregate and signs it with the proof
//!      -> halves -> partials -> signatures -> Submit
//! ```
//!
//! Who aggregates is known once selection proofs have combined, here or from other operators' partials; before that, and
//! where nobody does, there is no agreement and nothing ticks. Nobody is slashed for an aggregate, so no journal. A
//! leader can offer fewer or worse aggregates than there are; that costs what the missing ones were worth, and no more.

use super::attest::attestation_data;
use super::deal::{Deal, Settled, Turn, agree_setup};
use super::fetch::Fetch;
use super::{Desk, Event, SignRequest};
use crate::account::Obstacle;
use crate::agree::{self, Verdict};
use crate::journal::{Harmless, Permit};
use crate::node::Setup;
use crate::outcome::Story;
use crate::{Answer, Ask, HalfAggregate, Input, Output, Refusal, RequestId, Submission};
use ssz::Encode as _;
use std::collections::{BTreeMap, BTreeSet};
use types::aggregate::{Aggregate, AggregateSet, AggregateShape, SignedAggregate};
use types::selection::{is_aggregator, is_sync_aggregator};
use types::wire::{Instance, Item, Kind, Message, Value, Verified};
use types::{BeaconVote, ChainSpec, Millis, Root, ShareIndex, Signature, ValidatorIndex};

/// Time for a led round's aggregates to come from a beacon node, which has them ready.
const FETCH_TIME: Millis = Millis(200);

/// Messages of one operator that are kept until somebody is known to aggregate: a few rounds'.
const EARLY_MAX: usize = 16;

/// Bytes of them: a proposal of a slot's 64 aggregates is some 100 kB on mainnet.
const EARLY_LEN_MAX: usize = 1 << 20;

/// One who may aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The validator's index on the chain.
    pub(crate) index: ValidatorIndex,
    /// Its committee or subcommittee.
    pub(crate) place: u64,
    /// How many members that has.
    pub(crate) length: u64,
}

/// A question of the client.
#[derive(Debug)]
struct Waiting {
    request: RequestId,
    place: u64,
    subject: Root,
}

/// The aggregates of one slot.
#[derive(Debug)]
pub(crate) struct Gather {
    instance: Instance,
    follow_only: bool,
    candidates: BTreeMap<Item, Candidate>,
    /// Those whose proofs have won, with the proofs.
    aggregators: BTreeMap<Item, Signature>,
    /// Only once somebody aggregates.
    deal: Option<Deal>,
    /// By operator, with their length in bytes.
    early: BTreeMap<ShareIndex, (usize, Vec<Verified>)>,
    fetch: Fetch,
    asked: BTreeMap<Root, Option<AggregateSet>>,
    agreed: Option<AggregateSet>,
    waiting: Vec<Waiting>,
    /// Told while there is no agreement yet.
    before: Story,
}

impl Gather {
    /// For those who may aggregate in a slot.
    pub(crate) fn new(
        setup: &Setup,
        instance: Instance,
        candidates: BTreeMap<Item, Candidate>,
        follow_only: bool,
    ) -> Self {
        let mut before = Story::new(setup, instance);
        before.blocked(Obstacle::NoVote);
        if follow_only {
            before.blocked(Obstacle::OnlyFollows);
        }
        Self {
            instance,
            follow_only,
            candidates,
            aggregators: BTreeMap::new(),
            deal: None,
            early: BTreeMap::new(),
            fetch: Fetch::Idle,
            asked: BTreeMap::new(),
            agreed: None,
            waiting: Vec::new(),
            before,
        }
    }

    /// The duty's story.
    pub(crate) fn story(&mut self) -> &mut Story {
        self.deal.as_mut().map_or(&mut self.before, |deal| &mut deal.story)
    }

    /// The kind of the selection proofs that say who aggregates here.
    const fn selection(&self) -> Kind {
        match self.instance.kind {
            Kind::Contribute => Kind::SyncSelection,
            _ => Kind::Selection,
        }
    }

    /// Takes one event.
    pub(crate) fn handle(&mut self, desk: &mut Desk<'_>, event: Event) {
        match event {
            Event::Tick => self.tick(desk),
            Event::Presence => {
                self.drive(desk, agree::Input::Heard(desk.view.heard(self.instance.slot)));
                if let Some(deal) = &mut self.deal {
                    deal.signing.combine(desk);
                }
            }
            Event::Reconnected(peer) => self.drive(desk, agree::Input::Reconnected(peer)),
            Event::Board => self.board(desk),
            Event::Stopped => self.stopped(desk),
            Event::Input(input) => self.input(desk, input),
            Event::Result(_, purpose, input) => {
                let Some(deal) = &mut self.deal else { return };
                if let Settled::Signatures { hash, fresh } = deal.result(desk, purpose, input) {
                    self.submit(desk, hash, &fresh);
                }
            }
        }
        if let Some(deal) = &mut self.deal {
            deal.story.progress(deal.signing.progress());
        }
    }

    /// When to tick.
    pub(crate) fn wake_at(&self, spec: &ChainSpec) -> Option<Millis> {
        let late = (!self.waiting.is_empty()).then(|| spec.slot_start(self.instance.slot.next()));
        let deal = self.deal.as_ref().and_then(|deal| deal.wake_at(spec));
        [deal, self.fetch.wake_at(), late].into_iter().flatten().min()
    }

    fn tick(&mut self, desk: &mut Desk<'_>) {
        if self.fetch.retry(desk.now) {
            self.fetch_own(desk);
        }
        if desk.now >= desk.setup.spec.slot_start(self.instance.slot.next()) {
            for Waiting { request, .. } in std::mem::take(&mut self.waiting) {
                desk.refuse(request, Refusal::TooLate(self.instance.slot));
            }
        }
        if let Some(deal) = &mut self.deal {
            deal.tick(desk);
        }
        self.drain(desk);
    }

    /// The node was stopped: whoever waits is told why, and an agreement that is still to begin begins without a voice.
    fn stopped(&mut self, desk: &mut Desk<'_>) {
        self.follow_only |= desk.journal.stops().is_silent();
        if let Some(reason) = desk.journal.stops().reason() {
            for Waiting { request, .. } in std::mem::take(&mut self.waiting) {
                desk.refuse(request, Refusal::Stopped(reason.clone()));
            }
        }
        if let Some(deal) = &mut self.deal {
            deal.stopped(desk);
        }
    }

    fn input(&mut self, desk: &mut Desk<'_>, input: Input) {
        match input {
            Input::Aggregates { aggregates, .. } => self.own(desk, aggregates),
            Input::Peer(verified) => self.message(desk, verified),
            Input::Ask { request, ask: Ask::Aggregate { place, subject, .. } } => {
                self.ask(desk, Waiting { request, place, subject });
            }
            Input::Ask { request, ask: Ask::SignedAggregates { halves, .. } } => {
                self.halves(desk, request, halves);
            }
            _ => {}
        }
    }

    fn message(&mut self, desk: &mut Desk<'_>, verified: Verified) {
        let Some(deal) = &mut self.deal else {
            return self.keep_early(verified);
        };
        if deal.message(desk, verified) {
            self.try_vouched(desk);
        }
        self.drain(desk);
    }

    /// Nobody has asked for a value yet, so none is kept.
    fn keep_early(&mut self, verified: Verified) {
        if matches!(
            verified.message(),
            Message::Fetch(_) | Message::FetchContents(_) | Message::Value(_) | Message::Contents(_)
        ) {
            return;
        }
        let (len, kept) = self.early.entry(verified.sender()).or_default();
        let with_it = *len + verified.message().ssz_bytes_len();
        if kept.len() < EARLY_MAX && with_it <= EARLY_LEN_MAX {
            *len = with_it;
            kept.push(verified);
        }
    }

    /// Selection proofs have combined, or the slot's vote is known: whoever aggregates is due from now on.
    fn board(&mut self, desk: &mut Desk<'_>) {
        let slot = self.instance.slot;
        let mut fresh = Vec::new();
        for (item, candidate) in &self.candidates {
            let Some(proof) = desk.board.proof(slot, self.selection(), *item) else { continue };
            if !self.aggregators.contains_key(item) && self.wins(desk, candidate, &proof) {
                fresh.push((*item, proof));
            }
        }
        for (item, proof) in &fresh {
            self.aggregators.insert(*item, *proof);
        }
        if !fresh.is_empty() {
            self.arm(desk);
            self.admit(desk, fresh.into_iter().map(|(item, _)| item).collect());
        }
        if desk.board.votes.contains_key(&slot) {
            self.story().cleared(Obstacle::NoVote);
        }
        for hash in self.asked.keys().copied().collect::<Vec<_>>() {
            self.judge(desk, hash);
        }
        self.fetch_own(desk);
        self.drain(desk);
    }

    fn wins(&self, desk: &Desk<'_>, candidate: &Candidate, proof: &Signature) -> bool {
        match self.instance.kind {
            Kind::Contribute => is_sync_aggregator(desk.setup.spec.preset, proof),
            _ => is_aggregator(candidate.length, proof),
        }
    }

    /// Begins the agreement, once somebody aggregates.
    fn arm(&mut self, desk: &mut Desk<'_>) {
        if self.deal.is_some() {
            return;
        }
        let start = desk.setup.spec.aggregate_due(self.instance.slot).max(desk.now);
        let mut setup = agree_setup(desk, self.instance, start, self.follow_only);
        setup.timers.block_time = FETCH_TIME;
        let mut deal = Deal::new(desk, setup, []);
        std::mem::swap(&mut deal.story, &mut self.before);
        self.deal = Some(deal);
        self.drive(desk, agree::Input::Heard(desk.view.heard(self.instance.slot)));
        for (_, (_, kept)) in std::mem::take(&mut self.early) {
            kept.into_iter().for_each(|verified| self.message(desk, verified));
        }
        self.drive(desk, agree::Input::Tick);
    }

    /// Makes items due, and signable once their aggregate is agreed on.
    fn admit(&mut self, desk: &mut Desk<'_>, items: Vec<Item>) {
        for item in items {
            let permit = self.permit(desk, item);
            let Some(deal) = &mut self.deal else { return };
            match permit {
                Some(permit) => deal.signing.admit(desk, item, permit),
                None => deal.signing.expect(item),
            }
        }
    }

    /// The right to sign the agreed aggregate for its aggregator.
    fn permit(&self, desk: &Desk<'_>, item: Item) -> Option<Permit> {
        let signed = self.unsigned(item, self.agreed.as_ref()?)?;
        let slot = self.instance.slot;
        let root = signed.aggregate.proof_root(signed.aggregator_index, signed.selection_proof);
        let what = match self.instance.kind {
            Kind::Contribute => Harmless::Contribution { slot, root },
            _ => Harmless::Aggregate { slot, root },
        };
        Some(Permit::harmless(&desk.setup.spec, item.validator, what))
    }

    /// What an aggregator signs of a set; `None` if it does not aggregate, or the set has nothing for it.
    fn unsigned(&self, item: Item, set: &AggregateSet) -> Option<SignedAggregate> {
        let candidate = self.candidates.get(&item)?;
        let selection_proof = *self.aggregators.get(&item)?;
        let aggregate = set.at(candidate.place)?.clone();
        let (aggregator_index, signature) = (candidate.index, Signature::ZERO);
        Some(SignedAggregate { aggregator_index, aggregate, selection_proof, signature })
    }

    fn shape(&self, desk: &Desk<'_>) -> AggregateShape {
        let spec = &desk.setup.spec;
        let preset = spec.preset;
        match self.instance.kind {
            Kind::Contribute => AggregateShape::Contribution { preset },
            _ => {
                let fork = spec.fork_at(spec.epoch_of(self.instance.slot)).fork;
                AggregateShape::Attestation { preset, fork }
            }
        }
    }

    /// What an aggregate of a place has to be about, once the slot's vote is agreed on.
    fn subject(&self, desk: &Desk<'_>, place: u64) -> Option<Root> {
        let vote: &BeaconVote = desk.board.votes.get(&self.instance.slot)?;
        Some(match self.instance.kind {
            Kind::Contribute => vote.beacon_block_root,
            _ => Root::of(&attestation_data(&desk.setup.spec, vote, place)),
        })
    }

    /// Asks the own beacon nodes, if this node leads and knows what to ask for.
    fn fetch_own(&mut self, desk: &mut Desk<'_>) {
        if self.fetch != Fetch::Needed {
            return;
        }
        let places: BTreeSet<u64> =
            self.aggregators.keys().filter_map(|item| Some(self.candidates.get(item)?.place)).collect();
        let wanted: Vec<_> =
            places.into_iter().filter_map(|place| Some((place, self.subject(desk, place)?))).collect();
        if wanted.is_empty() {
            return;
        }
        self.fetch = Fetch::Asked;
        self.story().wanted_at(desk.now);
        let Instance { kind, slot, .. } = self.instance;
        desk.wish(Output::FetchAggregates { kind, slot, wanted });
    }

    /// When nobody needs an aggregate of this slot any more.
    fn over(&self, desk: &Desk<'_>) -> Millis {
        desk.setup.spec.slot_start(self.instance.slot.next())
    }

    fn own(&mut self, desk: &mut Desk<'_>, aggregates: Vec<Aggregate>) {
        let shape = self.shape(desk);
        let ours = aggregates.into_iter().filter(|one| one.shape == shape && self.is_ours(desk, one));
        let set = AggregateSet::of(ours).ok().filter(|set| !set.aggregates().is_empty());
        let Some(set) = set else { return self.fetch.failed(desk.now, self.over(desk)) };
        self.fetch = Fetch::Done;
        let value = set.to_value();
        let hash = AggregateSet::hash(&value);
        self.story().own_at(desk.now);
        self.asked.insert(hash, Some(set));
        self.drive(desk, agree::Input::Own { hash, value });
    }

    /// Whether an aggregate is of this slot, of a place where one of ours may aggregate, and not known to be about
    /// something else than was agreed on.
    fn is_ours(&self, desk: &Desk<'_>, one: &Aggregate) -> bool {
        let subject = self.subject(desk, one.place);
        one.slot == self.instance.slot
            && self.candidates.values().any(|candidate| candidate.place == one.place)
            && subject.is_none_or(|subject| subject == one.subject)
    }

    fn drive(&mut self, desk: &mut Desk<'_>, input: agree::Input) {
        if let Some(deal) = &mut self.deal {
            deal.tell(desk.now, input);
            self.drain(desk);
        }
    }

    fn drain(&mut self, desk: &mut Desk<'_>) {
        while let Some(turn) = self.deal.as_mut().and_then(|deal| deal.turn(desk)) {
            match turn {
                Turn::Check { hash, value } => self.check(desk, hash, &value),
                // No verdict here says that anything belongs to a value without being in it.
                Turn::FetchContents { .. } => {}
                Turn::NeedOwn => {
                    if matches!(self.fetch, Fetch::Idle | Fetch::Done) {
                        self.fetch = Fetch::Needed;
                    }
                    self.fetch_own(desk);
                }
                Turn::Decided { hash, .. } => self.decided(desk, hash),
            }
        }
    }

    fn check(&mut self, desk: &Desk<'_>, hash: Root, value: &Value) {
        let right = AggregateSet::hash(value) == hash;
        let set = AggregateSet::from_value(self.shape(desk), &value.0).ok();
        if !right {
            if let Some(deal) = &mut self.deal {
                deal.tell(desk.now, agree::Input::Checked { hash, verdict: Verdict::WrongBytes });
            }
            return;
        }
        self.asked.insert(hash, set);
        self.judge(desk, hash);
    }

    fn judge(&mut self, desk: &Desk<'_>, hash: Root) {
        let Some(set) = self.asked.get(&hash) else { return };
        let verdict = match set {
            Some(set) if set.aggregates().is_empty() => Verdict::Refused,
            Some(set) if !set.aggregates().iter().all(|one| self.is_ours(desk, one)) => Verdict::Refused,
            // Without the slot's vote nobody here can say what it should be about.
            Some(_) if !desk.board.votes.contains_key(&self.instance.slot) => Verdict::OnlyHard,
            Some(_) => Verdict::Good,
            None => Verdict::Refused,
        };
        if verdict == Verdict::Refused {
            self.story().blocked(Obstacle::ValueRefused);
        }
        if let Some(deal) = &mut self.deal {
            deal.tell(desk.now, agree::Input::Checked { hash, verdict });
        }
    }

    fn decided(&mut self, desk: &mut Desk<'_>, hash: Root) {
        let Some(Some(set)) = self.asked.get(&hash) else { return };
        self.agreed = Some(set.clone());
        let items: Vec<_> = self.aggregators.keys().copied().collect();
        if let Some(deal) = &mut self.deal {
            deal.signing.decide_harmless(desk, hash, []);
        }
        self.admit(desk, items);
        self.serve(desk);
    }

    fn ask(&mut self, desk: &mut Desk<'_>, waiting: Waiting) {
        let asked = desk.board.asked.contains(&(self.instance.slot, self.selection()));
        self.story().distributed(asked);
        if !asked && self.deal.is_none() {
            return desk.refuse(waiting.request, Refusal::NotDistributed);
        }
        // A client in distributed mode that asked before this process started has the proofs, and its half will show it.
        self.story().asked_at(desk.now);
        self.waiting.push(waiting);
        self.serve(desk);
    }

    /// Answers the client's questions for aggregates: only what is agreed.
    fn serve(&mut self, desk: &mut Desk<'_>) {
        let Some(set) = &self.agreed else { return };
        let slot = self.instance.slot;
        for Waiting { request, place, subject } in std::mem::take(&mut self.waiting) {
            let answer = match set.at(place) {
                Some(one) if one.subject == subject => Answer::Aggregate(one.clone()),
                Some(one) => Answer::Refused(Refusal::NotAgreed { signed: subject, agreed: one.subject }),
                None => Answer::Refused(Refusal::NoAggregate { slot, place }),
            };
            desk.wish(Output::Reply { request, answer });
        }
    }

    fn halves(&mut self, desk: &mut Desk<'_>, request: RequestId, halves: Vec<HalfAggregate>) {
        let mut request = SignRequest::of(request);
        let mut matching: BTreeMap<Item, (usize, Signature)> = BTreeMap::new();
        for (position, HalfAggregate { item, signed }) in halves.into_iter().enumerate() {
            let half = signed.signature;
            if let Err(refusal) = self.match_half(desk, item, signed) {
                self.story().half_refused(&refusal);
                request.refused.push((position, refusal));
            } else if matching.insert(item, (position, half)).is_some() {
                request.refused.push((position, Refusal::NotDue(item.validator)));
            }
        }
        if !matching.is_empty() {
            self.story().distributed(true);
            self.story().half_at(desk.now);
        }
        let halves: Vec<_> =
            matching.into_iter().map(|(item, (position, half))| (position, item, half)).collect();
        match &mut self.deal {
            Some(deal) => deal.signing.halves(desk, request, halves),
            None => desk.answer(request),
        }
    }

    fn match_half(&self, desk: &Desk<'_>, item: Item, half: SignedAggregate) -> Result<(), Refusal> {
        let slot = self.instance.slot;
        if !self.candidates.contains_key(&item) {
            return Err(Refusal::NotDue(item.validator));
        }
        let proof = desk.board.proof(slot, self.selection(), item);
        if proof != Some(half.selection_proof) {
            let asked = desk.board.asked.contains(&(slot, self.selection()));
            return Err(if asked { Refusal::WrongProof(item.validator) } else { Refusal::NotDistributed });
        }
        if !self.aggregators.contains_key(&item) {
            return Err(Refusal::NotDue(item.validator));
        }
        let Some(set) = &self.agreed else { return Err(Refusal::NothingAgreed(slot)) };
        let place = half.aggregate.place;
        let Some(agreed) = self.unsigned(item, set) else {
            return Err(Refusal::NoAggregate { slot, place });
        };
        let root =
            |one: &SignedAggregate| one.aggregate.proof_root(one.aggregator_index, one.selection_proof);
        let (signed, agreed) = (root(&half), root(&agreed));
        if signed == agreed { Ok(()) } else { Err(Refusal::NotAgreed { signed, agreed }) }
    }

    /// Rule 6: `t` partials that combine and verify decide, even if nothing else has.
    fn try_vouched(&mut self, desk: &mut Desk<'_>) {
        let Some(deal) = &mut self.deal else { return };
        let Some(hash) = deal.signing.vouched(desk.setup.size.threshold()) else { return };
        let Some(Some(set)) = self.asked.get(&hash) else { return };
        if !set.aggregates().iter().all(|one| self.is_ours(desk, one)) {
            return;
        }
        self.agreed = Some(set.clone());
        let items: Vec<_> = self.aggregators.keys().copied().collect();
        if let Some(deal) = &mut self.deal {
            deal.signing.decide_harmless(desk, hash, []);
        }
        self.admit(desk, items);
    }

    fn submit(&mut self, desk: &mut Desk<'_>, hash: Root, fresh: &[(Item, Signature)]) {
        let Some(Some(set)) = self.asked.get(&hash) else { return };
        let signed = fresh.iter().filter_map(|(item, signature)| {
            Some(SignedAggregate { signature: *signature, ..self.unsigned(*item, set)? })
        });
        let submission = Submission::Aggregates(signed.collect());
        if let Some(deal) = &mut self.deal {
            deal.submit(desk, hash, submission);
        }
        self.drain(desk);
    }
}
