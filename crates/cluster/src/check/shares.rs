//! Whether public shares are those of a key.

use crypto::{PointError, PublicKeyPoint};
use thiserror::Error;
use types::{ClusterSize, PublicKey, ShareIndex, Threshold};

/// Why public shares are not those of a key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SharesError {
    /// Not one for each operator.
    #[error("{have} public shares of {want} operators")]
    Count {
        /// Given.
        have: usize,
        /// Operators.
        want: usize,
    },
    /// No point of the curve that can be a share.
    #[error("public share {index}: {why}")]
    Point {
        /// Whose.
        index: ShareIndex,
        /// What it is.
        why: PointError,
    },
    /// Not on one polynomial with the key.
    #[error("the first shares with share {index} do not make the key")]
    OtherKey {
        /// The first that does not.
        index: ShareIndex,
    },
    /// Of a polynomial of too low a degree.
    #[error("the first {have} shares make the key, a cluster of threshold {} needs more", .have + 1)]
    Shallow {
        /// How many are enough.
        have: usize,
    },
}

/// Verifies that any `t` of a key's public shares make the key, and the first `t - 1` of them do not.
///
/// - `shares`: by the operators' places.
/// - Cost: `n` subgroup checks, `n - t + 2` interpolations.
pub fn check_shares(
    size: ClusterSize,
    key: &PublicKeyPoint,
    shares: &[PublicKey],
) -> Result<(), SharesError> {
    let (have, want) = (shares.len(), size.operators());
    if have != want {
        return Err(SharesError::Count { have, want });
    }
    let parse = |(index, share): (ShareIndex, &PublicKey)| {
        let point = PublicKeyPoint::parse(share).map_err(|why| SharesError::Point { index, why })?;
        Ok((index, point))
    };
    let indexed: Vec<_> = size.indices().zip(shares).map(parse).collect::<Result<_, _>>()?;
    if let Some(index) = odd_one(size, key, &indexed) {
        return Err(SharesError::OtherKey { index });
    }
    let have = size.threshold() - 1;
    if combine(&indexed[..have]).as_ref() == Some(key) {
        return Err(SharesError::Shallow { have });
    }
    Ok(())
}

/// The first share that does not make the key with shares `1..t`. If there is none, all lie on one polynomial of degree
/// `t - 1`, so any `t` make the key.
///
/// - `indexed`: one share for each operator.
pub(super) fn odd_one(
    size: ClusterSize,
    key: &PublicKeyPoint,
    indexed: &[(ShareIndex, PublicKeyPoint)],
) -> Option<ShareIndex> {
    let (first, rest) = indexed.split_at(size.threshold() - 1);
    let makes =
        |last: &(ShareIndex, PublicKeyPoint)| combine(&[first, &[*last]].concat()).as_ref() == Some(key);
    rest.iter().find(|last| !makes(last)).map(|(index, _)| *index)
}

/// What all of these shares make: at most as many as a cluster has operators.
fn combine(shares: &[(ShareIndex, PublicKeyPoint)]) -> Option<PublicKeyPoint> {
    crypto::combine_public(shares, Threshold(shares.len() as u8)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto::{G1, Scalar};

    fn key(secret: u64) -> PublicKeyPoint {
        PublicKeyPoint::new(G1::generator() * Scalar::from(secret)).unwrap()
    }

    #[test]
    fn shares_lie_on_one_polynomial_with_the_key_or_one_is_named() {
        let size = ClusterSize::new_safe(4, 3).unwrap();
        let good: Vec<_> = (1..=4).map(|x| key(7 + 5 * x + 3 * x * x).bytes()).collect();
        assert_eq!(check_shares(size, &key(7), &good), Ok(()));
        let index = |no| ShareIndex::new(no).unwrap();
        let other = |no| Err(SharesError::OtherKey { index: index(no) });
        assert_eq!(check_shares(size, &key(8), &good), other(3));
        assert_eq!(check_shares(size, &key(7), &good[..3]), Err(SharesError::Count { have: 3, want: 4 }));
        // One of the first is in all, one of the others only in its own.
        for (at, named) in [(0, 3), (1, 3), (2, 3), (3, 4)] {
            let mut bad = good.clone();
            bad[at] = key(99).bytes();
            assert_eq!(check_shares(size, &key(7), &bad), other(named), "share {at}");
            bad[at] = PublicKey([0xc0; 48]);
            let refused = check_shares(size, &key(7), &bad);
            assert!(matches!(refused, Err(SharesError::Point { .. })), "{refused:?}");
        }
        // A line through the key: two shares would make it.
        let line: Vec<_> = (1..=4).map(|x| key(7 + 5 * x).bytes()).collect();
        assert_eq!(check_shares(size, &key(7), &line), Err(SharesError::Shallow { have: 2 }));
        let mut steep: Vec<_> = (1..=4).map(|x| key(7 + x * x * x).bytes()).collect();
        assert_eq!(check_shares(size, &key(7), &steep), other(3), "of higher degree");
        steep.swap(0, 1);
        assert_eq!(check_shares(size, &key(7), &steep), other(3));
    }
}
