// A whole strict chain in one process: node, ordinary validators, judge and server, put together from one order.
import {Clock} from "./clock.mjs";
import {genesis} from "./genesis.mjs";
import {ordinaryKeys, pubkeyOf} from "./keys.mjs";
import {Judge} from "./judge.mjs";
import {chainConfig} from "./network.mjs";
import {Node} from "./node.mjs";
import {Ordinary} from "./ordinary.mjs";
import {createServer} from "./server.mjs";

/** The parts of a slot at which ordinary validators act, in basis points, and what they do. */
const SLOT_PLAN = [
  [0, (ordinary, slot) => ordinary.propose(slot)],
  [3333, (ordinary, slot) => ordinary.vote(slot)],
  [6667, (ordinary, slot) => ordinary.aggregate(slot)],
];

/**
 * Makes a chain that has not begun yet; nothing runs by itself before `run`.
 *
 * - `cluster`: `{pubkey, withdrawal_credentials?}` of the cluster's validators, who come first.
 * - `ordinary`: how many other validators the node plays itself.
 * - `genesisTime`: Unix seconds. - `now`: what time it is, in milliseconds. Others: see `chainConfig` and `Node`.
 */
export function createDevnet({
  cluster = [],
  ordinary = 0,
  fork = "electra",
  fuluEpoch,
  slotMs = 2000,
  exitAfter = 2,
  genesisTime,
  now,
  aggregators,
  ...rest
}) {
  const keys = ordinaryKeys(ordinary);
  const validators = [...cluster, ...keys.map((key) => ({pubkey: pubkeyOf(key)}))];
  const chain = chainConfig({fork, fuluEpoch, slotMs, exitAfter});
  const {state, config} = genesis({chain, fork, genesisTime, validators});
  const clock = new Clock({genesisMs: genesisTime * 1000, slotMs, now});
  const node = new Node({config, genesisState: state, clock, ...rest});
  const judge = new Judge(
    node,
    cluster.map((_, index) => index)
  );
  const indexed = new Map(keys.map((key, number) => [cluster.length + number, key]));
  const others = new Ordinary({node, keys: indexed, aggregators});
  return {node, judge, ordinary: others, clock, config, server: createServer(node, judge)};
}

/** Has ordinary validators do one slot's duties at once, `at` being told to move the clock to each point. */
export async function playSlot({ordinary, clock}, slot, at) {
  for (const [bps, act] of SLOT_PLAN) {
    at(clock.pointOf(slot, bps));
    await act(ordinary, slot);
  }
}

/** Has ordinary validators do their duties by the clock, for ever. - `failed(error)`: is told what they could not do. */
export async function run({ordinary, clock}, failed) {
  for (let slot = clock.slot; ; slot++) {
    for (const [bps, act] of SLOT_PLAN) {
      await until(clock, clock.pointOf(slot, bps));
      if (clock.slot > slot) continue; // A busy machine: better late for this than for the next.
      try {
        await act(ordinary, slot);
      } catch (error) {
        failed(error);
      }
    }
  }
}

const until = (clock, ms) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms - clock.now())));
