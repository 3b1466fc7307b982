//! Cluster definition, lock, ENR, EIP-712, deposit data: parse, hash, verify.
