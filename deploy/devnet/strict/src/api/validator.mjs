// The namespace "validator": duties, what to sign, and what was signed.
import {epochOf, firstSlotOf} from "../clock.mjs";
import {isFulu} from "../chain.mjs";
import {params, toRootHex, transition} from "../lodestar.mjs";
import {attestationData} from "../ordinary.mjs";
import {Refused, must} from "../refused.mjs";

export function validatorMethods(node) {
  return {...dutyMethods(node), ...productionMethods(node), ...submissionMethods(node), ...preparationMethods(node)};
}

function dutyMethods(node) {
  const {chain, clock, config} = node;
  const pubkeyOf = (index) => chain.head.state.validators.getReadonly(index).pubkey;
  const soon = (epoch) =>
    must(epoch <= clock.epoch + 1, "duties-epoch", `duties of epoch ${epoch} are not settled in epoch ${clock.epoch}`);
  const known = (indices) => indices.filter((index) => index < chain.head.state.validators.length);
  const proposers = (epoch, lookahead) => {
    soon(epoch);
    const data = chain.proposersOf(epoch, clock.slot).map((validatorIndex, at) => ({
      slot: firstSlotOf(epoch) + at,
      validatorIndex,
      pubkey: pubkeyOf(validatorIndex),
    }));
    return {
      data,
      meta: {executionOptimistic: false, dependentRoot: toRootHex(chain.proposerDependentRoot(epoch, lookahead))},
    };
  };
  return {
    getProposerDuties: ({epoch}) => proposers(epoch, false),
    getProposerDutiesV2: ({epoch}) => proposers(epoch, isFulu(config, firstSlotOf(epoch))),
    getAttesterDuties({epoch, indices}) {
      soon(epoch);
      const {epochCtx} =
        epoch > clock.epoch ? chain.stateAt(Math.max(clock.slot, chain.head.slot)) : chain.stateOfEpoch(epoch);
      const assigned = epochCtx.getCommitteeAssignments(epoch, known(indices));
      const data = [...assigned.values()].map((duty) => ({...duty, pubkey: pubkeyOf(duty.validatorIndex)}));
      return {data, meta: {executionOptimistic: false, dependentRoot: toRootHex(chain.attesterDependentRoot(epoch))}};
    },
    getSyncCommitteeDuties({epoch, indices}) {
      const {state} = chain.head;
      const period = transition.computeSyncPeriodAtEpoch(epoch);
      const ahead = period - transition.computeSyncPeriodAtEpoch(clock.epoch);
      must(
        ahead === 0 || ahead === 1,
        "duties-epoch",
        `the sync committee of epoch ${epoch} is not known in epoch ${clock.epoch}`
      );
      const at = period <= state.epochCtx.syncPeriod + 1 ? state : chain.stateAt(clock.slot);
      const members = at.epochCtx.getIndexedSyncCommitteeAtEpoch(epoch).validatorIndexMap;
      const data = known(indices)
        .filter((index) => members.has(index))
        .map((index) => ({
          pubkey: pubkeyOf(index),
          validatorIndex: index,
          validatorSyncCommitteeIndices: members.get(index),
        }));
      return {data, meta: {executionOptimistic: false}};
    },
    getLiveness({epoch, indices}) {
      must(
        Math.abs(epoch - clock.epoch) <= 1,
        "liveness-epoch",
        `liveness in epoch ${epoch} is not known in epoch ${clock.epoch}`
      );
      const proposed = new Set(
        chain.entries
          .filter(({slot}) => slot > 0 && epochOf(slot) === epoch)
          .map(({block}) => block.message.proposerIndex)
      );
      return {
        data: indices.map((index) => ({
          index,
          isLive: node.attestations.votes.has(epoch, index) || proposed.has(index),
        })),
      };
    },
  };
}

function productionMethods(node) {
  const {chain, clock, config} = node;
  return {
    produceBlockV3: ({slot, randaoReveal, graffiti, feeRecipient, builderSelection, builderBoostFactor}) =>
      node.taking("production", () =>
        node.production.produce({
          slot,
          randaoReveal,
          graffiti: graffiti ?? "strict",
          feeRecipient,
          boost: ["executiononly", "executionalways"].includes(builderSelection) ? 0n : builderBoostFactor,
        })
      ),
    produceAttestationData({slot, committeeIndex = 0}) {
      must(clock.hasBegun(slot), "attestation-early", `attestation data for slot ${slot} in slot ${clock.slot}`);
      must(
        epochOf(slot) >= clock.epoch - 1,
        "attestation-late",
        `attestation data for slot ${slot} in slot ${clock.slot}`
      );
      const count = chain.stateAt(slot).epochCtx.getCommitteeCountPerSlot(epochOf(slot));
      must(committeeIndex < count, "attestation-committee", `committee ${committeeIndex} of ${count} in slot ${slot}`);
      return {data: attestationData(chain, slot)};
    },
    getAggregatedAttestationV2({attestationDataRoot, slot, committeeIndex}) {
      const data = node.attestations.aggregated(toRootHex(attestationDataRoot), slot, committeeIndex);
      must(
        data,
        "aggregate-unknown",
        `no attestations for ${toRootHex(attestationDataRoot)} of committee ${committeeIndex}`,
        404
      );
      return {data, meta: {version: config.getForkName(slot)}};
    },
    produceSyncCommitteeContribution({slot, subcommitteeIndex, beaconBlockRoot}) {
      const data = node.syncVotes.contribution(slot, beaconBlockRoot, subcommitteeIndex);
      must(
        data,
        "contribution-unknown",
        `no sync committee messages for ${toRootHex(beaconBlockRoot)} in slot ${slot}`,
        404
      );
      return {data};
    },
  };
}

function submissionMethods(node) {
  return {
    publishAggregateAndProofsV2: ({signedAggregateAndProofs}) =>
      node.takingEach("aggregate", signedAggregateAndProofs, (one) => {
        must(one.message.aggregate.committeeBits, "aggregate-shape", "from Electra on aggregates have committee bits");
        node.attestations.addAggregate(one);
        node.emit("attestation", one.message.aggregate);
      }),
    publishContributionAndProofs: ({contributionAndProofs}) =>
      node.takingEach("contribute", contributionAndProofs, (one) => {
        node.syncVotes.addContribution(one);
        node.emit("contribution_and_proof", one);
      }),
    async registerValidator({registrations}) {
      node.takingEach("registration", registrations, (one) => node.addRegistration(one));
      await node.builder?.register(registrations);
    },
  };
}

function preparationMethods(node) {
  const ownedByMiddleware = () => {
    throw new Refused("selections", "a beacon node combines no selection proofs", 501);
  };
  return {
    prepareBeaconCommitteeSubnet({subscriptions}) {
      node.takingEach("subscription", subscriptions, (one) => checkCommitteeSubscription(node, one));
      for (const {slot, validatorIndex, isAggregator} of subscriptions) {
        node.subscriptions.committee.add(`${slot}/${validatorIndex}/${isAggregator}`);
      }
    },
    prepareSyncCommitteeSubnets({subscriptions}) {
      node.takingEach("subscription", subscriptions, (one) => {
        must(
          one.validatorIndex < node.chain.head.state.validators.length,
          "subscription",
          `no validator ${one.validatorIndex}`
        );
        must(
          one.syncCommitteeIndices.every((index) => index < params.SYNC_COMMITTEE_SIZE),
          "subscription",
          `no sync committee index ${one.syncCommitteeIndices}`
        );
      });
      for (const {validatorIndex, untilEpoch} of subscriptions) {
        node.subscriptions.sync.add(`${validatorIndex}/${untilEpoch}`);
      }
    },
    prepareBeaconProposer({proposers}) {
      for (const {validatorIndex, feeRecipient} of proposers) node.feeRecipients.set(validatorIndex, feeRecipient);
    },
    submitBeaconCommitteeSelections: ownedByMiddleware,
    submitSyncCommitteeSelections: ownedByMiddleware,
  };
}

/** A subscription says what the shuffling says. */
function checkCommitteeSubscription({chain, clock}, {validatorIndex, committeeIndex, committeesAtSlot, slot}) {
  const epoch = epochOf(slot);
  must(epoch <= clock.epoch + 1, "subscription", `slot ${slot} is too far ahead in slot ${clock.slot}`);
  if (epoch < clock.epoch) return;
  const {epochCtx} = chain.stateAt(Math.max(clock.slot, chain.head.slot));
  const duty = epochCtx.getCommitteeAssignments(epoch, [validatorIndex]).get(validatorIndex);
  const fits =
    duty && duty.slot === slot && duty.committeeIndex === committeeIndex && duty.committeesAtSlot === committeesAtSlot;
  must(
    fits,
    "subscription",
    `validator ${validatorIndex} is not in committee ${committeeIndex} of ${committeesAtSlot} in slot ${slot}`
  );
}
