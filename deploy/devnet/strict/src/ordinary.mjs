// Ordinary validators inside the node: they do every duty by the same doors as everybody else, and never fail.
import {dataHex} from "./chain.mjs";
import {epochOf} from "./clock.mjs";
import {blockRoot} from "./production.mjs";
import {params, ssz, transition} from "./lodestar.mjs";
import {sign} from "./keys.mjs";

const SUBNET_SIZE = params.SYNC_COMMITTEE_SIZE / params.SYNC_COMMITTEE_SUBNET_COUNT;

export class Ordinary {
  /** - `keys`: validator index -> secret key. */
  constructor({node, keys, feeRecipient = `0x${"0a".repeat(20)}`}) {
    Object.assign(this, {node, keys});
    for (const index of keys.keys()) node.feeRecipients.set(index, feeRecipient);
  }

  get #config() {
    return this.node.config;
  }

  #sign(index, type, object, domainType, slot) {
    return sign(this.keys.get(index), type.hashTreeRoot(object), this.#config.getDomain(slot, domainType, slot));
  }

  /** The active ones among `indices` whose key is here. */
  #ours(indices) {
    return [...indices].filter((index) => this.keys.has(index));
  }

  /** At a slot's start: the block, if one of these proposes it. */
  async propose(slot) {
    const {chain, production, publication} = this.node;
    if (slot === 0 || slot <= chain.head.slot) return;
    const proposer = chain.advanced(chain.head, slot).epochCtx.getBeaconProposer(slot);
    if (!this.keys.has(proposer) || this.#isSlashed(proposer)) return;
    const randaoReveal = this.#sign(proposer, ssz.Epoch, epochOf(slot), params.DOMAIN_RANDAO, slot);
    const {data} = await production.produce({slot, randaoReveal, graffiti: "ordinary", boost: 0n});
    const signature = this.signBlock(proposer, data.block);
    const {kzgProofs, blobs} = data;
    this.node.taking("block", () =>
      publication.publish({signedBlock: {message: data.block, signature}, kzgProofs, blobs})
    );
  }

  signBlock(proposer, block) {
    const domain = this.#config.getDomain(block.slot, params.DOMAIN_BEACON_PROPOSER, block.slot);
    return sign(this.keys.get(proposer), blockRoot(this.#config, block), domain);
  }

  #isSlashed(index) {
    return this.node.chain.head.state.validators.getReadonly(index).slashed;
  }

  /** A third into a slot: attestations and sync committee messages. */
  vote(slot) {
    const {node} = this;
    const data = attestationData(node.chain, slot);
    for (const [committeeIndex, committee] of committeesOf(node.chain, slot)) {
      for (const attesterIndex of this.#ours(committee)) {
        const signature = this.#sign(
          attesterIndex,
          ssz.phase0.AttestationData,
          data,
          params.DOMAIN_BEACON_ATTESTER,
          slot
        );
        node.taking("attest", () => node.attestations.addSingle({committeeIndex, attesterIndex, data, signature}));
      }
    }
    const beaconBlockRoot = node.chain.head.root;
    for (const validatorIndex of this.#ours(node.syncVotes.committee(slot).validatorIndexMap.keys())) {
      const signature = this.#sign(validatorIndex, ssz.Root, beaconBlockRoot, params.DOMAIN_SYNC_COMMITTEE, slot);
      node.taking("sync_message", () => node.syncVotes.addMessage({slot, beaconBlockRoot, validatorIndex, signature}));
    }
  }

  /** Two thirds into a slot: aggregates and contributions, one of each committee that has one of these in it. */
  aggregate(slot) {
    const hex = dataHex(attestationData(this.node.chain, slot));
    for (const [index, committee] of committeesOf(this.node.chain, slot))
      this.#aggregateCommittee(slot, index, committee, hex);
    const {validatorIndices} = this.node.syncVotes.committee(slot);
    for (let sub = 0; sub < params.SYNC_COMMITTEE_SUBNET_COUNT; sub++) {
      this.#contribute(slot, sub, [...validatorIndices].slice(sub * SUBNET_SIZE, (sub + 1) * SUBNET_SIZE));
    }
  }

  #aggregateCommittee(slot, index, committee, hex) {
    const {node} = this;
    const proof = (validator) => this.#sign(validator, ssz.Slot, slot, params.DOMAIN_SELECTION_PROOF, slot);
    const selected = this.#ours(committee).find((one) =>
      transition.isAggregatorFromCommitteeLength(committee.length, proof(one))
    );
    const aggregate = node.attestations.aggregated(hex, slot, index);
    if (selected === undefined || !aggregate) return;
    const message = {aggregatorIndex: selected, aggregate, selectionProof: proof(selected)};
    const signature = this.#sign(
      selected,
      ssz.electra.AggregateAndProof,
      message,
      params.DOMAIN_AGGREGATE_AND_PROOF,
      slot
    );
    node.taking("aggregate", () => node.attestations.addAggregate({message, signature}));
  }

  #contribute(slot, sub, members) {
    const {node} = this;
    const proof = (validator) =>
      this.#sign(
        validator,
        ssz.altair.SyncAggregatorSelectionData,
        {slot, subcommitteeIndex: sub},
        params.DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF,
        slot
      );
    const selected = this.#ours(members).find((one) => transition.isSyncCommitteeAggregator(proof(one)));
    const contribution = node.syncVotes.contribution(slot, node.chain.head.root, sub);
    if (selected === undefined || !contribution) return;
    const message = {aggregatorIndex: selected, contribution, selectionProof: proof(selected)};
    const signature = this.#sign(
      selected,
      ssz.altair.ContributionAndProof,
      message,
      params.DOMAIN_CONTRIBUTION_AND_PROOF,
      slot
    );
    node.taking("contribute", () => node.syncVotes.addContribution({message, signature}));
  }
}

/** What a validator should attest to in a slot, by the canonical chain. */
export function attestationData(chain, slot) {
  const entry = chain.at(slot);
  return {slot, index: 0, beaconBlockRoot: entry.root, ...chain.votesFor(entry, epochOf(slot))};
}

/** Committees of a slot: `[index, members]`. */
export function committeesOf(chain, slot) {
  const {epochCtx} = chain.stateAt(slot);
  return Array.from({length: epochCtx.getCommitteeCountPerSlot(epochOf(slot))}, (_, index) => [
    index,
    epochCtx.getBeaconCommittee(slot, index),
  ]);
}
