// The beacon node: the chain, the pools around it, and what it tells the world.
import {EventEmitter} from "node:events";
import {Attestations} from "./attestations.mjs";
import {Builder, builderDomain} from "./builder.mjs";
import {Chain} from "./chain.mjs";
import {epochOf, firstSlotOf} from "./clock.mjs";
import {verifies} from "./keys.mjs";
import {blst, ssz, toHex, toRootHex, transition} from "./lodestar.mjs";
import {Operations} from "./operations.mjs";
import {Production} from "./production.mjs";
import {Publication} from "./publication.mjs";
import {PartlyRefused, must} from "./refused.mjs";
import {SyncVotes} from "./sync.mjs";

// Refusals that are kept word for word; the rest are only counted.
const REFUSALS_KEPT = 200;
// How far into the future a registration may be dated, in seconds (builder specs).
const REGISTRATION_AHEAD_S = 10;

export class Node {
  events = new EventEmitter().setMaxListeners(0);
  /** Whom a proposer's payload pays: validator -> address, hex. */
  feeRecipients = new Map();
  /** Newest registration of each key: pubkey -> message. */
  registrations = new Map();
  /** What was refused: `{kind, rule, detail, slot}`, and counts by kind and rule. */
  refusals = [];
  refusalCounts = {};
  /** Selection proofs that verified, once each: `kind/slot/committee/validator`. */
  proofs = new Set();
  /** What validator clients subscribed to, once each: `slot/validator/aggregator or not`, `validator/until epoch`. */
  subscriptions = {committee: new Set(), sync: new Set()};

  /** - `log(event, fields)`: is told what happens. */
  constructor({
    config,
    genesisState,
    clock,
    log = () => {},
    packSingles = false,
    builderUrl,
    builderByRequest = false,
    builderPubkeys = [],
    blobPeriod = 0,
    blobCount = 2,
  }) {
    Object.assign(this, {config, clock, log});
    this.chain = new Chain(config, genesisState);
    const {chain} = this;
    const proven = ({kind, slot, committee, validator}) => this.proofs.add(`${kind}/${slot}/${committee}/${validator}`);
    this.attestations = new Attestations({chain, clock, packSingles, proven});
    this.syncVotes = new SyncVotes({chain, clock, packSingles, proven});
    this.operations = new Operations({chain, clock});
    const withBuilder = builderUrl !== undefined || builderByRequest;
    this.builder = withBuilder ? new Builder({config, url: builderUrl, pubkeys: builderPubkeys}) : undefined;
    const {attestations, syncVotes, operations, feeRecipients, builder} = this;
    this.production = new Production({
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
    this.publication = new Publication({chain, clock, builder, imported: (entry) => this.#imported(entry)});
  }

  // ---------------------------------------------------------------------------------------------------- handing in

  /** Runs `take`; what it refuses is counted under `kind` and thrown on. */
  taking(kind, take) {
    try {
      const taken = take();
      return taken instanceof Promise ? taken.catch((error) => this.#refused(kind, error)) : taken;
    } catch (error) {
      return this.#refused(kind, error);
    }
  }

  /** Runs `take` for each item of a list; the good ones are taken whatever the others are. */
  takingEach(kind, items, take) {
    const failures = [];
    items.forEach((item, index) => {
      try {
        this.taking(kind, () => take(item));
      } catch (error) {
        failures.push({index, message: error.message, statusCode: error.statusCode ?? 500});
      }
    });
    if (failures.length > 0) throw new PartlyRefused(failures);
  }

  #refused(kind, error) {
    const {rule = "internal", message} = error;
    const key = `${kind}: ${rule}`;
    this.refusalCounts[key] = (this.refusalCounts[key] ?? 0) + 1;
    if (this.refusals.length < REFUSALS_KEPT) this.refusals.push({kind, rule, detail: message, slot: this.clock.slot});
    this.log("refused", {kind, rule, detail: message});
    throw error;
  }

  /** Takes a SignedValidatorRegistrationV1 if its signature and its time are right. */
  addRegistration({message, signature}) {
    const root = transition.computeSigningRoot(
      ssz.bellatrix.ValidatorRegistrationV1,
      message,
      builderDomain(this.config)
    );
    const signed = verifies(() =>
      blst.verify(root, blst.PublicKey.fromBytes(message.pubkey, true), blst.Signature.fromBytes(signature, true))
    );
    must(signed, "registration-signature", `the registration of ${toHex(message.pubkey)} does not verify`);
    must(
      this.chain.pubkeyCache.getIndex(message.pubkey) !== null,
      "registration-unknown",
      `${toHex(message.pubkey)} is no validator`
    );
    const now = Math.floor(this.clock.now() / 1000);
    must(
      message.timestamp <= now + REGISTRATION_AHEAD_S,
      "registration-time",
      `dated ${message.timestamp}, now is ${now}`
    );
    const known = this.registrations.get(toHex(message.pubkey));
    if (!known || known.timestamp < message.timestamp) this.registrations.set(toHex(message.pubkey), message);
  }

  // -------------------------------------------------------------------------------------------------------- telling

  #imported(entry) {
    const {block, state, slot, hex} = entry;
    const parent = this.chain.entries.at(-2);
    this.attestations.imported(block, state);
    this.syncVotes.imported(block);
    const {body} = block.message;
    this.log("block", {
      slot,
      root: hex,
      proposer: block.message.proposerIndex,
      source: entry.source,
      blobs: body.blobKzgCommitments.length,
      attestations: body.attestations.length,
      sync_bits: body.syncAggregate.syncCommitteeBits.getTrueBitIndexes().length,
      exits: body.voluntaryExits.length,
      slashings: body.proposerSlashings.length + body.attesterSlashings.length,
    });
    this.#tellHead(entry, parent);
    const finalized = state.finalizedCheckpoint;
    if (finalized.epoch > parent.state.finalizedCheckpoint.epoch) this.#tellFinalized(finalized);
  }

  #tellHead({slot, hex, state, block}, parent) {
    const epoch = epochOf(slot);
    const stateRoot = toRootHex(block.message.stateRoot);
    this.emit("head", {
      slot,
      block: hex,
      state: stateRoot,
      epochTransition: epochOf(parent.slot) < epoch,
      previousDutyDependentRoot: toRootHex(this.chain.rootAt(firstSlotOf(epoch - 1) - 1)),
      currentDutyDependentRoot: toRootHex(this.chain.rootAt(firstSlotOf(epoch) - 1)),
      executionOptimistic: false,
    });
    this.emit("block", {slot, block: hex, executionOptimistic: false});
  }

  #tellFinalized({epoch, root}) {
    const entry = this.chain.byRoot(toRootHex(root));
    this.log("finalized", {epoch});
    const state = toRootHex(entry.block.message.stateRoot);
    this.emit("finalized_checkpoint", {block: entry.hex, state, epoch, executionOptimistic: false});
  }

  emit(type, message) {
    this.events.emit("event", {type, message});
  }
}
