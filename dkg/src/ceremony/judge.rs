//! Whether evidence proves what it says.
//!
//! A judge computes the rule again from the definition, from what the evidence shows, and believes nobody. An operator
//! whose node keeps to the protocol can be named by nobody, whatever the others sign together: a statement of its
//! own is in everything that names it, and what it is measured by was signed by itself too (its round 1; its
//! echo, which lists everybody's round 1 as it has heard them).
//!
//! The one rule that evidence is too small for is that of the lock's hash and of the sum under it, which need all keys. Who
//! takes part judges these by what it computed itself; who does not can only say [`Verdict::Unknown`].

use super::Step;
use super::evidence::{BadItem, Conflict, Evidence, Fault, Said, Shown, conflicts};
use super::merkle;
use super::plan::{COMPLAINT_LEN_MAX, Plan, Setup, SetupError};
use super::seal::{CeremonyPeers, Sealing};
use super::wire::{Signed, shape_of};
use super::work::{LockItem, Work, echoed};
use crypto::{PublicKeyPoint, verify};
use keys::frost::{PrivateShare, Round1, public_keys};
use ssz::Decode as _;
use types::{ClusterSize, PublicKey, ShareIndex, Signature, ValidatorNo};

/// Accusations of false accusations deeper than this are not followed.
const DEPTH_MAX: usize = 4;

/// What a judge finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This operator has done wrong.
    Guilty(ShareIndex),
    /// Nothing is proved.
    NotGuilty,
    /// It takes more than the judge knows.
    Unknown,
}

/// Judges evidence by the definition alone, as whoever was not there can.
///
/// - `setup`: of the ceremony that the evidence is from; whose place it takes does not matter.
/// - Errors: [`SetupError`], where there is no such ceremony.
/// - Cost: for a private share `n` scalar multiplications, for a partial signature those of one validator's key and a
///   pairing.
pub fn judge(
    setup: &Setup,
    peers: &impl CeremonyPeers,
    sealing: &impl Sealing,
    evidence: &Evidence,
) -> Result<Verdict, SetupError> {
    let plan = Plan::new(setup.clone(), sealing.messages())?;
    Ok(Judge { plan: &plan, peers, sealing, work: None }.verdict(evidence, 0))
}

/// What becomes of an accusation: a list of evidence.
#[derive(Debug)]
pub(super) enum Accusation {
    /// At least one piece of evidence holds.
    Holds(Vec<Fault>),
    /// None holds, and all could be judged.
    False,
    /// Some cannot be judged yet and none holds.
    Unknown,
}

/// Whoever judges, with what it knows.
pub(super) struct Judge<'a, P, S> {
    pub(super) plan: &'a Plan,
    pub(super) peers: &'a P,
    pub(super) sealing: &'a S,
    /// What it computed itself, if it takes part.
    pub(super) work: Option<&'a Work>,
}

impl<P: CeremonyPeers, S: Sealing> Judge<'_, P, S> {
    /// Judges the content of an accusation.
    pub(super) fn accusation(&self, content: &[u8]) -> Accusation {
        self.accusation_at(content, 0)
    }

    fn accusation_at(&self, content: &[u8], depth: usize) -> Accusation {
        let Ok(list) = Vec::<Evidence>::from_ssz_bytes(content) else { return Accusation::False };
        if list.len() > self.plan.size().operators() {
            return Accusation::False;
        }
        let (mut faults, mut unknown) = (Vec::new(), false);
        for evidence in list {
            match self.verdict(&evidence, depth) {
                Verdict::Guilty(culprit) => faults.push(Fault { culprit, evidence }),
                Verdict::NotGuilty => {}
                Verdict::Unknown => unknown = true,
            }
        }
        match (faults.is_empty(), unknown) {
            (false, _) => Accusation::Holds(faults),
            (true, true) => Accusation::Unknown,
            (true, false) => Accusation::False,
        }
    }

    fn verdict(&self, evidence: &Evidence, depth: usize) -> Verdict {
        let (broken, signed) = match evidence {
            Evidence::Conflict(Conflict { first, second }) => {
                (Some(conflicts(first, second) && self.is_ours(first) && self.is_ours(second)), first)
            }
            Evidence::Length(signed) => {
                (Some(self.is_ours(signed) && shape_of(self.plan, &signed.statement).is_none()), signed)
            }
            Evidence::Item(bad) => (self.is_bad(bad), &bad.shown.signed),
            Evidence::FalseAccusation(said) => (self.is_false(said, depth), &said.signed),
        };
        match broken {
            Some(true) => Verdict::Guilty(signed.statement.author),
            Some(false) => Verdict::NotGuilty,
            None => Verdict::Unknown,
        }
    }

    fn is_ours(&self, signed: &Signed) -> bool {
        let statement = &signed.statement;
        statement.ceremony == self.plan.ceremony
            && self.plan.size().contains(statement.author)
            && signed.is_signed(self.peers)
    }

    fn is_shown(&self, shown: &Shown) -> bool {
        let statement = &shown.signed.statement;
        let Some(shape) = shape_of(self.plan, statement).filter(|_| self.is_ours(&shown.signed)) else {
            return false;
        };
        statement.step != Step::Complaint
            && shown.item.len() == shape.item_len
            && merkle::proves(&statement.root, shape.items, shown.index as usize, &shown.item, &shown.proof)
    }

    fn is_said(&self, said: &Said, step: Step) -> bool {
        let statement = &said.signed.statement;
        let item_len = self.plan.shape(step).map_or(said.content.len(), |shape| shape.item_len);
        statement.step == step
            && said.content.len() == statement.length as usize
            && shape_of(self.plan, statement).is_some()
            && merkle::root(&said.content, item_len) == statement.root
            && self.is_ours(&said.signed)
    }

    fn is_false(&self, said: &Said, depth: usize) -> Option<bool> {
        if said.content.len() > COMPLAINT_LEN_MAX || !self.is_said(said, Step::Complaint) {
            return Some(false);
        }
        if depth == DEPTH_MAX {
            return None;
        }
        match self.accusation_at(&said.content, depth + 1) {
            Accusation::Holds(_) => Some(false),
            Accusation::False => Some(true),
            Accusation::Unknown => None,
        }
    }

    /// Whether an item breaks its step's rule; `None` if what decides it is not known.
    fn is_bad(&self, bad: &BadItem) -> Option<bool> {
        let BadItem { shown, round1, echo } = bad;
        let Signed { statement, .. } = &shown.signed;
        let (plan, item, index) = (self.plan, shown.item.as_slice(), shown.index as usize);
        let (needs_round1, needs_echo) = match statement.step {
            Step::Round2 => (1, 0),
            Step::Seal => (plan.size().operators(), 1),
            Step::Gather
            | Step::Round1
            | Step::Echo
            | Step::Lock
            | Step::Done
            | Step::Farewell
            | Step::Complaint => (0, 0),
        };
        if (round1.len(), echo.len()) != (needs_round1, needs_echo) || !self.is_shown(shown) {
            return Some(false);
        }
        match statement.step {
            Step::Gather => Some(item != plan.hello()),
            Step::Round1 => Some(round1_is_bad(plan.size(), statement.author, item)),
            Step::Echo => Some(echo_is_bad(plan, self.peers, index, item)),
            Step::Round2 => Some(self.share_is_bad(shown, &round1[0])),
            Step::Seal => Some(self.partial_is_bad(shown, round1, &echo[0])),
            Step::Lock => {
                let item = LockItem::parse(item);
                let known = || self.work?.lock_is_bad(statement.author, &item);
                if item.is_signed(self.peers, statement.author) { known() } else { Some(true) }
            }
            Step::Done | Step::Farewell => Some(item != self.work?.lock_hash()?.0),
            Step::Complaint => Some(false),
        }
    }

    /// The commitments that somebody has shown for a validator.
    fn commitments(&self, shown: &Shown, author: ShareIndex, validator: usize) -> Option<Round1> {
        let of = (shown.signed.statement.step, shown.signed.statement.author, shown.index as usize);
        let shown =
            Some(shown).filter(|shown| of == (Step::Round1, author, validator) && self.is_shown(shown))?;
        Round1::from_bytes(self.plan.size(), &shown.item).ok()
    }

    /// A private share against its author's own commitments.
    fn share_is_bad(&self, shown: &Shown, round1: &Shown) -> bool {
        let statement = &shown.signed.statement;
        let recipient = ShareIndex::new(statement.to).filter(|to| self.plan.size().contains(*to));
        let Some(recipient) = recipient else { return true };
        let bytes: [u8; PrivateShare::LEN] =
            shown.item.as_slice().try_into().expect("it has its step's length");
        let commitments = self.commitments(round1, statement.author, shown.index as usize);
        commitments.is_some_and(|round1| !round1.fits(recipient, &PrivateShare::from_bytes(bytes)))
    }

    /// A partial signature against the key that follows from the round 1 that its author has echoed.
    fn partial_is_bad(&self, shown: &Shown, round1: &[Shown], echo: &Said) -> bool {
        let author = shown.signed.statement.author;
        let number = shown.index as usize / self.plan.messages;
        let Some((group, share)) = self.key_of_echo(author, number, round1, echo) else { return false };
        let validator = ValidatorNo(u32::try_from(number).expect("a part of a u32"));
        let root = self.sealing.signing_roots(validator, &group)[shown.index as usize % self.plan.messages];
        let signature = Signature(shown.item.as_slice().try_into().expect("it has its step's length"));
        !verify(&share, root.as_ref(), &signature)
    }

    /// A validator's key and the author's public share of it, from what its author says to have heard.
    fn key_of_echo(
        &self,
        author: ShareIndex,
        validator: usize,
        round1: &[Shown],
        echo: &Said,
    ) -> Option<(PublicKey, PublicKeyPoint)> {
        let (size, statement) = (self.plan.size(), &echo.signed.statement);
        if statement.author != author || !self.is_said(echo, Step::Echo) {
            return None;
        }
        let item_len = self.plan.shape(Step::Echo)?.item_len;
        let mut table = Vec::with_capacity(size.operators());
        for ((dealer, shown), item) in size.indices().zip(round1).zip(echo.content.chunks_exact(item_len)) {
            let heard = echoed(self.plan, dealer, item).statement;
            if heard != shown.signed.statement {
                return None;
            }
            table.push(self.commitments(shown, dealer, validator)?);
        }
        let (group, shares) = public_keys(size, &table)?;
        Some((group.bytes(), shares[author.position()]))
    }
}

/// Whether these are no commitments, or their proof of knowledge is wrong.
pub(super) fn round1_is_bad(size: ClusterSize, author: ShareIndex, item: &[u8]) -> bool {
    Round1::from_bytes(size, item).and_then(|round1| round1.check(size, author)).is_err()
}

/// Whether an item of an echo is nothing that the operator at its place has signed.
pub(super) fn echo_is_bad(plan: &Plan, peers: &impl CeremonyPeers, index: usize, item: &[u8]) -> bool {
    let of = plan.size().indices().nth(index).expect("an echo has an item for each operator");
    !echoed(plan, of, item).is_signed(peers)
}
