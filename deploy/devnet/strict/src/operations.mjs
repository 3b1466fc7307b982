// What goes into blocks once in a validator's life, if at all: exits, slashings, changes of withdrawal credentials.
import {verifies} from "./keys.mjs";
import {params, transition} from "./lodestar.mjs";
import {Refused, must} from "./refused.mjs";

export class Operations {
  #exits = new Map();
  #proposerSlashings = new Map();
  #attesterSlashings = [];
  #changes = new Map();

  constructor({chain, clock}) {
    Object.assign(this, {chain, clock});
  }

  /** The state that a block of this slot would begin with. */
  get #state() {
    return this.chain.advanced(this.chain.head, Math.max(this.clock.slot, this.chain.head.slot));
  }

  /** Takes a SignedVoluntaryExit, or refuses it by the rule it breaks. */
  addExit(exit) {
    const state = this.#state;
    const {valid} = transition.VoluntaryExitValidity;
    const {validatorIndex, epoch} = exit.message;
    let validity;
    verifies(() => (validity = transition.getVoluntaryExitValidity(fork(state), state, exit, true)));
    validity ??= transition.VoluntaryExitValidity.invalidSignature;
    must(
      validity === valid,
      `exit-${validity.replaceAll("_", "-")}`,
      `exit of validator ${validatorIndex} in epoch ${epoch}`
    );
    this.#exits.set(validatorIndex, exit);
  }

  /** Takes a ProposerSlashing, or refuses it. */
  addProposerSlashing(slashing) {
    const state = this.#state;
    const proposer = Number(slashing.signedHeader1.message.proposerIndex);
    must(proposer < state.validators.length, "proposer-slashing", `no validator ${proposer}`);
    const validator = state.validators.getReadonly(proposer);
    this.#allow("proposer-slashing", () =>
      transition.assertValidProposerSlashing(
        state.config,
        this.chain.pubkeyCache,
        state.slot,
        slashing,
        validator,
        true
      )
    );
    this.#proposerSlashings.set(proposer, slashing);
  }

  /** Takes an AttesterSlashing, or refuses it. */
  addAttesterSlashing(slashing) {
    const state = this.#state;
    this.#allow("attester-slashing", () =>
      transition.assertValidAttesterSlashing(
        state.config,
        this.chain.pubkeyCache,
        state.slot,
        state.validators.length,
        slashing,
        true
      )
    );
    must(slashes(state, slashing), "attester-slashing", "nobody is slashed by it");
    this.#attesterSlashings.push(slashing);
  }

  /** Takes a SignedBLSToExecutionChange, or refuses it. */
  addChange(change) {
    const state = this.#state;
    const {validatorIndex} = change.message;
    must(validatorIndex < state.validators.length, "credentials-change", `no validator ${validatorIndex}`);
    this.#allow("credentials-change", () => {
      const {valid, error} = transition.isValidBlsToExecutionChange(
        state.config,
        state.validators.getReadonly(validatorIndex),
        change,
        true
      );
      if (!valid) throw error;
    });
    this.#changes.set(validatorIndex, change);
  }

  #allow(rule, check) {
    try {
      check();
    } catch (error) {
      throw new Refused(rule, error.message);
    }
  }

  get exits() {
    return [...this.#exits.values()];
  }

  get proposerSlashings() {
    return [...this.#proposerSlashings.values()];
  }

  get attesterSlashings() {
    return this.#attesterSlashings;
  }

  get changes() {
    return [...this.#changes.values()];
  }

  /** What a block on `state` takes: what is still allowed there, and nothing twice. */
  pack(state) {
    const slashable = (index) =>
      transition.isSlashableValidator(state.validators.getReadonly(index), state.epochCtx.epoch);
    const proposerSlashings = [...this.#proposerSlashings]
      .filter(([index]) => slashable(index))
      .slice(0, params.MAX_PROPOSER_SLASHINGS);
    const slashed = new Set(proposerSlashings.map(([index]) => index));
    const attesterSlashings = this.#attesterSlashings
      .filter((one) => slashes(state, one, slashed))
      .slice(0, params.MAX_ATTESTER_SLASHINGS_ELECTRA);
    attesterSlashings.flatMap(transition.getAttesterSlashableIndices).forEach((index) => slashed.add(index));
    const exits = [...this.#exits]
      .filter(
        ([index, exit]) => !slashed.has(index) && transition.isValidVoluntaryExit(fork(state), state, exit, false)
      )
      .slice(0, params.MAX_VOLUNTARY_EXITS);
    const changes = [...this.#changes]
      .filter(
        ([index]) => state.validators.getReadonly(index).withdrawalCredentials[0] === params.BLS_WITHDRAWAL_PREFIX
      )
      .slice(0, params.MAX_BLS_TO_EXECUTION_CHANGES);
    return {
      proposerSlashings: proposerSlashings.map(([, one]) => one),
      attesterSlashings,
      voluntaryExits: exits.map(([, one]) => one),
      blsToExecutionChanges: changes.map(([, one]) => one),
    };
  }
}

/** Whether somebody is slashed who is not in `already`. */
function slashes(state, slashing, already = new Set()) {
  return transition
    .getAttesterSlashableIndices(slashing)
    .some(
      (index) =>
        !already.has(index) &&
        transition.isSlashableValidator(state.validators.getReadonly(index), state.epochCtx.epoch)
    );
}

const fork = (state) => state.config.getForkSeq(state.slot);
