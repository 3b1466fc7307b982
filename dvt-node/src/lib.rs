//! The operator's daemon: one loop around core.
//!
//! - [`cli`], [`run`]: the command line, and how the parts are put together.
//! - [`import`], [`export`], [`resplit`], [`both_halves`]: moving in, moving out, and new halves.
//! - [`data_folder`]: what the ceremony left, read and checked.
//! - [`engine`]: the loop; it grants the wishes of [`symbolon_core::node::Node`].
//! - [`journal`], [`interchange`]: slashing protection on disk, and as other programs write it.
//! - [`slashing_protection`]: the commands for that.
//! - [`curve`]: signing and combining on blocking threads.
//! - [`chain_side`], [`sidecars`]: the beacon nodes.
//! - [`validator_api`], [`upstream`]: what the validator client talks to.
//! - [`metrics`], [`clock`]: what is seen from outside, and the time.

pub mod both_halves;
pub mod chain_side;
pub mod cli;
pub mod clock;
pub mod curve;
pub mod data_folder;
pub mod engine;
pub mod export;
pub mod import;
pub mod interchange;
pub mod journal;
pub mod metrics;
pub mod resplit;
pub mod run;
pub mod sidecars;
pub mod slashing_protection;
pub mod upstream;
pub mod validator_api;
