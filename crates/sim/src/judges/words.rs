//! No honest node says two things in one place: two votes, commits, proposals or `NEWROUND`s of one round, or partial
//! signatures over two values of one duty that can be slashed.

use super::{Sight, Violation};
use std::collections::BTreeMap;
use types::wire::{Instance, Message, Signed, Step};
use types::{Root, ShareIndex};

/// A place: whose, in which agreement, which step of which round.
type Place = (ShareIndex, Instance, Step, u32);

/// The judge.
#[derive(Debug, Default)]
pub struct Words {
    said: BTreeMap<Place, (Root, Root)>,
    /// What it found.
    pub violations: Vec<Violation>,
}

impl Words {
    /// Watches.
    pub fn see(&mut self, sight: Sight<'_>) {
        let Sight::Sent { at, author, honest: true, message } = sight else { return };
        let Some((signed, word)) = word(message) else { return };
        let statement = signed.statement;
        let place = (author, statement.instance, statement.step, statement.round);
        let before = *self.said.entry(place).or_insert(word);
        if before != word {
            let (instance, round) = (statement.instance, statement.round);
            let what = format!(
                "operator {author} said two things as {:?} of {instance}, round {round}",
                statement.step
            );
            self.violations.push(Violation { at: Some(at), what });
        }
    }
}

/// The statement in a message, and what of it must not change. A last vote and a best certificate may grow while a
/// round is asked for, and with partial signatures more of them come: what they are over may not change.
fn word(message: &Message) -> Option<(&Signed, (Root, Root))> {
    let (signed, extra) = match message {
        Message::Vote(vote) => (&vote.signed, vote.signed.statement.extra),
        Message::Commit(signed) => (signed, signed.statement.extra),
        Message::Proposal(proposal) => (&proposal.signed, Root::ZERO),
        Message::NewRound(new_round) => (&new_round.signed, new_round.signed.statement.extra),
        Message::Partial(partials) if partials.signed.statement.instance.kind.is_slashable() => {
            (&partials.signed, Root::ZERO)
        }
        Message::Partial(_)
        | Message::Cert(_)
        | Message::Decided(_)
        | Message::Fetch(_)
        | Message::Value(_)
        | Message::Contents(_)
        | Message::Challenge(_)
        | Message::Boot(_)
        | Message::Overlap(_)
        | Message::Held(_)
        | Message::FetchContents(_) => return None,
    };
    Some((signed, (signed.statement.hash, extra)))
}
