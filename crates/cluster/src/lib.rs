//! Cluster definition, lock, ENR, EIP-712, deposit data: parse, hash, verify.

pub mod eip712;
pub mod enr;
pub mod hash;
mod json;
pub mod k1;
pub mod network;
pub mod text;
pub mod version;

pub use enr::{Enr, EnrError};
pub use json::JsonError;
pub use k1::NodeKey;
pub use network::{Network, Networks};
pub use version::Version;
