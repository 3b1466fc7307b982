//! The beacon API: a client with fallback, and the JSON both sides share.
//!
//! [`Beacon`] stands for all beacon nodes of an operator. Questions go to the best of them first, to the next when it
//! fails, and to the next too when it is slow; what is published goes to all. Only what to attest is asked of every
//! node that is well: nodes of several makes may see different heads, and the operators' votes decide between them. A
//! node that lags, is optimistic or answers nonsense is set aside and tried again.
//!
//! What comes back is checked at the door: an answer of the wrong shape, slot, fork or network is an error that names
//! the broken rule, and the next node is asked.
//!
//! - [`json`]: the shapes of the wire, for this client and for the validator API's server.
//! - [`limits`]: how long to wait, how much to read, and why.
//! - [`error`]: what can go wrong.
//! - [`sse`]: the parser of event streams.
//! - [`forward`]: requests passed on as they are.
//! - [`known`]: what a node says when it does not take something.
//! - [`Question`]: about the chain's past, whose answer the caller reads.
//!
//! Blocks travel as SSZ where a node takes it; everything else is JSON. Source: ethereum/beacon-APIs; what real nodes
//! and clients do beside it is in the comments.
//!
//! # Security
//!
//! Addresses of beacon nodes may hold passwords and keys. They are sent to that node and to nobody else: errors, logs
//! and `Debug` show scheme, host and port; what a node echoes is scrubbed; redirects are not followed.

mod ask;
mod client;
mod duties;
pub mod error;
pub mod forward;
mod heads;
mod health;
pub mod json;
pub mod known;
pub mod limits;
mod look;
mod node;
mod produce;
mod questions;
pub mod sse;
mod submit;
mod views;
mod votes;
mod watch;

pub use client::Beacon;
pub use error::{ApiError, SetupError};
pub use forward::{ByteStream, ForwardRequest, ForwardResponse};
pub use heads::Head;
pub use health::{Aside, NodeHealth};
pub use json::{Genesis, SyncStatus, ValidatorInfo};
pub use limits::Limits;
pub use look::Question;
pub use produce::ProducedBlock;
/// The HTTP types of [`ForwardRequest`]: those of the `http` crate.
pub use reqwest::{Method, header};
pub use watch::Probe;
