//! Attestations: one vote of a slot for all its attesters, and for its sync committee members.
//!
//! ```text
//! head or deadline -> FetchVote -> agree (vote, decide) -> guard, journal -> the client attests
//!      -> halves -> partials -> signatures -> Submit
//! ```
//!
//! Where the own beacon nodes disagree, the other operators' votes break the tie: this node votes for the view that
//! one of them votes for too, and for its best beacon node's view if [`TIE_WAIT`] passes without one.

use super::deal::{Deal, Settled, Turn, agree_setup};
use super::fetch::Fetch;
use super::sync_message::SyncMessages;
use super::{Desk, Event, SignRequest};
use crate::account::Obstacle;
use crate::agree::{self, Verdict};
use crate::guard;
use crate::journal::{Candidate, Promise};
use crate::{Answer, Ask, HalfAttestation, Input, Output, Refusal, RequestId, SignedAttestation, Submission};
use ssz::{Decode as _, Encode as _};
use std::collections::BTreeMap;
use types::duty::{AttesterDuty, SyncDuty};
use types::wire::{Instance, Item, Kind, Message, Value};
use types::{
    AttestationData, BeaconVote, ChainSpec, DomainType, Epoch, Fork, Millis, Root, Signature, SigningRoot,
    Slot, ValidatorNo,
};

/// How long a node whose beacon nodes disagree waits for another operator's vote: a vote's way at 120 ms and some.
const TIE_WAIT: Millis = Millis(150);

/// Who is due in a slot.
pub(crate) struct Due<'a> {
    pub(crate) attesters: &'a [(ValidatorNo, AttesterDuty)],
    pub(crate) members: &'a [(ValidatorNo, SyncDuty)],
}

/// The attestations of one slot.
#[derive(Debug)]
pub(crate) struct Attest {
    slot: Slot,
    due: BTreeMap<ValidatorNo, AttesterDuty>,
    pub(crate) deal: Deal,
    pub(crate) sync: SyncMessages,
    fetch: Fetch,
    /// What the own beacon nodes say, the best one's first.
    views: Vec<BeaconVote>,
    /// While they disagree and nobody has voted for one of their views: until when to wait.
    tie: Option<Millis>,
    /// Values that agreement has asked about, by hash.
    asked: BTreeMap<Root, Value>,
    agreed: Option<BeaconVote>,
}

impl Attest {
    /// Begins the agreement of a slot.
    pub(crate) fn new(desk: &Desk<'_>, instance: Instance, due: &Due<'_>, follow_only: bool) -> Self {
        let start = desk.setup.spec.slot_start(instance.slot);
        let setup = agree_setup(desk, instance, start, follow_only);
        let sync = Instance { kind: Kind::SyncMessage, ..instance };
        let attesters: BTreeMap<_, _> = due.attesters.iter().cloned().collect();
        Self {
            slot: instance.slot,
            deal: Deal::new(desk, setup, attesters.keys().map(|validator| Item::of(*validator))),
            sync: SyncMessages::new(desk, sync, due.members),
            due: attesters,
            fetch: Fetch::Idle,
            views: Vec::new(),
            tie: None,
            asked: BTreeMap::new(),
            agreed: None,
        }
    }

    /// Takes one event. `true` if the board has news.
    pub(crate) fn handle(&mut self, desk: &mut Desk<'_>, event: Event) -> bool {
        let known = self.agreed.is_some();
        match event {
            Event::Tick => self.tick(desk),
            Event::Presence => {
                self.drive(desk, agree::Input::Heard(desk.view.heard(self.slot)));
                self.deal.signing.combine(desk);
                self.sync.signing.combine(desk);
            }
            Event::Reconnected(peer) => {
                self.drive(desk, agree::Input::Reconnected(peer));
                self.sync.signing.resend(desk, peer);
            }
            Event::Input(input) => self.input(desk, input),
            Event::Result(instance, purpose, input) if instance.kind == Kind::SyncMessage => {
                self.sync.result(desk, purpose, input);
            }
            Event::Result(_, purpose, input) => match self.deal.result(desk, purpose, input) {
                Settled::Opened => self.serve(desk),
                Settled::Signatures { hash, fresh } => self.submit(desk, hash, &fresh),
                Settled::Nothing => {}
            },
            Event::Stopped => {
                self.deal.stopped(desk);
                self.sync.stopped(desk);
            }
            Event::Board => {}
        }
        self.deal.story.progress(self.deal.signing.progress());
        self.sync.story.progress(self.sync.signing.progress());
        !known && self.agreed.is_some()
    }

    /// When to tick.
    pub(crate) fn wake_at(&self, spec: &ChainSpec) -> Option<Millis> {
        let late = self.sync.is_waited_for().then(|| spec.slot_start(self.slot.next()));
        [self.deal.wake_at(spec), self.sync.signing.wake_at(), self.fetch.wake_at(), self.tie, late]
            .into_iter()
            .flatten()
            .min()
    }

    fn tick(&mut self, desk: &mut Desk<'_>) {
        if self.fetch.retry(desk.now) {
            self.ask_beacon_node(desk);
        }
        if self.tie.is_some_and(|until| desk.now >= until) {
            self.offer(desk, self.views[0]);
        }
        if desk.now >= desk.setup.spec.slot_start(self.slot.next()) {
            self.sync.too_late(desk);
        }
        self.sync.signing.combine(desk);
        self.deal.tick(desk);
        self.drain(desk);
    }

    fn input(&mut self, desk: &mut Desk<'_>, input: Input) {
        match input {
            Input::Head { slot, .. } if slot == self.slot && self.fetch == Fetch::Idle => {
                self.ask_beacon_node(desk);
            }
            Input::BeaconVote { votes, .. } => self.beacon_votes(desk, votes),
            Input::Peer(verified) => self.message(desk, verified),
            Input::Ask { request, ask } => self.ask(desk, request, ask),
            _ => {}
        }
    }

    fn message(&mut self, desk: &mut Desk<'_>, verified: types::wire::Verified) {
        let from = verified.sender();
        let kind = verified.message().instance().kind;
        if let Message::Partial(partials) = verified.message()
            && kind == Kind::SyncMessage
        {
            return self.sync.partials(desk, from, partials.clone());
        }
        if let Message::Vote(vote) = verified.message() {
            self.break_tie(desk, vote.signed.statement.hash);
        }
        if self.deal.message(desk, verified) {
            self.try_vouched(desk);
        }
        self.drain(desk);
    }

    fn ask(&mut self, desk: &mut Desk<'_>, request: RequestId, ask: Ask) {
        match ask {
            Ask::Vote { .. } if self.due.is_empty() => desk.refuse(request, Refusal::NoDuty(self.slot)),
            Ask::Vote { .. } => {
                self.deal.story.asked_at(desk.now);
                self.deal.wait(request);
                self.serve(desk);
            }
            Ask::Attestations { halves, .. } => self.halves(desk, request, halves),
            Ask::HeadRoot { .. } if self.sync.is_empty() => desk.refuse(request, Refusal::NoDuty(self.slot)),
            Ask::HeadRoot { .. } => self.sync.wait(desk, request),
            Ask::SyncMessages { halves, .. } => self.sync.halves(desk, request, halves),
            _ => {}
        }
    }

    fn ask_beacon_node(&mut self, desk: &mut Desk<'_>) {
        self.fetch = Fetch::Asked;
        self.deal.story.wanted_at(desk.now);
        desk.wish(Output::FetchVote { slot: self.slot });
    }

    fn beacon_votes(&mut self, desk: &mut Desk<'_>, mut votes: Vec<BeaconVote>) {
        votes.retain(|vote| vote.slot == self.slot);
        let Some(&best) = votes.first() else {
            return self.fetch.failed(desk.now, desk.setup.spec.slot_start(self.slot.next().next()));
        };
        self.fetch = Fetch::Done;
        self.deal.story.own_at(desk.now);
        self.views = votes;
        let vouched = self.asked.keys().find_map(|hash| self.view(hash));
        match vouched {
            _ if self.views.len() == 1 => self.offer(desk, best),
            Some(view) => self.offer(desk, view),
            None => self.tie = Some(desk.now.after(TIE_WAIT)),
        }
        // What was judged before is judged again, now that there is something to compare with.
        for (hash, value) in self.asked.clone() {
            self.check(desk, hash, &value);
        }
        self.drain(desk);
    }

    /// The own beacon nodes' view of this hash.
    fn view(&self, hash: &Root) -> Option<BeaconVote> {
        self.views.iter().find(|view| Root::of(*view) == *hash).copied()
    }

    /// Another operator's vote breaks a tie between the own beacon nodes.
    fn break_tie(&mut self, desk: &mut Desk<'_>, hash: Root) {
        if self.tie.is_some()
            && let Some(view) = self.view(&hash)
        {
            self.offer(desk, view);
        }
    }

    /// Hands agreement the own value.
    fn offer(&mut self, desk: &mut Desk<'_>, vote: BeaconVote) {
        self.tie = None;
        let (hash, value) = encode(&vote);
        self.drive(desk, agree::Input::Own { hash, value });
    }

    fn drive(&mut self, desk: &mut Desk<'_>, input: agree::Input) {
        self.deal.tell(desk.now, input);
        self.drain(desk);
    }

    fn drain(&mut self, desk: &mut Desk<'_>) {
        while let Some(turn) = self.deal.turn(desk) {
            match turn {
                Turn::Check { hash, value } => {
                    self.asked.insert(hash, value.clone());
                    self.check(desk, hash, &value);
                }
                // No verdict here says that anything belongs to a value without being in it.
                Turn::FetchContents { .. } => {}
                Turn::NeedOwn => self.need_own(desk),
                Turn::Decided { value, .. } => self.decided(desk, &value),
            }
        }
    }

    fn need_own(&mut self, desk: &mut Desk<'_>) {
        if let Some(vote) = self.views.first() {
            let (hash, value) = encode(vote);
            self.tie = None;
            self.deal.tell(desk.now, agree::Input::Own { hash, value });
        } else if self.fetch == Fetch::Idle {
            self.ask_beacon_node(desk);
        }
    }

    fn check(&mut self, desk: &Desk<'_>, hash: Root, value: &Value) {
        let verdict = match decode(hash, value) {
            None => Verdict::WrongBytes,
            Some(vote) if !self.hard(desk, &vote) => {
                self.deal.story.blocked(Obstacle::ValueRefused);
                Verdict::Refused
            }
            Some(vote) if !self.is_allowed(desk, &vote) => {
                self.deal.story.blocked(Obstacle::ValueSlashable);
                Verdict::Forbidden
            }
            Some(vote) if !self.soft(&vote) => Verdict::OnlyHard,
            Some(_) => Verdict::Good,
        };
        self.deal.tell(desk.now, agree::Input::Checked { hash, verdict });
    }

    /// H1 to H3 and H5 but for the journal: computed from the agreed bytes, never waived.
    fn hard(&self, desk: &Desk<'_>, vote: &BeaconVote) -> bool {
        let spec = &desk.setup.spec;
        let epoch = spec.epoch_of(self.slot);
        let source_below = vote.source.epoch < epoch || epoch == Epoch(0);
        let shape = vote.slot == self.slot && vote.index == 0 && vote.target.epoch == epoch && source_below;
        let final_enough = desk.view.finalized.is_none_or(|finalized| {
            vote.source.epoch > finalized.epoch || vote.source == finalized || finalized.epoch == Epoch(0)
        });
        shape && final_enough
    }

    /// H3: the journal allows it for somebody, never waived.
    fn is_allowed(&self, desk: &Desk<'_>, vote: &BeaconVote) -> bool {
        let candidates = self.candidates(desk, vote);
        let allowed =
            |candidate: &Candidate| !matches!(desk.journal.judge(candidate), guard::Verdict::Refused(_));
        candidates.is_empty() || candidates.iter().any(allowed)
    }

    /// S1 to S3: against what the own beacon nodes say.
    fn soft(&self, vote: &BeaconVote) -> bool {
        self.views.iter().any(|own| own.source == vote.source && own.target == vote.target)
    }

    fn data(&self, desk: &Desk<'_>, vote: &BeaconVote, duty: &AttesterDuty) -> AttestationData {
        attestation_data(&desk.setup.spec, vote, duty.committee_index)
    }

    fn candidates(&self, desk: &Desk<'_>, vote: &BeaconVote) -> Vec<Candidate> {
        let promise = Promise::Attestation { source: vote.source.epoch, target: vote.target.epoch };
        // One for each committee; since Electra, one.
        let mut roots: BTreeMap<u64, SigningRoot> = BTreeMap::new();
        let candidate = |(&validator, duty): (&ValidatorNo, &AttesterDuty)| {
            let data = self.data(desk, vote, duty);
            let domain = DomainType::BeaconAttester;
            let sign = || SigningRoot::of(&desk.setup.spec, domain, vote.target.epoch, Root::of(&data));
            let root = *roots.entry(data.index).or_insert_with(sign);
            Candidate { validator, slot: self.slot, promise, root }
        };
        self.due.iter().map(candidate).collect()
    }

    fn decided(&mut self, desk: &mut Desk<'_>, value: &Value) {
        let vote = BeaconVote::from_ssz_bytes(&value.0).expect("hard checks passed, so it decodes");
        self.agreed = Some(vote);
        desk.board.votes.insert(self.slot, vote);
        let hash = Root::of(&vote);
        if !self.due.is_empty() {
            let candidates = self.candidates(desk, &vote);
            self.deal.signing.decide(desk, hash, &candidates);
            self.deal.story.refused(self.deal.signing.refused());
            self.serve(desk);
        }
        if !self.sync.is_empty() {
            self.sync.decided(desk, hash, vote.beacon_block_root);
        }
    }

    /// Answers the client's questions for the vote: only what is agreed and promised; halves wait for the disk.
    fn serve(&mut self, desk: &mut Desk<'_>) {
        if let Some(refusal) = self.deal.refusal() {
            return self.deal.answer(desk, &Answer::Refused(refusal));
        }
        if let Some(vote) = self.agreed.filter(|_| self.deal.signing.is_promised()) {
            self.deal.answer(desk, &Answer::Vote(vote));
        }
    }

    fn halves(&mut self, desk: &mut Desk<'_>, request: RequestId, halves: Vec<HalfAttestation>) {
        let mut request = SignRequest::of(request);
        let mut matching: BTreeMap<Item, (usize, Signature)> = BTreeMap::new();
        for (position, half) in halves.into_iter().enumerate() {
            let verdict = self.match_half(desk, &half);
            if let Err(refusal) = verdict {
                self.deal.story.half_refused(&refusal);
                request.refused.push((position, refusal));
            } else if matching.insert(Item::of(half.validator), (position, half.half)).is_some() {
                request.refused.push((position, Refusal::NotDue(half.validator)));
            }
        }
        if !matching.is_empty() {
            self.deal.story.half_at(desk.now);
        }
        let halves = matching.into_iter().map(|(item, (position, half))| (position, item, half));
        self.deal.signing.halves(desk, request, halves.collect());
    }

    fn match_half(&self, desk: &Desk<'_>, half: &HalfAttestation) -> Result<(), Refusal> {
        let Some(duty) = self.due.get(&half.validator) else {
            return Err(Refusal::NotDue(half.validator));
        };
        let Some(vote) = self.agreed else { return Err(Refusal::NothingAgreed(self.slot)) };
        let agreed = self.data(desk, &vote, duty);
        if half.data == agreed {
            return Ok(());
        }
        Err(Refusal::NotAgreed { signed: Root::of(&half.data), agreed: Root::of(&agreed) })
    }

    /// Rule 6: `t` partials that combine and verify decide, even if nothing else has.
    fn try_vouched(&mut self, desk: &mut Desk<'_>) {
        let Some(hash) = self.deal.signing.vouched(desk.setup.size.threshold()) else { return };
        let Some(vote) = self.asked.get(&hash).and_then(|value| decode(hash, value)) else { return };
        let candidates = self.candidates(desk, &vote);
        let roots = candidates.iter().map(|candidate| (candidate.validator.into(), candidate.root));
        self.deal.signing.adopt(hash, roots);
        self.deal.signing.combine(desk);
    }

    fn submit(&mut self, desk: &mut Desk<'_>, hash: Root, fresh: &[(Item, Signature)]) {
        let Some(vote) = self.asked.get(&hash).and_then(|value| decode(hash, value)).or(self.agreed) else {
            return;
        };
        let signed = fresh.iter().map(|(item, signature)| {
            let duty = self.due[&item.validator].clone();
            SignedAttestation { data: self.data(desk, &vote, &duty), duty, signature: *signature }
        });
        let submission = Submission::Attestations(signed.collect());
        self.deal.submit(desk, hash, submission);
        self.drain(desk);
    }
}

/// What an attester of a committee signs for a vote.
pub(super) fn attestation_data(spec: &ChainSpec, vote: &BeaconVote, committee_index: u64) -> AttestationData {
    let fork = spec.fork_at(vote.target.epoch).fork;
    vote.data(if fork < Fork::Electra { committee_index } else { 0 })
}

fn encode(vote: &BeaconVote) -> (Root, Value) {
    (Root::of(vote), vote.as_ssz_bytes().into())
}

fn decode(hash: Root, value: &Value) -> Option<BeaconVote> {
    BeaconVote::from_ssz_bytes(&value.0).ok().filter(|vote| Root::of(vote) == hash)
}
