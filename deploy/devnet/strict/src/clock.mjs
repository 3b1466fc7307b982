// Time as slots. Whoever makes a clock says what time it is: the machine's in the program, a variable in tests.
import {params} from "./lodestar.mjs";

// What gossip allows for clocks that differ (MAXIMUM_GOSSIP_CLOCK_DISPARITY of the specs).
const DISPARITY_MS = 500;

export class Clock {
  /** - `now`: gives Unix milliseconds. */
  constructor({genesisMs, slotMs, now = Date.now}) {
    Object.assign(this, {genesisMs, slotMs, now});
  }

  /** The slot now; 0 before genesis too. */
  get slot() {
    return this.#slotAt(this.now());
  }

  get epoch() {
    return epochOf(this.slot);
  }

  /** Whether an object of this very slot may be handed in now: clocks may differ a little. */
  isCurrent(slot) {
    const now = this.now();
    return this.#slotAt(now - DISPARITY_MS) <= slot && slot <= this.#slotAt(now + DISPARITY_MS);
  }

  /** Whether a slot has begun, give or take what clocks may differ. */
  hasBegun(slot) {
    return slot <= this.#slotAt(this.now() + DISPARITY_MS);
  }

  /** Unix milliseconds of the point `bps` basis points into a slot. */
  pointOf(slot, bps = 0) {
    return this.genesisMs + slot * this.slotMs + Math.floor((this.slotMs * bps) / 10_000);
  }

  #slotAt(ms) {
    return Math.max(0, Math.floor((ms - this.genesisMs) / this.slotMs));
  }
}

export const epochOf = (slot) => Math.floor(slot / params.SLOTS_PER_EPOCH);
export const firstSlotOf = (epoch) => epoch * params.SLOTS_PER_EPOCH;
