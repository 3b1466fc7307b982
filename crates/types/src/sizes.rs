//! Sizes of containers, as types: what the presets of the specification differ in.
//!
//! Source: consensus-specs `presets/{mainnet,minimal}`, gnosischain `presets/gnosis`. Sizes that are the same in
//! all three are written where they are used.

use std::fmt::Debug;
use typenum::{U4, U8, U16, U32, U64, U128, U512, U2048, U8192, U131072, Unsigned};

/// A length at the level of types.
pub trait Length: Unsigned + Clone + Debug + Default + PartialEq + Eq + Send + Sync + 'static {}

impl<N: Unsigned + Clone + Debug + Default + PartialEq + Eq + Send + Sync + 'static> Length for N {}

/// `MAX_VALIDATORS_PER_COMMITTEE`: most attesters of one attestation before Electra.
pub type AttestersPerCommittee = U2048;

/// What the containers of a preset differ in.
pub trait Sizes: Clone + Copy + Debug + Default + PartialEq + Eq + Send + Sync + 'static {
    /// `SYNC_COMMITTEE_SIZE`.
    type SyncCommittee: Length;
    /// `SYNC_COMMITTEE_SIZE / SYNC_COMMITTEE_SUBNET_COUNT`.
    type SyncSubcommittee: Length;
    /// `MAX_WITHDRAWALS_PER_PAYLOAD`.
    type WithdrawalsPerPayload: Length;
    /// `MAX_COMMITTEES_PER_SLOT`.
    type CommitteesPerSlot: Length;
    /// `MAX_VALIDATORS_PER_COMMITTEE * MAX_COMMITTEES_PER_SLOT`.
    type AttestersPerSlot: Length;
}

/// Sizes of every public network but Gnosis's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mainnet;

impl Sizes for Mainnet {
    type SyncCommittee = U512;
    type SyncSubcommittee = U128;
    type WithdrawalsPerPayload = U16;
    type CommitteesPerSlot = U64;
    type AttestersPerSlot = U131072;
}

/// Small sizes, for development chains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minimal;

impl Sizes for Minimal {
    type SyncCommittee = U32;
    type SyncSubcommittee = U8;
    type WithdrawalsPerPayload = U4;
    type CommitteesPerSlot = U4;
    type AttestersPerSlot = U8192;
}

/// Sizes of Gnosis and Chiado.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gnosis;

impl Sizes for Gnosis {
    type SyncCommittee = U512;
    type SyncSubcommittee = U128;
    type WithdrawalsPerPayload = U8;
    type CommitteesPerSlot = U64;
    type AttestersPerSlot = U131072;
}

/// What every container can do: be written as SSZ, read from it, and hashed.
pub trait Ssz: ssz::Encode + ssz::Decode + tree_hash::TreeHash + 'static {}

impl<T: ssz::Encode + ssz::Decode + tree_hash::TreeHash + 'static> Ssz for T {}

/// Gives containers their derives: SSZ, hash tree root, and the beacon API's JSON.
macro_rules! containers {
    ($($container:item)*) => {
        $(
            #[derive(Clone, Debug, PartialEq, Eq, ssz_derive::Encode, ssz_derive::Decode)]
            #[derive(tree_hash_derive::TreeHash, serde::Serialize, serde::Deserialize)]
            $container
        )*
    };
}
pub(crate) use containers;
