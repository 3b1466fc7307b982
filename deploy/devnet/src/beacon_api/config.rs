//! The keys of `GET /eth/v1/config/spec`: what nodes and validator clients read of a network.
//!
//! Source: consensus-specs `configs/minimal.yaml` and `presets/minimal`, with the toy chain's own times and forks.

use serde_json::{Map, Value};
use sim::chain::SYNC_PERIOD_EPOCHS;
use types::{ChainSpec, Epoch, Fork, Preset};

/// Where nobody deposits.
pub(super) const DEPOSIT_CONTRACT: &str = "0x1234567890123456789012345678901234567890";

/// An epoch that never comes.
const FAR_FUTURE: u64 = u64::MAX;

/// What does not depend on the network's own file.
const FIXED: [(&str, &str); 77] = [
    ("MIN_GENESIS_ACTIVE_VALIDATOR_COUNT", "64"),
    ("GENESIS_DELAY", "300"),
    ("TERMINAL_TOTAL_DIFFICULTY", "0"),
    ("TERMINAL_BLOCK_HASH", "0x0000000000000000000000000000000000000000000000000000000000000000"),
    ("TERMINAL_BLOCK_HASH_ACTIVATION_EPOCH", "18446744073709551615"),
    ("DEPOSIT_CONTRACT_ADDRESS", DEPOSIT_CONTRACT),
    ("SECONDS_PER_ETH1_BLOCK", "14"),
    ("ETH1_FOLLOW_DISTANCE", "16"),
    ("EPOCHS_PER_ETH1_VOTING_PERIOD", "4"),
    ("MIN_VALIDATOR_WITHDRAWABILITY_DELAY", "256"),
    ("SHARD_COMMITTEE_PERIOD", "0"),
    ("INACTIVITY_SCORE_BIAS", "4"),
    ("INACTIVITY_SCORE_RECOVERY_RATE", "16"),
    ("EJECTION_BALANCE", "16000000000"),
    ("MIN_PER_EPOCH_CHURN_LIMIT", "2"),
    ("MAX_PER_EPOCH_ACTIVATION_CHURN_LIMIT", "4"),
    ("CHURN_LIMIT_QUOTIENT", "32"),
    ("MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA", "64000000000"),
    ("MAX_PER_EPOCH_ACTIVATION_EXIT_CHURN_LIMIT", "128000000000"),
    ("PROPOSER_SCORE_BOOST", "40"),
    ("REORG_HEAD_WEIGHT_THRESHOLD", "20"),
    ("REORG_PARENT_WEIGHT_THRESHOLD", "160"),
    ("REORG_MAX_EPOCHS_SINCE_FINALIZATION", "2"),
    ("MAX_PAYLOAD_SIZE", "10485760"),
    ("MAX_REQUEST_BLOCKS", "1024"),
    ("MAX_REQUEST_BLOCKS_DENEB", "128"),
    ("MIN_EPOCHS_FOR_BLOCK_REQUESTS", "272"),
    ("MIN_EPOCHS_FOR_BLOB_SIDECARS_REQUESTS", "4096"),
    ("ATTESTATION_PROPAGATION_SLOT_RANGE", "32"),
    ("MAXIMUM_GOSSIP_CLOCK_DISPARITY", "500"),
    ("MESSAGE_DOMAIN_INVALID_SNAPPY", "0x00000000"),
    ("MESSAGE_DOMAIN_VALID_SNAPPY", "0x01000000"),
    ("SUBNETS_PER_NODE", "2"),
    ("EPOCHS_PER_SUBNET_SUBSCRIPTION", "256"),
    ("ATTESTATION_SUBNET_COUNT", "64"),
    ("ATTESTATION_SUBNET_EXTRA_BITS", "0"),
    ("ATTESTATION_SUBNET_PREFIX_BITS", "6"),
    ("BLOB_SIDECAR_SUBNET_COUNT", "6"),
    ("BLOB_SIDECAR_SUBNET_COUNT_ELECTRA", "9"),
    ("MAX_BLOBS_PER_BLOCK", "6"),
    ("MAX_BLOBS_PER_BLOCK_ELECTRA", "9"),
    ("MAX_COMMITTEES_PER_SLOT", "4"),
    ("TARGET_COMMITTEE_SIZE", "4"),
    ("MAX_VALIDATORS_PER_COMMITTEE", "2048"),
    ("SHUFFLE_ROUND_COUNT", "10"),
    ("MIN_DEPOSIT_AMOUNT", "1000000000"),
    ("MAX_EFFECTIVE_BALANCE", "32000000000"),
    ("MAX_EFFECTIVE_BALANCE_ELECTRA", "2048000000000"),
    ("MIN_ACTIVATION_BALANCE", "32000000000"),
    ("EFFECTIVE_BALANCE_INCREMENT", "1000000000"),
    ("MIN_ATTESTATION_INCLUSION_DELAY", "1"),
    ("MIN_SEED_LOOKAHEAD", "1"),
    ("MAX_SEED_LOOKAHEAD", "4"),
    ("MIN_EPOCHS_TO_INACTIVITY_PENALTY", "4"),
    ("SLOTS_PER_HISTORICAL_ROOT", "64"),
    ("EPOCHS_PER_HISTORICAL_VECTOR", "64"),
    ("EPOCHS_PER_SLASHINGS_VECTOR", "64"),
    ("HISTORICAL_ROOTS_LIMIT", "16777216"),
    ("VALIDATOR_REGISTRY_LIMIT", "1099511627776"),
    ("MAX_ATTESTATIONS", "128"),
    ("MAX_ATTESTATIONS_ELECTRA", "8"),
    ("MAX_ATTESTER_SLASHINGS_ELECTRA", "1"),
    ("MAX_PROPOSER_SLASHINGS", "16"),
    ("MAX_DEPOSITS", "16"),
    ("MAX_VOLUNTARY_EXITS", "16"),
    ("SYNC_COMMITTEE_SIZE", "32"),
    ("SYNC_COMMITTEE_SUBNET_COUNT", "4"),
    ("TARGET_AGGREGATORS_PER_COMMITTEE", "16"),
    ("TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE", "16"),
    ("INTERVALS_PER_SLOT", "3"),
    ("BLS_WITHDRAWAL_PREFIX", "0x00"),
    ("ETH1_ADDRESS_WITHDRAWAL_PREFIX", "0x01"),
    ("COMPOUNDING_WITHDRAWAL_PREFIX", "0x02"),
    ("MAX_WITHDRAWALS_PER_PAYLOAD", "4"),
    ("MAX_BLOB_COMMITMENTS_PER_BLOCK", "4096"),
    ("FIELD_ELEMENTS_PER_BLOB", "4096"),
    ("NUMBER_OF_COLUMNS", "128"),
];

/// Types of signing domains.
const DOMAINS: [(&str, &str); 11] = [
    ("DOMAIN_BEACON_PROPOSER", "0x00000000"),
    ("DOMAIN_BEACON_ATTESTER", "0x01000000"),
    ("DOMAIN_RANDAO", "0x02000000"),
    ("DOMAIN_DEPOSIT", "0x03000000"),
    ("DOMAIN_VOLUNTARY_EXIT", "0x04000000"),
    ("DOMAIN_SELECTION_PROOF", "0x05000000"),
    ("DOMAIN_AGGREGATE_AND_PROOF", "0x06000000"),
    ("DOMAIN_SYNC_COMMITTEE", "0x07000000"),
    ("DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF", "0x08000000"),
    ("DOMAIN_CONTRIBUTION_AND_PROOF", "0x09000000"),
    ("DOMAIN_APPLICATION_BUILDER", "0x00000001"),
];

/// All keys with their values, as strings.
pub(super) fn keys(spec: &ChainSpec) -> Value {
    let mut keys = Map::new();
    let mut put = |key: &str, value: String| keys.insert(key.to_owned(), Value::String(value));
    put("CONFIG_NAME", spec.name.clone());
    put("PRESET_BASE", preset_name(spec.preset).to_owned());
    put("SECONDS_PER_SLOT", (spec.slot_ms / 1000).to_string());
    put("SLOT_DURATION_MS", spec.slot_ms.to_string());
    put("SLOTS_PER_EPOCH", spec.slots_per_epoch.to_string());
    put("EPOCHS_PER_SYNC_COMMITTEE_PERIOD", SYNC_PERIOD_EPOCHS.to_string());
    put("ATTESTATION_DUE_BPS", spec.timing.attestation_bps.to_string());
    put("AGGREGATE_DUE_BPS", spec.timing.aggregate_bps.to_string());
    put("MIN_GENESIS_TIME", (spec.genesis_time_ms / 1000).to_string());
    put("DEPOSIT_CHAIN_ID", spec.chain_id.to_string());
    put("DEPOSIT_NETWORK_ID", spec.chain_id.to_string());
    put("GENESIS_FORK_VERSION", spec.genesis_fork_version.to_string());
    // Forks before Capella have passed when the chain begins; nothing is signed with their versions.
    for name in ["ALTAIR", "BELLATRIX"] {
        put(&format!("{name}_FORK_VERSION"), spec.genesis_fork_version.to_string());
        put(&format!("{name}_FORK_EPOCH"), "0".to_owned());
    }
    for fork in [Fork::Capella, Fork::Deneb, Fork::Electra, Fork::Fulu] {
        let row = spec.forks.iter().find(|row| row.fork == fork);
        let name = fork.to_string().to_uppercase();
        // A fork that never comes has a version of its own all the same.
        let version = row.map_or("0x06000051".to_owned(), |row| row.version.to_string());
        put(&format!("{name}_FORK_VERSION"), version);
        put(&format!("{name}_FORK_EPOCH"), row.map_or(Epoch(FAR_FUTURE), |row| row.epoch).to_string());
    }
    for (key, value) in FIXED.into_iter().chain(DOMAINS) {
        put(key, value.to_owned());
    }
    Value::Object(keys)
}

const fn preset_name(preset: Preset) -> &'static str {
    match preset {
        Preset::Mainnet => "mainnet",
        Preset::Minimal => "minimal",
        Preset::Gnosis => "gnosis",
    }
}
