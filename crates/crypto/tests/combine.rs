//! Combination against the textbook's interpolation in the field, and its errors.

mod dealer;

use crypto::combine::combine_points;
use crypto::point::G2Affine;
use crypto::{
    At, CombineError, G2, PublicKeyPoint, Scalar, UncheckedSignature, combine, combine_public,
    interpolate_at, verify,
};
use dealer::{Dealt, root, share};
use proptest::prelude::*;
use types::{ShareIndex, Signature, Threshold};

/// Lagrange at 0 as written in books: a full multiplication per share.
fn slow(partials: &[(ShareIndex, Signature)]) -> Signature {
    let x = |index: ShareIndex| Scalar::from(u64::from(index.get()));
    let sum = partials.iter().fold(G2::infinity(), |sum, (i, bytes)| {
        let others = partials.iter().filter(|(j, _)| j != i);
        let lambda = others
            .fold(Scalar::from(1u64), |product, (j, _)| product * x(*j) * (x(*j) - x(*i)).inverse().unwrap());
        sum + G2Affine::uncompress(&bytes.0).unwrap().to_projective() * lambda
    });
    Signature(sum.compress())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_t_partials_make_the_signature_of_the_whole_key(
        n in 3u8..=22, t_seed: u8, order in Just((1u8..=22).collect::<Vec<_>>()).prop_shuffle(), seed: u64,
    ) {
        let t = 2 + t_seed % (n - 1);
        let dealt = Dealt::new(n, t, seed);
        let indices: Vec<_> = order.into_iter().filter(|index| *index <= n).collect();
        let partials = dealt.partials(&indices, &root(1));
        let combined = combine(&partials, dealt.threshold).unwrap();
        prop_assert_eq!(combined, dealt.whole(&root(1)));
        prop_assert_eq!(combined, slow(&partials[..usize::from(t)]));
    }

    #[test]
    fn public_shares_make_the_group_key_and_every_other_share(
        n in 3u8..=22, t_seed: u8, order in Just((1u8..=22).collect::<Vec<_>>()).prop_shuffle(), seed: u64,
    ) {
        let t = 2 + t_seed % (n - 1);
        let dealt = Dealt::new(n, t, seed);
        let public = |index: u8| (share(index), dealt.public_shares[usize::from(index) - 1]);
        let shares: Vec<_> = order.into_iter().filter(|index| *index <= n).map(public).collect();
        prop_assert_eq!(combine_public(&shares, dealt.threshold), Ok(dealt.group_key));
        for (index, point) in &shares {
            prop_assert_eq!(interpolate_at(&shares, dealt.threshold, At::Share(*index)), Ok(*point));
        }
    }
}

#[test]
fn one_partial_less_than_t_makes_no_signature_of_the_key() {
    let dealt = Dealt::new(4, 3, 1);
    let partials = dealt.partials(&[1, 2], &root(1));
    assert_eq!(combine(&partials, dealt.threshold), Err(CombineError::TooFew { have: 2, need: 3 }));
    let forced = combine(&partials, Threshold(2)).unwrap();
    assert!(!verify(&dealt.group_key, &root(1).root().0, &forced));
}

#[test]
fn two_partials_of_one_operator_and_bytes_that_are_no_point_are_refused() {
    let dealt = Dealt::new(4, 3, 1);
    let mut partials = dealt.partials(&[1, 2, 3, 4], &root(1));
    partials[3].0 = share(2);
    assert_eq!(combine(&partials, dealt.threshold), Err(CombineError::Duplicate(share(2))));
    partials[3] = (share(4), Signature([0x5a; 96]));
    assert_eq!(combine(&partials, dealt.threshold), Ok(dealt.whole(&root(1))), "only the first t are read");
    partials.swap(0, 3);
    assert_eq!(combine(&partials, dealt.threshold), Err(CombineError::BadEncoding(share(4))));
    assert_eq!(combine(&[], Threshold(0)), Err(CombineError::TooFew { have: 0, need: 1 }));
}

#[test]
fn shares_that_make_infinity_make_no_key() {
    // f(x) = x: the shares are 1, 2, ... and the group's secret is 0.
    let shares: Vec<_> = (1..=3).map(|i| (share(i), dealer::key(Scalar::from(u64::from(i))))).collect();
    assert_eq!(combine_public(&shares, Threshold(2)), Err(CombineError::Infinity));
    let two: PublicKeyPoint = dealer::key(Scalar::from(2u64));
    assert_eq!(interpolate_at(&shares, Threshold(2), At::Share(share(2))), Ok(two));
}

#[test]
fn parsed_points_combine_as_their_bytes_do() {
    let dealt = Dealt::new(7, 5, 3);
    let partials = dealt.partials(&[7, 3, 1, 6, 2], &root(2));
    let points: Vec<_> =
        partials.iter().map(|(index, bytes)| (*index, UncheckedSignature::parse(bytes).unwrap())).collect();
    let combined = combine_points(&points, dealt.threshold).unwrap();
    assert_eq!(combined.bytes(), dealt.whole(&root(2)));
    assert!(combined.check().is_ok());
}
