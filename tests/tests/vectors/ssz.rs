//! Containers: SSZ, hash tree roots and JSON of `ssz/*.json` and of the builder specification's examples.

use super::folder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;
use types::attestation::{
    AggregateAndProof, Attestation, AttestationData, AttestationElectra, Checkpoint, IndexedAttestation,
    SignedAggregateAndProof, SingleAttestation,
};
use types::block::body::{
    BeaconBlock, BlindedBodyCapella, BlindedBodyDeneb, BlindedBodyElectra, Body, BodyCapella, BodyDeneb,
    BodyElectra, SignedBeaconBlock,
};
use types::block::{BlockShape, ProposedBlock, SignedBlockParts};
use types::builder::{
    BuilderBidCapella, BuilderBidDeneb, BuilderBidElectra, SignedBuilderBid, SignedValidatorRegistrationV1,
    ValidatorRegistrationV1,
};
use types::domain::{ForkData, ForkVersions, SigningData};
use types::operations::{
    AttesterSlashing, BeaconBlockHeader, BlsToExecutionChange, Deposit, DepositData, DepositMessage,
    Eth1Data, ProposerSlashing, SignedBeaconBlockHeader, SignedBlsToExecutionChange, SignedVoluntaryExit,
    VoluntaryExit,
};
use types::payload::{
    ConsolidationRequest, DepositRequest, ExecutionPayloadCapella, ExecutionPayloadDeneb,
    ExecutionPayloadHeaderCapella, ExecutionPayloadHeaderDeneb, ExecutionRequests, Withdrawal,
    WithdrawalRequest,
};
use types::sizes::{AttestersPerCommittee, Gnosis, Mainnet, Minimal, Sizes, Ssz};
use types::sync::{
    ContributionAndProof, SignedContributionAndProof, SyncAggregate, SyncAggregatorSelectionData,
    SyncCommitteeContribution, SyncCommitteeMessage,
};
use types::{Fork, Preset, Root};

/// The file of another test, in the same folder.
pub(crate) const SIGNING_ROOTS: &str = "signing_roots.json";

#[test]
fn every_container_is_read_written_and_hashed_as_others_do() {
    let Some(folder) = folder::subfolder("ssz") else { return };
    let mut cases = 0;
    for path in folder::entries(&folder) {
        match folder::name(&path) {
            SIGNING_ROOTS | "INDEX.md" => {}
            "builder-specs" => cases += examples(&path),
            file if file.ends_with(".json") => cases += file_of_cases(&path),
            unknown => panic!("{unknown} is no file that this test knows"),
        }
    }
    assert!(cases > 0, "a folder of vectors without vectors");
}

fn file_of_cases(path: &Path) -> usize {
    let file = folder::json(path);
    let cases = file["cases"].as_array().unwrap_or_else(|| panic!("{}: no cases", path.display()));
    for case in cases {
        match folder::text(&file, "preset") {
            "mainnet" => of_type::<Mainnet>(case, Preset::Mainnet),
            "minimal" => of_type::<Minimal>(case, Preset::Minimal),
            "gnosis" => of_type::<Gnosis>(case, Preset::Gnosis),
            unknown => panic!("{}: unknown preset {unknown}", path.display()),
        }
    }
    cases.len()
}

fn examples(folder: &Path) -> usize {
    let mut cases = 0;
    for path in folder::entries(folder) {
        let Some(fork) = folder::name(&path).strip_suffix("_expected.json") else { continue };
        let expected = folder::json(&path);
        let stem = format!("{fork}_{}", snake(folder::text(&expected, "type")));
        let mut case = folder::json(&folder.join(format!("{stem}.json")));
        let ssz = std::fs::read(folder.join(format!("{stem}.ssz"))).unwrap();
        let case = serde_json::json!({
            "id": stem,
            "fork": expected["fork"],
            "type": expected["type"],
            "hash_tree_root": expected["hash_tree_root"],
            "ssz": hex::encode(&ssz),
            "json": case["value"].take(),
        });
        of_type::<Mainnet>(&case, Preset::Mainnet);
        let shape = shape_of(&case, Preset::Mainnet, true);
        let signed = SignedBlockParts::from_ssz(shape, &ssz).unwrap();
        assert_eq!(signed.block.root, root_in(&expected, "message_hash_tree_root"), "{stem}");
        cases += 1;
    }
    assert!(cases > 0, "{}: no examples", folder.display());
    cases
}

fn snake(camel: &str) -> String {
    let mut snake = String::new();
    for letter in camel.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

fn of_type<P: Sizes>(case: &Value, preset: Preset) {
    let (fork, kind) = (folder::text(case, "fork"), folder::text(case, "type"));
    match (fork, kind) {
        (_, "Checkpoint") => check::<Checkpoint>(case),
        (_, "AttestationData") => check::<AttestationData>(case),
        (_, "Fork") => check::<ForkVersions>(case),
        (_, "ForkData") => check::<ForkData>(case),
        (_, "SigningData") => check::<SigningData>(case),
        (_, "BeaconBlockHeader") => check::<BeaconBlockHeader>(case),
        (_, "SignedBeaconBlockHeader") => check::<SignedBeaconBlockHeader>(case),
        (_, "VoluntaryExit") => check::<VoluntaryExit>(case),
        (_, "SignedVoluntaryExit") => check::<SignedVoluntaryExit>(case),
        (_, "DepositMessage") => check::<DepositMessage>(case),
        (_, "DepositData") => check::<DepositData>(case),
        (_, "Deposit") => check::<Deposit>(case),
        (_, "Eth1Data") => check::<Eth1Data>(case),
        (_, "ProposerSlashing") => check::<ProposerSlashing>(case),
        (_, "SyncAggregatorSelectionData") => check::<SyncAggregatorSelectionData>(case),
        (_, "SyncCommitteeMessage") => check::<SyncCommitteeMessage>(case),
        (_, "SyncCommitteeContribution") => check::<SyncCommitteeContribution<P>>(case),
        (_, "ContributionAndProof") => check::<ContributionAndProof<P>>(case),
        (_, "SignedContributionAndProof") => check::<SignedContributionAndProof<P>>(case),
        (_, "SyncAggregate") => check::<SyncAggregate<P>>(case),
        (_, "ValidatorRegistrationV1") => check::<ValidatorRegistrationV1>(case),
        (_, "SignedValidatorRegistrationV1") => check::<SignedValidatorRegistrationV1>(case),
        (_, "BLSToExecutionChange") => check::<BlsToExecutionChange>(case),
        (_, "SignedBLSToExecutionChange") => check::<SignedBlsToExecutionChange>(case),
        (_, "Withdrawal") => check::<Withdrawal>(case),
        (_, "DepositRequest") => check::<DepositRequest>(case),
        (_, "WithdrawalRequest") => check::<WithdrawalRequest>(case),
        (_, "ConsolidationRequest") => check::<ConsolidationRequest>(case),
        (_, "ExecutionRequests") => check::<ExecutionRequests>(case),
        (_, "SingleAttestation") => check::<SingleAttestation>(case),
        ("capella", _) => of_fork::<BodyCapella<P>, BlindedBodyCapella<P>>(case, preset, &|| match kind {
            "ExecutionPayload" => check::<ExecutionPayloadCapella<P>>(case),
            "ExecutionPayloadHeader" => check::<ExecutionPayloadHeaderCapella>(case),
            "BuilderBid" => check::<BuilderBidCapella>(case),
            "SignedBuilderBid" => check::<SignedBuilderBid<BuilderBidCapella>>(case),
            _ => before_electra(case),
        }),
        ("deneb", _) => of_fork::<BodyDeneb<P>, BlindedBodyDeneb<P>>(case, preset, &|| match kind {
            "ExecutionPayload" => check::<ExecutionPayloadDeneb<P>>(case),
            "ExecutionPayloadHeader" => check::<ExecutionPayloadHeaderDeneb>(case),
            "BuilderBid" => check::<BuilderBidDeneb>(case),
            "SignedBuilderBid" => check::<SignedBuilderBid<BuilderBidDeneb>>(case),
            _ => before_electra(case),
        }),
        ("electra" | "fulu", _) => {
            of_fork::<BodyElectra<P>, BlindedBodyElectra<P>>(case, preset, &|| from_electra::<P>(case));
        }
        (_, _) => before_electra(case),
    }
}

/// Types that blocks of one fork share by name, else `others`.
fn of_fork<B: Body, X: Body>(case: &Value, preset: Preset, others: &dyn Fn()) {
    match folder::text(case, "type") {
        "BeaconBlockBody" => check::<B>(case),
        "BlindedBeaconBlockBody" => check::<X>(case),
        "BeaconBlock" => {
            check::<BeaconBlock<B>>(case);
            check_block(case, shape_of(case, preset, false));
        }
        "BlindedBeaconBlock" => {
            check::<BeaconBlock<X>>(case);
            check_block(case, shape_of(case, preset, true));
        }
        "SignedBeaconBlock" => {
            check::<SignedBeaconBlock<B>>(case);
            check_signed_block(case, shape_of(case, preset, false));
        }
        "SignedBlindedBeaconBlock" => {
            check::<SignedBeaconBlock<X>>(case);
            check_signed_block(case, shape_of(case, preset, true));
        }
        _ => others(),
    }
}

fn before_electra(case: &Value) {
    match folder::text(case, "type") {
        "Attestation" => check::<Attestation>(case),
        "AggregateAndProof" => check::<AggregateAndProof<Attestation>>(case),
        "SignedAggregateAndProof" => check::<SignedAggregateAndProof<Attestation>>(case),
        "IndexedAttestation" => check::<IndexedAttestation<AttestersPerCommittee>>(case),
        "AttesterSlashing" => check::<AttesterSlashing<AttestersPerCommittee>>(case),
        unknown => panic!("{}: unknown type {unknown}", case["id"]),
    }
}

fn from_electra<P: Sizes>(case: &Value) {
    match folder::text(case, "type") {
        "Attestation" => check::<AttestationElectra<P>>(case),
        "AggregateAndProof" => check::<AggregateAndProof<AttestationElectra<P>>>(case),
        "SignedAggregateAndProof" => check::<SignedAggregateAndProof<AttestationElectra<P>>>(case),
        "IndexedAttestation" => check::<IndexedAttestation<P::AttestersPerSlot>>(case),
        "AttesterSlashing" => check::<AttesterSlashing<P::AttestersPerSlot>>(case),
        "ExecutionPayload" => check::<ExecutionPayloadDeneb<P>>(case),
        "ExecutionPayloadHeader" => check::<ExecutionPayloadHeaderDeneb>(case),
        "BuilderBid" => check::<BuilderBidElectra>(case),
        "SignedBuilderBid" => check::<SignedBuilderBid<BuilderBidElectra>>(case),
        unknown => panic!("{}: unknown type {unknown}", case["id"]),
    }
}

/// The container's own properties.
fn check<T: Ssz + Serialize + DeserializeOwned>(case: &Value) {
    let id = &case["id"];
    let ssz = folder::bytes(case, "ssz");
    let read = T::from_ssz_bytes(&ssz).unwrap_or_else(|error| panic!("{id}: {error:?}"));
    assert_eq!(read.as_ssz_bytes(), ssz, "{id}: SSZ, read and written");
    assert_eq!(Root::of(&read), root_in(case, "hash_tree_root"), "{id}: hash tree root");
    let from_json: T =
        serde_json::from_value(case["json"].clone()).unwrap_or_else(|error| panic!("{id}: {error}"));
    assert_eq!(from_json.as_ssz_bytes(), ssz, "{id}: JSON to SSZ");
    let to_json = serde_json::to_value(&read).unwrap();
    assert_eq!(folder::lower(&to_json), folder::lower(&case["json"]), "{id}: SSZ to JSON");
    if <T as ::ssz::Decode>::is_ssz_fixed_len() {
        assert!(T::from_ssz_bytes(&ssz[1..]).is_err(), "{id}: cut short");
        assert!(T::from_ssz_bytes(&[&ssz[..], &[0]].concat()).is_err(), "{id}: made longer");
    }
}

/// What a node reads in the block, without naming its container.
fn check_block(case: &Value, shape: BlockShape) {
    let id = &case["id"];
    let ssz = folder::bytes(case, "ssz");
    let block = shape.decode(&ssz).unwrap_or_else(|error| panic!("{id}: {error}"));
    assert_eq!(block.root, root_in(case, "hash_tree_root"), "{id}: root");
    check_fields(&block, &case["json"]);
    assert_eq!(shape.ssz_from_json(&case["json"]).unwrap(), ssz, "{id}: JSON to SSZ");
    let json = block.to_json(shape.preset).unwrap();
    assert_eq!(folder::lower(&json), folder::lower(&case["json"]), "{id}: SSZ to JSON");
    let value = block.to_value();
    assert_eq!(ProposedBlock::from_value(shape.preset, &value.0), Ok(block), "{id}: between operators");
}

fn check_signed_block(case: &Value, shape: BlockShape) {
    let id = &case["id"];
    let ssz = folder::bytes(case, "ssz");
    let signed = SignedBlockParts::from_ssz(shape, &ssz).unwrap_or_else(|error| panic!("{id}: {error}"));
    check_fields(&signed.block, &case["json"]["message"]);
    assert_eq!(signed.signature.to_string(), folder::text(&case["json"], "signature"), "{id}");
    assert_eq!(signed.to_ssz(), ssz, "{id}: SSZ, read and written");
    assert_eq!(SignedBlockParts::from_json(shape, &case["json"]).as_ref(), Ok(&signed), "{id}: JSON");
    let json = signed.to_json(shape.preset).unwrap();
    assert_eq!(folder::lower(&json), folder::lower(&case["json"]), "{id}: SSZ to JSON");
}

fn check_fields(block: &ProposedBlock, json: &Value) {
    let body = &json["body"];
    let payload = if block.blinded { &body["execution_payload_header"] } else { &body["execution_payload"] };
    assert_eq!(block.slot.to_string(), folder::text(json, "slot"));
    assert_eq!(block.proposer_index.0.to_string(), folder::text(json, "proposer_index"));
    assert_eq!(block.parent_root.to_string(), folder::text(json, "parent_root"));
    assert_eq!(block.state_root.to_string(), folder::text(json, "state_root"));
    assert_eq!(block.randao_reveal.to_string(), folder::text(body, "randao_reveal"));
    assert_eq!(block.graffiti.to_string(), folder::text(body, "graffiti"));
    assert_eq!(block.fee_recipient.to_string(), folder::text(payload, "fee_recipient").to_lowercase());
    assert_eq!(block.payload_block_hash.to_string(), folder::text(payload, "block_hash"));
}

fn shape_of(case: &Value, preset: Preset, blinded: bool) -> BlockShape {
    let fork: Fork = serde_json::from_value(case["fork"].clone()).unwrap();
    BlockShape { preset, fork, blinded }
}

fn root_in(value: &Value, key: &str) -> Root {
    folder::text(value, key).parse().unwrap()
}
