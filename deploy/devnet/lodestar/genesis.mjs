// Writes genesis.ssz of a chain that starts in Capella, with the validators it is told.
//   node genesis.mjs ORDER.json
//   ORDER: {"libs", "out", "preset", "genesis_time", "eth1_block_hash", "validators": [{"pubkey", "withdrawal_credentials"}, ..]}
// The state is filled in directly: no deposits, so no deposit signatures, so a key from a ceremony can be in it.
// Prints what a node has to know about the chain.
import fs from "node:fs";
import path from "node:path";
import {pathToFileURL} from "node:url";

const order = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
process.env.LODESTAR_PRESET = order.preset; // read when @lodestar/params is loaded
const load = (file) => import(pathToFileURL(path.resolve(order.libs, "node_modules/@lodestar", file)));
const {ssz} = await load("types/lib/index.js");
const {EFFECTIVE_BALANCE_INCREMENT, EPOCHS_PER_HISTORICAL_VECTOR, MAX_EFFECTIVE_BALANCE, SLOTS_PER_EPOCH} =
  await load("params/lib/index.js");
const {getNextSyncCommittee} = await load("state-transition/lib/util/syncCommittee.js");
const presets = await load("config/lib/presets.js");
const chain = order.preset === "minimal" ? presets.minimalChainConfig : presets.mainnetChainConfig;

const bytes = (hex) => Uint8Array.from(Buffer.from(hex.replace(/^0x/, ""), "hex"));
const hex = (b) => `0x${Buffer.from(b).toString("hex")}`;
const capella = ssz.capella;
const count = order.validators.length;
const eth1 = bytes(order.eth1_block_hash);
const version = chain.CAPELLA_FORK_VERSION;

const state = capella.BeaconState.defaultViewDU();
state.genesisTime = order.genesis_time;
state.fork = ssz.phase0.Fork.toViewDU({previousVersion: version, currentVersion: version, epoch: 0});
state.latestBlockHeader = ssz.phase0.BeaconBlockHeader.toViewDU({
  ...ssz.phase0.BeaconBlockHeader.defaultValue(),
  bodyRoot: capella.BeaconBlockBody.hashTreeRoot(capella.BeaconBlockBody.defaultValue()),
});
// As many deposits counted as processed: none is awaited.
state.eth1Data = ssz.phase0.Eth1Data.toViewDU({depositRoot: new Uint8Array(32), depositCount: count, blockHash: eth1});
state.eth1DepositIndex = count;
state.randaoMixes = ssz.phase0.RandaoMixes.toViewDU(Array.from({length: EPOCHS_PER_HISTORICAL_VECTOR}, () => eth1));

for (const {pubkey, withdrawal_credentials} of order.validators) {
  state.validators.push(
    ssz.phase0.Validator.toViewDU({
      pubkey: bytes(pubkey),
      withdrawalCredentials: bytes(withdrawal_credentials),
      effectiveBalance: MAX_EFFECTIVE_BALANCE,
      slashed: false,
      activationEligibilityEpoch: 0,
      activationEpoch: 0,
      exitEpoch: Infinity,
      withdrawableEpoch: Infinity,
    })
  );
  state.balances.push(MAX_EFFECTIVE_BALANCE);
  state.previousEpochParticipation.push(0);
  state.currentEpochParticipation.push(0);
  state.inactivityScores.push(0);
}
state.commit();
state.genesisValidatorsRoot = ssz.phase0.Validators.hashTreeRoot(state.validators.toValue());

const everybody = Array.from({length: count}, (_, i) => i);
const increments = new Uint8Array(count).fill(MAX_EFFECTIVE_BALANCE / EFFECTIVE_BALANCE_INCREMENT);
const {syncCommittee} = getNextSyncCommittee(state, everybody, increments);
state.currentSyncCommittee = ssz.altair.SyncCommittee.toViewDU(syncCommittee);
state.nextSyncCommittee = ssz.altair.SyncCommittee.toViewDU(syncCommittee);

const header = capella.ExecutionPayloadHeader.defaultViewDU();
header.blockHash = eth1;
header.prevRandao = eth1;
header.gasLimit = 30_000_000;
header.baseFeePerGas = 1_000_000_000n;
header.timestamp = state.genesisTime;
state.latestExecutionPayloadHeader = header;
state.commit();

fs.writeFileSync(order.out, state.serialize());
console.log(
  JSON.stringify({
    slots_per_epoch: SLOTS_PER_EPOCH,
    genesis_validators_root: hex(state.genesisValidatorsRoot),
    genesis_fork_version: hex(chain.GENESIS_FORK_VERSION),
    altair_fork_version: hex(chain.ALTAIR_FORK_VERSION),
    bellatrix_fork_version: hex(chain.BELLATRIX_FORK_VERSION),
    capella_fork_version: hex(version),
    state_root: hex(state.hashTreeRoot()),
  })
);
