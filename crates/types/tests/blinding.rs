//! A block and its blinded form: one root, and one way back.

use proptest::prelude::*;
use serde_json::{Value, json};
use ssz::Encode as _;
use types::block::blinding::Blind;
use types::block::body::{BeaconBlock, BodyCapella, BodyDeneb, BodyElectra};
use types::block::{
    BLOB_LEN, BlockContents, BlockShape, CELLS_PER_BLOB, ContentsError, ProposedBlock, RevealedPayload,
    UnblindError,
};
use types::sizes::{Gnosis, Mainnet, Minimal, Sizes};
use types::{Fork, Preset, Root};

const FORKS: [Fork; 4] = [Fork::Capella, Fork::Deneb, Fork::Electra, Fork::Fulu];
const PRESETS: [Preset; 3] = [Preset::Mainnet, Preset::Minimal, Preset::Gnosis];

fn hex_of(byte: u8, len: usize) -> Value {
    Value::from(format!("0x{}", hex::encode(vec![byte; len])))
}

/// What a test's block has of what can be told apart by its payload.
#[derive(Clone, Debug)]
struct Content {
    transactions: Vec<Vec<u8>>,
    withdrawals: u8,
    blobs: u8,
    gas_used: u64,
    requests: u8,
}

fn content() -> impl Strategy<Value = Content> {
    let transactions = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..5);
    (transactions, 0_u8..=4, 0_u8..=3, any::<u64>(), 0_u8..=2).prop_map(
        |(transactions, withdrawals, blobs, gas_used, requests)| Content {
            transactions,
            withdrawals,
            blobs,
            gas_used,
            requests,
        },
    )
}

fn some_content() -> Content {
    Content { transactions: vec![vec![1, 2], vec![]], withdrawals: 1, blobs: 2, gas_used: 7, requests: 1 }
}

/// The JSON of a block of this shape with this content, and its root by the containers' own hash.
fn block(shape: BlockShape, content: &Content) -> (Value, Root) {
    match shape.preset {
        Preset::Mainnet => block_sized::<Mainnet>(shape.fork, content),
        Preset::Minimal => block_sized::<Minimal>(shape.fork, content),
        Preset::Gnosis => block_sized::<Gnosis>(shape.fork, content),
    }
}

fn block_sized<P: Sizes>(fork: Fork, content: &Content) -> (Value, Root) {
    match fork {
        Fork::Capella => filled::<BodyCapella<P>>(fork, content),
        Fork::Deneb => filled::<BodyDeneb<P>>(fork, content),
        Fork::Electra | Fork::Fulu => filled::<BodyElectra<P>>(fork, content),
    }
}

fn filled<B: Blind>(fork: Fork, content: &Content) -> (Value, Root) {
    let mut json = serde_json::to_value(BeaconBlock::<B>::default()).unwrap();
    json["slot"] = json!("11");
    let body = &mut json["body"];
    let payload = &mut body["execution_payload"];
    let hexed = |bytes: &Vec<u8>| format!("0x{}", hex::encode(bytes));
    payload["transactions"] = content.transactions.iter().map(hexed).collect();
    let withdrawal = |index: u8| {
        json!({
            "index": index.to_string(),
            "validator_index": "3",
            "address": hex_of(index, 20),
            "amount": "1",
        })
    };
    payload["withdrawals"] = (0..content.withdrawals).map(withdrawal).collect();
    payload["gas_used"] = json!(content.gas_used.to_string());
    payload["block_hash"] = hex_of(0xb1, 32);
    if fork >= Fork::Deneb {
        body["blob_kzg_commitments"] = (0..content.blobs).map(|at| hex_of(at, 48)).collect();
    }
    if fork >= Fork::Electra {
        let request = |at: u8| {
            let keys = (hex_of(at, 48), hex_of(1, 48));
            json!({ "source_address": hex_of(at, 20), "source_pubkey": keys.0, "target_pubkey": keys.1 })
        };
        body["execution_requests"]["consolidations"] = (0..content.requests).map(request).collect();
    }
    let block: BeaconBlock<B> = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&block).unwrap(), json);
    (json, Root::of(&block))
}

/// What a relay of the first version of the call reveals of this block.
fn revealed(fork: Fork, block: &Value) -> Value {
    let payload = &block["body"]["execution_payload"];
    if fork < Fork::Deneb {
        return payload.clone();
    }
    let commitments = block["body"]["blob_kzg_commitments"].clone();
    let blobs = commitments.as_array().unwrap().len();
    let proofs = if fork >= Fork::Fulu { blobs * CELLS_PER_BLOB } else { blobs };
    json!({
        "execution_payload": payload,
        "blobs_bundle": {
            "commitments": commitments,
            "proofs": vec![hex_of(9, 48); proofs],
            "blobs": vec![hex_of(8, BLOB_LEN); blobs],
        },
    })
}

fn contents(shape: BlockShape, block: &Value) -> BlockContents {
    let json = revealed(shape.fork, block);
    let json = if shape.has_sidecars() {
        let bundle = &json["blobs_bundle"];
        json!({ "block": block, "kzg_proofs": bundle["proofs"], "blobs": bundle["blobs"] })
    } else {
        block.clone()
    };
    BlockContents::from_json(shape, &json).unwrap()
}

#[test]
fn contents_belong_to_the_block_they_are_of_full_or_blinded_and_to_no_other() {
    for fork in FORKS {
        let shape = BlockShape::full(Preset::Minimal, fork);
        let (json, _) = block(shape, &some_content());
        let whole = contents(shape, &json);
        let blinded = whole.block.blind(Preset::Minimal).unwrap();
        assert_eq!(whole.belongs_to(&whole.block), Ok(()));
        assert_eq!(whole.belongs_to(&blinded), Ok(()));

        let bare = BlockContents { block: blinded.clone(), sidecars: whole.sidecars.clone() };
        assert_eq!(bare.belongs_to(&blinded), Err(ContentsError::Blinded));
        let (other, root) = block(shape, &Content { gas_used: 8, ..some_content() });
        let other = contents(shape, &other);
        let want = ContentsError::OtherBlock { have: root, want: blinded.root };
        assert_eq!(other.belongs_to(&blinded), Err(want));
        if fork >= Fork::Deneb {
            let few = BlockContents { sidecars: Default::default(), ..whole };
            assert_eq!(few.belongs_to(&blinded), Err(ContentsError::Blobs { have: 0, want: 2 }));
        }
    }
}

#[test]
fn the_same_bytes_as_a_block_of_another_fork_are_other_contents() {
    let [electra, fulu] = [Fork::Electra, Fork::Fulu].map(|fork| BlockShape::full(Preset::Minimal, fork));
    let (json, _) = block(electra, &Content { blobs: 0, ..some_content() });
    let [electra, fulu] = [electra, fulu].map(|shape| contents(shape, &json));
    assert_eq!(electra.block.root, fulu.block.root);
    let want = ContentsError::OtherFork { have: Fork::Fulu, want: Fork::Electra };
    assert_eq!(fulu.belongs_to(&electra.block), Err(want));
}

#[test]
fn a_payload_that_is_not_the_one_that_was_signed_for_is_refused() {
    for fork in FORKS {
        let shape = BlockShape::full(Preset::Minimal, fork);
        let (json, _) = block(shape, &some_content());
        let full = shape.decode(&shape.ssz_from_json(&json).unwrap()).unwrap();
        let blinded = full.blind(Preset::Minimal).unwrap();
        let unblind = |block: &Value| {
            let payload = RevealedPayload::from_json(Preset::Minimal, fork, &revealed(fork, block)).unwrap();
            BlockContents::unblind(&blinded, &payload)
        };
        assert_eq!(unblind(&json).unwrap().block, full);
        let richer = Content { transactions: vec![vec![3]], ..some_content() };
        let refused = unblind(&block(shape, &richer).0).unwrap_err();
        assert!(matches!(refused, UnblindError::OtherHeader { .. }), "{fork}: {refused}");
        let payload = RevealedPayload::from_json(Preset::Minimal, fork, &revealed(fork, &json)).unwrap();
        assert_eq!(BlockContents::unblind(&full, &payload), Err(UnblindError::Full));
        if fork >= Fork::Deneb {
            let one_blob = block(shape, &Content { blobs: 1, ..some_content() }).0;
            assert_eq!(unblind(&one_blob), Err(UnblindError::OtherCommitments), "{fork}");
            let mut no_blobs = revealed(fork, &json);
            no_blobs["blobs_bundle"]["proofs"] = json!([]);
            no_blobs["blobs_bundle"]["blobs"] = json!([]);
            let payload = RevealedPayload::from_json(Preset::Minimal, fork, &no_blobs).unwrap();
            let want = UnblindError::Blobs { have: 0, want: 2 };
            assert_eq!(BlockContents::unblind(&blinded, &payload), Err(want));
        }
    }
    let capella = BlockShape::full(Preset::Minimal, Fork::Capella);
    let json = block(capella, &some_content()).0;
    let payload = RevealedPayload::from_json(Preset::Minimal, Fork::Capella, &revealed(Fork::Capella, &json));
    let deneb = BlockShape::full(Preset::Minimal, Fork::Deneb);
    let blinded = contents(deneb, &block(deneb, &some_content()).0).block.blind(Preset::Minimal).unwrap();
    let want = UnblindError::OtherFork { payload: Fork::Capella, block: Fork::Deneb };
    assert_eq!(payload.unwrap().belongs_to(&blinded), Err(want));
}

#[test]
fn what_is_no_revealed_payload_is_refused() {
    let (json, _) = block(BlockShape::full(Preset::Minimal, Fork::Fulu), &some_content());
    let good = revealed(Fork::Fulu, &json);
    let read = |json: &Value| RevealedPayload::from_json(Preset::Minimal, Fork::Fulu, json);
    assert!(read(&good).is_ok());
    for path in ["/execution_payload", "/blobs_bundle", "/blobs_bundle/commitments", "/blobs_bundle/blobs"] {
        for wrong in [Value::Null, json!(1), json!({})] {
            let mut json = good.clone();
            *json.pointer_mut(path).unwrap() = wrong.clone();
            assert!(read(&json).is_err(), "{path}: {wrong}");
        }
    }
    let mut one_proof_a_blob = good;
    one_proof_a_blob["blobs_bundle"]["proofs"] = json!([hex_of(9, 48), hex_of(9, 48)]);
    assert!(read(&one_proof_a_blob).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn blinding_changes_no_root_and_the_payload_brings_the_block_back(content in content()) {
        for (preset, fork) in PRESETS.into_iter().flat_map(|preset| FORKS.map(|fork| (preset, fork))) {
            let shape = BlockShape::full(preset, fork);
            let (json, root) = block(shape, &content);
            let contents = contents(shape, &json);
            let full = &contents.block;
            prop_assert_eq!(full.root, root, "{:?}", shape);
            let blobs = if fork >= Fork::Deneb { content.blobs } else { 0 };
            prop_assert_eq!(full.blob_count, usize::from(blobs));

            let blinded = full.blind(preset).unwrap();
            prop_assert!(blinded.blinded && !full.blinded);
            let read = ProposedBlock::decode_blinded(preset, fork, &blinded.ssz.0);
            prop_assert_eq!(read.as_ref(), Ok(&blinded), "what was copied is what is computed");
            prop_assert_eq!(blinded.root, root);
            let again = blinded.blind(preset);
            prop_assert_eq!(again.as_ref(), Ok(&blinded));

            let payload = RevealedPayload::from_json(preset, fork, &revealed(fork, &json)).unwrap();
            prop_assert_eq!(BlockContents::unblind(&blinded, &payload), Ok(contents));
        }
    }
}

#[test]
fn a_blinded_block_has_the_fields_that_others_write() {
    let shape = BlockShape::full(Preset::Mainnet, Fork::Electra);
    let (json, _) = block(shape, &some_content());
    let full = shape.decode(&shape.ssz_from_json(&json).unwrap()).unwrap();
    let blinded = full.blind(Preset::Mainnet).unwrap().to_json(Preset::Mainnet).unwrap();
    let header = &blinded["body"]["execution_payload_header"];
    assert_eq!(header["gas_used"], "7");
    assert_eq!(header["block_hash"], hex_of(0xb1, 32));
    assert!(blinded["body"].get("execution_payload").is_none());
    let empty = BeaconBlock::<BodyElectra<Mainnet>>::default().as_ssz_bytes();
    let empty = shape.decode(&empty).unwrap().blind(Preset::Mainnet).unwrap();
    let root = &empty.to_json(Preset::Mainnet).unwrap()["body"]["execution_payload_header"];
    // The root of an empty list of transactions, as it stands in headers everywhere.
    let want = "0x7ffe241ea60187fdb0187bfa22de35d1f9bed7ab061d9401fd47e34a54fbede1";
    assert_eq!(root["transactions_root"], want);
}
