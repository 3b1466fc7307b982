// The builder API as a beacon node asks it: a bid before a block, the payload after the signature.
import {AsyncLocalStorage} from "node:async_hooks";
import {plain} from "./chain.mjs";
import {verifies} from "./keys.mjs";
import {blst, builderApi, params, ssz, sszTypesFor, toHex, toRootHex, transition} from "./lodestar.mjs";
import {Refused, must} from "./refused.mjs";

// Longest wait for a bid: a proposer must not miss its slot for it (builder specs: one second).
const HEADER_TIMEOUT_MS = 1_000;
// Longest wait for a payload: a signed header cannot be taken back, so more patience than with a bid.
const PAYLOAD_TIMEOUT_MS = 4_000;

/** The header in which whoever asks this node names a builder of its own: several operators share one node here. */
export const BUILDER_HEADER = "x-symbolon-builder";

/** The builder named by the request that is being answered, if it names one. */
export const asker = new AsyncLocalStorage();

/** The domain of everything that builders and validators tell each other: no fork's, no chain's. */
export const builderDomain = (config) =>
  transition.computeDomain(params.DOMAIN_APPLICATION_BUILDER, config.GENESIS_FORK_VERSION, new Uint8Array(32));

export class Builder {
  /** Hashes of the payloads that were bid, for those who ask where a block came from. */
  bids = new Set();
  /** Why bids were not used, in words. */
  declined = [];

  /** Clients by address. */
  #clients = new Map();

  /** - `url`: of requests that name no builder of their own; without it those get none. */
  constructor({config, url, pubkeys}) {
    Object.assign(this, {config, url, pubkeys});
  }

  /** The clients of whoever is asked now, or `undefined`. */
  get #asked() {
    const url = asker.getStore() ?? this.url;
    if (!url) return undefined;
    if (!this.#clients.has(url)) {
      const client = (timeoutMs) =>
        builderApi.getClient({baseUrl: url, globalInit: {timeoutMs, retries: 0}}, {config: this.config});
      this.#clients.set(url, {quick: client(HEADER_TIMEOUT_MS), patient: client(PAYLOAD_TIMEOUT_MS)});
    }
    return this.#clients.get(url);
  }

  /** The bid for a slot, verified; `null` if there is none that can be used. Never throws: the block is built anyway. */
  async bid(attributes, proposerPubkey) {
    const builder = this.#asked;
    if (!builder) return null;
    try {
      const response = await builder.quick.getHeader({
        slot: attributes.slot,
        parentHash: attributes.parentHash,
        proposerPubkey,
      });
      if (response.status === 204) return null;
      const {message, signature} = response.value();
      this.#check(attributes, response.meta().version, message, signature);
      this.bids.add(toHex(message.header.blockHash));
      return message;
    } catch (error) {
      this.declined.push(`slot ${attributes.slot}: ${error.message}`);
      return null;
    }
  }

  #check(attributes, version, bid, signature) {
    const {header} = bid;
    must(version === attributes.fork, "bid-fork", `a bid of ${version} for a slot of ${attributes.fork}`);
    const root = transition.computeSigningRoot(sszTypesFor(version).BuilderBid, bid, builderDomain(this.config));
    const signed = verifies(() =>
      blst.verify(root, blst.PublicKey.fromBytes(bid.pubkey, true), blst.Signature.fromBytes(signature, true))
    );
    must(signed, "bid-signature", `the bid of ${toHex(bid.pubkey)} does not verify`);
    must(
      this.pubkeys.length === 0 || this.pubkeys.includes(toHex(bid.pubkey)),
      "bid-pubkey",
      `${toHex(bid.pubkey)} is not a builder of ours`
    );
    const withdrawalsRoot = ssz.capella.Withdrawals.hashTreeRoot(attributes.withdrawals);
    const fields = {...attributes, withdrawalsRoot};
    for (const field of ["parentHash", "prevRandao", "withdrawalsRoot"]) {
      must(
        toRootHex(header[field]) === toRootHex(fields[field]),
        "bid-header",
        `${field} ${toRootHex(header[field])}, the chain has ${toRootHex(fields[field])}`
      );
    }
    must(
      header.timestamp === attributes.timestamp,
      "bid-header",
      `timestamp ${header.timestamp}, the slot's is ${attributes.timestamp}`
    );
  }

  /** Passes registrations on. */
  async register(registrations) {
    const response = await this.#asked?.patient.registerValidator({registrations});
    response?.assertOk();
  }

  /**
   * Hands a signed blinded block in.
   *
   * - Returns the payload and its blobs, or `null` if the builder publishes the block itself (v2, from Fulu on).
   * - Refuses with 502 what the builder does not unblind, or unblinds to something else.
   */
  async unblind(fork, signedBlindedBlock) {
    const args = {signedBlindedBlock: {data: signedBlindedBlock}};
    const builder = this.#asked;
    must(builder, "builder-absent", "the request names no builder");
    try {
      if (params.ForkSeq[fork] >= params.ForkSeq.fulu) {
        const response = await builder.patient.submitBlindedBlockV2(args);
        if (response.ok) return null;
        // A builder of the time before knows v1 only.
        if (![404, 405, 501].includes(response.status)) response.assertOk();
      }
      const bundle = (await builder.patient.submitBlindedBlock(args)).value();
      this.#fits(fork, plain(signedBlindedBlock.message.body.executionPayloadHeader), bundle);
      return bundle;
    } catch (error) {
      if (error instanceof Refused) throw error;
      throw new Refused("builder-unblind", error.message, 502);
    }
  }

  #fits(fork, header, {executionPayload}) {
    const type = sszTypesFor(fork).ExecutionPayloadHeader;
    const got = type.hashTreeRoot(transition.executionPayloadToPayloadHeader(params.ForkSeq[fork], executionPayload));
    must(
      toRootHex(got) === toRootHex(type.hashTreeRoot(header)),
      "builder-payload",
      "the payload is not the one that was bid",
      502
    );
  }
}
