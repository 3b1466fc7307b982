//! Operator 2 does one wrong thing; the three others must name it, and nobody else.

use super::world::*;
use crate::ceremony::evidence::{BadItem, Conflict, Evidence, Said, Shown};
use crate::ceremony::judge::{Verdict, judge};
use crate::ceremony::plan::{COMPLAINT_LEN_MAX, Plan, SHOWN_LEN_MAX};
use crate::ceremony::wire::{Part, frames, sign};
use crate::ceremony::{Cause, CeremonyKey as _, Fault, Frame, Input, Rejection, Setup, Step};
use proptest::prelude::*;
use ssz::Encode as _;
use std::cell::RefCell;
use std::rc::Rc;
use types::ShareIndex;

const HONEST: [u8; 3] = [1, 3, 4];

fn villain() -> ShareIndex {
    index(2)
}

fn four() -> Setup {
    setup(4, 3, 2, index(1))
}

/// Runs a ceremony in which operator 2's messages of a step to some are changed.
fn run_with(
    step: Step,
    to: &'static [u8],
    change: impl Fn(&mut Vec<u8>) + Clone + 'static,
    order: u64,
) -> World {
    let mut world = World::new(4, 3, 2, order);
    world.tamper = Box::new(move |from, recipient, frame| {
        if from == villain() && step_of(frame) == step && to.contains(&recipient.get()) {
            forged(&four(), frame, change.clone())
        } else {
            vec![frame.clone()]
        }
    });
    world.start_all();
    world.run();
    world
}

fn faults(world: &World, at: ShareIndex) -> &[Fault] {
    match &world.nodes[at.position()].end {
        Some(End::Aborted { cause: Cause::Faults(faults), .. }) => faults,
        other => panic!("operator {at} named nobody: {other:?}"),
    }
}

/// What somebody finds who has the definition and the evidence, and was not there.
fn by_definition_alone(evidence: &Evidence) -> Verdict {
    judge(&four(), &TestKey(index(4)), &TestSealing, evidence).unwrap()
}

/// The villain, but for a lock message that was signed as it should be: what is wrong in it takes all keys to see.
fn verdict_of(evidence: &Evidence) -> Verdict {
    let Evidence::Item(BadItem { shown, .. }) = evidence else { return Verdict::Guilty(villain()) };
    let hash = types::Root(shown.item[..32].try_into().unwrap());
    let lock_signed = shown.signed.statement.step == Step::Lock
        && TestKey(villain()).sign_lock(&hash).as_slice() == &shown.item[32 + 96..];
    if lock_signed { Verdict::Unknown } else { Verdict::Guilty(villain()) }
}

fn assert_all_honest_name_the_villain(world: &World, proof: impl Fn(&Evidence) -> bool) {
    for at in HONEST.map(index) {
        assert_eq!(world.named_by(at), [villain()], "by operator {at}");
        let evidence = &faults(world, at)[0].evidence;
        assert!(proof(evidence), "{evidence}");
        assert_eq!(by_definition_alone(evidence), verdict_of(evidence), "{evidence}");
        assert!(world.nodes[at.position()].outcome.is_none());
    }
}

fn is_item(step: Step, place: u32) -> impl Fn(&Evidence) -> bool {
    move |evidence| {
        matches!(evidence, Evidence::Item(BadItem { shown, .. })
            if shown.signed.statement.step == step && shown.index == place)
    }
}

fn is_conflict(step: Step) -> impl Fn(&Evidence) -> bool {
    move |evidence| {
        matches!(evidence, Evidence::Conflict(Conflict { first, second })
            if first.statement.step == step && second.statement.root != first.statement.root)
    }
}

const EVERYBODY: &[u8] = &[1, 3, 4];

#[test]
fn a_wrong_proof_of_knowledge_is_named() {
    let last_byte = |content: &mut Vec<u8>| *content.last_mut().unwrap() ^= 1;
    for order in 0..4 {
        let world = run_with(Step::Round1, EVERYBODY, last_byte, order);
        assert_all_honest_name_the_villain(&world, is_item(Step::Round1, 1));
    }
}

#[test]
fn an_identity_commitment_is_named() {
    let identity = |content: &mut Vec<u8>| {
        content[..48].fill(0);
        content[0] = 0xc0;
    };
    let world = run_with(Step::Round1, EVERYBODY, identity, 5);
    assert_all_honest_name_the_villain(&world, is_item(Step::Round1, 0));
}

#[test]
fn commitments_of_another_degree_are_named() {
    let longer = |content: &mut Vec<u8>| content.extend([0; 48]);
    let shorter = |content: &mut Vec<u8>| content.truncate(content.len() - 48);
    for world in [run_with(Step::Round1, EVERYBODY, longer, 1), run_with(Step::Round1, &[3], shorter, 2)] {
        assert_all_honest_name_the_villain(&world, |evidence| matches!(evidence, Evidence::Length(_)));
    }
}

#[test]
fn different_round_one_messages_are_proved_by_the_echo() {
    // Another valid message: that of the same operator under another seed.
    let mut other = World::new(4, 3, 2, 0);
    let fresh = keys::frost::CeremonySeed::new(zeroize::Zeroizing::new([9; 32]));
    let plan = Plan::new(Setup { me: villain(), ..four() }, MESSAGES).unwrap();
    let dealers: Vec<u8> = plan
        .validators()
        .flat_map(|validator| {
            let stream = fresh.stream(&plan.ceremony, validator, keys::frost::Purpose::Dkg);
            keys::frost::Dealer::new(plan.size(), villain(), stream).round1().bytes().to_vec()
        })
        .collect();
    other.nodes.clear();
    for order in 0..4 {
        let dealers = dealers.clone();
        let world = run_with(Step::Round1, &[3], move |content| content.clone_from(&dealers), order);
        assert_all_honest_name_the_villain(&world, is_conflict(Step::Round1));
    }
}

#[test]
fn an_echo_of_what_nobody_signed_is_named() {
    // The fourth operator's statement gets another root, under a signature that cannot fit.
    let invented = |content: &mut Vec<u8>| content[3 * 96] ^= 1;
    for order in 0..4 {
        let world = run_with(Step::Echo, &[1], invented, order);
        assert_all_honest_name_the_villain(&world, is_item(Step::Echo, 3));
    }
}

#[test]
fn a_bad_private_share_is_proved_to_all_though_only_one_saw_it() {
    let wrong = |content: &mut Vec<u8>| content[63] ^= 1;
    let too_large = |content: &mut Vec<u8>| content[32..].fill(0xff);
    for order in 0..4 {
        let world = run_with(Step::Round2, &[3], wrong, order);
        assert_all_honest_name_the_villain(&world, is_item(Step::Round2, 1));
    }
    let world = run_with(Step::Round2, &[1, 4], too_large, 9);
    assert_all_honest_name_the_villain(&world, is_item(Step::Round2, 1));
}

#[test]
fn a_wrong_partial_signature_is_named() {
    // Its own signature on another message; and bytes that are no point.
    let swapped = |content: &mut Vec<u8>| content.copy_within(0..96, 96 * 4);
    let garbage = |content: &mut Vec<u8>| content[96 * 4..96 * 5].fill(0xff);
    for order in 0..3 {
        let world = run_with(Step::Seal, &[4], swapped, order);
        assert_all_honest_name_the_villain(&world, is_item(Step::Seal, 4));
    }
    let world = run_with(Step::Seal, EVERYBODY, garbage, 3);
    assert_all_honest_name_the_villain(&world, is_item(Step::Seal, 4));
}

#[test]
fn a_wrong_signature_over_the_lock_is_named() {
    for place in [0, 32 + 50, 32 + 96, 32 + 96 + 64] {
        let wrong = move |content: &mut Vec<u8>| content[place] ^= 1;
        let world = run_with(Step::Lock, EVERYBODY, wrong, place as u64);
        assert_all_honest_name_the_villain(&world, is_item(Step::Lock, 0));
    }
}

#[test]
fn two_messages_for_one_step_prove_each_other() {
    for step in [Step::Round1, Step::Echo, Step::Round2, Step::Seal, Step::Lock] {
        let mut world = World::new(4, 3, 2, 11);
        world.tamper = Box::new(move |from, to, frame| {
            let mut sent = vec![frame.clone()];
            if from == villain() && to == index(1) && step_of(frame) == step {
                sent.extend(forged(&four(), frame, |content| content[0] ^= 1));
            }
            sent
        });
        world.start_all();
        world.run();
        // Whoever the order of messages showed only a good one may have gone on to make the keys at the last step.
        for at in HONEST.map(index) {
            if !matches!(world.nodes[at.position()].end, Some(End::Finished(_)) | None) {
                assert_eq!(world.named_by(at), [villain()], "{step}");
            }
            assert!(
                step == Step::Lock || matches!(world.nodes[at.position()].end, Some(End::Aborted { .. }))
            );
        }
    }
}

/// The villain's accusation, as it would send it.
fn complaint(evidence: &[Evidence]) -> Vec<Frame> {
    let plan = Plan::new(Setup { me: villain(), ..four() }, MESSAGES).unwrap();
    let content = evidence.to_vec().as_ssz_bytes();
    let signed = sign(&plan, &TestKey(villain()), Step::Complaint, 0, &content);
    frames(&plan, &signed, &content)
}

/// A world in which the villain sends a complaint of its own making at the start of a step.
fn run_with_complaint(step: Step, evidence: impl Fn(&Frame) -> Vec<Evidence> + 'static) -> World {
    let mut world = World::new(4, 3, 2, 21);
    world.tamper = Box::new(move |from, _, frame| {
        let mut sent = vec![frame.clone()];
        if from == villain() && step_of(frame) == step {
            sent.extend(complaint(&evidence(frame)));
        }
        sent
    });
    world.start_all();
    world.run();
    world
}

#[test]
fn a_false_accusation_falls_back_on_its_author() {
    // "Operator 3's round 1 is bad" with a statement it never signed; and with nothing at all.
    let invented = |frame: &Frame| {
        let mut signed = Part::parse(&frame.0).unwrap().signed;
        signed.statement.author = index(3);
        vec![Evidence::Length(signed)]
    };
    let world = run_with_complaint(Step::Round1, invented);
    let is_false = |evidence: &Evidence| matches!(evidence, Evidence::FalseAccusation(_));
    assert_all_honest_name_the_villain(&world, is_false);
    // A contradiction that is none.
    let same = |frame: &Frame| {
        let signed = Part::parse(&frame.0).unwrap().signed;
        vec![Evidence::Conflict(Conflict { first: signed, second: signed })]
    };
    let world = run_with_complaint(Step::Echo, same);
    assert_all_honest_name_the_villain(&world, is_false);
}

/// A ceremony in which operator 1 alone gets a false accusation of so many bytes.
fn run_with_long_accusation(len: usize) -> World {
    let mut world = World::new(4, 3, 2, 25);
    world.tamper = Box::new(move |from, to, frame| {
        let mut sent = vec![frame.clone()];
        if from == villain() && to == index(1) && step_of(frame) == Step::Round1 {
            let signed = Part::parse(&frame.0).unwrap().signed;
            let of = |len| vec![Evidence::FalseAccusation(Said { signed, content: vec![0; len] })];
            let around = of(0).as_ssz_bytes().len();
            sent.extend(complaint(&of(len - around)));
        }
        sent
    });
    world.start_all();
    world.run();
    world
}

#[test]
fn the_longest_false_accusation_that_counts_can_be_shown_and_a_longer_one_does_nothing() {
    let world = run_with_long_accusation(SHOWN_LEN_MAX);
    assert_all_honest_name_the_villain(&world, |evidence| matches!(evidence, Evidence::FalseAccusation(_)));
    for len in [SHOWN_LEN_MAX + 1, COMPLAINT_LEN_MAX] {
        let world = run_with_long_accusation(len);
        let made = world.nodes.iter().filter(|node| matches!(node.end, Some(End::Finished(_)))).count();
        assert_eq!(made, 4, "{len} bytes");
    }
}

#[test]
fn a_good_item_shown_as_a_bad_one_accuses_its_accuser() {
    // The villain shows operator 3's good share of round 2, with operator 3's true signature.
    let seen: Rc<RefCell<Option<Frame>>> = Rc::default();
    let mut world = World::new(4, 3, 2, 22);
    let kept = Rc::clone(&seen);
    let first: Rc<RefCell<Option<Frame>>> = Rc::default();
    world.tamper = Box::new(move |from, to, frame| {
        if from == index(3) && to == villain() && step_of(frame) == Step::Round2 {
            kept.borrow_mut().get_or_insert_with(|| frame.clone());
        }
        if from == index(3) && step_of(frame) == Step::Round1 {
            first.borrow_mut().get_or_insert_with(|| frame.clone());
        }
        let mut sent = vec![frame.clone()];
        let held = kept.borrow();
        if let (true, Some(good)) = (from == villain() && step_of(frame) == Step::Seal, held.as_ref()) {
            let part = Part::parse(&good.0).unwrap();
            let shown = Shown::of(part.signed, part.bytes, 32, 0);
            let round1 = first.borrow().clone().unwrap();
            let part = Part::parse(&round1.0).unwrap();
            let round1 = vec![Shown::of(part.signed, part.bytes, part.bytes.len() / 2, 0)];
            sent.extend(complaint(&[Evidence::Item(BadItem { shown, round1, echo: Vec::new() })]));
        }
        sent
    });
    world.start_all();
    world.run();
    assert_all_honest_name_the_villain(&world, |evidence| matches!(evidence, Evidence::FalseAccusation(_)));
}

#[test]
fn an_invented_item_under_a_true_statement_accuses_its_accuser() {
    // "Operator 3's first partial signature is zeros", under the statement that operator 3 made of another.
    let seen: Rc<RefCell<Option<Frame>>> = Rc::default();
    let mut world = World::new(4, 3, 2, 23);
    world.tamper = Box::new(move |from, to, frame| {
        let mut sent = vec![frame.clone()];
        if from == index(3) && to == villain() && step_of(frame) == Step::Round1 {
            seen.borrow_mut().get_or_insert_with(|| frame.clone());
        }
        let held = seen.borrow();
        if let (true, Some(good)) = (from == villain() && step_of(frame) == Step::Echo, held.as_ref()) {
            let part = Part::parse(&good.0).unwrap();
            let item_len = part.bytes.len() / 2;
            let shown = Shown { item: vec![0; item_len], ..Shown::of(part.signed, part.bytes, item_len, 0) };
            sent.extend(complaint(&[Evidence::Item(BadItem {
                shown,
                round1: Vec::new(),
                echo: Vec::new(),
            })]));
        }
        sent
    });
    world.start_all();
    world.run();
    assert_all_honest_name_the_villain(&world, |evidence| matches!(evidence, Evidence::FalseAccusation(_)));
}

#[test]
fn nothing_said_after_the_keys_are_made_undoes_them() {
    let kept: Rc<RefCell<Vec<(ShareIndex, Frame)>>> = Rc::default();
    let keep = Rc::clone(&kept);
    let mut world = World::new(4, 3, 2, 24);
    world.tamper = Box::new(move |from, to, frame| {
        if from == villain() && matches!(step_of(frame), Step::Seal | Step::Done) {
            keep.borrow_mut().push((to, frame.clone()));
        }
        if from == villain() && step_of(frame) == Step::Done { Vec::new() } else { vec![frame.clone()] }
    });
    world.start_all();
    world.run();
    let kept = kept.take();
    for (to, frame) in kept.iter().filter(|(_, frame)| step_of(frame) == Step::Seal) {
        for second in forged(&four(), frame, |content| content[0] ^= 1) {
            world.handle(*to, Input::Message { from: villain(), frame: second });
        }
    }
    assert!(HONEST.map(index).iter().all(|at| world.nodes[at.position()].end.is_none()));
    for (to, frame) in kept.into_iter().filter(|(_, frame)| step_of(frame) == Step::Done) {
        world.handle(to, Input::Message { from: villain(), frame });
    }
    world.run();
    for at in HONEST.map(index) {
        let end = &world.nodes[at.position()].end;
        assert!(matches!(end, Some(End::Finished(missing)) if missing.is_empty()), "{end:?}");
    }
}

#[test]
fn a_fault_is_named_at_the_deadline_though_another_is_silent() {
    let mut world = World::new(4, 3, 2, 12);
    world.tamper = Box::new(|from, to, frame| match (from.get(), step_of(frame)) {
        (4, Step::Round2) => Vec::new(),
        (2, Step::Round2) if to == index(1) => forged(&four(), frame, |content| content[5] ^= 1),
        _ => vec![frame.clone()],
    });
    world.start_all();
    world.run();
    world.handle_at(index(1), DEADLINE, Input::Tick);
    world.run();
    assert_all_honest_name_the_villain(&world, is_item(Step::Round2, 0));
}

#[test]
fn a_message_in_anothers_name_is_put_aside() {
    let mut world = World::new(4, 3, 2, 13);
    let kept: Rc<RefCell<Vec<Frame>>> = Rc::default();
    let keep = Rc::clone(&kept);
    world.tamper = Box::new(move |from, _, frame| {
        if from == index(3) {
            keep.borrow_mut().push(frame.clone());
        }
        vec![frame.clone()]
    });
    world.start_all();
    world.run();
    let mut world = World::new(4, 3, 2, 13);
    world.start_all();
    for frame in kept.borrow().iter() {
        world.handle(index(1), Input::Message { from: villain(), frame: frame.clone() });
    }
    assert!(!world.nodes[0].rejected.is_empty());
    for (from, why) in &world.nodes[0].rejected {
        assert!(*from == villain() && matches!(why, Rejection::Misdirected { .. }), "{why}");
    }
    world.run();
    assert!(world.nodes[0].outcome.is_some(), "nothing of it counted");
}

#[test]
fn evidence_does_not_print_what_it_shows() {
    let world = run_with(Step::Round2, &[3], |content| content[63] ^= 1, 1);
    let Evidence::Item(bad) = &faults(&world, index(1))[0].evidence else { panic!("no item") };
    let printed = format!("{:?} {}", faults(&world, index(1)), faults(&world, index(1))[0].evidence);
    assert!(!printed.contains(&format!("{:?}", &bad.shown.item[..4]).replace(['[', ']'], "")));
    assert!(printed.contains("a private share that does not fit its commitments in item 1 of round 2"));
}

/// Every frame of an honest run, from operator 2 to operator 1.
fn frames_to_first() -> Vec<Frame> {
    let kept: Rc<RefCell<Vec<Frame>>> = Rc::default();
    let keep = Rc::clone(&kept);
    let mut world = World::new(4, 3, 2, 1);
    world.tamper = Box::new(move |from, to, frame| {
        if from == villain() && to == index(1) {
            keep.borrow_mut().push(frame.clone());
        }
        vec![frame.clone()]
    });
    world.start_all();
    world.run();
    drop(world);
    kept.take()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_bytes_of_a_peer_panic_or_count(
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 20),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 10),
    ) {
        thread_local!(static GOOD: Vec<Frame> = frames_to_first());
        let good = GOOD.with(Clone::clone);
        let mut world = World::new(4, 3, 2, 2);
        world.start_all();
        let mut bad: Vec<Vec<u8>> = noise;
        for (number, (place, bit)) in flips.iter().enumerate() {
            let mut bytes = good[number % good.len()].0.to_vec();
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            bad.push(bytes);
        }
        for (number, cut) in cuts.iter().enumerate() {
            let bytes = &good[number % good.len()].0;
            bad.push(bytes[..cut.index(bytes.len())].to_vec());
        }
        for bytes in bad {
            world.handle(index(1), Input::Message { from: villain(), frame: bytes.into() });
        }
        world.run();
        prop_assert!(world.nodes[0].outcome.is_some(), "{:?}", world.nodes[0].end);
    }
}
