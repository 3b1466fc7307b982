//! Rule 9: what a leader may propose, computed from its justification alone.
//!
//! The leader calls [`choice`] over the `NEWROUND`s it holds, every voter calls it again over those that the
//! proposal shows. It is the whole lock of the protocol: nothing else makes a later round keep an earlier
//! round's value.

use std::collections::{BTreeMap, BTreeSet};
use types::Root;
use types::wire::NewRound;

/// What a justification lets its leader propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This hash and no other: a certificate shows it, or it has the most last votes.
    Only(Root),
    /// One of these, which have equally many: at least two.
    Among(BTreeSet<Root>),
    /// Nobody voted: the leader's own value.
    Free,
}

impl Choice {
    /// Whether a proposal of `hash` follows the choice.
    pub(super) fn allows(&self, hash: &Root) -> bool {
        match self {
            Self::Only(only) => only == hash,
            Self::Among(tied) => tied.contains(hash),
            Self::Free => true,
        }
    }
}

/// Rule 9, in its order: the certificate of the highest round; else the most frequent last vote; else anything.
///
/// Last votes count alike whatever their rounds: honest ones after `n` equal first votes are all for that
/// value, and are more than `f` in any quorum. To prefer those of higher rounds would hand the choice to one
/// faulty leader, who can sign a header for anything and claim to have voted for it.
///
/// - `justification`: `NEWROUND`s of one round and of distinct authors; their order does not matter.
/// - Two certificates of one round need more than `f` faulty operators; then the lower hash is taken, so that
///   leader and voters still compute the same.
/// - Cost: linear in the number of `NEWROUND`s, no hashing.
pub(super) fn choice<'a>(justification: impl IntoIterator<Item = &'a NewRound> + Clone) -> Choice {
    let certificates = justification.clone().into_iter().flat_map(|new_round| &new_round.best);
    let highest =
        certificates.max_by_key(|best| (best.statement.round, std::cmp::Reverse(best.statement.hash)));
    if let Some(best) = highest {
        return Choice::Only(best.statement.hash);
    }
    plurality(justification)
}

/// Rule 9 without certificates: the most frequent last vote, else anything.
pub(super) fn plurality<'a>(justification: impl IntoIterator<Item = &'a NewRound>) -> Choice {
    let mut counts: BTreeMap<Root, usize> = BTreeMap::new();
    for last in justification.into_iter().flat_map(|new_round| &new_round.last) {
        *counts.entry(last.hash).or_default() += 1;
    }
    let most = counts.values().copied().max().unwrap_or(0);
    let mut tied: BTreeSet<Root> =
        counts.into_iter().filter(|(_, count)| *count == most).map(|(hash, _)| hash).collect();
    match tied.len() {
        0 | 1 => tied.pop_first().map_or(Choice::Free, Choice::Only),
        _ => Choice::Among(tied),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::wire::{Instance, Kind, LastVote, Quorum, Statement, Step};
    use types::{Generation, ShareIndex, Slot};

    fn statement(step: Step, round: u32, hash: Root) -> Statement {
        let instance = Instance::new(Generation(0), Slot(1), Kind::Attest);
        Statement { instance, step, round, hash, extra: Root::ZERO }
    }

    fn new_round(author: u8, best: Option<(u32, u8)>, last: Option<(u32, u8)>) -> NewRound {
        let author = ShareIndex::new(author).expect("a share index");
        let quorum = |(round, hash)| Quorum {
            statement: statement(Step::Vote, round, Root([hash; 32])),
            signatures: Vec::new(),
        };
        NewRound {
            signed: statement(Step::NewRound, 9, Root::ZERO).unsigned(author),
            best: best.map(quorum).into_iter().collect(),
            last: last.map(|(round, hash)| LastVote { round, hash: Root([hash; 32]) }).into_iter().collect(),
            proposal: Vec::new(),
        }
    }

    /// The sentence of rule 9, one question per hash, with nothing remembered between them.
    fn obviously_allowed(all: &[NewRound], hash: Root) -> bool {
        let certificates: Vec<_> = all.iter().flat_map(|one| &one.best).map(|best| best.statement).collect();
        if !certificates.is_empty() {
            return certificates
                .iter()
                .any(|mine| mine.hash == hash && certificates.iter().all(|other| other.round <= mine.round));
        }
        let votes: Vec<_> = all.iter().flat_map(|one| &one.last).collect();
        let count = |wanted: Root| votes.iter().filter(|vote| vote.hash == wanted).count();
        votes.is_empty() || (count(hash) > 0 && votes.iter().all(|vote| count(vote.hash) <= count(hash)))
    }

    proptest! {
        #[test]
        fn the_choice_is_the_sentence_of_rule_9(
            // The hash of a certificate is a function of its round: there is one certificate per round.
            shown in prop::collection::vec((prop::option::weighted(0.3, 0..3u32), prop::option::of((0..3u32, 0..3u8))), 0..7),
        ) {
            let all: Vec<_> = shown
                .iter()
                .zip(1..)
                .map(|((best, last), author)| new_round(author, best.map(|round| (round, round as u8)), *last))
                .collect();
            let choice = choice(&all);
            for hash in 0..4 {
                let hash = Root([hash; 32]);
                prop_assert_eq!(choice.allows(&hash), obviously_allowed(&all, hash), "{:?}", choice);
            }
        }
    }

    #[test]
    fn a_certificate_beats_any_number_of_later_votes() {
        let all = [
            new_round(1, Some((0, 7)), None),
            new_round(2, None, Some((3, 8))),
            new_round(3, None, Some((3, 8))),
        ];
        assert_eq!(choice(&all), Choice::Only(Root([7; 32])));
    }

    #[test]
    fn a_claim_of_a_vote_in_a_higher_round_counts_once_like_any_other() {
        let all = [
            new_round(1, None, Some((1, 7))),
            new_round(2, None, Some((0, 8))),
            new_round(3, None, Some((0, 8))),
        ];
        assert_eq!(choice(&all), Choice::Only(Root([8; 32])));
    }

    #[test]
    fn a_tie_leaves_the_pick_among_the_tied() {
        let all =
            [new_round(1, None, Some((0, 7))), new_round(2, None, Some((0, 8))), new_round(3, None, None)];
        assert_eq!(choice(&all), Choice::Among([Root([7; 32]), Root([8; 32])].into()));
        assert!(!choice(&all).allows(&Root([9; 32])));
    }
}
