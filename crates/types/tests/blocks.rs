//! Blocks of every shape: against bytes that another implementation wrote, and against bytes that nobody should write.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use ssz::Encode as _;
use std::sync::LazyLock;
use types::block::body::{BeaconBlock, BodyElectra};
use types::block::{
    BLOB_LEN, BlockContents, BlockError, BlockShape, CELLS_PER_BLOB, ProposedBlock, SignedBlockContents,
    SignedBlockParts, block_json_to_ssz, block_ssz_to_json,
};
use types::payload::Withdrawal;
use types::sizes::Mainnet;
use types::{Fork, Preset, Root, Signature};

/// A block that another implementation wrote.
struct Golden {
    shape: BlockShape,
    root: Root,
    json_sha256: String,
    ssz: Vec<u8>,
}

static GOLDEN: LazyLock<Vec<Golden>> = LazyLock::new(|| {
    let file: Value = serde_json::from_str(include_str!("golden/blocks.json")).unwrap();
    file["cases"].as_array().unwrap().iter().map(golden).collect()
});

fn golden(case: &Value) -> Golden {
    Golden {
        shape: BlockShape {
            preset: serde_json::from_value(case["preset"].clone()).unwrap(),
            fork: serde_json::from_value(case["fork"].clone()).unwrap(),
            blinded: case["blinded"].as_bool().unwrap(),
        },
        root: serde_json::from_value(case["hash_tree_root"].clone()).unwrap(),
        json_sha256: case["json_sha256"].as_str().unwrap().to_owned(),
        ssz: hex::decode(&case["ssz"].as_str().unwrap()[2..]).unwrap(),
    }
}

fn golden_of(preset: Preset, fork: Fork) -> &'static Golden {
    GOLDEN.iter().find(|golden| golden.shape == BlockShape::full(preset, fork)).unwrap()
}

#[test]
fn blocks_of_every_preset_and_fork_are_read_written_and_hashed_as_others_do() {
    assert_eq!(GOLDEN.len(), 15, "4 of mainnet's older forks, 8 minimal, 3 of Gnosis");
    for golden in GOLDEN.iter() {
        let shape = golden.shape;
        let block = shape.decode(&golden.ssz).unwrap_or_else(|error| panic!("{shape:?}: {error}"));
        assert_eq!(block.root, golden.root, "{shape:?}");
        let json = block.to_json(shape.preset).unwrap();
        let digest = hex::encode(Sha256::digest(serde_json::to_vec(&json).unwrap()));
        assert_eq!(digest, golden.json_sha256, "{shape:?}: JSON");
        assert_eq!(shape.ssz_from_json(&json).unwrap(), golden.ssz, "{shape:?}");
        assert_eq!(ProposedBlock::from_value(shape.preset, &block.to_value().0), Ok(block), "{shape:?}");
    }
}

#[test]
fn a_block_is_refused_as_a_block_of_another_fork_or_form() {
    for golden in GOLDEN.iter() {
        let (shape, ssz) = (golden.shape, &golden.ssz);
        let other_form = BlockShape { blinded: !shape.blinded, ..shape };
        assert!(other_form.decode(ssz).is_err(), "{shape:?}");
        for fork in [Fork::Capella, Fork::Deneb, Fork::Electra] {
            let same = fork == shape.fork || (fork == Fork::Electra && shape.fork == Fork::Fulu);
            assert_eq!(BlockShape { fork, ..shape }.decode(ssz).is_ok(), same, "{shape:?} as {fork}");
        }
    }
}

/// The last list of an Electra block is one of consolidations: without its last item it is another block's list.
#[test]
fn a_block_cut_short_is_refused_but_between_items_of_its_last_list() {
    const CONSOLIDATION_LEN: usize = 20 + 48 + 48;
    let golden = golden_of(Preset::Minimal, Fork::Electra);
    let json = golden.shape.json_from_ssz(&golden.ssz).unwrap();
    let requests = json["body"]["execution_requests"]["consolidations"].as_array().unwrap().len();
    let between_items = |len| (1..=requests).any(|cut| len + cut * CONSOLIDATION_LEN == golden.ssz.len());
    for len in 0..golden.ssz.len() {
        let taken = golden.shape.decode(&golden.ssz[..len]);
        assert_eq!(taken.is_ok(), between_items(len), "{len} bytes");
        assert!(taken.is_ok_and(|block| block.root != golden.root) || !between_items(len), "{len} bytes");
    }
    let longer = [&golden.ssz[..], &[0]].concat();
    assert!(golden.shape.decode(&longer).is_err());
}

#[test]
fn each_preset_takes_its_own_number_of_withdrawals() {
    for (withdrawals, mainnet, gnosis) in [(8, true, true), (9, true, false), (16, true, false)] {
        let mut block = BeaconBlock::<BodyElectra<Mainnet>>::default();
        for _ in 0..withdrawals {
            block.body.execution_payload.withdrawals.push(Withdrawal::default()).unwrap();
        }
        let ssz = block.as_ssz_bytes();
        let taken = |preset| ProposedBlock::decode(preset, Fork::Electra, &ssz).is_ok();
        assert_eq!(taken(Preset::Mainnet), mainnet, "{withdrawals} on mainnet");
        assert_eq!(taken(Preset::Gnosis), gnosis, "{withdrawals} on Gnosis");
        assert!(!taken(Preset::Minimal), "the sync committee is smaller there");
    }
    let mut json: Value = {
        let golden = golden_of(Preset::Gnosis, Fork::Electra);
        block_ssz_to_json(Preset::Gnosis, Fork::Electra, &golden.ssz).unwrap()
    };
    let withdrawals = json["body"]["execution_payload"]["withdrawals"].as_array_mut().unwrap();
    assert_eq!(withdrawals.len(), 8);
    withdrawals.push(withdrawals[0].clone());
    assert!(matches!(block_json_to_ssz(Preset::Gnosis, Fork::Electra, &json), Err(BlockError::Json { .. })));
}

#[test]
fn a_value_without_a_known_tag_is_refused() {
    assert_eq!(ProposedBlock::from_value(Preset::Minimal, &[]), Err(BlockError::Empty));
    for tag in [4, 0x7f, 0x84, 0xff] {
        assert_eq!(ProposedBlock::from_value(Preset::Minimal, &[tag, 0]), Err(BlockError::Tag(tag)));
    }
}

/// A block of this fork with `count` blobs, as a beacon node would answer it.
fn contents_json(fork: Fork, proofs: usize, blobs: usize) -> Value {
    let golden = golden_of(Preset::Minimal, fork);
    let hex = |byte: u8, len: usize| format!("0x{}", hex::encode(vec![byte; len]));
    serde_json::json!({
        "block": golden.shape.json_from_ssz(&golden.ssz).unwrap(),
        "kzg_proofs": (0..proofs).map(|at| hex(at as u8, 48)).collect::<Vec<_>>(),
        "blobs": (0..blobs).map(|at| hex(at as u8, BLOB_LEN)).collect::<Vec<_>>(),
    })
}

#[test]
fn blobs_travel_with_their_block_through_signing_in_json_and_ssz() {
    for (fork, proofs) in [(Fork::Deneb, 2), (Fork::Electra, 2), (Fork::Fulu, 2 * CELLS_PER_BLOB)] {
        let shape = BlockShape::full(Preset::Minimal, fork);
        let json = contents_json(fork, proofs, 2);
        let contents = BlockContents::from_json(shape, &json).unwrap();
        assert_eq!(contents.sidecars.len(), 2);
        assert_eq!(contents.to_json(Preset::Minimal).unwrap(), json);
        assert_eq!(BlockContents::from_ssz(shape, &contents.to_ssz()).as_ref(), Ok(&contents));
        let signed = contents.sign(Signature([7; 96]));
        assert_eq!(SignedBlockContents::from_ssz(shape, &signed.to_ssz()).as_ref(), Ok(&signed));
        let json = signed.to_json(Preset::Minimal).unwrap();
        assert_eq!(json["signed_block"]["signature"], Signature([7; 96]).to_string());
        assert_eq!(SignedBlockContents::from_json(shape, &json), Ok(signed));
    }
}

#[test]
fn blobs_and_proofs_in_wrong_numbers_are_refused() {
    for (fork, proofs, blobs) in [(Fork::Electra, 1, 2), (Fork::Electra, 128, 1), (Fork::Fulu, 1, 1)] {
        let json = contents_json(fork, proofs, blobs);
        let read = BlockContents::from_json(BlockShape::full(Preset::Minimal, fork), &json);
        assert!(matches!(read, Err(BlockError::Sidecars(_))), "{fork}: {proofs} proofs, {blobs} blobs");
    }
}

#[test]
fn capella_and_blinded_blocks_travel_bare() {
    for golden in GOLDEN.iter().filter(|golden| !golden.shape.has_sidecars()) {
        let contents = BlockContents::from_ssz(golden.shape, &golden.ssz).unwrap();
        assert!(contents.sidecars.is_empty());
        assert_eq!(contents.to_ssz(), golden.ssz);
        let json = contents.to_json(golden.shape.preset).unwrap();
        assert_eq!(json, golden.shape.json_from_ssz(&golden.ssz).unwrap());
        assert_eq!(BlockContents::from_json(golden.shape, &json).as_ref(), Ok(&contents));
        let signed = contents.sign(Signature([7; 96]));
        assert_eq!(signed.to_ssz(), signed.signed.to_ssz());
    }
}

/// What must hold for any bytes: they are refused, or they are the one encoding of what they were read as.
fn refused_or_canonical(shape: BlockShape, bytes: &[u8]) {
    if let Ok(block) = shape.decode(bytes) {
        let json = block.to_json(shape.preset).unwrap();
        assert_eq!(shape.ssz_from_json(&json).unwrap(), bytes);
    }
    if let Ok(signed) = SignedBlockParts::from_ssz(shape, bytes) {
        assert_eq!(signed.to_ssz(), bytes);
    }
    if let Ok(contents) = BlockContents::from_ssz(shape, bytes) {
        assert_eq!(contents.to_ssz(), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), of in any::<Index>()) {
        refused_or_canonical(of.get(&GOLDEN).shape, &bytes);
    }

    #[test]
    fn a_mutated_block_is_refused_or_is_the_one_encoding_of_another(
        of in any::<Index>(),
        changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let golden = of.get(&GOLDEN);
        let mut bytes = golden.ssz.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        refused_or_canonical(golden.shape, &bytes);
    }

    #[test]
    fn a_block_with_a_mutated_offset_never_panics(
        of in any::<Index>(), at in 80_usize..420, byte in any::<u8>(), cut in any::<Index>(),
    ) {
        let golden = of.get(&GOLDEN);
        let mut bytes = golden.ssz.clone();
        bytes[at] = byte;
        bytes.truncate(1 + cut.index(bytes.len()));
        refused_or_canonical(golden.shape, &bytes);
        let signed = SignedBlockParts { block: golden.shape.decode(&golden.ssz).unwrap(), signature: Signature::ZERO };
        let mut bytes = signed.to_ssz();
        bytes[at % 4] = byte;
        refused_or_canonical(golden.shape, &bytes);
    }

    #[test]
    fn json_of_the_wrong_form_never_panics(of in any::<Index>(), key in "[a-z_]{0,12}", number in any::<u64>()) {
        let shape = of.get(&GOLDEN).shape;
        let odd = serde_json::json!({ key: number, "message": number, "signature": number, "blobs": [number] });
        for json in [odd, Value::Null, Value::from(number)] {
            prop_assert!(shape.ssz_from_json(&json).is_err());
            prop_assert!(SignedBlockParts::from_json(shape, &json).is_err());
            prop_assert!(SignedBlockContents::from_json(shape, &json).is_err());
        }
    }
}
