// The judge: all done where all is done, missed where nothing is done, and slots that excuse.
import assert from "node:assert/strict";
import {test} from "node:test";
import {keyOf, pubkeyOf} from "../src/keys.mjs";
import {Scene} from "./scene.mjs";

const KINDS = ["attest", "propose", "sync_message", "aggregate", "contribute"];

test("where every validator does everything, nothing is missed", async () => {
  const scene = new Scene({validators: 8, aggregators: Infinity});
  scene.judge.cluster = new Set(scene.keys.keys());
  await scene.play(18);
  const {duties} = scene.judge.report(1, 16);
  for (const kind of KINDS) {
    assert.ok(duties[kind].due > 0, kind);
    assert.deepEqual(duties[kind].misses, [], kind);
    assert.equal(duties[kind].excused, 0, kind);
  }
});

test("a cluster that does nothing misses everything that is due, and is excused where there is no block", async () => {
  const cluster = [0, 1].map((number) => ({pubkey: pubkeyOf(keyOf(`silent/${number}`))}));
  const scene = new Scene({validators: 14, cluster});
  await scene.play(34);
  const {duties, blocks} = scene.judge.report(1, 32);
  for (const kind of KINDS) assert.equal(duties[kind].done, 0, kind);
  for (const kind of ["attest", "aggregate", "sync_message"]) assert.ok(duties[kind].missed > 0, kind);
  // Two validators attest once in each of four epochs, but for slot 0, and once more if in slot 32.
  assert.ok(duties.attest.due >= 6 && duties.attest.due <= 10, String(duties.attest.due));
  assert.equal(blocks.all.all, 32 - duties.propose.missed);
  assert.ok(duties.propose.missed > 0, "two of sixteen propose some of 32 slots");
  assert.ok(duties.sync_message.excused > 0, "where they did not propose");
});

test("a late block leaves nobody's attestation out", async () => {
  const scene = new Scene({validators: 16});
  scene.judge.cluster = new Set(scene.keys.keys());
  await scene.play(8);
  // The votes of slot 9 come before its block, as on a slow line.
  scene.at(9, 3333);
  scene.ordinary.vote(9);
  await scene.ordinary.propose(9);
  scene.at(9, 6667);
  scene.ordinary.aggregate(9);
  scene.slot = 10;
  await scene.play(12);
  const {attest} = scene.judge.report(9, 9).duties;
  assert.deepEqual(attest.misses, []);
  assert.equal(attest.timely_head ?? 0, 0, "they voted for the block before");
});
