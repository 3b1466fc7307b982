//! Who did wrong, so that it can be shown to others.
//!
//! Everything here is signed by the culprit: two statements that contradict each other, an item of a message that
//! breaks a rule, a length no message has, or an accusation that does not hold. Whoever judges computes the rule
//! again from what it knows itself. Silence cannot be proved; it is reported, never accused.

use super::Step;
use super::inbox::Whole;
use super::merkle;
use super::plan::{COMPLAINT_LEN_MAX, Plan};
use super::wire::{Signed, shape_of};
use ssz::Decode as _;
use ssz_derive::{Decode, Encode};
use std::fmt;
use types::wire::Verify;
use types::{Root, ShareIndex};

/// Accusations of false accusations deeper than this are not followed.
const DEPTH_MAX: usize = 4;

/// Two statements of one author, step and recipient.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Conflict {
    /// One.
    pub first: Signed,
    /// The other, of another root or length.
    pub second: Signed,
}

/// An item that breaks its step's rule.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct BadItem {
    /// The message it is from.
    pub signed: Signed,
    /// Its place.
    pub index: u32,
    /// Itself.
    pub item: Vec<u8>,
    /// That it is at this place under the statement's root.
    pub proof: Vec<Root>,
}

/// An accusation that does not hold.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct FalseAccusation {
    /// The accuser's statement.
    pub signed: Signed,
    /// What it says.
    pub content: Vec<u8>,
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
    FalseAccusation(FalseAccusation),
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(conflict) => write!(f, "two different {} messages", conflict.first.statement.step),
            Self::Length(signed) => {
                write!(f, "a {} message of {} bytes", signed.statement.step, signed.statement.length)
            }
            Self::Item(bad) => {
                write!(f, "{} in item {} of {}", rule(bad), bad.index, bad.signed.statement.step)
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

fn rule(bad: &BadItem) -> &'static str {
    match bad.signed.statement.step {
        Step::Gather => "another definition or attempt than the ceremony's",
        Step::Round1 => "bad commitments or a wrong proof of knowledge",
        Step::Echo => "a round-1 statement that its author did not sign",
        Step::Round2 => "a private share that does not fit its commitments",
        Step::Seal => "a wrong partial signature",
        Step::Lock => "a wrong lock hash or a wrong signature over it",
        Step::Done => "another lock hash than the ceremony's",
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

/// What a judge finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Guilty(ShareIndex),
    NotGuilty,
    /// The judge does not know enough yet.
    Unknown,
}

/// What the judge knows of the rules of contents.
pub(super) trait Rules {
    /// Whether an item breaks its step's rule; `None` if what decides it is not known yet.
    fn breaks(&self, signed: &Signed, index: usize, item: &[u8]) -> Option<bool>;
}

/// The evidence that an item of a message is bad.
pub(super) fn bad_item(whole: &Whole, index: usize) -> Fault {
    let proof = merkle::proof(&whole.content, whole.shape.item_len, index);
    let index_on_wire =
        u32::try_from(index).expect("contents have fewer items than bytes, whose number is a u32");
    let item = whole.item(index).to_vec();
    let signed = whole.signed;
    let evidence = Evidence::Item(BadItem { signed, index: index_on_wire, item, proof });
    Fault { culprit: whole.signed.statement.author, evidence }
}

/// Judges evidence from what this operator knows itself.
fn judge_at(
    plan: &Plan,
    node: &impl Verify,
    rules: &impl Rules,
    evidence: &Evidence,
    depth: usize,
) -> Verdict {
    let ours = |signed: &Signed| is_ours(plan, node, signed);
    let guilty = |holds: bool, signed: &Signed| {
        if holds { Verdict::Guilty(signed.statement.author) } else { Verdict::NotGuilty }
    };
    match evidence {
        Evidence::Conflict(Conflict { first, second }) => {
            guilty(conflicts(first, second) && ours(first) && ours(second), first)
        }
        Evidence::Length(signed) => {
            guilty(ours(signed) && shape_of(plan, &signed.statement).is_none(), signed)
        }
        Evidence::Item(bad) => {
            let Some(shape) = shape_of(plan, &bad.signed.statement).filter(|_| ours(&bad.signed)) else {
                return Verdict::NotGuilty;
            };
            let (root, index) = (&bad.signed.statement.root, bad.index as usize);
            let shown = bad.item.len() == shape.item_len
                && bad.signed.statement.step != Step::Complaint
                && merkle::proves(root, shape.items, index, &bad.item, &bad.proof);
            if !shown {
                return Verdict::NotGuilty;
            }
            match rules.breaks(&bad.signed, index, &bad.item) {
                Some(broken) => guilty(broken, &bad.signed),
                None => Verdict::Unknown,
            }
        }
        Evidence::FalseAccusation(FalseAccusation { signed, content }) => {
            let said = signed.statement.step == Step::Complaint
                && ours(signed)
                && content.len() <= COMPLAINT_LEN_MAX
                && content.len() == signed.statement.length as usize
                && merkle::root(content, content.len()) == signed.statement.root;
            if !said {
                return Verdict::NotGuilty;
            }
            if depth == DEPTH_MAX {
                return Verdict::Unknown;
            }
            match judge_accusation(plan, node, rules, content, depth + 1) {
                Accusation::Holds(_) => Verdict::NotGuilty,
                Accusation::False => Verdict::Guilty(signed.statement.author),
                Accusation::Unknown => Verdict::Unknown,
            }
        }
    }
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

/// Judges the content of an accusation.
pub(super) fn accusation(plan: &Plan, node: &impl Verify, rules: &impl Rules, content: &[u8]) -> Accusation {
    judge_accusation(plan, node, rules, content, 0)
}

fn judge_accusation(
    plan: &Plan,
    node: &impl Verify,
    rules: &impl Rules,
    content: &[u8],
    depth: usize,
) -> Accusation {
    let Ok(list) = Vec::<Evidence>::from_ssz_bytes(content) else { return Accusation::False };
    if list.len() > plan.size().operators() {
        return Accusation::False;
    }
    let (mut faults, mut unknown) = (Vec::new(), false);
    for evidence in list {
        match judge_at(plan, node, rules, &evidence, depth) {
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

/// Whether two statements may not come from one author. Accusations may differ: a restarted node may hear of faults
/// in another order.
pub(super) fn conflicts(first: &Signed, second: &Signed) -> bool {
    let (a, b) = (first.statement, second.statement);
    a.step != Step::Complaint
        && (a.author, a.step, a.to) == (b.author, b.step, b.to)
        && (a.root, a.length) != (b.root, b.length)
}

fn is_ours(plan: &Plan, node: &impl Verify, signed: &Signed) -> bool {
    let statement = &signed.statement;
    statement.ceremony == plan.ceremony && plan.size().contains(statement.author) && signed.is_signed(node)
}
