//! One machine, step by step: what it refuses, sets aside, repeats and forgets.

mod net;

use net::{DEADLINE, Event, START, World, hash, index, value};
use symbolon_core::agree::{Input, Output};
use symbolon_core::{Fault, To};
use types::wire::{
    Kind, LastVote, Message, NewRound, Proposal, Quorum, QuorumSignature, Signed, Step, ValueAnswer, ValueId,
    Vote,
};
use types::{Machine as _, Millis, Root};

/// One live node, #1, in a cluster of four whose other messages are made by hand. Slot 8: #2 leads round 1.
fn alone(kind: Kind) -> World {
    let mut world = World::new(4, kind, 8);
    (2..=4).for_each(|node| drop(world.nodes.remove(&index(node))));
    world
}

fn deliver(world: &mut World, after: u64, from: usize, message: Message) {
    world.at(START + after, index(1), Event::Deliver { from: index(from), message });
    world.run(world.now.0.max(START + after));
}

fn vote(world: &World, author: usize, round: u32, text: &str) -> Signed {
    world.signed(index(author), Step::Vote, round, hash(text), Root::ZERO)
}

fn say_vote(world: &World, author: usize, round: u32, text: &str) -> Message {
    Message::Vote(Vote { signed: vote(world, author, round, text), value: vec![value(text)] })
}

fn certificate(world: &World, round: u32, text: &str) -> Quorum {
    let votes: Vec<_> = (2..=4).map(|author| vote(world, author, round, text)).collect();
    let signatures =
        votes.iter().map(|vote| QuorumSignature { author: vote.author, signature: vote.signature });
    Quorum { statement: votes[0].statement, signatures: signatures.collect() }
}

fn new_round(
    world: &World,
    author: usize,
    round: u32,
    last: Option<(u32, &str)>,
    header: Option<Signed>,
) -> NewRound {
    let last: Vec<_> = last.map(|(round, text)| LastVote { round, hash: hash(text) }).into_iter().collect();
    let proposal: Vec<_> = header.into_iter().collect();
    let extra = NewRound::extra(&[], &last, &proposal);
    let signed = world.signed(index(author), Step::NewRound, round, Root::ZERO, extra);
    NewRound { signed, best: vec![], last, proposal }
}

/// Outputs since the last call.
fn fresh(world: &mut World) -> Vec<Output> {
    world.log.drain(..).map(|(_, _, output)| output).collect()
}

fn names(outputs: &[Output]) -> Vec<&'static str> {
    let name = |output: &Output| match output {
        Output::Send { message, .. } => message.name(),
        Output::Check { .. } => "check",
        Output::FetchContents { .. } => "fetch contents",
        Output::NeedOwn { .. } => "need own",
        Output::NeedVote => "need vote",
        Output::Decided { .. } => "hand out",
        Output::ResendPartial { .. } => "partial again",
        Output::Evidence { .. } => "evidence",
        Output::Fault { .. } => "fault",
    };
    outputs.iter().map(name).collect()
}

fn asked(outputs: &[Output]) -> Option<&NewRound> {
    outputs.iter().rev().find_map(|output| match output {
        Output::Send { to: To::All, message: Message::NewRound(new_round) } => Some(new_round),
        _ => None,
    })
}

#[test]
fn a_last_vote_in_a_led_round_without_its_leaders_header_is_refused() {
    let mut world = alone(Kind::Attest);
    let forged = world.signed(index(3), Step::Proposal, 1, hash("x"), Proposal::extra(&[]));
    let other = world.signed(index(2), Step::Proposal, 1, hash("y"), Proposal::extra(&[]));
    for (header, author) in [(None, 3), (Some(forged), 4), (Some(other), 3)] {
        let message = Message::NewRound(new_round(&world, author, 2, Some((1, "x")), header));
        deliver(&mut world, 10, author, message);
        assert_eq!(fresh(&mut world), [Output::Fault { peer: index(author), fault: Fault::Unjustified }]);
    }
    let right = world.signed(index(2), Step::Proposal, 1, hash("x"), Proposal::extra(&[]));
    for author in [3, 4] {
        let message = Message::NewRound(new_round(&world, author, 2, Some((1, "x")), Some(right)));
        deliver(&mut world, 20, author, message);
    }
    assert_eq!(names(&fresh(&mut world)), ["newround"], "two of them pull");
}

#[test]
fn one_author_far_ahead_is_set_aside_and_f_plus_one_pull() {
    let mut world = alone(Kind::Attest);
    for author in 2..=4 {
        let message = say_vote(&world, author, 49, "late");
        deliver(&mut world, 10, author, message);
    }
    let message = Message::NewRound(new_round(&world, 2, 50, None, None));
    deliver(&mut world, 20, 2, message);
    assert_eq!(names(&fresh(&mut world)), Vec::<&str>::new());
    let message = Message::NewRound(new_round(&world, 3, 49, None, None));
    deliver(&mut world, 30, 3, message);
    let outputs = fresh(&mut world);
    assert_eq!(asked(&outputs).map(|asked| asked.signed.statement.round), Some(49));
    assert_eq!(names(&outputs), ["newround", "check", "cert", "commit"], "votes set aside are counted now");
}

#[test]
fn after_asking_for_a_round_nothing_below_it_is_voted_or_committed() {
    let mut world = alone(Kind::Attest);
    world.run(START + 350);
    world.own.insert(index(1), ("head".to_owned(), 10_000));
    world.run(DEADLINE + 300);
    assert_eq!(names(&fresh(&mut world)), ["need vote", "newround"]);
    world.own_at(DEADLINE + 310 - START, 1, "head");
    let message = Message::Cert(certificate(&world, 0, "head"));
    deliver(&mut world, DEADLINE + 320 - START, 2, message);
    assert_eq!(names(&fresh(&mut world)), ["check", "cert"], "no vote, no commit");
    for author in [3, 4] {
        let message = Message::NewRound(new_round(&world, author, 2, None, None));
        deliver(&mut world, DEADLINE + 330 - START, author, message);
    }
    let outputs = fresh(&mut world);
    let asked = asked(&outputs).expect("pulled");
    assert_eq!((asked.best.len(), asked.last.len()), (1, 0), "the certificate is shown");
}

#[test]
fn a_certificate_pulls_to_its_round_and_is_committed_there() {
    let mut world = alone(Kind::Propose);
    let message = Message::Cert(certificate(&world, 7, "block"));
    deliver(&mut world, 10, 3, message);
    assert_eq!(names(&fresh(&mut world)), ["cert", "commit"]);
    assert_eq!(world.nodes[&index(1)].frontier(), 7);
}

#[test]
fn a_peer_that_reconnects_gets_the_latest_of_each_type() {
    let mut world = alone(Kind::Attest);
    world.own_at(10, 1, "head");
    for author in [3, 4] {
        for round in [1, 2] {
            let message = Message::NewRound(new_round(&world, author, round, None, None));
            deliver(&mut world, 20 + u64::from(round), author, message);
        }
    }
    fresh(&mut world);
    world.input(index(1), Input::Reconnected(index(3)));
    let outputs = fresh(&mut world);
    assert_eq!(names(&outputs), ["newround", "vote"]);
    let latest = |output: &Output| match output {
        Output::Send { to: To::One(to), message: Message::NewRound(one) } => {
            *to == index(3) && one.signed.statement.round == 2
        }
        Output::Send { to: To::One(to), message: Message::Vote(_) } => *to == index(3),
        _ => false,
    };
    assert!(outputs.iter().all(latest));
}

#[test]
fn after_partials_combined_each_newround_is_answered_once() {
    let mut world = alone(Kind::Attest);
    world.own_at(10, 1, "head");
    for author in 2..=4 {
        let message = say_vote(&world, author, 0, "head");
        deliver(&mut world, 20, author, message);
    }
    assert!(world.decided.contains_key(&index(1)));
    world.input(index(1), Input::Combined { hash: hash("head") });
    assert_eq!(world.nodes[&index(1)].wake_at(), None, "nothing is left to wait for");
    fresh(&mut world);
    let late = Message::NewRound(new_round(&world, 3, 1, None, None));
    deliver(&mut world, 5_000, 3, late.clone());
    let outputs = fresh(&mut world);
    assert_eq!(names(&outputs), ["decided", "partial again"]);
    assert!(outputs.iter().all(|output| match output {
        Output::Send { to, .. } => *to == To::One(index(3)),
        Output::ResendPartial { to } => *to == index(3),
        _ => false,
    }));
    deliver(&mut world, 5_010, 3, late);
    assert_eq!(names(&fresh(&mut world)), Vec::<&str>::new());
}

#[test]
fn partials_decide_without_any_proof_and_the_value_is_fetched() {
    let mut world = alone(Kind::Propose);
    world.run(START);
    world.input(index(1), Input::Combined { hash: hash("block") });
    let outputs = fresh(&mut world);
    assert_eq!(names(&outputs), ["fetch"]);
    let Output::Send { to: To::One(peer), .. } = outputs[0] else { panic!("one peer at a time") };
    // It does not answer: the next one is asked, and a stranger to the question is not heard.
    world.run(START + 260);
    assert_eq!(names(&fresh(&mut world)), ["fetch"]);
    let id = ValueId { instance: world.instance, hash: hash("block") };
    let answer = |text: &str| Message::Value(ValueAnswer { id, value: value(text) });
    let unasked = world.size.others(index(1)).filter(|other| *other != peer).last().unwrap();
    deliver(&mut world, 270, unasked.position() + 1, answer("block"));
    assert_eq!(names(&fresh(&mut world)), Vec::<&str>::new());
    deliver(&mut world, 280, peer.position() + 1, answer("garbage"));
    assert_eq!(names(&fresh(&mut world)), ["check", "fault", "fetch"], "the next at once");
    deliver(&mut world, 290, peer.position() + 1, answer("block"));
    assert_eq!(names(&fresh(&mut world)), ["check", "check", "hand out"]);
}

#[test]
fn fetching_ends_though_nobody_ever_answers() {
    let mut world = alone(Kind::Propose);
    world.run(START);
    world.input(index(1), Input::Combined { hash: hash("block") });
    world.run(START + 3_600_000);
    assert_eq!(world.nodes[&index(1)].wake_at(), None);
    assert_eq!(names(&fresh(&mut world)).len(), 12, "four circles of three peers");
    world.input(index(1), Input::Reconnected(index(3)));
    assert_eq!(
        names(&fresh(&mut world)),
        ["partial again", "fetch"],
        "a peer that is back is reason to ask again"
    );
}

#[test]
fn a_second_word_of_any_type_is_evidence_once_and_does_not_count() {
    let mut world = alone(Kind::Propose);
    let commit = |world: &World, text: &str| {
        Message::Commit(world.signed(index(3), Step::Commit, 1, hash(text), Root::ZERO))
    };
    let proposal = |world: &World, text: &str| {
        let signed = world.signed(index(2), Step::Proposal, 1, hash(text), Proposal::extra(&[]));
        Message::Proposal(Proposal { signed, value: vec![value(text)], justification: vec![] })
    };
    let ask = |world: &World, text: &str| {
        let header = world.signed(index(2), Step::Proposal, 1, hash(text), Proposal::extra(&[]));
        Message::NewRound(new_round(world, 4, 2, Some((1, text)), Some(header)))
    };
    for (first, second, author) in [
        (commit(&world, "a"), commit(&world, "b"), 3),
        (say_vote(&world, 3, 1, "a"), say_vote(&world, 3, 1, "b"), 3),
        (proposal(&world, "a"), proposal(&world, "b"), 2),
        (ask(&world, "a"), ask(&world, "none"), 4),
    ] {
        deliver(&mut world, 10, author, first.clone());
        fresh(&mut world);
        deliver(&mut world, 20, author, second.clone());
        // The header shown in a NEWROUND may be a second proposal of its leader as well, if that is news.
        let outputs = fresh(&mut world);
        assert_eq!(names(&outputs), ["evidence"], "{first:?} then {second:?}");
        for again in [first, second] {
            deliver(&mut world, 30, author, again);
        }
        assert_eq!(names(&fresh(&mut world)), Vec::<&str>::new(), "once");
    }
}

#[test]
fn a_second_vote_helps_no_value_to_a_certificate() {
    let mut world = alone(Kind::Attest);
    for (author, text) in [(3, "a"), (3, "b"), (2, "b"), (4, "b")] {
        let message = say_vote(&world, author, 0, text);
        deliver(&mut world, 10, author, message);
    }
    let certificates = |output: &&Output| matches!(output, Output::Send { message: Message::Cert(_), .. });
    assert_eq!(fresh(&mut world).iter().filter(certificates).count(), 0);
    // Somebody else counted the others first, and that is as good.
    let message = Message::Cert(certificate(&world, 0, "b"));
    deliver(&mut world, 20, 4, message);
    assert_eq!(names(&fresh(&mut world)), ["cert", "commit"]);
}

/// A proposal of round 2 in slot 8: #3 leads.
fn propose(world: &World, author: usize, text: &str, justification: Vec<NewRound>) -> Message {
    let extra = Proposal::extra(&justification);
    let signed = world.signed(index(author), Step::Proposal, 2, hash(text), extra);
    Message::Proposal(Proposal { signed, value: vec![value(text)], justification })
}

fn fresh_ask(world: &World, author: usize) -> NewRound {
    new_round(world, author, 2, None, None)
}

fn certified(world: &World, author: usize) -> NewRound {
    let best = vec![certificate(world, 1, "a")];
    let extra = NewRound::extra(&best, &[], &[]);
    let signed = world.signed(index(author), Step::NewRound, 2, Root::ZERO, extra);
    NewRound { signed, best, last: vec![], proposal: vec![] }
}

fn voted_for(world: &World, author: usize, text: &str) -> NewRound {
    let header = world.signed(index(2), Step::Proposal, 1, hash(text), Proposal::extra(&[]));
    new_round(world, author, 2, Some((1, text)), Some(header))
}

type Case = (&'static str, usize, fn(&World) -> Vec<NewRound>, bool);

#[test]
fn a_proposal_is_voted_for_only_if_its_justification_makes_it_the_choice() {
    let cases: [Case; 8] = [
        ("free", 3, |w| (2..=4).map(|author| fresh_ask(w, author)).collect(), true),
        ("not the leader", 4, |w| (2..=4).map(|author| fresh_ask(w, author)).collect(), false),
        ("too few", 3, |w| (2..=3).map(|author| fresh_ask(w, author)).collect(), false),
        ("none", 3, |_| vec![], false),
        ("one twice", 3, |w| vec![fresh_ask(w, 2), fresh_ask(w, 3), fresh_ask(w, 3)], false),
        (
            "of another round",
            3,
            |w| vec![fresh_ask(w, 2), fresh_ask(w, 3), new_round(w, 4, 3, None, None)],
            false,
        ),
        ("certificate", 3, |w| vec![fresh_ask(w, 2), fresh_ask(w, 3), certified(w, 4)], false),
        ("plurality", 3, |w| vec![voted_for(w, 2, "a"), fresh_ask(w, 3), fresh_ask(w, 4)], false),
    ];
    for (name, leader, justification, valid) in cases {
        let mut world = alone(Kind::Propose);
        let message = propose(&world, leader, "b", justification(&world));
        deliver(&mut world, 10, leader, message);
        let outputs = fresh(&mut world);
        let names = names(&outputs);
        assert_eq!(names.contains(&"vote"), valid, "{name}: {names:?}");
        assert_eq!(names.contains(&"fault"), !valid, "{name}: {names:?}");
    }
}

#[test]
fn a_fake_certificate_is_its_senders_fault_and_nothing_else() {
    let mut world = alone(Kind::Propose);
    let right = certificate(&world, 1, "block");
    let few = Quorum { signatures: right.signatures[..2].to_vec(), ..right.clone() };
    let twice = Quorum {
        signatures: vec![right.signatures[0], right.signatures[1], right.signatures[1]],
        ..right.clone()
    };
    let fault = Output::Fault { peer: index(3), fault: Fault::Unjustified };
    for fake in [&few, &twice] {
        deliver(&mut world, 10, 3, Message::Cert(fake.clone()));
        deliver(&mut world, 10, 3, Message::Decided(fake.clone()));
    }
    deliver(&mut world, 10, 3, Message::Decided(right.clone()));
    assert_eq!(fresh(&mut world), vec![fault; 5], "q votes are no decision, two signatures no quorum");
    deliver(&mut world, 10, 3, Message::Cert(right));
    assert_eq!(names(&fresh(&mut world)), ["cert", "commit"]);
}

#[test]
fn right_bytes_wait_while_wrong_ones_are_under_check() {
    let mut world = alone(Kind::Attest);
    world.check_ms = 30;
    let lie = Message::Vote(Vote { signed: vote(&world, 2, 0, "head"), value: vec![value("garbage")] });
    deliver(&mut world, 0, 2, lie);
    let message = say_vote(&world, 3, 0, "head");
    deliver(&mut world, 10, 3, message);
    assert_eq!(names(&fresh(&mut world)), ["check"], "one at a time");
    world.run(START + 30);
    let outputs = fresh(&mut world);
    assert_eq!(outputs[0], Output::Fault { peer: index(2), fault: Fault::BadValue });
    assert_eq!(outputs[1..], [Output::Check { hash: hash("head"), value: value("head") }]);
}

#[test]
fn values_are_served_to_a_peer_only_so_often() {
    let mut world = alone(Kind::Attest);
    world.own_at(10, 1, "head");
    world.run(START + 10);
    fresh(&mut world);
    let id = ValueId { instance: world.instance, hash: hash("head") };
    for _ in 0..100 {
        deliver(&mut world, 20, 3, Message::Fetch(id));
    }
    assert_eq!(fresh(&mut world).len(), 16);
}

#[test]
fn a_vote_with_a_large_value_is_a_fault() {
    let mut world = alone(Kind::Attest);
    let long = "x".repeat(257);
    let message = Message::Vote(Vote { signed: vote(&world, 3, 0, "x"), value: vec![value(&long)] });
    deliver(&mut world, 10, 3, message);
    assert_eq!(names(&fresh(&mut world)), ["fault"]);
}

/// All that a machine holds shows in its Debug form; its length stands for its memory.
#[test]
fn whatever_peers_send_the_state_stays_small() {
    let mut world = alone(Kind::Attest);
    let mut sizes = Vec::new();
    for round in 1..400u32 {
        let time = u64::from(round) * 10;
        for author in 2..=4 {
            let text = format!("v{round}-{author}");
            let messages = [
                say_vote(&world, author, round, &text),
                say_vote(&world, author, round + 1_000, &text),
                say_vote(&world, author, round % 7, &text),
                Message::Commit(world.signed(index(author), Step::Commit, round, hash(&text), Root::ZERO)),
                Message::NewRound(new_round(&world, author, round, Some((0, &text)), None)),
            ];
            for message in messages {
                deliver(&mut world, time, author, message);
            }
            let id = ValueId { instance: world.instance, hash: hash(&text) };
            deliver(&mut world, time, author, Message::Value(ValueAnswer { id, value: value(&text) }));
        }
        fresh(&mut world);
        sizes.push(format!("{:?}", world.nodes[&index(1)]).len());
    }
    assert_eq!(world.nodes[&index(1)].frontier(), 399);
    let (early, late) = (sizes[20..40].iter().max().unwrap(), sizes[300..].iter().max().unwrap());
    assert!(late <= &(early + early / 10), "{early} grew to {late}");
}

#[test]
fn times_before_the_start_do_not_matter_to_early_peers() {
    let mut world = alone(Kind::Propose);
    let signed = world.signed(index(2), Step::Proposal, 1, hash("block"), Proposal::extra(&[]));
    let message = Message::Proposal(Proposal { signed, value: vec![value("block")], justification: vec![] });
    world.at(START - 100, index(1), Event::Deliver { from: index(2), message });
    world.run(START - 50);
    assert_eq!(names(&fresh(&mut world)), ["check", "vote"]);
    let wake: Option<Millis> = world.nodes[&index(1)].wake_at();
    assert_eq!(wake, Some(Millis(START + 1_400)));
}
