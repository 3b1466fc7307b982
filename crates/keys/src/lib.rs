//! Secret curve work: shares, halves, signing, keystores, node identities, and how secrets lie on a disk.
//!
//! Floor 2, and the only room with secrets: `coordinator` can never link it. Every secret type wipes its memory
//! when dropped, is boxed so that moving it moves a pointer, prints as `<redacted>`, and cannot be cloned.
//!
//! - [`share`]: a share, its two halves, and their arithmetic.
//! - [`shamir`]: a dealer, and a key given back: the only two places where a whole validator key can be.
//! - [`signer`]: adds node halves to checked halves of the validator client; consumes a
//!   [`Permit`](symbolon_core::journal::Permit) for each signature.
//! - [`keystore`]: EIP-2335 keystores. [`mod@derive`]: EIP-2333 keys from seeds.
//! - [`identity`]: an operator's secp256k1 node key, its ENR, and the keys of its peers.
//! - [`keystores`]: folders of them. [`store`]: the node's halves at rest.
//! - [`files`]: files written once, whole, never over another. [`secret_file`]: those that only their owner may read.
//! - [`frost`]: key generation: the ciphersuite, the rounds of one validator, a ceremony's randomness.
//!
//! `unsafe` lives in the private module `curve`: secret scalars, and hashing to the curve, which blst's safe interface
//! lacks; and in two files of [`frost`], which says why.

mod curve;
pub mod derive;
mod enr;
pub mod files;
pub mod frost;
pub mod identity;
pub mod keystore;
pub mod keystores;
pub mod secret_file;
pub mod shamir;
pub mod share;
pub mod signer;
pub mod store;

pub use identity::{NodeKey, NodeKeys, Operator};
pub use keystore::Keystore;
pub use share::{NodeHalf, SecretShare, Shift, VcHalf, split};
pub use signer::{NodeSigner, VcKey};
pub use store::NodeStore;
