//! The pool's office: it keeps the books of a delegated staking pool, and never a secret.
//!
//! Operators, clusters, delegations, deposits, rewards, losses and exits are counted here. No duty waits for the
//! coordinator and it cannot sign: it links no crate that holds a validator's key. What it publishes can be computed again by
//! whoever has the same inputs, so everything that decides is a pure function of integers: no clock, no chance, no floats.
//!
//! Pure:
//!
//! - [`formation`]: which operators make a cluster, by rules and by lot, so that anybody can do it again.
//! - [`formulas`]: what shares, rewards, bonds, losses, deposits and exits come to, to the wei.
//! - [`merkle`]: what is published of it: a tree of claims, and a log that can only grow.
//! - [`canonical`], [`text`]: one spelling of everything that is hashed or compared; words.
//! - [`request`]: how somebody writes to the coordinator: what wallets sign.
//! - [`ledger`]: what is written: a log of requests and observations, and the books that follow from it.
//! - [`watch`]: what is asked of the chain, and the observations that come of it.
//! - [`board`]: what nodes say of a ceremony while it lasts. It is written nowhere.
//! - [`pages`]: the pool as web pages.
//!
//! Around it:
//!
//! - [`verify`]: a log replayed with all cores.
//! - [`store`]: the log on disk. [`key`]: what heads and observations are signed with. [`office`]: both, and the ledger.
//! - [`api`]: the office over HTTP, and the pages. [`desk`]: over a socket in its folder, for a person. [`lookout`]: who asks
//!   the beacon nodes. [`liveness`]: who was on duty, for the pages. [`cli`]: the program.

pub mod api;
pub mod board;
pub mod canonical;
pub mod cli;
pub mod desk;
pub mod formation;
pub mod formulas;
pub mod key;
pub mod ledger;
pub mod liveness;
pub mod lookout;
pub mod merkle;
pub mod office;
pub mod pages;
pub mod request;
pub mod store;
pub mod text;
pub mod verify;
pub mod watch;

#[cfg(test)]
mod test_keys;
