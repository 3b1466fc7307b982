//! The operator's daemon: one loop around core.
//!
//! - [`cli`], [`run`]: the command line, and how the parts are put together.
//! - [`approve`]: what operators approve beside duties, by commands; [`archive`]: what is kept of it.
//! - [`journal`]: slashing protection on disk. [`moving`]: shares, halves and histories from and to other software.
//! - [`data_folder`]: what the ceremony left, read and checked.
//! - [`engine`]: the loop; it grants the wishes of [`symbolon_core::node::Node`].
//! - [`curve`]: signing and combining on threads of their own. [`mod@bench`]: what that costs, beside others.
//! - [`chain_side`], [`contents`], [`watch`]: the beacon nodes, and blocks' payloads.
//! - [`stops`]: why signing is stopped, across restarts, and the command that lifts it.
//! - [`builder`]: what the beacon node takes for its builder: the relays, each bid checked.
//! - [`validator_api`], [`upstream`]: what the validator client talks to.
//! - [`server`]: the one accept loop under all that is served over HTTP, and its limits.
//! - [`record`]: what the machine is told, written down and told again.
//! - [`relay`]: a program of its own, for operators that cannot reach each other.
//! - [`metrics`], [`monitor`], [`clock`]: what is seen from outside, and the time.

pub mod approve;
pub mod archive;
pub mod bench;
pub mod builder;
pub mod chain_side;
pub mod cli;
pub mod clock;
pub mod contents;
pub mod curve;
pub mod data_folder;
pub mod engine;
pub mod journal;
pub mod metrics;
pub mod monitor;
pub mod moving;
pub mod record;
pub mod relay;
pub mod run;
pub mod server;
pub mod stops;
pub mod upstream;
pub mod validator_api;
pub mod watch;
