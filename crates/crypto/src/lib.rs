//! Public curve work on BLS12-381: verify, combine, check a slot. Holds no secret.
//!
//! - [`point`], [`scalar`]: points typed by what is known of them, public numbers modulo `r`.
//! - [`signature`]: keys and signatures, Ethereum's verification.
//! - [`lagrange`], [`mod@combine`]: partial signatures into signatures, public shares into keys.
//! - [`check`]: one check for many signatures, and the search for bad ones. [`hashed`]: roots hashed once.
//! - [`slot`]: combine everything of a slot unverified, check it once, blame when that fails.
//! - [`plain`]: every partial verified alone, as a yardstick.
//!
//! Pure functions of their arguments, on the calling thread: randomness comes in as a seed. Callers put them on a
//! blocking pool, or, where there are thousands, on all cores by [`cores`]. All unsafe code is in one module, the calls into blst.
//!
//! # Security
//! No function here takes a secret. Nothing is constant-time.

pub mod check;
pub mod combine;
pub mod cores;
pub mod hashed;
pub mod lagrange;
pub mod plain;
pub mod point;
mod raw;
pub mod recent;
pub mod scalar;
pub mod signature;
pub mod slot;

pub use check::Cost;
pub use combine::{CombineError, combine, combine_points, combine_public, interpolate_at};
pub use lagrange::At;
pub use point::{DST, G1, G1Affine, G2, G2Affine, PointError, hash_to_g2};
pub use scalar::Scalar;
pub use signature::{
    AggregateError, PublicKeyPoint, SignaturePoint, UncheckedSignature, aggregate, aggregate_verify,
    batch_verify, fast_aggregate_verify, verify, verify_hashed, verify_root,
};
pub use slot::{Job, Settled, settle};
