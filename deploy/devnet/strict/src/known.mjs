// What was taken already, byte for byte: every node of a cluster hands the same thing in, and it is verified once.
import {toRootHex} from "./lodestar.mjs";

export class Known {
  /** By root of the whole signed object: its slot. */
  #slots = new Map();

  /** Runs `take` unless the same object, signature included, was taken before. */
  once(type, object, slot, take) {
    const hex = toRootHex(type.hashTreeRoot(object));
    if (this.#slots.has(hex)) return;
    take();
    this.#slots.set(hex, slot);
  }

  /** Forgets what is older than a slot. */
  forget(oldest) {
    for (const [hex, slot] of this.#slots) if (slot < oldest) this.#slots.delete(hex);
  }
}
