// A mock execution client: payloads that follow each other, and blobs. Hashes are SHA-256 of what they stand for, not
// Ethereum's, so that any change of a payload or a blob is noticed; KZG itself is not computed.
import crypto from "node:crypto";
import {isFulu, plain} from "./chain.mjs";
import {epochOf} from "./clock.mjs";
import {params, ssz, sszTypesFor, toHex, transition} from "./lodestar.mjs";
import {must} from "./refused.mjs";

const GAS_LIMIT = 36_000_000;
const BLOB_BYTES = params.FIELD_ELEMENTS_PER_BLOB * params.BYTES_PER_FIELD_ELEMENT;
const POINT_BYTES = 48; // of a KZG commitment or proof

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), crypto.createHash("sha256")).digest();

/** What the chain says about the payload of a slot, on the head: the engine API's payload attributes, and its parent. */
export function payloadAttributes(chain, slot) {
  const state = chain.advanced(chain.head, slot);
  const {latestExecutionPayloadHeader: parent} = state;
  const fork = chain.config.getForkName(slot);
  return {
    fork,
    slot,
    parentHash: parent.blockHash,
    blockNumber: parent.blockNumber + 1,
    gasLimit: GAS_LIMIT,
    baseFeePerGas: parent.baseFeePerGas,
    prevRandao: transition.getRandaoMix(state, epochOf(slot)),
    timestamp: transition.computeTimeAtSlot(chain.config, slot, state.genesisTime),
    withdrawals: transition.getExpectedWithdrawals(params.ForkSeq[fork], state).expectedWithdrawals.map(plain),
  };
}

/** The same as JSON, and back: for the relay, which has no state of its own. */
export const attributesType = {
  toJson: ({fork, slot, blockNumber, gasLimit, timestamp, baseFeePerGas, ...rest}) => ({
    fork,
    slot,
    blockNumber,
    gasLimit,
    timestamp,
    baseFeePerGas: String(baseFeePerGas),
    parentHash: toHex(rest.parentHash),
    prevRandao: toHex(rest.prevRandao),
    withdrawals: ssz.capella.Withdrawals.toJson(rest.withdrawals),
  }),
  fromJson: (json) => ({
    ...json,
    baseFeePerGas: BigInt(json.baseFeePerGas),
    parentHash: ssz.Root.fromJson(json.parentHash),
    prevRandao: ssz.Root.fromJson(json.prevRandao),
    withdrawals: ssz.capella.Withdrawals.fromJson(json.withdrawals),
  }),
};

/** A payload by its attributes. - `feeRecipient`: hex. - `extra`: at most 32 bytes that say who built it. */
export function buildPayload(attributes, {feeRecipient, extra}) {
  const {fork, slot, ...fields} = attributes;
  const type = sszTypesFor(fork).ExecutionPayload;
  const payload = {
    ...type.defaultValue(),
    ...fields,
    feeRecipient: ssz.ExecutionAddress.fromJson(feeRecipient),
    stateRoot: sha256("state", fields.parentHash),
    receiptsRoot: sha256("receipts", fields.parentHash),
    gasUsed: 21_000,
    extraData: Buffer.from(extra),
    transactions: [sha256("transaction", fields.parentHash, String(slot))],
  };
  payload.blockHash = blockHash(fork, payload);
  return payload;
}

/** The hash that a payload must name: of everything else in it. */
export function blockHash(fork, payload) {
  const root = sszTypesFor(fork).ExecutionPayload.hashTreeRoot({...payload, blockHash: new Uint8Array(32)});
  return sha256("mock execution block", root);
}

/** Blobs with their commitments and proofs, in the numbers that a fork asks for. */
export function makeBlobs(config, slot, count, seed) {
  const blobs = Array.from({length: count}, (_, number) => makeBlob(`${seed}/${slot}/${number}`));
  return {blobs, commitments: blobs.map(commitmentOf), proofs: blobs.flatMap((blob) => proofsOf(config, slot, blob))};
}

function makeBlob(seed) {
  const blob = Buffer.alloc(BLOB_BYTES, sha256(seed));
  // Every field element is below the modulus.
  for (let at = 0; at < BLOB_BYTES; at += params.BYTES_PER_FIELD_ELEMENT) blob[at] = 0;
  return blob;
}

const point = (...parts) =>
  Buffer.concat([sha256("point", ...parts), sha256("more", ...parts)]).subarray(0, POINT_BYTES);
const commitmentOf = (blob) => point("commitment", blob);

/** One proof for a blob; from Fulu on one for each of its cells. */
function proofsOf(config, slot, blob) {
  const commitment = commitmentOf(blob);
  const count = isFulu(config, slot) ? params.CELLS_PER_EXT_BLOB : 1;
  return Array.from({length: count}, (_, cell) => point("proof", commitment, String(cell)));
}

/** Requires that blobs and proofs are those that a block commits to: in number, in order, byte for byte. */
export function checkBlobs(config, slot, commitments, {blobs, kzgProofs}) {
  const each = isFulu(config, slot) ? params.CELLS_PER_EXT_BLOB : 1;
  must(
    blobs.length === commitments.length,
    "blobs-count",
    `${blobs.length} blobs for ${commitments.length} commitments`
  );
  must(
    kzgProofs.length === each * blobs.length,
    "proofs-count",
    `${kzgProofs.length} proofs for ${blobs.length} blobs, ${each} each`
  );
  const proofs = blobs.flatMap((blob) => proofsOf(config, slot, blob));
  blobs.forEach((blob, number) =>
    must(
      same(commitmentOf(blob), commitments[number]),
      "blobs-commitment",
      `blob ${number} is not the one committed to`
    )
  );
  proofs.forEach((proof, number) =>
    must(same(proof, kzgProofs[number]), "blobs-proof", `proof ${number} is not of its blob`)
  );
}

/** Versioned hash of a commitment. */
export function versionedHash(commitment) {
  const hash = sha256(commitment);
  hash[0] = params.VERSIONED_HASH_VERSION_KZG;
  return toHex(hash);
}

const same = (a, b) => Buffer.compare(a, b) === 0;
