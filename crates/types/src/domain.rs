//! The closed list of signing domains, and signing roots.
//!
//! An opaque root is never signed: a [`SigningRoot`] is made here only, from an object and its domain.
//! Source: consensus-specs, `compute_domain`, `compute_signing_root`; EIP-7044 for exits.

use crate::operations::VoluntaryExit;
use crate::sizes::containers;
use crate::sync::SyncAggregatorSelectionData;
use crate::{ChainSpec, Epoch, Fork, ForkVersion, Root, Slot};
use std::fmt;

/// What kinds of messages are ever signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DomainType {
    /// A block.
    BeaconProposer,
    /// An attestation.
    BeaconAttester,
    /// A RANDAO reveal: signs an epoch.
    Randao,
    /// A deposit.
    Deposit,
    /// A voluntary exit.
    VoluntaryExit,
    /// An aggregator's selection proof: signs a slot.
    SelectionProof,
    /// An aggregate and its proof.
    AggregateAndProof,
    /// A sync-committee message: signs a block root.
    SyncCommittee,
    /// A sync aggregator's selection proof.
    SyncCommitteeSelectionProof,
    /// A contribution and its proof.
    ContributionAndProof,
    /// A builder registration.
    ApplicationBuilder,
}

impl DomainType {
    /// Every domain there is.
    pub const ALL: [Self; 11] = [
        Self::BeaconProposer,
        Self::BeaconAttester,
        Self::Randao,
        Self::Deposit,
        Self::VoluntaryExit,
        Self::SelectionProof,
        Self::AggregateAndProof,
        Self::SyncCommittee,
        Self::SyncCommitteeSelectionProof,
        Self::ContributionAndProof,
        Self::ApplicationBuilder,
    ];

    /// The four bytes of the specification.
    pub const fn bytes(self) -> [u8; 4] {
        match self {
            Self::BeaconProposer => [0, 0, 0, 0],
            Self::BeaconAttester => [1, 0, 0, 0],
            Self::Randao => [2, 0, 0, 0],
            Self::Deposit => [3, 0, 0, 0],
            Self::VoluntaryExit => [4, 0, 0, 0],
            Self::SelectionProof => [5, 0, 0, 0],
            Self::AggregateAndProof => [6, 0, 0, 0],
            Self::SyncCommittee => [7, 0, 0, 0],
            Self::SyncCommitteeSelectionProof => [8, 0, 0, 0],
            Self::ContributionAndProof => [9, 0, 0, 0],
            Self::ApplicationBuilder => [0, 0, 0, 1],
        }
    }
}

containers! {
    /// The specification's `Fork`: which versions are in force, and since when.
    #[derive(Copy, Default)]
    #[serde(rename = "Fork")]
    pub struct ForkVersions {
        /// Version before `epoch`.
        pub previous_version: ForkVersion,
        /// Version from `epoch` on.
        pub current_version: ForkVersion,
        /// When the version changes.
        pub epoch: Epoch,
    }

    /// What names a network at a fork: its root is half of every domain.
    #[derive(Copy, Default)]
    pub struct ForkData {
        /// The fork's version.
        pub current_version: ForkVersion,
        /// Root of the validators at genesis.
        pub genesis_validators_root: Root,
    }

    /// An object and its domain: its root is what is signed.
    #[derive(Copy, Default)]
    pub struct SigningData {
        /// Hash tree root of the object.
        pub object_root: Root,
        /// Its domain.
        pub domain: Root,
    }
}

/// `compute_fork_data_root`.
pub fn fork_data_root(version: ForkVersion, genesis_validators_root: Root) -> Root {
    Root::of(&ForkData { current_version: version, genesis_validators_root })
}

/// `compute_domain`: 4 bytes of type, 28 bytes of fork data root.
pub fn compute_domain(kind: DomainType, version: ForkVersion, genesis_validators_root: Root) -> Root {
    let mut domain = [0; 32];
    domain[..4].copy_from_slice(&kind.bytes());
    domain[4..].copy_from_slice(&fork_data_root(version, genesis_validators_root).0[..28]);
    Root(domain)
}

/// The domain of a message of `epoch` on this network.
///
/// Deposits and builder registrations use the genesis fork and no genesis root; exits stay on Capella's fork
/// from Deneb on (EIP-7044); all else uses the fork in force.
pub fn domain_at(spec: &ChainSpec, kind: DomainType, epoch: Epoch) -> Root {
    let in_force = spec.fork_at(epoch);
    match kind {
        DomainType::Deposit | DomainType::ApplicationBuilder => {
            compute_domain(kind, spec.genesis_fork_version, Root::ZERO)
        }
        DomainType::VoluntaryExit => {
            let capella = spec.forks.iter().find(|row| row.fork == Fork::Capella);
            let version = capella.map_or(in_force.version, |row| row.version);
            compute_domain(kind, version, spec.genesis_validators_root)
        }
        DomainType::BeaconProposer
        | DomainType::BeaconAttester
        | DomainType::Randao
        | DomainType::SelectionProof
        | DomainType::AggregateAndProof
        | DomainType::SyncCommittee
        | DomainType::SyncCommitteeSelectionProof
        | DomainType::ContributionAndProof => {
            compute_domain(kind, in_force.version, spec.genesis_validators_root)
        }
    }
}

/// The 32 bytes that a validator's key signs. Made from an object and a domain, never from bytes at hand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SigningRoot(Root);

impl SigningRoot {
    /// `compute_signing_root` of an object that has this hash tree root.
    pub fn compute(object_root: Root, domain: Root) -> Self {
        Self(Root::of(&SigningData { object_root, domain }))
    }

    /// The signing root of an object of `epoch` on this network.
    pub fn of(spec: &ChainSpec, kind: DomainType, epoch: Epoch, object_root: Root) -> Self {
        Self::compute(object_root, domain_at(spec, kind, epoch))
    }

    /// The RANDAO reveal's: the epoch itself is signed.
    pub fn randao(spec: &ChainSpec, epoch: Epoch) -> Self {
        Self::of(spec, DomainType::Randao, epoch, Root::of(&epoch))
    }

    /// An attester's selection proof: the slot itself is signed.
    pub fn selection_proof(spec: &ChainSpec, slot: Slot) -> Self {
        Self::of(spec, DomainType::SelectionProof, spec.epoch_of(slot), Root::of(&slot))
    }

    /// A sync committee member's selection proof for one of its subcommittees.
    pub fn sync_selection_proof(spec: &ChainSpec, slot: Slot, subcommittee_index: u64) -> Self {
        let object = Root::of(&SyncAggregatorSelectionData { slot, subcommittee_index });
        Self::of(spec, DomainType::SyncCommitteeSelectionProof, spec.epoch_of(slot), object)
    }

    /// A sync committee member's vote for a block.
    pub fn sync_message(spec: &ChainSpec, slot: Slot, beacon_block_root: Root) -> Self {
        Self::of(spec, DomainType::SyncCommittee, spec.epoch_of(slot), beacon_block_root)
    }

    /// A voluntary exit's.
    pub fn voluntary_exit(spec: &ChainSpec, exit: &VoluntaryExit) -> Self {
        Self::of(spec, DomainType::VoluntaryExit, exit.epoch, Root::of(exit))
    }

    /// A cluster's lock hash, which its shares sign raw, without an eth2 domain, when a ceremony ends.
    ///
    /// # Security
    /// Only `cluster` and the ceremony may call this: a lock hash is a hash of our own making, so it can
    /// never be a validator's message.
    pub fn lock_hash(hash: Root) -> Self {
        Self(hash)
    }

    /// A signing root read back from a journal, to compare candidates with. Nothing is signed for it: a permit's root
    /// is always computed anew.
    pub fn recorded(root: Root) -> Self {
        Self(root)
    }

    /// The bytes.
    pub const fn root(&self) -> Root {
        self.0
    }
}

impl fmt::Debug for SigningRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl AsRef<[u8]> for SigningRoot {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref()
    }
}
