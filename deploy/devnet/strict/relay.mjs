// A mock relay for the strict chain, honest or not.
//
//   node relay.mjs --beacon-node http://127.0.0.1:9596 --port 9597 --misdeed forged
//
// Prints one JSON object when it listens: {"event":"ready","url","pubkey"}.
import {parseArgs} from "node:util";
import {MISDEEDS, Relay, createRelayServer} from "./src/relay.mjs";

const HELP = `usage: node relay.mjs --beacon-node URL [options]
  --port N          where to listen on 127.0.0.1; 0 for any (default 0)
  --seed TEXT       its BLS key is made from this (default relay)
  --value WEI       of each bid (default 100000000000000000)
  --blobs N         in each payload (default 1)
  --period N        bid every N-th slot only (default 1)
  --misdeed WHAT    ${MISDEEDS.join(", ")}
example: node relay.mjs --beacon-node http://127.0.0.1:9596 --misdeed late`;

const {values: flags} = parseArgs({
  options: {
    help: {type: "boolean"},
    port: {type: "string", default: "0"},
    "beacon-node": {type: "string"},
    seed: {type: "string", default: "relay"},
    value: {type: "string", default: "100000000000000000"},
    blobs: {type: "string", default: "1"},
    period: {type: "string", default: "1"},
    misdeed: {type: "string"},
  },
});

/** A devnet may be killed without a chance to end its children: a process whose parent is gone ends itself. */
function endWithParent() {
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && process.exit(1), 1000).unref();
}

async function main() {
  if (flags.help) return console.log(HELP);
  if (!flags["beacon-node"]) throw Error("--beacon-node URL is wanted");
  if (flags.misdeed && !MISDEEDS.includes(flags.misdeed))
    throw Error(`--misdeed ${flags.misdeed}: one of ${MISDEEDS.join(", ")}`);
  const {seed, misdeed} = flags;
  const relay = new Relay({
    beaconUrl: flags["beacon-node"],
    seed,
    misdeed,
    valueWei: BigInt(flags.value),
    blobCount: Number(flags.blobs),
    period: Number(flags.period),
  });
  const server = await createRelayServer(relay);
  const url = await server.listen({host: "127.0.0.1", port: Number(flags.port)});
  process.stdout.write(`${JSON.stringify({event: "ready", url, pubkey: relay.pubkey})}\n`);
  endWithParent();
}

main().catch((error) => {
  process.stderr.write(`relay: ${error.message}\n`);
  process.exit(1);
});
