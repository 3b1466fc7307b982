//! Denies in a change of rounds what it has voted for: it never commits, shows no certificate and no decision, and says that
//! its last vote was what another one voted for. So it makes a majority of last votes against a certificate that exists.

use super::{Mischief, Parcel, Scene};
use std::collections::BTreeMap;
use symbolon_core::To;
use types::Root;
use types::wire::{Instance, LastVote, Message, NewRound, decode};

/// Agreements whose votes it remembers.
const REMEMBERED: usize = 64;

/// See above.
#[derive(Debug, Default)]
pub(crate) struct Liar {
    /// Votes of the first rounds, as it has heard them.
    heard: BTreeMap<Instance, Vec<Root>>,
}

impl Mischief for Liar {
    fn twist(&mut self, _: &mut Scene<'_>, to: To, message: Message) -> Vec<Parcel> {
        match message {
            Message::Commit(_) | Message::Cert(_) | Message::Decided(_) => Vec::new(),
            Message::NewRound(new_round) => {
                vec![Parcel::plain(to, Message::NewRound(self.denied(new_round)))]
            }
            other => vec![Parcel::plain(to, other)],
        }
    }

    fn overhear(&mut self, _: &mut Scene<'_>, frame: &[u8]) {
        let Ok(Message::Vote(vote)) = decode(frame) else { return };
        let statement = vote.signed.statement;
        if statement.round == statement.instance.kind.first_round() {
            self.heard.entry(statement.instance).or_default().push(statement.hash);
            if self.heard.len() > REMEMBERED {
                self.heard.pop_first();
            }
        }
    }
}

impl Liar {
    fn denied(&self, mut new_round: NewRound) -> NewRound {
        let instance = new_round.signed.statement.instance;
        let true_hash = new_round.last.first().map(|last| last.hash);
        let heard = self.heard.get(&instance).into_iter().flatten();
        new_round.best.clear();
        // Of a later round it would have to show a proposal.
        if instance.kind.first_round() == 0 {
            let other = heard.copied().find(|hash| Some(*hash) != true_hash).or(true_hash);
            new_round.last = other.map(|hash| LastVote { round: 0, hash }).into_iter().collect();
            new_round.proposal.clear();
        }
        new_round.signed.statement.extra =
            NewRound::extra(&new_round.best, &new_round.last, &new_round.proposal);
        new_round
    }
}
