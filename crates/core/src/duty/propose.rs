//! A block, and the RANDAO reveal it needs.
//!
//! ```text
//! the client asks for a block -> its RANDAO half -> partials -> the group's reveal
//!      -> the leader's FetchBlock -> agree (propose, vote, decide) -> guard, journal -> the client signs
//!      -> its half -> partials -> signature -> Submit
//! ```

use super::signing::Signing;
use super::{Desk, Event, Purpose, SignRequest};
use crate::agree::{self, Agree, Verdict};
use crate::guard;
use crate::journal::{Candidate, Permit, Promise};
use crate::outcome::Story;
use crate::{Answer, Ask, Input, Output, Refusal, RequestId, Submission};
use std::collections::{BTreeMap, BTreeSet};
use types::block::ProposedBlock;
use types::duty::ProposerDuty;
use types::machine::Machine as _;
use types::wire::{Instance, Kind, Message, Value};
use types::{ChainSpec, DomainType, Millis, Root, Signature, SigningRoot, Slot, ValidatorNo};

/// Between two questions for a block when the beacon nodes had none: several tries within the led round.
const FETCH_RETRY: Millis = Millis(200);

/// A value that agreement has asked about.
#[derive(Debug)]
struct Asked {
    /// The block, if the bytes are one and hash to what they should.
    block: Option<ProposedBlock>,
    /// Whether its RANDAO reveal is the group's, once known.
    randao: Option<bool>,
    /// Whether the own beacon nodes know its parent, once known.
    parent: Option<bool>,
}

/// Whether a block has been asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetch {
    /// Nobody needs one from here.
    Idle,
    /// Needed, but the RANDAO reveal is not there yet.
    Needed,
    /// Asked; the answer will come.
    Asked,
    /// There was no answer: ask again then.
    Again(Millis),
    /// Answered.
    Done,
}

/// The block of one slot.
#[derive(Debug)]
pub(crate) struct Propose {
    slot: Slot,
    validator: ValidatorNo,
    duty: ProposerDuty,
    randao: Signing,
    agree: Agree,
    signing: Signing,
    fetch: Fetch,
    own: Option<ProposedBlock>,
    asked: BTreeMap<Root, Asked>,
    headers_asked: BTreeSet<Root>,
    agreed: Option<ProposedBlock>,
    waiting: Vec<RequestId>,
    pub(crate) story: Story,
}

impl Propose {
    /// Begins the agreement of a slot.
    pub(crate) fn new(
        desk: &mut Desk<'_>,
        instance: Instance,
        due: &(ValidatorNo, ProposerDuty),
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
        let (validator, duty) = due.clone();
        let threshold = desk.setup.size.threshold();
        let randao = Instance { kind: Kind::Randao, ..instance };
        let mut propose = Self {
            slot: instance.slot,
            validator,
            duty,
            randao: Signing::new(randao, threshold, [validator]),
            agree: Agree::new(setup),
            signing: Signing::new(instance, threshold, [validator]),
            fetch: Fetch::Idle,
            own: None,
            asked: BTreeMap::new(),
            headers_asked: BTreeSet::new(),
            agreed: None,
            waiting: Vec::new(),
            story: Story::new(instance),
        };
        let permit = Permit::randao(&desk.setup.spec, validator, instance.slot);
        propose.randao.decide_harmless(desk, permit);
        propose
    }

    /// Takes one event.
    pub(crate) fn handle(&mut self, desk: &mut Desk<'_>, event: Event) {
        match event {
            Event::Tick => self.tick(desk),
            Event::Presence => self.drive(desk, agree::Input::Heard(desk.view.present.clone())),
            Event::Reconnected(peer) => {
                self.drive(desk, agree::Input::Reconnected(peer));
                self.randao.resend(desk, peer);
            }
            Event::Input(input) => self.input(desk, input),
            Event::Result(purpose, input) => self.result(desk, purpose, input),
        }
        self.story.progress(self.signing.progress());
    }

    /// When to tick.
    pub(crate) fn wake_at(&self, spec: &ChainSpec) -> Option<Millis> {
        let retry = if let Fetch::Again(at) = self.fetch { Some(at) } else { None };
        let late = (!self.waiting.is_empty()).then(|| spec.slot_start(self.slot.next()));
        [self.agree.wake_at(), retry, late].into_iter().flatten().min()
    }

    fn tick(&mut self, desk: &mut Desk<'_>) {
        if let Fetch::Again(at) = self.fetch
            && desk.now >= at
        {
            self.fetch = Fetch::Needed;
            self.fetch_block(desk);
        }
        if desk.now >= desk.setup.spec.slot_start(self.slot.next()) {
            self.refuse_waiting(desk, &Refusal::TooLate(self.slot));
        }
        self.drive(desk, agree::Input::Tick);
    }

    fn input(&mut self, desk: &mut Desk<'_>, input: Input) {
        match input {
            Input::Block { block, .. } => self.own_block(desk, block),
            Input::Header { root, known } => self.header(desk, root, known),
            Input::Peer(verified) => self.message(desk, verified),
            Input::Ask { request, ask: Ask::Block { randao_half, .. } } => {
                self.waiting.push(request);
                let sign = SignRequest { request: None, positions: Vec::new(), refused: Vec::new() };
                self.randao.halves(desk, sign, vec![(0, self.validator, randao_half)]);
                self.serve(desk);
            }
            Input::Ask { request, ask: Ask::SignedBlock { root, half, .. } } => {
                self.half(desk, request, root, half);
            }
            _ => {}
        }
    }

    fn message(&mut self, desk: &mut Desk<'_>, verified: types::wire::Verified) {
        let from = verified.sender();
        match verified.message() {
            Message::Partial(partials) if partials.signed.statement.instance.kind == Kind::Randao => {
                self.randao.partials(desk, from, partials.clone());
            }
            Message::Partial(partials) => {
                self.signing.partials(desk, from, partials.clone());
                self.try_vouched(desk);
            }
            _ => self.drive(desk, agree::Input::Message(verified)),
        }
    }

    /// Results of the RANDAO exchange and of the block's come here alike; `instance` tells them apart.
    pub(crate) fn randao_result(&mut self, desk: &mut Desk<'_>, purpose: Purpose, input: Input) {
        match (purpose, input) {
            (Purpose::Sign { validators, request }, Input::Signed { results, .. }) => {
                if results.iter().any(Result::is_err) {
                    self.refuse_waiting(desk, &Refusal::BadHalf(self.validator));
                }
                self.randao.signed(desk, &validators, request, results);
            }
            (Purpose::Combine { validators, .. }, Input::Combined { results, .. }) => {
                let fresh = self.randao.combined(desk, &validators, &results);
                self.randao_known(desk, !fresh.is_empty());
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
            (Purpose::Verify { block }, Input::GroupVerified { valid, .. }) => {
                if let Some(asked) = self.asked.get_mut(&block) {
                    asked.randao = Some(valid);
                }
                self.judge(desk, block);
                self.drain(desk);
            }
            (Purpose::Submit, Input::Submitted { taken, .. }) => self.story.submitted(taken),
            _ => {}
        }
    }

    /// The group's reveal has been combined, if `known`: blocks can be made, and those at hand judged.
    fn randao_known(&mut self, desk: &mut Desk<'_>, known: bool) {
        if !known {
            return;
        }
        self.fetch_block(desk);
        for hash in self.asked.keys().copied().collect::<Vec<_>>() {
            self.check_randao(desk, hash);
            self.judge(desk, hash);
        }
        self.drain(desk);
    }

    fn fetch_block(&mut self, desk: &mut Desk<'_>) {
        if self.fetch != Fetch::Needed {
            return;
        }
        let Some(randao) = self.randao.signature(self.validator) else { return };
        self.fetch = Fetch::Asked;
        desk.wish(Output::FetchBlock { slot: self.slot, randao });
    }

    fn own_block(&mut self, desk: &mut Desk<'_>, block: Option<ProposedBlock>) {
        let Some(block) = block else {
            self.fetch = Fetch::Again(desk.now.after(FETCH_RETRY));
            return;
        };
        self.fetch = Fetch::Done;
        self.story.value_at(desk.now);
        let (hash, value) = (block.root, block.to_value());
        let asked = Asked { block: Some(block.clone()), randao: None, parent: Some(true) };
        self.asked.insert(hash, asked);
        self.own = Some(block);
        self.drive(desk, agree::Input::Own { hash, value });
    }

    fn drive(&mut self, desk: &mut Desk<'_>, input: agree::Input) {
        self.agree.handle(desk.now, input);
        self.drain(desk);
    }

    fn drain(&mut self, desk: &mut Desk<'_>) {
        while let Some(output) = self.agree.poll() {
            match output {
                agree::Output::Send { to, message } => desk.wish(Output::Send { to, message }),
                agree::Output::Check { hash, value } => self.check(desk, hash, &value),
                agree::Output::NeedOwn { .. } | agree::Output::NeedVote => self.need_own(desk),
                agree::Output::Decided { hash, round, .. } => self.decided(desk, hash, round),
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
        if let Some(block) = &self.own {
            let (hash, value) = (block.root, block.to_value());
            self.agree.handle(desk.now, agree::Input::Own { hash, value });
        } else if self.fetch == Fetch::Idle {
            self.fetch = Fetch::Needed;
            self.fetch_block(desk);
        }
    }

    fn check(&mut self, desk: &mut Desk<'_>, hash: Root, value: &Value) {
        if self.asked.get(&hash).is_none_or(|asked| asked.block.is_none()) {
            let block = ProposedBlock::from_value(desk.setup.spec.preset, &value.0).ok();
            let block = block.filter(|block| block.root == hash);
            self.story.value_at(desk.now);
            self.asked.insert(hash, Asked { block, randao: None, parent: None });
        }
        self.check_randao(desk, hash);
        self.check_parent(desk, hash);
        self.judge(desk, hash);
    }

    /// H4: the reveal is the group's. Ours tells at once, for BLS signatures are unique; else a pairing does.
    fn check_randao(&mut self, desk: &mut Desk<'_>, hash: Root) {
        let known = self.randao.signature(self.validator);
        let Some(asked) = self.asked.get_mut(&hash) else { return };
        let Some(block) = asked.block.as_ref().filter(|_| asked.randao.is_none()) else { return };
        if let Some(randao) = known {
            asked.randao = Some(randao == block.randao_reveal);
            return;
        }
        let spec = &desk.setup.spec;
        let purpose = Purpose::Verify { block: hash };
        let ticket = desk.tickets.issue(self.story.instance(), purpose);
        desk.wish(Output::VerifyGroup {
            ticket,
            key: desk.setup.validators[self.validator.0 as usize].group_key,
            root: SigningRoot::randao(spec, spec.epoch_of(self.slot)),
            signature: block.randao_reveal,
        });
    }

    /// S4: the own beacon nodes know the parent.
    fn check_parent(&mut self, desk: &mut Desk<'_>, hash: Root) {
        let Some(asked) = self.asked.get_mut(&hash) else { return };
        let Some(block) = asked.block.as_ref().filter(|_| asked.parent.is_none()) else { return };
        if desk.view.knows(&block.parent_root) {
            asked.parent = Some(true);
        } else if self.headers_asked.insert(block.parent_root) {
            desk.wish(Output::FetchHeader { root: block.parent_root });
        }
    }

    fn header(&mut self, desk: &mut Desk<'_>, root: Root, known: bool) {
        let mut touched = Vec::new();
        for (hash, asked) in &mut self.asked {
            if asked.block.as_ref().is_some_and(|block| block.parent_root == root) {
                asked.parent = Some(known);
                touched.push(*hash);
            }
        }
        for hash in touched {
            self.judge(desk, hash);
        }
        self.drain(desk);
    }

    /// Tells agreement what is known of a value, once that is enough for a verdict.
    fn judge(&mut self, desk: &Desk<'_>, hash: Root) {
        let Some(asked) = self.asked.get(&hash) else { return };
        let verdict = match &asked.block {
            None => Verdict::WrongBytes,
            Some(block) if !self.hard(desk, block) => Verdict::Refused,
            Some(_) => match (asked.randao, asked.parent) {
                (None, _) => return,
                (Some(false), _) => Verdict::Refused,
                (Some(true), Some(true)) => Verdict::Good,
                (Some(true), Some(false) | None) => Verdict::OnlyHard,
            },
        };
        self.agree.handle(desk.now, agree::Input::Checked { hash, verdict });
    }

    /// H1 and H4 without the reveal: computed from the agreed bytes, never waived.
    fn hard(&self, desk: &Desk<'_>, block: &ProposedBlock) -> bool {
        let spec = &desk.setup.spec;
        let ours = desk.setup.validators[self.validator.0 as usize].fee_recipient;
        let allowed = desk.journal.judge(&self.candidate(desk, block));
        block.slot == self.slot
            && block.proposer_index == self.duty.validator_index
            && block.fork == spec.fork_at(spec.epoch_of(self.slot)).fork
            && block.fee_recipient == ours
            && !matches!(allowed, guard::Verdict::Refused(_))
    }

    fn candidate(&self, desk: &Desk<'_>, block: &ProposedBlock) -> Candidate {
        let spec = &desk.setup.spec;
        let epoch = spec.epoch_of(self.slot);
        let root = SigningRoot::of(spec, DomainType::BeaconProposer, epoch, block.root);
        let promise = Promise::Block { slot: self.slot };
        Candidate { validator: self.validator, slot: self.slot, promise, root }
    }

    fn block(&self, hash: Root) -> Option<&ProposedBlock> {
        self.asked.get(&hash)?.block.as_ref()
    }

    fn decided(&mut self, desk: &mut Desk<'_>, hash: Root, round: u32) {
        let block = self.block(hash).expect("hard checks passed, so it was read").clone();
        self.story.decided(round);
        let candidate = self.candidate(desk, &block);
        self.agreed = Some(block);
        self.signing.decide(desk, hash, &[candidate]);
        if self.signing.all_refused() {
            self.story.refused();
        }
    }

    /// Answers the client's questions for the block: only what is agreed, guarded and durable.
    fn serve(&mut self, desk: &mut Desk<'_>) {
        if self.signing.has_failed() {
            return self.refuse_waiting(desk, &Refusal::JournalFailed);
        }
        if !self.signing.is_open() {
            return;
        }
        if let Some(refusal) = self.signing.refusal(self.validator) {
            return self.refuse_waiting(desk, &refusal);
        }
        let Some(block) = &self.agreed else { return };
        for request in self.waiting.drain(..) {
            desk.wish(Output::Reply { request, answer: Answer::Block(block.clone()) });
        }
    }

    fn refuse_waiting(&mut self, desk: &mut Desk<'_>, refusal: &Refusal) {
        for request in self.waiting.drain(..) {
            desk.wish(Output::Reply { request, answer: Answer::Refused(refusal.clone()) });
        }
    }

    fn half(&mut self, desk: &mut Desk<'_>, request: RequestId, root: Root, half: Signature) {
        let refusal = match &self.agreed {
            None => Some(Refusal::NothingAgreed(self.slot)),
            Some(block) if block.root != root => {
                Some(Refusal::NotAgreed { signed: root, agreed: block.root })
            }
            Some(_) => None,
        };
        if let Some(refusal) = refusal {
            return desk.wish(Output::Reply { request, answer: Answer::Refused(refusal) });
        }
        let sign = SignRequest { request: Some(request), positions: Vec::new(), refused: Vec::new() };
        self.signing.halves(desk, sign, vec![(0, self.validator, half)]);
    }

    /// Rule 6: `t` partials that combine and verify decide, even if nothing else has.
    fn try_vouched(&mut self, desk: &mut Desk<'_>) {
        let Some(hash) = self.signing.vouched(desk.setup.size.threshold()) else { return };
        let Some(block) = self.block(hash) else { return };
        let candidate = self.candidate(desk, block);
        self.signing.adopt(hash, [(candidate.validator, candidate.root)]);
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
        let Some((_, signature)) = fresh.first().copied() else { return };
        let Some(block) = self.block(hash).cloned() else { return };
        let ticket = desk.tickets.issue(self.story.instance(), Purpose::Submit);
        desk.wish(Output::Submit { ticket, submission: Submission::Block { block, signature } });
        self.story.signed_at(desk.now);
        self.drive(desk, agree::Input::Combined { hash });
    }
}
