//! The operator's daemon: one loop around core.
//!
//! - [`engine`]: the loop; it grants the wishes of [`symbolon_core::node::Node`].
//! - [`journal`]: slashing protection on disk.
//! - [`curve`]: signing and combining on blocking threads.
//! - [`chain_side`]: the beacon nodes.
//! - [`metrics`], [`clock`]: what is seen from outside, and the time.

pub mod clock;
pub mod curve;
pub mod engine;
pub mod journal;
pub mod metrics;
