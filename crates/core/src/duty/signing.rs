//! Guard, journal, sign, send, collect: the order that every signature passes through.
//!
//! ```text
//! decide(candidates) -> Output::Journal -> journaled() -> [open] -> halves() -> Output::Sign -> signed()
//!      -> Output::Send(PARTIAL) -> partials() of everybody -> Output::Combine -> combined() -> signatures
//! ```
//!
//! The client may be asked for its half as soon as the guard has promised: alone it is nothing, and the disk works
//! meanwhile. A half that comes before the rows are durable waits for them, since only they give a permit; no permit is
//! used twice.

use super::{Desk, Purpose, SignRequest};
use crate::collect::{Collect, Doubt};
use crate::journal::{Candidate, Permit};
use crate::mutants::Mutant;
use crate::{Combined, Fault, Output, Refusal, SignJob, Ticket, To};
use std::collections::{BTreeMap, BTreeSet};
use types::selection::SUBCOMMITTEES;
use types::wire::{Instance, Item, Message, PartialSignature, Partials, Signed, Statement, Step};
use types::{Millis, Root, ShareIndex, Signature, SigningRoot};

/// For what part of a slot others are waited for before a partial of an operator that was caught lately is tried: a second of
/// twelve. Longer than partials take across the world, and a block that is late by this is still seen in time by most.
const PATIENCE_PARTS: u64 = 12;

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing agreed yet.
    Waiting,
    /// Rows are on their way to the disk.
    Journaling,
    /// Halves are welcome.
    Open,
    /// Nothing is signed: the journal could not be written, the node was stopped meanwhile, or the journal was found too old.
    Closed,
}

/// What an operator has sent of partials.
#[derive(Debug)]
struct Sender {
    signed: Signed,
    partials: BTreeMap<Item, Signature>,
}

/// The signatures of one instance.
#[derive(Debug)]
pub(crate) struct Signing {
    instance: Instance,
    stage: Stage,
    /// Why nothing is signed, in [`Stage::Closed`].
    closed: Option<Refusal>,
    hash: Option<Root>,
    permits: BTreeMap<Item, Permit>,
    refused: BTreeMap<Item, Refusal>,
    /// Items whose half is being completed.
    busy: BTreeSet<Item>,
    /// The half that each item was completed with, or is being: there is one right half for a root, so any other is wrong.
    given: BTreeMap<Item, Signature>,
    /// Halves that came while rows were on their way to the disk: position in the client's request, item, half.
    early: Vec<(SignRequest, Vec<(usize, Item, Signature)>)>,
    own: BTreeMap<Item, Signature>,
    senders: BTreeMap<ShareIndex, Sender>,
    collect: Collect,
}

impl Signing {
    /// For the items due in an instance.
    pub(crate) fn new(instance: Instance, threshold: usize, due: impl IntoIterator<Item = Item>) -> Self {
        Self {
            instance,
            stage: Stage::Waiting,
            closed: None,
            hash: None,
            permits: BTreeMap::new(),
            refused: BTreeMap::new(),
            busy: BTreeSet::new(),
            given: BTreeMap::new(),
            early: Vec::new(),
            own: BTreeMap::new(),
            senders: BTreeMap::new(),
            collect: Collect::new(threshold, due),
        }
    }

    /// What was agreed is promised: guard, then journal. Called once.
    pub(crate) fn decide(&mut self, desk: &mut Desk<'_>, hash: Root, candidates: &[Candidate]) {
        self.adopt(hash, candidates.iter().map(|candidate| (candidate.validator.into(), candidate.root)));
        let ticket = desk.tickets.issue(self.instance, Purpose::Journal);
        let promised = desk.journal.promise(ticket, candidates);
        let refused = promised.refused.into_iter();
        self.refused.extend(refused.map(|(validator, refusal)| (Item::of(validator), refusal)));
        self.stage = Stage::Journaling;
        desk.wish(Output::Journal { ticket, rows: promised.rows });
        self.combine(desk);
    }

    /// What nobody can be slashed for needs no journal.
    pub(crate) fn decide_harmless(
        &mut self,
        desk: &mut Desk<'_>,
        hash: Root,
        permits: impl IntoIterator<Item = (Item, Permit)>,
    ) {
        let permits: BTreeMap<Item, Permit> = permits.into_iter().collect();
        self.adopt(hash, permits.iter().map(|(item, permit)| (*item, permit.root())));
        self.permits.extend(permits);
        self.stage = Stage::Open;
        self.combine(desk);
    }

    /// One more item is due, whose root is not known yet.
    pub(crate) fn expect(&mut self, item: Item) {
        self.collect.expect(item);
    }

    /// One more harmless item of what was decided: its root was not known before.
    pub(crate) fn admit(&mut self, desk: &mut Desk<'_>, item: Item, permit: Permit) {
        self.collect.expect(item);
        self.collect.set_root(item, permit.root());
        self.permits.insert(item, permit);
        for (from, sender) in &self.senders {
            let partial =
                sender.partials.get(&item).filter(|_| self.hash == Some(sender.signed.statement.hash));
            if let Some(&signature) = partial {
                self.collect.add(*from, &[PartialSignature { item, signature }]);
            }
        }
        self.combine(desk);
    }

    /// Tells collect what the partials for `hash` are over; those of other hashes no longer count.
    pub(crate) fn adopt(&mut self, hash: Root, roots: impl IntoIterator<Item = (Item, SigningRoot)>) {
        if self.hash == Some(hash) {
            return;
        }
        self.hash = Some(hash);
        for (item, root) in roots {
            self.collect.set_root(item, root);
        }
        for (from, sender) in &self.senders {
            if sender.signed.statement.hash == hash {
                self.collect.add(*from, &listed(&sender.partials));
            }
        }
    }

    /// The disk has answered.
    pub(crate) fn journaled(&mut self, desk: &mut Desk<'_>, ticket: Ticket, durable: bool) {
        let permits = desk.journal.settle(ticket, durable);
        self.permits.extend(permits.into_iter().map(|permit| (Item::of(permit.validator()), permit)));
        self.closed = if durable { self.stopped(desk) } else { Some(Refusal::JournalFailed) };
        self.stage = if self.closed.is_none() { Stage::Open } else { Stage::Closed };
        for (request, halves) in std::mem::take(&mut self.early) {
            self.halves(desk, request, halves);
        }
    }

    /// Whether the client may be asked for its halves: agreed and guarded, and durable now or on its way.
    pub(crate) fn is_promised(&self) -> bool {
        matches!(self.stage, Stage::Journaling | Stage::Open)
    }

    /// Whether halves wait for the disk.
    pub(crate) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// Refuses halves that wait for the disk.
    pub(crate) fn refuse_early(&mut self, desk: &mut Desk<'_>, refusal: &Refusal) {
        for (mut request, halves) in std::mem::take(&mut self.early) {
            request.refused.extend(halves.into_iter().map(|(position, ..)| (position, refusal.clone())));
            desk.answer(request);
        }
    }

    /// Why nothing is signed, if that is so since the journal has answered.
    pub(crate) fn closed(&self) -> Option<Refusal> {
        self.closed.clone()
    }

    /// What forbids a signature, if the journal refused it.
    pub(crate) fn refusal(&self, item: Item) -> Option<Refusal> {
        self.refused.get(&item).cloned()
    }

    /// What forbids every signature due, if the journal refused them all.
    pub(crate) fn all_refused(&self) -> Option<Refusal> {
        let all = self.refused.len() == self.collect.due();
        self.refused.values().next().filter(|_| all).cloned()
    }

    /// What stops this node from signing anything here.
    fn stopped(&self, desk: &Desk<'_>) -> Option<Refusal> {
        desk.journal.forbids(self.instance)
    }

    /// Halves are not welcome any more, and never will be again.
    pub(crate) fn close(&mut self, refusal: Refusal) {
        if self.stage == Stage::Open {
            self.stage = Stage::Closed;
            self.closed = Some(refusal);
        }
    }

    /// Takes halves that match what was agreed. `refused` and positions are of the client's request.
    pub(crate) fn halves(
        &mut self,
        desk: &mut Desk<'_>,
        mut request: SignRequest,
        halves: Vec<(usize, Item, Signature)>,
    ) {
        if self.stage == Stage::Journaling {
            return self.early.push((request, halves));
        }
        let stopped = self.stopped(desk);
        let mut items = Vec::new();
        let mut jobs = Vec::new();
        for (position, item, half) in halves {
            match stopped.clone().map_or_else(|| self.take_permit(item, half), Err) {
                Ok(Some(permit)) => {
                    self.busy.insert(item);
                    self.given.insert(item, half);
                    items.push(item);
                    request.positions.push(position);
                    jobs.push(SignJob { permit, half });
                }
                Ok(None) => {}
                Err(refusal) => request.refused.push((position, refusal)),
            }
        }
        if jobs.is_empty() {
            return desk.answer(request);
        }
        let ticket = desk.tickets.issue(self.instance, Purpose::Sign { items, request });
        desk.wish(Output::Sign { ticket, jobs });
    }

    /// A permit; `None` if this item was signed already and its half comes again.
    fn take_permit(&mut self, item: Item, half: Signature) -> Result<Option<Permit>, Refusal> {
        if let Some(refusal) = self.closed() {
            return Err(refusal);
        }
        if let Some(refusal) = self.refusal(item) {
            return Err(refusal);
        }
        if let Some(permit) = self.permits.remove(&item) {
            return Ok(Some(permit));
        }
        if self.own.contains_key(&item) || self.busy.contains(&item) {
            let same = self.given.get(&item).is_none_or(|given| *given == half);
            return if same { Ok(None) } else { Err(Refusal::BadHalf(item.validator)) };
        }
        Err(Refusal::NothingAgreed(self.instance.slot))
    }

    /// Halves came back completed, or with their permits. Sends what is new to everybody.
    pub(crate) fn signed(
        &mut self,
        desk: &mut Desk<'_>,
        items: &[Item],
        mut request: SignRequest,
        results: Vec<Result<Signature, Permit>>,
    ) {
        let mut fresh = Vec::new();
        let stopped = self.stopped(desk);
        let positions = std::mem::take(&mut request.positions);
        for ((&item, position), result) in items.iter().zip(positions).zip(results) {
            self.busy.remove(&item);
            match (result, &stopped) {
                // Signed while the node was being stopped: nobody sees it.
                (_, Some(refusal)) => {
                    self.refused.insert(item, refusal.clone());
                    request.refused.push((position, refusal.clone()));
                }
                (Ok(signature), None) => {
                    self.own.insert(item, signature);
                    fresh.push(PartialSignature { item, signature });
                }
                (Err(permit), None) => {
                    self.permits.insert(item, permit);
                    request.refused.push((position, Refusal::BadHalf(item.validator)));
                }
            }
        }
        if !fresh.is_empty() {
            fresh.sort_by_key(|partial| partial.item);
            let message = self.partial_message(desk, fresh);
            desk.wish(Output::Send { to: To::All, message });
        }
        desk.answer(request);
    }

    /// All own partials so far, for an operator who asks again.
    pub(crate) fn resend(&self, desk: &mut Desk<'_>, to: ShareIndex) {
        if !self.own.is_empty() && self.stopped(desk).is_none() {
            let message = self.partial_message(desk, listed(&self.own));
            desk.wish(Output::Send { to: To::One(to), message });
        }
    }

    fn partial_message(&self, desk: &Desk<'_>, partials: Vec<PartialSignature>) -> Message {
        let hash = self.hash.expect("own partials exist only for an agreed hash");
        let extra = Partials::extra(&partials);
        let statement = Statement { instance: self.instance, step: Step::Partial, round: 0, hash, extra };
        Message::Partial(Partials { signed: statement.unsigned(desk.setup.me), partials })
    }

    /// Takes an operator's partials, this one's included. One hash per operator; two are evidence.
    pub(crate) fn partials(&mut self, desk: &mut Desk<'_>, from: ShareIndex, message: Partials) {
        let Partials { signed, partials } = message;
        let again = desk.setup.rules.break_with(Mutant::RepeatIsEvidence) && self.senders.contains_key(&from);
        let sender = self.senders.entry(from).or_insert(Sender { signed, partials: BTreeMap::new() });
        if sender.signed.statement.hash != signed.statement.hash || again {
            let first = sender.signed;
            return desk.wish(Output::Evidence { author: from, first, second: signed });
        }
        for partial in &partials {
            if is_ours(desk, partial.item) {
                sender.partials.entry(partial.item).or_insert(partial.signature);
            }
        }
        if self.hash == Some(signed.statement.hash) {
            if desk.setup.rules.break_with(Mutant::LateIsBad) {
                let late = partials.iter().filter(|partial| self.signature(partial.item).is_some());
                late.for_each(|partial| self.blame(desk, from, partial.item));
            }
            self.collect.add(from, &partials);
            self.combine(desk);
        }
    }

    /// A hash for which at least `t` operators have sent partials, while nothing is agreed here.
    pub(crate) fn vouched(&self, threshold: usize) -> Option<Root> {
        if self.hash.is_some() {
            return None;
        }
        let mut count: BTreeMap<Root, usize> = BTreeMap::new();
        for sender in self.senders.values() {
            *count.entry(sender.signed.statement.hash).or_default() += 1;
        }
        count.into_iter().find(|(_, senders)| *senders >= threshold).map(|(hash, _)| hash)
    }

    /// Asks for every signature that can be combined now.
    pub(crate) fn combine(&mut self, desk: &mut Desk<'_>) {
        let Some(hash) = self.hash else { return };
        let jobs = self.collect.ready(desk.now, &self.doubt(desk));
        if jobs.is_empty() {
            return;
        }
        let (items, jobs) = jobs.into_iter().unzip();
        let ticket = desk.tickets.issue(self.instance, Purpose::Combine { items, hash });
        desk.wish(Output::Combine { ticket, jobs });
    }

    /// Who was caught lately, and who is waited for instead.
    fn doubt(&self, desk: &Desk<'_>) -> Doubt {
        let patience = Millis(desk.setup.spec.slot_ms / PATIENCE_PARTS);
        desk.view.quarantine.doubt(desk.slot_now(), desk.view.heard(self.instance.slot), patience)
    }

    /// When to combine again, though nothing has come.
    pub(crate) const fn wake_at(&self) -> Option<Millis> {
        self.collect.wake_at()
    }

    /// Takes combined signatures; names who sent bad partials. Returns the items that are new.
    pub(crate) fn combined(
        &mut self,
        desk: &mut Desk<'_>,
        items: &[Item],
        results: &[Combined],
    ) -> Vec<(Item, Signature)> {
        let mut fresh = Vec::new();
        for (&item, result) in items.iter().zip(results) {
            self.collect.combined(item, result);
            result.culprits.iter().for_each(|peer| self.blame(desk, *peer, item));
            fresh.extend(result.signature.map(|signature| (item, signature)));
        }
        self.combine(desk);
        fresh
    }

    /// Reports a bad partial signature, and leaves its author out for a while.
    fn blame(&self, desk: &mut Desk<'_>, peer: ShareIndex, item: Item) {
        desk.view.quarantine.caught(peer, desk.slot_now());
        let fault = Fault::BadPartial(item.validator);
        desk.wish(Output::Fault { peer, instance: self.instance, fault });
    }

    /// A validator's signature, once there is one.
    pub(crate) fn signature(&self, item: Item) -> Option<Signature> {
        self.collect.signature(item)
    }

    /// Whether an item is due here.
    pub(crate) fn is_due(&self, item: Item) -> bool {
        self.collect.is_due(item)
    }

    /// How many signatures due the guard refused.
    pub(crate) fn refused(&self) -> usize {
        self.refused.len()
    }

    /// For how many of the signatures due an operator has sent its partials.
    pub(crate) fn sent_by(&self, operator: ShareIndex) -> usize {
        let sent = self.senders.get(&operator).into_iter().flat_map(|sender| sender.partials.keys());
        sent.filter(|item| self.collect.is_due(**item)).count()
    }

    /// Items that have their signature, and items due.
    pub(crate) fn progress(&self) -> (usize, usize) {
        (self.collect.done(), self.collect.due())
    }
}

fn listed(partials: &BTreeMap<Item, Signature>) -> Vec<PartialSignature> {
    partials.iter().map(|(&item, &signature)| PartialSignature { item, signature }).collect()
}

/// Whether an item is of one of the cluster's validators, and of a part that exists.
pub(super) fn is_ours(desk: &Desk<'_>, item: Item) -> bool {
    (item.validator.0 as usize) < desk.setup.validators.len() && u64::from(item.part) < SUBCOMMITTEES
}
