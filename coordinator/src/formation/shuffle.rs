//! Draws an order that nobody chose: Fisher and Yates, driven by hashes.
//!
//! ```text
//! block(c) = SHA-256( mix || commitment || c as 8 bytes, big-endian )        c = 0, 1, 2, ...
//! words    = each block as four integers of 8 bytes, big-endian
//! below(m) = the next word w with w < 2^64 - (2^64 mod m), modulo m          other words are passed over
//! for i from the last down to 1: swap i and below(i + 1)
//! ```
//!
//! Words are passed over because 2^64 is no multiple of most `m`: without that the first places would come up more often.
//!
//! Source: Knuth, The Art of Computer Programming, volume 2, algorithm 3.4.2 P.

use sha2::{Digest, Sha256};
use types::Root;

/// Bytes of a word.
const WORD: usize = 8;
/// Words of a block.
const WORDS: usize = 4;

/// Words out of a seed and a commitment, without end.
struct Words {
    /// The hash of what each block begins with.
    prefix: Sha256,
    counter: u64,
    block: [u8; WORD * WORDS],
    used: usize,
}

impl Words {
    fn new(mix: Root, commitment: Root) -> Self {
        let prefix = Sha256::new().chain_update(mix).chain_update(commitment);
        Self { prefix, counter: 0, block: [0; WORD * WORDS], used: WORDS }
    }

    fn next(&mut self) -> u64 {
        if self.used == WORDS {
            self.block = self.prefix.clone().chain_update(self.counter.to_be_bytes()).finalize().into();
            // 2^64 blocks are more than any machine hashes.
            self.counter += 1;
            self.used = 0;
        }
        let mut word = [0; WORD];
        word.copy_from_slice(&self.block[self.used * WORD..][..WORD]);
        self.used += 1;
        u64::from_be_bytes(word)
    }

    /// A number below `bound`, each as likely as any other.
    fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below zero");
        // 2^64 mod bound, without 2^64.
        let surplus = (u64::MAX % bound + 1) % bound;
        loop {
            let word = self.next();
            if word <= u64::MAX - surplus {
                return word % bound;
            }
        }
    }
}

/// `0..count` in an order that follows from the seed and the commitment alone.
pub(super) fn order(count: usize, mix: Root, commitment: Root) -> Vec<usize> {
    let mut words = Words::new(mix, commitment);
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        // Below `last + 1`, so it is a place of the list.
        let other = words.below(last as u64 + 1) as usize;
        order.swap(last, other);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_order_is_that_of_an_independent_program() {
        // Python: hashlib over bytes([1]*32) + bytes([2]*32) + counter, random.shuffle's loop written out.
        assert_eq!(order(10, Root([1; 32]), Root([2; 32])), [1, 8, 9, 2, 3, 7, 6, 4, 0, 5]);
    }

    #[test]
    fn every_order_comes_up_about_as_often_as_any_other() {
        let mut seen = BTreeMap::<Vec<usize>, u32>::new();
        let rounds = 24_000u32;
        for round in 0..rounds {
            let mut mix = [0; 32];
            mix[..4].copy_from_slice(&round.to_be_bytes());
            *seen.entry(order(4, Root(mix), Root::ZERO)).or_default() += 1;
        }
        assert_eq!(seen.len(), 24);
        // Chi-squared over 1000 expected of each; with 23 degrees of freedom one run in a million is above 72.
        let squares: u32 = seen.values().map(|have| have.abs_diff(rounds / 24).pow(2)).sum();
        assert!(squares / (rounds / 24) < 72, "{seen:?}");
    }

    #[test]
    fn words_beyond_the_last_multiple_are_passed_over() {
        // Three quarters of 2^64: taken modulo it, the last quarter of all words would double the lowest third.
        let bound = 3 << 62;
        let mut words = Words::new(Root::ZERO, Root::ZERO);
        let low = (0..3000).filter(|_| words.below(bound) < bound / 3).count();
        assert!((850..1150).contains(&low), "{low} of 3000 in the lowest third");
    }

    proptest! {
        #[test]
        fn an_order_is_a_permutation(count in 0usize..200, mix: [u8; 32]) {
            let mut order = order(count, Root(mix), Root::ZERO);
            order.sort_unstable();
            prop_assert_eq!(order, (0..count).collect::<Vec<_>>());
        }
    }
}
