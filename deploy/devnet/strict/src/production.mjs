// Blocks for proposers: packed from the pools, with a payload of this node or, blinded, of a builder.
import {epochOf} from "./clock.mjs";
import {verifies} from "./keys.mjs";
import {params, ssz, sszTypesFor, toHex, transition} from "./lodestar.mjs";
import {buildPayload, makeBlobs, payloadAttributes} from "./payload.mjs";
import {must} from "./refused.mjs";

// What proposers earn with a payload of this node; a builder has to bid more.
const LOCAL_VALUE_WEI = 10n ** 16n;
const WEI_PER_GWEI = 10n ** 9n;
const NOBODY = `0x${"00".repeat(20)}`;
// Boost factors from here on mean "the builder's, whatever it is worth" (2**64 - 1 of the beacon API).
const BOOST_ALWAYS = 2n ** 64n - 1n;

export class Production {
  /** - `blobPeriod`: every how many slots a payload of this node carries blobs; 0 for never. `blobCount`: how many. */
  constructor({chain, clock, attestations, syncVotes, operations, feeRecipients, builder, blobPeriod, blobCount}) {
    Object.assign(this, {
      chain,
      clock,
      attestations,
      syncVotes,
      operations,
      feeRecipients,
      builder,
      blobPeriod,
      blobCount,
    });
  }

  /**
   * A block for `slot`, unsigned, and what the API tells beside it.
   *
   * - `data`: block contents, or a blinded block if `meta.executionPayloadBlinded`.
   * - `boost`: percentage that a bid counts for, a bigint; 0 asks no builder.
   */
  async produce({slot, randaoReveal, graffiti = "", boost = 100n, feeRecipient}) {
    must(this.clock.isCurrent(slot), "production-slot", `a block for slot ${slot} in slot ${this.clock.slot}`);
    must(slot > this.chain.head.slot, "production-slot", `slot ${slot} has a block, or one after it has`);
    const state = this.chain.advanced(this.chain.head, slot);
    const proposer = state.epochCtx.getBeaconProposer(slot);
    this.#checkRandao(slot, proposer, randaoReveal);
    const attributes = payloadAttributes(this.chain, slot);
    const bid = await this.#betterBid(attributes, proposer, boost);
    // The head may have changed while the builder was asked.
    must(slot > this.chain.head.slot, "production-slot", `slot ${slot} has got a block`);
    const block = this.#block(state, {slot, proposer, randaoReveal, graffiti});
    const recipient = feeRecipient ?? this.feeRecipients.get(proposer) ?? NOBODY;
    return bid ? this.#blinded(block, bid) : this.#local(block, attributes, recipient);
  }

  #checkRandao(slot, proposer, randaoReveal) {
    const set = transition.getRandaoRevealSignatureSet(this.chain.config, {
      slot,
      proposerIndex: proposer,
      body: {randaoReveal},
    });
    const verified = verifies(() => transition.verifySignatureSet(set, this.chain.pubkeyCache));
    must(verified, "production-randao", `the RANDAO reveal is not of proposer ${proposer} for epoch ${epochOf(slot)}`);
  }

  async #betterBid(attributes, proposer, boost) {
    if (!this.builder || boost === 0n) return null;
    const pubkey = this.chain.head.state.validators.getReadonly(proposer).pubkey;
    const bid = await this.builder.bid(attributes, pubkey);
    if (!bid || boost === BOOST_ALWAYS) return bid;
    const worth = (bid.value * boost) / 100n;
    if (worth > LOCAL_VALUE_WEI) return bid;
    this.builder.declined.push(
      `slot ${attributes.slot}: a bid of ${bid.value} wei, counted ${worth}, for a payload of ${LOCAL_VALUE_WEI}`
    );
    return null;
  }

  /** Everything but the payload, the blobs and the state root. */
  #block(state, {slot, proposer, randaoReveal, graffiti}) {
    const parentRoot = this.chain.head.root;
    const body = {
      ...sszTypesFor(this.chain.config.getForkName(slot)).BeaconBlockBody.defaultValue(),
      randaoReveal,
      eth1Data: state.eth1Data.toValue(),
      graffiti: graffitiBytes(graffiti),
      attestations: this.attestations.pack(state),
      syncAggregate: this.syncVotes.pack(slot - 1, parentRoot),
      ...this.operations.pack(state),
    };
    return {slot, proposerIndex: proposer, parentRoot, stateRoot: new Uint8Array(32), body};
  }

  #local(block, attributes, feeRecipient) {
    const {slot, fork} = attributes;
    const count = this.blobPeriod > 0 && slot % this.blobPeriod === 0 ? this.blobCount : 0;
    const {blobs, commitments, proofs} = makeBlobs(this.chain.config, slot, count, "local");
    block.body.executionPayload = buildPayload(attributes, {feeRecipient, extra: "local"});
    block.body.blobKzgCommitments = commitments;
    const meta = this.#finish(block, fork, LOCAL_VALUE_WEI);
    return {
      data: {block, kzgProofs: proofs, blobs},
      meta: {...meta, executionPayloadBlinded: false, executionPayloadSource: "engine"},
    };
  }

  #blinded(block, bid) {
    delete block.body.executionPayload;
    block.body.executionPayloadHeader = bid.header;
    block.body.blobKzgCommitments = bid.blobKzgCommitments;
    block.body.executionRequests = bid.executionRequests;
    const meta = this.#finish(block, this.chain.config.getForkName(block.slot), bid.value);
    return {data: block, meta: {...meta, executionPayloadBlinded: true, executionPayloadSource: "builder"}};
  }

  /** Fills the state root in. */
  #finish(block, version, executionPayloadValue) {
    const post = this.chain.tryBlock(block);
    block.stateRoot = post.hashTreeRoot();
    const {attestations = 0, syncAggregate = 0, slashing = 0} = post.proposerRewards;
    const consensusBlockValue = BigInt(attestations + syncAggregate + slashing) * WEI_PER_GWEI;
    return {version, executionPayloadValue, consensusBlockValue};
  }
}

function graffitiBytes(text) {
  const bytes = new Uint8Array(32);
  bytes.set(Buffer.from(text).subarray(0, bytes.length));
  return bytes;
}

/** Root of an unsigned block, blinded or not: the same for both. */
export const blockRoot = (config, block) => transition.blindedOrFullBlockHashTreeRoot(config, block);

export {LOCAL_VALUE_WEI};
