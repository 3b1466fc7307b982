//! What a validator client hands in: signed with its half of a share, worth nothing alone.

use types::aggregate::SignedAggregate;
use types::wire::Item;
use types::{AttestationData, Root, Signature, ValidatorNo};

/// A sync committee member's vote signed with a half of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfSyncMessage {
    /// Whose.
    pub validator: ValidatorNo,
    /// The block voted for.
    pub beacon_block_root: Root,
    /// By the client's half of the share.
    pub half: Signature,
}

/// A selection proof by a half of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfSelection {
    /// Whose, and for which subcommittee.
    pub item: Item,
    /// By the client's half of the share.
    pub half: Signature,
}

/// An aggregate signed with a half of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HalfAggregate {
    /// Whose, and for which subcommittee.
    pub item: Item,
    /// What was signed, with the half in place of the signature.
    pub signed: SignedAggregate,
}

/// An attestation signed with a half of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HalfAttestation {
    /// Whose.
    pub validator: ValidatorNo,
    /// What was signed.
    pub data: AttestationData,
    /// By the client's half of the share.
    pub half: Signature,
}
