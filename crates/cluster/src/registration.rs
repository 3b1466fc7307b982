//! Builder registrations: where a validator wants its blocks' fees to go when a builder makes them.
//!
//! Source: builder-specs, `ValidatorRegistrationV1`.

use crate::{hash, text::quoted};
use serde::{Deserialize, Serialize};
use types::{
    Address, DomainType, ForkVersion, PublicKey, Root, Signature, SigningRoot, domain::compute_domain,
};

/// What a validator's key signs. JSON as the beacon API has it: numbers quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Who takes the fees.
    pub fee_recipient: Address,
    /// The gas limit the validator votes for.
    #[serde(with = "quoted")]
    pub gas_limit: u64,
    /// Unix time in seconds; a later registration replaces an earlier one.
    #[serde(rename = "timestamp", with = "quoted")]
    pub timestamp_s: u64,
    /// The validator's key.
    #[serde(rename = "pubkey")]
    pub public_key: PublicKey,
}

impl Registration {
    /// The hash tree root.
    pub fn root(&self) -> Root {
        hash::container(&[
            hash::fixed_bytes(&self.fee_recipient.0, Address::LEN),
            hash::uint64(self.gas_limit),
            hash::uint64(self.timestamp_s),
            hash::fixed_bytes(&self.public_key.0, PublicKey::LEN),
        ])
    }

    /// What is signed: under the network's genesis fork, whatever fork is in force.
    pub fn signing_root(&self, genesis: ForkVersion) -> SigningRoot {
        SigningRoot::compute(self.root(), compute_domain(DomainType::ApplicationBuilder, genesis, Root::ZERO))
    }
}

/// A registration and its signature. JSON as the beacon API has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRegistration {
    /// What was signed.
    pub message: Registration,
    /// By the validator's key over the signing root.
    pub signature: Signature,
}
