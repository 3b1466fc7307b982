//! The pool's office: it keeps the books of a delegated staking pool, and never a secret.
//!
//! Operators, clusters, delegations, deposits, rewards, losses and exits are counted here. No duty waits for the
//! coordinator and it cannot sign: it links no crate that holds a key. What it publishes can be computed again by whoever
//! has the same inputs, so everything in this library is a pure function of integers: no clock, no chance, no floats.
//!
//! - [`formation`]: which operators make a cluster, by rules and by lot, so that anybody can do it again.
//! - [`formulas`]: what shares, rewards, bonds, losses, deposits and exits come to, to the wei.
//! - [`merkle`]: what is published of it: a tree of claims, and a log that can only grow.

pub mod formation;
pub mod formulas;
pub mod merkle;
