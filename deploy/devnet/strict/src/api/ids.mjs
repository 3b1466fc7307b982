// What callers of the API name things by: "head", a slot, a root, an index, a public key.
import {fromHex, toHex} from "../lodestar.mjs";
import {Refused, must} from "../refused.mjs";

const isRoot = (id) => /^0x[0-9a-fA-F]{64}$/.test(id);
const isNumber = (id) => /^\d+$/.test(id);

/** The block that a block identifier means; refuses with 400 what is none, with 404 what is not there. */
export function blockOf({chain}, id) {
  const named = {head: chain.head, genesis: chain.genesis, finalized: chain.finalized, justified: chain.justified}[id];
  if (named) return named;
  must(isRoot(id) || isNumber(id), "block-id", `${id} names no block`);
  const found = isRoot(id) ? chain.byRoot(id.toLowerCase()) : chain.entries.find(({slot}) => slot === Number(id));
  must(found, "block-unknown", `no block ${id}`, 404);
  return found;
}

/** The state that a state identifier means, and the block it stands on. */
export function stateOf(node, id) {
  const {chain, clock} = node;
  if (isNumber(id)) {
    const slot = Number(id);
    must(slot <= Math.max(chain.head.slot, clock.slot), "state-unknown", `slot ${slot} is in the future`, 404);
    return {state: chain.stateAt(slot), entry: chain.at(slot)};
  }
  const entry = isRoot(id) ? byStateRoot(chain, id.toLowerCase()) : blockOf(node, id);
  must(entry.state, "state-unknown", `the state ${id} is not kept any more`, 404);
  return {state: entry.state, entry};
}

function byStateRoot(chain, id) {
  const found = chain.entries.find(({block}) => toHex(block.message.stateRoot) === id);
  must(found, "state-unknown", `no state ${id}`, 404);
  return found;
}

/** What replies say about a block beside their data. */
export function metaOf({chain, config}, entry) {
  return {
    executionOptimistic: false,
    finalized: entry.slot <= chain.finalized.slot,
    version: config.getForkName(entry.slot),
  };
}

/** Index of a validator that is named by index or key; `null` if the state has none such. Refuses with 400 what is neither. */
export function indexOf(state, id) {
  const text = String(id);
  if (isNumber(text)) return Number(text) < state.validators.length ? Number(text) : null;
  if (!/^0x[0-9a-fA-F]{96}$/.test(text))
    throw new Refused("validator-id", `${text} is neither an index nor a public key`);
  return state.epochCtx.getValidatorIndex(fromHex(text));
}

/** Indices of the named validators, without those that are not there; of all if none are named. */
export function indicesOf(state, ids) {
  if (!ids?.length) return Array.from({length: state.validators.length}, (_, index) => index);
  return ids.map((id) => indexOf(state, id)).filter((index) => index !== null);
}
