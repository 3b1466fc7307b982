//! Questions to a beacon node, and to an execution node: where they go, and how much of an answer is read.
//!
//! Sources: ethereum/beacon-APIs; ethereum/execution-apis, `eth_getLogs` and `eth_getBlockByNumber`.

use super::contracts;
use super::said::{self, Said, Wrong};
use crate::ledger::State;
use crate::ledger::charter::{Charter, Contracts};
use crate::ledger::reports::REQUEST_LEN_MAX;
use crate::text::Text;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::io::Read;
use types::{Address, Epoch, PublicKey, Root, Slot, ValidatorIndex, ValidatorStatus};

/// Most keys or indices of one question: 100 kB to send and 600 kB to read, which a node makes in a tenth of a second.
pub const PER_QUESTION: usize = 1_000;
/// Most bytes of a short answer. A thousand validators take some 600 kB, a block with its blobs' commitments 2 MB.
pub const ANSWER_LEN_MAX: usize = 16 << 20;
/// Most bytes of the queue of deposits. An entry takes 450, so half a million fit: more than Ethereum's ever had.
pub const PENDING_LEN_MAX: usize = 256 << 20;
/// Most bytes of all validators that are active. An entry takes 500, so four million fit: four times Ethereum's.
pub const ACTIVE_LEN_MAX: usize = 2 << 30;

/// Most bytes of logs. A deposit takes 1,500, so forty thousand fit: a range of blocks has no gas for more.
pub const LOGS_LEN_MAX: usize = 64 << 20;

/// Statuses of validators that may be slashed; the last two do not say.
const SLASHED: [ValidatorStatus; 4] = [
    ValidatorStatus::ActiveSlashed,
    ValidatorStatus::ExitedSlashed,
    ValidatorStatus::WithdrawalPossible,
    ValidatorStatus::WithdrawalDone,
];

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Question {
    /// What is finalized, in the head's state.
    Finality,
    /// Validators of a state.
    Validators {
        /// The state's slot.
        slot: Slot,
        /// Of these keys, at most [`PER_QUESTION`].
        keys: Vec<PublicKey>,
    },
    /// Deposits that wait in a state's queue.
    Pending {
        /// The state's slot.
        slot: Slot,
    },
    /// Effective balances of all validators that are active in a state.
    Active {
        /// The state's slot.
        slot: Slot,
    },
    /// The root of a slot's block.
    Root {
        /// The slot.
        slot: Slot,
    },
    /// The withdrawals of a slot's block.
    Block {
        /// The slot.
        slot: Slot,
    },
    /// The execution layer's block in a block of the chain.
    Payload {
        /// The root of the chain's block.
        root: Root,
    },
    /// What attestations of an epoch earned.
    Attestations {
        /// The epoch.
        epoch: Epoch,
        /// Whose, at most [`PER_QUESTION`].
        indices: Vec<ValidatorIndex>,
    },
    /// Who is in a state's sync committee.
    Members {
        /// The state's slot.
        slot: Slot,
    },
    /// A block of the execution layer, by its number.
    Executed {
        /// The number.
        number: u64,
    },
    /// What the pool's contracts said.
    Logs {
        /// From this block,
        from: u64,
        /// to this one, with both.
        to: u64,
        /// The contracts: the pool's, and the chain's for deposits.
        addresses: [Address; 2],
    },
    /// Which of these validators are slashed.
    Slashed {
        /// The state's slot.
        slot: Slot,
        /// These, at most [`PER_QUESTION`].
        indices: Vec<ValidatorIndex>,
    },
    /// Whom a slot's block slashes.
    Slashings {
        /// The slot.
        slot: Slot,
    },
    /// The RANDAO mix of an epoch, as a later state has it.
    Randao {
        /// The state's slot.
        slot: Slot,
        /// The epoch.
        epoch: Epoch,
    },
    /// What a block's sync committee earned.
    Sync {
        /// The block's slot.
        slot: Slot,
        /// Whose.
        indices: Vec<ValidatorIndex>,
    },
}

/// What of long answers is the pool's; the rest is read over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Where its withdrawals go.
    pub address: Address,
    /// Its validators' keys,
    pub keys: BTreeSet<PublicKey>,
    /// and indices.
    pub indices: BTreeSet<ValidatorIndex>,
    /// Its contracts.
    pub contracts: Option<Contracts>,
    /// Slots of an epoch of the network's.
    pub slots_per_epoch: u64,
}

impl Scope {
    /// What is the pool's.
    pub fn of(state: &State) -> Self {
        let keys = state.deposits.validators().keys().copied().collect();
        let indices = state.deposits.by_index.keys().copied().collect();
        let Charter { withdrawal_address: address, contracts, .. } = state.charter;
        Self { address, keys, indices, contracts, slots_per_epoch: state.network.slots_per_epoch }
    }
}

impl Question {
    /// The path of the beacon API, with its query; of a question to an execution node, its method and what it is about.
    pub fn path(&self) -> String {
        let beacon = "/eth/v1/beacon";
        match self {
            Self::Finality => format!("{beacon}/states/head/finality_checkpoints"),
            Self::Validators { slot, .. } | Self::Slashed { slot, .. } => {
                format!("{beacon}/states/{slot}/validators")
            }
            Self::Pending { slot } => format!("{beacon}/states/{slot}/pending_deposits"),
            Self::Active { slot } => format!("{beacon}/states/{slot}/validators?status=active"),
            Self::Root { slot } => format!("{beacon}/headers/{slot}"),
            Self::Block { slot } | Self::Slashings { slot } => format!("/eth/v2/beacon/blocks/{slot}"),
            Self::Payload { root } => format!("/eth/v2/beacon/blocks/{root}"),
            Self::Attestations { epoch, .. } => format!("{beacon}/rewards/attestations/{epoch}"),
            Self::Members { slot } => format!("{beacon}/states/{slot}/sync_committees"),
            Self::Sync { slot, .. } => format!("{beacon}/rewards/sync_committee/{slot}"),
            Self::Randao { slot, epoch } => format!("{beacon}/states/{slot}/randao?epoch={epoch}"),
            Self::Executed { number } => format!("eth_getBlockByNumber {number}"),
            Self::Logs { from, to, .. } => format!("eth_getLogs {from}..{to}"),
        }
    }

    /// JSON to `POST`; without it the question is a `GET`.
    pub fn body(&self) -> Option<String> {
        match self {
            Self::Validators { keys, .. } => Some(json!({ "ids": keys }).to_string()),
            Self::Slashed { indices, .. } => Some(json!({ "ids": indices, "statuses": SLASHED }).to_string()),
            Self::Attestations { indices, .. } | Self::Sync { indices, .. } => {
                Some(json!(indices).to_string())
            }
            Self::Finality
            | Self::Pending { .. }
            | Self::Active { .. }
            | Self::Root { .. }
            | Self::Block { .. }
            | Self::Payload { .. }
            | Self::Executed { .. }
            | Self::Logs { .. }
            | Self::Randao { .. }
            | Self::Slashings { .. }
            | Self::Members { .. } => None,
        }
    }

    /// The method of JSON-RPC and its parameters, of a question to an execution node.
    pub fn rpc(&self) -> Option<(&'static str, Value)> {
        match self {
            Self::Executed { number } => {
                Some(("eth_getBlockByNumber", json!([format!("0x{number:x}"), false])))
            }
            Self::Logs { from, to, addresses } => {
                let [from, to] = [from, to].map(|number| format!("0x{number:x}"));
                let topics = [contracts::topics()];
                let filter =
                    json!({"fromBlock": from, "toBlock": to, "address": addresses, "topics": topics});
                Some(("eth_getLogs", json!([filter])))
            }
            _ => None,
        }
    }

    /// What the question is called as evidence: its path, and the SHA-256 of what is posted, if something is.
    pub fn name(&self) -> Text<REQUEST_LEN_MAX> {
        let path = self.path();
        let name = match self.body() {
            Some(body) => format!("{path} {}", hex::encode(Sha256::digest(body))),
            None => path,
        };
        Text::new(name).expect("paths have fewer than a hundred letters, and no space")
    }

    /// Most bytes of an answer.
    pub fn len_max(&self) -> usize {
        match self {
            Self::Pending { .. } => PENDING_LEN_MAX,
            Self::Active { .. } => ACTIVE_LEN_MAX,
            Self::Logs { .. } => LOGS_LEN_MAX,
            Self::Finality
            | Self::Validators { .. }
            | Self::Root { .. }
            | Self::Block { .. }
            | Self::Payload { .. }
            | Self::Attestations { .. }
            | Self::Executed { .. }
            | Self::Randao { .. }
            | Self::Slashed { .. }
            | Self::Slashings { .. }
            | Self::Members { .. }
            | Self::Sync { .. } => ANSWER_LEN_MAX,
        }
    }

    /// Whether an answer is too long to be kept whole.
    pub fn is_long(&self) -> bool {
        self.len_max() > ANSWER_LEN_MAX
    }

    /// Whether "there is no such thing" is an answer: slots may have no block.
    pub fn may_be_absent(&self) -> bool {
        matches!(self, Self::Root { .. } | Self::Block { .. } | Self::Slashings { .. })
    }

    /// Reads an answer; of an execution node, its result. Errors: the rule that it breaks.
    pub fn read(&self, scope: &Scope, answer: &mut dyn Read) -> Result<Said, Wrong> {
        match self {
            Self::Finality => said::finality(answer),
            Self::Validators { keys, .. } => said::validators(keys, answer),
            Self::Pending { .. } => said::pending(scope, answer),
            Self::Active { .. } => said::active(answer),
            Self::Root { slot } => said::root(*slot, answer),
            Self::Block { slot } => said::block(*slot, scope, answer),
            Self::Payload { .. } => said::payload(answer),
            Self::Attestations { indices, .. } => said::attestations(indices, answer),
            Self::Members { .. } => said::members(scope, answer),
            Self::Sync { indices, .. } => said::sync(indices, answer),
            Self::Randao { .. } => said::randao(answer),
            Self::Slashed { indices, .. } => said::slashed(indices, answer),
            Self::Slashings { slot } => said::slashings(*slot, scope, answer),
            Self::Executed { number } => said::executed(*number, answer),
            Self::Logs { from, to, .. } => said::logs((*from, *to), scope, answer),
        }
    }
}
