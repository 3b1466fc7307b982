//! The ledger.
pub mod canonical;
pub mod policy;
pub mod quorum;
pub mod text;
