// Blocks of builders: a bid, a blinded block, the payload after the signature; and every way in which a relay fails.
import assert from "node:assert/strict";
import {after, test} from "node:test";
import {builderDomain} from "../src/builder.mjs";
import {sign} from "../src/keys.mjs";
import {params, ssz, toHex} from "../src/lodestar.mjs";
import {blockRoot} from "../src/production.mjs";
import {Relay, createRelayServer} from "../src/relay.mjs";
import {Scene} from "./scene.mjs";

const open = [];
after(() => Promise.all(open.map((server) => server.close())));

/** A chain whose next proposer has registered with a relay. */
async function withRelay({fork, ...order}) {
  // The node must know the relay's address and the relay the node's: a builder asks its URL only when it is used.
  const scene = new Scene({fork, builderUrl: "http://127.0.0.1:1"});
  const relay = new Relay({beaconUrl: await scene.server.listen({host: "127.0.0.1", port: 0}), ...order});
  const server = await createRelayServer(relay);
  const url = await server.listen({host: "127.0.0.1", port: 0});
  const {builder} = scene.node;
  Object.assign(builder, new builder.constructor({config: scene.config, url, pubkeys: [relay.pubkey]}));
  open.push(scene.server, server);
  await scene.play(3);
  const slot = scene.slot;
  scene.at(slot);
  const proposer = scene.node.chain.advanced(scene.node.chain.head, slot).epochCtx.getBeaconProposer(slot);
  await register(scene, proposer);
  return {scene, relay, slot, proposer};
}

async function register(scene, index) {
  const key = scene.keys[index];
  const message = {
    feeRecipient: new Uint8Array(20).fill(12),
    gasLimit: 36_000_000,
    timestamp: Math.floor(scene.clock.now() / 1000),
    pubkey: key.toPublicKey().toBytes(),
  };
  const signature = sign(key, ssz.bellatrix.ValidatorRegistrationV1.hashTreeRoot(message), builderDomain(scene.config));
  const json = [ssz.bellatrix.SignedValidatorRegistrationV1.toJson({message, signature})];
  assert.equal((await scene.ask("POST", "/eth/v1/validator/register_validator", json)).status, 200);
}

function produce(scene, slot, proposer, query = "") {
  const reveal = sign(
    scene.keys[proposer],
    ssz.Epoch.hashTreeRoot(0),
    scene.config.getDomain(slot, params.DOMAIN_RANDAO, slot)
  );
  return scene.ask("GET", `/eth/v3/validator/blocks/${slot}?randao_reveal=${toHex(reveal)}${query}`);
}

function publishBlinded(scene, slot, author, block) {
  const types = scene.config.getPostBellatrixForkTypes(slot);
  const message = types.BlindedBeaconBlock.fromJson(block);
  const signature = sign(
    scene.keys[author],
    blockRoot(scene.config, message),
    scene.config.getDomain(slot, params.DOMAIN_BEACON_PROPOSER, slot)
  );
  return scene.ask(
    "POST",
    "/eth/v2/beacon/blinded_blocks",
    types.SignedBlindedBeaconBlock.toJson({message, signature}),
    scene.version
  );
}

for (const fork of ["electra", "fulu"]) {
  test(`a builder's block becomes the head at ${fork}`, async () => {
    const {scene, relay, slot, proposer} = await withRelay({fork, blobCount: 2});
    const {status, headers, body} = await produce(scene, slot, proposer);
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(headers["eth-execution-payload-blinded"], "true");
    assert.equal(body.execution_payload_value, String(relay.valueWei));
    const wrong = await publishBlinded(scene, slot, (proposer + 1) % scene.keys.length, body.data);
    assert.match(wrong.body.message, /^block-signature:/);
    const taken = await publishBlinded(scene, slot, proposer, body.data);
    assert.equal(taken.status, fork === "fulu" ? 202 : 200, JSON.stringify(taken.body));
    const {head} = scene.node.chain;
    assert.equal(head.slot, slot);
    assert.equal(head.source, "builder");
    assert.equal(head.blobs.length, 2);
    assert.equal(toHex(head.block.message.body.executionPayload.feeRecipient), `0x${"0c".repeat(20)}`);
    assert.equal((await publishBlinded(scene, slot, proposer, body.data)).status, 202, "known by now");
    assert.deepEqual(relay.counts, {bids: 1, unblinded: 1});
  });
}

for (const [misdeed, why] of [
  ["forged", /bid-signature/],
  ["late", /Timeout|timeout|aborted/],
  ["low", /a bid of 1 wei/],
  ["none", undefined],
]) {
  test(`a relay's misdeed "${misdeed}" leaves the block to this node`, async () => {
    const {scene, slot, proposer} = await withRelay({fork: "electra", misdeed});
    const {status, headers} = await produce(scene, slot, proposer);
    assert.equal(status, 200);
    assert.equal(headers["eth-execution-payload-blinded"], "false");
    const {declined} = scene.node.builder;
    assert.equal(declined.length, why ? 1 : 0);
    if (why) assert.match(declined[0], why);
  });
}

test("no builder is asked when the boost factor is 0, and none is declined when it is the highest", async () => {
  const {scene, relay, slot, proposer} = await withRelay({fork: "electra", misdeed: "low"});
  const own = await produce(scene, slot, proposer, "&builder_boost_factor=0");
  assert.equal(own.headers["eth-execution-payload-blinded"], "false");
  assert.equal(relay.counts.bids, 0);
  const always = await produce(scene, slot, proposer, `&builder_boost_factor=${2n ** 64n - 1n}`);
  assert.equal(always.headers["eth-execution-payload-blinded"], "true");
});

test("a payload that is withheld leaves the slot empty, and says so", async () => {
  const {scene, slot, proposer} = await withRelay({fork: "electra", misdeed: "withhold"});
  const {body} = await produce(scene, slot, proposer);
  const {status, body: answer} = await publishBlinded(scene, slot, proposer, body.data);
  assert.equal(status, 502);
  assert.match(answer.message, /^builder-unblind:/);
  assert.ok(scene.node.chain.head.slot < slot);
});
