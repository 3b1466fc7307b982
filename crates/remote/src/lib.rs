//! Clients of the programs beside an operator that are no beacon nodes.
//!
//! - [`keymanager`]: a validator client's keymanager API, which takes keystores.
//! - [`execution`]: an execution node's JSON-RPC, which knows what contracts said, and say of a signature.
//! - [`relay`]: a relay's builder API, which offers blocks of builders and reveals them.
//! - [`board`]: a pool's board of ceremonies, which hands definitions out and takes locks.
//! - [`node`]: the operator's own node, asked by commands beside it.
//! - [`flags`]: how a command line names a validator client.
//! - [`limits`]: how long to wait, how much to read, and why. [`error`]: what can go wrong on the way.
//!
//! A client asks and reports. What follows from an answer is its caller's to decide, and nothing is asked twice.
//! Calls need a tokio runtime.
//!
//! # Security
//!
//! Addresses may hold passwords and keys; they are sent to that server and to nobody else. Errors and `Debug` show
//! scheme, host and port; what a server echoes of the address, the token or a password is blotted out; redirects and
//! the environment's proxies are not followed.

pub mod board;
pub mod error;
pub mod execution;
pub mod flags;
pub mod keymanager;
pub mod limits;
pub mod node;
pub mod relay;
mod server;

pub use board::{Board, BoardError};
pub use error::{CallError, SetupError};
pub use execution::{Execution, RpcError};
pub use keymanager::{Keymanager, KeymanagerError, Outcome, Plain, Push, Status};
pub use node::{NodeError, OwnNode};
pub use relay::{BlindedBlock, Relay, RelayError, Taken};
