//! Simple mutations of inputs, always the same for one seed.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// Bytes that parsers stumble over: ends of ranges, brackets, quotes, digits.
const BYTES: &[u8] = b"\x00\x01\x7f\x80\xff\"{}[]:,\\-09azAZ=. \n";

/// What changes inputs, and in what order.
pub(crate) struct Mutations(ChaCha8Rng);

impl Mutations {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number below `end`; 0 if that is 0.
    fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() % end.max(1) as u64) as usize
    }

    /// One of `inputs` with one to four changes.
    pub(crate) fn of(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut input = inputs[self.below(inputs.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input, inputs);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let place = self.below(input.len());
        match self.below(6) {
            0 if !input.is_empty() => input[place] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[place] = BYTES[self.below(BYTES.len())],
            2 => input.insert(place, BYTES[self.below(BYTES.len())]),
            3 => input.truncate(place),
            4 => {
                let end = place + self.below(input.len() - place + 1);
                let doubled = self.below(2) == 0;
                let piece = if doubled { input[place..end].to_vec() } else { Vec::new() };
                input.splice(if doubled { place..place } else { place..end }, piece);
            }
            _ => {
                let other = &inputs[self.below(inputs.len())];
                let from = self.below(other.len());
                input.splice(place.., other[from..].iter().copied());
            }
        }
    }
}
