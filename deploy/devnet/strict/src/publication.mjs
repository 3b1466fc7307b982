// Signed blocks on their way to the head.
import {verifies} from "./keys.mjs";
import {params, sszTypesFor, toHex, toRootHex, transition} from "./lodestar.mjs";
import {blockHash, checkBlobs} from "./payload.mjs";
import {Refused, must} from "./refused.mjs";

export class Publication {
  /** What was signed for each slot by whom: `slot/proposer -> root`. */
  #proposals = new Map();
  /** Blinded blocks that a builder is asked about: root -> the answer to come. */
  #unblinding = new Map();
  /** Pairs of blocks that are slashable, in words. */
  slashable = [];

  /** - `imported(entry)`: is told of each new head. */
  constructor({chain, clock, builder, imported}) {
    Object.assign(this, {chain, clock, builder, imported});
  }

  /**
   * Takes signed block contents.
   *
   * - Returns an HTTP status: 200 for a new head, 202 for a block that is known already, which is no mistake.
   * - Refuses everything else.
   */
  publish({signedBlock, kzgProofs = [], blobs = []}) {
    const known = this.#checkHeader(signedBlock);
    if (known) return 202;
    const {body} = signedBlock.message;
    const expected = blockHash(this.#forkOf(signedBlock), body.executionPayload);
    must(
      toHex(expected) === toHex(body.executionPayload.blockHash),
      "payload-hash",
      "the execution client calls the payload invalid"
    );
    checkBlobs(this.chain.config, signedBlock.message.slot, body.blobKzgCommitments, {blobs, kzgProofs});
    const state = this.chain.verify(signedBlock);
    const source = this.builder?.bids.has(toHex(body.executionPayload.blockHash)) ? "builder" : "local";
    this.imported(this.chain.import(signedBlock, state, {blobs, kzgProofs, source}));
    return 200;
  }

  /** Takes a signed blinded block: verified like any other, then unblinded by the builder. Returns as `publish`. */
  async publishBlinded(signed) {
    const known = this.#checkHeader(signed);
    if (known) return 202;
    must(this.builder, "builder-absent", "this node knows no builder");
    this.chain.verify(signed);
    const hex = this.#rootOf(signed.message);
    if (this.#unblinding.has(hex)) {
      await this.#unblinding.get(hex);
      return 202;
    }
    const unblinding = this.#unblind(signed);
    this.#unblinding.set(hex, unblinding);
    try {
      return await unblinding;
    } finally {
      this.#unblinding.delete(hex);
    }
  }

  async #unblind(signed) {
    const fork = this.#forkOf(signed);
    const bundle = await this.builder.unblind(fork, signed);
    if (!bundle) return 202;
    const {executionPayload, blobsBundle} = transition.parseExecutionPayloadAndBlobsBundle(bundle);
    const {proofs: kzgProofs = [], blobs = []} = blobsBundle ?? {};
    return this.publish({
      signedBlock: transition.signedBlindedBlockToFull(fork, signed, executionPayload),
      kzgProofs,
      blobs,
    });
  }

  #forkOf({message}) {
    return this.chain.config.getForkName(message.slot);
  }

  #rootOf(message) {
    return toRootHex(transition.blindedOrFullBlockHashTreeRoot(this.chain.config, message));
  }

  /** What can be said without a state; whether the block is known already. */
  #checkHeader(signed) {
    const {message} = signed;
    const {slot, proposerIndex} = message;
    const hex = this.#rootOf(message);
    const signedBy = verifies(() =>
      transition.verifyProposerSignature(this.chain.config, this.chain.pubkeyCache, signed)
    );
    must(signedBy, "block-signature", `the block of slot ${slot} is not signed by proposer ${proposerIndex}`);
    this.#noteProposal(slot, proposerIndex, hex);
    if (this.chain.byRoot(hex)) return true;
    must(this.clock.hasBegun(slot), "block-early", `a block of slot ${slot} in slot ${this.clock.slot}`);
    must(slot > this.chain.head.slot, "block-late", `a block of slot ${slot}, the head is of ${this.chain.head.slot}`);
    return false;
  }

  /** A proposer signs one block a slot; a second one is slashable. */
  #noteProposal(slot, proposer, hex) {
    const key = `${slot}/${proposer}`;
    const before = this.#proposals.get(key) ?? hex;
    if (before !== hex) {
      const detail = `proposer ${proposer} signed ${before} and ${hex} for slot ${slot}`;
      this.slashable.push(detail);
      throw new Refused("block-equivocation", detail);
    }
    this.#proposals.set(key, hex);
  }
}

/** A full block as its blinded twin, which has the same root. */
export function blindedTwin(config, signedBlock) {
  const fork = config.getForkName(signedBlock.message.slot);
  const {message, signature} = signedBlock;
  const {executionPayload, ...body} = message.body;
  const header = transition.executionPayloadToPayloadHeader(params.ForkSeq[fork], executionPayload);
  const blinded = {...message, body: {...body, executionPayloadHeader: header}};
  return {message: sszTypesFor(fork).BlindedBeaconBlock.clone(blinded), signature};
}
