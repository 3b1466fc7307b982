//! A block, and the RANDAO reveal it needs.
//!
//! ```text
//! the client asks for a block -> its RANDAO half -> partials -> the group's reveal
//!      -> the leader's FetchBlock -> agree (propose, vote, decide) -> guard, journal -> the client signs
//!      -> its half -> partials -> signature -> Submit
//! ```
//!
//! What is agreed on is the block's blinded form. Its payload and blobs travel beside, and a node votes once it holds them
//! (S5), so that a leader that keeps them to itself costs a round and not the block: among the voters somebody honest can
//! publish. The leader sends them once; who lacks them when the first round is over asks those who voted, for from then on
//! nothing else may be proposed. A builder's block has its payload with the relay; it is voted for only with the bid of a
//! relay on the list.

use super::deal::{Deal, Settled, Turn, agree_setup};
use super::fetch::Fetch;
use super::signing::Signing;
use super::{Desk, Event, Purpose, SignRequest};
use crate::account::Obstacle;
use crate::agree::{self, Verdict};
use crate::guard;
use crate::journal::{Candidate, Harmless, Permit, Promise};
use crate::outcome::Story;
use crate::{Answer, Ask, Input, Output, Refusal, RequestId, Submission, To};
use std::collections::{BTreeMap, BTreeSet};
use types::bid::RelayBid;
use types::block::ProposedBlock;
use types::duty::ProposerDuty;
use types::offer::Offer;
use types::wire::{Instance, Item, Kind, Message, Value, ValueId};
use types::{ChainSpec, DomainType, Millis, Root, ShareIndex, Signature, SigningRoot, Slot, ValidatorNo};

/// Blocks whose payloads are at hand, of one slot: one of each operator, which leads a round each.
const CONTENTS_MAX: usize = 32;

/// Payloads sent to one peer that asks, of one slot: what it lacks, and twice more if a link broke under it.
const CONTENTS_SERVED_MAX: u8 = 3;

/// A value that agreement has asked about.
#[derive(Debug)]
struct Asked {
    /// The offer, if the bytes are one and hash to what they should.
    offer: Option<Offer>,
    /// Whether its RANDAO reveal is the group's, once known.
    randao: Option<bool>,
    /// Whether its bid is signed by its relay, once known; true without a bid.
    bid: Option<bool>,
    /// Whether the own beacon nodes know its parent, once known.
    parent: Option<bool>,
}

impl Asked {
    fn of(offer: Option<Offer>, parent: Option<bool>) -> Self {
        let bid = offer.as_ref().is_some_and(|offer| offer.bid().is_none()).then_some(true);
        Self { offer, randao: None, bid, parent }
    }

    fn parent_root(&self) -> Option<Root> {
        self.offer.as_ref().map(|offer| offer.block().parent_root)
    }
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
    own: Option<Offer>,
    asked: BTreeMap<Root, Asked>,
    headers_asked: BTreeSet<Root>,
    /// Whether parents that were not known are asked about again.
    parents: Fetch,
    /// Blocks whose payload and blobs are at hand here.
    at_hand: BTreeSet<Root>,
    /// How often each peer was sent a payload because it asked.
    served: BTreeMap<ShareIndex, u8>,
    agreed: Option<Offer>,
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
        let mut deal = Deal::new(desk, setup, [validator.into()]);
        deal.story.blocked(Obstacle::NoReveal);
        let mut propose = Self {
            slot: instance.slot,
            validator,
            duty,
            randao: Signing::new(randao, desk.setup.size.threshold(), [validator.into()]),
            deal,
            fetch: Fetch::Idle,
            own: None,
            asked: BTreeMap::new(),
            headers_asked: BTreeSet::new(),
            parents: Fetch::Idle,
            at_hand: BTreeSet::new(),
            served: BTreeMap::new(),
            agreed: None,
            randao_story: Story::new(desk.setup, randao),
        };
        let permit = Permit::harmless(&desk.setup.spec, validator, Harmless::Randao(instance.slot));
        propose.randao.decide_harmless(desk, Root::ZERO, [(Item::of(validator), permit)]);
        propose
    }

    /// Takes one event.
    pub(crate) fn handle(&mut self, desk: &mut Desk<'_>, event: Event) {
        match event {
            Event::Tick => self.tick(desk),
            Event::Presence => {
                self.drive(desk, agree::Input::Heard(desk.view.heard(self.slot)));
                self.deal.signing.combine(desk);
                self.randao.combine(desk);
            }
            Event::Reconnected(peer) => {
                self.drive(desk, agree::Input::Reconnected(peer));
                self.randao.resend(desk, peer);
            }
            Event::Input(input) => self.input(desk, input),
            Event::Result(instance, purpose, input) if instance.kind == Kind::Randao => {
                self.randao_result(desk, purpose, input);
            }
            Event::Result(_, purpose, input) => self.result(desk, purpose, input),
            Event::Stopped => self.deal.stopped(desk),
            Event::Board => {}
        }
        self.deal.story.progress(self.deal.signing.progress());
        self.randao_story.progress(self.randao.progress());
    }

    /// When to tick.
    pub(crate) fn wake_at(&self, spec: &ChainSpec) -> Option<Millis> {
        [self.deal.wake_at(spec), self.randao.wake_at(), self.fetch.wake_at(), self.parents.wake_at()]
            .into_iter()
            .flatten()
            .min()
    }

    fn tick(&mut self, desk: &mut Desk<'_>) {
        if self.fetch.retry(desk.now) {
            self.fetch_block(desk);
        }
        if self.parents.retry(desk.now) {
            for hash in self.asked.keys().copied().collect::<Vec<_>>() {
                self.check_parent(desk, hash);
            }
        }
        self.deal.tick(desk);
        self.randao.combine(desk);
        self.drain(desk);
    }

    fn input(&mut self, desk: &mut Desk<'_>, input: Input) {
        match input {
            Input::Block { offer, .. } => self.own_block(desk, offer),
            Input::Contents { root, .. } => self.contents(desk, root),
            Input::Header { root, known } => self.header(desk, root, known),
            Input::Peer(verified) => self.message(desk, verified),
            Input::Ask { request, ask: Ask::Block { randao_half, .. } } => {
                self.deal.story.asked_at(desk.now);
                self.randao_story.asked_at(desk.now);
                self.randao_story.half_at(desk.now);
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
            self.randao.partials(desk, from, partials.clone());
            return self.randao_story.partials(desk.now, from, self.randao.sent_by(from));
        }
        if let Message::FetchContents(id) = verified.message()
            && self.at_hand.contains(&id.hash)
        {
            self.serve_contents(desk, from, id.hash);
        }
        if self.deal.message(desk, verified) {
            self.try_vouched(desk);
        }
        self.drain(desk);
    }

    fn randao_result(&mut self, desk: &mut Desk<'_>, purpose: Purpose, input: Input) {
        match (purpose, input) {
            (Purpose::Sign { items, request }, Input::Signed { results, .. }) => {
                self.randao_story.completed(&results);
                if results.iter().any(Result::is_err) {
                    self.deal.answer(desk, &Answer::Refused(Refusal::BadHalf(self.validator)));
                }
                self.randao.signed(desk, &items, request, results);
            }
            (Purpose::Combine { items, .. }, Input::Combined { results, .. }) => {
                self.randao_story.combined(&items, &results);
                let fresh = self.randao.combined(desk, &items, &results);
                self.randao_known(desk, !fresh.is_empty());
            }
            _ => {}
        }
    }

    fn result(&mut self, desk: &mut Desk<'_>, purpose: Purpose, input: Input) {
        if let Input::GroupVerified { valid, .. } = input {
            return self.verified(desk, &purpose, valid);
        }
        match self.deal.result(desk, purpose, input) {
            Settled::Opened => self.serve(desk),
            Settled::Signatures { hash, fresh } => self.submit(desk, hash, &fresh),
            Settled::Nothing => {}
        }
    }

    /// A signature inside an offer was checked.
    fn verified(&mut self, desk: &mut Desk<'_>, purpose: &Purpose, valid: bool) {
        let (Purpose::Reveal { hash } | Purpose::Bid { hash }) = purpose else { return };
        let Some(asked) = self.asked.get_mut(hash) else { return };
        match purpose {
            Purpose::Bid { .. } => asked.bid = Some(valid),
            _ => asked.randao = Some(valid),
        }
        self.judge(desk, *hash);
        self.drain(desk);
    }

    /// The group's reveal has been combined, if `known`: blocks can be made, and those at hand judged.
    fn randao_known(&mut self, desk: &mut Desk<'_>, known: bool) {
        if !known {
            return;
        }
        self.randao_story.signed_at(desk.now);
        self.deal.story.cleared(Obstacle::NoReveal);
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
        self.deal.story.wanted_at(desk.now);
        desk.wish(Output::FetchBlock { slot: self.slot, randao });
    }

    fn own_block(&mut self, desk: &mut Desk<'_>, offer: Option<Offer>) {
        let Some(offer) = offer else {
            return self.fetch.failed(desk.now, desk.setup.spec.slot_start(self.slot.next()));
        };
        self.fetch = Fetch::Done;
        self.deal.story.own_at(desk.now);
        let (hash, value) = (offer.hash(), offer.to_value());
        let (root, local) = (offer.block().root, offer.bid().is_none());
        self.asked.insert(hash, Asked::of(Some(offer.clone()), Some(true)));
        self.own = Some(offer);
        if local {
            self.at_hand.insert(root);
        }
        self.drive(desk, agree::Input::Own { hash, value });
        if local {
            self.send_contents(desk, To::All, root);
        }
    }

    /// The payload of a block has come: it can be voted for now.
    fn contents(&mut self, desk: &mut Desk<'_>, root: Root) {
        if self.at_hand.len() >= CONTENTS_MAX || !self.at_hand.insert(root) {
            return;
        }
        for hash in self.asked.keys().copied().collect::<Vec<_>>() {
            self.judge(desk, hash);
        }
        self.drain(desk);
    }

    /// Asks a peer for the payload behind a value: the block's root names it.
    fn fetch_contents(&self, desk: &mut Desk<'_>, hash: Root, from: ShareIndex) {
        let Some(offer) = self.offer(hash) else { return };
        let id = ValueId { instance: self.deal.instance(), hash: offer.block().root };
        desk.wish(Output::Send { to: To::One(from), message: Message::FetchContents(id) });
    }

    fn serve_contents(&mut self, desk: &mut Desk<'_>, to: ShareIndex, root: Root) {
        let served = self.served.entry(to).or_default();
        if *served < CONTENTS_SERVED_MAX {
            *served += 1;
            self.send_contents(desk, To::One(to), root);
        }
    }

    fn send_contents(&self, desk: &mut Desk<'_>, to: To, root: Root) {
        desk.wish(Output::SendContents { to, instance: self.deal.instance(), root });
    }

    fn drive(&mut self, desk: &mut Desk<'_>, input: agree::Input) {
        self.deal.tell(desk.now, input);
        self.drain(desk);
    }

    fn drain(&mut self, desk: &mut Desk<'_>) {
        while let Some(turn) = self.deal.turn(desk) {
            match turn {
                Turn::Check { hash, value } => self.check(desk, hash, &value),
                Turn::FetchContents { hash, from } => self.fetch_contents(desk, hash, from),
                Turn::NeedOwn => self.need_own(desk),
                Turn::Decided { hash, .. } => self.decided(desk, hash),
            }
        }
    }

    fn need_own(&mut self, desk: &mut Desk<'_>) {
        if let Some(offer) = &self.own {
            let (hash, value) = (offer.hash(), offer.to_value());
            self.deal.tell(desk.now, agree::Input::Own { hash, value });
        } else if self.fetch == Fetch::Idle {
            self.fetch = Fetch::Needed;
            self.fetch_block(desk);
        }
    }

    fn check(&mut self, desk: &mut Desk<'_>, hash: Root, value: &Value) {
        if self.asked.get(&hash).is_none_or(|asked| asked.offer.is_none()) {
            let offer = Offer::from_value(desk.setup.spec.preset, &value.0).ok();
            let offer = offer.filter(|offer| offer.hash() == hash);
            self.deal.story.value_at(desk.now);
            self.asked.insert(hash, Asked::of(offer, None));
        }
        self.check_randao(desk, hash);
        self.check_bid(desk, hash);
        self.check_parent(desk, hash);
        self.judge(desk, hash);
    }

    /// H4: the reveal is the group's. Ours tells at once, for BLS signatures are unique; else a pairing does.
    fn check_randao(&mut self, desk: &mut Desk<'_>, hash: Root) {
        let known = self.randao.signature(self.validator.into());
        let Some(asked) = self.asked.get_mut(&hash) else { return };
        let Some(offer) = asked.offer.as_ref().filter(|_| asked.randao.is_none()) else { return };
        let signature = offer.block().randao_reveal;
        if let Some(randao) = known {
            asked.randao = Some(randao == signature);
            return;
        }
        let spec = &desk.setup.spec;
        let key = desk.setup.validators[self.validator.0 as usize].group_key;
        let root = SigningRoot::randao(spec, spec.epoch_of(self.slot));
        let ticket = desk.tickets.issue(self.deal.instance(), Purpose::Reveal { hash });
        desk.wish(Output::VerifyGroup { ticket, key, root, signature });
    }

    /// H4: a builder's block comes with its relay's bid, of a relay on the list; its signature takes a pairing.
    fn check_bid(&mut self, desk: &mut Desk<'_>, hash: Root) {
        let Some(asked) = self.asked.get(&hash).filter(|asked| asked.bid.is_none()) else { return };
        let Some(offer) = &asked.offer else { return };
        let Some(bid) = offer.bid().filter(|bid| is_offered(desk, bid, offer.block())) else { return };
        let (key, signature) = (bid.relay, bid.signature);
        let root = bid.signing_root(&desk.setup.spec);
        let ticket = desk.tickets.issue(self.deal.instance(), Purpose::Bid { hash });
        desk.wish(Output::VerifyGroup { ticket, key, root, signature });
    }

    /// S4: the own beacon nodes know the parent.
    fn check_parent(&mut self, desk: &mut Desk<'_>, hash: Root) {
        let Some(asked) = self.asked.get_mut(&hash) else { return };
        let Some(root) = asked.parent_root().filter(|_| asked.parent.is_none()) else { return };
        if desk.view.knows(&root) {
            asked.parent = Some(true);
        } else if self.headers_asked.insert(root) {
            desk.wish(Output::FetchHeader { root });
        }
    }

    fn header(&mut self, desk: &mut Desk<'_>, root: Root, known: bool) {
        let mut touched = Vec::new();
        for (hash, asked) in &mut self.asked {
            if asked.parent_root() == Some(root) && asked.parent != Some(true) {
                asked.parent = known.then_some(true);
                touched.push(*hash);
            }
        }
        // It may come a moment later: then this node votes, too.
        if !known && !touched.is_empty() {
            self.headers_asked.remove(&root);
            self.parents.failed(desk.now, desk.setup.spec.slot_start(self.slot.next()));
        }
        for hash in touched {
            self.judge(desk, hash);
        }
        self.drain(desk);
    }

    /// Tells agreement what is known of a value, once that is enough for a verdict.
    fn judge(&mut self, desk: &Desk<'_>, hash: Root) {
        let Some(asked) = self.asked.get(&hash) else { return };
        let (verdict, obstacle) = match &asked.offer {
            None => (Verdict::WrongBytes, None),
            Some(offer) if !self.hard(desk, offer) => (Verdict::Refused, Some(Obstacle::ValueRefused)),
            Some(offer) if !self.is_allowed(desk, offer) => {
                (Verdict::Forbidden, Some(Obstacle::ValueSlashable))
            }
            Some(offer) => match (asked.randao, asked.bid) {
                (Some(false), _) | (_, Some(false)) => (Verdict::Refused, Some(Obstacle::ValueRefused)),
                (None, _) | (_, None) => return,
                (Some(true), Some(true)) if asked.parent != Some(true) => (Verdict::OnlyHard, None),
                (Some(true), Some(true)) if !self.is_at_hand(offer) => (Verdict::NoContents, None),
                (Some(true), Some(true)) => (Verdict::Good, None),
            },
        };
        if let Some(obstacle) = obstacle {
            self.deal.story.blocked(obstacle);
        }
        self.deal.tell(desk.now, agree::Input::Checked { hash, verdict });
    }

    /// S5: whoever publishes the block has its payload. A builder's is with its relay.
    fn is_at_hand(&self, offer: &Offer) -> bool {
        offer.bid().is_some() || self.at_hand.contains(&offer.block().root)
    }

    /// H1 and H4 without signatures and journal: computed from the agreed bytes, never waived.
    fn hard(&self, desk: &Desk<'_>, offer: &Offer) -> bool {
        let spec = &desk.setup.spec;
        let block = offer.block();
        let pays = match offer.bid() {
            None => desk.view.registry.may_pay(spec, self.validator, block.fee_recipient, desk.now),
            Some(bid) => is_offered(desk, bid, block),
        };
        pays && block.slot == self.slot
            && block.proposer_index == self.duty.validator_index
            && block.fork == spec.fork_at(spec.epoch_of(self.slot)).fork
    }

    /// H4: the journal allows it, never waived.
    fn is_allowed(&self, desk: &Desk<'_>, offer: &Offer) -> bool {
        let judged = desk.journal.judge(&self.candidate(desk, offer.block()));
        !matches!(judged, guard::Verdict::Refused(_))
    }

    fn candidate(&self, desk: &Desk<'_>, block: &ProposedBlock) -> Candidate {
        let spec = &desk.setup.spec;
        let epoch = spec.epoch_of(self.slot);
        let root = SigningRoot::of(spec, DomainType::BeaconProposer, epoch, block.root);
        let promise = Promise::Block { slot: self.slot };
        Candidate { validator: self.validator, slot: self.slot, promise, root }
    }

    fn offer(&self, hash: Root) -> Option<&Offer> {
        self.asked.get(&hash)?.offer.as_ref()
    }

    fn decided(&mut self, desk: &mut Desk<'_>, hash: Root) {
        let offer = self.offer(hash).expect("hard checks passed, so it was read").clone();
        let candidate = self.candidate(desk, offer.block());
        self.agreed = Some(offer);
        self.deal.signing.decide(desk, hash, &[candidate]);
        self.deal.story.refused(self.deal.signing.refused());
        self.serve(desk);
    }

    /// Answers the client's questions for the block: only what is agreed and promised; halves wait for the disk.
    fn serve(&mut self, desk: &mut Desk<'_>) {
        if let Some(refusal) = self.deal.refusal() {
            return self.deal.answer(desk, &Answer::Refused(refusal));
        }
        if let Some(offer) = self.agreed.as_ref().filter(|_| self.deal.signing.is_promised()) {
            let answer = Answer::Block(offer.block().clone());
            self.deal.answer(desk, &answer);
        }
    }

    fn half(&mut self, desk: &mut Desk<'_>, request: RequestId, root: Root, half: Signature) {
        let refusal = match &self.agreed {
            None => Some(Refusal::NothingAgreed(self.slot)),
            Some(offer) if offer.block().root != root => {
                Some(Refusal::NotAgreed { signed: root, agreed: offer.block().root })
            }
            Some(_) => None,
        };
        if let Some(refusal) = refusal {
            self.deal.story.half_refused(&refusal);
            return desk.refuse(request, refusal);
        }
        self.deal.story.half_at(desk.now);
        let half = (0, Item::of(self.validator), half);
        self.deal.signing.halves(desk, SignRequest::of(request), vec![half]);
    }

    /// Rule 6: `t` partials that combine and verify decide, even if nothing else has.
    fn try_vouched(&mut self, desk: &mut Desk<'_>) {
        let Some(hash) = self.deal.signing.vouched(desk.setup.size.threshold()) else { return };
        let Some(offer) = self.offer(hash) else { return };
        let candidate = self.candidate(desk, offer.block());
        self.deal.signing.adopt(hash, [(candidate.validator.into(), candidate.root)]);
        self.deal.signing.combine(desk);
    }

    fn submit(&mut self, desk: &mut Desk<'_>, hash: Root, fresh: &[(Item, Signature)]) {
        let Some((_, signature)) = fresh.first().copied() else { return };
        let Some(offer) = self.offer(hash).cloned().map(Box::new) else { return };
        self.deal.submit(desk, hash, Submission::Block { offer, signature });
        self.drain(desk);
    }
}

/// Whether a bid is of a relay on the list, and for this block. Its signature is checked beside.
fn is_offered(desk: &Desk<'_>, bid: &RelayBid, block: &ProposedBlock) -> bool {
    desk.setup.relays.contains(&bid.relay) && bid.matches(block).is_ok()
}
