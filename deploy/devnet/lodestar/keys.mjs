// Writes EIP-2335 keystores of test validators, the same keys for the same seed.
//   node keys.mjs ORDER.json       ORDER: {"libs", "out", "seed", "password", "count"}
// Prints {"pubkeys": ["0x..", ..]} in the order of keystore-0.json, keystore-1.json, ...
import crypto from "node:crypto";
import fs from "node:fs";
import {createRequire} from "node:module";
import path from "node:path";

const order = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const blst = createRequire(path.resolve(order.libs, "package.json"))("@chainsafe/blst");
const GROUP_ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001n;
const KDF_ROUNDS = 1024; // few: the seeds of these keys are printed, what they guard is worth nothing

function secret(i) {
  const wide = crypto.createHash("sha512").update(`${order.seed}/${i}`).digest("hex");
  return Buffer.from((BigInt(`0x${wide}`) % GROUP_ORDER).toString(16).padStart(64, "0"), "hex");
}

function keystore(bytes, pubkey) {
  const salt = crypto.randomBytes(32);
  const iv = crypto.randomBytes(16);
  const key = crypto.pbkdf2Sync(order.password, salt, KDF_ROUNDS, 32, "sha256");
  const cipher = crypto.createCipheriv("aes-128-ctr", key.subarray(0, 16), iv);
  const message = Buffer.concat([cipher.update(bytes), cipher.final()]);
  const checksum = crypto.createHash("sha256").update(key.subarray(16, 32)).update(message).digest("hex");
  return {
    crypto: {
      kdf: {
        function: "pbkdf2",
        params: {dklen: 32, c: KDF_ROUNDS, prf: "hmac-sha256", salt: salt.toString("hex")},
        message: "",
      },
      checksum: {function: "sha256", params: {}, message: checksum},
      cipher: {function: "aes-128-ctr", params: {iv: iv.toString("hex")}, message: message.toString("hex")},
    },
    description: "devnet test key",
    pubkey,
    path: "",
    uuid: crypto.randomUUID(),
    version: 4,
  };
}

fs.mkdirSync(order.out, {recursive: true});
const pubkeys = [];
for (let i = 0; i < order.count; i++) {
  const bytes = secret(i);
  const pubkey = Buffer.from(blst.SecretKey.fromBytes(bytes).toPublicKey().toBytes()).toString("hex");
  fs.writeFileSync(path.join(order.out, `keystore-${i}.json`), JSON.stringify(keystore(bytes, pubkey), null, 1));
  pubkeys.push(`0x${pubkey}`);
}
console.log(JSON.stringify({pubkeys}));
