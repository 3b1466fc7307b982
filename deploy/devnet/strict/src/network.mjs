// The chain's parameters: the minimal preset's, forks up to Electra from genesis on, Fulu from an epoch of choice.
import {configs, minimalChainConfig, params, toHex} from "./lodestar.mjs";

/** Forks in order, as far as the chain may have them. */
export const FORKS = ["altair", "bellatrix", "capella", "deneb", "electra", "fulu"];

// Forks that a network file lists; the ones before have no meaning for duties.
const LISTED = ["capella", "deneb", "electra", "fulu"];

// An execution chain that is nobody's.
const CHAIN_ID = 81;

/**
 * The configuration of a chain.
 *
 * - `fork`: at genesis, "electra" or "fulu".
 * - `fuluEpoch`: when Fulu begins, if the chain begins at Electra; never unless given.
 * - `slotMs`: a whole number of seconds, for payloads have timestamps in seconds.
 * - `exitAfter`: epochs that a validator must be active before it may exit (SHARD_COMMITTEE_PERIOD).
 */
export function chainConfig({fork, fuluEpoch = Infinity, slotMs, exitAfter}) {
  if (!["electra", "fulu"].includes(fork)) throw Error(`fork ${fork}: the chain begins at electra or fulu`);
  if (slotMs < 1000 || slotMs % 1000 !== 0) throw Error(`slots of ${slotMs} ms: payloads count whole seconds`);
  const config = {
    ...minimalChainConfig,
    CONFIG_NAME: "symbolon-strict",
    SECONDS_PER_SLOT: slotMs / 1000,
    SLOT_DURATION_MS: slotMs,
    SHARD_COMMITTEE_PERIOD: exitAfter,
    TERMINAL_TOTAL_DIFFICULTY: 0n,
    DEPOSIT_CHAIN_ID: CHAIN_ID,
    DEPOSIT_NETWORK_ID: CHAIN_ID,
  };
  const last = FORKS.indexOf(fork);
  FORKS.forEach((name, at) => (config[`${name.toUpperCase()}_FORK_EPOCH`] = at <= last ? 0 : Infinity));
  if (fork === "electra") config.FULU_FORK_EPOCH = fuluEpoch;
  return config;
}

/** The network file that this project's programs read (types::ChainSpec as JSON). */
export function networkFile(config, genesisTime) {
  const rows = LISTED.map((fork) => ({
    fork,
    version: toHex(config[`${fork.toUpperCase()}_FORK_VERSION`]),
    epoch: config[`${fork.toUpperCase()}_FORK_EPOCH`],
  }));
  return {
    name: config.CONFIG_NAME,
    preset: "minimal",
    genesis_time_ms: genesisTime * 1000,
    slot_ms: config.SLOT_DURATION_MS,
    slots_per_epoch: params.SLOTS_PER_EPOCH,
    genesis_fork_version: toHex(config.GENESIS_FORK_VERSION),
    genesis_validators_root: toHex(config.genesisValidatorsRoot),
    forks: rows.filter(({epoch}) => epoch !== Infinity),
    timing: {attestation_bps: config.ATTESTATION_DUE_BPS, aggregate_bps: config.AGGREGATE_DUE_BPS},
    chain_id: config.DEPOSIT_CHAIN_ID,
  };
}

/** What GET config/spec answers: configuration, preset, and the constants that validator clients ask for. */
export function specJson(config) {
  return {
    ...configs.chainConfigToJson(config),
    ...params.presetToJson(params.activePreset),
    ...constantsJson(),
  };
}

function constantsJson() {
  const bytes = Object.entries(params).filter(
    ([name, value]) => name.startsWith("DOMAIN_") && value instanceof Uint8Array
  );
  const numbers = [
    "GENESIS_SLOT",
    "BLS_WITHDRAWAL_PREFIX",
    "ETH1_ADDRESS_WITHDRAWAL_PREFIX",
    "COMPOUNDING_WITHDRAWAL_PREFIX",
    "TARGET_AGGREGATORS_PER_COMMITTEE",
    "TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE",
    "SYNC_COMMITTEE_SUBNET_COUNT",
    "ATTESTATION_SUBNET_COUNT",
    "ATTESTATION_SUBNET_PREFIX_BITS",
    "UNSET_DEPOSIT_REQUESTS_START_INDEX",
    "FULL_EXIT_REQUEST_AMOUNT",
  ];
  return {
    ...Object.fromEntries(bytes.map(([name, value]) => [name, toHex(value)])),
    ...Object.fromEntries(numbers.map((name) => [name, String(params[name])])),
  };
}
