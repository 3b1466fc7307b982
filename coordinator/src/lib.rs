//! The pool's office: it keeps the books of a delegated staking pool, and never a secret.
//!
//! Operators, clusters, delegations, deposits, rewards, losses and exits are counted here. No duty waits for the
//! coordinator and it cannot sign: it links no crate that holds a key. What it publishes can be computed again by whoever
//! has the same inputs, so everything in this library is a pure function of integers: no clock, no chance, no floats.
//!
//! - [`formulas`]: what shares, rewards, bonds, losses, deposits and exits come to, to the wei.
//! - [`ledger`]: the books that are kept with them.
//! - [`merkle`]: what is published of it: a tree of claims, and a log that can only grow.

pub mod formulas;
pub mod ledger;
pub mod merkle;
