// Asks every route of the beacon API twice: of a distributed validator's node, and of the beacon node behind it.
//
//   node oracle.mjs --node http://127.0.0.1:3600 --beacon-node http://127.0.0.1:9596 --keys keys.json
//   keys.json: [{"group": "0x..", "client": "0x.."}, ..]: what each validator's key is to the chain, and to the client
//
// The typed client decodes each answer, in JSON and in SSZ, so a wrong shape is an error; then the two are compared with
// keys mapped. One line a route: equal, same class of status, answered by the node itself, not served, differs. The exit
// status is 0 only if nothing differs.
import fs from "node:fs";
import {parseArgs} from "node:util";
import {api, configs, fromHex, toHex} from "./src/lodestar.mjs";
import {facts, plan} from "./src/oracle.mjs";

const {values: flags} = parseArgs({
  options: {
    help: {type: "boolean"},
    node: {type: "string"},
    "beacon-node": {type: "string"},
    keys: {type: "string"},
    json: {type: "boolean"},
  },
});

const HELP = `usage: node oracle.mjs --node URL --beacon-node URL --keys FILE [--json]
example: node oracle.mjs --node http://127.0.0.1:3600 --beacon-node http://127.0.0.1:9596 --keys keys.json`;
// A node may hold a question until its cluster agrees; slots of the devnet are shorter than this.
const TIMEOUT_MS = 12_000;
// The head moves between two questions: what differs is asked again.
const TRIES = 3;
// Good outcomes of a route.
const GOOD = new Set(["equal", "class", "own", "absent"]);

async function clientOf(baseUrl, config) {
  return api.getClient({baseUrl, globalInit: {timeoutMs: TIMEOUT_MS, retries: 0}}, {config});
}

async function configOf(baseUrl) {
  const ask = async (path) => (await (await fetch(`${baseUrl}${path}`)).json()).data;
  const [spec, genesis] = [await ask("/eth/v1/config/spec"), await ask("/eth/v1/beacon/genesis")];
  const known = Object.fromEntries(Object.entries(spec).filter(([name]) => name in configs.chainConfigTypes));
  const chain = {...configs.defaultChainConfig, ...configs.chainConfigFromJson(known)};
  return configs.createBeaconConfig(chain, fromHex(genesis.genesis_validators_root));
}

/** A value as text that two equal values share. */
function canonical(value) {
  return JSON.stringify(value, (_, one) => {
    if (one instanceof Uint8Array) return toHex(one);
    if (one?.uint8Array instanceof Uint8Array) return `${toHex(one.uint8Array)}/${one.bitLen}`;
    if (typeof one === "bigint") return `${one}`;
    return one === Infinity ? "infinity" : one;
  });
}

/** One question: what came of it, as far as two askers can compare it. */
async function askOne(client, {namespace, route, args, answer}, format, map) {
  if (answer) return {status: 200, text: map(canonical(answer))};
  const init = {requestWireFormat: format, responseWireFormat: format};
  try {
    const method = client[namespace][route].bind(client[namespace]);
    const response = await (args === undefined ? method(init) : method(args, init));
    if (!response.ok) return {status: response.status, words: response.error().message};
    const text = canonical({value: response.value(), meta: response.meta()});
    return {status: response.status, text: map(text), format: response.wireFormat?.() ?? "-"};
  } catch (error) {
    return {status: 0, words: error.message};
  }
}

const classOf = ({status}) => Math.floor(status / 100);

/** What the two answers are to each other. */
function compare(kind, theirs, ours) {
  if (kind === "absent") return classOf(theirs) === 2 ? "differs" : "absent";
  // A beacon node that breaks down is no measure for anything.
  if (ours.status === 0 || ours.status === 500) return "differs";
  if (kind === "own") return classOf(theirs) === 2 || [400, 503].includes(theirs.status) ? "own" : "differs";
  if (kind === "class") return classOf(theirs) === classOf(ours) ? "class" : "differs";
  return theirs.text !== undefined && theirs.text === ours.text ? "equal" : "differs";
}

async function judge(clients, question, format, maps) {
  for (let left = TRIES; ; left--) {
    const ours = await askOne(clients.beacon, sideOf(question, "group"), format, (text) => text);
    const theirs = await askOne(clients.node, sideOf(question, "client"), format, maps.toGroup);
    const outcome = compare(question.kind, theirs, ours);
    if (outcome !== "differs" || left === 1) return {outcome, theirs, ours};
  }
}

/** The question as one side is asked it, with the keys that side knows. */
function sideOf({args, answers, ...rest}, side) {
  return {...rest, args: args?.(side), answer: answers?.[side]};
}

function describe({outcome, theirs, ours}) {
  if (outcome !== "differs") return outcome;
  const words = ({status, text, words}) => `${status} ${(text ?? words ?? "").replaceAll(/\s+/g, " ").slice(0, 160)}`;
  return [404, 405, 501].includes(theirs.status)
    ? `not served (${theirs.status})`
    : `differs: node ${words(theirs)} | beacon node ${words(ours)}`;
}

function mapsOf(keys) {
  const toGroup = (text) =>
    keys.reduce((mapped, {group, client}) => mapped.replaceAll(client.slice(2), group.slice(2)), text);
  return {toGroup};
}

async function main() {
  if (flags.help) return console.log(HELP);
  for (const name of ["node", "beacon-node", "keys"]) if (!flags[name]) throw Error(`--${name} is wanted; ${HELP}`);
  const keys = JSON.parse(fs.readFileSync(flags.keys, "utf8"));
  const config = await configOf(flags["beacon-node"]);
  const clients = {node: await clientOf(flags.node, config), beacon: await clientOf(flags["beacon-node"], config)};
  const maps = mapsOf(keys);
  const known = await facts(clients.beacon, config, keys);
  const counts = {};
  for await (const question of plan(known, clients)) {
    for (const format of ["json", "ssz"]) {
      const result = await judge(clients, question, format, maps);
      counts[result.outcome] = (counts[result.outcome] ?? 0) + 1;
      const line = {
        route: `${question.namespace}.${question.route}`,
        format,
        outcome: describe(result),
        good: GOOD.has(result.outcome),
        status: result.theirs.status,
      };
      console.log(flags.json ? JSON.stringify(line) : `${line.route.padEnd(44)} ${format.padEnd(5)} ${line.outcome}`);
    }
  }
  const bad = Object.entries(counts).filter(([outcome]) => !GOOD.has(outcome));
  console.log(
    flags.json
      ? JSON.stringify({counts})
      : Object.entries(counts)
          .map(([outcome, count]) => `${count} ${outcome}`)
          .join(", ")
  );
  process.exit(bad.length === 0 ? 0 : 1);
}

main().catch((error) => {
  process.stderr.write(`oracle: ${error.message}\n`);
  process.exit(2);
});
