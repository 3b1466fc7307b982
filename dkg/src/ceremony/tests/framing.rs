//! Nobody can make evidence against an operator that keeps to the ceremony, whatever of its words is shown, beside whatever.

use super::world::*;
use crate::ceremony::evidence::{BadItem, Conflict, Evidence, Said, Shown};
use crate::ceremony::judge::{Verdict, judge};
use crate::ceremony::plan::Plan;
use crate::ceremony::wire::{Part, sign};
use crate::ceremony::{Setup, Step};
use ssz::{Decode as _, Encode as _};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use types::ShareIndex;

/// The operator that the three others are after.
const HONEST: u8 = 3;

fn four() -> Setup {
    setup(4, 3, 2, index(1))
}

fn verdict(evidence: &Evidence) -> Verdict {
    judge(&four(), &TestKey(index(1)), &TestSealing, evidence).unwrap()
}

fn assert_not_named(evidence: &Evidence) {
    let found = verdict(evidence);
    assert_ne!(found, Verdict::Guilty(index(HONEST)), "{evidence}");
}

/// Everything that was said in a run: by author, step and recipient.
type Words = BTreeMap<(ShareIndex, Step, u8), Said>;

fn words_of(world: &mut World) -> Words {
    let heard: Rc<RefCell<Words>> = Rc::default();
    let keep = Rc::clone(&heard);
    world.tamper = Box::new(move |_, _, frame| {
        let part = Part::parse(&frame.0).unwrap();
        let statement = part.signed.statement;
        let said = Said { signed: part.signed, content: part.bytes.to_vec() };
        keep.borrow_mut().insert((statement.author, statement.step, statement.to), said);
        vec![frame.clone()]
    });
    world.start_all();
    world.run();
    drop(std::mem::replace(&mut world.tamper, Box::new(|_, _, frame| vec![frame.clone()])));
    heard.take()
}

/// The words of an honest run.
fn words() -> Words {
    let words = words_of(&mut World::new(4, 3, 2, 31));
    assert_eq!(
        words.len(),
        4 * 10,
        "seven steps to all, one to each of three, and three more at the end: {:?}",
        words.keys()
    );
    words
}

fn by_the_honest(words: &Words) -> impl Iterator<Item = &Said> {
    words.iter().filter(|((author, _, _), _)| *author == index(HONEST)).map(|(_, said)| said)
}

fn plan() -> Plan {
    Plan::new(four(), MESSAGES).unwrap()
}

/// Every item of a message.
fn items(said: &Said) -> Vec<Shown> {
    let shape = plan().shape(said.signed.statement.step).unwrap();
    (0..shape.items).map(|at| Shown::of(said.signed, &said.content, shape.item_len, at)).collect()
}

#[test]
fn no_two_words_of_an_honest_operator_contradict_each_other_and_none_is_of_a_wrong_length() {
    let words = words();
    for first in by_the_honest(&words) {
        assert_not_named(&Evidence::Length(first.signed));
        for second in words.values() {
            assert_not_named(&Evidence::Conflict(Conflict { first: first.signed, second: second.signed }));
            // The honest statement with what another has signed in place of its own signature.
            let mut borrowed = second.signed;
            borrowed.statement.author = index(HONEST);
            assert_not_named(&Evidence::Conflict(Conflict { first: first.signed, second: borrowed }));
            assert_not_named(&Evidence::Length(borrowed));
        }
    }
}

#[test]
fn no_item_of_an_honest_operator_is_bad_beside_anything_that_others_have_signed() {
    let words = words();
    let round1: Vec<Shown> = (1..=4).flat_map(|of| items(&words[&(index(of), Step::Round1, 0)])).collect();
    let echoes: Vec<&Said> = (1..=4).map(|of| &words[&(index(of), Step::Echo, 0)]).collect();
    for said in by_the_honest(&words) {
        for shown in items(said) {
            let evidence = |round1: Vec<Shown>, echo: Vec<Said>| {
                assert_not_named(&Evidence::Item(BadItem { shown: shown.clone(), round1, echo }));
            };
            evidence(Vec::new(), Vec::new());
            round1.iter().for_each(|one| evidence(vec![one.clone()], Vec::new()));
            for echo in &echoes {
                for validator in 0..2 {
                    let of_validator = || round1.iter().skip(validator).step_by(2).cloned();
                    evidence(of_validator().collect(), vec![(*echo).clone()]);
                    evidence(of_validator().rev().collect(), vec![(*echo).clone()]);
                }
            }
        }
    }
}

#[test]
fn a_true_partial_signature_beside_a_second_round_one_of_a_villain_proves_nothing() {
    // The villain signs another round 1 afterwards: under these commitments the honest partial would be wrong.
    let words = words();
    let villain = index(2);
    let plan = Plan::new(Setup { me: villain, ..four() }, MESSAGES).unwrap();
    let seed = keys::frost::CeremonySeed::new(zeroize::Zeroizing::new([9; 32]));
    let commitments = |validator| {
        let stream = seed.stream(&plan.ceremony, validator, keys::frost::Purpose::Dkg);
        keys::frost::Dealer::new(plan.size(), villain, stream).round1().bytes().to_vec()
    };
    let content: Vec<u8> = plan.validators().flat_map(commitments).collect();
    let second = Said { signed: sign(&plan, &TestKey(villain), Step::Round1, 0, &content), content };
    let first_item = |of: u8| items(&words[&(index(of), Step::Round1, 0)])[0].clone();
    let round1 = vec![first_item(1), items(&second)[0].clone(), first_item(3), first_item(4)];
    let shown = items(&words[&(index(HONEST), Step::Seal, 0)])[0].clone();
    for echo_of in 1..=4 {
        let echo = vec![words[&(index(echo_of), Step::Echo, 0)].clone()];
        let bad = BadItem { shown: shown.clone(), round1: round1.clone(), echo };
        assert_eq!(verdict(&Evidence::Item(bad)), Verdict::NotGuilty);
    }
}

#[test]
fn a_true_accusation_does_not_fall_back_on_who_made_it_and_no_flipped_bit_names_another() {
    // Operator 2 deals a bad share to the honest one, which accuses it.
    let mut world = World::new(4, 3, 2, 33);
    let accused: Rc<RefCell<Vec<Said>>> = Rc::default();
    let keep = Rc::clone(&accused);
    world.tamper = Box::new(move |from, to, frame| {
        let part = Part::parse(&frame.0).unwrap();
        if from == index(HONEST) && step_of(frame) == Step::Complaint {
            keep.borrow_mut().push(Said { signed: part.signed, content: part.bytes.to_vec() });
        }
        if (from, to, step_of(frame)) == (index(2), index(HONEST), Step::Round2) {
            return forged(&four(), frame, |content| content[5] ^= 1);
        }
        vec![frame.clone()]
    });
    world.start_all();
    world.run();
    let accusation = accused.borrow()[0].clone();
    assert_eq!(verdict(&Evidence::FalseAccusation(accusation.clone())), Verdict::NotGuilty);
    let mut cut = accusation.clone();
    cut.content.truncate(cut.content.len() / 2);
    assert_not_named(&Evidence::FalseAccusation(cut));
    let true_one = Vec::<Evidence>::from_ssz_bytes(&accusation.content).unwrap().remove(0);
    assert_eq!(verdict(&true_one), Verdict::Guilty(index(2)));
    let bytes = true_one.as_ssz_bytes();
    for place in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[place / 8] ^= 1 << (place % 8);
        if let Ok(evidence) = Evidence::from_ssz_bytes(&flipped) {
            assert_eq!(verdict(&evidence), Verdict::NotGuilty, "bit {place}: {evidence}");
        }
    }
}
