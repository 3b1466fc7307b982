//! Evidence of guilt: two messages that contradict each other, and who put a share under both.
//!
//! ```text
//! votes:   other data for one target epoch; or source_a < source_b and target_b < target_a
//! blocks:  other headers for one slot
//! guilty = who signed the one and the other           at least 2t - n, if t of n signed each
//! ```
//!
//! Each partial signature is verified under the public share that its operator had in the message's epoch, so nobody can be
//! named by another's word. Both sets have at least the threshold: with fewer somebody could name one of the guilty and
//! spare the others. More evidence may name more.
//!
//! Source: consensus-specs, `is_slashable_attestation_data`, `process_proposer_slashing`.

use super::place::Place;
use crate::ledger::operators::OperatorId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::operations::BeaconBlockHeader;
use types::{
    AttestationData, ChainSpec, ClusterSize, DomainType, Epoch, PublicKey, Root, Signature, SigningRoot,
    ValidatorIndex,
};

/// Two messages of one validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Messages {
    /// Two votes.
    Votes([AttestationData; 2]),
    /// Two blocks.
    Blocks([BeaconBlockHeader; 2]),
}

/// Two messages, and partial signatures under them by place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conflict {
    /// The messages.
    pub messages: Messages,
    /// Whose partial signature is under each.
    pub partials: [BTreeMap<Place, Signature>; 2],
}

/// Who had which share of a validator's key in an epoch, in the cluster's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holders {
    /// The cluster's numbers.
    pub size: ClusterSize,
    /// Operators and their public shares.
    pub shares: Vec<(OperatorId, PublicKey)>,
}

/// Why evidence is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ConflictError {
    /// Both can be signed by one who keeps the rules.
    #[error("the messages do not contradict each other")]
    NoConflict,
    /// A block of somebody else.
    #[error("a block of validator {have}, the incident is of {want}")]
    OtherProposer {
        /// The block's.
        have: ValidatorIndex,
        /// The incident's.
        want: ValidatorIndex,
    },
    /// Another fault of the same validator.
    #[error("messages of epoch {have}, the fault is of {want}")]
    OtherEpoch {
        /// The later message's.
        have: Epoch,
        /// The incident's.
        want: Epoch,
    },
    /// Nobody knows who had the shares.
    #[error("nobody had shares of validator {validator} in epoch {epoch}")]
    NoHolders {
        /// Which.
        validator: ValidatorIndex,
        /// When.
        epoch: Epoch,
    },
    /// A place that the cluster does not have.
    #[error("the cluster has no operator {place}")]
    NoPlace {
        /// Which.
        place: Place,
    },
    /// Not a partial signature of that operator over that message.
    #[error("the partial signature of {operator}, at place {place}, over message {message} does not verify")]
    BadPartial {
        /// Whose it is said to be.
        operator: OperatorId,
        /// Its place.
        place: Place,
        /// Which of the two, from 0.
        message: usize,
    },
    /// Too few to be the signature that the chain has.
    #[error("{have} partial signatures over message {message}, a signature has {need}")]
    TooFew {
        /// Which of the two, from 0.
        message: usize,
        /// Told.
        have: usize,
        /// The threshold.
        need: usize,
    },
}

impl Messages {
    /// Whether one validator must not sign both.
    pub fn contradict(&self) -> bool {
        match self {
            Self::Votes([a, b]) => {
                let surrounds = |one: &AttestationData, other: &AttestationData| {
                    one.source.epoch < other.source.epoch && other.target.epoch < one.target.epoch
                };
                (a != b && a.target.epoch == b.target.epoch) || surrounds(a, b) || surrounds(b, a)
            }
            Self::Blocks([a, b]) => a != b && a.slot == b.slot && a.proposer_index == b.proposer_index,
        }
    }

    /// Epoch and signing root of each.
    fn signed(&self, spec: &ChainSpec) -> [(Epoch, SigningRoot); 2] {
        match self {
            Self::Votes(votes) => votes.map(|vote| {
                let epoch = vote.target.epoch;
                (epoch, SigningRoot::of(spec, DomainType::BeaconAttester, epoch, Root::of(&vote)))
            }),
            Self::Blocks(blocks) => blocks.map(|block| {
                let epoch = spec.epoch_of(block.slot);
                (epoch, SigningRoot::of(spec, DomainType::BeaconProposer, epoch, Root::of(&block)))
            }),
        }
    }
}

impl Conflict {
    /// Who is guilty: at least `2t - n` operators, if the cluster was the same in both epochs.
    ///
    /// - `holders`: who had which share of the validator's key, by epoch.
    /// - Errors: the rule that the evidence breaks. Cost: two pairings for each partial signature.
    pub fn guilty(
        &self,
        spec: &ChainSpec,
        validator: ValidatorIndex,
        fault: Epoch,
        holders: &dyn Fn(ValidatorIndex, Epoch) -> Option<Holders>,
    ) -> Result<BTreeSet<OperatorId>, ConflictError> {
        if !self.messages.contradict() {
            return Err(ConflictError::NoConflict);
        }
        if let Messages::Blocks([block, _]) = &self.messages
            && block.proposer_index != validator
        {
            return Err(ConflictError::OtherProposer { have: block.proposer_index, want: validator });
        }
        let signed = self.messages.signed(spec);
        let have = signed[0].0.max(signed[1].0);
        if have != fault {
            return Err(ConflictError::OtherEpoch { have, want: fault });
        }
        let signers = |message: usize| {
            let (epoch, root) = signed[message];
            let holders = holders(validator, epoch).ok_or(ConflictError::NoHolders { validator, epoch })?;
            self.signers(message, &root, &holders)
        };
        let (first, second) = (signers(0)?, signers(1)?);
        Ok(first.intersection(&second).copied().collect())
    }

    /// The operators whose partial signatures are under a message: all that are told, or an error.
    fn signers(
        &self,
        message: usize,
        root: &SigningRoot,
        holders: &Holders,
    ) -> Result<BTreeSet<OperatorId>, ConflictError> {
        let partials = &self.partials[message];
        let (have, need) = (partials.len(), holders.size.threshold());
        if have < need {
            return Err(ConflictError::TooFew { message, have, need });
        }
        let mut signers = BTreeSet::new();
        for (place, signature) in partials {
            let holder = holders.shares.get(place.0.position());
            let (operator, share) = *holder.ok_or(ConflictError::NoPlace { place: *place })?;
            if !crypto::verify_root(&share, root, signature) {
                return Err(ConflictError::BadPartial { operator, place: *place, message });
            }
            signers.insert(operator);
        }
        Ok(signers)
    }
}
