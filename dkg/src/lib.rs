//! The key ceremony: a pure machine and its thin shell, `dvt-dkg`.
//!
//! - [`ceremony`]: the machine. Pure: it is told time, randomness and results.
//! - [`cli`], [`define`], [`run`]: the commands.
//! - [`state`], [`outcome`]: the disk.
//! - [`progress`]: what the operator sees.

pub mod ceremony;
pub mod cli;
pub mod define;
pub mod outcome;
pub mod progress;
pub mod run;
pub mod state;
