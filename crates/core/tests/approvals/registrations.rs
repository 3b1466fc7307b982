//! Registrations.

use crate::world::{
    LOCKED, World, complete_registration, half, key, operator, partial, spec, statement, statement_root,
};
use symbolon_core::approve::{NotApproved, STATED_AHEAD, STATEMENTS_MAX};
use symbolon_core::{Answer, Ask, Fault, Refusal};
use types::approval::{Kept, KeptOf, Notice, Standing, StatementError};
use types::builder::SignedValidatorRegistrationV1;
use types::wire::{
    Instance, Kind, Message, PartialSignature, Partials, Statement, Step, ValueAnswer, ValueId,
};
use types::{Address, Generation, Millis, Root, Signature, ValidatorNo};

fn refused(refusal: NotApproved) -> Answer {
    Answer::Refused(Refusal::NotApproved(refusal))
}

fn pays(recipient: u8, validators: &[u32]) -> Vec<(u32, Address)> {
    validators.iter().map(|number| (*number, Address([recipient; 20]))).collect()
}

/// What a villain says: a notice in its instance.
fn notice(stated: Millis, notice: &Notice) -> Message {
    let instance = Instance::new(Generation(0), spec().slot_at(stated).unwrap(), Kind::Registration);
    let id = ValueId { instance, hash: notice.hash() };
    Message::Value(ValueAnswer { id, value: notice.to_value() })
}

fn approval(from: u8, stated: Millis, hash: Root, validator: u32, signature: Signature) -> Message {
    let instance = Instance::new(Generation(0), spec().slot_at(stated).unwrap(), Kind::Registration);
    let partials = vec![PartialSignature { item: ValidatorNo(validator).into(), signature }];
    let extra = Partials::extra(&partials);
    let statement = Statement { instance, step: Step::Partial, round: 0, hash, extra };
    Message::Partial(Partials { signed: statement.unsigned(operator(from)), partials })
}

#[test]
fn fewer_than_the_threshold_change_nothing_and_the_threshold_changes_it_everywhere() {
    let mut world = World::new();
    let said = statement(&[0, 2], 0x20, 0);
    for me in [1, 2] {
        assert_eq!(world.register(me, &said), Answer::Accepted);
    }
    for me in 1..=4 {
        assert!(world.person(me).registered.is_empty());
        let waiting = world.person(me).node.approvals().statements;
        assert_eq!((waiting[0].id, &waiting[0].statement), (said.hash(), &said));
        assert_eq!(waiting[0].operators, [(operator(1), 2), (operator(2), 2)].into());
    }
    assert_eq!(world.register(4, &said), Answer::Accepted);
    for me in 1..=4 {
        assert_eq!(world.person(me).pays(), pays(0x20, &[0, 2]), "operator {me}");
        let newest: Vec<_> = world.person(me).registered.iter().map(|one| one.newest).collect();
        assert_eq!(newest, [0, 2].map(|validator| complete_registration(&said, validator)));
        assert!(world.person(me).registered.iter().all(|one| one.previous == Some(LOCKED)));
        assert!(world.person(me).node.approvals().statements.is_empty(), "nothing waits any more");
    }
    let (validator, timestamp_s) = (ValidatorNo(0), said.timestamp_s);
    let late = NotApproved::NotNewer { validator, current: timestamp_s, timestamp_s };
    assert_eq!(world.register(3, &said), refused(late));
}

#[test]
fn an_approval_is_for_every_validator_or_for_none() {
    let mut world = World::new();
    let said = statement(&[0, 1], 0x20, 0);
    let mut halves: Vec<_> = (0..2).map(|number| half(1, number, &statement_root(&said, number))).collect();
    halves[1] = half(2, 1, &statement_root(&said, 1));
    let bad = world.ask(1, Ask::Register { statement: said.clone(), halves: halves.clone() });
    assert_eq!(bad, Answer::PartlyRefused(vec![(1, Refusal::BadHalf(ValidatorNo(1)))]));
    halves.pop();
    let few = world.ask(1, Ask::Register { statement: said.clone(), halves });
    assert_eq!(few, refused(NotApproved::Halves { have: 1, want: 2 }));
    assert!((1..=4).all(|me| world.person(me).node.approvals().statements.is_empty()));
}

#[test]
fn what_nobody_should_approve_is_refused() {
    let mut world = World::new();
    let zero = statement(&[0], 0, 0);
    assert_eq!(world.register(1, &zero), refused(StatementError::ZeroRecipient.into()));
    let ahead_s = STATED_AHEAD.0 as i64 / 1000;
    let ahead = statement(&[0], 0x20, ahead_s + 1);
    let timestamp_s = ahead.timestamp_s;
    assert_eq!(world.register(1, &ahead), refused(NotApproved::Ahead { timestamp_s }));
    let newer = statement(&[0], 0x20, ahead_s - 1);
    assert_eq!(world.register(1, &newer), Answer::Accepted);
    let approved = NotApproved::NewerStatement { validator: ValidatorNo(0), approved: newer.timestamp_s };
    assert_eq!(world.register(1, &statement(&[0], 0x21, 0)), refused(approved));
}

#[test]
fn of_two_complete_statements_the_later_counts_whichever_is_complete_first() {
    let (early, late) = (statement(&[0, 1], 0x20, -60), statement(&[0], 0x30, 0));
    for late_first in [true, false] {
        let mut world = World::new();
        // Operator 4 approves the earlier one only, so that both get their three.
        assert_eq!(world.register(1, &early), Answer::Accepted);
        assert_eq!(world.register(2, &early), Answer::Accepted);
        if late_first {
            for me in [1, 2, 3] {
                assert_eq!(world.register(me, &late), Answer::Accepted);
            }
            assert!(matches!(world.register(4, &early), Answer::Refused(_)), "not newer for validator 0");
            assert_eq!(world.register(4, &statement(&[1], 0x20, -60)), Answer::Accepted, "another statement");
            assert!((1..=4).all(|me| world.person(me).pays() == pays(0x30, &[0])));
        } else {
            assert_eq!(world.register(4, &early), Answer::Accepted);
            assert!((1..=4).all(|me| world.person(me).pays() == pays(0x20, &[0, 1])));
            for me in [1, 2, 3] {
                assert_eq!(world.register(me, &late), Answer::Accepted);
            }
            let both = [pays(0x30, &[0]), pays(0x20, &[1])].concat();
            assert!((1..=4).all(|me| world.person(me).pays() == both));
        }
    }
}

#[test]
fn approvals_survive_a_restart_and_are_said_again() {
    let mut world = World::new();
    world.away.push(4);
    let said = statement(&[0, 1], 0x20, 0);
    for me in [1, 2] {
        world.register(me, &said);
        world.restart(me);
    }
    for me in 1..=4 {
        world.reconnect(me);
    }
    assert_eq!(world.register(4, &said), Answer::Accepted);
    assert!((1..=4).all(|me| world.person(me).pays() == pays(0x20, &[0, 1])));
}

#[test]
fn who_was_away_learns_what_counts_from_any_other_and_remembers_it() {
    let mut world = World::new();
    world.away.push(4);
    let said = statement(&[0, 1], 0x20, 0);
    for me in [1, 2, 3] {
        world.register(me, &said);
    }
    assert!(world.person(4).pays().is_empty());
    world.reconnect(4);
    assert_eq!(world.person(4).pays(), pays(0x20, &[0, 1]));
    let checked = world.person(4).verified;
    assert!((2..=6).contains(&checked), "each validator's, from three operators at most: {checked}");
    world.reconnect(4);
    assert_eq!(world.person(4).verified, checked, "what counts already is not checked again");
    world.restart(4);
    assert_eq!(world.person(4).pays(), pays(0x20, &[0, 1]));
}

#[test]
fn a_partial_that_reached_one_operator_only_is_enough_for_all() {
    let mut world = World::new();
    let said = statement(&[0], 0x20, 0);
    for me in [1, 2] {
        world.register(me, &said);
    }
    // Operator 3 tells operator 1 alone.
    let signature = partial(3, 0, &statement_root(&said, 0));
    world.say(3, 1, notice(said.stated(), &Notice::Statement(said.clone())));
    world.say(3, 1, approval(3, said.stated(), said.hash(), 0, signature));
    assert!((1..=4).all(|me| world.person(me).pays() == pays(0x20, &[0])));
}

#[test]
fn a_statement_that_was_not_heard_is_asked_for() {
    let mut world = World::new();
    world.away.push(4);
    let said = statement(&[0], 0x20, 0);
    world.register(1, &said);
    world.away.clear();
    // The partial alone comes, of an operator that has approved; the statement follows on request.
    world.say(1, 4, approval(1, said.stated(), said.hash(), 0, Signature::ZERO));
    let waiting = world.person(4).node.approvals().statements;
    assert_eq!(waiting.iter().map(|one| one.id).collect::<Vec<_>>(), [said.hash()]);
}

#[test]
fn a_registration_that_the_group_has_not_signed_is_the_tellers_fault() {
    let mut world = World::new();
    let said = statement(&[0], 0x66, 0);
    let message = said.registration(key(0));
    let forged = SignedValidatorRegistrationV1 { message, signature: Signature([7; 96]) };
    world.say(3, 1, notice(said.stated(), &Notice::Complete(vec![forged])));
    assert!(world.person(1).pays().is_empty());
    assert_eq!(world.person(1).faults, [(operator(3), Fault::Unjustified)]);
    let good = notice(said.stated(), &Notice::Complete(vec![complete_registration(&said, 0)]));
    let checked = world.person(1).verified;
    world.say(3, 1, good.clone());
    assert_eq!(world.person(1).verified, checked, "a forger costs no second pairing");
    world.say(2, 1, good);
    assert_eq!(world.person(1).pays(), pays(0x66, &[0]));
}

#[test]
fn a_statement_nobody_should_approve_and_partials_for_others_are_faults() {
    let mut world = World::new();
    let zero = statement(&[0], 0, 0);
    world.say(3, 1, notice(zero.stated(), &Notice::Statement(zero.clone())));
    assert_eq!(world.person(1).faults, [(operator(3), Fault::BadValue)]);
    let said = statement(&[0], 0x20, 0);
    world.say(3, 1, notice(said.stated(), &Notice::Statement(said.clone())));
    world.say(3, 1, approval(3, said.stated(), said.hash(), 1, Signature::ZERO));
    assert_eq!(world.person(1).faults.len(), 2, "validator 1 is not in it");
    let elsewhere = Millis(said.stated().0 - 60_000);
    world.say(3, 1, approval(3, elsewhere, said.hash(), 0, Signature::ZERO));
    assert_eq!(world.person(1).faults.len(), 3, "not where it was stated");
    assert!(world.person(1).node.approvals().statements.is_empty());
}

#[test]
fn an_operator_that_approves_everything_takes_no_more_room_than_its_newest_statements() {
    let mut world = World::new();
    for number in 0..3 * STATEMENTS_MAX as i64 {
        let said = statement(&[(number % 3) as u32], 0x20, number - 100);
        world.say(3, 1, notice(said.stated(), &Notice::Statement(said.clone())));
        let validator = said.validators[0].0;
        world.say(3, 1, approval(3, said.stated(), said.hash(), validator, Signature::ZERO));
        assert!(world.person(1).node.approvals().statements.len() <= STATEMENTS_MAX);
    }
    assert_eq!(world.person(1).node.approvals().statements.len(), 3, "one for each validator");
}

#[test]
fn partials_of_another_generation_are_not_recalled() {
    let mut world = World::new();
    let said = statement(&[0], 0x20, 0);
    world.register(1, &said);
    let person = world.persons.get_mut(&1).unwrap();
    let Some(Kept::Statements(kept)) = person.disk.get_mut("statements of 1") else { panic!("not kept") };
    *kept = KeptOf { generation: Generation(1), ..kept.clone() };
    world.restart(1);
    assert!(world.person(1).node.approvals().statements.is_empty());
}

#[test]
fn a_registration_of_the_ceremony_is_told_to_nobody_and_what_replaces_it_is() {
    let mut world = World::new();
    let locked = statement(&[0], 0x10, -1_000_000);
    for me in 1..=4 {
        let newest = complete_registration(&locked, 0);
        let standing = Standing { newest, learned: Millis(0), previous: None };
        world.input(me, symbolon_core::Input::Recall(Kept::Registered(vec![standing])));
    }
    world.reconnect(4);
    assert_eq!(world.person(4).verified, 0);
    let older = statement(&[0], 0x20, -1_000_001);
    let current = NotApproved::NotNewer {
        validator: ValidatorNo(0),
        current: locked.timestamp_s,
        timestamp_s: older.timestamp_s,
    };
    assert_eq!(world.register(1, &older), refused(current));
    let said = statement(&[0], 0x20, 0);
    for me in [1, 2, 3] {
        assert_eq!(world.register(me, &said), Answer::Accepted);
    }
    assert_eq!(world.person(4).pays(), pays(0x20, &[0]));
}
