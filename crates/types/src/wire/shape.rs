//! The shape of messages: everything about them that costs no signature.

use super::{
    Challenge, FrameError, Instance, Message, NewRound, Partials, Proposal, Quorum, Signed, Step,
    VOTE_VALUE_LEN_MAX,
};
use crate::bytes::Root;

/// What can be told of a message without a key: each statement fits its message, lists are in order and bounded.
pub(super) fn check(message: &Message) -> Result<(), FrameError> {
    match message {
        Message::Vote(vote) => {
            step_is(&vote.signed, Step::Vote)?;
            shape(vote.signed.statement.extra == Root::ZERO, "a vote with an extra hash")?;
            let small = vote.value.iter().all(|value| value.0.len() <= VOTE_VALUE_LEN_MAX);
            shape(vote.value.len() <= 1 && small, "a vote carries at most one small value")
        }
        Message::Commit(signed) => {
            step_is(signed, Step::Commit)?;
            shape(signed.statement.extra == Root::ZERO, "a commit with an extra hash")
        }
        Message::Cert(quorum) => certificate_shape(quorum),
        Message::Decided(quorum) => quorum_shape(quorum),
        Message::NewRound(new_round) => new_round_shape(new_round),
        Message::Proposal(proposal) => {
            step_is(&proposal.signed, Step::Proposal)?;
            shape(proposal.value.len() <= 1, "a proposal carries at most one value")?;
            let round = proposal.signed.statement.round;
            let same = |new_round: &NewRound| {
                let statement = new_round.signed.statement;
                statement.round == round && statement.instance == proposal.signed.statement.instance
            };
            shape(proposal.justification.iter().all(same), "a justification of another round")?;
            let authors = proposal.justification.iter().map(|new_round| new_round.signed.author);
            shape(ascending(authors), "a justification lists each author once, in order")?;
            proposal.justification.iter().try_for_each(new_round_shape)?;
            let extra = Proposal::extra(&proposal.justification);
            shape(proposal.signed.statement.extra == extra, "a justification that its author did not sign")
        }
        Message::Partial(partials) => {
            step_is(&partials.signed, Step::Partial)?;
            let items = partials.partials.iter().map(|partial| partial.item);
            shape(ascending(items), "partials list each item once, in order")?;
            let extra = Partials::extra(&partials.partials);
            shape(partials.signed.statement.extra == extra, "partials that their author did not sign")
        }
        Message::Fetch(_) | Message::FetchContents(_) | Message::Value(_) | Message::Contents(_) => Ok(()),
        Message::Challenge(challenge) => boot_shape(challenge.instance, 0),
        Message::Boot(signed) => {
            step_is(signed, Step::Boot)?;
            boot_shape(signed.statement.instance, signed.statement.round)
        }
        Message::Overlap(overlap) => {
            let statement = overlap.other.statement;
            step_is(&overlap.other, Step::Boot)?;
            boot_shape(statement.instance, statement.round)?;
            let question = overlap.question;
            shape(statement.hash != question.last, "an overlap of a process with itself")?;
            shape(statement.extra == question.nonce(), "an overlap whose answer is to another question")
        }
        Message::Held(signed) => {
            step_is(signed, Step::Partial)?;
            let slashable = signed.statement.instance.kind.is_slashable();
            shape(slashable, "a held statement of what nobody is slashed for")
        }
    }
}

/// What is said of processes names a slot and no duty, so there is one way to write it.
fn boot_shape(instance: Instance, round: u32) -> Result<(), FrameError> {
    shape(instance.kind == Challenge::KIND && round == 0, "a boot that names a duty")
}

fn new_round_shape(new_round: &NewRound) -> Result<(), FrameError> {
    step_is(&new_round.signed, Step::NewRound)?;
    let instance = new_round.signed.statement.instance;
    let one_each = new_round.best.len() <= 1 && new_round.last.len() <= 1 && new_round.proposal.len() <= 1;
    shape(one_each, "a newround carries at most one certificate, last vote and proposal")?;
    shape(new_round.signed.statement.hash == Root::ZERO, "a newround with a value hash")?;
    let extra = NewRound::extra(&new_round.best, &new_round.last, &new_round.proposal);
    shape(new_round.signed.statement.extra == extra, "a newround that its author did not sign")?;
    for quorum in &new_round.best {
        certificate_shape(quorum)?;
        shape(quorum.statement.instance == instance, "a certificate of another instance")?;
    }
    for proposal in &new_round.proposal {
        step_is(proposal, Step::Proposal)?;
        shape(proposal.statement.instance == instance, "a proposal of another instance")?;
    }
    Ok(())
}

fn certificate_shape(quorum: &Quorum) -> Result<(), FrameError> {
    shape(quorum.statement.step == Step::Vote, "a certificate of something other than votes")?;
    quorum_shape(quorum)
}

fn quorum_shape(quorum: &Quorum) -> Result<(), FrameError> {
    let proper = matches!(quorum.statement.step, Step::Vote | Step::Commit);
    shape(
        proper && quorum.statement.extra == Root::ZERO,
        "a quorum of something other than votes or commits",
    )?;
    shape(
        ascending(quorum.signatures.iter().map(|one| one.author)),
        "a quorum lists each author once, in order",
    )
}

fn step_is(signed: &Signed, step: Step) -> Result<(), FrameError> {
    shape(signed.statement.step == step, "a statement of another type than its message")
}

fn shape(holds: bool, rule: &'static str) -> Result<(), FrameError> {
    if holds { Ok(()) } else { Err(FrameError::Shape(rule)) }
}

fn ascending<T: PartialOrd>(items: impl Iterator<Item = T>) -> bool {
    items.is_sorted_by(|a, b| a < b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Kind, Statement, decode};
    use crate::{Generation, ShareIndex, Slot};

    #[test]
    fn what_is_held_of_an_operator_are_partials_of_what_can_be_slashed() {
        for kind in Kind::ALL {
            for (step, right) in [(Step::Partial, kind.is_slashable()), (Step::Commit, false)] {
                let instance = Instance::new(Generation(0), Slot(9), kind);
                let statement =
                    Statement { instance, step, round: 0, hash: Root([1; 32]), extra: Root([2; 32]) };
                let held = Message::Held(statement.unsigned(ShareIndex::new(1).unwrap()));
                let refused = matches!(decode(&held.to_frame()), Err(FrameError::Shape(_)));
                assert_eq!(refused, !right, "{kind} {step:?}");
            }
        }
    }
}
