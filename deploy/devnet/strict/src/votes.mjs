// Who has voted for what, by signatures that verify: two votes of one validator must not be slashable.
import {Refused} from "./refused.mjs";

// Epochs of votes that are compared: more than any run of a devnet has.
const EPOCHS_MAX = 1024;

export class Votes {
  /** By validator: target epoch -> `{source, hex}`, the source's epoch and the root of the data. */
  #byValidator = new Map();
  #pairs = new Set();

  /** Pairs of votes that are slashable, in words, once each. */
  get slashable() {
    return [...this.#pairs];
  }

  /** Notes a vote; refuses one that is slashable beside an earlier one. The same one again is fine. */
  note(validator, {source, target}, hex) {
    const votes = this.#byValidator.get(validator) ?? this.#byValidator.set(validator, new Map()).get(validator);
    const before = votes.get(target.epoch);
    if (before?.hex === hex) return;
    if (before)
      this.#slashable(`validator ${validator} voted for ${before.hex} and for ${hex} in epoch ${target.epoch}`);
    for (const [epoch, vote] of votes) {
      const surrounds = (vote.source - source.epoch) * (target.epoch - epoch) > 0;
      const links = `${vote.source} to ${epoch} and ${source.epoch} to ${target.epoch}`;
      if (surrounds) this.#slashable(`validator ${validator} voted from ${links}: one surrounds the other`);
    }
    votes.set(target.epoch, {source: source.epoch, hex});
    votes.delete(target.epoch - EPOCHS_MAX);
  }

  #slashable(detail) {
    this.#pairs.add(detail);
    throw new Refused("attestation-slashable", detail);
  }

  /** Whether a validator was heard voting in an epoch. */
  has(epoch, validator) {
    return this.#byValidator.get(validator)?.has(epoch) ?? false;
  }
}
