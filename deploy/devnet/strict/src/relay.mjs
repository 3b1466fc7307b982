// A mock relay: bids for every slot whose proposer has registered, and unblinds what the proposer signed.
//
// It has no chain of its own: what a payload must be it asks the strict node, and it can be told to misbehave.
import fastify from "fastify";
import {builderDomain} from "./builder.mjs";
import {isFulu} from "./chain.mjs";
import {keyOf, pubkeyOf, sign, verifies} from "./keys.mjs";
import {
  addSszContentTypeParser,
  api,
  blst,
  builderServer,
  configs,
  fromHex,
  params,
  ssz,
  sszTypesFor,
  toHex,
  transition,
} from "./lodestar.mjs";
import {attributesType, buildPayload, makeBlobs} from "./payload.mjs";
import {must} from "./refused.mjs";

/** What a relay may do wrong: a bid signed by another key, no bid, a late one, one worth nothing, no payload. */
export const MISDEEDS = ["forged", "none", "late", "low", "withhold"];

// Well over the second that a beacon node waits for a bid.
const LATE_MS = 3_000;
// Payloads that are remembered: a proposer signs within its slot.
const PAYLOADS_MAX = 64;
const BODY_BYTES_MAX = 64 << 20;

export class Relay {
  /** Newest registration of each key: pubkey -> message. */
  registrations = new Map();
  /** What was bid: block hash -> `{payload, sidecars, proposer}`. */
  #offers = new Map();
  counts = {bids: 0, unblinded: 0};
  #config;

  /**
   * - `beaconUrl`: the strict node. - `valueWei`: of each bid, a bigint. - `blobCount`: in each payload.
   * - `period`: every how many slots it bids.
   */
  constructor({beaconUrl, seed = "relay", misdeed, valueWei = 10n ** 17n, blobCount = 1, period = 1}) {
    Object.assign(this, {beaconUrl, key: keyOf(seed), misdeed, valueWei, blobCount, period});
  }

  get pubkey() {
    return pubkeyOf(this.key);
  }

  async #ask(path) {
    const response = await fetch(`${this.beaconUrl}${path}`);
    must(response.ok, "relay-beacon", `${path} answered ${response.status}`, 502);
    return response.json();
  }

  /** The chain's configuration, asked once. */
  async config() {
    if (!this.#config) {
      const spec = (await this.#ask("/eth/v1/config/spec")).data;
      const genesis = (await this.#ask("/eth/v1/beacon/genesis")).data;
      const known = Object.fromEntries(Object.entries(spec).filter(([name]) => name in configs.chainConfigTypes));
      const chain = {...configs.defaultChainConfig, ...configs.chainConfigFromJson(known)};
      this.#config = configs.createBeaconConfig(chain, fromHex(genesis.genesis_validators_root));
    }
    return this.#config;
  }

  async register(registrations) {
    const config = await this.config();
    for (const {message, signature} of registrations) {
      const root = transition.computeSigningRoot(ssz.bellatrix.ValidatorRegistrationV1, message, builderDomain(config));
      must(
        signedBy(message.pubkey, root, signature),
        "registration-signature",
        `the registration of ${toHex(message.pubkey)} does not verify`
      );
      this.registrations.set(toHex(message.pubkey), message);
    }
  }

  /** A signed bid and its fork, or `null`. */
  async bid(slot, parentHash, proposer) {
    const registration = this.registrations.get(toHex(proposer));
    if (!registration || this.misdeed === "none" || slot % this.period !== 0) return null;
    if (this.misdeed === "late") await new Promise((resolve) => setTimeout(resolve, LATE_MS));
    const config = await this.config();
    const attributes = attributesType.fromJson(await this.#ask(`/symbolon/payload_attributes/${slot}`));
    if (toHex(attributes.parentHash) !== toHex(parentHash)) return null;
    const {fork} = attributes;
    const payload = buildPayload(attributes, {feeRecipient: toHex(registration.feeRecipient), extra: "relay"});
    const sidecars = makeBlobs(config, slot, this.blobCount, "relay");
    const message = {
      header: transition.executionPayloadToPayloadHeader(params.ForkSeq[fork], payload),
      blobKzgCommitments: sidecars.commitments,
      executionRequests: ssz.electra.ExecutionRequests.defaultValue(),
      value: this.misdeed === "low" ? 1n : this.valueWei,
      pubkey: this.key.toPublicKey().toBytes(),
    };
    const signer = this.misdeed === "forged" ? keyOf("somebody else") : this.key;
    const signature = sign(signer, sszTypesFor(fork).BuilderBid.hashTreeRoot(message), builderDomain(config));
    this.#keep(toHex(payload.blockHash), {payload, sidecars, proposer});
    this.counts.bids++;
    return {fork, bid: {message, signature}};
  }

  #keep(hash, offer) {
    this.#offers.set(hash, offer);
    if (this.#offers.size > PAYLOADS_MAX) this.#offers.delete(this.#offers.keys().next().value);
  }

  /** The signed block's payload and blobs; refuses what was not bid or is not signed by who was bid to. */
  async unblind(signed) {
    const config = await this.config();
    const {slot, body} = signed.message;
    const offer = this.#offers.get(toHex(body.executionPayloadHeader.blockHash));
    must(
      offer && this.misdeed !== "withhold",
      "relay-payload",
      `no payload ${toHex(body.executionPayloadHeader.blockHash)}`
    );
    const {BlindedBeaconBlock} = config.getPostBellatrixForkTypes(slot);
    const root = transition.computeSigningRoot(
      BlindedBeaconBlock,
      signed.message,
      config.getDomain(slot, params.DOMAIN_BEACON_PROPOSER, slot)
    );
    must(
      signedBy(offer.proposer, root, signed.signature),
      "block-signature",
      `the block of slot ${slot} is not signed by ${toHex(offer.proposer)}`
    );
    this.counts.unblinded++;
    return offer;
  }

  /** Publishes the whole block itself, as builders do from Fulu on. */
  async publish(signed) {
    const {payload, sidecars} = await this.unblind(signed);
    const config = await this.config();
    const fork = config.getForkName(signed.message.slot);
    const client = api.getClient({baseUrl: this.beaconUrl}, {config});
    const signedBlock = transition.signedBlindedBlockToFull(fork, signed, payload);
    const {blobs, proofs: kzgProofs} = sidecars;
    (await client.beacon.publishBlockV2({signedBlockContents: {signedBlock, kzgProofs, blobs}})).assertOk();
  }
}

function signedBy(pubkey, root, signature) {
  return verifies(() =>
    blst.verify(root, blst.PublicKey.fromBytes(pubkey, true), blst.Signature.fromBytes(signature, true))
  );
}

/** The relay's builder API; listens when told to. */
export async function createRelayServer(relay) {
  const server = fastify({bodyLimit: BODY_BYTES_MAX, forceCloseConnections: true});
  addSszContentTypeParser(server);
  server.setErrorHandler(
    (error, _request, reply) =>
      void reply.code(error.statusCode ?? 500).send({code: error.statusCode ?? 500, message: error.message})
  );
  const bundle = ({payload, sidecars: {blobs, commitments, proofs}}) => ({
    executionPayload: payload,
    blobsBundle: {commitments, proofs, blobs},
  });
  builderServer.registerRoutes(server, await relay.config(), {
    status: () => ({}),
    registerValidator: ({registrations}) => relay.register(registrations),
    async getHeader({slot, parentHash, proposerPubkey}) {
      const offered = await relay.bid(slot, parentHash, proposerPubkey);
      return offered ? {data: offered.bid, meta: {version: offered.fork}} : {status: 204};
    },
    async submitBlindedBlock({signedBlindedBlock: {data}}) {
      const {slot} = data.message;
      const config = await relay.config();
      must(!isFulu(config, slot), "relay-version", "from Fulu on blinded blocks come by v2", 404);
      return {data: bundle(await relay.unblind(data)), meta: {version: config.getForkName(slot)}};
    },
    async submitBlindedBlockV2({signedBlindedBlock: {data}}) {
      await relay.publish(data);
      return {status: 202};
    },
  });
  server.get("/symbolon/relay", () => ({
    pubkey: relay.pubkey,
    registrations: relay.registrations.size,
    ...relay.counts,
  }));
  return server;
}
