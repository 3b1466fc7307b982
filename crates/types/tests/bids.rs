//! Bids of every fork: read and written back, and for which block they are.

use serde_json::{Value, json};
use ssz::Encode as _;
use types::bid::{BID_LEN_MAX, BidError, BidReadError, RelayBid};
use types::block::body::{BeaconBlock, BodyCapella, BodyDeneb, BodyElectra};
use types::block::{BlockShape, ProposedBlock};
use types::builder::{BuilderBidCapella, BuilderBidDeneb, BuilderBidElectra, SignedBuilderBid};
use types::domain::compute_domain;
use types::offer::{Offer, OfferError};
use types::sizes::Minimal;
use types::{ChainSpec, DomainType, Fork, Preset, PublicKey, Root, Signature, SigningRoot, Wei};

const FORKS: [Fork; 4] = [Fork::Capella, Fork::Deneb, Fork::Electra, Fork::Fulu];

fn hex_of(byte: u8, len: usize) -> Value {
    Value::from(format!("0x{}", hex::encode(vec![byte; len])))
}

/// A full block with a payload and two commitments.
fn block(fork: Fork) -> ProposedBlock {
    let shape = BlockShape::full(Preset::Minimal, fork);
    let empty = match fork {
        Fork::Capella => BeaconBlock::<BodyCapella<Minimal>>::default().as_ssz_bytes(),
        Fork::Deneb => BeaconBlock::<BodyDeneb<Minimal>>::default().as_ssz_bytes(),
        Fork::Electra | Fork::Fulu => BeaconBlock::<BodyElectra<Minimal>>::default().as_ssz_bytes(),
    };
    let mut json = shape.json_from_ssz(&empty).unwrap();
    let payload = &mut json["body"]["execution_payload"];
    payload["parent_hash"] = hex_of(0xa1, 32);
    payload["block_hash"] = hex_of(0xb1, 32);
    payload["timestamp"] = json!("1700000012");
    payload["transactions"] = json!(["0x01", "0x0203"]);
    if fork >= Fork::Deneb {
        json["body"]["blob_kzg_commitments"] = json!([hex_of(1, 48), hex_of(2, 48)]);
    }
    ProposedBlock::from_json(shape, &json).unwrap()
}

/// The bid for a block, as a relay writes it.
fn bid_json(block: &ProposedBlock) -> Value {
    let blinded = block.blind(Preset::Minimal).unwrap().to_json(Preset::Minimal).unwrap();
    let body = &blinded["body"];
    let mut message = json!({ "header": body["execution_payload_header"] });
    for field in ["blob_kzg_commitments", "execution_requests"] {
        if let Some(value) = body.get(field) {
            message[field] = value.clone();
        }
    }
    message["value"] = json!("31415926535897932384");
    message["pubkey"] = hex_of(0xc1, 48);
    json!({ "version": block.fork, "data": { "message": message, "signature": hex_of(0xd1, 96) } })
}

#[test]
fn a_bid_of_every_fork_is_read_and_written_back_in_every_form() {
    for fork in FORKS {
        let json = bid_json(&block(fork));
        let bid = RelayBid::from_json(&json).unwrap();
        assert_eq!(bid.fork, fork);
        assert_eq!(bid.relay, PublicKey([0xc1; 48]));
        assert_eq!(bid.value.to_string(), "31415926535897932384");
        assert_eq!((bid.parent_hash, bid.block_hash), (Root([0xa1; 32]), Root([0xb1; 32])));
        assert_eq!(bid.timestamp_s, 1_700_000_012);
        assert_eq!(bid.signature, Signature([0xd1; 96]));
        assert_eq!(bid.to_json(), json);
        assert_eq!(RelayBid::from_ssz(fork, bid.ssz()).as_ref(), Ok(&bid));
        assert_eq!(RelayBid::from_value(&bid.to_value().0).as_ref(), Ok(&bid));
    }
}

/// The containers' own hash and encoding, which vectors vouch for.
#[test]
fn the_roots_of_a_bid_are_its_containers() {
    fn of<M: types::sizes::Ssz + serde::de::DeserializeOwned>(json: &Value) -> (Vec<u8>, Root) {
        let signed: SignedBuilderBid<M> = serde_json::from_value(json["data"].clone()).unwrap();
        (signed.as_ssz_bytes(), Root::of(&signed.message))
    }
    let spec = ChainSpec::builtin("hoodi").unwrap();
    let domain = compute_domain(DomainType::ApplicationBuilder, spec.genesis_fork_version, Root::ZERO);
    for fork in FORKS {
        let json = bid_json(&block(fork));
        let bid = RelayBid::from_json(&json).unwrap();
        let (ssz, root) = match fork {
            Fork::Capella => of::<BuilderBidCapella>(&json),
            Fork::Deneb => of::<BuilderBidDeneb>(&json),
            Fork::Electra | Fork::Fulu => of::<BuilderBidElectra>(&json),
        };
        assert_eq!((bid.ssz(), bid.message_root), (&ssz[..], root));
        assert_eq!(bid.signing_root(&spec), SigningRoot::compute(root, domain));
    }
}

#[test]
fn a_bid_matches_its_block_full_or_blinded() {
    for fork in FORKS {
        let block = block(fork);
        let bid = RelayBid::from_json(&bid_json(&block)).unwrap();
        assert_eq!(bid.matches(&block), Ok(()));
        assert_eq!(bid.matches(&block.blind(Preset::Minimal).unwrap()), Ok(()));
    }
}

#[test]
fn a_bid_for_anything_else_than_the_block_names_what() {
    for fork in FORKS {
        let ours = block(fork);
        let changed = |path: &str, value: Value| {
            let mut json = bid_json(&ours);
            *json.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
            RelayBid::from_json(&json).unwrap()
        };
        let message = "/data/message";
        for (field, value) in [("gas_used", json!("1")), ("fee_recipient", hex_of(7, 20))] {
            let other = changed(&format!("{message}/header/{field}"), value);
            let (bid, block) = (other.payload_header_root, ours.payload_header_root);
            assert_eq!(other.matches(&ours), Err(BidError::OtherHeader { bid, block }));
        }
        if fork >= Fork::Deneb {
            let other = changed(&format!("{message}/blob_kzg_commitments"), json!([hex_of(1, 48)]));
            assert_eq!(other.matches(&ours), Err(BidError::OtherCommitments));
        }
        if fork >= Fork::Electra {
            let requests = json!([{
                "source_address": hex_of(1, 20), "source_pubkey": hex_of(1, 48), "target_pubkey": hex_of(2, 48),
            }]);
            let other = changed(&format!("{message}/execution_requests/consolidations"), requests);
            assert_eq!(other.matches(&ours), Err(BidError::OtherRequests));
        }
        let richer = changed(&format!("{message}/value"), json!("1"));
        assert_eq!(richer.matches(&ours), Ok(()), "what is promised is no part of the block");
        assert!(richer.value < Wei::from_eth("1").unwrap());
    }
    let electra = RelayBid::from_json(&bid_json(&block(Fork::Electra))).unwrap();
    let want = BidError::OtherFork { bid: Fork::Electra, block: Fork::Fulu };
    assert_eq!(electra.matches(&block(Fork::Fulu)), Err(want));
}

#[test]
fn what_is_no_bid_is_refused() {
    let good = bid_json(&block(Fork::Fulu));
    let bid = RelayBid::from_json(&good).unwrap();
    for (path, wrong) in [
        ("/version", json!("bellatrix")),
        ("/version", Value::Null),
        ("/data", Value::Null),
        ("/data/message/value", json!("-1")),
        ("/data/message/value", json!(format!("1{}", "0".repeat(78)))),
        ("/data/message/pubkey", hex_of(1, 47)),
        ("/data/signature", hex_of(1, 95)),
    ] {
        let mut json = good.clone();
        *json.pointer_mut(path).unwrap() = wrong;
        assert!(matches!(RelayBid::from_json(&json), Err(BidReadError::Json { .. })), "{path}");
    }
    for len in 0..bid.ssz().len() {
        assert!(RelayBid::from_ssz(Fork::Fulu, &bid.ssz()[..len]).is_err(), "{len} bytes");
    }
    assert!(RelayBid::from_ssz(Fork::Fulu, &[bid.ssz(), &[0]].concat()).is_err());
    let long = vec![0; BID_LEN_MAX + 1];
    assert_eq!(RelayBid::from_ssz(Fork::Fulu, &long), Err(BidReadError::TooLong { have: long.len() }));
    assert_eq!(RelayBid::from_value(&[]), Err(BidReadError::Empty));
    for tag in [4, 0x80, 0x83, 0xff] {
        assert_eq!(RelayBid::from_value(&[tag, 0]), Err(BidReadError::Tag(tag)));
    }
}

#[test]
fn an_offer_reads_back_and_its_hash_binds_the_bid() {
    for fork in FORKS {
        let full = block(fork);
        assert_eq!(Offer::new(full.clone(), None), Err(OfferError::NotBlinded));
        let blinded = full.blind(Preset::Minimal).unwrap();
        let local = Offer::new(blinded.clone(), None).unwrap();
        let bid = RelayBid::from_json(&bid_json(&full)).unwrap();
        let built = Offer::new(blinded, Some(bid.clone())).unwrap();
        for offer in [&local, &built] {
            assert_eq!(Offer::from_value(Preset::Minimal, &offer.to_value().0).as_ref(), Ok(offer));
        }
        assert_eq!(local.hash(), full.root, "without a bid the block's root");
        assert_ne!(built.hash(), local.hash());
        let mut other = bid_json(&full);
        other["data"]["signature"] = hex_of(0xd2, 96);
        let other = Offer::new(built.block().clone(), RelayBid::from_json(&other).ok()).unwrap();
        assert_ne!(built.hash(), other.hash(), "another signature, another offer");
    }
}

#[test]
fn what_is_no_block_with_at_most_one_bid_is_no_offer() {
    let full = block(Fork::Electra);
    let blinded = full.blind(Preset::Minimal).unwrap();
    let bid = RelayBid::from_json(&bid_json(&full)).unwrap();
    let list = |parts: Vec<types::wire::Value>| parts.as_ssz_bytes();
    let read = |bytes: Vec<u8>| Offer::from_value(Preset::Minimal, &bytes);
    assert!(read(list(vec![blinded.to_value(), bid.to_value()])).is_ok());
    assert!(matches!(read(list(vec![])), Err(OfferError::Parts(_))));
    let three = list(vec![blinded.to_value(), bid.to_value(), bid.to_value()]);
    assert!(matches!(read(three), Err(OfferError::Parts(_))));
    assert!(matches!(read(list(vec![bid.to_value()])), Err(OfferError::Block(_))));
    let two_blocks = list(vec![blinded.to_value(), blinded.to_value()]);
    assert!(matches!(read(two_blocks), Err(OfferError::Bid(_))));
    assert_eq!(read(list(vec![full.to_value()])), Err(OfferError::NotBlinded));
}
