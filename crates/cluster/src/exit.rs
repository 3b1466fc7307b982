//! Voluntary exits as files: signed by a validator's key, published by anybody at any time after.
//!
//! The file is the beacon API's `SignedVoluntaryExit` on one line, which is what the field's tools write, keep and post.
//! Since Deneb exits are signed under Capella's fork for ever (EIP-7044), so one that was signed once stays valid.

use crate::json::{self, JsonError};
use types::operations::{SignedVoluntaryExit, VoluntaryExit};
use types::{ChainSpec, DomainType, PublicKey, Root, SigningRoot};

/// Largest exit file: a message of two numbers and a signature are some 300 bytes, laid out with more space than ever.
pub const EXIT_BYTES_MAX: usize = 4 << 10;

/// What a validator's key, or a share of it, signs to leave.
pub fn signing_root(spec: &ChainSpec, exit: &VoluntaryExit) -> SigningRoot {
    SigningRoot::of(spec, DomainType::VoluntaryExit, exit.epoch, Root::of(exit))
}

/// Reads an exit file.
///
/// - `bytes`: at most [`EXIT_BYTES_MAX`].
/// - Nothing is verified: see [`crate::check::check_exit`].
pub fn parse_file(bytes: &[u8]) -> Result<SignedVoluntaryExit, JsonError> {
    json::read(bytes, EXIT_BYTES_MAX)
}

/// The file: one line without an end, as the field's tools write it.
pub fn to_json(exit: &SignedVoluntaryExit) -> String {
    serde_json::to_string(exit).expect("numbers and a signature serialize")
}

/// The file's name: `exit-0x<group key>.json`.
pub fn file_name(key: &PublicKey) -> String {
    format!("exit-{key}.json")
}
