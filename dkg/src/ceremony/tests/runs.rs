use super::world::*;
use crate::ceremony::{Cause, Durable, Frame, Input, Rejection, Step};
use crypto::{PublicKeyPoint, combine_public, fast_aggregate_verify, verify};
use types::{Root, Threshold};

fn assert_made(world: &World) {
    let first = world.lock(index(1));
    let size = world.nodes[0].setup.size;
    let point = |key| PublicKeyPoint::parse(key).unwrap();
    let mut all_shares = Vec::new();
    for validator in &first.validators {
        let shares: Vec<_> =
            size.indices().zip(&validator.public_shares).map(|(i, key)| (i, point(key))).collect();
        let last: Vec<_> = shares.iter().rev().copied().collect();
        for quorum in [&shares, &last] {
            let group = combine_public(quorum, Threshold(size.threshold() as u8)).unwrap();
            assert_eq!(group.bytes(), validator.group);
        }
        assert_eq!(validator.signatures.len(), MESSAGES);
        all_shares.extend(shares.into_iter().map(|(_, share)| share));
    }
    assert!(fast_aggregate_verify(&all_shares, &first.lock_hash.0, &first.signature_aggregate));
    for at in world.indices() {
        let node = &world.nodes[at.position()];
        assert!(
            matches!(&node.end, Some(End::Finished(missing)) if missing.is_empty()),
            "{at}: {:?}",
            node.end
        );
        assert_eq!(world.lock(at), first);
        for (halves, validator) in node.outcome.as_ref().unwrap().halves.iter().zip(&first.validators) {
            let share = halves.node.share_key(&halves.vc.public()).unwrap();
            assert_eq!(share, validator.public_shares[at.position()]);
        }
        assert!(node.rejected.is_empty());
    }
}

#[test]
fn everybody_ends_with_the_same_lock_in_any_order_of_messages() {
    for (n, t, validators) in [(3, 2, 1), (3, 2, 3), (4, 3, 1), (4, 3, 3), (7, 5, 1), (7, 5, 3)] {
        for order in 0..3 {
            let mut world = World::new(n, t, validators, order);
            world.start_all();
            world.run();
            assert_made(&world);
        }
    }
}

#[test]
fn twenty_two_operators_make_a_key() {
    let mut world = World::new(22, 15, 1, 1);
    world.start_all();
    world.run();
    assert_made(&world);
}

#[test]
fn the_new_keys_sign_what_the_definition_says() {
    use crate::ceremony::Sealing as _;
    let mut world = World::new(4, 3, 2, 5);
    world.start_all();
    world.run();
    for (number, validator) in world.lock(index(1)).validators.iter().enumerate() {
        let key = PublicKeyPoint::parse(&validator.group).unwrap();
        let roots = TestSealing.signing_roots(types::ValidatorNo(number as u32), &validator.group);
        for (root, signature) in roots.iter().zip(&validator.signatures) {
            assert!(verify(&key, &root.root().0, signature));
        }
    }
}

#[test]
fn repeated_frames_change_nothing() {
    let mut world = World::new(4, 3, 1, 7);
    world.tamper = Box::new(|_, _, frame| vec![frame.clone(), frame.clone()]);
    world.start_all();
    world.run();
    assert_made(&world);
}

#[test]
fn contents_in_many_parts_arrive_in_any_order() {
    let mut world = World::new(3, 2, 3, 8);
    world.part_len = Some(50);
    world.start_all();
    world.run();
    assert_made(&world);
}

#[test]
fn nothing_is_said_before_the_seed_is_stored() {
    let mut world = World::new(3, 2, 1, 0);
    world.start_all();
    assert!(world.events.iter().all(|event| matches!(event, Event::Store { durable: Durable::Seed, .. })));
}

#[test]
fn no_step_is_entered_before_what_was_heard_is_stored() {
    let mut world = World::new(3, 2, 1, 0);
    world.start_all();
    // The first operator's disk stops answering after its seed.
    let mut held = Vec::new();
    loop {
        let at_first = |event: &Event| matches!(event, Event::Store { at, durable: Durable::Heard(_), .. } if *at == index(1));
        while let Some(place) = world.events.iter().position(at_first) {
            held.push(world.events.swap_remove(place));
        }
        if !world.step() {
            break;
        }
    }
    assert!(matches!(held[..], [Event::Store { durable: Durable::Heard(Step::Round1), .. }]));
    let sent = &world.nodes[0].printed;
    assert!(sent.contains("step: Round1") && !sent.contains("step: Echo"));
}

#[test]
fn a_silent_operator_is_reported_at_the_deadline_and_not_blamed() {
    for quiet in [Step::Gather, Step::Round1, Step::Echo, Step::Round2, Step::Seal, Step::Lock] {
        let mut world = World::new(4, 3, 1, 9);
        world.tamper = Box::new(move |from, _, frame| {
            let muted = from == index(2) && step_of(frame) >= quiet;
            if muted { Vec::new() } else { vec![frame.clone()] }
        });
        world.start_all();
        world.run();
        world.deadline();
        for at in [1, 3, 4].map(index) {
            let Some(End::Aborted { cause, lock_signed }) = &world.nodes[at.position()].end else {
                panic!("{at} should have given up")
            };
            let operators = vec![(index(2), None)];
            assert_eq!(*cause, Cause::Silence { step: quiet, operators });
            assert_eq!(*lock_signed, quiet == Step::Lock);
        }
    }
}

#[test]
fn an_operator_that_does_not_confirm_its_files_is_missing_and_the_keys_stand() {
    let mut world = World::new(4, 3, 1, 9);
    world.tamper = Box::new(|from, _, frame| {
        if from == index(2) && step_of(frame) == Step::Done { Vec::new() } else { vec![frame.clone()] }
    });
    world.start_all();
    world.run();
    world.deadline();
    for at in [1, 3, 4].map(index) {
        let end = &world.nodes[at.position()].end;
        assert!(matches!(end, Some(End::Finished(missing)) if *missing == [index(2)]), "{end:?}");
        assert_eq!(world.lock(at), world.lock(index(1)));
    }
}

#[test]
fn another_definition_attempt_or_version_is_named() {
    let mut world = World::new(4, 3, 1, 9);
    world.nodes[2].setup.definition_hash = Root([0xdf; 32]);
    world.nodes[3].setup.attempt = 7;
    world.start_all();
    world.run();
    let theirs = Rejection::OtherDefinition { theirs: Root([0xdf; 32]), ours: Root([0xde; 32]) };
    let attempt = Rejection::OtherAttempt { theirs: 7, ours: 0 };
    for at in [1, 2].map(index) {
        let rejected = &world.nodes[at.position()].rejected;
        assert!(rejected.contains(&(index(3), theirs.clone())));
        assert!(rejected.contains(&(index(4), attempt.clone())));
    }
    world.deadline();
    let Some(End::Aborted { cause, .. }) = &world.nodes[0].end else { panic!("no end") };
    assert_eq!(
        *cause,
        Cause::Silence {
            step: Step::Gather,
            operators: vec![(index(3), Some(theirs)), (index(4), Some(attempt))]
        }
    );
    let mut bytes = vec![9];
    bytes.extend([0; 200]);
    let mut world = World::new(3, 2, 1, 1);
    world.start_all();
    world.handle(index(1), Input::Message { from: index(2), frame: bytes.into() });
    assert_eq!(world.nodes[0].rejected, [(index(2), Rejection::Version { theirs: 9 })]);
}

#[test]
fn outputs_print_no_secret() {
    let mut world = World::new(3, 2, 1, 4);
    world.start_all();
    world.run();
    for at in world.indices() {
        let node = &world.nodes[at.position()];
        let secrets = [seed_of(at).expose().to_vec(), node.disk[0].0.to_vec()];
        let vc = node.outcome.as_ref().unwrap().halves[0].vc.to_be_bytes();
        for secret in secrets.iter().map(Vec::as_slice).chain([&vc[..]]) {
            for form in
                [format!("{:?}", &secret[..4]), hex::encode(&secret[..4]), hex::encode_upper(&secret[..4])]
            {
                let inner = form.trim_matches(['[', ']']);
                assert!(!node.printed.contains(inner) || secret[..2] == [1, 0], "{inner}");
            }
        }
        assert!(node.printed.contains("record: <") && node.printed.contains("VcHalf(<redacted>)"));
    }
    let input = Input::Message { from: index(1), frame: Frame::from(vec![42; 9]) };
    assert_eq!(format!("{input:?}"), "Message { from: #1, frame: <9 bytes> }");
}

#[test]
fn a_stored_answer_of_another_wish_is_not_taken() {
    let mut world = World::new(3, 2, 1, 4);
    world.start_all();
    world.handle(index(1), Input::Stored(Durable::Files));
    world.handle(index(1), Input::Stored(Durable::Heard(Step::Lock)));
    assert!(!world.nodes[0].printed.contains("Progress"));
}
