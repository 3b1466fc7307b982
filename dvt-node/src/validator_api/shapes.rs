//! What only the API speaks of: nothing of it is signed, or hashed, or part of a block.
//!
//! SSZ has the fields in this order, which is that of the validator clients that send it.

use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use types::{Address, Epoch, Gwei, PublicKey, Signature, Slot, ValidatorIndex};

/// Gives messages their derives: the API's JSON, and SSZ.
macro_rules! messages {
    ($($message:item)*) => {
        $(
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
            $message
        )*
    };
}

messages! {
    /// An attester's wish that the beacon node follows its committee.
    pub(crate) struct CommitteeSubscription {
        pub(crate) validator_index: ValidatorIndex,
        #[serde(with = "serde_utils::quoted_u64")]
        pub(crate) committee_index: u64,
        #[serde(with = "serde_utils::quoted_u64")]
        pub(crate) committees_at_slot: u64,
        pub(crate) slot: Slot,
        pub(crate) is_aggregator: bool,
    }

    /// A sync committee member's wish that the beacon node follows its subcommittees.
    pub(crate) struct SyncSubscription {
        pub(crate) validator_index: ValidatorIndex,
        #[serde(with = "serde_utils::quoted_u64_vec")]
        pub(crate) sync_committee_indices: Vec<u64>,
        pub(crate) until_epoch: Epoch,
    }

    /// Whom a proposer's blocks shall pay.
    pub(crate) struct ProposerPreparation {
        pub(crate) validator_index: ValidatorIndex,
        pub(crate) fee_recipient: Address,
    }

    /// A selection proof of an attester.
    pub(crate) struct CommitteeSelection {
        pub(crate) validator_index: ValidatorIndex,
        pub(crate) slot: Slot,
        pub(crate) selection_proof: Signature,
    }

    /// A selection proof of a sync committee member, for one of its subcommittees.
    pub(crate) struct SyncSelection {
        pub(crate) validator_index: ValidatorIndex,
        pub(crate) slot: Slot,
        #[serde(with = "serde_utils::quoted_u64")]
        pub(crate) subcommittee_index: u64,
        pub(crate) selection_proof: Signature,
    }

    /// Whether a validator was seen to do something in an epoch.
    pub(crate) struct Liveness {
        pub(crate) index: ValidatorIndex,
        pub(crate) is_live: bool,
    }

    /// What a validator has.
    pub(crate) struct Balance {
        pub(crate) index: ValidatorIndex,
        pub(crate) balance: Gwei,
    }

    /// What a validator goes by.
    pub(crate) struct Identity {
        pub(crate) index: ValidatorIndex,
        pub(crate) pubkey: PublicKey,
        pub(crate) activation_epoch: Epoch,
    }
}
