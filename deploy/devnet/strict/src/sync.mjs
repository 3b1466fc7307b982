// Votes of sync committee members on their way into blocks: messages, contributions that aggregators sign for, blocks.
//
// Every rule of the gossip topics sync_committee and sync_committee_contribution_and_proof is kept. Blocks are packed
// from contributions alone, unless the node is told to aggregate itself (`packSingles`).
import {epochOf} from "./clock.mjs";
import {aggregate as addUp, verifies} from "./keys.mjs";
import {Known} from "./known.mjs";
import {BitArray, params, ssz, toRootHex, transition} from "./lodestar.mjs";
import {must} from "./refused.mjs";

const SUBNET_SIZE = params.SYNC_COMMITTEE_SIZE / params.SYNC_COMMITTEE_SUBNET_COUNT;
// Slots that a pool remembers: a vote is included in the next slot's block or never.
const SLOTS_KEPT = 4;

export class SyncVotes {
  /** By slot and root: `{slot, messages: position -> signature, contributions: subcommittee -> best}`. */
  #bySlotRoot = new Map();
  /** What each validator voted for in a slot: `slot -> validator -> root`. */
  #votes = new Map();
  #known = new Known();
  /** Contributions that were taken, for the judge: `{slot, subcommittee, aggregator, hex, positions}`. */
  accepted = [];
  #acceptedKeys = new Set();

  constructor({chain, clock, packSingles = false, proven}) {
    Object.assign(this, {chain, clock, packSingles, proven});
  }

  /** Members of the sync committee whose votes of a slot go into the block of the next. */
  committee(slot) {
    const epoch = epochOf(slot + 1);
    const {state} = this.chain.head;
    const at = epoch <= state.epochCtx.epoch + 1 ? state : this.chain.stateAt(slot);
    return at.epochCtx.getIndexedSyncCommitteeAtEpoch(epoch);
  }

  // ------------------------------------------------------------------------------------------------ what comes in

  /** Takes a SyncCommitteeMessage, or refuses it. The same one again is fine. */
  addMessage(message) {
    this.#known.once(ssz.altair.SyncCommitteeMessage, message, message.slot, () => this.#takeMessage(message));
  }

  #takeMessage({slot, beaconBlockRoot, validatorIndex, signature}) {
    this.#checkSlot(slot);
    const hex = toRootHex(beaconBlockRoot);
    must(this.chain.byRoot(hex), "sync-message-head", `block ${hex} is unknown`);
    const positions = this.committee(slot).validatorIndexMap.get(validatorIndex);
    must(
      positions,
      "sync-message-committee",
      `validator ${validatorIndex} is not in the sync committee of slot ${slot}`
    );
    const domain = this.chain.config.getDomain(slot, params.DOMAIN_SYNC_COMMITTEE, slot);
    const root = transition.computeSigningRoot(ssz.Root, beaconBlockRoot, domain);
    const set = transition.createIndexedSignatureSetFromComponents(validatorIndex, root, signature);
    this.#verify(
      set,
      "sync-message-signature",
      `sync committee message of validator ${validatorIndex} for slot ${slot}`
    );
    const votes = this.#votes.get(slot) ?? this.#votes.set(slot, new Map()).get(slot);
    const before = votes.get(validatorIndex) ?? hex;
    must(
      before === hex,
      "sync-message-second",
      `validator ${validatorIndex} voted for ${before} in slot ${slot} already`
    );
    votes.set(validatorIndex, hex);
    const {messages} = this.#pool(slot, hex);
    positions.forEach((position) => messages.set(position, signature));
  }

  /** Takes a SignedContributionAndProof, or refuses it. The same one again is fine. */
  addContribution(signed) {
    const {slot} = signed.message.contribution;
    this.#known.once(ssz.altair.SignedContributionAndProof, signed, slot, () => this.#takeContribution(signed));
  }

  #takeContribution({message: {aggregatorIndex, contribution, selectionProof}, signature}) {
    const {slot, beaconBlockRoot, subcommitteeIndex: sub, aggregationBits: bits} = contribution;
    this.#checkSlot(slot);
    const hex = toRootHex(beaconBlockRoot);
    must(this.chain.byRoot(hex), "contribution-head", `block ${hex} is unknown`);
    must(
      sub < params.SYNC_COMMITTEE_SUBNET_COUNT,
      "contribution-subcommittee",
      `subcommittee ${sub} of ${params.SYNC_COMMITTEE_SUBNET_COUNT}`
    );
    const members = this.#subcommittee(slot, sub);
    const voters = bits.intersectValues(members);
    must(voters.length > 0, "contribution-empty", "a contribution of nobody");
    must(
      members.includes(aggregatorIndex),
      "contribution-committee",
      `aggregator ${aggregatorIndex} is not in subcommittee ${sub} of slot ${slot}`
    );
    must(
      transition.isSyncCommitteeAggregator(selectionProof),
      "contribution-selection",
      `validator ${aggregatorIndex} is not selected in slot ${slot}`
    );

    this.#verifyProof(aggregatorIndex, slot, sub, selectionProof);
    this.proven({kind: "contribute", validator: aggregatorIndex, slot, committee: sub});
    const {config} = this.chain;
    const domain = config.getDomain(slot, params.DOMAIN_CONTRIBUTION_AND_PROOF, slot);
    const outerRoot = transition.computeSigningRoot(
      ssz.altair.ContributionAndProof,
      {aggregatorIndex, contribution, selectionProof},
      domain
    );
    const outer = transition.createIndexedSignatureSetFromComponents(aggregatorIndex, outerRoot, signature);
    this.#verify(
      outer,
      "contribution-and-proof-signature",
      `contribution and proof of validator ${aggregatorIndex} for slot ${slot}`
    );
    const root = transition.computeSigningRoot(
      ssz.Root,
      beaconBlockRoot,
      config.getDomain(slot, params.DOMAIN_SYNC_COMMITTEE, slot)
    );
    const inner = transition.createAggregateSignatureSetFromComponents(voters, root, contribution.signature);
    this.#verify(inner, "contribution-signature", `contribution of validators ${voters} for slot ${slot}`);

    const {contributions} = this.#pool(slot, hex);
    const best = contributions.get(sub);
    if (!best || count(best.bits) < count(bits)) contributions.set(sub, {bits, signature: contribution.signature});
    this.#accept({slot, subcommittee: sub, aggregator: aggregatorIndex, hex, positions: bits.getTrueBitIndexes()});
  }

  #subcommittee(slot, sub) {
    return [...this.committee(slot).validatorIndices].slice(sub * SUBNET_SIZE, (sub + 1) * SUBNET_SIZE);
  }

  #checkSlot(slot) {
    must(this.clock.isCurrent(slot), "sync-slot", `a vote for slot ${slot} in slot ${this.clock.slot}`);
  }

  #verifyProof(validator, slot, subcommitteeIndex, selectionProof) {
    const domain = this.chain.config.getDomain(slot, params.DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF, slot);
    const root = transition.computeSigningRoot(
      ssz.altair.SyncAggregatorSelectionData,
      {slot, subcommitteeIndex},
      domain
    );
    const set = transition.createIndexedSignatureSetFromComponents(validator, root, selectionProof);
    this.#verify(set, "contribution-selection-proof", `selection proof of validator ${validator} for slot ${slot}`);
  }

  #verify(set, rule, what) {
    const verified = verifies(() => transition.verifySignatureSet(set, this.chain.pubkeyCache));
    must(verified, rule, () => `${what} does not verify`);
  }

  #pool(slot, hex) {
    const key = `${slot}/${hex}`;
    if (!this.#bySlotRoot.has(key)) this.#bySlotRoot.set(key, {slot, messages: new Map(), contributions: new Map()});
    return this.#bySlotRoot.get(key);
  }

  #accept(row) {
    const key = `${row.slot}/${row.aggregator}/${row.subcommittee}/${row.hex}/${row.positions}`;
    if (this.#acceptedKeys.has(key)) return;
    this.#acceptedKeys.add(key);
    this.accepted.push(row);
  }

  // ----------------------------------------------------------------------------------------------- what goes out

  /** What this node has heard of messages for a root, as a contribution; `undefined` without any. */
  contribution(slot, root, sub) {
    const own = this.#fromMessages(slot, toRootHex(root), sub);
    if (!own) return undefined;
    return {slot, beaconBlockRoot: root, subcommitteeIndex: sub, aggregationBits: own.bits, signature: own.signature};
  }

  #fromMessages(slot, hex, sub) {
    const messages = this.#bySlotRoot.get(`${slot}/${hex}`)?.messages ?? new Map();
    const inside = [...messages].filter(([position]) => Math.floor(position / SUBNET_SIZE) === sub);
    if (inside.length === 0) return undefined;
    const bits = BitArray.fromBitLen(SUBNET_SIZE);
    inside.forEach(([position]) => bits.set(position % SUBNET_SIZE, true));
    return {bits, signature: addUp(inside.map(([, signature]) => signature))};
  }

  /** The sync aggregate for a block of the slot after `slot` on the block `root`. */
  pack(slot, root) {
    const hex = toRootHex(root);
    const known = this.#bySlotRoot.get(`${slot}/${hex}`)?.contributions ?? new Map();
    const bits = BitArray.fromBitLen(params.SYNC_COMMITTEE_SIZE);
    const signatures = [];
    for (let sub = 0; sub < params.SYNC_COMMITTEE_SUBNET_COUNT; sub++) {
      const own = this.packSingles ? this.#fromMessages(slot, hex, sub) : undefined;
      const best = [known.get(sub), own].filter(Boolean).sort((a, b) => count(b.bits) - count(a.bits))[0];
      if (!best) continue;
      best.bits.getTrueBitIndexes().forEach((position) => bits.set(sub * SUBNET_SIZE + position, true));
      signatures.push(best.signature);
    }
    const signature = signatures.length === 0 ? transition.G2_POINT_AT_INFINITY : addUp(signatures);
    return {syncCommitteeBits: bits, syncCommitteeSignature: signature};
  }

  /** Forgets what can be included no more. */
  imported(block) {
    const oldest = block.message.slot - SLOTS_KEPT;
    this.#known.forget(oldest);
    for (const [key, {slot}] of this.#bySlotRoot) if (slot < oldest) this.#bySlotRoot.delete(key);
    for (const slot of this.#votes.keys()) if (slot < oldest) this.#votes.delete(slot);
  }
}

const count = (bits) => bits.getTrueBitIndexes().length;
