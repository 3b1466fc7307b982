// Attestations on their way into blocks: votes of single validators, aggregates that aggregators sign for, blocks.
//
// Every rule of the gossip topics beacon_attestation and beacon_aggregate_and_proof is kept, and one more: the vote must
// be right, that is, includable in a block of this chain. Blocks are packed from aggregates alone, unless the node is
// told to aggregate itself (`packSingles`).
import {dataHex} from "./chain.mjs";
import {epochOf, firstSlotOf} from "./clock.mjs";
import {aggregate as addUp, verifies} from "./keys.mjs";
import {Known} from "./known.mjs";
import {BitArray, params, ssz, toHex, toRootHex, transition} from "./lodestar.mjs";
import {must} from "./refused.mjs";
import {Votes} from "./votes.mjs";

// Epochs that a pool remembers: an attestation can be included until the end of the next one.
const EPOCHS_KEPT = 2;

export class Attestations {
  /** By root of the data: `{data, singles: committee -> position -> signature, aggregates: committee -> [..]}`. */
  #byData = new Map();
  votes = new Votes();
  #known = new Known();
  /** Who has included whom: root of the data -> validators. */
  included = new Map();
  /** Aggregates that were taken, for the judge: `{slot, committee, aggregator, hex, attesters}`. */
  accepted = [];
  #acceptedKeys = new Set();

  constructor({chain, clock, packSingles = false, proven}) {
    Object.assign(this, {chain, clock, packSingles, proven});
  }

  // ------------------------------------------------------------------------------------------------ what comes in

  /** Takes a SingleAttestation, or refuses it. The same one again is fine. */
  addSingle(single) {
    this.#known.once(ssz.electra.SingleAttestation, single, single.data.slot, () => this.#takeSingle(single));
  }

  #takeSingle({committeeIndex, attesterIndex, data, signature}) {
    // The signature comes first: whatever is wrong with a vote, once it is signed it can be slashable.
    this.#verifyVotes([attesterIndex], {data, signature}, "attestation-signature");
    this.votes.note(attesterIndex, data, dataHex(data));
    const {hex, entry} = this.#checkData(data);
    const committee = this.#committee(entry, data, committeeIndex);
    const position = committee.indexOf(attesterIndex);
    const place = `committee ${committeeIndex} of slot ${data.slot}`;
    must(position >= 0, "attestation-committee", `validator ${attesterIndex} is not in ${place}`);
    const pool = this.#pool(hex, data);
    submap(pool.singles, committeeIndex).set(position, signature);
  }

  /** Takes a SignedAggregateAndProof of Electra's shape, or refuses it. The same one again is fine. */
  addAggregate(signed) {
    const {slot} = signed.message.aggregate.data;
    this.#known.once(ssz.electra.SignedAggregateAndProof, signed, slot, () => this.#takeAggregate(signed));
  }

  #takeAggregate({message: {aggregatorIndex, aggregate, selectionProof}, signature}) {
    const {data} = aggregate;
    const {hex, entry} = this.#checkData(data);
    const committees = aggregate.committeeBits.getTrueBitIndexes();
    must(
      committees.length === 1,
      "aggregate-committees",
      `${committees.length} committees in an aggregate, it has one`
    );
    const [index] = committees;
    const committee = this.#committee(entry, data, index);
    const {aggregationBits: bits} = aggregate;
    must(
      bits.bitLen === committee.length,
      "aggregate-bits",
      `${bits.bitLen} bits for a committee of ${committee.length}`
    );
    const attesters = bits.intersectValues([...committee]);
    must(attesters.length > 0, "aggregate-empty", "an aggregate of nobody");
    must(
      committee.includes(aggregatorIndex),
      "aggregate-committee",
      `aggregator ${aggregatorIndex} is not in committee ${index} of slot ${data.slot}`
    );
    must(
      transition.isAggregatorFromCommitteeLength(committee.length, selectionProof),
      "aggregate-selection",
      `validator ${aggregatorIndex} is not selected in slot ${data.slot}`
    );

    this.#verifyProof(aggregatorIndex, data.slot, selectionProof);
    this.proven({kind: "aggregate", validator: aggregatorIndex, slot: data.slot, committee: index});
    const {config} = this.chain;
    const domain = config.getDomain(data.slot, params.DOMAIN_AGGREGATE_AND_PROOF, data.slot);
    const root = transition.computeSigningRoot(
      ssz.electra.AggregateAndProof,
      {aggregatorIndex, aggregate, selectionProof},
      domain
    );
    const outer = transition.createIndexedSignatureSetFromComponents(aggregatorIndex, root, signature);
    this.#verify(
      outer,
      "aggregate-and-proof-signature",
      `aggregate and proof of validator ${aggregatorIndex} for slot ${data.slot}`
    );
    this.#verifyVotes(attesters, aggregate, "aggregate-signature");

    for (const attester of attesters) this.votes.note(attester, data, hex);
    this.#keepAggregate(hex, data, index, {bits, signature: aggregate.signature});
    this.#accept({slot: data.slot, committee: index, aggregator: aggregatorIndex, hex, attesters});
  }

  /** A committee's members, by the block that is voted for. */
  #committee(entry, data, index) {
    const {epochCtx} = this.chain.advanced(entry, Math.max(entry.slot, data.slot));
    const count = epochCtx.getCommitteeCountPerSlot(data.target.epoch);
    must(index < count, "attestation-committee", `committee ${index} of ${count} in slot ${data.slot}`);
    return epochCtx.getBeaconCommittee(data.slot, index);
  }

  /** What no signature makes good: a vote that is too early, too late, or wrong. */
  #checkData(data) {
    const {slot, target, source} = data;
    must(data.index === 0, "attestation-index", `index ${data.index}, from Electra on it is 0`);
    must(target.epoch === epochOf(slot), "attestation-target", `target epoch ${target.epoch} in slot ${slot}`);
    must(this.clock.hasBegun(slot), "attestation-early", `attestation for slot ${slot} in slot ${this.clock.slot}`);
    must(
      target.epoch >= this.clock.epoch - 1,
      "attestation-late",
      `attestation for slot ${slot} in slot ${this.clock.slot}`
    );
    const entry = this.chain.byRoot(toRootHex(data.beaconBlockRoot));
    must(entry, "attestation-head", `block ${toRootHex(data.beaconBlockRoot)} is unknown`);
    must(entry.slot <= slot, "attestation-head", `a vote in slot ${slot} for the block of slot ${entry.slot}`);
    const right = this.chain.votesFor(entry, target.epoch);
    must(
      sameCheckpoint(source, right.source),
      "attestation-source",
      `source ${words(source)}, justified is ${words(right.source)}`
    );
    must(
      sameCheckpoint(target, right.target),
      "attestation-target",
      `target ${words(target)}, the branch has ${words(right.target)}`
    );
    return {hex: dataHex(data), entry};
  }

  #verifyProof(validator, slot, selectionProof) {
    const domain = this.chain.config.getDomain(slot, params.DOMAIN_SELECTION_PROOF, slot);
    const root = transition.computeSigningRoot(ssz.Slot, slot, domain);
    const set = transition.createIndexedSignatureSetFromComponents(validator, root, selectionProof);
    this.#verify(set, "aggregate-selection-proof", `selection proof of validator ${validator} for slot ${slot}`);
  }

  #verifyVotes(attesters, attestation, rule) {
    const {slot} = attestation.data;
    const set = transition.getAttestationWithIndicesSignatureSet(this.chain.config, slot, attestation, attesters);
    this.#verify(set, rule, `attestation of validators ${attesters} for slot ${slot}`);
  }

  #verify(set, rule, what) {
    const verified = verifies(() => transition.verifySignatureSet(set, this.chain.pubkeyCache));
    must(verified, rule, () => `${what} does not verify`);
  }

  #pool(hex, data) {
    if (!this.#byData.has(hex)) this.#byData.set(hex, {data, singles: new Map(), aggregates: new Map()});
    return this.#byData.get(hex);
  }

  #keepAggregate(hex, data, committee, {bits, signature}) {
    const {aggregates} = this.#pool(hex, data);
    const known = aggregates.get(committee) ?? [];
    if (known.some((other) => covers(other.bits, bits))) return;
    known.push({bits, signature});
    known.sort((a, b) => count(b.bits) - count(a.bits));
    aggregates.set(committee, known);
  }

  #accept(row) {
    const key = `${row.slot}/${row.aggregator}/${row.hex}/${row.attesters}`;
    if (this.#acceptedKeys.has(key)) return;
    this.#acceptedKeys.add(key);
    this.accepted.push(row);
  }

  // ----------------------------------------------------------------------------------------------- what goes out

  /** What this node has heard of single votes for a root, as one aggregate of a committee; `undefined` without any. */
  aggregated(hex, slot, committee) {
    const pool = this.#byData.get(hex);
    const singles = pool?.singles.get(committee);
    if (!singles?.size || pool.data.slot !== slot) return undefined;
    const {epochCtx} = this.chain.advanced(this.chain.byRoot(toRootHex(pool.data.beaconBlockRoot)), slot);
    return onChainForm(pool.data, [
      [committee, fromSingles(singles, epochCtx.getBeaconCommittee(slot, committee).length)],
    ]);
  }

  /** Roots of the data that was voted for in a slot. */
  votedFor(slot) {
    return [...this.#byData].filter(([, {data}]) => data.slot === slot).map(([hex]) => hex);
  }

  /** All aggregates in the pool, of a slot and a committee if given. */
  list({slot, committee} = {}) {
    return [...this.#byData.values()]
      .filter(({data}) => slot === undefined || data.slot === slot)
      .flatMap(({data, aggregates}) =>
        [...aggregates]
          .filter(([index]) => committee === undefined || index === committee)
          .flatMap(([index, of]) => of.map((one) => onChainForm(data, [[index, one]])))
      );
  }

  /** Attestations for a block on `state`, newest first, each with somebody in it whom no block has. */
  pack(state) {
    const packed = [];
    for (const {data} of [...this.#byData.values()].sort((a, b) => b.data.slot - a.data.slot)) {
      if (includable(state, data)) packed.push(...this.#packData(state, data));
    }
    return packed.slice(0, params.MAX_ATTESTATIONS_ELECTRA);
  }

  #packData(state, data) {
    const hex = dataHex(data);
    const seen = new Set(this.included.get(hex));
    const candidates = this.#candidates(hex, state.epochCtx, data.slot);
    const layers = [];
    for (let layer = 0; candidates.some(([, of]) => of.length > layer); layer++) {
      const parts = candidates
        .filter(([, of]) => of.length > layer)
        .map(([index, of]) => [index, of[layer]])
        .filter(([index, {bits}]) => {
          const attesters = bits.intersectValues([...state.epochCtx.getBeaconCommittee(data.slot, index)]);
          const fresh = attesters.some((one) => !seen.has(one));
          attesters.forEach((one) => seen.add(one));
          return fresh;
        });
      if (parts.length > 0) layers.push(onChainForm(data, parts));
    }
    return layers;
  }

  #candidates(hex, epochCtx, slot) {
    const {singles, aggregates} = this.#byData.get(hex);
    const of = new Map([...aggregates].map(([index, known]) => [index, [...known]]));
    if (this.packSingles) {
      for (const [index, signatures] of singles) {
        const own = fromSingles(signatures, epochCtx.getBeaconCommittee(slot, index).length);
        of.set(
          index,
          [...(of.get(index) ?? []), own].sort((a, b) => count(b.bits) - count(a.bits))
        );
      }
    }
    return [...of].sort(([a], [b]) => a - b);
  }

  /** Notes what a block has included, and forgets what can be included no more. */
  imported(block, state) {
    const fork = this.chain.config.getForkSeq(block.message.slot);
    for (const attestation of block.message.body.attestations) {
      const hex = dataHex(attestation.data);
      const who = this.included.get(hex) ?? this.included.set(hex, new Set()).get(hex);
      state.epochCtx.getAttestingIndices(fork, attestation).forEach((one) => who.add(one));
    }
    const oldest = epochOf(block.message.slot) - EPOCHS_KEPT;
    this.#known.forget(firstSlotOf(oldest));
    for (const [hex, {data}] of this.#byData) if (data.target.epoch < oldest) this.#byData.delete(hex);
  }
}

/** Whether a block on this state may have an attestation with this data. */
function includable(state, data) {
  const {epoch} = state.epochCtx;
  if (data.slot + params.MIN_ATTESTATION_INCLUSION_DELAY > state.slot || data.target.epoch < epoch - 1) return false;
  const justified = data.target.epoch === epoch ? state.currentJustifiedCheckpoint : state.previousJustifiedCheckpoint;
  return sameCheckpoint(data.source, justified);
}

/** An Electra attestation of several committees, each with its bits and signature. */
function onChainForm(data, parts) {
  const bits = parts.flatMap(([, part]) => part.bits.toBoolArray());
  const committeeBits = BitArray.fromBitLen(params.MAX_COMMITTEES_PER_SLOT);
  parts.forEach(([index]) => committeeBits.set(index, true));
  const signatures = parts.map(([, part]) => part.signature);
  return {
    aggregationBits: BitArray.fromBoolArray(bits),
    data,
    signature: signatures.length === 1 ? signatures[0] : addUp(signatures),
    committeeBits,
  };
}

function fromSingles(singles, length) {
  const bits = BitArray.fromBitLen(length);
  for (const position of singles.keys()) bits.set(position, true);
  return {bits, signature: addUp([...singles.values()])};
}

const sameCheckpoint = (a, b) => a.epoch === b.epoch && toHex(a.root) === toHex(b.root);
const words = ({epoch, root}) => `${epoch}/${toRootHex(root)}`;
const count = (bits) => bits.getTrueBitIndexes().length;
const covers = (a, b) => b.getTrueBitIndexes().every((position) => a.get(position));
const submap = (map, key) => map.get(key) ?? map.set(key, new Map()).get(key);
