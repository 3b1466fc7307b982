// The namespace "beacon": blocks, pools, rewards, and (in states.mjs) states.
import {firstSlotOf} from "../clock.mjs";
import {Tree, params, sszTypesFor, toRootHex, transition} from "../lodestar.mjs";
import {versionedHash} from "../payload.mjs";
import {blindedTwin} from "../publication.mjs";
import {must} from "../refused.mjs";
import {blockOf, metaOf} from "./ids.mjs";
import {stateMethods} from "./states.mjs";

export function beaconMethods(node) {
  return {
    getGenesis: () => ({
      data: {
        genesisTime: node.chain.genesisTime,
        genesisValidatorsRoot: node.config.genesisValidatorsRoot,
        genesisForkVersion: node.config.GENESIS_FORK_VERSION,
      },
    }),
    ...blockMethods(node),
    ...poolMethods(node),
    ...rewardMethods(node),
    ...stateMethods(node),
  };
}

function blockMethods(node) {
  const reply = (blockId, read) => {
    const entry = blockOf(node, blockId);
    return {data: read(entry), meta: metaOf(node, entry)};
  };
  return {
    getBlockV2: ({blockId}) => reply(blockId, ({block}) => block),
    getBlindedBlock: ({blockId}) => reply(blockId, ({block}) => blindedTwin(node.config, block)),
    getBlockAttestationsV2: ({blockId}) => reply(blockId, ({block}) => block.message.body.attestations),
    getBlockHeader: ({blockId}) => reply(blockId, (entry) => header(node, entry)),
    getBlockHeaders: ({slot, parentRoot}) => headers(node, slot, parentRoot),
    getBlockRoot: ({blockId}) => reply(blockId, ({root}) => ({root})),
    getBlobSidecars: ({blockId, indices}) => reply(blockId, (entry) => sidecars(node, entry, indices)),
    getBlobs: ({blockId, versionedHashes}) => reply(blockId, (entry) => blobs(entry, versionedHashes)),
    publishBlockV2: ({signedBlockContents}) => ({
      status: node.taking("block", () => node.publication.publish(signedBlockContents)),
    }),
    publishBlindedBlockV2: async ({signedBlindedBlock}) => ({
      status: await node.taking("blinded_block", () => node.publication.publishBlinded(signedBlindedBlock)),
    }),
  };
}

function header(node, {root, block}) {
  return {root, canonical: true, header: transition.signedBlockToSignedHeader(node.config, block)};
}

function headers(node, slot, parentRoot) {
  const {entries, head} = node.chain;
  const wanted = parentRoot === undefined ? (slot ?? head.slot) : slot;
  const found = entries.filter(
    (entry) =>
      (wanted === undefined || entry.slot === wanted) &&
      (parentRoot === undefined || toRootHex(entry.block.message.parentRoot) === parentRoot.toLowerCase())
  );
  return {data: found.map((entry) => header(node, entry)), meta: metaOf(node, found[0] ?? head)};
}

function blobs({block, blobs: all}, wanted) {
  const hashes = block.message.body.blobKzgCommitments?.map(versionedHash) ?? [];
  return all.filter((_, number) => !wanted || wanted.includes(hashes[number]));
}

/** Blob sidecars with their inclusion proofs; from Fulu on there are none (data columns are sampled instead). */
function sidecars(node, {block, blobs: all, kzgProofs}, indices) {
  const fork = node.config.getForkName(block.message.slot);
  must(!params.isForkPostFulu(fork), "blob-sidecars", "no blob sidecars from Fulu on; ask for blobs");
  const {body} = block.message;
  const tree = new Tree(sszTypesFor(fork).BeaconBlockBody.toView(body).node);
  const proof = (number) => tree.getSingleProof(BigInt(params.KZG_COMMITMENT_GINDEX0 + number));
  return all
    .map((blob, index) => ({
      index,
      blob,
      kzgCommitment: body.blobKzgCommitments[index],
      kzgProof: kzgProofs[index],
      signedBlockHeader: transition.signedBlockToSignedHeader(node.config, block),
      kzgCommitmentInclusionProof: proof(index),
    }))
    .filter(({index}) => !indices?.length || indices.includes(index));
}

function poolMethods(node) {
  const {attestations, syncVotes, operations} = node;
  const version = () => ({version: node.config.getForkName(node.clock.slot)});
  const take = (kind, event, add) => (item) => {
    node.taking(kind, () => add(item));
    node.emit(event, item);
  };
  const exit = take("exit", "voluntary_exit", (one) => operations.addExit(one));
  const proposerSlashing = take("slashing", "proposer_slashing", (one) => operations.addProposerSlashing(one));
  const attesterSlashing = take("slashing", "attester_slashing", (one) => operations.addAttesterSlashing(one));
  return {
    getPoolAttestationsV2: ({slot, committeeIndex}) => ({
      data: attestations.list({slot, committee: committeeIndex}),
      meta: version(),
    }),
    getPoolAttesterSlashingsV2: () => ({data: operations.attesterSlashings, meta: version()}),
    getPoolProposerSlashings: () => ({data: operations.proposerSlashings}),
    getPoolVoluntaryExits: () => ({data: operations.exits}),
    getPoolBLSToExecutionChanges: () => ({data: operations.changes}),
    submitPoolAttestationsV2({signedAttestations}) {
      node.takingEach("attest", signedAttestations, (one) => {
        must("attesterIndex" in one, "attestation-shape", "from Electra on attestations are SingleAttestation");
        attestations.addSingle(one);
        node.emit("single_attestation", one);
      });
    },
    submitPoolAttesterSlashingsV2: ({attesterSlashing: one}) => attesterSlashing(one),
    submitPoolProposerSlashings: ({proposerSlashing: one}) => proposerSlashing(one),
    submitPoolVoluntaryExit: ({signedVoluntaryExit}) => exit(signedVoluntaryExit),
    submitPoolBLSToExecutionChange({blsToExecutionChanges}) {
      node.takingEach("credentials_change", blsToExecutionChanges, (one) => {
        operations.addChange(one);
        node.emit("bls_to_execution_change", one);
      });
    },
    submitPoolSyncCommitteeSignatures: ({signatures}) =>
      node.takingEach("sync_message", signatures, (one) => syncVotes.addMessage(one)),
  };
}

function rewardMethods(node) {
  const {chain, config} = node;
  const preState = (entry) => {
    must(entry !== chain.genesis, "rewards-genesis", "nobody earned the genesis block", 404);
    return chain.advanced(chain.byRoot(toRootHex(entry.block.message.parentRoot)), entry.slot);
  };
  return {
    async getBlockRewards({blockId}) {
      const entry = blockOf(node, blockId);
      const data = await transition.computeBlockRewards(
        config,
        entry.block.message,
        preState(entry),
        entry.state.proposerRewards
      );
      return {data, meta: metaOf(node, entry)};
    },
    async getAttestationsRewards({epoch, validatorIds}) {
      // Every attestation that could still be included has been, at the end of the next epoch.
      const slot = firstSlotOf(epoch + 2) - 1;
      must(
        slot <= chain.head.slot,
        "rewards-epoch",
        `the head is of slot ${chain.head.slot}, rewards are known from ${slot} on`,
        404
      );
      const data = await transition.computeAttestationsRewards(
        config,
        chain.pubkeyCache,
        chain.stateAt(slot),
        validatorIds
      );
      return {data, meta: metaOf(node, chain.at(slot))};
    },
    async getSyncCommitteeRewards({blockId, validatorIds}) {
      const entry = blockOf(node, blockId);
      const data = await transition.computeSyncCommitteeRewards(
        config,
        chain.pubkeyCache,
        entry.block.message,
        preState(entry),
        validatorIds
      );
      return {data, meta: metaOf(node, entry)};
    },
  };
}
