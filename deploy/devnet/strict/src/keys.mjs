// Keys of ordinary validators and of the mock relay: made from a seed, the same for the same seed, worth nothing.
import crypto from "node:crypto";
import {blst, ssz, toHex} from "./lodestar.mjs";

const GROUP_ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001n;

/** The secret key that belongs to a seed. */
export function keyOf(seed) {
  const wide = BigInt(`0x${crypto.createHash("sha512").update(seed).digest("hex")}`);
  return blst.SecretKey.fromBytes(Buffer.from((wide % GROUP_ORDER).toString(16).padStart(64, "0"), "hex"));
}

/** Keys of `count` ordinary validators. */
export function ordinaryKeys(count) {
  return Array.from({length: count}, (_, number) => keyOf(`ordinary/${number}`));
}

export const pubkeyOf = (key) => toHex(key.toPublicKey().toBytes());

/** Signs an object's root under a domain. */
export function sign(key, objectRoot, domain) {
  return key.sign(ssz.phase0.SigningData.hashTreeRoot({objectRoot, domain})).toBytes();
}

/** Adds signatures up; 96 bytes each. */
export function aggregate(signatures) {
  return blst.aggregateSignatures(signatures.map((one) => blst.Signature.fromBytes(one, true))).toBytes();
}

/** Whether a signature verifies; bytes that are no signature do not. */
export function verifies(verify) {
  try {
    return verify();
  } catch {
    return false;
  }
}
