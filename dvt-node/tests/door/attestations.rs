//! Attestations: lone halves, foreign halves, other data, slashable data.

use crate::scan::Needles;
use crate::world::{
    ATTEST, World, attestation_root, honest_vote, instance, operator, refused, single, taken, world,
};
use futures::poll;
use serde_json::json;
use std::pin::pin;
use symbolon_core::journal::{History, LastAttestation};
use symbolon_core::{Fault, Submission};
use types::wire::{Kind, Value};
use types::{BeaconVote, Epoch, Root, Slot, ValidatorNo};

fn value(vote: &BeaconVote) -> Value {
    ssz::Encode::as_ssz_bytes(vote).into()
}

/// Everybody, this node's beacon node included, is for the honest vote.
fn agree(world: &World) {
    world.head();
    let vote = honest_vote();
    world.peers_vote(instance(ATTEST, Kind::Attest), Root::of(&vote), Some(value(&vote)));
}

/// The client's right half for the honest vote is taken, and its partial goes out.
async fn the_twin_is_accepted(world: &World, validator: u32) {
    let vote = honest_vote();
    let root = attestation_root(&vote);
    let keys = &world.keys[validator as usize];
    let before = world.partials_sent(Kind::Attest).len();
    taken(&world.attest(validator, &vote, keys.half(1, &root)).await);
    let sent = world.partials_sent(Kind::Attest);
    assert_eq!(sent.len(), before + 1);
    let partial = sent.last().unwrap();
    assert_eq!((partial.item.validator, partial.signature), (ValidatorNo(validator), keys.share(1, &root)));
}

/// The plaintext of everything that a node says while it attests; the test of whole processes sees it encrypted only.
#[tokio::test]
async fn no_frame_holds_a_key_a_share_or_a_half() {
    let world = world(ATTEST, Default::default());
    agree(&world);
    the_twin_is_accepted(&world, 0).await;
    the_twin_is_accepted(&world, 1).await;
    let needles = Needles::new(world.keys.iter().flat_map(|keys| keys.secrets()));
    let frames: Vec<_> = world.room().frames.iter().map(|message| message.to_frame()).collect();
    assert!(frames.len() >= 4, "a vote, a commit, a decision and partials");
    for frame in &frames {
        assert!(needles.find(frame).is_empty());
    }
    // The control: a planted share is found.
    let planted = [frames.concat(), world.keys[0].secrets()[1].1.to_vec(), vec![0; 32]].concat();
    assert!(!needles.find(&planted).is_empty());
}

#[tokio::test]
async fn a_lone_half_is_refused_and_accepted_once_its_vote_is_agreed() {
    let world = world(ATTEST, Default::default());
    let vote = honest_vote();
    let half = world.keys[0].half(1, &attestation_root(&vote));
    let refused_now = async || {
        let before = world.marks();
        refused(&world.attest(0, &vote, half).await, 400, "nothing was agreed on for slot 41");
        assert_eq!(world.marks(), before);
    };
    refused_now().await;
    // Nor does our own beacon node's word make it agreed.
    world.head();
    assert!(world.stood_for(&Root::of(&vote)));
    refused_now().await;
    assert!(world.room().rows.is_empty());
    agree(&world);
    assert_eq!(world.room().rows.len(), 2, "one row per validator due");
    the_twin_is_accepted(&world, 0).await;
}

#[tokio::test]
async fn a_half_by_any_other_key_is_refused_beside_its_twin() {
    let world = world(ATTEST, Default::default());
    agree(&world);
    let (vote, before) = (honest_vote(), world.marks());
    let root = attestation_root(&vote);
    let [first, second] = &world.keys[..] else { panic!("two validators") };
    for wrong in [
        first.half(2, &root),
        first.share(1, &root),
        first.group(&root),
        second.half(1, &root),
        types::Signature::INFINITY,
        types::Signature([0x5a; 96]),
    ] {
        let got = world.attest(0, &vote, wrong).await;
        refused(&got, 400, "not by this operator's validator-client key");
        assert_eq!(world.marks(), before);
    }
    the_twin_is_accepted(&world, 0).await;
}

#[tokio::test]
async fn a_peers_half_is_no_partial() {
    let vote = honest_vote();
    let (place, hash, root) = (instance(ATTEST, Kind::Attest), Root::of(&vote), attestation_root(&vote));
    for whole in [false, true] {
        let world = world(ATTEST, Default::default());
        agree(&world);
        the_twin_is_accepted(&world, 0).await;
        let keys = &world.keys[0];
        let second = if whole { keys.share(2, &root) } else { keys.half(2, &root) };
        world.partial(2, place, hash, second);
        world.partial(3, place, hash, keys.share(3, &root));
        let blamed = [(operator(2), Fault::BadPartial(ValidatorNo(0)))];
        if whole {
            assert!(world.room().faults.is_empty());
        } else {
            assert_eq!(world.room().faults, blamed);
            assert!(world.room().submitted.is_empty());
            world.partial(4, place, hash, keys.share(4, &root));
        }
        let room = world.room();
        let [Submission::Attestations(signed)] = &room.submitted[..] else {
            panic!("not submitted: {:?}", room.submitted)
        };
        assert_eq!(signed[0].signature, keys.group(&root));
    }
}

#[tokio::test]
async fn an_attestation_that_differs_from_the_agreed_one_is_refused_beside_its_twin() {
    let world = world(ATTEST, Default::default());
    agree(&world);
    let before = world.marks();
    let agreed = honest_vote();
    let (mut head, mut source, mut target) = (agreed, agreed, agreed);
    head.beacon_block_root = Root([0x66; 32]);
    source.source.root = Root([0x66; 32]);
    target.target.root = Root([0x66; 32]);
    for other in [head, source, target] {
        let half = world.keys[0].half(1, &attestation_root(&other));
        let got = world.attest(0, &other, half).await;
        refused(&got, 400, &format!("the cluster agreed on {}", Root::of(&agreed.data(0))));
        assert_eq!(world.marks(), before);
    }
    the_twin_is_accepted(&world, 0).await;
}

/// Journals that make the honest vote slashable, and the rule that says so: a double vote, one that would surround
/// an earlier vote, one that an earlier vote surrounds.
fn slashable() -> [(History, &'static str); 3] {
    let history = |source, target| {
        let (source, target) = (Epoch(source), Epoch(target));
        let (source_max, target_max) = (source, target);
        let last = LastAttestation { slot: Slot(40), source, target, root: None, source_max, target_max };
        History { attestation: Some(last), ..History::default() }
    };
    [
        (history(3, 5), "a vote for target epoch 5 when one for target epoch 5 was promised"),
        (history(4, 4), "a vote from source epoch 3 when one from source epoch 4 was promised"),
        (history(2, 7), "a vote for target epoch 5 when one for target epoch 7 was promised"),
    ]
}

#[tokio::test]
async fn a_slashable_attestation_is_refused_by_name_while_its_twin_is_accepted() {
    for (history, rule) in slashable() {
        let world = world(ATTEST, [history, History::default()]);
        agree(&world);
        assert_eq!(world.room().rows.len(), 1, "only the other validator's vote is promised");
        let (vote, before) = (honest_vote(), world.marks());
        let half = world.keys[0].half(1, &attestation_root(&vote));
        let got = world.attest(0, &vote, half).await;
        refused(&got, 400, "the slashing-protection journal forbids it");
        refused(&got, 400, rule);
        assert_eq!(world.marks(), before);
        the_twin_is_accepted(&world, 1).await;
    }
}

#[tokio::test]
async fn a_vote_that_is_slashable_for_all_is_never_stood_for_even_when_the_others_decide_it() {
    let vote = honest_vote();
    let hash = Root::of(&vote);
    for (history, _) in slashable() {
        let world = world(ATTEST, [history; 2]);
        let asked = format!("/eth/v1/validator/attestation_data?slot={ATTEST}&committee_index=0");
        let mut asked = pin!(world.get(&asked));
        assert!(poll!(asked.as_mut()).is_pending());
        world.head();
        world.peers_decide(instance(ATTEST, Kind::Attest), hash, Some(value(&vote)));
        assert!(!world.stood_for(&hash));
        assert!(poll!(asked.as_mut()).is_pending());
        let before = world.marks();
        let half = world.keys[0].half(1, &attestation_root(&vote));
        refused(&world.attest(0, &vote, half).await, 400, "nothing was agreed on");
        assert_eq!(world.marks(), before);
        assert!(world.room().rows.is_empty());
        world.at(crate::world::spec().slot_start(ATTEST.next()));
        refused(&asked.await, 503, "did not agree in time");
        assert_eq!(world.room().signed, 0);
    }
}

#[tokio::test]
async fn a_vote_that_is_slashable_for_nobody_is_served_and_signed() {
    let world = world(ATTEST, Default::default());
    let asked = format!("/eth/v1/validator/attestation_data?slot={ATTEST}&committee_index=0");
    let mut asked = pin!(world.get(&asked));
    assert!(poll!(asked.as_mut()).is_pending());
    agree(&world);
    assert!(world.stood_for(&Root::of(&honest_vote())));
    let (status, json) = asked.await;
    assert_eq!((status, &json["data"]), (200, &json!(honest_vote().data(0))));
    the_twin_is_accepted(&world, 0).await;
}

#[tokio::test]
async fn one_bad_half_among_good_ones_costs_only_itself() {
    let world = world(ATTEST, Default::default());
    agree(&world);
    let vote = honest_vote();
    let root = attestation_root(&vote);
    let halves =
        [single(0, &vote, world.keys[0].half(2, &root)), single(1, &vote, world.keys[1].half(1, &root))];
    let body = json!(halves).to_string();
    let got = world.post("/eth/v2/beacon/pool/attestations", "application/json", body).await;
    refused(&got, 400, "1 refused");
    assert_eq!(got.1["failures"][0]["index"], 0);
    let sent = world.partials_sent(Kind::Attest);
    assert_eq!(sent.iter().map(|partial| partial.item.validator).collect::<Vec<_>>(), [ValidatorNo(1)]);
    the_twin_is_accepted(&world, 0).await;
}
