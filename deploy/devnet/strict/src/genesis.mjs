// The chain's first state, filled in directly: no deposits, so no deposit signatures, so a ceremony's keys can be in it.
import {configs, fromHex, params, ssz, transition} from "./lodestar.mjs";

// The execution block before the chain: any constant.
const EXECUTION_GENESIS = new Uint8Array(32).fill(0x0b);
const GAS_LIMIT = 36_000_000;
const BASE_FEE_WEI = 1_000_000_000n;

// Withdrawals of an ordinary validator go to an address of nobody's.
const ORDINARY_CREDENTIALS = `0x01${"00".repeat(11)}${"ab".repeat(20)}`;

/**
 * The beacon state of slot 0 and the configuration bound to it.
 *
 * - `chain`: as `chainConfig` gives it. - `fork`: at genesis. - `genesisTime`: Unix seconds.
 * - `validators`: `{pubkey, withdrawal_credentials?}` in the order of their indices, hex; each with 32 ETH, active.
 */
export function genesis({chain, fork, genesisTime, validators}) {
  const types = ssz[fork];
  const state = types.BeaconState.defaultViewDU();
  const version = chain[`${fork.toUpperCase()}_FORK_VERSION`];
  state.genesisTime = genesisTime;
  state.fork = ssz.phase0.Fork.toViewDU({previousVersion: version, currentVersion: version, epoch: 0});
  state.latestBlockHeader = ssz.phase0.BeaconBlockHeader.toViewDU({
    ...ssz.phase0.BeaconBlockHeader.defaultValue(),
    bodyRoot: types.BeaconBlockBody.hashTreeRoot(types.BeaconBlockBody.defaultValue()),
  });
  // As many deposits counted as processed: none is awaited.
  const count = validators.length;
  state.eth1Data = ssz.phase0.Eth1Data.toViewDU({
    depositRoot: new Uint8Array(32),
    depositCount: BigInt(count),
    blockHash: EXECUTION_GENESIS,
  });
  state.eth1DepositIndex = count;
  state.depositRequestsStartIndex = params.UNSET_DEPOSIT_REQUESTS_START_INDEX;
  state.randaoMixes = ssz.phase0.RandaoMixes.toViewDU(
    Array.from({length: params.EPOCHS_PER_HISTORICAL_VECTOR}, () => EXECUTION_GENESIS)
  );
  fillValidators(state, validators);
  state.genesisValidatorsRoot = ssz.phase0.Validators.hashTreeRoot(state.validators.toValue());
  fillCommittees(state, fork, count);
  state.latestExecutionPayloadHeader = types.ExecutionPayloadHeader.toViewDU({
    ...types.ExecutionPayloadHeader.defaultValue(),
    blockHash: EXECUTION_GENESIS,
    prevRandao: EXECUTION_GENESIS,
    gasLimit: GAS_LIMIT,
    baseFeePerGas: BASE_FEE_WEI,
    timestamp: genesisTime,
  });
  state.commit();
  return {state, config: configs.createBeaconConfig(chain, state.genesisValidatorsRoot)};
}

function fillValidators(state, validators) {
  for (const {pubkey, withdrawal_credentials = ORDINARY_CREDENTIALS} of validators) {
    state.validators.push(
      ssz.phase0.Validator.toViewDU({
        pubkey: fromHex(pubkey),
        withdrawalCredentials: fromHex(withdrawal_credentials),
        effectiveBalance: params.MIN_ACTIVATION_BALANCE,
        slashed: false,
        activationEligibilityEpoch: 0,
        activationEpoch: 0,
        exitEpoch: Infinity,
        withdrawableEpoch: Infinity,
      })
    );
    state.balances.push(params.MIN_ACTIVATION_BALANCE);
    state.previousEpochParticipation.push(0);
    state.currentEpochParticipation.push(0);
    state.inactivityScores.push(0);
  }
  state.commit();
}

function fillCommittees(state, fork, count) {
  const everybody = Uint32Array.from({length: count}, (_, index) => index);
  const increments = new Uint16Array(count).fill(params.MIN_ACTIVATION_BALANCE / params.EFFECTIVE_BALANCE_INCREMENT);
  const {syncCommittee} = transition.getNextSyncCommittee(params.ForkSeq[fork], state, everybody, increments);
  state.currentSyncCommittee = ssz.altair.SyncCommittee.toViewDU(syncCommittee);
  state.nextSyncCommittee = ssz.altair.SyncCommittee.toViewDU(syncCommittee);
  if (fork !== "fulu") return;
  // From Fulu on the state knows the proposers of this epoch and the next.
  const ahead = [0, 1].flatMap((epoch) => {
    const seed = transition.getSeed(state, epoch, params.DOMAIN_BEACON_PROPOSER);
    return [...transition.computeProposers(params.ForkSeq.fulu, seed, {epoch, activeIndices: everybody}, increments)];
  });
  state.proposerLookahead = ssz.fulu.ProposerLookahead.toViewDU(ahead);
}
