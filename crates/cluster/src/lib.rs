//! Cluster definition, lock, ENR, EIP-712, deposit data: parse, hash, verify.
//!
//! The files are those of Obol's clusters, v1.5 to v1.11; new ones are written as v1.10 or v1.11.
//!
//! - [`definition`], [`define`]: what operators agree to before there is a key; making one.
//! - [`lock`]: the result of a ceremony. [`check`]: named checks of both.
//! - [`deposit`], [`registration`], [`exit`]: what validators sign to come, to be paid and to go, and the files of it.
//! - [`enr`], [`k1`], [`eip712`]: nodes, their keys, and what wallets sign. [`pool_request`]: what is signed to write to a pool.
//! - [`network`], [`version`], [`text`], [`hash`]: fork versions, format versions, bounded strings, hash tree roots.
//!
//! No secret enters here: whatever is signed is handed out as a root and comes back as a signature. No clock and
//! no randomness either.

pub mod check;
pub mod define;
pub mod definition;
pub mod deposit;
pub mod eip712;
pub mod enr;
pub mod exit;
pub mod folder;
pub mod hash;
mod json;
pub mod k1;
pub mod lock;
pub mod network;
pub mod pool_request;
pub mod registration;
pub mod text;
pub mod version;

pub use check::{Check, ContractAnswers, ContractClaim, Verdict};
pub use define::{NewAddresses, NewDefinition, NotReady};
pub use definition::{Definition, DefinitionError};
pub use deposit::{DepositMessage, SignedDeposit};
pub use enr::{Enr, EnrError};
pub use json::JsonError;
pub use k1::NodeKey;
pub use lock::{Cluster, ClusterValidator, Lock, LockError, NewValidator};
pub use network::{Network, Networks};
pub use pool_request::PoolRequest;
pub use registration::{Registration, SignedRegistration};
pub use version::Version;
