//! Builders' blocks: only with the bid of a relay on the list, for this very payload.

use crate::world::{
    EPOCH, FEE_RECIPIENT, HEAD, PEER_LEADS, RELAY, World, by_relay, index, instance, operator, relay_key,
    spec, world,
};
use serde_json::{Value, json};
use ssz::Encode as _;
use symbolon_core::Fault;
use types::bid::RelayBid;
use types::block::body::{BeaconBlock, BodyElectra};
use types::block::{BlockShape, ProposedBlock};
use types::offer::Offer;
use types::sizes::Minimal;
use types::wire::{Kind, Message, Proposal, Statement, Step};
use types::{Address, Fork, Preset, PublicKey, Root, Signature, SigningRoot};

/// The builder's purse.
const BUILDER: Address = Address([0xbd; 20]);

/// A block whose payload a builder made, in its blinded form.
fn block(world: &World, extra: u64, purse: Address) -> ProposedBlock {
    let randao_reveal = world.keys[0].group(&SigningRoot::randao(&spec(), EPOCH));
    let mut body = BodyElectra::<Minimal> { randao_reveal, ..BodyElectra::default() };
    body.execution_payload.fee_recipient = purse;
    body.execution_payload.gas_used = extra;
    let (slot, state_root) = (PEER_LEADS, Root([9; 32]));
    let block = BeaconBlock { slot, proposer_index: index(0), parent_root: HEAD, state_root, body };
    let full = BlockShape::full(Preset::Minimal, Fork::Electra).decode(&block.as_ssz_bytes()).unwrap();
    full.blind(Preset::Minimal).unwrap()
}

/// A bid for a block, in the name of one relay and by another's hand.
fn bid(block: &ProposedBlock, relay: PublicKey, by: u8) -> RelayBid {
    let body = &block.to_json(Preset::Minimal).unwrap()["body"];
    let message = json!({
        "header": body["execution_payload_header"],
        "blob_kzg_commitments": body["blob_kzg_commitments"],
        "execution_requests": body["execution_requests"],
        "value": "1",
        "pubkey": relay,
    });
    let of = |signature: Signature| -> Value {
        json!({ "version": "electra", "data": { "message": message, "signature": signature } })
    };
    let unsigned = RelayBid::from_json(&of(Signature::ZERO)).unwrap();
    RelayBid::from_json(&of(by_relay(by, &unsigned.signing_root(&spec())))).unwrap()
}

/// The leader offers a block; returns what it was called.
fn propose(world: &World, block: &ProposedBlock, bid: Option<RelayBid>) -> Root {
    let offer = Offer::new(block.clone(), bid).unwrap();
    let (hash, extra) = (offer.hash(), Proposal::extra(&[]));
    let place = instance(PEER_LEADS, Kind::Propose);
    let statement = Statement { instance: place, step: Step::Proposal, round: 1, hash, extra };
    let signed = statement.unsigned(operator(4));
    let value = vec![offer.to_value()];
    world.hear(4, Message::Proposal(Proposal { signed, value, justification: Vec::new() }));
    hash
}

#[tokio::test]
async fn a_builders_block_with_a_listed_relays_bid_is_voted_for_and_every_other_refused() {
    let stranger = RELAY + 1;
    let other = |world: &World| block(world, 2, BUILDER);
    type Case = (&'static str, fn(&World, &ProposedBlock, &ProposedBlock) -> Option<RelayBid>, bool);
    let cases: [Case; 6] = [
        ("the relay's bid", |_, block, _| Some(bid(block, relay_key(RELAY), RELAY)), true),
        ("no bid", |_, _, _| None, false),
        ("another's hand", |_, block, _| Some(bid(block, relay_key(RELAY), RELAY + 1)), false),
        (
            "a relay that nobody listed",
            |_, block, _| Some(bid(block, relay_key(RELAY + 1), RELAY + 1)),
            false,
        ),
        ("a bid for another payload", |_, _, other| Some(bid(other, relay_key(RELAY), RELAY)), false),
        ("a listed relay's name, no signature", |_, block, _| Some(bid(block, relay_key(RELAY), 99)), false),
    ];
    assert_ne!(relay_key(stranger), relay_key(RELAY));
    for (name, offered, good) in cases {
        let world = world(PEER_LEADS, Default::default());
        let (block, other) = (block(&world, 1, BUILDER), other(&world));
        let hash = propose(&world, &block, offered(&world, &block, &other));
        assert_eq!(world.stood_for(&hash), good, "{name}");
        let faults = if good { vec![] } else { vec![(operator(4), Fault::BadValue)] };
        assert_eq!(world.room().faults, faults, "{name}");
        // Even if all others decide it, nothing is promised for a block that nobody vouches for with money.
        world.peers_decide(instance(PEER_LEADS, Kind::Propose), hash, None);
        assert_eq!(world.room().rows.len(), usize::from(good), "{name}");
    }
}

#[tokio::test]
async fn a_local_block_needs_no_bid() {
    let world = world(PEER_LEADS, Default::default());
    let block = block(&world, 1, FEE_RECIPIENT);
    let hash = propose(&world, &block, None);
    world.contents(PEER_LEADS, block.root);
    assert!(world.stood_for(&hash));
}
