//! Blocks: foreign fee recipients, other blocks, slashable blocks, lone halves.

use crate::world::{
    EPOCH, FEE_RECIPIENT, HEAD, PEER_LEADS, WE_LEAD, World, block_root, index, instance, operator, refused,
    spec, taken, world,
};
use axum::http::Request;
use futures::poll;
use serde_json::{Value, json};
use ssz::Encode as _;
use std::pin::pin;
use symbolon_core::Fault;
use symbolon_core::journal::{History, LastBlock};
use types::block::body::{BeaconBlock, BodyElectra};
use types::block::{BlockShape, ProposedBlock};
use types::offer::Offer;
use types::sizes::Minimal;
use types::wire::{Instance, Kind, Message, Proposal, Statement, Step};
use types::{Address, Fork, Preset, Root, Signature, SigningRoot, Slot, ValidatorNo};

/// Somebody else's purse.
const FOREIGN: Address = Address([0xbd; 20]);

/// A block of the first validator with the group's reveal.
pub(crate) fn block(world: &World, slot: Slot, fee_recipient: Address) -> ProposedBlock {
    let randao_reveal = world.keys[0].group(&SigningRoot::randao(&spec(), EPOCH));
    let mut body = BodyElectra::<Minimal> { randao_reveal, ..BodyElectra::default() };
    body.execution_payload.fee_recipient = fee_recipient;
    let block =
        BeaconBlock { slot, proposer_index: index(0), parent_root: HEAD, state_root: Root([9; 32]), body };
    BlockShape::full(Preset::Minimal, Fork::Electra).decode(&block.as_ssz_bytes()).unwrap()
}

fn place(slot: Slot) -> Instance {
    instance(slot, Kind::Propose)
}

/// The leader proposes.
pub(crate) fn propose(world: &World, leader: u8, block: &ProposedBlock) {
    let (hash, extra) = (block.root, Proposal::extra(&[]));
    let statement = Statement { instance: place(block.slot), step: Step::Proposal, round: 1, hash, extra };
    let signed = statement.unsigned(operator(leader));
    let value = vec![offer(block).to_value()];
    world.hear(leader, Message::Proposal(Proposal { signed, value, justification: Vec::new() }));
}

/// What operators agree on: the block without its payload.
fn offer(block: &ProposedBlock) -> Offer {
    Offer::new(block.blind(Preset::Minimal).unwrap(), None).unwrap()
}

/// Where the client asks for its block.
fn question(world: &World, slot: Slot) -> String {
    let half = world.keys[0].half(1, &SigningRoot::randao(&spec(), EPOCH));
    format!("/eth/v3/validator/blocks/{slot}?randao_reveal={half}")
}

/// The client hands in a signed block, as JSON.
async fn publish(world: &World, block: &ProposedBlock, half: Signature) -> (u16, Value) {
    let message = block.to_json(Preset::Minimal).unwrap();
    let signed = json!({ "message": message, "signature": half });
    let contents = json!({ "signed_block": signed, "kzg_proofs": [], "blobs": [] });
    let request = Request::post("/eth/v2/beacon/blocks")
        .header("content-type", "application/json")
        .header("eth-consensus-version", "electra")
        .body(contents.to_string().into());
    world.call(request.unwrap()).await
}

fn half(world: &World, block: &ProposedBlock) -> Signature {
    world.keys[0].half(1, &block_root(block.root))
}

/// The client's right half for an agreed block is taken, and its partial goes out.
async fn the_twin_is_accepted(world: &World, block: &ProposedBlock) {
    assert!(world.partials_sent(Kind::Propose).is_empty());
    taken(&publish(world, block, half(world, block)).await);
    let sent = world.partials_sent(Kind::Propose);
    let share = world.keys[0].share(1, &block_root(block.root));
    let sent: Vec<_> = sent.iter().map(|partial| (partial.item.validator, partial.signature)).collect();
    assert_eq!(sent, [(ValidatorNo(0), share)]);
}

/// Nothing of this block was voted for, promised or signed here, and nothing is served or taken.
async fn the_door_stays_shut(world: &World, block: &ProposedBlock) {
    assert!(!world.stood_for(&block.root));
    assert!(world.room().rows.is_empty());
    let before = world.marks();
    refused(&publish(world, block, half(world, block)).await, 400, "nothing was agreed on");
    assert_eq!(world.marks(), before);
    assert!(world.partials_sent(Kind::Propose).is_empty());
}

#[tokio::test]
async fn a_leaders_block_for_a_foreign_purse_is_refused_even_when_the_others_decide_it() {
    for (purse, good) in [(FOREIGN, false), (FEE_RECIPIENT, true)] {
        let world = world(PEER_LEADS, Default::default());
        let block = block(&world, PEER_LEADS, purse);
        let question = question(&world, PEER_LEADS);
        let mut asked = pin!(world.get(&question));
        assert!(poll!(asked.as_mut()).is_pending());
        propose(&world, 4, &block);
        if good {
            assert!(!world.stood_for(&block.root), "its payload is not at hand");
            world.contents(PEER_LEADS, block.root);
            assert!(world.stood_for(&block.root));
            world.peers_vote(place(PEER_LEADS), block.root, None);
            let (status, json) = asked.await;
            let blinded = offer(&block).block().to_json(Preset::Minimal).unwrap();
            assert_eq!((status, &json["data"]), (200, &blinded));
            assert_eq!(world.room().rows.len(), 1);
            the_twin_is_accepted(&world, &block).await;
        } else {
            assert_eq!(world.room().faults, [(operator(4), Fault::BadValue)]);
            world.peers_decide(place(PEER_LEADS), block.root, None);
            assert!(poll!(asked.as_mut()).is_pending());
            the_door_stays_shut(&world, &block).await;
            world.at(spec().slot_start(PEER_LEADS.next()));
            refused(&asked.await, 503, "did not agree in time");
        }
    }
}

#[tokio::test]
async fn our_own_beacon_nodes_block_for_a_foreign_purse_is_never_proposed() {
    for (purse, good) in [(FOREIGN, false), (FEE_RECIPIENT, true)] {
        let world = world(WE_LEAD, Default::default());
        let block = block(&world, WE_LEAD, purse);
        world.room().block = Some(offer(&block));
        let question = question(&world, WE_LEAD);
        let mut asked = pin!(world.get(&question));
        assert!(poll!(asked.as_mut()).is_pending());
        // With two more reveals, the group's is there, and the beacon node is asked for its block.
        let randao = SigningRoot::randao(&spec(), EPOCH);
        for from in [2, 3] {
            let share = world.keys[0].share(from, &randao);
            world.partial(from, instance(WE_LEAD, Kind::Randao), Root::ZERO, share);
        }
        assert!(world.room().block_asked);
        if good {
            assert!(world.stood_for(&block.root));
            world.peers_vote(place(WE_LEAD), block.root, None);
            assert_eq!(asked.await.0, 200);
            the_twin_is_accepted(&world, &block).await;
        } else {
            assert!(poll!(asked.as_mut()).is_pending());
            the_door_stays_shut(&world, &block).await;
            world.at(spec().slot_start(WE_LEAD.next()));
            refused(&asked.await, 503, "did not agree in time");
        }
    }
}

#[tokio::test]
async fn a_lone_half_of_a_block_is_refused_and_accepted_once_its_block_is_agreed() {
    let world = world(PEER_LEADS, Default::default());
    let block = block(&world, PEER_LEADS, FEE_RECIPIENT);
    the_door_stays_shut(&world, &block).await;
    propose(&world, 4, &block);
    world.peers_vote(place(PEER_LEADS), block.root, None);
    the_twin_is_accepted(&world, &block).await;
    // The same half again is no news; another over the same block cannot be right.
    taken(&publish(&world, &block, half(&world, &block)).await);
    let other = world.keys[0].half(2, &block_root(block.root));
    refused(&publish(&world, &block, other).await, 400, "not by this operator's validator-client key");
    assert_eq!(world.partials_sent(Kind::Propose).len(), 1);
}

#[tokio::test]
async fn another_block_and_another_key_are_refused_beside_their_twin() {
    let world = world(PEER_LEADS, Default::default());
    let agreed = block(&world, PEER_LEADS, FEE_RECIPIENT);
    let other = block(&world, PEER_LEADS, FOREIGN);
    propose(&world, 4, &agreed);
    world.peers_vote(place(PEER_LEADS), agreed.root, None);
    let before = world.marks();
    let got = publish(&world, &other, half(&world, &other)).await;
    refused(&got, 400, &format!("signed {}, but the cluster agreed on {}", other.root, agreed.root));
    assert_eq!(world.marks(), before);
    let root = block_root(agreed.root);
    let keys = &world.keys[0];
    for wrong in [keys.half(2, &root), keys.share(1, &root), keys.group(&root), half(&world, &other)] {
        let got = publish(&world, &agreed, wrong).await;
        refused(&got, 400, "not by this operator's validator-client key");
        assert_eq!(world.marks(), before);
    }
    the_twin_is_accepted(&world, &agreed).await;
}

#[tokio::test]
async fn a_slashable_block_is_refused_even_when_the_others_decide_it() {
    // Its twin is the same block over a journal that promised this very block, or nothing of this slot.
    for (promised, same, good) in [
        (Some(PEER_LEADS), false, false),
        (Some(Slot(PEER_LEADS.0 + 1)), false, false),
        (Some(PEER_LEADS), true, true),
        (Some(Slot(PEER_LEADS.0 - 1)), false, true),
        (None, false, true),
    ] {
        let block = block(&world(PEER_LEADS, Default::default()), PEER_LEADS, FEE_RECIPIENT);
        let root = same.then(|| block_root(block.root));
        let last = promised.map(|slot| LastBlock { slot, root });
        let history = History { block: last, ..History::default() };
        let world = world(PEER_LEADS, [history, History::default()]);
        propose(&world, 4, &block);
        world.peers_decide(place(PEER_LEADS), block.root, None);
        if good {
            assert_eq!(world.room().rows.len(), 1);
            the_twin_is_accepted(&world, &block).await;
        } else {
            the_door_stays_shut(&world, &block).await;
        }
    }
}

#[tokio::test]
async fn a_leader_that_keeps_the_payload_gets_no_vote_until_others_vouch_for_it() {
    let world = world(PEER_LEADS, Default::default());
    let block = block(&world, PEER_LEADS, FEE_RECIPIENT);
    propose(&world, 4, &block);
    assert!(!world.stood_for(&block.root));
    world.peers_vote(place(PEER_LEADS), block.root, None);
    assert!(world.stood_for(&block.root), "f + 1 others hold it, so somebody honest does");
}
