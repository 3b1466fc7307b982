//! A whole pool on one machine.
//!
//! - [`lodestar`]: a real Lodestar beacon node and real Lodestar validator clients, and a judge of what they did.

pub mod lodestar;
