//! The agreement's cases, one by one: delays to the decision, splits, dead leaders, villains, late nodes.

mod net;

use net::{DEADLINE, START, World, hash, index, value};
use symbolon_core::agree::{Input, Output, Verdict};
use symbolon_core::{Fault, To};
use types::wire::{Kind, LastVote, Message, NewRound, Proposal, Step, Vote};
use types::{Millis, Root, ShareIndex};

const LATE: u64 = START + 60_000;

fn attest(n: usize) -> World {
    let mut world = World::new(n, Kind::Attest, 8);
    for node in 1..=n {
        world.own_at(node as u64, node, "head");
    }
    world
}

fn block(n: usize, build_ms: u64) -> World {
    let mut world = World::new(n, Kind::Propose, 8);
    for node in world.size.indices() {
        world.own.insert(node, (format!("block{node}"), build_ms));
    }
    world
}

#[test]
fn with_all_alive_a_vote_is_decided_one_delay_after_the_last_own_value() {
    for n in [3, 4, 7, 10, 22] {
        let mut world = attest(n);
        world.run(LATE);
        assert_eq!(world.agreed(), hash("head"));
        assert_eq!(*world.times().last().unwrap(), n as u64 + 50, "n = {n}");
        assert_eq!(world.sent(|_, message| matches!(message, Message::NewRound(_))), 0);
    }
}

#[test]
fn with_f_dead_a_vote_is_decided_two_delays_after_the_last_own_value() {
    for (n, dead) in [(4, vec![2]), (7, vec![1, 7])] {
        let mut world = attest(n);
        world.kill(&dead);
        world.run(LATE);
        let last = (1..=n).rfind(|node| !dead.contains(node)).unwrap() as u64;
        assert_eq!(world.agreed(), hash("head"));
        assert_eq!(*world.times().last().unwrap(), last + 100, "n = {n}");
    }
}

#[test]
fn a_block_takes_a_proposal_and_a_vote_and_a_commit_with_f_dead() {
    let mut world = block(4, 100);
    let leader = world.leader(1);
    world.run(LATE);
    assert_eq!((world.agreed(), world.times()), (hash(&format!("block{leader}")), vec![200; 4]));

    let mut world = block(4, 100);
    let dead = world.leader(2).position() + 1;
    world.kill(&[dead]);
    world.run(LATE);
    assert_eq!((world.agreed(), world.times()), (hash(&format!("block{leader}")), vec![250; 3]));
}

#[test]
fn a_dead_leader_costs_fifty_milliseconds_and_no_timeout() {
    let mut world = block(4, 100);
    let (dead, next) = (world.leader(1), world.leader(2));
    world.kill(&[dead.position() + 1]);
    world.run(LATE);
    // 50 of patience, 100 to build (the NEWROUNDs arrive meanwhile), proposal, vote, commit.
    assert_eq!((world.agreed(), world.times()), (hash(&format!("block{next}")), vec![300; 3]));
}

#[test]
fn a_leader_that_dies_unnoticed_costs_its_round() {
    let mut world = block(4, 100);
    let dead = world.leader(1);
    world.nodes.remove(&dead);
    world.run(LATE);
    assert_eq!(world.agreed(), hash(&format!("block{}", world.leader(2))));
    // The others are heard from lately only by Heard; the fourth NEWROUND is waited for 100 ms.
    assert_eq!(world.times(), vec![1_400 + 50 + 100 + 150; 3]);
}

#[test]
fn two_against_two_ends_with_every_honest_node_deciding_the_same() {
    let mut world = World::new(4, Kind::Attest, 8);
    for (node, head) in [(1, "a"), (2, "a"), (3, "b"), (4, "b")] {
        world.own_at(10, node, head);
    }
    world.run(LATE);
    assert!([hash("a"), hash("b")].contains(&world.agreed()));
    // Split for good once all votes are in: vote, NEWROUND, proposal, then all four vote equally and commit.
    assert_eq!(world.times(), vec![10 + 50 + 50 + 50 + 50 + 50; 4]);
}

#[test]
fn two_votes_before_the_others_deadline_end_a_split_in_round_zero() {
    let mut world = World::new(4, Kind::Attest, 8);
    world.own_at(10, 1, "a");
    world.own_at(10, 2, "a");
    world.run(LATE);
    assert_eq!(world.agreed(), hash("a"));
    assert_eq!(world.sent(|_, message| matches!(message, Message::NewRound(_))), 0);
    assert_eq!(*world.times().last().unwrap(), DEADLINE - START + 50);
}

#[test]
fn at_the_deadline_with_nothing_vouched_for_the_beacon_nodes_are_asked() {
    let mut world = World::new(4, Kind::Attest, 8);
    world.run(LATE);
    assert_eq!(world.agreed(), hash("head"));
    assert_eq!(world.log.iter().filter(|(_, _, output)| *output == Output::NeedVote).count(), 4);
}

#[test]
fn a_known_dead_node_is_not_waited_for_when_the_rest_is_split() {
    let mut world = World::new(4, Kind::Attest, 8);
    world.own_at(10, 1, "a");
    world.own_at(10, 2, "a");
    world.own_at(10, 3, "b");
    world.kill(&[4]);
    world.run(LATE);
    assert_eq!(world.agreed(), hash("a"));
    assert!(*world.times().last().unwrap() < DEADLINE - START, "before round 0 timed out");
}

#[test]
fn a_node_that_gets_no_votes_follows_by_relayed_certificates() {
    let mut world = attest(4);
    world.kill(&[1]);
    world.delay = Box::new(|_, _, to, message| {
        let lost = to == index(4) && matches!(message, Message::Vote(_) | Message::Decided(_));
        (!lost).then_some(50)
    });
    world.run(LATE);
    assert_eq!(world.agreed(), hash("head"));
    let commits = world.sent(|node, message| node == index(4) && matches!(message, Message::Commit(_)));
    assert_eq!(commits, 1);
}

#[test]
fn a_restarted_node_says_nothing_and_decides_by_the_proof() {
    let mut world = attest(4);
    world.add(index(3), true);
    world.run(LATE);
    assert_eq!(world.agreed(), hash("head"));
    let said = world.sent(|node, message| {
        let follows = matches!(message, Message::Cert(_) | Message::Decided(_) | Message::Fetch(_));
        node == index(3) && !follows
    });
    assert_eq!(said, 0, "no vote, commit, NEWROUND or proposal");
}

#[test]
fn a_node_cut_off_through_the_whole_duty_decides_when_it_is_back() {
    for kind in [Kind::Attest, Kind::Propose] {
        let mut world = if kind == Kind::Attest { attest(4) } else { block(4, 100) };
        world.partials = true;
        let late = world.leader(3);
        world.delay = Box::new(move |_, from, to, _| (from != late && to != late).then_some(50));
        world.run(START + 10_000);
        assert!(!world.decided.contains_key(&late));
        world.delay = Box::new(|_, _, _, _| Some(50));
        for peer in world.size.others(late) {
            world.at(START + 10_000, peer, net::Event::Input(Input::Reconnected(late)));
            world.at(START + 10_000, late, net::Event::Input(Input::Reconnected(peer)));
        }
        world.run(LATE);
        world.agreed();
        assert_eq!(world.combined.len(), 4, "the partials were sent again too");
    }
}

#[test]
fn a_value_that_only_some_have_is_named_by_the_next_leader_and_fetched() {
    let mut world = block(4, 100);
    let (leader, next, left_out) = (world.leader(1), world.leader(2), world.leader(3));
    // The first leader's proposal misses one node, the votes for it everybody: no certificate.
    world.delay = Box::new(move |_, from, to, message| {
        let lost = match message {
            Message::Proposal(_) => from == leader && to == left_out,
            Message::Vote(vote) => vote.signed.statement.round == 1,
            _ => false,
        };
        (!lost).then_some(50)
    });
    world.run(LATE);
    assert_eq!(world.agreed(), hash(&format!("block{leader}")));
    let named =
        |message: &Message| matches!(message, Message::Proposal(proposal) if proposal.value.is_empty());
    assert_eq!(world.sent(|node, message| node == next && named(message)), 1);
    assert_eq!(world.sent(|node, message| node == left_out && matches!(message, Message::Fetch(_))), 1);
    assert_eq!(world.sent(|_, message| matches!(message, Message::Value(_))), 1);
}

#[test]
fn a_leader_that_lacks_the_only_choice_fetches_it_before_it_proposes() {
    let mut world = block(4, 100);
    let (leader, next) = (world.leader(1), world.leader(2));
    world.delay = Box::new(move |_, from, to, message| {
        let lost = match message {
            Message::Proposal(_) => from == leader && to == next,
            Message::Vote(vote) => vote.signed.statement.round == 1,
            _ => false,
        };
        (!lost).then_some(50)
    });
    world.run(LATE);
    assert_eq!(world.agreed(), hash(&format!("block{leader}")));
    assert_eq!(world.sent(|node, message| node == next && matches!(message, Message::Fetch(_))), 1);
}

#[test]
fn an_equivocating_voter_splits_nobody_and_leaves_evidence() {
    let mut world = attest(4);
    world.nodes.remove(&index(4));
    world.own_at(10, 2, "other");
    for (to, head) in [(1, "head"), (2, "other"), (3, "head")] {
        let signed = world.signed(index(4), Step::Vote, 0, hash(head), Root::ZERO);
        let message = Message::Vote(Vote { signed, value: vec![value(head)] });
        world.at(START + 20, index(to), net::Event::Deliver { from: index(4), message });
    }
    world.run(LATE);
    assert_eq!(world.agreed(), hash("head"));
    let accused = |(_, node, output): &(Millis, _, Output)| match output {
        Output::Evidence { author, .. } => Some((*node, *author)),
        _ => None,
    };
    let evidence: Vec<_> = world.log.iter().filter_map(accused).collect();
    assert_eq!(evidence, [(index(2), index(4))], "node 2 sees the other vote inside the certificate, once");
}

#[test]
fn wrong_bytes_of_one_peer_do_not_keep_out_the_right_ones_of_another() {
    for check_ms in [0, 30] {
        let mut world = World::new(4, Kind::Attest, 8);
        world.check_ms = check_ms;
        world.nodes.remove(&index(4));
        let signed = world.signed(index(4), Step::Vote, 0, hash("head"), Root::ZERO);
        let message = Message::Vote(Vote { signed, value: vec![value("garbage")] });
        for to in 1..=3 {
            world.at(START, index(to), net::Event::Deliver { from: index(4), message: message.clone() });
            world.own_at(10, to, "head"); // its own bytes are the right ones
        }
        world.run(LATE);
        assert_eq!(world.agreed(), hash("head"));
        let blamed = Output::Fault { peer: index(4), fault: Fault::BadValue };
        assert_eq!(world.log.iter().filter(|(_, _, output)| *output == blamed).count(), 3);
    }
}

#[test]
fn a_decided_value_that_fails_a_hard_check_is_never_handed_out() {
    // What the own journal forbids is nobody's mistake; of another value one peer is named, once.
    for (verdict, named) in [(Verdict::Refused, 1), (Verdict::Forbidden, 0)] {
        let mut world = World::new(4, Kind::Attest, 8);
        (1..=3).for_each(|node| world.own_at(10, node, "head"));
        world.refusing.insert(index(4), verdict);
        world.run(LATE);
        assert_eq!(world.decided.len(), 3, "the others");
        let votes = |node, message: &Message| node == index(4) && matches!(message, Message::Vote(_));
        assert_eq!(world.sent(votes), 0, "though three others voted for it");
        let blamed = |(_, _, output): &&(Millis, _, Output)| matches!(output, Output::Fault { .. });
        assert_eq!(world.log.iter().filter(blamed).count(), named, "{verdict:?}");
        // The checks may come to another result later: the node still follows.
        world.input(index(4), Input::Checked { hash: hash("head"), verdict: Verdict::Good });
        assert_eq!(world.agreed(), hash("head"));
    }
}

#[test]
fn a_soft_check_is_waived_by_f_plus_one_others_and_a_hard_one_never() {
    let mut world = World::new(4, Kind::Attest, 8);
    for node in [1, 2, 3] {
        world.own_at(10, node, "odd4");
    }
    world.run(LATE);
    assert_eq!(world.agreed(), hash("odd4"), "vouched for by three at the deadline");
    let fourth = |node, message: &Message| {
        node == index(4)
            && matches!(message, Message::Vote(vote) if vote.signed.statement.hash == hash("odd4"))
    };
    assert_eq!(world.sent(fourth), 1);

    let mut world = World::new(4, Kind::Attest, 8);
    for node in 1..=4 {
        world.own_at(10, node, "bad");
    }
    world.run(START + 20_000);
    assert!(world.decided.is_empty());
    assert_eq!(world.sent(|_, message| matches!(message, Message::Vote(_))), 0);
}

/// All honest operators vote for one value, one of them sees all votes and decides; the faulty leader of
/// round 1 then claims a vote in its own round for something else, with a header that it signed itself.
/// A leader that tells everybody its block, one peer what belongs to it, and nobody its vote, and is gone then.
fn block_of_a_leader_that_confides(told: usize) -> (World, Root) {
    let mut world = block(4, 0);
    let leader = world.leader(1);
    let others: Vec<_> = world.size.others(leader).collect();
    let proposed = hash(&format!("block{leader}"));
    world.lacking = others.iter().skip(told).map(|node| (*node, proposed)).collect();
    world.delay = Box::new(move |now, from, _, message| {
        (from != leader || now.0 == START && matches!(message, Message::Proposal(_))).then_some(50)
    });
    (world, proposed)
}

fn asked_for_contents(world: &World) -> Vec<(Millis, ShareIndex)> {
    let asked = |(at, _, output): &(Millis, ShareIndex, Output)| match output {
        Output::FetchContents { from, .. } => Some((*at, *from)),
        _ => None,
    };
    world.log.iter().filter_map(asked).collect()
}

#[test]
fn a_leader_that_confides_what_belongs_to_its_block_costs_a_round_and_not_the_block() {
    let (mut world, proposed) = block_of_a_leader_that_confides(1);
    world.run(LATE);
    assert_eq!(world.agreed(), proposed, "one voted for it, so nothing else may be proposed");
    let first = world.leader(1);
    assert_eq!(world.decided.iter().filter(|(node, _)| **node != first).count(), 3);
    let slowest = *world.times().iter().max().unwrap();
    assert!(slowest <= 1_400 + 600, "one round beside the first: {slowest} ms");
    assert_eq!(asked_for_contents(&world).len(), 2, "each of the two asks the one who voted, once");
}

#[test]
fn what_nobody_has_is_asked_for_a_few_times_and_not_for_ever() {
    let (mut world, proposed) = block_of_a_leader_that_confides(0);
    world.run(LATE);
    assert_ne!(world.agreed(), proposed);
    let (mut world, _) = block_of_a_leader_that_confides(1);
    let (leader, holder) = (world.leader(1), world.leader(2));
    world.kill(&[]);
    world.run(START + 100);
    world.nodes.remove(&holder);
    world.run(LATE);
    let asked = asked_for_contents(&world);
    assert!(asked.iter().all(|(at, _)| at.0 >= START + 1_400), "in the first round it is still on its way");
    let of = |peer| asked.iter().filter(|(_, from)| *from == peer).count();
    assert!(of(leader) <= 2 * 4 && of(holder) <= 2 * 4, "{asked:?}");
}

#[test]
fn what_belongs_to_a_block_is_not_asked_for_while_the_first_round_lasts() {
    let mut world = block(4, 0);
    let leader = world.leader(1);
    let proposed = hash(&format!("block{leader}"));
    let slow = world.size.others(leader).last().unwrap();
    world.lacking.insert((slow, proposed));
    let come = Input::Checked { hash: proposed, verdict: Verdict::Good };
    world.at(START + 1_000, slow, net::Event::Input(come));
    world.run(LATE);
    assert_eq!((world.agreed(), asked_for_contents(&world)), (proposed, Vec::new()));
}

#[test]
fn a_leaders_own_unjustified_header_does_not_outbid_a_fast_decision() {
    let mut world = World::new(4, Kind::Attest, 8);
    let villain = world.leader(1);
    world.nodes.remove(&villain);
    let honest: Vec<_> = world.nodes.keys().copied().collect();
    let quick = world.leader(3);
    // Only one node gets votes in time, and what it says afterwards comes very late.
    world.delay = Box::new(move |_, from, to, message| match message {
        Message::Vote(vote) if vote.signed.statement.round == 0 => {
            Some(if to == quick { 50 } else { 20_000 })
        }
        _ if from == quick => Some(20_000),
        _ => Some(50),
    });
    for node in &honest {
        world.own_at(10, node.position() + 1, "v");
    }
    let vote = world.signed(villain, Step::Vote, 0, hash("v"), Root::ZERO);
    let message = Message::Vote(Vote { signed: vote, value: vec![value("v")] });
    world.at(START + 20, quick, net::Event::Deliver { from: villain, message });
    let header = world.signed(villain, Step::Proposal, 1, hash("x"), Proposal::extra(&[]));
    let vote = world.signed(villain, Step::Vote, 2, hash("x"), Root::ZERO);
    let commit = world.signed(villain, Step::Commit, 2, hash("x"), Root::ZERO);
    for node in honest.iter().filter(|node| **node != quick) {
        for round in [1, 2] {
            let last: Vec<_> =
                (round == 2).then_some(LastVote { round: 1, hash: hash("x") }).into_iter().collect();
            let proposal: Vec<_> = (round == 2).then_some(header).into_iter().collect();
            let extra = NewRound::extra(&[], &last, &proposal);
            let signed = world.signed(villain, Step::NewRound, round, Root::ZERO, extra);
            let message = Message::NewRound(NewRound { signed, best: vec![], last, proposal });
            world.at(START + 300 + u64::from(round), *node, net::Event::Deliver { from: villain, message });
        }
        let vote = Message::Vote(Vote { signed: vote, value: vec![value("x")] });
        for message in [vote, Message::Commit(commit)] {
            world.at(START + 310, *node, net::Event::Deliver { from: villain, message });
        }
    }
    world.run(LATE);
    assert_eq!(world.decided[&quick], (60, hash("v")));
    assert_eq!(world.agreed(), hash("v"));
}

#[test]
fn to_one_sends_are_never_for_oneself() {
    let mut world = block(4, 100);
    let leader = world.leader(1);
    world.delay = Box::new(move |_, from, _, _| Some(if from == leader { 2_000 } else { 50 }));
    world.run(LATE);
    world.agreed();
    let own = |(_, node, output): &&(Millis, ShareIndex, Output)| matches!(output, Output::Send { to: To::One(peer), .. } if peer == node);
    assert_eq!(world.log.iter().filter(own).count(), 0);
}
