//! Secret curve work: shares, halves, signing, keystores, the ciphersuite.

pub mod frost;
