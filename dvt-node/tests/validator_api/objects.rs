//! What clients hand in, of validators of ours or of strangers.

use crate::world::{ELECTRA, client_key};
use serde::Serialize;
use serde_json::{Value, json};
use ssz::BitVector;
use types::aggregate::{AggregateShape, SignedAggregate};
use types::attestation::{AggregateAndProof, AttestationElectra, SignedAggregateAndProof, SingleAttestation};
use types::builder::{SignedValidatorRegistrationV1, ValidatorRegistrationV1};
use types::operations::{SignedVoluntaryExit, VoluntaryExit};
use types::sizes::Minimal;
use types::sync::{
    ContributionAndProof, SignedContributionAndProof, SyncCommitteeContribution, SyncCommitteeMessage,
};
use types::{AttestationData, Checkpoint, Epoch, Fork, Preset, Root, Signature, Slot, ValidatorIndex};

/// A signature that says nothing; `Mind` does not check it.
pub(crate) const HALF: Signature = Signature([0x5a; 96]);
/// The proof in aggregates.
pub(crate) const PROOF: Signature = Signature([0x9f; 96]);
/// The head that is voted for.
pub(crate) const HEAD: Root = Root([3; 32]);

pub(crate) type Aggregated = SignedAggregateAndProof<AttestationElectra<Minimal>>;
pub(crate) type Contributed = SignedContributionAndProof<Minimal>;

/// How aggregates are read.
pub(crate) const AGGREGATE: AggregateShape =
    AggregateShape::Attestation { preset: Preset::Minimal, fork: Fork::Electra };
/// How contributions are read.
pub(crate) const CONTRIBUTION: AggregateShape = AggregateShape::Contribution { preset: Preset::Minimal };

pub(crate) fn data(slot: Slot) -> AttestationData {
    let target = Checkpoint { epoch: Epoch(slot.0 / 8), root: Root([8; 32]) };
    AttestationData { slot, beacon_block_root: HEAD, target, ..AttestationData::default() }
}

pub(crate) fn single(attester: u64) -> SingleAttestation {
    let attester_index = ValidatorIndex(attester);
    SingleAttestation { committee_index: 1, attester_index, data: data(ELECTRA), signature: HALF }
}

/// An aggregate of one committee.
pub(crate) fn attestation(committee: usize) -> AttestationElectra<Minimal> {
    let mut committee_bits = BitVector::new();
    committee_bits.set(committee, true).unwrap();
    AttestationElectra { data: data(ELECTRA), signature: HALF, committee_bits, ..Default::default() }
}

pub(crate) fn aggregated(aggregator: u64, committee: usize) -> Aggregated {
    let aggregate = attestation(committee);
    let aggregator_index = ValidatorIndex(aggregator);
    let message = AggregateAndProof { aggregator_index, aggregate, selection_proof: PROOF };
    SignedAggregateAndProof { message, signature: HALF }
}

pub(crate) fn contribution(subcommittee_index: u64) -> SyncCommitteeContribution<Minimal> {
    let (slot, beacon_block_root) = (ELECTRA, HEAD);
    SyncCommitteeContribution { slot, beacon_block_root, subcommittee_index, ..Default::default() }
}

pub(crate) fn contributed(aggregator: u64, subcommittee: u64) -> Contributed {
    let contribution = contribution(subcommittee);
    let aggregator_index = ValidatorIndex(aggregator);
    let message = ContributionAndProof { aggregator_index, contribution, selection_proof: PROOF };
    SignedContributionAndProof { message, signature: HALF }
}

/// What core is told of a signed aggregate.
pub(crate) fn told(shape: AggregateShape, signed: &impl Serialize) -> SignedAggregate {
    shape.signed_from_json(&json!(signed)).unwrap()
}

pub(crate) fn message(slot: Slot, member: u64) -> SyncCommitteeMessage {
    let validator_index = ValidatorIndex(member);
    SyncCommitteeMessage { slot, beacon_block_root: HEAD, validator_index, signature: HALF }
}

pub(crate) fn selection(slot: Slot, validator: u64) -> Value {
    json!({ "validator_index": validator.to_string(), "slot": slot, "selection_proof": HALF })
}

pub(crate) fn sync_selection(slot: Slot, validator: u64, subcommittee: u64) -> Value {
    json!({
        "validator_index": validator.to_string(), "slot": slot,
        "subcommittee_index": subcommittee.to_string(), "selection_proof": HALF,
    })
}

pub(crate) fn committee_subscription() -> Value {
    json!({
        "validator_index": "10", "committee_index": "1", "committees_at_slot": "4", "slot": "65",
        "is_aggregator": true,
    })
}

pub(crate) fn sync_subscription() -> Value {
    json!({ "validator_index": "10", "sync_committee_indices": ["3", "17"], "until_epoch": "9" })
}

pub(crate) fn preparation() -> Value {
    json!({ "validator_index": "10", "fee_recipient": format!("0x{}", "fe".repeat(20)) })
}

pub(crate) fn registration() -> SignedValidatorRegistrationV1 {
    let message = ValidatorRegistrationV1 { pubkey: client_key(0), ..Default::default() };
    SignedValidatorRegistrationV1 { message, signature: HALF }
}

pub(crate) fn exit(validator: u64) -> SignedVoluntaryExit {
    let message = VoluntaryExit { epoch: Epoch(7), validator_index: ValidatorIndex(validator) };
    SignedVoluntaryExit { message, signature: HALF }
}
