//! Rule 9: what a leader may propose, computed from its justification alone.
//!
//! The leader calls [`choice`] over the `NEWROUND`s it holds, every voter calls it again over those that the
//! proposal shows. It is the whole lock of the protocol: nothing else makes a later round keep an earlier
//! round's value.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What one `NEWROUND` brings into the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown<H> {
    /// Round and hash of the best certificate.
    pub best: Option<(u32, H)>,
    /// Round and hash of the last vote.
    pub last: Option<(u32, H)>,
}

/// What a justification lets its leader propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice<H> {
    /// This hash and no other: a certificate shows it, or it has the most last votes.
    Only(H),
    /// One of these, which have equally many: at least two.
    Among(BTreeSet<H>),
    /// Nobody voted: the leader's own value.
    Free,
}

impl<H: Copy + Ord> Choice<H> {
    /// Whether a proposal of `hash` follows the choice.
    pub fn allows(&self, hash: &H) -> bool {
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
/// - `shown`: of `NEWROUND`s of one round and of distinct authors; their order does not matter.
/// - Two certificates of one round need more than `f` faulty operators; then the lower hash is taken, so that
///   leader and voters still compute the same.
/// - Cost: linear in the number of `NEWROUND`s, no hashing.
pub(super) fn choice<H: Copy + Ord>(shown: impl IntoIterator<Item = Shown<H>> + Clone) -> Choice<H> {
    certified(shown.clone()).unwrap_or_else(|| plurality(shown))
}

/// The certificate of the highest round.
fn certified<H: Copy + Ord>(shown: impl IntoIterator<Item = Shown<H>>) -> Option<Choice<H>> {
    let certificates = shown.into_iter().filter_map(|one| one.best);
    let highest = certificates.max_by_key(|(round, hash)| (*round, Reverse(*hash)));
    highest.map(|(_, hash)| Choice::Only(hash))
}

/// Rule 9 without certificates: the most frequent last vote, else anything.
pub(super) fn plurality<H: Copy + Ord>(shown: impl IntoIterator<Item = Shown<H>>) -> Choice<H> {
    let mut counts: BTreeMap<H, usize> = BTreeMap::new();
    for (_, hash) in shown.into_iter().filter_map(|one| one.last) {
        *counts.entry(hash).or_default() += 1;
    }
    let most = counts.values().copied().max().unwrap_or(0);
    let mut tied: BTreeSet<H> =
        counts.into_iter().filter(|(_, count)| *count == most).map(|(hash, _)| hash).collect();
    match tied.len() {
        0 | 1 => tied.pop_first().map_or(Choice::Free, Choice::Only),
        _ => Choice::Among(tied),
    }
}

/// Rule 9 broken: without a certificate, only last votes of the highest round are counted.
pub(super) fn latest<H: Copy + Ord>(shown: impl IntoIterator<Item = Shown<H>> + Clone) -> Choice<H> {
    let rounds = shown.clone().into_iter().filter_map(|one| one.last).map(|(round, _)| round);
    let highest = rounds.max();
    let counted = shown
        .clone()
        .into_iter()
        .map(|one| Shown { best: None, last: one.last.filter(|(round, _)| Some(*round) == highest) });
    certified(shown).unwrap_or_else(|| plurality(counted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Claim = Option<(u32, u8)>;

    fn shown(best: Claim, last: Claim) -> Shown<u8> {
        Shown { best, last }
    }

    /// The sentence of rule 9, one question per hash, with nothing remembered between them.
    fn obviously_allowed(all: &[Shown<u8>], hash: u8) -> bool {
        let certificates: Vec<_> = all.iter().filter_map(|one| one.best).collect();
        if !certificates.is_empty() {
            return certificates
                .iter()
                .any(|mine| mine.1 == hash && certificates.iter().all(|other| other.0 <= mine.0));
        }
        let votes: Vec<_> = all.iter().filter_map(|one| one.last).map(|(_, hash)| hash).collect();
        let count = |wanted: u8| votes.iter().filter(|vote| **vote == wanted).count();
        votes.is_empty() || (count(hash) > 0 && votes.iter().all(|vote| count(*vote) <= count(hash)))
    }

    proptest! {
        #[test]
        fn the_choice_is_the_sentence_of_rule_9(
            // The hash of a certificate is a function of its round: there is one certificate per round.
            claims in prop::collection::vec((prop::option::weighted(0.3, 0..3u32), prop::option::of((0..3u32, 0..3u8))), 0..7),
        ) {
            let all: Vec<_> = claims
                .iter()
                .map(|(best, last)| shown(best.map(|round| (round, round as u8)), *last))
                .collect();
            let choice = choice(all.iter().copied());
            for hash in 0..4 {
                prop_assert_eq!(choice.allows(&hash), obviously_allowed(&all, hash), "{:?}", choice);
            }
        }
    }

    #[test]
    fn a_certificate_beats_any_number_of_later_votes() {
        let all = [shown(Some((0, 7)), None), shown(None, Some((3, 8))), shown(None, Some((3, 8)))];
        assert_eq!(choice(all), Choice::Only(7));
    }

    #[test]
    fn a_claim_of_a_vote_in_a_higher_round_counts_once_like_any_other() {
        let all = [shown(None, Some((1, 7))), shown(None, Some((0, 8))), shown(None, Some((0, 8)))];
        assert_eq!(choice(all), Choice::Only(8));
    }

    #[test]
    fn a_tie_leaves_the_pick_among_the_tied() {
        let all = [shown(None, Some((0, 7))), shown(None, Some((0, 8))), shown(None, None)];
        assert_eq!(choice(all), Choice::Among([7, 8].into()));
        assert!(!choice(all).allows(&9));
    }
}
