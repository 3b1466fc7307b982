// Ordinary validators inside the node: they do every duty by the same doors as everybody else, and never fail.
import {epochOf} from "./clock.mjs";
import {blockRoot} from "./production.mjs";
import {params, ssz, transition} from "./lodestar.mjs";
import {sign} from "./keys.mjs";

const SUBNET_SIZE = params.SYNC_COMMITTEE_SIZE / params.SYNC_COMMITTEE_SUBNET_COUNT;

export class Ordinary {
  /** - `keys`: validator index -> secret key. - `aggregators`: at most so many of a committee aggregate. */
  constructor({node, keys, aggregators = 1, feeRecipient = `0x${"0a".repeat(20)}`}) {
    Object.assign(this, {node, keys, aggregators});
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

  /** Two thirds into a slot: aggregates and contributions, of each committee that has one of these in it. */
  aggregate(slot) {
    const {chain, attestations, syncVotes} = this.node;
    for (const [index, committee] of committeesOf(chain, slot)) {
      // Somebody may have seen the block in time, somebody not: neither's vote shall be lost.
      for (const hex of attestations.votedFor(slot)) this.#aggregateCommittee(slot, index, committee, hex);
    }
    const members = [...syncVotes.committee(slot).validatorIndices];
    for (let sub = 0; sub < params.SYNC_COMMITTEE_SUBNET_COUNT; sub++) {
      this.#contribute(slot, sub, members.slice(sub * SUBNET_SIZE, (sub + 1) * SUBNET_SIZE));
    }
  }

  /** The first of these that their selection proof selects: `[index, proof]`. */
  #selected(members, prove, isSelected) {
    const proven = this.#ours(new Set(members)).map((index) => [index, prove(index)]);
    return proven.filter(([, proof]) => isSelected(proof)).slice(0, this.aggregators);
  }

  #aggregateCommittee(slot, index, committee, hex) {
    const aggregate = this.node.attestations.aggregated(hex, slot, index);
    if (!aggregate) return;
    const prove = (validator) => this.#sign(validator, ssz.Slot, slot, params.DOMAIN_SELECTION_PROOF, slot);
    const isSelected = (proof) => transition.isAggregatorFromCommitteeLength(committee.length, proof);
    for (const [aggregatorIndex, selectionProof] of this.#selected(committee, prove, isSelected)) {
      const message = {aggregatorIndex, aggregate, selectionProof};
      const domain = params.DOMAIN_AGGREGATE_AND_PROOF;
      const signature = this.#sign(aggregatorIndex, ssz.electra.AggregateAndProof, message, domain, slot);
      this.node.taking("aggregate", () => this.node.attestations.addAggregate({message, signature}));
    }
  }

  #contribute(slot, subcommitteeIndex, members) {
    const {syncVotes, chain} = this.node;
    const contribution = syncVotes.contribution(slot, chain.head.root, subcommitteeIndex);
    if (!contribution) return;
    const {SyncAggregatorSelectionData, ContributionAndProof} = ssz.altair;
    const selection = {slot, subcommitteeIndex};
    const domain = params.DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF;
    const prove = (validator) => this.#sign(validator, SyncAggregatorSelectionData, selection, domain, slot);
    for (const [aggregatorIndex, selectionProof] of this.#selected(
      members,
      prove,
      transition.isSyncCommitteeAggregator
    )) {
      const message = {aggregatorIndex, contribution, selectionProof};
      const outer = params.DOMAIN_CONTRIBUTION_AND_PROOF;
      const signature = this.#sign(aggregatorIndex, ContributionAndProof, message, outer, slot);
      this.node.taking("contribute", () => syncVotes.addContribution({message, signature}));
    }
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
