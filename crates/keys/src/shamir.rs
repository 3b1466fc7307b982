//! Shamir's sharing by one hand: a dealer who has a whole key, and whoever is given enough shares to have it again.
//!
//! A cluster's life needs neither: the ceremony makes shares of a key that never exists, and signatures are combined
//! instead of shares. They serve the way in and the way out: splitting a key that somebody already has, and giving a
//! validator back.
//!
//! ```text
//! f(x) = key + a_1 x + ... + a_(t-1) x^(t-1) mod r        share i = f(i)        key = sum_i lambda_i f(i)
//! ```
//!
//! Source: Shamir, *How to share a secret*, 1979.
//!
//! # Security
//! Whoever calls these has the whole key in memory. Coefficients and intermediate sums are wiped as they are dropped.

use crate::curve::Scalar;
use crate::share::SecretShare;
use crypto::lagrange::Coefficients;
use crypto::{At, CombineError};
use rand_core::{CryptoRng, RngCore};
use types::{ClusterSize, ShareIndex, Threshold};

/// Draws of a polynomial before a source of randomness is given up: one in 2^250 gives somebody a share of zero.
const DRAWS_MAX: usize = 8;

/// Splits a whole key into one share an operator, any `t` of which make it again.
///
/// - Returns the shares of operators `1..=n`, in order; none is zero. Same key and same `rng` stream, same shares.
/// - Panics if `rng` is broken: eight draws in a row unusable.
/// - Cost: `n (t - 1)` multiplications of scalars.
pub fn deal(
    key: &SecretShare,
    size: ClusterSize,
    rng: &mut (impl RngCore + CryptoRng),
) -> Vec<(ShareIndex, SecretShare)> {
    for _ in 0..DRAWS_MAX {
        let coefficients: Vec<Scalar> = (1..size.threshold()).map(|_| Scalar::random(rng)).collect();
        let share = |index| Some((index, SecretShare::of_scalar(evaluate(key, &coefficients, index))?));
        // A leading coefficient of zero would make do with fewer shares than were asked for.
        if coefficients.last().is_some_and(|leading| !leading.is_zero())
            && let Some(shares) = size.indices().map(share).collect()
        {
            return shares;
        }
    }
    panic!("the source of randomness is broken: {DRAWS_MAX} polynomials in a row were unusable")
}

/// Puts a whole key together again.
///
/// - `shares`: at least `t`, of distinct operators; the first `t` are used.
/// - Nothing tells here whether the shares are right: compare the key's public key with the group's.
/// - Errors: `TooFew`, `Duplicate`; `Infinity` if they make zero.
/// - Cost: `t` multiplications of scalars.
pub fn recover(
    shares: &[(ShareIndex, SecretShare)],
    threshold: Threshold,
) -> Result<SecretShare, CombineError> {
    let shares = crypto::combine::first(shares, threshold)?;
    let indices: Vec<ShareIndex> = shares.iter().map(|(index, _)| *index).collect();
    let coefficients = Coefficients::new(&indices, At::Group);
    let terms = coefficients.numerators().iter().zip(shares);
    let sum = terms.fold(Scalar::zero(), |sum, (numerator, (_, share))| {
        sum.add(&share.scalar().multiply(&public(crypto::Scalar::from(*numerator))))
    });
    let key = coefficients.division().map_or_else(|| sum.multiply(&small(1)), |d| sum.multiply(&public(d)));
    SecretShare::of_scalar(key).ok_or(CombineError::Infinity)
}

/// `f(index)`, by Horner's rule from the leading coefficient down.
fn evaluate(key: &SecretShare, coefficients: &[Scalar], index: ShareIndex) -> Scalar {
    let x = small(index.get());
    let without_key = coefficients.iter().rev().fold(Scalar::zero(), |sum, a| sum.add(a).multiply(&x));
    without_key.add(key.scalar())
}

fn small(number: u8) -> Scalar {
    public(crypto::Scalar::from(u64::from(number)))
}

fn public(scalar: crypto::Scalar) -> Scalar {
    Scalar::parse(&scalar.to_be_bytes()).expect("a reduced number is below the order")
}

#[cfg(test)]
mod tests {
    use super::{deal, recover};
    use crate::derive::derive_master;
    use crate::share::SecretShare;
    use crypto::CombineError;
    use proptest::prelude::{Just, Strategy as _, prop_assert, prop_assert_eq, proptest};
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore as _, SeedableRng};
    use types::{ClusterSize, ShareIndex, Threshold};

    fn key() -> SecretShare {
        derive_master(&[9; 32]).unwrap()
    }

    fn same(one: &SecretShare, other: &SecretShare) -> bool {
        one.to_be_bytes() == other.to_be_bytes()
    }

    proptest! {
        #[test]
        fn any_quorum_has_the_key_and_one_share_fewer_has_another(
            (operators, threshold) in (3usize..=22).prop_flat_map(|n| (Just(n), 2..=n)),
            seed: u64,
        ) {
            let size = ClusterSize::new(operators, threshold).unwrap();
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let mut shares = deal(&key(), size, &mut rng);
            // Fisher and Yates, so that the quorum is any.
            for last in (1..shares.len()).rev() {
                shares.swap(last, rng.next_u64() as usize % (last + 1));
            }
            let t = Threshold(threshold as u8);
            prop_assert!(same(&recover(&shares, t).unwrap(), &key()));
            let fewer = Threshold(threshold as u8 - 1);
            prop_assert!(!same(&recover(&shares, fewer).unwrap(), &key()));
            shares.truncate(threshold - 1);
            let too_few = CombineError::TooFew { have: threshold - 1, need: threshold };
            prop_assert_eq!(recover(&shares, t).unwrap_err(), too_few);
        }
    }

    #[test]
    fn public_shares_lie_on_one_polynomial_through_the_groups_key() {
        let size = ClusterSize::new(7, 5).unwrap();
        let shares = deal(&key(), size, &mut ChaCha20Rng::seed_from_u64(1));
        let public = |share: &SecretShare| crypto::PublicKeyPoint::parse(&share.public()).unwrap();
        let points: Vec<_> = shares.iter().map(|(index, share)| (*index, public(share))).collect();
        for first in 0..3 {
            let made = crypto::combine_public(&points[first..], Threshold(5)).unwrap();
            assert_eq!(made.bytes(), key().public());
        }
    }

    #[test]
    fn one_operators_share_twice_is_refused() {
        let size = ClusterSize::new(3, 2).unwrap();
        let [first, again] =
            [(); 2].map(|()| deal(&key(), size, &mut ChaCha20Rng::seed_from_u64(3)).remove(0));
        assert_eq!(
            recover(&[first, again], Threshold(2)).unwrap_err(),
            CombineError::Duplicate(ShareIndex::new(1).unwrap())
        );
    }
}
