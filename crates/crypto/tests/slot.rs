//! The slot check against honest operators, cheats of every kind, and cheats whose errors cancel.

mod dealer;

use crypto::hashed::RecentRoots;
use crypto::point::{G2Affine, UncheckedG2Affine};
use crypto::slot::EVIDENCE_MAX;
use crypto::{Cost, G2, Job, PublicKeyPoint, Scalar, Settled, SignaturePoint, settle, verify};
use dealer::{Dealt, root, share, sign};
use proptest::prelude::*;
use types::{ShareIndex, Signature, SigningRoot};

const SEED: [u8; 32] = [3; 32];

/// A validator, its root, and what arrived.
struct Duty {
    dealt: Dealt,
    root: SigningRoot,
    partials: Vec<(ShareIndex, Signature)>,
}

impl Duty {
    fn new(number: u64, n: u8, t: u8, root: SigningRoot, indices: &[u8]) -> Self {
        let dealt = Dealt::new(n, t, number);
        let partials = dealt.partials(indices, &root);
        Self { dealt, root, partials }
    }

    fn job(&self) -> Job<'_> {
        Job {
            root: self.root,
            group_key: &self.dealt.group_key,
            public_shares: &self.dealt.public_shares,
            threshold: self.dealt.threshold,
            partials: &self.partials,
            own: None,
        }
    }

    fn good(&self) -> Settled {
        Settled { signature: Some(self.dealt.whole(&self.root)), culprits: vec![] }
    }

    fn good_without(&self, culprits: &[u8]) -> Settled {
        Settled { culprits: culprits.iter().map(|index| share(*index)).collect(), ..self.good() }
    }

    fn lost(culprits: &[u8]) -> Settled {
        Settled { signature: None, culprits: culprits.iter().map(|index| share(*index)).collect() }
    }
}

fn run(duties: &[Duty]) -> (Vec<Settled>, Cost) {
    let jobs: Vec<_> = duties.iter().map(Duty::job).collect();
    settle(&jobs, &RecentRoots::default(), SEED)
}

fn jobs_with(duties: &[Duty], own: impl Fn(&Duty) -> Option<SignaturePoint>) -> Vec<Job<'_>> {
    duties.iter().map(|duty| Job { own: own(duty), ..duty.job() }).collect()
}

fn plus(signature: &Signature, error: G2) -> Signature {
    Signature((error + G2Affine::uncompress(&signature.0).unwrap()).compress())
}

/// A point of the curve outside the subgroup.
fn outside() -> Signature {
    let outside = (0u8..).find_map(|x| {
        let mut bytes = [0; 96];
        bytes[0] = 0x80;
        bytes[95] = x;
        UncheckedG2Affine::uncompress(&bytes).ok().filter(|point| point.check().is_err()).map(|_| bytes)
    });
    Signature(outside.unwrap())
}

#[test]
fn honest_slot_costs_one_check_and_one_pairing_per_root_more() {
    let duties: Vec<_> = (0..12).map(|v| Duty::new(v, 4, 3, root((v % 3) as u8), &[2, 1, 4, 3])).collect();
    let (settled, cost) = run(&duties);
    assert!(duties.iter().zip(&settled).all(|(duty, settled)| *settled == duty.good()));
    assert_eq!(cost, Cost { hashes: 3, pairings: 4, checks: 1 });
    let (settled, cost) = run(&duties[..1]);
    assert_eq!((settled, cost), (vec![duties[0].good()], Cost { hashes: 1, pairings: 2, checks: 1 }));
    assert_eq!(run(&[]), (vec![], Cost::default()));
}

#[test]
fn every_kind_of_bad_partial_is_its_authors_and_costs_no_signature() {
    let signed_by_another = sign(Scalar::from(5u64), &root(1).root().0);
    let kinds = [Signature([0x5a; 96]), outside(), Signature::INFINITY, signed_by_another];
    for bad in kinds {
        let mut duties: Vec<_> = (0..3).map(|v| Duty::new(v, 4, 3, root(1), &[1, 2, 3, 4])).collect();
        duties[1].partials[1].1 = bad;
        let (settled, _) = run(&duties);
        assert_eq!(settled, [duties[0].good(), duties[1].good_without(&[2]), duties[2].good()], "{bad}");
    }
}

#[test]
fn partials_that_are_no_point_or_infinity_are_left_out_before_any_check() {
    let mut duties: Vec<_> = (0..3).map(|v| Duty::new(v, 4, 3, root(1), &[1, 2, 3, 4])).collect();
    duties[0].partials[0].1 = Signature([0x5a; 96]);
    duties[2].partials[2].1 = Signature::INFINITY;
    let (settled, cost) = run(&duties);
    assert_eq!(settled, [duties[0].good_without(&[1]), duties[1].good(), duties[2].good_without(&[3])]);
    assert_eq!(cost, Cost { hashes: 1, pairings: 2, checks: 1 });
}

#[test]
fn partials_that_combine_to_infinity_cost_no_other_validator_a_second_look() {
    let mut duties: Vec<_> = (0..8).map(|v| Duty::new(v, 4, 3, root(1), &[1, 2, 3])).collect();
    // For {1, 2, 3} the coefficients are 3, -3, 1.
    for ((_, bytes), factor) in duties[4].partials.iter_mut().zip([1, 2, 3]) {
        *bytes = Signature(G2::generator().multiply_short(factor).compress());
    }
    let (settled, cost) = run(&duties);
    assert_eq!(settled[4], Duty::lost(&[1, 2, 3]));
    assert!((0..8).filter(|v| *v != 4).all(|v| settled[v] == duties[v].good()));
    // One check of seven signatures, one for each of three operators' single partial.
    assert_eq!(cost.checks, 4);
}

#[test]
fn point_outside_the_subgroup_costs_one_validator_a_second_look_and_no_other() {
    let mut duties: Vec<_> = (0..8).map(|v| Duty::new(v, 4, 3, root(1), &[1, 2, 3, 4])).collect();
    duties[5].partials[0].1 = outside();
    let (settled, cost) = run(&duties);
    assert_eq!(settled[5], duties[5].good_without(&[1]));
    // One check of seven signatures, one for each of three operators' single partial, one of the new signature.
    assert_eq!(cost, Cost { hashes: 1, pairings: 10, checks: 5 });
}

#[test]
fn operator_that_signs_garbage_everywhere_is_named_until_enough_is_proved() {
    let mut duties: Vec<_> = (0..12).map(|v| Duty::new(v, 7, 5, root(1), &[1, 2, 3, 4, 5, 6, 7])).collect();
    for duty in &mut duties {
        duty.partials[2].1 = plus(&duty.partials[2].1, G2::generator());
    }
    let (settled, cost) = run(&duties);
    for (no, (duty, settled)) in duties.iter().zip(&settled).enumerate() {
        let named: &[u8] = if no < EVIDENCE_MAX { &[3] } else { &[] };
        assert_eq!(*settled, duty.good_without(named), "{no}");
    }
    // The slot, seven operators, the way down to the first bad one and to the three behind it, the slot again.
    assert!(cost.checks <= 1 + 7 + (4 + 3 * 2) + 1, "{cost:?}");
}

#[test]
fn a_recent_root_is_not_hashed_and_an_own_partial_is_taken_as_its_bytes_say() {
    let duties: Vec<_> = (0..4).map(|v| Duty::new(v, 4, 3, root(1), &[1, 2, 3])).collect();
    let roots = RecentRoots::default();
    roots.hash(&root(1));
    let own = |duty: &Duty| SignaturePoint::parse(&duty.partials[1].1).ok();
    let (settled, cost) = settle(&jobs_with(&duties, own), &roots, SEED);
    assert!(duties.iter().zip(&settled).all(|(duty, settled)| *settled == duty.good()));
    assert_eq!(cost, Cost { hashes: 0, pairings: 2, checks: 1 });
    // A point that is nobody's partial here changes nothing: bytes decide.
    let (strange, _) =
        settle(&jobs_with(&duties, |_| Some(SignaturePoint::new(G2Affine::generator()))), &roots, SEED);
    assert_eq!(strange, settled);
    let infinite = jobs_with(&duties, |_| SignaturePoint::parse(&Signature::INFINITY).ok());
    assert_eq!(settle(&infinite, &roots, SEED).0, settled);
}

#[test]
fn an_own_partial_that_is_bad_is_named_like_any() {
    let mut duties: Vec<_> = (0..4).map(|v| Duty::new(v, 4, 3, root(1), &[1, 2, 3, 4])).collect();
    duties[2].partials[1].1 = plus(&duties[2].partials[1].1, G2::generator());
    let own = |duty: &Duty| SignaturePoint::parse(&duty.partials[1].1).ok();
    let (settled, _) = settle(&jobs_with(&duties, own), &RecentRoots::default(), SEED);
    assert_eq!(settled, run(&duties).0);
    assert_eq!(settled[2], duties[2].good_without(&[2]));
}

#[test]
fn a_cheats_good_partial_is_found_where_it_is_needed() {
    let mut duties: Vec<_> = (0..9).map(|v| Duty::new(v, 4, 3, root(1), &[1, 2, 3, 4])).collect();
    for duty in &mut duties[..7] {
        duty.partials[2].1 = plus(&duty.partials[2].1, G2::generator());
    }
    // Beyond what is proved, two validators have not enough without the cheat: with one it signs, with one it does not.
    for lonely in [6, 8] {
        duties[lonely].partials.remove(0);
    }
    let (settled, _) = run(&duties);
    assert_eq!(settled[6], Duty::lost(&[3]));
    assert_eq!(settled[8], duties[8].good());
    assert!((0..6).all(|v| settled[v].signature == duties[v].good().signature));
    assert_eq!(settled[7], duties[7].good());
}

#[test]
fn t_good_partials_are_enough_wherever_they_stand() {
    let mut duty = Duty::new(1, 7, 3, root(1), &[1, 2, 3, 4, 5, 6, 7]);
    for (position, error) in [(0, 7), (1, 5), (3, 2), (5, 1)] {
        duty.partials[position].1 = plus(&duty.partials[position].1, G2::generator().multiply_short(error));
    }
    let want = duty.good_without(&[1, 2, 4, 6]);
    assert_eq!(run(&[duty]).0, [want]);
}

#[test]
fn with_fewer_than_t_good_partials_there_is_no_signature_and_the_cheat_is_named() {
    let mut duties = [1, 2].map(|v| Duty::new(v, 4, 3, root(1), &[1, 2, 3]));
    duties[0].partials[1].1 = plus(&duties[0].partials[1].1, G2::generator());
    let (settled, _) = run(&duties);
    assert_eq!(settled, [Duty::lost(&[2]), duties[1].good()]);
    let few = Duty::new(3, 4, 3, root(1), &[1, 4]);
    assert_eq!(run(&[few]), (vec![Duty::lost(&[])], Cost::default()));
}

#[test]
fn errors_that_cancel_in_the_combination_give_a_signature_that_verifies() {
    // For {1, 2, 3} the coefficients are 3, -3, 1: equal errors of operators 1 and 2 cancel.
    let mut duty = Duty::new(1, 4, 3, root(1), &[1, 2, 3, 4]);
    for position in [0, 1] {
        duty.partials[position].1 = plus(&duty.partials[position].1, G2::generator());
    }
    let (settled, cost) = run(std::slice::from_ref(&duty));
    let signature = settled[0].signature.unwrap();
    assert!(verify(&duty.dealt.group_key, &duty.root.root().0, &signature));
    assert_eq!(settled, [duty.good()]);
    assert_eq!(cost.checks, 1);
    // Beside a validator that fails, nobody is spared the look: both are named.
    let mut other = Duty::new(2, 4, 3, root(1), &[1, 2, 3, 4]);
    other.partials[2].1 = plus(&other.partials[2].1, G2::generator());
    let mut duty = Duty::new(1, 5, 3, root(1), &[1, 2, 3, 4, 5]);
    for position in [0, 1] {
        duty.partials[position].1 = plus(&duty.partials[position].1, G2::generator());
    }
    let duties = [duty, other];
    assert_eq!(run(&duties).0, [duties[0].good_without(&[1, 2]), duties[1].good_without(&[3])]);
}

#[test]
fn errors_that_cancel_between_two_validators_do_not_pass() {
    let mut duties = [1, 2].map(|v| Duty::new(v, 4, 3, root(1), &[1, 2, 3, 4]));
    for (duty, error) in duties.iter_mut().zip([G2::generator(), -G2::generator()]) {
        duty.partials[0].1 = plus(&duty.partials[0].1, error);
    }
    let (settled, _) = run(&duties);
    assert_eq!(settled, [duties[0].good_without(&[1]), duties[1].good_without(&[1])]);
}

#[test]
fn partial_of_an_operator_without_a_public_share_is_named_and_not_used() {
    let mut duty = Duty::new(1, 4, 3, root(1), &[1, 2, 3]);
    duty.partials.insert(0, (share(9), duty.partials[0].1));
    assert_eq!(run(std::slice::from_ref(&duty)).0, [duty.good_without(&[9])]);
}

#[test]
fn two_partials_by_one_operator_count_once() {
    let mut duty = Duty::new(1, 4, 3, root(1), &[1, 2]);
    duty.partials.push(duty.partials[1]);
    assert_eq!(run(&[duty]).0, [Duty::lost(&[])]);
}

#[test]
fn shares_of_another_key_cost_only_their_validator_and_blame_nobody() {
    let mut duties = [1, 2, 3].map(|v| Duty::new(v, 4, 3, root(1), &[1, 2, 3, 4]));
    let stranger: PublicKeyPoint = Dealt::new(4, 3, 77).group_key;
    duties[1].dealt.group_key = stranger;
    let (settled, _) = run(&duties);
    assert_eq!(settled, [duties[0].good(), Duty::lost(&[]), duties[2].good()]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The judge knows only who sent what: good partials are those that verify alone.
    #[test]
    fn result_is_what_checking_every_partial_alone_would_give(
        n in 3u8..=7,
        t_seed: u8,
        kinds in prop::collection::vec(prop::collection::vec(0u8..12, 7), 1..6),
        seed: [u8; 32],
    ) {
        let t = 2 + t_seed % (n - 1);
        let all: Vec<_> = (1..=n).collect();
        let error = |kind: u8| if kind == 0 { G2::generator() } else { -G2::generator() };
        let mut duties = Vec::new();
        for (v, kinds) in kinds.iter().enumerate() {
            let mut duty = Duty::new(v as u64, n, t, root((v % 2) as u8), &all);
            for ((_, bytes), kind) in duty.partials.iter_mut().zip(kinds) {
                match kind {
                    0 | 1 => *bytes = plus(bytes, error(*kind)),
                    2 => *bytes = outside(),
                    3 => *bytes = Signature([0xee; 96]),
                    _ => {}
                }
            }
            duties.push(duty);
        }
        let jobs: Vec<_> = duties.iter().map(Duty::job).collect();
        let (settled, _) = settle(&jobs, &RecentRoots::default(), seed);
        let named: Vec<_> = settled.iter().flat_map(|one| one.culprits.clone()).collect();
        for (duty, settled) in duties.iter().zip(settled) {
            let message = duty.root.root().0;
            let alone = |(index, bytes): &(ShareIndex, Signature)| {
                verify(&duty.dealt.public_shares[index.position()], &message, bytes)
            };
            let bad: Vec<_> =
                duty.partials.iter().filter(|partial| !alone(partial)).map(|(index, _)| *index).collect();
            let whole = duty.dealt.whole(&duty.root);
            prop_assert!(settled.signature.is_none_or(|signature| signature == whole));
            if duty.partials.len() - bad.len() >= usize::from(t) {
                prop_assert_eq!(settled.signature, Some(whole));
            }
            prop_assert!(settled.culprits.iter().all(|culprit| bad.contains(culprit)), "nobody is named wrongly");
            let first_all_good = duty.partials[..usize::from(t)].iter().all(alone);
            prop_assert!(first_all_good || settled.signature.is_none() || bad.iter().any(|one| named.contains(one))
                || bad.len() > 1, "a single cheat among the first t is named");
        }
    }
}
