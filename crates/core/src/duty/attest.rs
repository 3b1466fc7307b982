//! Attestations: one vote of a slot for all its attesters.
//!
//! ```text
//! head or deadline -> FetchVote -> agree (vote, decide) -> guard, journal -> the client attests
//!      -> halves -> partials -> signatures -> Submit
//! ```

use super::signing::Signing;
use super::{Desk, Event, Purpose, SignRequest};
use crate::agree::{self, Agree, Verdict};
use crate::guard;
use crate::journal::{Candidate, Promise};
use crate::outcome::Story;
use crate::{Answer, Ask, HalfAttestation, Input, Output, Refusal, RequestId, SignedAttestation, Submission};
use ssz::{Decode as _, Encode as _};
use std::collections::BTreeMap;
use types::duty::AttesterDuty;
use types::machine::Machine as _;
use types::wire::{Instance, Message, Value};
use types::{
    AttestationData, BeaconVote, DomainType, Epoch, Fork, Millis, Root, Signature, SigningRoot, Slot,
    ValidatorNo,
};

/// Between two questions to the beacon nodes when they had no vote: several tries within the shortest slot.
const FETCH_RETRY: Millis = Millis(200);

/// Whether the own beacon nodes have been asked what to attest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetch {
    /// Not wanted yet.
    Idle,
    /// Asked; the answer will come.
    Asked,
    /// There was no answer: ask again then.
    Again(Millis),
    /// Answered.
    Done,
}

/// The attestations of one slot.
#[derive(Debug)]
pub(crate) struct Attest {
    slot: Slot,
    due: BTreeMap<ValidatorNo, AttesterDuty>,
    agree: Agree,
    signing: Signing,
    fetch: Fetch,
    own: Option<BeaconVote>,
    /// Values that agreement has asked about, by hash.
    asked: BTreeMap<Root, Value>,
    agreed: Option<BeaconVote>,
    waiting: Vec<RequestId>,
    pub(crate) story: Story,
}

impl Attest {
    /// Begins the agreement of a slot.
    pub(crate) fn new(
        desk: &Desk<'_>,
        instance: Instance,
        due: &[(ValidatorNo, AttesterDuty)],
        follow_only: bool,
    ) -> Self {
        let spec = &desk.setup.spec;
        let setup = agree::Setup {
            instance,
            size: desk.setup.size,
            me: desk.setup.me,
            start: spec.slot_start(instance.slot),
            deadline: spec.attestation_due(instance.slot),
            follow_only,
            timers: desk.setup.timers.clone(),
        };
        let due: BTreeMap<_, _> = due.iter().cloned().collect();
        Self {
            slot: instance.slot,
            agree: Agree::new(setup),
            signing: Signing::new(instance, desk.setup.size.threshold(), due.keys().copied()),
            due,
            fetch: Fetch::Idle,
            own: None,
            asked: BTreeMap::new(),
            agreed: None,
            waiting: Vec::new(),
            story: Story::new(instance),
        }
    }

    /// Takes one event.
    pub(crate) fn handle(&mut self, desk: &mut Desk<'_>, event: Event) {
        match event {
            Event::Tick => self.tick(desk),
            Event::Presence => self.drive(desk, agree::Input::Heard(desk.view.present.clone())),
            Event::Reconnected(peer) => self.drive(desk, agree::Input::Reconnected(peer)),
            Event::Input(input) => self.input(desk, input),
            Event::Result(purpose, input) => self.result(desk, purpose, input),
        }
        self.story.progress(self.signing.progress());
    }

    /// When to tick.
    pub(crate) fn wake_at(&self, desk_spec: &types::ChainSpec) -> Option<Millis> {
        let retry = if let Fetch::Again(at) = self.fetch { Some(at) } else { None };
        let late = (!self.waiting.is_empty()).then(|| desk_spec.slot_start(self.slot.next()));
        [self.agree.wake_at(), retry, late].into_iter().flatten().min()
    }

    fn tick(&mut self, desk: &mut Desk<'_>) {
        if let Fetch::Again(at) = self.fetch
            && desk.now >= at
        {
            self.ask_beacon_node(desk);
        }
        if desk.now >= desk.setup.spec.slot_start(self.slot.next()) {
            self.refuse_waiting(desk, &Refusal::TooLate(self.slot));
        }
        self.drive(desk, agree::Input::Tick);
    }

    fn input(&mut self, desk: &mut Desk<'_>, input: Input) {
        match input {
            Input::Head { slot, .. } if slot == self.slot && self.fetch == Fetch::Idle => {
                self.ask_beacon_node(desk);
            }
            Input::BeaconVote { vote, .. } => self.beacon_vote(desk, vote),
            Input::Peer(verified) => {
                let from = verified.sender();
                if let Message::Partial(partials) = verified.message() {
                    self.signing.partials(desk, from, partials.clone());
                    self.try_vouched(desk);
                } else {
                    self.drive(desk, agree::Input::Message(verified));
                }
            }
            Input::Ask { request, ask: Ask::Vote { .. } } => {
                self.waiting.push(request);
                self.serve(desk);
            }
            Input::Ask { request, ask: Ask::Attestations { halves, .. } } => {
                self.halves(desk, request, halves);
            }
            _ => {}
        }
    }

    fn result(&mut self, desk: &mut Desk<'_>, purpose: Purpose, input: Input) {
        match (purpose, input) {
            (Purpose::Journal, Input::Journaled { ticket, durable }) => {
                self.signing.journaled(desk, ticket, durable);
                self.serve(desk);
            }
            (Purpose::Sign { validators, request }, Input::Signed { results, .. }) => {
                self.signing.signed(desk, &validators, request, results);
            }
            (Purpose::Combine { validators, hash }, Input::Combined { results, .. }) => {
                self.combined(desk, &validators, hash, &results);
            }
            (Purpose::Submit, Input::Submitted { taken, .. }) => self.story.submitted(taken),
            _ => {}
        }
    }

    fn ask_beacon_node(&mut self, desk: &mut Desk<'_>) {
        self.fetch = Fetch::Asked;
        desk.wish(Output::FetchVote { slot: self.slot });
    }

    fn beacon_vote(&mut self, desk: &mut Desk<'_>, vote: Option<BeaconVote>) {
        let Some(vote) = vote.filter(|vote| vote.slot == self.slot) else {
            self.fetch = Fetch::Again(desk.now.after(FETCH_RETRY));
            return;
        };
        self.fetch = Fetch::Done;
        self.own = Some(vote);
        self.story.value_at(desk.now);
        let (hash, value) = encode(&vote);
        self.drive(desk, agree::Input::Own { hash, value });
        // What was judged before is judged again, now that there is something to compare with.
        for (hash, value) in self.asked.clone() {
            self.check(desk, hash, &value);
        }
        self.drain(desk);
    }

    fn drive(&mut self, desk: &mut Desk<'_>, input: agree::Input) {
        self.agree.handle(desk.now, input);
        self.drain(desk);
    }

    fn drain(&mut self, desk: &mut Desk<'_>) {
        while let Some(output) = self.agree.poll() {
            match output {
                agree::Output::Send { to, message } => desk.wish(Output::Send { to, message }),
                agree::Output::Check { hash, value } => {
                    self.asked.insert(hash, value.clone());
                    self.check(desk, hash, &value);
                }
                agree::Output::NeedOwn { .. } | agree::Output::NeedVote => self.need_own(desk),
                agree::Output::Decided { value, round, .. } => self.decided(desk, &value, round),
                agree::Output::ResendPartial { to } => self.signing.resend(desk, to),
                agree::Output::Evidence { author, first, second } => {
                    desk.wish(Output::Evidence { author, first, second });
                }
                agree::Output::Fault { peer, fault } => {
                    desk.wish(Output::Fault { peer, instance: self.story.instance(), fault });
                }
            }
        }
    }

    fn need_own(&mut self, desk: &mut Desk<'_>) {
        if let Some(vote) = self.own {
            let (hash, value) = encode(&vote);
            self.agree.handle(desk.now, agree::Input::Own { hash, value });
        } else if self.fetch == Fetch::Idle {
            self.ask_beacon_node(desk);
        }
    }

    fn check(&mut self, desk: &Desk<'_>, hash: Root, value: &Value) {
        let verdict = match decode(hash, value) {
            None => Verdict::WrongBytes,
            Some(vote) if !self.hard(desk, &vote) => Verdict::Refused,
            Some(vote) if !self.soft(&vote) => Verdict::OnlyHard,
            Some(_) => Verdict::Good,
        };
        self.agree.handle(desk.now, agree::Input::Checked { hash, verdict });
    }

    /// H1 to H3 and H5: computed from the agreed bytes, never waived.
    fn hard(&self, desk: &Desk<'_>, vote: &BeaconVote) -> bool {
        let spec = &desk.setup.spec;
        let epoch = spec.epoch_of(self.slot);
        let source_below = vote.source.epoch < epoch || epoch == Epoch(0);
        let shape = vote.slot == self.slot && vote.index == 0 && vote.target.epoch == epoch && source_below;
        let final_enough = desk.view.finalized.is_none_or(|finalized| {
            vote.source.epoch > finalized.epoch || vote.source == finalized || finalized.epoch == Epoch(0)
        });
        let candidates = self.candidates(desk, vote);
        let allowed =
            |candidate: &Candidate| !matches!(desk.journal.judge(candidate), guard::Verdict::Refused(_));
        shape && final_enough && candidates.iter().any(allowed)
    }

    /// S1 to S3: against what the own beacon nodes say.
    fn soft(&self, vote: &BeaconVote) -> bool {
        self.own.is_some_and(|own| own.source == vote.source && own.target == vote.target)
    }

    fn data(&self, desk: &Desk<'_>, vote: &BeaconVote, duty: &AttesterDuty) -> AttestationData {
        let fork = desk.setup.spec.fork_at(vote.target.epoch).fork;
        vote.data(if fork < Fork::Electra { duty.committee_index } else { 0 })
    }

    fn candidates(&self, desk: &Desk<'_>, vote: &BeaconVote) -> Vec<Candidate> {
        let promise = Promise::Attestation { source: vote.source.epoch, target: vote.target.epoch };
        let candidate = |(&validator, duty): (&ValidatorNo, &AttesterDuty)| {
            let object = Root::of(&self.data(desk, vote, duty));
            let root =
                SigningRoot::of(&desk.setup.spec, DomainType::BeaconAttester, vote.target.epoch, object);
            Candidate { validator, slot: self.slot, promise, root }
        };
        self.due.iter().map(candidate).collect()
    }

    fn decided(&mut self, desk: &mut Desk<'_>, value: &Value, round: u32) {
        let vote = BeaconVote::from_ssz_bytes(&value.0).expect("hard checks passed, so it decodes");
        self.story.decided(round);
        self.agreed = Some(vote);
        let candidates = self.candidates(desk, &vote);
        self.signing.decide(desk, Root::of(&vote), &candidates);
        if self.signing.all_refused() {
            self.story.refused();
        }
    }

    /// Answers the client's questions for the vote: only what is agreed, guarded and durable.
    fn serve(&mut self, desk: &mut Desk<'_>) {
        if self.signing.has_failed() {
            return self.refuse_waiting(desk, &Refusal::JournalFailed);
        }
        let Some(vote) = self.agreed.filter(|_| self.signing.is_open()) else { return };
        if self.signing.all_refused() {
            let refusal = self.due.keys().find_map(|validator| self.signing.refusal(*validator));
            return self.refuse_waiting(desk, &refusal.expect("all of them are refused"));
        }
        for request in self.waiting.drain(..) {
            desk.wish(Output::Reply { request, answer: Answer::Vote(vote) });
        }
    }

    fn refuse_waiting(&mut self, desk: &mut Desk<'_>, refusal: &Refusal) {
        for request in self.waiting.drain(..) {
            desk.wish(Output::Reply { request, answer: Answer::Refused(refusal.clone()) });
        }
    }

    fn halves(&mut self, desk: &mut Desk<'_>, request: RequestId, halves: Vec<HalfAttestation>) {
        let mut refused = Vec::new();
        let mut matching: BTreeMap<ValidatorNo, (usize, Signature)> = BTreeMap::new();
        for (position, half) in halves.into_iter().enumerate() {
            let verdict = self.match_half(desk, &half);
            if let Err(refusal) = verdict {
                refused.push((position, refusal));
            } else if matching.insert(half.validator, (position, half.half)).is_some() {
                refused.push((position, Refusal::NotDue(half.validator)));
            }
        }
        let request = SignRequest { request: Some(request), positions: Vec::new(), refused };
        let halves = matching.into_iter().map(|(validator, (position, half))| (position, validator, half));
        self.signing.halves(desk, request, halves.collect());
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
        let Some(hash) = self.signing.vouched(desk.setup.size.threshold()) else { return };
        let Some(vote) = self.asked.get(&hash).and_then(|value| decode(hash, value)) else { return };
        let candidates = self.candidates(desk, &vote);
        self.signing.adopt(hash, candidates.iter().map(|candidate| (candidate.validator, candidate.root)));
        self.signing.combine(desk);
    }

    fn combined(
        &mut self,
        desk: &mut Desk<'_>,
        validators: &[ValidatorNo],
        hash: Root,
        results: &[crate::Combined],
    ) {
        let fresh = self.signing.combined(desk, validators, results);
        if fresh.is_empty() {
            return;
        }
        let Some(vote) = self.asked.get(&hash).and_then(|value| decode(hash, value)).or(self.agreed) else {
            return;
        };
        let signed = fresh.into_iter().map(|(validator, signature)| {
            let duty = self.due[&validator].clone();
            SignedAttestation { data: self.data(desk, &vote, &duty), duty, signature }
        });
        let submission = Submission::Attestations(signed.collect());
        let ticket = desk.tickets.issue(self.story.instance(), Purpose::Submit);
        desk.wish(Output::Submit { ticket, submission });
        self.story.signed_at(desk.now);
        self.drive(desk, agree::Input::Combined { hash });
    }
}

fn encode(vote: &BeaconVote) -> (Root, Value) {
    (Root::of(vote), vote.as_ssz_bytes().into())
}

fn decode(hash: Root, value: &Value) -> Option<BeaconVote> {
    BeaconVote::from_ssz_bytes(&value.0).ok().filter(|vote| Root::of(vote) == hash)
}
