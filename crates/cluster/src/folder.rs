//! Names of the files in an operator's data folder: what the ceremony writes and the node reads.

use types::Root;

/// What was approved.
pub const DEFINITION: &str = "cluster-definition.json";
/// What came of it.
pub const LOCK: &str = "cluster-lock.json";
/// Says that a node has verified the lock: of which bytes, by which version, for which network.
pub const LOCK_VERIFIED: &str = "lock-verified";
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
/// What operators have approved, as far as this node has heard.
pub const APPROVALS: &str = "approvals";
/// The registrations that count since the ceremony.
pub const REGISTRATIONS: &str = "registrations.json";
/// Says that the keys have signed elsewhere and their history is not in the journal yet: no node runs while it is there.
pub const HISTORY_WANTED: &str = "history-wanted";
/// What stands in it, for whoever looks.
pub const HISTORY_WANTED_WORDS: &[u8] =
    b"These validators have signed before, and the journal does not know what. No \
node runs in this folder until `dvt-node slashing-protection import` has brought the history here, or `... wait` goes without.\n";
/// Why the node of this folder signs nothing, until its operator resumes; and the slashed validators that it knows of.
pub const SIGNING_STOPPED: &str = "signing-stopped.json";
/// Says that the shares or keys were given to other software: no node runs while it is there.
pub const EXPORTED: &str = "exported";
/// What stands in it, for whoever looks.
pub const EXPORTED_WORDS: &[u8] = b"This operator's part of the cluster was given to other software, or put together to \
whole keys. Two with the same keys get validators slashed, so no node starts here any more. To come back, stop the \
other, and import its folder and its newest history into a new data folder.\n";

/// What the name of a definition begins with that was fetched from a pool's board.
pub const FETCHED_DEFINITION: &str = "definition-";

/// A definition that was approved and fetched from a pool's board, by its hash.
pub fn fetched_definition(hash: Root) -> String {
    format!("{FETCHED_DEFINITION}{}.json", hex::encode(&hash.0[..4]))
}

/// The folder of an unfinished ceremony.
pub fn ceremony(ceremony_id: Root) -> String {
    format!("ceremony-{}", hex::encode(&ceremony_id.0[..4]))
}
