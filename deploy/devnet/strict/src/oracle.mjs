// Every route of the namespaces beacon, config, events, node and validator, with arguments that mean something now.
//
// Kinds: "same" has the same answer on both sides once keys are mapped; "class" only the same class of status (what is
// handed in here is well-formed and wrong, so nothing comes of it); "own" is answered by a distributed validator's node
// for itself; "absent" is of a later fork, or no beacon node's business.
import {epochOf} from "./clock.mjs";
import {api, params, ssz, transition} from "./lodestar.mjs";

// Slots behind the head that are asked about: what is there does not change any more.
const SETTLED_SLOTS = 4;
const NAMESPACES = ["beacon", "config", "events", "node", "validator"];

/** What questions are made of: a settled block, indices, keys and slots of the cluster's validators. */
export async function facts(client, config, keys) {
  const head = (await client.beacon.getBlockHeader({blockId: "head"})).value().header.message.slot;
  const slot = Math.max(1, head - SETTLED_SLOTS);
  const listed = (await client.beacon.postStateValidators({stateId: "head"})).value();
  const groups = new Set(keys.map(({group}) => group));
  const index = new Map(listed.map((one) => [toText(one.validator.pubkey), one.index]));
  const others = listed.filter((one) => !groups.has(toText(one.validator.pubkey))).map((one) => one.index);
  const {genesisTime} = (await client.beacon.getGenesis()).value();
  const block = (await client.beacon.getBlockV2({blockId: await blockAt(client, slot)})).value();
  return {
    config,
    keys,
    slot: block.message.slot,
    epoch: epochOf(head),
    block,
    indices: keys.map(({group}) => index.get(group)),
    others,
    slotStart: (at, bps = 0) =>
      genesisTime * 1000 + at * config.SLOT_DURATION_MS + (config.SLOT_DURATION_MS * bps) / 10_000,
    fork: config.getForkName(head),
  };
}

const toText = (bytes) => `0x${Buffer.from(bytes).toString("hex")}`;

/** The first slot from `slot` back that has a block, preferably one that carries blobs. */
async function blockAt(client, slot) {
  let found;
  for (let at = slot; at > 0 && at > slot - params.SLOTS_PER_EPOCH; at--) {
    const header = await client.beacon.getBlockV2({blockId: at});
    if (!header.ok) continue;
    found ??= at;
    if (header.value().message.body.blobKzgCommitments.length > 0) return at;
  }
  return found;
}

/** All questions, the timed ones last. */
export async function* plan(known, clients) {
  yield* settled(known);
  yield* timed(known, clients);
}

/** The questions that can be asked at any time. */
export function* settled(known) {
  const questions = {
    beacon: {...blocks(known), ...states(known), ...pools(known), ...rewards(known)},
    config: {getDepositContract: same(), getForkSchedule: same(), getSpec: same()},
    node: nodeRoutes(),
    validator: {...duties(known), ...preparations(known), ...absentOfValidator(known)},
  };
  ensureComplete(known.config, questions);
  for (const namespace of Object.keys(questions)) {
    for (const [route, question] of Object.entries(questions[namespace])) yield {namespace, route, ...question};
  }
}

const TIMED = ["produceAttestationData", "getAggregatedAttestationV2", "produceSyncCommitteeContribution"];

/** A route that the libraries know and this file does not is a mistake of this file. */
function ensureComplete(config, questions) {
  for (const namespace of NAMESPACES.filter((one) => one !== "events")) {
    const asked = new Set([...Object.keys(questions[namespace]), ...TIMED]);
    const missing = Object.keys(api.routes[namespace].getDefinitions(config)).filter((route) => !asked.has(route));
    if (missing.length > 0) throw Error(`no question for ${namespace}: ${missing}`);
  }
}

const question = (kind) => (args) => ({kind, args: args && (typeof args === "function" ? args : () => args)});
const same = question("same");
const byClass = question("class");
const own = question("own");
const absent = question("absent");

function blocks({block, slot, config, fork}) {
  const blockId = slot;
  const wrong = new Uint8Array(96).fill(1);
  const types = config.getPostDenebForkTypes(slot);
  const signedBlockContents = {
    ...types.SignedBlockContents.defaultValue(),
    signedBlock: {message: block.message, signature: wrong},
  };
  const blinded = {message: transition.beaconBlockToBlinded(config, block.message), signature: wrong};
  const gloas = ssz.gloas;
  return {
    getGenesis: same(),
    getBlockV2: same({blockId}),
    getBlindedBlock: same({blockId}),
    getBlockAttestationsV2: same({blockId}),
    getBlockHeader: same({blockId}),
    getBlockHeaders: same({slot}),
    getBlockRoot: same({blockId}),
    getBlobSidecars: fork === "fulu" ? byClass({blockId}) : same({blockId}),
    getBlobs: same({blockId}),
    publishBlockV2: byClass({signedBlockContents}),
    publishBlindedBlockV2: byClass({signedBlindedBlock: blinded}),
    publishExecutionPayloadEnvelope: absent({
      signedEnvelopeOrContents: gloas.SignedExecutionPayloadEnvelope.defaultValue(),
    }),
    publishExecutionPayloadBid: absent({signedExecutionPayloadBid: gloas.SignedExecutionPayloadBid.defaultValue()}),
    getSignedExecutionPayloadEnvelope: absent({blockId}),
  };
}

function states({slot, keys, indices, fork}) {
  const stateId = slot;
  const ids = (side) => keys.map((key) => key[side]);
  const ofAll = (side) => ({stateId, validatorIds: [...ids(side), ...indices]});
  return {
    getStateRoot: same({stateId}),
    getStateFork: same({stateId}),
    getStateRandao: same({stateId}),
    getStateFinalityCheckpoints: same({stateId}),
    getStateValidator: same((side) => ({stateId, validatorId: ids(side)[0]})),
    getStateValidators: same(ofAll),
    postStateValidators: same(ofAll),
    postStateValidatorIdentities: same(ofAll),
    getStateValidatorBalances: same(ofAll),
    postStateValidatorBalances: same(ofAll),
    getEpochCommittees: same({stateId}),
    getEpochSyncCommittees: same({stateId}),
    getPendingDeposits: same({stateId}),
    getPendingPartialWithdrawals: same({stateId}),
    getPendingConsolidations: same({stateId}),
    getProposerLookahead: fork === "fulu" ? same({stateId}) : byClass({stateId}),
    getStateBuilders: absent({stateId, builderIds: [0]}),
  };
}

/** Objects of the right shape with signatures of nobody. */
function pools({slot, indices}) {
  const signature = new Uint8Array(96).fill(1);
  const {electra, phase0, altair, capella, gloas} = ssz;
  const data = {...phase0.AttestationData.defaultValue(), slot};
  const attestation = {...electra.SingleAttestation.defaultValue(), attesterIndex: indices[0], data, signature};
  const header = (number) => {
    const signed = phase0.SignedBeaconBlockHeaderBigint.defaultValue();
    return {
      ...signed,
      message: {
        ...signed.message,
        slot: BigInt(slot),
        proposerIndex: indices[0],
        bodyRoot: new Uint8Array(32).fill(number),
      },
      signature,
    };
  };
  const exit = {message: {epoch: 0, validatorIndex: indices[0]}, signature};
  const message = {...altair.SyncCommitteeMessage.defaultValue(), slot, validatorIndex: indices[0], signature};
  const slashing = electra.AttesterSlashing.defaultValue();
  slashing.attestation1.data.slot = BigInt(slot);
  slashing.attestation2.data.slot = BigInt(slot);
  return {
    getPoolAttestationsV2: same({slot, committeeIndex: 0}),
    getPoolPayloadAttestations: absent({slot}),
    getPoolAttesterSlashingsV2: same(),
    getPoolProposerSlashings: same(),
    getPoolVoluntaryExits: same(),
    getPoolBLSToExecutionChanges: same(),
    submitPoolAttestationsV2: byClass({signedAttestations: [attestation]}),
    submitPoolAttesterSlashingsV2: byClass({attesterSlashing: slashing}),
    submitPoolProposerSlashings: byClass({proposerSlashing: {signedHeader1: header(1), signedHeader2: header(2)}}),
    submitPoolVoluntaryExit: byClass({signedVoluntaryExit: exit}),
    submitPoolBLSToExecutionChange: byClass({
      blsToExecutionChanges: [{...capella.SignedBLSToExecutionChange.defaultValue(), signature}],
    }),
    submitPoolSyncCommitteeSignatures: byClass({signatures: [message]}),
    submitPayloadAttestationMessages: absent({
      payloadAttestationMessages: [gloas.PayloadAttestationMessage.defaultValue()],
    }),
  };
}

function rewards({slot, epoch, indices}) {
  return {
    getBlockRewards: same({blockId: slot}),
    getAttestationsRewards: same({epoch: Math.max(0, epoch - 2), validatorIds: indices}),
    getSyncCommitteeRewards: same({blockId: slot, validatorIds: indices}),
  };
}

function nodeRoutes() {
  return {
    getNetworkIdentity: same(),
    getPeers: same({}),
    getPeer: byClass({peerId: "16Uiu2HAm1"}),
    getPeerCount: same(),
    // The version tells who answers.
    getNodeVersion: own(),
    getNodeVersionV2: own(),
    getSyncingStatus: same(),
    getHealth: byClass({}),
  };
}

function duties({epoch, indices, others}) {
  return {
    getAttesterDuties: same({epoch, indices}),
    getProposerDuties: same({epoch}),
    getProposerDutiesV2: same({epoch}),
    getSyncCommitteeDuties: same({epoch, indices}),
    // Of the cluster's own keys a distributed validator's node says that they are not live.
    getLiveness: others.length > 0 ? same({epoch, indices: others.slice(0, 4)}) : own({epoch, indices}),
  };
}

function preparations({slot, epoch, indices, keys}) {
  const signature = new Uint8Array(96).fill(1);
  const next = (epoch + 1) * params.SLOTS_PER_EPOCH;
  const {electra, altair, bellatrix} = ssz;
  const aggregate = electra.SignedAggregateAndProof.defaultValue();
  Object.assign(aggregate.message, {aggregatorIndex: indices[0]});
  aggregate.message.aggregate.data.slot = slot;
  aggregate.message.aggregate.committeeBits.set(0, true);
  const contribution = altair.SignedContributionAndProof.defaultValue();
  contribution.message.aggregatorIndex = indices[0];
  contribution.message.contribution.slot = slot;
  const registration = (side) => {
    const one = bellatrix.SignedValidatorRegistrationV1.defaultValue();
    one.message.pubkey = Buffer.from(keys[0][side].slice(2), "hex");
    return {registrations: [{...one, signature}]};
  };
  return {
    produceBlockV3: byClass({slot: next, randaoReveal: signature}),
    publishAggregateAndProofsV2: own({signedAggregateAndProofs: [aggregate]}),
    publishContributionAndProofs: own({contributionAndProofs: [contribution]}),
    prepareBeaconCommitteeSubnet: byClass({subscriptions: []}),
    prepareSyncCommitteeSubnets: byClass({
      subscriptions: [{validatorIndex: indices[0], syncCommitteeIndices: [0], untilEpoch: epoch + 1}],
    }),
    prepareBeaconProposer: byClass({proposers: []}),
    submitBeaconCommitteeSelections: own({
      selections: [{validatorIndex: indices[0], slot: next, selectionProof: signature}],
    }),
    submitSyncCommitteeSelections: own({
      selections: [{validatorIndex: indices[0], slot: next, subcommitteeIndex: 0, selectionProof: signature}],
    }),
    registerValidator: own(registration),
  };
}

function absentOfValidator({slot, epoch, indices}) {
  return {
    getPtcDuties: absent({epoch, indices}),
    produceBlockV4: absent({slot, randaoReveal: new Uint8Array(96).fill(1), includePayload: false}),
    getExecutionPayloadEnvelope: absent({slot, beaconBlockRoot: new Uint8Array(32)}),
    producePayloadAttestationData: absent({slot}),
    submitProposerPreferences: absent({
      signedProposerPreferences: [ssz.gloas.SignedProposerPreferences.defaultValue()],
    }),
  };
}

/** What is only answered in its slot: a slot in which a validator of the cluster attests. */
async function* timed({config, indices, slotStart}, clients) {
  const duty = await nextDuty(clients.beacon, {indices, slotStart, config});
  const {slot, committeeIndex} = duty;
  await until(slotStart(slot, 5000));
  yield {namespace: "validator", route: "produceAttestationData", ...same({slot, committeeIndex})};
  await until(slotStart(slot, 8000));
  const data = (await clients.beacon.validator.produceAttestationData({slot, committeeIndex})).value();
  const attestationDataRoot = ssz.phase0.AttestationData.hashTreeRoot(data);
  yield {
    namespace: "validator",
    route: "getAggregatedAttestationV2",
    ...same({slot, committeeIndex, attestationDataRoot}),
  };
  const contribution = {slot, subcommitteeIndex: 0, beaconBlockRoot: data.beaconBlockRoot};
  yield {namespace: "validator", route: "produceSyncCommitteeContribution", ...same(contribution)};
  yield* heads(clients);
}

async function nextDuty(client, {indices, slotStart, config}) {
  for (;;) {
    const now = Math.floor((Date.now() - slotStart(0)) / config.SLOT_DURATION_MS);
    const all = (await client.validator.getAttesterDuties({epoch: epochOf(now + 1), indices})).value();
    const next = all.filter(({slot}) => slot > now).sort((a, b) => a.slot - b.slot)[0];
    if (next) return next;
    await until(slotStart((epochOf(now + 1) + 1) * params.SLOTS_PER_EPOCH));
  }
}

/** The event stream has no answer to compare but what it tells: a head that both sides told. */
async function* heads(clients) {
  const stop = new AbortController();
  const [ours, theirs] = await Promise.all(
    [clients.beacon, clients.node].map((client) => nextHeads(client, stop.signal))
  );
  stop.abort();
  const common = ours.find((head) => theirs.includes(head));
  yield {
    namespace: "events",
    route: "eventstream",
    kind: "same",
    answers: {group: common ?? ours, client: common ?? theirs},
  };
}

// Heads that are collected: the two streams are not opened at once, so one may miss the first.
const HEADS_WANTED = 3;
// Longest wait for them: many slots of a devnet.
const HEADS_TIMEOUT_MS = 60_000;

function nextHeads(client, signal) {
  return new Promise((resolve) => {
    const heads = [];
    const done = () => resolve(heads);
    setTimeout(done, HEADS_TIMEOUT_MS).unref();
    const onEvent = ({message}) => heads.push(JSON.stringify(message)) >= HEADS_WANTED && done();
    void client.events.eventstream({topics: ["head"], signal, onEvent, onError: () => {}});
  });
}

const until = (ms) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms - Date.now())));
