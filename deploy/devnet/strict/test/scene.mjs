// A chain of ordinary validators on a clock that tests move by hand, and an outsider with all keys in hand.
import {createDevnet, playSlot} from "../src/devnet.mjs";
import {ordinaryKeys} from "../src/keys.mjs";

export const GENESIS_TIME = 1_800_000_000;

export class Scene {
  #now = GENESIS_TIME * 1000;

  constructor({validators = 16, ...rest} = {}) {
    this.keys = ordinaryKeys(validators);
    const now = () => this.#now;
    Object.assign(this, createDevnet({ordinary: validators, genesisTime: GENESIS_TIME, now, ...rest}));
    this.slot = 0;
  }

  /** Moves the clock to a point of a slot. */
  at(slot, bps = 0) {
    this.#now = this.clock.pointOf(slot, bps);
  }

  /** Plays every slot up to `last`, that one included. */
  async play(last) {
    for (; this.slot <= last; this.slot++) await playSlot(this, this.slot, (ms) => (this.#now = ms));
  }

  /** Begins the next slot with its block and its votes, and leaves the clock there: two thirds into it. */
  async half() {
    const slot = this.slot++;
    this.at(slot);
    await this.ordinary.propose(slot);
    this.at(slot, 3333);
    this.ordinary.vote(slot);
    this.at(slot, 6667);
    return slot;
  }

  /** Asks the API: `body` as JSON. */
  async ask(method, url, body, headers = {}) {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const type = payload === undefined ? {} : {"content-type": "application/json"};
    const reply = await this.server.inject({method, url, payload, headers: {...type, ...headers}});
    return {status: reply.statusCode, headers: reply.headers, body: reply.body === "" ? undefined : reply.json()};
  }

  /** The header that names the fork in force. */
  get version() {
    return {"eth-consensus-version": this.config.getForkName(this.clock.slot)};
  }
}
