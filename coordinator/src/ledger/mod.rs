//! The ledger: a pool is what its log says, and anybody can replay the log.
//!
//! ```text
//! request      --\                       /-- state, by applying the events
//!                 decide, pure --> entry --- hash chain, tree, heads
//! observation  --/                       \-- stored bytes, which replay
//! ```
//!
//! - [`charter`]: what a pool is for ever; its hash is the pool's id. [`policy`]: what governance may change.
//! - [`log`]: appending and replaying; [`entry`]: what is stored; [`head`]: how long the log is, signed;
//!   [`snapshot`]: a state that a signed head is of, to go on from; [`frames`]: all reports of a log.
//! - [`state`]: all books together; [`routes`]: what can be asked of them, and by whom; [`seat`]: what an address is.
//! - Books: [`governance`], [`operators`], [`bonds`], [`calls`] for clusters, [`clusters`], [`chain`]. Each
//!   decides, and applies what was decided.
//! - Books of money: [`pool`], whose the ETH is and where it lies; [`deposits`], the validators, and the money that goes to
//!   them. What moves in several books moves in one entry.
//! - Books of keys: [`ceremonies`], the locks that come of what clusters have accepted.
//! - Books of what comes of it: [`reports`], what a frame of the chain brought, and whose it is; [`exits`], which validators
//!   leave; [`incidents`], what went wrong and who pays.
//! - [`quorum`]: keys of which some must agree.
//!
//! A validator's money goes through three of them, and each step is one entry: the deposits' book decides, the book of money
//! moves by what it decided, and the cluster is further on.
//!
//! The time that is told is Unix seconds where people are concerned, epochs where the chain is. No book asks a clock.

pub mod bonds;
pub mod calls;
pub mod ceremonies;
pub mod chain;
pub mod charter;
pub mod clusters;
mod columns;
pub mod deposits;
pub mod entry;
pub mod exits;
mod facts;
mod forming;
pub mod frames;
pub mod governance;
pub mod head;
pub mod incidents;
mod leaving;
pub mod log;
mod losses;
mod money;
pub mod operators;
pub mod policy;
pub mod pool;
pub mod quorum;
mod report;
pub mod reports;
pub mod routes;
pub mod seat;
pub mod snapshot;
pub mod state;

#[cfg(test)]
pub(crate) mod testbed;

pub use entry::{Cause, Entry, Observation, Sealed};
pub use facts::DepositRulesError;
pub use head::{Audit, AuditError, Head, SignedHead, audit};
pub use log::{AppendError, Corrupt, Ledger, Prepared, Replay};
pub use report::OtherBalance;
pub use state::{Command, Event, Refusal, Sighting, State};
