//! Who did wrong, so that it can be shown to others.
//!
//! Everything here is signed by the culprit: two statements that contradict each other, an item of a message that
//! breaks a rule, a length no message has, or an accusation that does not hold. What a rule needs beside the item
//! comes along in the [`BadItem`], under the signatures of those who said it, so that whoever knows the definition can
//! judge ([`mod@super::judge`]), though it took no part. Silence cannot be proved; it is reported, never accused.
//!
//! **What evidence gives away.** A private share that does not fit is no point of its dealer's polynomial, and the
//! ceremony that it belongs to has ended: its keys are never made. Everything else in evidence is public in a ceremony.

use super::Step;
use super::inbox::Whole;
use super::merkle;
use super::wire::Signed;
use ssz_derive::{Decode, Encode};
use std::fmt;
use types::{Root, ShareIndex};

/// Two statements of one author, step and recipient.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Conflict {
    /// One.
    pub first: Signed,
    /// The other, of another root or length.
    pub second: Signed,
}

/// An item of a message, under its author's statement.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Shown {
    /// The message it is from.
    pub signed: Signed,
    /// Its place.
    pub index: u32,
    /// Itself.
    pub item: Vec<u8>,
    /// That it is at this place under the statement's root.
    pub proof: Vec<Root>,
}

impl Shown {
    pub(super) fn of(signed: Signed, content: &[u8], item_len: usize, index: usize) -> Self {
        let proof = merkle::proof(content, item_len, index);
        let item = content[index * item_len..][..item_len].to_vec();
        let index =
            u32::try_from(index).expect("contents have fewer items than bytes, whose number is a u32");
        Self { signed, index, item, proof }
    }
}

/// A whole message, under its author's statement.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Said {
    /// The statement.
    pub signed: Signed,
    /// Everything that it stands for.
    pub content: Vec<u8>,
}

/// An item that breaks its step's rule, with what the rule is computed from.
///
/// | step | `round1` | `echo` |
/// |---|---|---|
/// | round 2 | the author's own item of that validator | none |
/// | seal | everybody's items of that validator, in order of operator | the author's, which says that it had these |
/// | others | none | none |
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct BadItem {
    /// The item.
    pub shown: Shown,
    /// Commitments.
    pub round1: Vec<Shown>,
    /// One or none.
    pub echo: Vec<Said>,
}

/// What proves a fault.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[ssz(enum_behaviour = "union")]
pub enum Evidence {
    /// Two different messages for one step.
    Conflict(Conflict),
    /// A message of a length its step does not have.
    Length(Signed),
    /// A message with an item that breaks the step's rule.
    Item(BadItem),
    /// An accusation that does not hold.
    FalseAccusation(Said),
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(conflict) => write!(f, "two different {} messages", conflict.first.statement.step),
            Self::Length(signed) => {
                write!(f, "a {} message of {} bytes", signed.statement.step, signed.statement.length)
            }
            Self::Item(bad) => {
                let step = bad.shown.signed.statement.step;
                write!(f, "{} in item {} of {step}", rule(step), bad.shown.index)
            }
            Self::FalseAccusation(_) => f.write_str("an accusation that does not hold"),
        }
    }
}

/// Contents may be private shares, though of a dead ceremony: they do not print.
impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Evidence({self})")
    }
}

const fn rule(broken_in: Step) -> &'static str {
    match broken_in {
        Step::Gather => "another definition or attempt than the ceremony's",
        Step::Round1 => "bad commitments or a wrong proof of knowledge",
        Step::Echo => "a round-1 statement that its author did not sign",
        Step::Round2 => "a private share that does not fit its commitments",
        Step::Seal => "a wrong partial signature",
        Step::Lock => "a wrong lock hash or a wrong signature over it",
        Step::Done | Step::Farewell => "another lock hash than the ceremony's",
        Step::Complaint => "an accusation",
    }
}

/// A culprit and what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Who.
    pub culprit: ShareIndex,
    /// The proof: SSZ, for whoever wants to judge it again.
    pub evidence: Evidence,
}

impl Fault {
    /// A bad item with what its rule needs.
    pub(super) fn item(whole: &Whole, index: usize, round1: Vec<Shown>, echo: Vec<Said>) -> Self {
        let shown = Shown::of(whole.signed, &whole.content, whole.shape.item_len, index);
        let evidence = Evidence::Item(BadItem { shown, round1, echo });
        Self { culprit: whole.signed.statement.author, evidence }
    }
}

/// Whether two statements may not come from one author. Accusations may differ: a restarted node may hear of faults
/// in another order.
pub(super) fn conflicts(first: &Signed, second: &Signed) -> bool {
    let (a, b) = (first.statement, second.statement);
    a.step != Step::Complaint
        && (a.author, a.step, a.to) == (b.author, b.step, b.to)
        && (a.root, a.length) != (b.root, b.length)
}
