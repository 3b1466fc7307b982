//! The execution layer's part of a block: payloads, their headers, requests.
//!
//! Source: consensus-specs Capella, Deneb, Electra.

use crate::bytes::{KzgCommitment, LogsBloom};
use crate::sizes::{Sizes, containers};
use crate::{Address, Gwei, PublicKey, Root, Signature, ValidatorIndex};
use alloy_primitives::U256;
use ssz_types::VariableList;
use typenum::{U2, U16, U32, U4096, U8192, U1048576, U1073741824};

/// Up to `MAX_EXTRA_DATA_BYTES` of the block's builder.
pub type ExtraData = VariableList<u8, U32>;
/// One transaction, opaque; up to `MAX_BYTES_PER_TRANSACTION`.
pub type Transaction = VariableList<u8, U1073741824>;
/// Up to `MAX_TRANSACTIONS_PER_PAYLOAD`.
pub type Transactions = VariableList<Transaction, U1048576>;
/// Up to `MAX_BLOB_COMMITMENTS_PER_BLOCK`.
pub type KzgCommitments = VariableList<KzgCommitment, U4096>;

macro_rules! execution_payload {
    ($(#[$doc:meta])* $name:ident, header: $header:ident { $($(#[$field_doc:meta])* $field:ident),* }) => {
        containers! {
            $(#[$doc])*
            #[derive(Default)]
            #[serde(bound = "")]
            pub struct $name<P: Sizes> {
                /// Parent execution block.
                pub parent_hash: Root,
                /// Whom it pays.
                pub fee_recipient: Address,
                /// Execution state after it.
                pub state_root: Root,
                /// Root of the receipts.
                pub receipts_root: Root,
                /// Bloom filter of the logs.
                pub logs_bloom: LogsBloom,
                /// RANDAO mix of the parent's state.
                pub prev_randao: Root,
                /// Height of the execution chain.
                #[serde(with = "serde_utils::quoted_u64")]
                pub block_number: u64,
                /// Most gas.
                #[serde(with = "serde_utils::quoted_u64")]
                pub gas_limit: u64,
                /// Gas used.
                #[serde(with = "serde_utils::quoted_u64")]
                pub gas_used: u64,
                /// Unix time of the slot, in seconds.
                #[serde(with = "serde_utils::quoted_u64")]
                pub timestamp: u64,
                /// The builder's words.
                #[serde(with = "ssz_types::serde_utils::hex_var_list")]
                pub extra_data: ExtraData,
                /// Base fee, in wei.
                #[serde(with = "serde_utils::quoted_u256")]
                pub base_fee_per_gas: U256,
                /// Hash of the execution block.
                pub block_hash: Root,
                /// Transactions.
                #[serde(with = "ssz_types::serde_utils::list_of_hex_var_list")]
                pub transactions: Transactions,
                /// Withdrawals.
                pub withdrawals: VariableList<Withdrawal, P::WithdrawalsPerPayload>,
                $($(#[$field_doc])* #[serde(with = "serde_utils::quoted_u64")] pub $field: u64,)*
            }
        }

        impl<P: Sizes> $name<P> {
            /// The payload's header; it has the payload's hash tree root.
            ///
            /// - Cost: hashes transactions and withdrawals, some 10 ms a megabyte.
            pub fn header(&self) -> $header {
                $header {
                    parent_hash: self.parent_hash,
                    fee_recipient: self.fee_recipient,
                    state_root: self.state_root,
                    receipts_root: self.receipts_root,
                    logs_bloom: self.logs_bloom,
                    prev_randao: self.prev_randao,
                    block_number: self.block_number,
                    gas_limit: self.gas_limit,
                    gas_used: self.gas_used,
                    timestamp: self.timestamp,
                    extra_data: self.extra_data.clone(),
                    base_fee_per_gas: self.base_fee_per_gas,
                    block_hash: self.block_hash,
                    transactions_root: Root::of(&self.transactions),
                    withdrawals_root: Root::of(&self.withdrawals),
                    $($field: self.$field,)*
                }
            }
        }
    };
}

macro_rules! execution_payload_header {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident),* }) => {
        containers! {
            $(#[$doc])*
            #[derive(Default)]
            pub struct $name {
                /// Parent execution block.
                pub parent_hash: Root,
                /// Whom it pays.
                pub fee_recipient: Address,
                /// Execution state after it.
                pub state_root: Root,
                /// Root of the receipts.
                pub receipts_root: Root,
                /// Bloom filter of the logs.
                pub logs_bloom: LogsBloom,
                /// RANDAO mix of the parent's state.
                pub prev_randao: Root,
                /// Height of the execution chain.
                #[serde(with = "serde_utils::quoted_u64")]
                pub block_number: u64,
                /// Most gas.
                #[serde(with = "serde_utils::quoted_u64")]
                pub gas_limit: u64,
                /// Gas used.
                #[serde(with = "serde_utils::quoted_u64")]
                pub gas_used: u64,
                /// Unix time of the slot, in seconds.
                #[serde(with = "serde_utils::quoted_u64")]
                pub timestamp: u64,
                /// The builder's words.
                #[serde(with = "ssz_types::serde_utils::hex_var_list")]
                pub extra_data: ExtraData,
                /// Base fee, in wei.
                #[serde(with = "serde_utils::quoted_u256")]
                pub base_fee_per_gas: U256,
                /// Hash of the execution block.
                pub block_hash: Root,
                /// Root of the transactions.
                pub transactions_root: Root,
                /// Root of the withdrawals.
                pub withdrawals_root: Root,
                $($(#[$field_doc])* #[serde(with = "serde_utils::quoted_u64")] pub $field: u64,)*
            }
        }
    };
}

execution_payload!(
    /// A payload of Capella.
    ExecutionPayloadCapella, header: ExecutionPayloadHeaderCapella {}
);
execution_payload!(
    /// A payload from Deneb on.
    ExecutionPayloadDeneb, header: ExecutionPayloadHeaderDeneb {
        /// Gas its blobs use.
        blob_gas_used,
        /// Running excess of blob gas.
        excess_blob_gas
    }
);
execution_payload_header!(
    /// A payload's header in Capella: what a blinded block carries.
    ExecutionPayloadHeaderCapella {}
);
execution_payload_header!(
    /// A payload's header from Deneb on: what a blinded block carries.
    ExecutionPayloadHeaderDeneb {
        /// Gas its blobs use.
        blob_gas_used,
        /// Running excess of blob gas.
        excess_blob_gas
    }
);

containers! {
    /// A withdrawal to the execution layer.
    #[derive(Copy, Default)]
    pub struct Withdrawal {
        /// Running number.
        #[serde(with = "serde_utils::quoted_u64")]
        pub index: u64,
        /// Whose.
        pub validator_index: ValidatorIndex,
        /// Where to.
        pub address: Address,
        /// How much.
        pub amount: Gwei,
    }

    /// A deposit that the execution layer reports (EIP-6110).
    #[derive(Copy, Default)]
    pub struct DepositRequest {
        /// The validator's key.
        pub pubkey: PublicKey,
        /// Where withdrawals go.
        pub withdrawal_credentials: Root,
        /// How much.
        pub amount: Gwei,
        /// Over the [`DepositMessage`](crate::operations::DepositMessage).
        pub signature: Signature,
        /// Running number.
        #[serde(with = "serde_utils::quoted_u64")]
        pub index: u64,
    }

    /// A withdrawal asked for by the withdrawal address (EIP-7002).
    #[derive(Copy, Default)]
    pub struct WithdrawalRequest {
        /// Who asks.
        pub source_address: Address,
        /// From which validator.
        pub validator_pubkey: PublicKey,
        /// How much; 0 means: leave.
        pub amount: Gwei,
    }

    /// A consolidation asked for by the withdrawal address (EIP-7251).
    #[derive(Copy, Default)]
    pub struct ConsolidationRequest {
        /// Who asks.
        pub source_address: Address,
        /// From.
        pub source_pubkey: PublicKey,
        /// Into.
        pub target_pubkey: PublicKey,
    }

    /// What the execution layer asks of the beacon chain, from Electra on.
    #[derive(Default)]
    pub struct ExecutionRequests {
        /// Up to `MAX_DEPOSIT_REQUESTS_PER_PAYLOAD`.
        pub deposits: VariableList<DepositRequest, U8192>,
        /// Up to `MAX_WITHDRAWAL_REQUESTS_PER_PAYLOAD`.
        pub withdrawals: VariableList<WithdrawalRequest, U16>,
        /// Up to `MAX_CONSOLIDATION_REQUESTS_PER_PAYLOAD`.
        pub consolidations: VariableList<ConsolidationRequest, U2>,
    }
}
