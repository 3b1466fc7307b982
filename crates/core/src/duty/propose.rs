//! A block, and the RANDAO reveal it needs.
//!
//! ```text
//! the client asks for a block -> its RANDAO half -> partials -> the group's reveal
//!      -> the leader's FetchBlock -> agree (propose, vote, decide) -> guard, journal -> the client signs
//!      -> its half -> partials -> signature -> Submit
//! ```

use super::deal::{Deal, Settled, Turn, agree_setup};
use super::fetch::Fetch;
use super::signing::Signing;
use super::{Desk, Event, Purpose, SignRequest};
use crate::agree::{self, Verdict};
use crate::guard;
use crate::journal::{Candidate, Harmless, Permit, Promise};
use crate::outcome::Story;
use crate::{Answer, Ask, Input, Output, Refusal, RequestId, Submission};
use std::collections::{BTreeMap, BTreeSet};
use types::block::ProposedBlock;
use types::duty::ProposerDuty;
use types::wire::{Instance, Item, Kind, Message, Value};
use types::{ChainSpec, DomainType, Millis, Root, Signature, SigningRoot, Slot, ValidatorNo};

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

/// The block of one slot.
#[derive(Debug)]
pub(crate) struct Propose {
    slot: Slot,
    validator: ValidatorNo,
    duty: ProposerDuty,
    randao: Signing,
    pub(crate) deal: Deal,
    fetch: Fetch,
    own: Option<ProposedBlock>,
    asked: BTreeMap<Root, Asked>,
    headers_asked: BTreeSet<Root>,
    agreed: Option<ProposedBlock>,
    /// Who sent a partial of the RANDAO reveal when.
    pub(crate) randao_story: Story,
}

impl Propose {
    /// Begins the agreement of a slot.
    pub(crate) fn new(
        desk: &mut Desk<'_>,
        instance: Instance,
        due: &(ValidatorNo, ProposerDuty),
        follow_only: bool,
    ) -> Self {
        let start = desk.setup.spec.slot_start(instance.slot);
        let setup = agree_setup(desk, instance, start, follow_only);
        let (validator, duty) = due.clone();
        let randao = Instance { kind: Kind::Randao, ..instance };
        let mut propose = Self {
            slot: instance.slot,
            validator,
            duty,
            randao: Signing::new(randao, desk.setup.size.threshold(), [validator.into()]),
            deal: Deal::new(desk, setup, [validator.into()]),
            fetch: Fetch::Idle,
            own: None,
            asked: BTreeMap::new(),
            headers_asked: BTreeSet::new(),
            agreed: None,
            randao_story: Story::new(randao),
        };
        let permit = Permit::harmless(&desk.setup.spec, validator, Harmless::Randao(instance.slot));
        propose.randao.decide_harmless(desk, Root::ZERO, [(Item::of(validator), permit)]);
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
            Event::Result(instance, purpose, input) if instance.kind == Kind::Randao => {
                self.randao_result(desk, purpose, input);
            }
            Event::Result(_, purpose, input) => self.result(desk, purpose, input),
            Event::Board => {}
        }
        self.deal.story.progress(self.deal.signing.progress());
    }

    /// When to tick.
    pub(crate) fn wake_at(&self, spec: &ChainSpec) -> Option<Millis> {
        [self.deal.wake_at(spec), self.fetch.wake_at()].into_iter().flatten().min()
    }

    fn tick(&mut self, desk: &mut Desk<'_>) {
        if self.fetch.retry(desk.now) {
            self.fetch_block(desk);
        }
        self.deal.tick(desk);
        self.drain(desk);
    }

    fn input(&mut self, desk: &mut Desk<'_>, input: Input) {
        match input {
            Input::Block { block, .. } => self.own_block(desk, block),
            Input::Header { root, known } => self.header(desk, root, known),
            Input::Peer(verified) => self.message(desk, verified),
            Input::Ask { request, ask: Ask::Block { randao_half, .. } } => {
                self.deal.story.asked_at(desk.now);
                self.deal.wait(request);
                let half = (0, Item::of(self.validator), randao_half);
                self.randao.halves(desk, SignRequest::default(), vec![half]);
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
        if let Message::Partial(partials) = verified.message()
            && partials.signed.statement.instance.kind == Kind::Randao
        {
            return self.randao.partials(desk, from, partials.clone());
        }
        if self.deal.message(desk, verified) {
            self.try_vouched(desk);
        }
        self.drain(desk);
    }

    fn randao_result(&mut self, desk: &mut Desk<'_>, purpose: Purpose, input: Input) {
        match (purpose, input) {
            (Purpose::Sign { items, request }, Input::Signed { results, .. }) => {
                if results.iter().any(Result::is_err) {
                    self.deal.answer(desk, &Answer::Refused(Refusal::BadHalf(self.validator)));
                }
                self.randao.signed(desk, &items, request, results);
            }
            (Purpose::Combine { items, .. }, Input::Combined { results, .. }) => {
                let fresh = self.randao.combined(desk, &items, &results);
                self.randao_known(desk, !fresh.is_empty());
            }
            _ => {}
        }
    }

    fn result(&mut self, desk: &mut Desk<'_>, purpose: Purpose, input: Input) {
        if let (Purpose::Verify { block }, Input::GroupVerified { valid, .. }) = (&purpose, &input) {
            if let Some(asked) = self.asked.get_mut(block) {
                asked.randao = Some(*valid);
            }
            self.judge(desk, *block);
            return self.drain(desk);
        }
        match self.deal.result(desk, purpose, input) {
            Settled::Opened => self.serve(desk),
            Settled::Signatures { hash, fresh } => self.submit(desk, hash, &fresh),
            Settled::Nothing => {}
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
        let Some(randao) = self.randao.signature(self.validator.into()) else { return };
        self.fetch = Fetch::Asked;
        desk.wish(Output::FetchBlock { slot: self.slot, randao });
    }

    fn own_block(&mut self, desk: &mut Desk<'_>, block: Option<ProposedBlock>) {
        let Some(block) = block else { return self.fetch.failed(desk.now) };
        self.fetch = Fetch::Done;
        self.deal.story.value_at(desk.now);
        let (hash, value) = (block.root, block.to_value());
        let asked = Asked { block: Some(block.clone()), randao: None, parent: Some(true) };
        self.asked.insert(hash, asked);
        self.own = Some(block);
        self.drive(desk, agree::Input::Own { hash, value });
    }

    fn drive(&mut self, desk: &mut Desk<'_>, input: agree::Input) {
        self.deal.tell(desk.now, input);
        self.drain(desk);
    }

    fn drain(&mut self, desk: &mut Desk<'_>) {
        while let Some(turn) = self.deal.turn(desk) {
            match turn {
                Turn::Check { hash, value } => self.check(desk, hash, &value),
                Turn::NeedOwn => self.need_own(desk),
                Turn::Decided { hash, .. } => self.decided(desk, hash),
            }
        }
    }

    fn need_own(&mut self, desk: &mut Desk<'_>) {
        if let Some(block) = &self.own {
            let (hash, value) = (block.root, block.to_value());
            self.deal.tell(desk.now, agree::Input::Own { hash, value });
        } else if self.fetch == Fetch::Idle {
            self.fetch = Fetch::Needed;
            self.fetch_block(desk);
        }
    }

    fn check(&mut self, desk: &mut Desk<'_>, hash: Root, value: &Value) {
        if self.asked.get(&hash).is_none_or(|asked| asked.block.is_none()) {
            let block = ProposedBlock::from_value(desk.setup.spec.preset, &value.0).ok();
            let block = block.filter(|block| block.root == hash);
            self.deal.story.value_at(desk.now);
            self.asked.insert(hash, Asked { block, randao: None, parent: None });
        }
        self.check_randao(desk, hash);
        self.check_parent(desk, hash);
        self.judge(desk, hash);
    }

    /// H4: the reveal is the group's. Ours tells at once, for BLS signatures are unique; else a pairing does.
    fn check_randao(&mut self, desk: &mut Desk<'_>, hash: Root) {
        let known = self.randao.signature(self.validator.into());
        let Some(asked) = self.asked.get_mut(&hash) else { return };
        let Some(block) = asked.block.as_ref().filter(|_| asked.randao.is_none()) else { return };
        if let Some(randao) = known {
            asked.randao = Some(randao == block.randao_reveal);
            return;
        }
        let spec = &desk.setup.spec;
        let purpose = Purpose::Verify { block: hash };
        let ticket = desk.tickets.issue(self.deal.instance(), purpose);
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
        self.deal.tell(desk.now, agree::Input::Checked { hash, verdict });
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

    fn decided(&mut self, desk: &mut Desk<'_>, hash: Root) {
        let block = self.block(hash).expect("hard checks passed, so it was read").clone();
        let candidate = self.candidate(desk, &block);
        self.agreed = Some(block);
        self.deal.signing.decide(desk, hash, &[candidate]);
        if self.deal.signing.all_refused().is_some() {
            self.deal.story.refused();
        }
    }

    /// Answers the client's questions for the block: only what is agreed, guarded and durable.
    fn serve(&mut self, desk: &mut Desk<'_>) {
        if let Some(refusal) = self.deal.refusal() {
            return self.deal.answer(desk, &Answer::Refused(refusal));
        }
        if let Some(block) = self.agreed.clone().filter(|_| self.deal.signing.is_open()) {
            self.deal.answer(desk, &Answer::Block(block));
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
            return desk.refuse(request, refusal);
        }
        self.deal.story.half_at(desk.now);
        let half = (0, Item::of(self.validator), half);
        self.deal.signing.halves(desk, SignRequest::of(request), vec![half]);
    }

    /// Rule 6: `t` partials that combine and verify decide, even if nothing else has.
    fn try_vouched(&mut self, desk: &mut Desk<'_>) {
        let Some(hash) = self.deal.signing.vouched(desk.setup.size.threshold()) else { return };
        let Some(block) = self.block(hash) else { return };
        let candidate = self.candidate(desk, block);
        self.deal.signing.adopt(hash, [(candidate.validator.into(), candidate.root)]);
        self.deal.signing.combine(desk);
    }

    fn submit(&mut self, desk: &mut Desk<'_>, hash: Root, fresh: &[(Item, Signature)]) {
        let Some((_, signature)) = fresh.first().copied() else { return };
        let Some(block) = self.block(hash).cloned() else { return };
        self.deal.submit(desk, hash, Submission::Block { block, signature });
        self.drain(desk);
    }
}
