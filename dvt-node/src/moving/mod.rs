//! Moving in and out: an operator's share, halves and history, from and to other software, while no node runs.
//!
//! - [`import`], [`export`]: with Obol's files.
//! - [`resplit`]: new halves of the same share. [`both_halves`]: both of them, opened beside each other.
//! - [`interchange`]: what was signed, as other programs write it (EIP-3076). [`slashing_protection`]: its commands.

pub mod both_halves;
pub mod export;
pub mod import;
pub mod interchange;
pub mod resplit;
pub mod slashing_protection;
