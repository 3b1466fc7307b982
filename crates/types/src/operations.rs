//! What blocks carry beside attestations: headers, slashings, deposits, exits, changes of credentials.
//!
//! Source: consensus-specs phase0 and Capella. JSON is the beacon API's.

use crate::attestation::IndexedAttestation;
use crate::sizes::{Length, containers};
use crate::{Address, Epoch, Gwei, PublicKey, Root, Signature, Slot, ValidatorIndex};
use ssz_types::FixedVector;
use typenum::U33;

containers! {
    /// A vote on the state of the deposit contract.
    #[derive(Copy, Default)]
    pub struct Eth1Data {
        /// Root of the deposit tree.
        pub deposit_root: Root,
        /// Number of deposits.
        #[serde(with = "serde_utils::quoted_u64")]
        pub deposit_count: u64,
        /// Execution block.
        pub block_hash: Root,
    }

    /// A block with its body's root in place of the body; it has the block's own hash tree root.
    #[derive(Copy, Default)]
    pub struct BeaconBlockHeader {
        /// Slot.
        pub slot: Slot,
        /// Who proposes.
        pub proposer_index: ValidatorIndex,
        /// Parent block.
        pub parent_root: Root,
        /// State after the block.
        pub state_root: Root,
        /// Root of the body.
        pub body_root: Root,
    }

    /// A header with its proposer's signature.
    #[derive(Copy, Default)]
    pub struct SignedBeaconBlockHeader {
        /// What was signed.
        pub message: BeaconBlockHeader,
        /// By the proposer.
        pub signature: Signature,
    }

    /// Two blocks of one proposer for one slot.
    #[derive(Copy, Default)]
    pub struct ProposerSlashing {
        /// The one.
        pub signed_header_1: SignedBeaconBlockHeader,
        /// The other.
        pub signed_header_2: SignedBeaconBlockHeader,
    }

    /// Two contradicting attestations. `N`: most attesters of one.
    #[derive(Default)]
    #[serde(bound = "")]
    pub struct AttesterSlashing<N: Length> {
        /// The one.
        pub attestation_1: IndexedAttestation<N>,
        /// The other.
        pub attestation_2: IndexedAttestation<N>,
    }

    /// What a deposit's signature covers.
    #[derive(Copy, Default)]
    pub struct DepositMessage {
        /// The validator's key.
        pub pubkey: PublicKey,
        /// Where withdrawals go.
        pub withdrawal_credentials: Root,
        /// How much.
        pub amount: Gwei,
    }

    /// A deposit with its signature.
    #[derive(Copy, Default)]
    pub struct DepositData {
        /// The validator's key.
        pub pubkey: PublicKey,
        /// Where withdrawals go.
        pub withdrawal_credentials: Root,
        /// How much.
        pub amount: Gwei,
        /// Over the [`DepositMessage`].
        pub signature: Signature,
    }

    /// A deposit as blocks before Electra carry it.
    #[derive(Default)]
    pub struct Deposit {
        /// Branch of the deposit tree, `DEPOSIT_CONTRACT_TREE_DEPTH + 1` hashes.
        pub proof: FixedVector<Root, U33>,
        /// The deposit.
        pub data: DepositData,
    }

    /// A wish to leave.
    #[derive(Copy, Default)]
    pub struct VoluntaryExit {
        /// Not before this epoch.
        pub epoch: Epoch,
        /// Who leaves.
        pub validator_index: ValidatorIndex,
    }

    /// A wish to leave, signed.
    #[derive(Copy, Default)]
    pub struct SignedVoluntaryExit {
        /// What was signed.
        pub message: VoluntaryExit,
        /// By the validator.
        pub signature: Signature,
    }

    /// A change of BLS withdrawal credentials to an address.
    #[derive(Copy, Default)]
    #[serde(rename = "BLSToExecutionChange")]
    pub struct BlsToExecutionChange {
        /// Whose.
        pub validator_index: ValidatorIndex,
        /// The withdrawal key so far.
        pub from_bls_pubkey: PublicKey,
        /// The address from now on.
        pub to_execution_address: Address,
    }

    /// A change of credentials, signed.
    #[derive(Copy, Default)]
    #[serde(rename = "SignedBLSToExecutionChange")]
    pub struct SignedBlsToExecutionChange {
        /// What was signed.
        pub message: BlsToExecutionChange,
        /// By the withdrawal key.
        pub signature: Signature,
    }
}
