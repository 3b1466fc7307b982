//! The nouns of Symbolon: units, containers, signing roots, and the bytes that operators exchange.
//!
//! Floor 0: this crate does no I/O, reads no clock and holds no secret. Everything else stands on it.
//!
//! - [`units`]: slots, epochs, milliseconds, indices.
//! - [`bytes`]: fixed-length byte strings (roots, keys, signatures) with their hex, SSZ and JSON forms.
//! - [`operators`]: who is in a cluster, how many of them must sign, how many may fail.
//! - [`spec`], [`networks`]: a network's parameters (slot timing, forks, genesis root, preset), and the built-in ones.
//! - [`domain`]: the closed list of signing domains, and signing roots.
//! - [`attestation`], [`block`], [`sync`], [`operations`], [`builder`]: what validators sign.
//! - [`aggregate`]: what aggregators publish, whatever fork and preset; [`selection`]: who aggregates.
//! - [`bid`]: what a relay offers for a block, and whether a block is the one it is for; [`offer`]: what a leader does.
//! - [`approval`]: what operators approve beside duties, and what is kept of it.
//! - [`payload`]: the execution layer's part of a block.
//! - [`sizes`]: what the containers of the presets differ in.
//! - [`duty`]: what a validator is due to do; [`validator`]: where it is in its life.
//! - [`wire`]: what the operators of a cluster say to each other.
//! - [`machine`]: the one trait of all pure machines.

pub mod aggregate;
pub mod approval;
pub mod attestation;
pub mod bid;
pub mod block;
pub mod builder;
pub mod bytes;
pub mod domain;
pub mod duty;
pub mod machine;
pub mod networks;
pub mod offer;
pub mod operations;
pub mod operators;
pub mod payload;
pub mod selection;
pub mod sizes;
pub mod spec;
pub mod sync;
pub mod units;
pub mod validator;
pub mod wire;

pub use attestation::{AttestationData, BeaconVote, Checkpoint};
pub use bid::RelayBid;
pub use bytes::{Address, ForkVersion, NodeSignature, PublicKey, Root, Signature};
pub use domain::{DomainType, SigningRoot};
pub use machine::Machine;
pub use operators::{ClusterId, ClusterSize, Generation, ShareIndex, Threshold};
pub use spec::{ChainSpec, Fork, Preset};
pub use units::{Epoch, Gwei, Millis, Slot, ValidatorIndex, ValidatorNo, Wei};
pub use validator::ValidatorStatus;
