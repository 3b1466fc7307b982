//! Selection proofs of one slot: they say who aggregates, and go into what the aggregators sign.
//!
//! ```text
//! the client asks with its halves -> partials -> the validators' proofs -> the client's answer, and the board
//! ```
//!
//! Everybody can compute what is signed, so nothing is agreed. Clients ask at different times: in the slot itself, one
//! slot before, or for a whole epoch ahead; so partials of operators whose own clients have not asked yet are kept and
//! combined, and a question is answered item by item: when all its items have combined, or at its deadline with those
//! that have. The proofs are there when the `t`-th client has asked: where fewer than `t` ask an epoch ahead, those who
//! do are answered without, and where that leaves fewer than `t` with the proofs, the slot has no aggregates.

use super::signing::{Signing, is_ours};
use super::{Desk, Event, Purpose, SignRequest};
use crate::journal::{Harmless, Permit};
use crate::outcome::Story;
use crate::{Answer, Ask, HalfSelection, Input, Output, Refusal, RequestId};
use std::collections::BTreeMap;
use types::duty::AttesterDuty;
use types::selection::is_aggregator;
use types::wire::{Instance, Item, Kind, Message};
use types::{Millis, Root, Signature, Slot};

/// Slots that are shortly before a slot: the one before, as clients that ask a slot ahead count, with any clock.
const SHORTLY: u64 = 2;

/// A question of the client.
#[derive(Debug)]
struct Waiting {
    request: RequestId,
    /// Positions in the request of items that have not combined.
    missing: BTreeMap<Item, usize>,
    proofs: Vec<(usize, Signature)>,
    refused: Vec<(usize, Refusal)>,
    deadline: Millis,
}

/// The selection proofs of one slot, of attesters or of sync committee members.
#[derive(Debug)]
pub(crate) struct Select {
    slot: Slot,
    kind: Kind,
    /// The attesters, for [`Kind::Selection`].
    attesters: BTreeMap<Item, AttesterDuty>,
    /// Whether more may be due than is known: then the client is believed, for nobody can be hurt by a proof.
    open: bool,
    signing: Signing,
    waiting: Vec<Waiting>,
    pub(crate) story: Story,
}

impl Select {
    /// Begins the exchange for a slot; what is due in it comes with [`Select::extend`].
    pub(crate) fn new(desk: &mut Desk<'_>, instance: Instance) -> Self {
        let mut signing = Signing::new(instance, desk.setup.size.threshold(), []);
        signing.decide_harmless(desk, Root::ZERO, []);
        let Instance { slot, kind, .. } = instance;
        let mut story = Story::new(desk.setup, instance);
        story.met(desk.now, &desk.view.present);
        Self { slot, kind, attesters: BTreeMap::new(), open: false, signing, waiting: Vec::new(), story }
    }

    /// What a new shuffling brings. Items that it takes away stay: nobody is asked for them.
    ///
    /// - `attesters`: their duties, for [`Kind::Selection`].
    /// - `open`: whether more may be due than is known.
    pub(crate) fn extend(
        &mut self,
        desk: &mut Desk<'_>,
        due: &[Item],
        attesters: BTreeMap<Item, AttesterDuty>,
        open: bool,
    ) {
        for item in due.iter().filter(|item| !self.signing.is_due(**item)).copied().collect::<Vec<_>>() {
            self.admit(desk, item);
        }
        self.attesters = attesters;
        self.open = open;
    }

    fn admit(&mut self, desk: &mut Desk<'_>, item: Item) {
        let slot = self.slot;
        let what = match self.kind {
            Kind::SyncSelection => Harmless::SyncSelection { slot, subcommittee_index: u64::from(item.part) },
            _ => Harmless::Selection(slot),
        };
        let permit = Permit::harmless(&desk.setup.spec, item.validator, what);
        self.signing.admit(desk, item, permit);
    }

    /// Takes one event. `true` if the board has news.
    pub(crate) fn handle(&mut self, desk: &mut Desk<'_>, event: Event) -> bool {
        let news = self.event(desk, event);
        self.story.progress(self.signing.progress());
        news
    }

    fn event(&mut self, desk: &mut Desk<'_>, event: Event) -> bool {
        match event {
            Event::Tick => {
                self.answer_late(desk);
                self.signing.combine(desk);
            }
            Event::Presence => self.signing.combine(desk),
            Event::Reconnected(peer) => self.signing.resend(desk, peer),
            Event::Input(Input::Peer(verified)) => {
                if let Message::Partial(partials) = verified.message() {
                    let from = verified.sender();
                    self.signing.partials(desk, from, partials.clone());
                    self.story.partials(desk.now, from, self.signing.sent_by(from));
                }
            }
            Event::Input(Input::Ask { request, ask: Ask::Selections { halves, .. } }) => {
                self.ask(desk, request, halves);
            }
            Event::Result(_, purpose, input) => return self.result(desk, purpose, input),
            Event::Stopped => self.stopped(desk),
            Event::Board | Event::Input(_) => {}
        }
        false
    }

    /// When to tick.
    pub(crate) fn wake_at(&self) -> Option<Millis> {
        self.waiting.iter().map(|waiting| waiting.deadline).chain(self.signing.wake_at()).min()
    }

    fn ask(&mut self, desk: &mut Desk<'_>, request: RequestId, halves: Vec<HalfSelection>) {
        desk.board.asked.insert((self.slot, self.kind));
        let deadline = self.deadline(desk);
        let mut waiting =
            Waiting { request, missing: BTreeMap::new(), proofs: Vec::new(), refused: Vec::new(), deadline };
        let mut fresh = Vec::new();
        for (position, HalfSelection { item, half }) in halves.into_iter().enumerate() {
            if self.open && is_ours(desk, item) && !self.signing.is_due(item) {
                self.admit(desk, item);
            }
            if !self.signing.is_due(item) || waiting.missing.contains_key(&item) {
                waiting.refused.push((position, Refusal::NotDue(item.validator)));
            } else if let Some(proof) = self.signing.signature(item) {
                // Combined already; this operator's partial may still help one whose others are late.
                waiting.proofs.push((position, proof));
                fresh.push((position, item, half));
            } else {
                waiting.missing.insert(item, position);
                fresh.push((position, item, half));
            }
        }
        self.story.asked_at(desk.now);
        if !fresh.is_empty() {
            self.story.half_at(desk.now);
        }
        self.waiting.push(waiting);
        self.signing.halves(desk, SignRequest::default(), fresh);
        self.answer_complete(desk);
    }

    /// When a question is answered with what there is.
    ///
    /// Who asks in the slot or shortly before it waits until its aggregates are due, because others ask only when the
    /// slot begins. Who asks for a slot further ahead waits a slot: many clients put a whole epoch into one question, and
    /// need the answer before the first of its slots.
    fn deadline(&self, desk: &Desk<'_>) -> Millis {
        let spec = &desk.setup.spec;
        let due = spec.aggregate_due(self.slot);
        let soon = desk.now.after(Millis(spec.slot_ms.saturating_mul(SHORTLY)));
        if due > desk.now && soon > spec.slot_start(self.slot) {
            return due;
        }
        desk.now.after(Millis(spec.slot_ms))
    }

    fn result(&mut self, desk: &mut Desk<'_>, purpose: Purpose, input: Input) -> bool {
        match (purpose, input) {
            (Purpose::Sign { items, request }, Input::Signed { results, .. }) => {
                let bad: Vec<_> = items
                    .iter()
                    .zip(&results)
                    .filter(|(_, result)| result.is_err())
                    .map(|(item, _)| *item)
                    .collect();
                self.story.completed(&results);
                self.signing.signed(desk, &items, request, results);
                self.refuse(desk, &bad);
                false
            }
            (Purpose::Combine { items, .. }, Input::Combined { results, .. }) => {
                self.story.combined(&items, &results);
                let fresh = self.signing.combined(desk, &items, &results);
                self.combined(desk, &fresh);
                !fresh.is_empty()
            }
            _ => false,
        }
    }

    fn combined(&mut self, desk: &mut Desk<'_>, fresh: &[(Item, Signature)]) {
        for (item, proof) in fresh {
            desk.board.proofs.entry((self.slot, self.kind)).or_default().insert(*item, *proof);
            if let Some(duty) = self.attesters.get(item)
                && is_aggregator(duty.committee_length, proof)
            {
                desk.wish(Output::Subscribe { duty: duty.clone() });
            }
            for waiting in &mut self.waiting {
                if let Some(position) = waiting.missing.remove(item) {
                    waiting.proofs.push((position, *proof));
                }
            }
        }
        if !fresh.is_empty() {
            self.story.signed_at(desk.now);
        }
        self.answer_complete(desk);
    }

    fn refuse(&mut self, desk: &mut Desk<'_>, bad: &[Item]) {
        for item in bad {
            for waiting in &mut self.waiting {
                if let Some(position) = waiting.missing.remove(item) {
                    waiting.refused.push((position, Refusal::BadHalf(item.validator)));
                }
            }
        }
        self.answer_complete(desk);
    }

    /// The node was stopped: whoever waits is told why.
    fn stopped(&mut self, desk: &mut Desk<'_>) {
        let Some(reason) = desk.journal.stops().reason() else { return };
        for waiting in self.waiting.drain(..) {
            desk.refuse(waiting.request, Refusal::Stopped(reason.clone()));
        }
    }

    fn answer_complete(&mut self, desk: &mut Desk<'_>) {
        self.answer_where(desk, |waiting| waiting.missing.is_empty());
    }

    fn answer_late(&mut self, desk: &mut Desk<'_>) {
        let now = desk.now;
        self.answer_where(desk, |waiting| now >= waiting.deadline);
    }

    fn answer_where(&mut self, desk: &mut Desk<'_>, ready: impl Fn(&Waiting) -> bool) {
        let slot = self.slot;
        self.waiting.retain_mut(|waiting| {
            if !ready(waiting) {
                return true;
            }
            let mut proofs = std::mem::take(&mut waiting.proofs);
            let mut refused = std::mem::take(&mut waiting.refused);
            proofs.sort_by_key(|(position, _)| *position);
            refused.sort_by_key(|(position, _)| *position);
            // One refused item costs the others nothing: clients aggregate with the proofs there are.
            let answer = if !proofs.is_empty() {
                Answer::Selections(proofs)
            } else if !refused.is_empty() {
                Answer::PartlyRefused(refused)
            } else if !waiting.missing.is_empty() {
                Answer::Refused(Refusal::TooFewSelections(slot))
            } else {
                Answer::Selections(proofs)
            };
            desk.wish(Output::Reply { request: waiting.request, answer });
            false
        });
    }
}
