//! A split share signs whole or not at all.

use blst::BLST_ERROR;
use crypto::hashed::RecentRoots;
use keys::share::{PointError, ScalarError};
use keys::signer::{CompleteJob, complete_many};
use keys::{NodeHalf, NodeSigner, SecretShare, Shift, VcHalf, VcKey, split};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use symbolon_core::SignJob;
use symbolon_core::journal::Permit;
use types::{PublicKey, Root, Signature, SigningRoot, ValidatorNo};

const DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
const ORDER: &str = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";

/// The judge: blst's own verification, knowing nothing of halves.
fn verifies(key: &PublicKey, root: &SigningRoot, signature: &Signature) -> bool {
    let key = blst::min_pk::PublicKey::from_bytes(key.as_ref()).unwrap();
    let Ok(signature) = blst::min_pk::Signature::from_bytes(signature.as_ref()) else { return false };
    signature.verify(true, root.as_ref(), DST, &[], &key, true) == BLST_ERROR::BLST_SUCCESS
}

fn share(byte: u8) -> SecretShare {
    SecretShare::from_be_bytes(&[byte.clamp(1, 0x70); 32]).unwrap()
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn root(byte: u8) -> SigningRoot {
    SigningRoot::compute(Root([byte; 32]), Root([1; 32]))
}

fn permit(validator: u32, byte: u8) -> Permit {
    Permit::for_test(ValidatorNo(validator), root(byte))
}

struct Operator {
    share_key: PublicKey,
    vc: VcHalf,
    node: NodeHalf,
    vc_key: VcKey,
}

fn one_job(operator: &Operator, message: u8, half: Signature) -> CompleteJob<'_> {
    let Operator { node: node_half, vc_key, .. } = operator;
    CompleteJob { node_half, vc_key, permit: permit(0, message), half }
}

fn operator(number: u8) -> Operator {
    let share = share(number + 1);
    let share_key = share.public();
    let (vc, node) = split(share, &mut rng(number.into()));
    let vc_key = VcKey::parse(&vc.public()).unwrap();
    Operator { share_key, vc, node, vc_key }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn both_halves_complete_to_the_signature_of_the_share(
        bytes in prop::array::uniform32(any::<u8>()), seed: u64, message: u8,
    ) {
        let mut bytes = bytes;
        bytes[0] &= 0x3f;
        bytes[31] |= 1;
        let whole = SecretShare::from_be_bytes(&bytes).unwrap();
        let (share_key, expected) = (whole.public(), whole.sign(&root(message)));
        let (vc, node) = split(whole, &mut rng(seed));

        let half = vc.sign(&root(message));
        let partial = node.complete(permit(0, message), &vc.public(), &half).unwrap();
        prop_assert_eq!(partial, expected);
        prop_assert!(verifies(&share_key, &root(message), &partial));
        prop_assert!(!verifies(&share_key, &root(message), &half), "a half alone signs nothing");
        prop_assert_eq!(node.vc_key(&share_key).unwrap(), vc.public());
        prop_assert_eq!(node.share_key(&vc.public()).unwrap(), share_key);
    }

    #[test]
    fn a_tampered_half_is_refused_and_the_permit_returned(bit in 0usize..96 * 8, seed: u64) {
        let (vc, node) = split(share(5), &mut rng(seed));
        let mut half = vc.sign(&root(3));
        half.0[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(node.complete(permit(0, 3), &vc.public(), &half), Err(permit(0, 3)));
    }

    #[test]
    fn resplit_halves_still_complete_to_the_share_and_old_ones_do_not_fit(seed: u64) {
        let whole = share(9);
        let expected = whole.sign(&root(4));
        let (vc, node) = split(whole, &mut rng(seed));
        let d = Shift::random(&mut rng(seed ^ 1));
        let (vc_new, node_new) = (vc.resplit(&d).unwrap(), node.resplit(&d).unwrap());

        let half = vc_new.sign(&root(4));
        prop_assert_eq!(node_new.complete(permit(0, 4), &vc_new.public(), &half), Ok(expected));
        let mixed = node.complete(permit(0, 4), &vc_new.public(), &half).unwrap();
        prop_assert_ne!(mixed, expected);
    }

    #[test]
    fn in_a_batch_exactly_the_bad_halves_are_refused(
        bad in prop::collection::btree_set(0usize..12, 0..5), kind in 0u8..4,
    ) {
        let operators: Vec<Operator> = (0..12).map(operator).collect();
        let message = |number: usize| u8::try_from(number % 3).unwrap();
        let jobs = operators.iter().enumerate().map(|(number, operator)| {
            let half = match (bad.contains(&number), kind) {
                (false, _) => operator.vc.sign(&root(message(number))),
                (true, 0) => operator.vc.sign(&root(77)),
                (true, 1) => operators[(number + 1) % 12].vc.sign(&root(message(number))),
                (true, 2) => Signature::INFINITY,
                (true, _) => Signature([0xff; 96]),
            };
            let permit = permit(u32::try_from(number).unwrap(), message(number));
            CompleteJob { node_half: &operator.node, vc_key: &operator.vc_key, permit, half }
        });
        for (number, result) in complete_many(jobs.collect(), &RecentRoots::default()).into_iter().enumerate() {
            match result {
                Ok(partial) => {
                    prop_assert!(!bad.contains(&number));
                    prop_assert!(verifies(&operators[number].share_key, &root(message(number)), &partial.bytes()));
                }
                Err(returned) => {
                    prop_assert!(bad.contains(&number));
                    prop_assert_eq!(returned, permit(u32::try_from(number).unwrap(), message(number)));
                }
            }
        }
    }
}

#[test]
fn a_well_formed_half_over_another_root_or_by_another_key_is_refused_alone_too() {
    let (ours, other) = (operator(1), operator(2));
    let key = ours.vc.public();
    for half in [ours.vc.sign(&root(2)), other.vc.sign(&root(1)), Signature::INFINITY] {
        assert_eq!(ours.node.complete(permit(4, 1), &key, &half), Err(permit(4, 1)));
    }
    assert!(ours.node.complete(permit(4, 1), &key, &ours.vc.sign(&root(1))).is_ok());
}

#[test]
fn two_bad_halves_whose_errors_cancel_are_both_refused() {
    let (a, b) = (operator(0), operator(1));
    let at = root(1);
    let point = |signature: &Signature| {
        let point = blst::min_pk::Signature::from_bytes(signature.as_ref()).unwrap();
        blst::min_pk::AggregateSignature::from_signature(&point)
    };
    let error = point(&operator(2).vc.sign(&at));
    let (mut plus, mut minus) = (point(&a.vc.sign(&at)), point(&b.vc.sign(&at)));
    plus.add_aggregate(&error);
    let mut negated = error.to_signature().compress();
    negated[0] ^= 0x20;
    minus.add_aggregate(&point(&Signature(negated)));
    let bytes = |sum: blst::min_pk::AggregateSignature| Signature(sum.to_signature().compress());

    let jobs = vec![one_job(&a, 1, bytes(plus)), one_job(&b, 1, bytes(minus))];
    let results = complete_many(jobs, &RecentRoots::default());
    assert!(results.iter().all(Result::is_err), "their sum verifies, neither does alone");
}

#[test]
fn a_signer_answers_in_order_and_returns_permits_of_strangers() {
    let operators: Vec<Operator> = (0..3).map(operator).collect();
    let halves: Vec<Signature> = operators.iter().map(|operator| operator.vc.sign(&root(1))).collect();
    let share_keys: Vec<PublicKey> = operators.iter().map(|operator| operator.share_key).collect();
    let vc_keys: Vec<PublicKey> = operators.iter().map(|operator| operator.vc.public()).collect();
    let signer = NodeSigner::new(operators.into_iter().map(|one| (one.node, one.share_key))).unwrap();
    assert_eq!(signer.vc_key(ValidatorNo(1)), Some(vc_keys[1]));
    assert_eq!(signer.vc_key(ValidatorNo(3)), None);
    assert!(signer.unsplit().is_empty());

    let job = |validator: u32, half| SignJob { permit: permit(validator, 1), half };
    let roots = RecentRoots::default();
    let jobs = vec![job(7, halves[0]), job(2, halves[2]), job(0, halves[1]), job(1, halves[1])];
    let results = signer.complete(jobs, &roots);
    assert_eq!(results[0], Err(permit(7, 1)));
    assert!(verifies(&share_keys[2], &root(1), &results[1].as_ref().unwrap().bytes()));
    assert_eq!(results[2], Err(permit(0, 1)), "another validator's half");
    assert!(verifies(&share_keys[1], &root(1), &results[3].as_ref().unwrap().bytes()));
    assert!(signer.complete(Vec::new(), &roots).is_empty());
    assert!(!roots.hash(&root(1)).1, "whoever combines finds the root hashed");
}

#[test]
fn an_imported_share_is_completed_unchanged_until_a_resplit() {
    let whole = share(3);
    let expected = whole.sign(&root(2));
    let vc = whole.into_imported_half();
    let node = NodeHalf::zero_for_import();
    assert!(node.is_zero());
    assert_eq!(node.public().0[0], 0xc0, "infinity");
    assert_eq!(node.vc_key(&vc.public()).unwrap(), vc.public());
    assert_eq!(node.complete(permit(0, 2), &vc.public(), &expected), Ok(expected));

    let d = Shift::random(&mut rng(8));
    let (vc_new, node_new) = (vc.resplit(&d).unwrap(), node.resplit(&d).unwrap());
    assert!(!node_new.is_zero());
    let half = vc_new.sign(&root(2));
    assert_eq!(node_new.complete(permit(0, 2), &vc_new.public(), &half), Ok(expected));
}

#[test]
fn a_refresh_changes_the_nodes_half_only() {
    let (whole, delta) = (share(3), share(4));
    let sum = SecretShare::from_be_bytes(&[7; 32]).unwrap().sign(&root(2));
    let (vc, node) = split(whole, &mut rng(1));
    let node = node.refresh(&delta).unwrap();
    assert_eq!(
        node.complete(permit(0, 2), &vc.public(), &vc.sign(&root(2))),
        Ok(sum),
        "0x03.. + 0x04.. = 0x07.."
    );
}

#[test]
fn zero_the_order_and_wrong_lengths_are_no_keys() {
    let order = hex::decode(ORDER).unwrap();
    let mut below = order.clone();
    below[31] = 0;
    assert_eq!(SecretShare::from_be_bytes(&order).unwrap_err(), ScalarError::TooLarge);
    assert_eq!(SecretShare::from_be_bytes(&[0xff; 32]).unwrap_err(), ScalarError::TooLarge);
    assert_eq!(VcHalf::from_be_bytes(&[0; 32]).unwrap_err(), ScalarError::Zero);
    assert_eq!(VcHalf::from_be_bytes(&[1; 31]).unwrap_err(), ScalarError::Length { have: 31 });
    assert_eq!(SecretShare::from_be_bytes(&below).unwrap().to_be_bytes().as_ref(), below);
}

#[test]
fn a_shift_that_would_leave_a_whole_share_on_one_side_is_refused() {
    let vc = VcHalf::from_be_bytes(&[2; 32]).unwrap();
    let negative = {
        let order = hex::decode(ORDER).unwrap();
        let mut borrow = 0i16;
        let mut bytes = [0u8; 32];
        for place in (0..32).rev() {
            let digit = i16::from(order[place]) - 2 - borrow;
            borrow = i16::from(digit < 0);
            bytes[place] = u8::try_from(digit.rem_euclid(256)).unwrap();
        }
        bytes
    };
    assert!(vc.resplit(&Shift::from_be_bytes(&negative).unwrap()).is_err());
    assert!(vc.resplit(&Shift::from_be_bytes(&[2; 32]).unwrap()).is_ok());
}

#[test]
fn a_half_equal_to_the_share_and_keys_off_the_curve_are_refused() {
    let Operator { node, .. } = operator(1);
    assert_eq!(node.vc_key(&node.public()), Err(PointError::Infinity(node.public())));
    let garbage = PublicKey([0x8f; 48]);
    assert_eq!(node.vc_key(&garbage), Err(PointError::NotAKey(garbage)));
    let infinity = NodeHalf::zero_for_import().public();
    assert_eq!(node.share_key(&infinity), Err(PointError::NotAKey(infinity)));
    assert_eq!(node.complete(permit(0, 1), &garbage, &Signature::INFINITY), Err(permit(0, 1)));
}

#[test]
fn the_same_stream_splits_the_same_way_and_another_differently() {
    let split_by = |seed| split(share(3), &mut rng(seed)).0.to_be_bytes();
    assert_eq!(split_by(1), split_by(1));
    assert_ne!(split_by(1), split_by(2));
}
