//! A pool's whole life, on a chain with balances: operators register, clusters are drawn and hold their ceremonies at the board,
//! delegators' ETH becomes validators, duties run, reports pay, and in the end everybody checks the log.
//!
//! - [`house`]: the rest of the network. [`execution`]: an execution node with the pool's contracts.
//! - [`office`]: the coordinator's process, and how it is written to and read. [`people`]: who does.
//! - [`cluster`]: a ceremony, nodes and clients. [`desk`]: what people do again and again. [`story`]: what happens; `leaving`, `slashing`,
//!   `checks`: its later parts. `shares`: what operators sign beside their nodes.

mod checks;
pub mod cluster;
pub mod desk;
pub mod execution;
pub mod house;
mod leaving;
pub mod office;
pub mod people;
mod shares;
mod slashing;
pub mod story;

pub use story::{LifeOrders, run};

#[cfg(test)]
mod tests;
