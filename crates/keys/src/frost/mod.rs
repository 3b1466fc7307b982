//! Key generation: FROST's, on Ethereum's curve.
//!
//! - [`suite`]: the ciphersuite for frost-core, BLS12-381 G1 over blst.
//! - [`dkg`]: the two rounds: deal, check, add up.
//! - [`stream`]: all randomness of a ceremony from one seed, so that a restarted node repeats itself.
//! - [`wipe`]: an allocator that zeroes what is freed, for what frost-core copies on the way.
//!
//! `unsafe` lives in `curve`, for blst's C interface, and in [`wipe`].

mod curve;
pub mod dkg;
pub mod stream;
pub mod suite;
pub mod wipe;

pub use curve::{Point, Scalar};
pub use dkg::{
    Dealer, DistributedKey, FinishError, PrivateShare, Round1, Round1Error, WrongProof, deal, finish,
    public_keys, round1_len,
};
pub use stream::{CeremonySeed, Purpose, Stream};
pub use suite::Bls12381G1Sha256;
pub use wipe::WipingAllocator;
