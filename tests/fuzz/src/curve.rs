//! Points, scalars and commitments as they come from peers, validator clients and files.

use crypto::signature::{SignaturePoint, UncheckedSignature};
use crypto::{PublicKeyPoint, Scalar};
use keys::frost::{Dealer, PrivateShare, Round1, deal, round1_len};
use keys::share::PointError;
use keys::{NodeHalf, SecretShare};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use types::{ClusterSize, PublicKey, Root, ShareIndex, Signature, SigningRoot};

/// What blst's own check of a key says: a zero half leaves the share's key, once it is read.
fn opinion(key: &PublicKey) -> Result<PublicKey, PointError> {
    NodeHalf::zero_for_import().vc_key(key)
}

/// A key, a signature or a scalar, by its length. What is taken has one encoding.
pub(crate) fn curve_point(input: &[u8]) -> bool {
    if let Ok(bytes) = <[u8; PublicKey::LEN]>::try_from(input) {
        let bytes = PublicKey(bytes);
        let Ok(point) = PublicKeyPoint::parse(&bytes) else {
            assert!(opinion(&bytes).is_err(), "two opinions of one key");
            return false;
        };
        assert_eq!(point.bytes(), bytes);
        assert_eq!(point.point().compress(), bytes.0, "one encoding");
        assert!(opinion(&bytes).is_ok(), "two opinions of one key");
        return true;
    }
    if let Ok(bytes) = <[u8; Signature::LEN]>::try_from(input) {
        let bytes = Signature(bytes);
        let (checked, unchecked) = (SignaturePoint::parse(&bytes), UncheckedSignature::parse(&bytes));
        let late = unchecked.and_then(|point| {
            assert_eq!(point.bytes(), bytes, "one encoding");
            point.check()
        });
        assert_eq!(late, checked, "to check the subgroup later changes nothing");
        return checked.is_ok_and(|point| {
            assert_eq!(point.point().compress(), bytes.0, "one encoding");
            true
        });
    }
    let Ok(bytes) = <[u8; 32]>::try_from(input) else { return false };
    let (scalar, share) = (Scalar::from_be_bytes(&bytes), SecretShare::from_be_bytes(&bytes));
    assert!(share.is_err() || scalar.is_some(), "a share is a scalar, and not zero");
    let Ok(share) = share else { return scalar.is_some() };
    assert_ne!(bytes, [0; 32]);
    let public = PublicKeyPoint::parse(&share.public()).expect("a share's public key is a key");
    let root = SigningRoot::recorded(Root(bytes));
    assert!(crypto::verify(&public, root.as_ref(), &share.sign(&root)));
    true
}

fn size() -> ClusterSize {
    ClusterSize::new(3, 2).expect("2 of 3")
}

fn first() -> ShareIndex {
    size().indices().next().expect("there are three")
}

fn dealer(me: ShareIndex) -> Dealer {
    Dealer::new(size(), me, ChaCha20Rng::seed_from_u64(me.get().into()))
}

/// What a dealer tells everybody in a ceremony, with a private share behind it.
pub(crate) fn commitments(input: &[u8]) -> bool {
    let len = round1_len(size());
    let (bytes, share) = input.split_at(len.min(input.len()));
    let Ok(round1) = Round1::from_bytes(size(), bytes) else { return false };
    let wrong: Vec<_> = size().indices().filter(|author| round1.check(size(), *author).is_err()).collect();
    assert!(wrong.len() >= 2, "a proof of knowledge is one operator's");
    let together = deal(&[dealer(first())], &[vec![round1.clone(); size().operators()]], &[7; 32]);
    let found: Vec<_> = together.err().into_iter().flatten().map(|wrong| wrong.author).collect();
    let others: Vec<_> = wrong.into_iter().filter(|author| *author != first()).collect();
    assert_eq!(found, others, "together as each alone");
    if let Ok(share) = share.try_into() {
        let share = PrivateShare::from_bytes(share);
        let fits = size().indices().filter(|recipient| round1.fits(*recipient, &share)).count();
        assert!(fits <= 1, "one share for several operators, of a polynomial that is not constant");
    }
    true
}

/// A key, a signature over nothing in particular, the share of both, and points at infinity.
pub(crate) fn curve_points() -> Vec<Vec<u8>> {
    let share = SecretShare::from_be_bytes(&[5; 32]).expect("below the order of the group");
    let signature = share.sign(&SigningRoot::recorded(Root([7; 32])));
    let mut infinity = vec![0; Signature::LEN];
    infinity[0] = 0xc0;
    vec![share.public().0.to_vec(), signature.0.to_vec(), vec![5; 32], infinity]
}

/// The words of a dealer, alone and with its share for an operator.
pub(crate) fn all_commitments() -> Vec<Vec<u8>> {
    let all: Vec<_> = size().indices().map(|me| dealer(me).round1().clone()).collect();
    let words = all[0].bytes().to_vec();
    let dealt = deal(&[dealer(first())], &[all], &[7; 32]).expect("everybody keeps to the rules");
    let with_share = dealt[0].iter().map(|share| [words.as_slice(), share.expose()].concat());
    with_share.chain([words.clone()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dealer_s_share_fits_for_its_operator_and_no_other() {
        for (input, index) in all_commitments().iter().zip(1..=3) {
            let (words, share) = input.split_at(round1_len(size()));
            let round1 = Round1::from_bytes(size(), words).unwrap();
            let share = PrivateShare::from_bytes(share.try_into().unwrap());
            assert!(round1.fits(ShareIndex::new(index).unwrap(), &share), "{index}");
        }
    }
}
