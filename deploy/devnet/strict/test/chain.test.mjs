// The chain by itself: all validators ordinary.
import assert from "node:assert/strict";
import {test} from "node:test";
import {params, ssz, toHex} from "../src/lodestar.mjs";
import {sign} from "../src/keys.mjs";
import {Scene} from "./scene.mjs";

for (const [name, order] of [
  ["electra", {fork: "electra"}],
  ["fulu", {fork: "fulu"}],
  ["the fork from electra to fulu", {fork: "electra", fuluEpoch: 3}],
]) {
  test(`64 slots at ${name} finalize, and every duty is in the chain`, async () => {
    const scene = new Scene({...order, validators: 16, blobPeriod: 8});
    scene.judge.cluster = new Set(scene.keys.keys());
    await scene.play(66);
    const {duties, finalized_epoch, slashable, refused, blocks} = scene.judge.report(1, 64);
    assert.equal(finalized_epoch, 6);
    assert.deepEqual(slashable, []);
    assert.deepEqual(refused.counts, {});
    for (const kind of ["attest", "propose", "sync_message"]) {
      assert.ok(duties[kind].due > 0, kind);
      assert.deepEqual(duties[kind].misses, [], kind);
    }
    assert.equal(duties.attest.timely_head, duties.attest.due);
    assert.equal(duties.propose.due, 64);
    assert.deepEqual(blocks.all, {all: 64, local: 64, builder: 0, blob_carrying: 8});
    // One ordinary validator of each committee aggregates; the judge calls the others' aggregates missing.
    assert.ok(duties.aggregate.done >= 64 && duties.aggregate.missed > 0);
    assert.equal(duties.contribute.done, 64 * params.SYNC_COMMITTEE_SUBNET_COUNT);
  });
}

test("an exit is in the state after its block, and the judge has seen it", async () => {
  const scene = new Scene({exitAfter: 2});
  scene.judge.cluster = new Set([3]);
  await scene.play(8 * 2);
  const exit = signedExit(scene, 3, 2);
  const {status} = await scene.ask("POST", "/eth/v1/beacon/pool/voluntary_exits", exit);
  assert.equal(status, 200);
  assert.deepEqual(scene.judge.report(1, 16).duties.exit.misses, [{slot: 16, validator: 3}]);
  await scene.play(18);
  const {exitEpoch} = scene.node.chain.head.state.validators.get(3);
  assert.ok(exitEpoch < params.FAR_FUTURE_EPOCH);
  assert.equal(scene.judge.report(1, 16).duties.exit.done, 1);
  const again = await scene.ask("POST", "/eth/v1/beacon/pool/voluntary_exits", exit);
  assert.equal(again.status, 400);
  assert.match(again.body.message, /^exit-already-exited/);
});

test("an exit too early is refused by its rule", async () => {
  const scene = new Scene({exitAfter: 3});
  await scene.play(8 * 2);
  const {status, body} = await scene.ask("POST", "/eth/v1/beacon/pool/voluntary_exits", signedExit(scene, 3, 2));
  assert.equal(status, 400);
  assert.match(body.message, /^exit-short-time-active/);
});

test("a proposer slashing slashes who signed two blocks for a slot", async () => {
  const scene = new Scene();
  await scene.play(3);
  const proposer = scene.node.chain.head.block.message.proposerIndex;
  const header = (number) => {
    const message = {
      slot: 3n,
      proposerIndex: proposer,
      parentRoot: new Uint8Array(32).fill(number),
      stateRoot: new Uint8Array(32),
      bodyRoot: new Uint8Array(32),
    };
    const domain = scene.config.getDomain(3, params.DOMAIN_BEACON_PROPOSER, 3);
    return {
      message,
      signature: sign(scene.keys[proposer], ssz.phase0.BeaconBlockHeaderBigint.hashTreeRoot(message), domain),
    };
  };
  const slashing = {signedHeader1: header(1), signedHeader2: header(2)};
  const {status} = await scene.ask(
    "POST",
    "/eth/v1/beacon/pool/proposer_slashings",
    ssz.phase0.ProposerSlashing.toJson(slashing)
  );
  assert.equal(status, 200);
  await scene.play(5);
  assert.equal(scene.node.chain.head.state.validators.get(proposer).slashed, true);
  const {body} = await scene.ask("GET", `/eth/v1/beacon/states/head/validators/${proposer}`);
  assert.equal(body.data.status, "active_slashed");
});

test("an attester slashing slashes who voted twice", async () => {
  const scene = new Scene();
  await scene.play(3);
  const vote = (number) => {
    const root = new Uint8Array(32).fill(number);
    const data = {
      slot: 3n,
      index: 0n,
      beaconBlockRoot: root,
      source: {epoch: 0n, root: new Uint8Array(32)},
      target: {epoch: 0n, root},
    };
    const domain = scene.config.getDomain(3, params.DOMAIN_BEACON_ATTESTER, 3);
    return {
      attestingIndices: [5],
      data,
      signature: sign(scene.keys[5], ssz.phase0.AttestationDataBigint.hashTreeRoot(data), domain),
    };
  };
  const json = ssz.electra.AttesterSlashing.toJson({attestation1: vote(1), attestation2: vote(2)});
  const {status} = await scene.ask("POST", "/eth/v2/beacon/pool/attester_slashings", json, scene.version);
  assert.equal(status, 200);
  await scene.play(5);
  assert.equal(scene.node.chain.head.state.validators.get(5).slashed, true);
});

function signedExit({config, keys}, validatorIndex, epoch) {
  const message = {epoch, validatorIndex};
  const slot = epoch * params.SLOTS_PER_EPOCH;
  const signature = sign(
    keys[validatorIndex],
    ssz.phase0.VoluntaryExit.hashTreeRoot(message),
    config.getDomainForVoluntaryExit(slot, slot)
  );
  return {message: {epoch: String(epoch), validator_index: String(validatorIndex)}, signature: toHex(signature)};
}
