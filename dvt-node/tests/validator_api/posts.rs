//! Routes of the validator API that take a list, or an object. Shared with the fuzzer.

/// Those that a client in its right mind asks.
pub(crate) const LISTS: [&str; 19] = [
    "/eth/v1/beacon/states/head/validators",
    "/eth/v1/beacon/states/head/validator_balances",
    "/eth/v1/beacon/states/head/validator_identities",
    "/eth/v1/validator/duties/attester/8",
    "/eth/v1/validator/duties/sync/8",
    "/eth/v1/validator/liveness/8",
    "/eth/v1/validator/beacon_committee_subscriptions",
    "/eth/v1/validator/sync_committee_subscriptions",
    "/eth/v1/validator/prepare_beacon_proposer",
    "/eth/v1/validator/register_validator",
    "/eth/v2/beacon/pool/attestations",
    "/eth/v2/validator/aggregate_and_proofs",
    "/eth/v1/validator/contribution_and_proofs",
    "/eth/v1/beacon/pool/sync_committees",
    "/eth/v1/beacon/rewards/attestations/8",
    "/eth/v1/beacon/rewards/sync_committee/head",
    "/eth/v1/beacon/pool/voluntary_exits",
    "/eth/v1/validator/beacon_committee_selections",
    "/eth/v1/validator/sync_committee_selections",
];
