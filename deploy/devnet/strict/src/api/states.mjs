// The part of the namespace "beacon" that asks about states.
import {epochOf, firstSlotOf} from "../clock.mjs";
import {isFulu, plain} from "../chain.mjs";
import {params, transition} from "../lodestar.mjs";
import {must} from "../refused.mjs";
import {indexOf, indicesOf, metaOf, stateOf} from "./ids.mjs";

const SUBNET_SIZE = params.SYNC_COMMITTEE_SIZE / params.SYNC_COMMITTEE_SUBNET_COUNT;

export function stateMethods(node) {
  const reply = (stateId, read) => {
    const {state, entry} = stateOf(node, stateId);
    return {data: read(state, entry), meta: metaOf(node, entry)};
  };
  const validators = ({stateId, validatorIds, statuses = []}) =>
    reply(stateId, (state) =>
      indicesOf(state, validatorIds)
        .map((index) => describe(state, index))
        .filter(
          ({status}) =>
            statuses.length === 0 || statuses.some((wanted) => status === wanted || status.startsWith(`${wanted}_`))
        )
    );
  const balances = ({stateId, validatorIds}) =>
    reply(stateId, (state) =>
      indicesOf(state, validatorIds).map((index) => ({index, balance: state.balances.get(index)}))
    );
  const pending =
    (field) =>
    ({stateId}) =>
      reply(stateId, (state) => plain(state[field]));

  return {
    getStateRoot: ({stateId}) => reply(stateId, (state) => ({root: state.hashTreeRoot()})),
    getStateFork: ({stateId}) => reply(stateId, (state) => plain(state.fork)),
    getStateRandao: ({stateId, epoch}) => reply(stateId, (state) => ({randao: randao(state, epoch)})),
    getStateFinalityCheckpoints: ({stateId}) =>
      reply(stateId, (state) => ({
        previousJustified: plain(state.previousJustifiedCheckpoint),
        currentJustified: plain(state.currentJustifiedCheckpoint),
        finalized: plain(state.finalizedCheckpoint),
      })),
    getStateValidator: ({stateId, validatorId}) =>
      reply(stateId, (state) => {
        const index = indexOf(state, validatorId);
        must(index !== null, "validator-unknown", `no validator ${validatorId}`, 404);
        return describe(state, index);
      }),
    getStateValidators: validators,
    postStateValidators: validators,
    postStateValidatorIdentities: ({stateId, validatorIds}) =>
      reply(stateId, (state) => indicesOf(state, validatorIds).map((index) => identify(state, index))),
    getStateValidatorBalances: balances,
    postStateValidatorBalances: balances,
    getEpochCommittees: ({stateId, ...wanted}) => reply(stateId, (state) => committees(state, wanted)),
    getEpochSyncCommittees: ({stateId, epoch}) => reply(stateId, (state) => syncCommittee(state, epoch)),
    getPendingDeposits: pending("pendingDeposits"),
    getPendingPartialWithdrawals: pending("pendingPartialWithdrawals"),
    getPendingConsolidations: pending("pendingConsolidations"),
    getProposerLookahead: ({stateId}) =>
      reply(stateId, (state) => {
        must(isFulu(node.config, state.slot), "state-fork", "no proposer lookahead before Fulu");
        return [...plain(state.proposerLookahead)];
      }),
  };
}

function describe(state, index) {
  const validator = state.validators.getReadonly(index);
  const balance = state.balances.get(index);
  return {index, balance, status: statusOf(validator, balance, state.epochCtx.epoch), validator: plain(validator)};
}

function identify(state, index) {
  const {pubkey, activationEpoch} = state.validators.getReadonly(index);
  return {index, pubkey, activationEpoch};
}

/** A validator's status, by the beacon API's definition. */
function statusOf(validator, balance, epoch) {
  if (validator.activationEpoch > epoch) {
    return validator.activationEligibilityEpoch === params.FAR_FUTURE_EPOCH ? "pending_initialized" : "pending_queued";
  }
  if (validator.exitEpoch > epoch) {
    if (validator.exitEpoch === params.FAR_FUTURE_EPOCH) return "active_ongoing";
    return validator.slashed ? "active_slashed" : "active_exiting";
  }
  if (validator.withdrawableEpoch > epoch) return validator.slashed ? "exited_slashed" : "exited_unslashed";
  return balance === 0 ? "withdrawal_done" : "withdrawal_possible";
}

function randao(state, epoch = state.epochCtx.epoch) {
  const oldest = state.epochCtx.epoch - params.EPOCHS_PER_HISTORICAL_VECTOR;
  must(oldest < epoch && epoch <= state.epochCtx.epoch, "state-epoch", `the state has no RANDAO mix of epoch ${epoch}`);
  return transition.getRandaoMix(state, epoch);
}

function committees(state, {epoch, index, slot}) {
  const {epochCtx} = state;
  const wanted = epoch ?? (slot === undefined ? epochCtx.epoch : epochOf(slot));
  must(Math.abs(wanted - epochCtx.epoch) <= 1, "state-epoch", `the state knows no committees of epoch ${wanted}`);
  must(slot === undefined || epochOf(slot) === wanted, "state-slot", `slot ${slot} is not of epoch ${wanted}`);
  const perSlot = epochCtx.getCommitteeCountPerSlot(wanted);
  const slots = Array.from({length: params.SLOTS_PER_EPOCH}, (_, at) => firstSlotOf(wanted) + at);
  return slots
    .filter((one) => slot === undefined || one === slot)
    .flatMap((one) =>
      Array.from({length: perSlot}, (_, number) => number)
        .filter((number) => index === undefined || number === index)
        .map((number) => ({index: number, slot: one, validators: [...epochCtx.getBeaconCommittee(one, number)]}))
    );
}

function syncCommittee(state, epoch = state.epochCtx.epoch) {
  const near = Math.abs(transition.computeSyncPeriodAtEpoch(epoch) - state.epochCtx.syncPeriod);
  must(
    near <= 1 && epoch >= firstEpochOfPeriod(state),
    "state-epoch",
    `the state knows no sync committee of epoch ${epoch}`
  );
  const members = [...state.epochCtx.getIndexedSyncCommitteeAtEpoch(epoch).validatorIndices];
  const subcommittee = (_, sub) => members.slice(sub * SUBNET_SIZE, (sub + 1) * SUBNET_SIZE);
  return {
    validators: members,
    validatorAggregates: Array.from({length: params.SYNC_COMMITTEE_SUBNET_COUNT}, subcommittee),
  };
}

const firstEpochOfPeriod = (state) => state.epochCtx.syncPeriod * params.EPOCHS_PER_SYNC_COMMITTEE_PERIOD;
