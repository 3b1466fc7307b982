//! What comes from the chain's side: network files, and objects of the beacon API.

use crate::cluster_files::signed_registration;
use cluster::{Network, Registration, SignedRegistration, exit};
use serde::{Serialize, de::DeserializeOwned};
use ssz::{Decode, Encode};
use std::fmt::Debug;
use types::builder::{BuilderBidCapella, BuilderBidDeneb, BuilderBidElectra, SignedBuilderBid};
use types::bytes::KzgCommitment;
use types::operations::{SignedVoluntaryExit, VoluntaryExit};
use types::{
    Address, ChainSpec, DomainType, Epoch, Fork, PublicKey, RelayBid, Root, Signature, SigningRoot, Slot,
    ValidatorIndex,
};

/// Ends and middles of time, in slots or epochs.
const TIMES: [u64; 6] = [0, 1, 31, 1 << 32, u64::MAX - 1, u64::MAX];

pub(crate) fn network_config(input: &[u8]) -> bool {
    let Ok(spec) = ChainSpec::from_config_json(input) else { return false };
    spec.validate().expect("what was read makes a network");
    assert_eq!(ChainSpec::from_config_json(&json(&spec)).as_ref(), Ok(&spec));
    assert_eq!(Network::from(&spec).fork_version, spec.genesis_fork_version);
    for time in TIMES {
        slot(&spec, Slot(time));
        epoch(&spec, Epoch(time));
    }
    true
}

/// A slot begins, has its duties, and ends; where the end of time is reached, time stands still.
fn slot(spec: &ChainSpec, slot: Slot) {
    let (start, due, end) = (spec.slot_start(slot), spec.attestation_due(slot), spec.slot_start(slot.next()));
    assert!(start <= due && due <= end, "{start} <= {due} <= {end}");
    if end > start && end.0 < u64::MAX {
        assert_eq!(spec.slot_at(start), Some(slot));
        assert_eq!(spec.slot_at(end), Some(slot.next()));
    }
    let epoch = spec.epoch_of(slot);
    assert!(spec.epoch_start(epoch) <= slot);
}

/// An epoch has a first slot, a fork that has begun (or is the first), and a domain for everything that is signed.
fn epoch(spec: &ChainSpec, epoch: Epoch) {
    let first = spec.epoch_start(epoch);
    if first.0 < u64::MAX {
        assert_eq!(spec.epoch_of(first), epoch);
    }
    let fork = spec.fork_at(epoch);
    assert!(fork.epoch <= epoch || fork == spec.forks[0]);
    assert_eq!(
        SigningRoot::of(spec, DomainType::VoluntaryExit, epoch, Root::ZERO),
        SigningRoot::of(spec, DomainType::VoluntaryExit, Epoch(0), Root::ZERO),
        "exits are signed with one version for ever"
    );
}

pub(crate) fn registration(input: &[u8]) -> bool {
    let Some(signed) = read_twice::<SignedRegistration>(input) else { return false };
    let message = signed.message;
    let later = Registration { timestamp_s: message.timestamp_s ^ 1, ..message };
    assert_ne!(later.root(), message.root());
    true
}

pub(crate) fn voluntary_exit(input: &[u8]) -> bool {
    let Ok(signed) = exit::parse_file(input) else { return false };
    assert_eq!(read_twice::<SignedVoluntaryExit>(exit::to_json(&signed).as_bytes()), Some(signed));
    assert_eq!(SignedVoluntaryExit::from_ssz_bytes(&signed.as_ssz_bytes()), Ok(signed));
    true
}

/// Bytes between operators, or a relay's JSON.
pub(crate) fn relay_bid(input: &[u8]) -> bool {
    let of_operator = RelayBid::from_value(input);
    if let Ok(bid) = &of_operator {
        assert_eq!(bid.to_value().0[..], *input, "one encoding");
    }
    let of_relay = serde_json::from_slice(input).ok().and_then(|json| RelayBid::from_json(&json).ok());
    let Some(bid) = of_operator.ok().or(of_relay) else { return false };
    assert_eq!(RelayBid::from_ssz(bid.fork, bid.ssz()).as_ref(), Ok(&bid));
    assert_eq!(RelayBid::from_value(&bid.to_value().0).as_ref(), Ok(&bid));
    assert_eq!(RelayBid::from_json(&bid.to_json()).as_ref(), Ok(&bid));
    assert_eq!(bid.blob_kzg_commitments_root.is_some(), bid.fork >= Fork::Deneb);
    assert_eq!(bid.execution_requests_root.is_some(), bid.fork >= Fork::Electra);
    let spec = ChainSpec::builtin("hoodi").expect("it is built in");
    assert_ne!(bid.signing_root(&spec).root(), bid.message_root, "under a domain");
    true
}

/// Reads an object of the beacon API; what is written of it is read as the same.
fn read_twice<T: DeserializeOwned + Serialize + PartialEq + Debug>(input: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(input).ok()?;
    let again: T = serde_json::from_slice(&json(&read)).expect("what was written is read");
    assert_eq!(again, read);
    Some(read)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs serialize into memory")
}

/// The networks that are built in.
pub(crate) fn network_configs() -> Vec<Vec<u8>> {
    ["mainnet", "hoodi", "gnosis"]
        .map(|name| json(&ChainSpec::builtin(name).expect("it is built in")))
        .to_vec()
}

pub(crate) fn registrations() -> Vec<Vec<u8>> {
    let message = Registration {
        fee_recipient: Address([7; 20]),
        gas_limit: 60_000_000,
        timestamp_s: 1_742_213_400,
        public_key: PublicKey([8; 48]),
    };
    vec![json(&signed_registration(message))]
}

/// A bid of each fork's container, in both forms.
pub(crate) fn relay_bids() -> Vec<Vec<u8>> {
    let mut capella = SignedBuilderBid::<BuilderBidCapella>::default();
    capella.message.pubkey = PublicKey([8; 48]);
    let mut deneb = SignedBuilderBid::<BuilderBidDeneb>::default();
    deneb.message.header.gas_limit = 60_000_000;
    let mut electra =
        SignedBuilderBid::<BuilderBidElectra> { signature: Signature([9; 96]), ..Default::default() };
    let commitments = vec![KzgCommitment([7; 48]); 2];
    electra.message.blob_kzg_commitments = commitments.try_into().expect("two commitments are few");
    let bids = [
        (Fork::Capella, capella.as_ssz_bytes()),
        (Fork::Deneb, deneb.as_ssz_bytes()),
        (Fork::Electra, electra.as_ssz_bytes()),
        (Fork::Fulu, electra.as_ssz_bytes()),
    ];
    let bids = bids.map(|(fork, ssz)| RelayBid::from_ssz(fork, &ssz).expect("written by its own container"));
    bids.iter().flat_map(|bid| [bid.to_value().0.to_vec(), json(&bid.to_json())]).collect()
}

pub(crate) fn voluntary_exits() -> Vec<Vec<u8>> {
    let message = VoluntaryExit { epoch: Epoch(2048), validator_index: ValidatorIndex(1_234_567) };
    vec![json(&SignedVoluntaryExit { message, signature: Signature([9; 96]) })]
}
