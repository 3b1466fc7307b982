//! A stopped node: its client is told so and why, in words that say what to do, and nothing is signed.

use crate::world::{ATTEST, World, attestation_root, honest_vote, instance, operator, refused, taken, world};
use futures::poll;
use ssz::Encode as _;
use std::pin::pin;
use symbolon_core::Input;
use symbolon_core::stop::Reason;
use types::wire::{Challenge, Kind, Message, Overlap, Question, Statement, Step};
use types::{Generation, Root, ValidatorNo};

const VOTE: &str = "/eth/v1/validator/attestation_data?slot=41&committee_index=0";

fn agree(world: &World) {
    world.head();
    let vote = honest_vote();
    world.peers_vote(instance(ATTEST, Kind::Attest), Root::of(&vote), Some(vote.as_ssz_bytes().into()));
}

fn reasons() -> [(Reason, &'static str); 4] {
    let validators = [ValidatorNo(1)];
    [
        (Reason::Slashed(validators.into()), "the chain has slashed validator 1: find out who signed what"),
        (Reason::Doppelganger(validators.into()), "validator 1 signed something that this cluster did not"),
        (Reason::SecondInstance, "another process runs with this operator's node key"),
        (Reason::Clock, "this machine's clock and the beacon nodes' differ"),
    ]
}

#[tokio::test]
async fn a_stopped_node_refuses_its_client_with_503_and_the_reason_and_its_twin_is_accepted() {
    for (reason, words) in reasons() {
        let world = world(ATTEST, Default::default());
        agree(&world);
        world.room().input(Input::Stop(reason.clone()));
        let before = world.marks();
        let vote = honest_vote();
        let half = world.keys[0].half(1, &attestation_root(&vote));
        refused(&world.get(VOTE).await, 503, words);
        refused(&world.attest(0, &vote, half).await, 503, words);
        assert_eq!(world.marks(), before, "{reason:?}");
        world.room().input(Input::Resume(reason));
        taken(&world.attest(0, &vote, half).await);
        assert_eq!(world.partials_sent(Kind::Attest).len(), 1);
    }
}

#[tokio::test]
async fn a_client_that_waits_for_the_vote_is_told_at_once() {
    for (reason, words) in reasons() {
        let world = world(ATTEST, Default::default());
        let mut waiting = pin!(world.get(VOTE));
        assert!(poll!(&mut waiting).is_pending());
        world.room().input(Input::Stop(reason));
        refused(&waiting.await, 503, words);
    }
}

/// Through frames, doors and keys: a node is shown what another process has signed under its key.
#[tokio::test]
async fn a_node_that_is_shown_another_process_under_its_key_stops_and_a_lie_does_not_stop_it() {
    const BOOT: Root = Root([0xb0; 32]);
    let world = world(ATTEST, Default::default());
    agree(&world);
    world.room().input(Input::Born { boot: BOOT });
    let question = Question { asker: Root([2; 32]), count: 4, last: BOOT };
    let challenge = Challenge::new(Generation(0), ATTEST, &question);
    world.hear(2, Message::Challenge(challenge));
    let answer = match world.room().frames.last() {
        Some(Message::Boot(signed)) => *signed,
        other => panic!("no answer: {other:?}"),
    };
    assert_eq!((answer.statement.hash, answer.statement.extra), (BOOT, challenge.nonce));
    let statement = Statement {
        instance: challenge.instance,
        step: Step::Boot,
        round: 0,
        hash: Root([0xb1; 32]),
        extra: question.nonce(),
    };
    let shown = |by: u8| {
        let other = world.room().sign_as(by, statement);
        world.hear(2, Message::Overlap(Overlap { question, other }));
    };
    // Another operator's processes are not ours.
    shown(3);
    let half = world.keys[0].half(1, &attestation_root(&honest_vote()));
    taken(&world.attest(0, &honest_vote(), half).await);
    shown(1);
    refused(&world.get(VOTE).await, 503, "another process runs with this operator's node key");
    assert_eq!(world.room().second_instance.take(), Some(operator(2)));
    shown(1);
    assert_eq!(world.room().second_instance, None, "it is told once");
}

#[tokio::test]
async fn a_node_that_is_shown_what_its_journal_lacks_signs_nothing_up_to_the_next_slot_and_a_lie_does_nothing()
 {
    let world = world(ATTEST, Default::default());
    agree(&world);
    let instance = instance(ATTEST, Kind::Propose);
    let hash = Root([0xb0; 32]);
    let statement = Statement { instance, step: Step::Partial, round: 0, hash, extra: Root::ZERO };
    let held = |by: u8| Message::Held(world.room().sign_as(by, statement));
    // What another operator has signed binds it, and not us: its signature is not even checked.
    let of_another = held(3);
    assert!(!world.room().wants(&of_another));
    let half = world.keys[0].half(1, &attestation_root(&honest_vote()));
    taken(&world.attest(0, &honest_vote(), half).await);
    let lost = held(1);
    world.hear(2, lost.clone());
    refused(&world.get(VOTE).await, 503, "journal was older than what this operator had signed");
    assert_eq!(world.room().rolled_back.take(), Some(ATTEST.next()));
    assert!(!world.room().wants(&lost), "it is told once");
}
