//! The randomness of a ceremony: one seed, one stream for every purpose.

use hkdf::Hkdf;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Error, RngCore, SeedableRng};
use sha2::Sha256;
use std::{fmt, hint::black_box};
use types::{Root, ValidatorNo};
use zeroize::Zeroizing;

const LABEL: &[u8] = b"symbolon ceremony seed 1";

/// The secret of one attempt at a ceremony: 32 fresh random bytes, on disk before the first message goes out.
///
/// Everything a node says in a ceremony follows from its seed and from what it heard, so a restarted node says
/// the same again. Streams are bound to the ceremony: one seed can never meet two contexts, where a repeated
/// nonce of a proof of knowledge would give the secret away.
///
/// # Security
/// Whoever reads it can compute this operator's part of every key of the ceremony. Wiped on drop; prints `<redacted>`.
#[derive(Clone)]
pub struct CeremonySeed(Zeroizing<[u8; 32]>);

/// What a stream of randomness is for. No two share a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The secret polynomial and the nonce of its proof of knowledge.
    Dkg,
    /// The validator client's half of the share.
    Split,
    /// Coefficients of batch checks, which nobody whose signatures are checked may foresee.
    Check,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Dkg => b"dkg",
            Self::Split => b"split",
            Self::Check => b"check",
        }
    }
}

impl CeremonySeed {
    /// A seed from fresh random bytes, or from disk.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// What must be on disk before the first message goes out.
    ///
    /// # Security
    /// The secret itself.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// ChaCha20 keyed with `HKDF-SHA256(seed, ceremony || validator || purpose)`.
    ///
    /// The same arguments give the same bytes, on every machine.
    pub fn stream(&self, ceremony: &Root, validator: ValidatorNo, purpose: Purpose) -> Stream {
        let mut key = Zeroizing::new([0; 32]);
        let info: [&[u8]; 3] = [&ceremony.0, &validator.0.to_be_bytes(), purpose.label()];
        Hkdf::<Sha256>::new(Some(LABEL), &*self.0)
            .expand_multi_info(&info, &mut *key)
            .expect("HKDF-SHA256 gives up to 8160 bytes");
        Stream(ChaCha20Rng::from_seed(*key))
    }
}

impl fmt::Debug for CeremonySeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CeremonySeed(<redacted>)")
    }
}

/// One purpose's randomness.
///
/// # Security
/// Overwritten on drop; prints `<redacted>`.
pub struct Stream(ChaCha20Rng);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0 = ChaCha20Rng::from_seed([0; 32]);
        // The generator has no wiping of its own; this keeps the overwriting from being optimized away.
        black_box(&mut self.0);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream(<redacted>)")
    }
}

impl RngCore for Stream {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }
    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill_bytes(dest);
    }
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.0.try_fill_bytes(dest)
    }
}

impl CryptoRng for Stream {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn first_bytes(seed: u8, ceremony: u8, validator: u32, purpose: Purpose) -> [u8; 32] {
        let mut out = [0; 32];
        CeremonySeed::new(Zeroizing::new([seed; 32]))
            .stream(&Root([ceremony; 32]), ValidatorNo(validator), purpose)
            .fill_bytes(&mut out);
        out
    }

    #[test]
    fn every_context_has_a_stream_of_its_own_and_the_same_one_again() {
        let mut seen = BTreeSet::new();
        for (seed, ceremony) in [(1, 1), (1, 2), (2, 1)] {
            for validator in [0, 1, 256] {
                for purpose in [Purpose::Dkg, Purpose::Split, Purpose::Check] {
                    let bytes = first_bytes(seed, ceremony, validator, purpose);
                    assert_eq!(bytes, first_bytes(seed, ceremony, validator, purpose));
                    assert!(seen.insert(bytes));
                }
            }
        }
    }

    #[test]
    fn seed_and_stream_do_not_print() {
        let seed = CeremonySeed::new(Zeroizing::new([0xab; 32]));
        let stream = seed.stream(&Root::ZERO, ValidatorNo(0), Purpose::Dkg);
        assert_eq!(format!("{seed:?} {stream:?}"), "CeremonySeed(<redacted>) Stream(<redacted>)");
    }
}
