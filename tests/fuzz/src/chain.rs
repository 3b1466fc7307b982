//! What comes from the chain's side: network files, and objects of the beacon API.

use crate::cluster_files::signed_registration;
use cluster::{Network, Registration, SignedRegistration, exit};
use serde::{Serialize, de::DeserializeOwned};
use ssz::{Decode, Encode};
use std::fmt::Debug;
use types::operations::{SignedVoluntaryExit, VoluntaryExit};
use types::{
    Address, ChainSpec, DomainType, Epoch, PublicKey, Root, Signature, SigningRoot, Slot, ValidatorIndex,
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

pub(crate) fn voluntary_exits() -> Vec<Vec<u8>> {
    let message = VoluntaryExit { epoch: Epoch(2048), validator_index: ValidatorIndex(1_234_567) };
    vec![json(&SignedVoluntaryExit { message, signature: Signature([9; 96]) })]
}
