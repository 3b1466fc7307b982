//! The key ceremony: a pure machine and its thin shell, `dvt-dkg`.
//!
//! - [`ceremony`]: the machine. Pure: it is told time, randomness and results.
//! - [`cli`], [`define`], [`run`], [`verify`]: the commands of a cluster's life; [`split`], [`combine`]: its ways in and out.
//! - [`network`]: which network is meant. [`board`]: a pool's board, if there is one.
//! - [`state`], [`outcome`], [`ending`], [`evidence_file`]: the disk.
//! - [`progress`]: what the operator sees.

pub mod board;
pub mod ceremony;
pub mod cli;
pub mod combine;
pub mod define;
pub mod ending;
pub mod evidence_file;
pub mod network;
pub mod outcome;
pub mod progress;
pub mod run;
pub mod split;
pub mod state;
pub mod verify;
