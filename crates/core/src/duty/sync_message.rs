//! Votes of sync committee members: for the head in the slot's agreed vote, so they need no agreement of their own.
//!
//! Lives inside the slot's [`super::attest::Attest`]. Nobody is slashed for such a vote, so no journal.
//!
//! Some clients do not ask which head is voted for: they sign the head of the event stream as soon as it comes, which is
//! before the cluster can have agreed on it. Their votes wait for the agreement, and are refused only if it is on another
//! head, or comes too late.

use super::deal::Settled;
use super::signing::Signing;
use super::{Desk, Purpose, SignRequest};
use crate::account::Obstacle;
use crate::journal::{Harmless, Permit};
use crate::outcome::Story;
use crate::{Answer, HalfSyncMessage, Input, Output, Refusal, RequestId, Submission};
use std::collections::BTreeMap;
use types::duty::SyncDuty;
use types::sync::SyncCommitteeMessage;
use types::wire::{Instance, Item, Partials};
use types::{Root, ShareIndex, Signature, ValidatorIndex, ValidatorNo};

/// Lists of votes that wait for the agreement: a client's own and what it repeats when its time-out ends, twice over.
const EARLY_MAX: usize = 8;

/// The sync committee votes of one slot.
#[derive(Debug)]
pub(crate) struct SyncMessages {
    members: BTreeMap<ValidatorNo, ValidatorIndex>,
    pub(crate) signing: Signing,
    /// The head that the cluster votes for, and the hash of the vote that names it.
    agreed: Option<Root>,
    waiting: Vec<RequestId>,
    /// Votes that came before the agreement.
    early: Vec<(RequestId, Vec<HalfSyncMessage>)>,
    pub(crate) story: Story,
}

impl SyncMessages {
    /// For the members of a slot. `instance`: of kind `SyncMessage`.
    pub(crate) fn new(desk: &Desk<'_>, instance: Instance, due: &[(ValidatorNo, SyncDuty)]) -> Self {
        let threshold = desk.setup.size.threshold();
        let mut story = Story::new(desk.setup, instance);
        story.blocked(Obstacle::NoVote);
        let members: BTreeMap<_, _> =
            due.iter().map(|(validator, duty)| (*validator, duty.validator_index)).collect();
        let items: Vec<_> = members.keys().map(|validator| Item::of(*validator)).collect();
        Self {
            members,
            signing: Signing::new(instance, threshold, items),
            agreed: None,
            waiting: Vec::new(),
            early: Vec::new(),
            story,
        }
    }

    /// Whether nobody of ours is in the committee.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The slot's vote is agreed on. `hash`: the vote's.
    pub(crate) fn decided(&mut self, desk: &mut Desk<'_>, hash: Root, beacon_block_root: Root) {
        self.agreed = Some(beacon_block_root);
        self.story.cleared(Obstacle::NoVote);
        self.story.decided(desk.now, None);
        let slot = self.story.instance().slot;
        let what = Harmless::SyncMessage { slot, beacon_block_root };
        let spec = &desk.setup.spec;
        let permit =
            |validator: &ValidatorNo| (Item::of(*validator), Permit::harmless(spec, *validator, what));
        let permits: Vec<_> = self.members.keys().map(permit).collect();
        self.signing.decide_harmless(desk, hash, permits);
        self.serve(desk);
        for (request, halves) in std::mem::take(&mut self.early) {
            self.halves(desk, request, halves);
        }
    }

    /// The client asks which head is voted for.
    pub(crate) fn wait(&mut self, desk: &mut Desk<'_>, request: RequestId) {
        self.story.asked_at(desk.now);
        self.waiting.push(request);
        self.serve(desk);
    }

    fn serve(&mut self, desk: &mut Desk<'_>) {
        if let Some(root) = self.agreed {
            self.answer(desk, &Answer::HeadRoot(root));
        }
    }

    /// Answers everybody who waits for the head.
    fn answer(&mut self, desk: &mut Desk<'_>, answer: &Answer) {
        for request in self.waiting.drain(..) {
            desk.wish(Output::Reply { request, answer: answer.clone() });
        }
    }

    /// Sends everybody away who waits for the agreement.
    fn refuse(&mut self, desk: &mut Desk<'_>, refusal: &Refusal) {
        self.answer(desk, &Answer::Refused(refusal.clone()));
        for (request, _) in std::mem::take(&mut self.early) {
            desk.refuse(request, refusal.clone());
        }
    }

    /// The slot is over without an agreement.
    pub(crate) fn too_late(&mut self, desk: &mut Desk<'_>) {
        self.refuse(desk, &Refusal::TooLate(self.story.instance().slot));
    }

    /// The node was stopped: whoever waits is told why.
    pub(crate) fn stopped(&mut self, desk: &mut Desk<'_>) {
        if let Some(reason) = desk.journal.stops().reason() {
            self.refuse(desk, &Refusal::Stopped(reason));
        }
    }

    /// Whether the client waits for an answer.
    pub(crate) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty() || !self.early.is_empty()
    }

    /// The client's halves. Before the agreement they wait for it.
    pub(crate) fn halves(&mut self, desk: &mut Desk<'_>, request: RequestId, halves: Vec<HalfSyncMessage>) {
        let over = desk.now >= desk.setup.spec.slot_start(self.story.instance().slot.next());
        let stopped = desk.journal.stops().reason().is_some();
        if self.agreed.is_none() && !over && !stopped && self.early.len() < EARLY_MAX {
            self.story.asked_at(desk.now);
            return self.early.push((request, halves));
        }
        let mut request = SignRequest::of(request);
        let mut matching: BTreeMap<Item, (usize, Signature)> = BTreeMap::new();
        for (position, half) in halves.into_iter().enumerate() {
            let place = Item::of(half.validator);
            if let Err(refusal) = self.check(&half) {
                self.story.half_refused(&refusal);
                request.refused.push((position, refusal));
            } else if matching.insert(place, (position, half.half)).is_some() {
                request.refused.push((position, Refusal::NotDue(half.validator)));
            }
        }
        if !matching.is_empty() {
            self.story.half_at(desk.now);
        }
        let halves = matching.into_iter().map(|(item, (position, half))| (position, item, half));
        self.signing.halves(desk, request, halves.collect());
    }

    fn check(&self, half: &HalfSyncMessage) -> Result<(), Refusal> {
        if !self.members.contains_key(&half.validator) {
            return Err(Refusal::NotDue(half.validator));
        }
        let slot = self.story.instance().slot;
        let Some(agreed) = self.agreed else { return Err(Refusal::NothingAgreed(slot)) };
        let signed = half.beacon_block_root;
        if signed == agreed { Ok(()) } else { Err(Refusal::NotAgreed { signed, agreed }) }
    }

    /// An operator's partials.
    pub(crate) fn partials(&mut self, desk: &mut Desk<'_>, from: ShareIndex, partials: Partials) {
        self.signing.partials(desk, from, partials);
        self.story.partials(desk.now, from, self.signing.sent_by(from));
    }

    /// Takes the result of a wish.
    pub(crate) fn result(&mut self, desk: &mut Desk<'_>, purpose: Purpose, input: Input) {
        let settled = match (purpose, input) {
            (Purpose::Sign { items, request }, Input::Signed { results, .. }) => {
                self.story.completed(&results);
                self.signing.signed(desk, &items, request, results);
                Settled::Nothing
            }
            (Purpose::Combine { items, hash }, Input::Combined { results, .. }) => {
                self.story.combined(&items, &results);
                Settled::Signatures { hash, fresh: self.signing.combined(desk, &items, &results) }
            }
            (Purpose::Submit, Input::Submitted { taken, .. }) => {
                self.story.submitted(taken);
                Settled::Nothing
            }
            _ => Settled::Nothing,
        };
        if let Settled::Signatures { fresh, .. } = settled {
            self.submit(desk, &fresh);
        }
    }

    fn submit(&mut self, desk: &mut Desk<'_>, fresh: &[(Item, Signature)]) {
        let Some(beacon_block_root) = self.agreed else { return };
        let slot = self.story.instance().slot;
        let message = |(item, signature): &(Item, Signature)| {
            let validator_index = *self.members.get(&item.validator)?;
            Some(SyncCommitteeMessage { slot, beacon_block_root, validator_index, signature: *signature })
        };
        let messages: Vec<_> = fresh.iter().filter_map(message).collect();
        if messages.is_empty() {
            return;
        }
        let ticket = desk.tickets.issue(self.story.instance(), Purpose::Submit);
        desk.wish(Output::Submit { ticket, submission: Submission::SyncMessages(messages) });
        self.story.signed_at(desk.now);
    }
}
