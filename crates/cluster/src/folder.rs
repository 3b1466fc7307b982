//! Names of the files in an operator's data folder: what the ceremony writes and the node reads.

use types::Root;

/// What was approved.
pub const DEFINITION: &str = "cluster-definition.json";
/// What came of it.
pub const LOCK: &str = "cluster-lock.json";
/// The validator client's halves: a folder of keystores and their passwords, to be moved to the client's host.
pub const KEYSTORES: &str = "validator_keys";
/// Addresses of the other operators.
pub const PEERS: &str = "peers.toml";
/// A network that is not built in.
pub const NETWORK: &str = "network.json";
/// The password of the node's halves, if the operator gave none.
pub const NODE_PASSWORD: &str = "node-password";
/// The slashing-protection journal.
pub const JOURNAL: &str = "journal";

/// The folder of an unfinished ceremony.
pub fn ceremony(ceremony_id: Root) -> String {
    format!("ceremony-{}", hex::encode(&ceremony_id.0[..4]))
}
