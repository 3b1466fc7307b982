// A strict beacon node of current forks: one chain, no peers, every rule kept.
//
//   node main.mjs --port 9596 --genesis-time 1800000000 --keys keys.json --ordinary 56 --fork fulu
//
// Prints a JSON object a line: first {"event":"ready",..} with its network, then what happens.
import fs from "node:fs";
import {parseArgs} from "node:util";
import {createDevnet, run} from "./src/devnet.mjs";
import {networkFile} from "./src/network.mjs";

const HELP = `usage: node main.mjs --genesis-time SECONDS [options]
  --port N                  where to listen on 127.0.0.1; 0 for any (default 0)
  --genesis-time SECONDS    Unix time of slot 0
  --seconds-per-slot N      whole seconds (default 2)
  --fork FORK               at genesis: electra or fulu (default electra)
  --fulu-epoch N            when Fulu begins, for a chain that begins at Electra (default never)
  --keys FILE               JSON: [{"pubkey", "withdrawal_credentials"?}, ..], the cluster's validators
  --ordinary N              other validators, played by this node (default 0)
  --pack aggregates|all     what blocks are packed from: what aggregators sign for, or also what this node aggregates
                            itself (default aggregates)
  --blob-period N           every how many slots a block carries blobs; 0 for never (default 4)
  --blobs N                 how many then (default 2)
  --exit-after EPOCHS       how long a validator is active before it may exit (default 2)
  --builder URL             a builder API to ask for bids
  --builder-by-request      ask the builder that a request names in the header x-symbolon-builder
  --builder-pubkey KEY      take only bids of this key; repeat for more
  --network-out FILE        write the network file there too
example: node main.mjs --genesis-time $(($(date +%s) + 10)) --ordinary 64`;

const {values: flags} = parseArgs({
  options: {
    help: {type: "boolean"},
    port: {type: "string", default: "0"},
    "genesis-time": {type: "string"},
    "seconds-per-slot": {type: "string", default: "2"},
    fork: {type: "string", default: "electra"},
    "fulu-epoch": {type: "string"},
    keys: {type: "string"},
    ordinary: {type: "string", default: "0"},
    pack: {type: "string", default: "aggregates"},
    "blob-period": {type: "string", default: "4"},
    blobs: {type: "string", default: "2"},
    "exit-after": {type: "string", default: "2"},
    builder: {type: "string"},
    "builder-by-request": {type: "boolean", default: false},
    "builder-pubkey": {type: "string", multiple: true, default: []},
    "network-out": {type: "string"},
  },
});

function whole(name) {
  const value = flags[name];
  if (!/^\d+$/.test(value ?? "")) throw Error(`--${name} ${value}: a whole number is wanted`);
  return Number(value);
}

function print(event, fields = {}) {
  process.stdout.write(`${JSON.stringify({event, ...fields})}\n`);
}

/** A devnet may be killed without a chance to end its children: a process whose parent is gone ends itself. */
function endWithParent() {
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && process.exit(1), 1000).unref();
}

async function main() {
  if (flags.help) return console.log(HELP);
  if (!["aggregates", "all"].includes(flags.pack)) throw Error(`--pack ${flags.pack}: aggregates or all`);
  const devnet = createDevnet({
    cluster: flags.keys ? JSON.parse(fs.readFileSync(flags.keys, "utf8")) : [],
    ordinary: whole("ordinary"),
    fork: flags.fork,
    fuluEpoch: flags["fulu-epoch"] === undefined ? undefined : whole("fulu-epoch"),
    slotMs: whole("seconds-per-slot") * 1000,
    exitAfter: whole("exit-after"),
    genesisTime: whole("genesis-time"),
    packSingles: flags.pack === "all",
    blobPeriod: whole("blob-period"),
    blobCount: whole("blobs"),
    builderUrl: flags.builder,
    builderByRequest: flags["builder-by-request"],
    builderPubkeys: flags["builder-pubkey"],
    log: print,
  });
  const url = await devnet.server.listen({host: "127.0.0.1", port: whole("port")});
  const network = networkFile(devnet.config, devnet.node.chain.genesisTime);
  if (flags["network-out"]) fs.writeFileSync(flags["network-out"], JSON.stringify(network, null, 2));
  print("ready", {url, network});
  endWithParent();
  await run(devnet, (error) => print("error", {message: error.message, stack: error.stack}));
}

main().catch((error) => {
  process.stderr.write(`strict: ${error.message}\n`);
  process.exit(1);
});
