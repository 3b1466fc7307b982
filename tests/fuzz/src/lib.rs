//! Hostile inputs: what a parser must keep to whatever it is given, as targets for a coverage-guided fuzzer.
//!
//! A [`Target`] is a function that takes any bytes and panics where a property breaks: what was read is written and
//! read again as the same, hashes recompute, no number overflows, nobody's signature but its own counts. The panic is
//! the report.
//!
//! - `.ci/fuzz` runs targets under libFuzzer, on the pinned toolchain. What it finds lies in `target/fuzz/artifacts`.
//! - `cargo test -p fuzz` runs every target over its seeds, the vectors at hand and their mutations, over what the fuzzer
//!   has found and `.ci/fuzz --keep` kept in `tests/fuzz/corpus/<target>/`, and over every file in
//!   `tests/fuzz/crashes/<target>/`: an input that broke something is copied there with its correction.
//!
//! To add a target: one function and its seeds in the module of its family, one entry in [`TARGETS`], one row in the
//! inventory of `docs/evidence.md`.

mod at_rest;
mod beacon_side;
mod ceremony;
mod chain;
mod client_side;
mod cluster_files;
mod curve;
#[path = "../../../dvt-node/tests/exhaustive/files.rs"]
mod files;
mod guard;
#[allow(dead_code, reason = "shared with the test that draws every kind of input")]
#[path = "../../../dvt-node/tests/record/inputs.rs"]
mod inputs;
mod moving;
mod nodes;
#[path = "../../../dvt-node/tests/exhaustive/obvious.rs"]
mod obvious;
mod operator_files;
#[path = "../../../dvt-node/tests/validator_api/posts.rs"]
mod posts;
mod records;
mod values;
pub mod vectors;

/// One parser, and what it must keep to.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name in `SYMBOLON_FUZZ_TARGET`, and of its folders.
    pub name: &'static str,
    /// What it reads, in a few words.
    pub what: &'static str,
    /// Takes any input, says whether the parser took it, and panics where a property breaks.
    pub run: fn(&[u8]) -> bool,
    /// Inputs that are good, made by our own writers.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Everything that is fuzzed, in order of name.
pub const TARGETS: &[Target] = &[
    Target {
        name: "aggregates",
        what: "aggregates: a set agreed on, a beacon node's, a client's signed ones",
        run: values::aggregates,
        seeds: values::all_aggregates,
    },
    Target {
        name: "approvals",
        what: "what operators approve, on the wire and on disk",
        run: values::approvals,
        seeds: values::all_approvals,
    },
    Target {
        name: "beacon_answer",
        what: "a beacon node's answer, of any shape",
        run: beacon_side::beacon_answer,
        seeds: beacon_side::beacon_answers,
    },
    Target {
        name: "block_contents",
        what: "a block with its blobs, signed or not, full or blinded",
        run: values::block_contents,
        seeds: values::all_block_contents,
    },
    Target {
        name: "ceremony_frame",
        what: "frames of a ceremony, also with their statements put right",
        run: ceremony::ceremony_frame,
        seeds: ceremony::ceremony_frames,
    },
    Target {
        name: "ceremony_record",
        what: "records of an unfinished ceremony",
        run: ceremony::ceremony_record,
        seeds: ceremony::ceremony_records,
    },
    Target {
        name: "command_line",
        what: "a command line of dvt-node or dvt-dkg",
        run: operator_files::command_line,
        seeds: operator_files::command_lines,
    },
    Target {
        name: "commitments",
        what: "a dealer's round 1, and a private share",
        run: curve::commitments,
        seeds: curve::all_commitments,
    },
    Target {
        name: "curve_point",
        what: "a key, a signature or a scalar",
        run: curve::curve_point,
        seeds: curve::curve_points,
    },
    Target {
        name: "definition",
        what: "a cluster definition",
        run: cluster_files::definition,
        seeds: cluster_files::definitions,
    },
    Target {
        name: "deposit_file",
        what: "a deposit file",
        run: cluster_files::deposit_file,
        seeds: cluster_files::deposit_files,
    },
    Target { name: "enr", what: "a node record", run: nodes::enr, seeds: nodes::enrs },
    Target {
        name: "enr_content",
        what: "the content of a node record, signed by its node whatever it is",
        run: nodes::enr_content,
        seeds: nodes::enr_contents,
    },
    Target {
        name: "event_stream",
        what: "a beacon node's stream of events",
        run: beacon_side::event_stream,
        seeds: beacon_side::event_streams,
    },
    Target {
        name: "evidence",
        what: "a proof of a fault in a ceremony, also with everything in it signed",
        run: ceremony::evidence,
        seeds: ceremony::evidences,
    },
    Target {
        name: "evidence_file",
        what: "a file of evidence",
        run: cluster_files::evidence_file,
        seeds: cluster_files::evidence_files,
    },
    Target {
        name: "execution_answer",
        what: "an execution node's answer",
        run: moving::execution_answer,
        seeds: moving::execution_answers,
    },
    Target { name: "frame", what: "a frame of a peer", run: nodes::frame, seeds: nodes::frames },
    Target {
        name: "guard",
        what: "what happens to the keys of an operator",
        run: guard::guard,
        seeds: guard::guards,
    },
    Target {
        name: "interchange",
        what: "a slashing-protection history (EIP-3076)",
        run: moving::interchange,
        seeds: moving::interchanges,
    },
    Target {
        name: "journal_bytes",
        what: "a row of the journal, or its seal",
        run: operator_files::journal_bytes,
        seeds: operator_files::all_journal_bytes,
    },
    Target {
        name: "keymanager_answer",
        what: "a validator client's answer about keystores",
        run: moving::keymanager_answer,
        seeds: moving::keymanager_answers,
    },
    Target {
        name: "keystore",
        what: "an EIP-2335 keystore",
        run: at_rest::keystore,
        seeds: at_rest::keystores,
    },
    Target { name: "lock", what: "a cluster lock", run: cluster_files::lock, seeds: cluster_files::locks },
    Target {
        name: "network_config",
        what: "a network file",
        run: chain::network_config,
        seeds: chain::network_configs,
    },
    Target { name: "node_key", what: "a node key's file", run: moving::node_key, seeds: moving::node_keys },
    Target {
        name: "node_store",
        what: "a store of node halves, also with its header's hash put right",
        run: at_rest::node_store,
        seeds: at_rest::node_stores,
    },
    Target {
        name: "offer",
        what: "a block to be agreed on, and a relay's bid for it",
        run: values::offer,
        seeds: values::offers,
    },
    Target {
        name: "operator_file",
        what: "a password, a token, a certificate, or the mark of an end",
        run: operator_files::operator_file,
        seeds: operator_files::operator_files,
    },
    Target {
        name: "peers_file",
        what: "peers.toml, or the value of --peer",
        run: nodes::peers_file,
        seeds: nodes::peers_files,
    },
    Target {
        name: "record",
        what: "a record of a node, also with its checks put right",
        run: records::record,
        seeds: records::records,
    },
    Target {
        name: "refusal",
        what: "a beacon node's answer that says no",
        run: beacon_side::refusal,
        seeds: beacon_side::refusals,
    },
    Target {
        name: "registration",
        what: "a signed builder registration",
        run: chain::registration,
        seeds: chain::registrations,
    },
    Target {
        name: "relay_bid",
        what: "a relay's signed bid, of any fork",
        run: chain::relay_bid,
        seeds: chain::relay_bids,
    },
    Target {
        name: "revealed_payload",
        what: "a payload that a relay reveals",
        run: values::revealed_payload,
        seeds: values::revealed_payloads,
    },
    Target {
        name: "validator_api",
        what: "a request to the validator API",
        run: client_side::validator_api,
        seeds: client_side::validator_apis,
    },
    Target {
        name: "voluntary_exit",
        what: "a signed voluntary exit",
        run: chain::voluntary_exit,
        seeds: chain::voluntary_exits,
    },
    Target {
        name: "wallet_signature",
        what: "a digest of 32 bytes and a recoverable signature",
        run: nodes::wallet_signature,
        seeds: nodes::wallet_signatures,
    },
];

/// The target of a name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
