// The API as a typed client sees it: every route, in JSON and in SSZ; and the events.
import assert from "node:assert/strict";
import {after, test} from "node:test";
import {api} from "../src/lodestar.mjs";
import {facts, settled} from "../src/oracle.mjs";
import {Scene} from "./scene.mjs";

const open = [];
after(() => Promise.all(open.map((server) => server.close())));

async function listening(order) {
  const scene = new Scene(order);
  open.push(scene.server);
  const baseUrl = await scene.server.listen({host: "127.0.0.1", port: 0});
  return {scene, client: api.getClient({baseUrl, globalInit: {retries: 0}}, {config: scene.config})};
}

for (const fork of ["electra", "fulu"]) {
  test(`every route at ${fork} is what the typed client expects, in JSON and in SSZ`, async () => {
    const {scene, client} = await listening({fork, blobPeriod: 2});
    await scene.play(26);
    const {body} = await scene.ask("GET", "/eth/v1/beacon/states/head/validators?id=0,1");
    const keys = body.data.map(({validator: {pubkey}}) => ({group: pubkey, client: pubkey}));
    const known = await facts(client, scene.config, keys);
    for (const {namespace, route, kind, args} of settled(known)) {
      for (const format of ["json", "ssz"]) {
        const init = {requestWireFormat: format, responseWireFormat: format};
        const ask = (...rest) => client[namespace][route](...rest);
        const what = `${namespace}.${route} ${format}`;
        if (kind === "absent") {
          // Refused as of a fork that is not there, or by the client itself, which cannot write it.
          const status = await ask(args("group"), init).then(
            (response) => response.status,
            () => 501
          );
          assert.ok([400, 501].includes(status), `${what}: ${status}`);
          continue;
        }
        const response = await (args ? ask(args("group"), init) : ask(init));
        if (kind === "same") {
          assert.equal(response.status, 200, `${what}: ${response.ok || response.error().message}`);
          response.value();
          response.meta();
        }
        assert.notEqual(response.status, 500, `${what}: ${response.ok || response.error().message}`);
      }
    }
  });
}

test("heads carry the roots that duties depend on", async () => {
  const {scene, client} = await listening({});
  const heads = [];
  scene.node.events.on("event", ({type, message}) => type === "head" && heads.push(message));
  await scene.play(25);
  const at = (slot) => heads.find((head) => head.slot === slot);
  assert.equal(heads.length, 25);
  assert.deepEqual(
    heads.filter(({epochTransition}) => epochTransition).map(({slot}) => slot),
    [8, 16, 24]
  );
  const attesters = (await client.validator.getAttesterDuties({epoch: 3, indices: [0, 1]})).meta();
  const proposers = (await client.validator.getProposerDuties({epoch: 3})).meta();
  assert.equal(at(24).previousDutyDependentRoot, attesters.dependentRoot);
  assert.equal(at(24).currentDutyDependentRoot, proposers.dependentRoot);
  assert.equal(attesters.dependentRoot, at(15).block);
  assert.equal(proposers.dependentRoot, at(23).block);
});

test("from Fulu on proposers are known an epoch earlier, and their dependent root says so", async () => {
  const {scene, client} = await listening({fork: "fulu"});
  await scene.play(20);
  const v1 = (await client.validator.getProposerDuties({epoch: 2})).meta();
  const v2 = await client.validator.getProposerDutiesV2({epoch: 2});
  const attesters = (await client.validator.getAttesterDuties({epoch: 2, indices: [0]})).meta();
  assert.equal(v2.meta().dependentRoot, attesters.dependentRoot);
  assert.notEqual(v2.meta().dependentRoot, v1.dependentRoot);
  const lookahead = (await client.beacon.getProposerLookahead({stateId: "head"})).value();
  const next = (await client.validator.getProposerDutiesV2({epoch: 3})).value();
  const of = (duties) => duties.map(({validatorIndex}) => validatorIndex);
  assert.deepEqual([...of(v2.value()), ...of(next)], [...lookahead]);
});

test("the event stream tells heads and finality as the typed client reads them", async () => {
  const {scene, client} = await listening({});
  const stop = new AbortController();
  const told = [];
  const finality = Promise.withResolvers();
  const onEvent = ({type, message}) => {
    told.push(type);
    if (type === "finalized_checkpoint") finality.resolve(message);
  };
  const topics = ["head", "block", "finalized_checkpoint"];
  const subscribed = new Promise((resolve) => scene.node.events.on("newListener", resolve));
  await client.events.eventstream({topics, signal: stop.signal, onEvent, onError: finality.reject});
  await subscribed;
  await scene.play(33);
  const {epoch} = await finality.promise;
  stop.abort();
  assert.equal(epoch, 2);
  assert.ok(told.includes("head") && told.includes("block"));
});
