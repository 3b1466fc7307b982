//! Every vector of the shared folder, by its kind: `cargo test -p tests --test vectors`.
//!
//! Each module walks every file of its subfolder; what it does not know fails. An absent subfolder is a printed
//! skip, see [`folder::subfolder`].

//!
//! Vectors of one crate alone are run by that crate's own tests; they are included here, so that one command runs all.

#![allow(clippy::duplicate_mod, reason = "each of the included files has its own view of their common one")]

#[path = "../../../crates/crypto/tests/bls_vectors.rs"]
mod bls;
mod folder;
#[path = "../../../dvt-node/tests/interchange.rs"]
mod interchange;
#[path = "../../../crates/keys/tests/vectors.rs"]
mod keystores;
#[path = "../../../crates/cluster/tests/obol_vectors.rs"]
mod obol_definitions;
#[path = "../../../crates/cluster/tests/obol_locks.rs"]
mod obol_locks;
mod obol_private;
mod signing_roots;
mod ssz;
