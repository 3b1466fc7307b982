//! Trees of hashes over what the coordinator publishes, so that each reader can check their part with a short proof.
//!
//! - [`claims`]: who may claim how much in all, in the form that contracts verify.
//! - [`log_tree`]: a log that can only grow.

pub mod claims;
pub mod log_tree;
