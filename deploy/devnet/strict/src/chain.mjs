// One branch of blocks, each with the state after it. A block enters through the real state transition or not at all.
import {epochOf, firstSlotOf} from "./clock.mjs";
import {params, ssz, toRootHex, transition} from "./lodestar.mjs";
import {Refused, must} from "./refused.mjs";

// States in advance of a block that are kept: the head's next slots, and epochs that duties are asked for.
const ADVANCED_MAX = 16;

// Blocks whose states and blobs are kept: 32 epochs, more than any question of a validator client goes back.
const STATES_MAX = 256;

const VALID = {
  executionPayloadStatus: transition.ExecutionPayloadStatus.valid,
  dataAvailabilityStatus: transition.DataAvailabilityStatus.Available,
};

/** A plain value of what may be a view of the state's tree. */
export const plain = (view) => view.toValue?.() ?? view;

export class Chain {
  #advanced = new Map();
  #byRoot = new Map();
  /** Entries by slot, ascending: `{slot, root, hex, block, state, blobs, kzgProofs, source}`. */
  entries = [];

  constructor(config, genesisState) {
    this.config = config;
    const state = transition.createCachedBeaconState(
      genesisState,
      {config, pubkeyCache: transition.createPubkeyCache()},
      {}
    );
    const {BeaconBlockBody} = config.getForkTypes(0);
    const message = {
      ...plain(state.latestBlockHeader),
      stateRoot: state.hashTreeRoot(),
      body: BeaconBlockBody.defaultValue(),
    };
    delete message.bodyRoot;
    this.#append({block: {message, signature: new Uint8Array(96)}, state, blobs: [], kzgProofs: [], source: "genesis"});
    this.genesis = this.head;
  }

  get head() {
    return this.entries.at(-1);
  }

  get genesisTime() {
    return this.genesis.state.genesisTime;
  }

  get pubkeyCache() {
    return this.head.state.epochCtx.pubkeyCache;
  }

  byRoot(hex) {
    return this.#byRoot.get(hex);
  }

  /** The last block at or before a slot. */
  at(slot) {
    return this.entries.findLast((entry) => entry.slot <= slot);
  }

  /** The block that a state calls finalized; the genesis block before there is one. */
  checkpointed(checkpoint) {
    return this.byRoot(toRootHex(checkpoint.root)) ?? this.genesis;
  }

  get finalized() {
    return this.checkpointed(this.head.state.finalizedCheckpoint);
  }

  get justified() {
    return this.checkpointed(this.head.state.currentJustifiedCheckpoint);
  }

  /** The state after `entry`, moved on to a slot; the entry's own state if the slot is not later. */
  advanced(entry, slot) {
    must(entry.state, "state-unknown", `the state after slot ${entry.slot} is not kept any more`, 404);
    if (slot <= entry.slot) return entry.state;
    const key = `${entry.hex}@${slot}`;
    const known = this.#advanced.get(key);
    if (known) return known;
    const state = transition.processSlots(entry.state.clone(true), slot);
    state.commit();
    this.#advanced.set(key, state);
    if (this.#advanced.size > ADVANCED_MAX) this.#advanced.delete(this.#advanced.keys().next().value);
    return state;
  }

  /** The canonical state at a slot. */
  stateAt(slot) {
    return this.advanced(this.at(slot), slot);
  }

  /** A state that knows the committees and the proposers of an epoch. */
  stateOfEpoch(epoch) {
    return this.stateAt(firstSlotOf(epoch));
  }

  /** The canonical block root at a slot; genesis on underflow. */
  rootAt(slot) {
    return slot < 0 ? this.genesis.root : this.at(slot).root;
  }

  /** Source and target of a right vote for the block of `entry` in an epoch. */
  votesFor(entry, epoch) {
    const start = firstSlotOf(epoch);
    const state = this.advanced(entry, start);
    const root = start >= entry.slot ? entry.root : transition.getBlockRootAtSlot(entry.state, start);
    return {source: plain(state.currentJustifiedCheckpoint), target: {epoch, root}};
  }

  /** The state after a block that is not signed yet, with the state root that the block must name. */
  tryBlock(message) {
    const options = {...VALID, verifyStateRoot: false, verifyProposer: false, verifySignatures: false};
    return transition.stateTransition(this.head.state, {message, signature: new Uint8Array(96)}, options);
  }

  /**
   * The state after a signed block on the head, blinded or not: everything in it verified, every signature too.
   *
   * - Refuses what the state transition does not allow, with its words.
   */
  verify(signed) {
    must(
      toRootHex(signed.message.parentRoot) === this.head.hex,
      "block-parent",
      () =>
        `block of slot ${signed.message.slot} on ${toRootHex(signed.message.parentRoot)}, the head is ${this.head.hex}`
    );
    const options = {...VALID, verifyStateRoot: true, verifyProposer: true, verifySignatures: true};
    try {
      return transition.stateTransition(this.head.state, signed, options);
    } catch (error) {
      throw new Refused("block-invalid", error.message);
    }
  }

  /** Makes a verified block the head. */
  import(block, state, {blobs = [], kzgProofs = [], source = "local"} = {}) {
    return this.#append({block, state, blobs, kzgProofs, source});
  }

  #append({block, state, blobs, kzgProofs, source}) {
    const {BeaconBlock} = this.config.getForkTypes(block.message.slot);
    const root = BeaconBlock.hashTreeRoot(block.message);
    const entry = {slot: block.message.slot, root, hex: toRootHex(root), block, state, blobs, kzgProofs, source};
    this.entries.push(entry);
    this.#byRoot.set(entry.hex, entry);
    const old = this.entries.at(-1 - STATES_MAX);
    if (old && old !== this.genesis) Object.assign(old, {state: null, blobs: [], kzgProofs: []});
    return entry;
  }

  /** Root that the duties of an epoch's attesters depend on. */
  attesterDependentRoot(epoch) {
    return this.rootAt(firstSlotOf(epoch - 1) - 1);
  }

  /** Root that the proposers of an epoch depend on; from Fulu on they are known an epoch earlier. */
  proposerDependentRoot(epoch, lookahead) {
    return lookahead ? this.attesterDependentRoot(epoch) : this.rootAt(firstSlotOf(epoch) - 1);
  }

  /** Proposers of an epoch, in order of its slots, for any epoch up to the one after that of `now`. */
  proposersOf(epoch, now) {
    if (epoch <= epochOf(now)) return this.stateOfEpoch(epoch).epochCtx.getBeaconProposers();
    return this.stateAt(Math.max(now, this.head.slot)).epochCtx.getBeaconProposersNextEpoch();
  }
}

/** Root of attestation data, hex. */
export const dataHex = (data) => toRootHex(ssz.phase0.AttestationData.hashTreeRoot(data));

/** Whether a fork has Fulu's rules. */
export const isFulu = (config, slot) => config.getForkSeq(slot) >= params.ForkSeq.fulu;
