// What became of the duties of the cluster's validators, counted from the chain's own blocks and states.
//
// - attest: participation flags, source and target timely; a timely head is told beside it.
// - propose: a block of the due proposer. sync_message: the bits in the next slot's block.
// - aggregate, contribute: taken by the pool, and all that was aggregated is in the chain.
// - exit: the exit epoch in the state, for each exit that the pool took.
//
// Who is due to aggregate depends on a signature by a key that nobody holds whole: where not everybody is selected,
// those count whose selection proof was seen or who subscribed as aggregators.
import {epochOf, firstSlotOf} from "./clock.mjs";
import {isFulu, plain} from "./chain.mjs";
import {params, toRootHex} from "./lodestar.mjs";

const SUBNET_SIZE = params.SYNC_COMMITTEE_SIZE / params.SYNC_COMMITTEE_SUBNET_COUNT;
const TIMELY_SOURCE = 1 << params.TIMELY_SOURCE_FLAG_INDEX;
const TIMELY_TARGET = 1 << params.TIMELY_TARGET_FLAG_INDEX;
const TIMELY_HEAD = 1 << params.TIMELY_HEAD_FLAG_INDEX;
const ENOUGH = TIMELY_SOURCE | TIMELY_TARGET;

export class Judge {
  /** By epoch: `{proposers, attesters: [{slot, committee, length, validator}]}`. */
  #duties = new Map();
  /** By epoch: validator -> participation flags. */
  #flags = new Map();
  /** By slot: members and bits of its block's sync aggregate, and the parent that they voted for. */
  #sync = new Map();

  /** - `cluster`: indices of the validators that are judged. */
  constructor(node, cluster) {
    Object.assign(this, {node, cluster: new Set(cluster)});
    node.events.on("event", ({type}) => type === "block" && this.#note(node.chain.head));
  }

  /** Takes down what a state knows only for a while. */
  #note({slot, state, block}) {
    const epoch = epochOf(slot);
    this.#dutiesOf(epoch, state);
    this.#noteFlags(epoch, state.currentEpochParticipation);
    if (epoch > 0) this.#noteFlags(epoch - 1, state.previousEpochParticipation);
    const {syncCommitteeBits} = block.message.body.syncAggregate;
    const members = [...state.epochCtx.currentSyncCommitteeIndexed.validatorIndices];
    const parent = toRootHex(block.message.parentRoot);
    this.#sync.set(slot, {members, bits: syncCommitteeBits.toBoolArray(), parent});
  }

  #noteFlags(epoch, participation) {
    this.#flags.set(epoch, new Map([...this.cluster].map((index) => [index, participation.get(index)])));
  }

  #dutiesOf(epoch, state = this.node.chain.stateOfEpoch(epoch)) {
    if (!this.#duties.has(epoch)) this.#duties.set(epoch, readDuties(epoch, state.epochCtx));
    return this.#duties.get(epoch);
  }

  /** The judgement over the slots `from` to `to`, both included. */
  report(from, to) {
    const kinds = ["attest", "propose", "sync_message", "aggregate", "contribute"];
    const counts = Object.fromEntries(kinds.map((kind) => [kind, new Count()]));
    for (let slot = Math.max(from, 1); slot <= to; slot++) {
      this.#countAttestations(slot, counts.attest);
      this.#countProposal(slot, counts.propose);
      this.#countSyncMessages(slot, counts.sync_message);
      this.#countAggregates(slot, counts.aggregate);
      this.#countContributions(slot, counts.contribute);
    }
    const duties = Object.fromEntries(kinds.map((kind) => [kind, counts[kind].json()]));
    return {from, to, ...this.#chainFacts(from, to), duties: {...duties, exit: this.#exits()}, ...this.#facts()};
  }

  #attestersOf(slot) {
    const {attesters} = this.#dutiesOf(epochOf(slot));
    return attesters.filter((duty) => duty.slot === slot && this.cluster.has(duty.validator));
  }

  #countAttestations(slot, count) {
    for (const {validator} of this.#attestersOf(slot)) {
      const flags = this.#flags.get(epochOf(slot))?.get(validator) ?? 0;
      count.add({slot, validator}, (flags & ENOUGH) === ENOUGH);
      if (flags & TIMELY_HEAD) count.timely_head = (count.timely_head ?? 0) + 1;
    }
  }

  #countProposal(slot, count) {
    const validator = this.#dutiesOf(epochOf(slot)).proposers[slot - firstSlotOf(epochOf(slot))];
    if (!this.cluster.has(validator)) return;
    const entry = this.node.chain.at(slot);
    count.add({slot, validator}, entry.slot === slot && entry.block.message.proposerIndex === validator);
  }

  #countSyncMessages(slot, count) {
    const {members, bits} = this.#sync.get(slot + 1) ?? {};
    const committee = members ?? [...this.node.syncVotes.committee(slot).validatorIndices];
    for (const validator of new Set(committee)) {
      if (!this.cluster.has(validator)) continue;
      if (bits)
        count.add(
          {slot, validator},
          committee.every((one, position) => one !== validator || bits[position])
        );
      else count.excuse();
    }
  }

  #countAggregates(slot, count) {
    const {attestations, proofs, subscriptions} = this.node;
    const seen = (validator, committee) => proofs.has(`aggregate/${slot}/${committee}/${validator}`);
    const subscribed = (validator) => subscriptions.committee.has(`${slot}/${validator}/true`);
    const included = ({hex, attesters}) => attesters.every((one) => attestations.included.get(hex)?.has(one));
    for (const {validator, committee, length} of this.#attestersOf(slot)) {
      const everybody = length < 2 * params.TARGET_AGGREGATORS_PER_COMMITTEE;
      if (!everybody && !seen(validator, committee) && !subscribed(validator)) continue;
      const own = attestations.accepted.filter((one) => one.slot === slot && one.aggregator === validator);
      count.add({slot, validator, accepted: own.length}, own.some(included));
    }
  }

  #countContributions(slot, count) {
    const {members, bits, parent} = this.#sync.get(slot + 1) ?? {};
    const committee = members ?? [...this.node.syncVotes.committee(slot).validatorIndices];
    const everybody = SUBNET_SIZE < 2 * params.TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE;
    for (let sub = 0; sub < params.SYNC_COMMITTEE_SUBNET_COUNT; sub++) {
      const seen = (validator) => this.node.proofs.has(`contribute/${slot}/${sub}/${validator}`);
      const inside = new Set(committee.slice(sub * SUBNET_SIZE, (sub + 1) * SUBNET_SIZE));
      for (const validator of inside) {
        if (!this.cluster.has(validator) || (!everybody && !seen(validator))) continue;
        if (!bits) {
          count.excuse();
          continue;
        }
        const {accepted} = this.node.syncVotes;
        const own = accepted.filter(
          (one) => one.slot === slot && one.subcommittee === sub && one.aggregator === validator
        );
        const included = ({hex, positions}) =>
          hex === parent && positions.every((position) => bits[sub * SUBNET_SIZE + position]);
        count.add({slot, validator, subcommittee: sub, accepted: own.length}, own.some(included));
      }
    }
  }

  #exits() {
    const count = new Count();
    for (const {message} of this.node.operations.exits) {
      if (!this.cluster.has(message.validatorIndex)) continue;
      const {exitEpoch} = this.node.chain.head.state.validators.getReadonly(message.validatorIndex);
      count.add(
        {slot: firstSlotOf(message.epoch), validator: message.validatorIndex},
        exitEpoch !== params.FAR_FUTURE_EPOCH
      );
    }
    return count.json();
  }

  #chainFacts(from, to) {
    const {chain, config} = this.node;
    const {head} = chain;
    const blocks = chain.entries.filter(({slot}) => slot > 0 && from <= slot && slot <= to);
    return {
      fork: config.getForkName(head.slot),
      fulu: isFulu(config, head.slot),
      head_slot: head.slot,
      finalized_epoch: plain(head.state.finalizedCheckpoint).epoch,
      blocks: {
        all: countBlocks(blocks),
        cluster: countBlocks(blocks.filter(({block}) => this.cluster.has(block.message.proposerIndex))),
      },
    };
  }

  #facts() {
    const {attestations, publication, operations, registrations, subscriptions, builder, refusals, refusalCounts} =
      this.node;
    return {
      slashable: [...attestations.votes.slashable, ...publication.slashable],
      slashings: {proposer: operations.proposerSlashings.length, attester: operations.attesterSlashings.length},
      registrations: registrations.size,
      subscribed: {
        committee: subscriptions.committee.size,
        aggregators: [...subscriptions.committee].filter((key) => key.endsWith("/true")).length,
        sync: subscriptions.sync.size,
      },
      builder: builder ? {bids: builder.bids.size, declined: builder.declined} : null,
      refused: {counts: refusalCounts, first: refusals},
    };
  }
}

/** Duties of one kind. */
class Count {
  due = 0;
  done = 0;
  excused = 0;
  missed = [];

  add(duty, done) {
    this.due++;
    if (done) this.done++;
    else this.missed.push(duty);
  }

  /** A duty that nothing could come of: the block that would have carried it is not there. */
  excuse() {
    this.excused++;
  }

  json() {
    const {due, done, excused, missed, ...rest} = this;
    return {due, done, missed: due - done, excused, misses: missed, ...rest};
  }
}

function readDuties(epoch, epochCtx) {
  const attesters = [];
  for (let slot = firstSlotOf(epoch); slot < firstSlotOf(epoch + 1); slot++) {
    for (let committee = 0; committee < epochCtx.getCommitteeCountPerSlot(epoch); committee++) {
      const members = epochCtx.getBeaconCommittee(slot, committee);
      members.forEach((validator) => attesters.push({slot, committee, length: members.length, validator}));
    }
  }
  return {proposers: [...epochCtx.getBeaconProposers()], attesters};
}

function countBlocks(entries) {
  const of = (test) => entries.filter(test).length;
  return {
    all: entries.length,
    local: of(({source}) => source === "local"),
    builder: of(({source}) => source === "builder"),
    blob_carrying: of(({block}) => block.message.body.blobKzgCommitments.length > 0),
  };
}
