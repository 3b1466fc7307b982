// One corrupted signature for each kind of duty: refused by its rule, and the twin that is not corrupted is taken.
//
// Corrupted means signed by another validator's key: a point of the curve that is right in everything but its author.
import assert from "node:assert/strict";
import {before, describe, test} from "node:test";
import {builderDomain} from "../src/builder.mjs";
import {firstSlotOf} from "../src/clock.mjs";
import {sign} from "../src/keys.mjs";
import {params, ssz, toHex, transition} from "../src/lodestar.mjs";
import {attestationData, committeesOf} from "../src/ordinary.mjs";
import {blockRoot} from "../src/production.mjs";
import {blindedTwin} from "../src/publication.mjs";
import {Scene} from "./scene.mjs";

for (const fork of ["electra", "fulu"]) {
  describe(fork, () => {
    let scene;
    let slot;
    before(async () => {
      scene = new Scene({fork});
      await scene.play(16);
      slot = await scene.half();
    });

    /** Signs with the key of `index`, or of its neighbour. */
    const signWith = (index, right, type, object, domain) => {
      const author = right ? index : (index + 1) % scene.keys.length;
      return sign(scene.keys[author], type.hashTreeRoot(object), domain);
    };
    const domainOf = (type, at = slot) => scene.config.getDomain(at, type, at);

    /** Hands the bad one in, then its twin. */
    async function refusedThenTaken(url, rule, bad, good, headers = scene.version) {
      const refused = await scene.ask("POST", url, bad, headers);
      assert.equal(refused.status, 400, JSON.stringify(refused.body));
      const words = refused.body.failures?.[0].message ?? refused.body.message;
      assert.ok(words.startsWith(`${rule}:`), `${words} is not by ${rule}`);
      const taken = await scene.ask("POST", url, good, headers);
      assert.equal(taken.status, 200, JSON.stringify(taken.body));
    }

    test("an attestation", async () => {
      // A slot of its own, in which nobody else has voted yet.
      const at = slot + 1;
      scene.at(at);
      const [committeeIndex, [attesterIndex]] = committeesOf(scene.node.chain, at)[0];
      const data = attestationData(scene.node.chain, at);
      const json = (right) => [
        ssz.electra.SingleAttestation.toJson({
          committeeIndex,
          attesterIndex,
          data,
          signature: signWith(
            attesterIndex,
            right,
            ssz.phase0.AttestationData,
            data,
            domainOf(params.DOMAIN_BEACON_ATTESTER, at)
          ),
        }),
      ];
      await refusedThenTaken("/eth/v2/beacon/pool/attestations", "attestation-signature", json(false), json(true));
      scene.at(slot, 6667);
    });

    async function aggregateAndProof({proof = true, inner = true, outer = true}) {
      const [index, [aggregatorIndex]] = committeesOf(scene.node.chain, slot)[0];
      const root = toHex(ssz.phase0.AttestationData.hashTreeRoot(attestationData(scene.node.chain, slot)));
      const url = `/eth/v2/validator/aggregate_attestation?attestation_data_root=${root}&slot=${slot}&committee_index=${index}`;
      const aggregate = ssz.electra.Attestation.fromJson((await scene.ask("GET", url)).body.data);
      if (!inner)
        aggregate.signature = signWith(
          aggregatorIndex,
          true,
          ssz.phase0.AttestationData,
          aggregate.data,
          domainOf(params.DOMAIN_BEACON_ATTESTER)
        );
      const selectionProof = signWith(aggregatorIndex, proof, ssz.Slot, slot, domainOf(params.DOMAIN_SELECTION_PROOF));
      const message = {aggregatorIndex, aggregate, selectionProof};
      const signature = signWith(
        aggregatorIndex,
        outer,
        ssz.electra.AggregateAndProof,
        message,
        domainOf(params.DOMAIN_AGGREGATE_AND_PROOF)
      );
      return [ssz.electra.SignedAggregateAndProof.toJson({message, signature})];
    }

    for (const [what, wrong, rule] of [
      ["selection proof", {proof: false}, "aggregate-selection-proof"],
      ["outer signature", {outer: false}, "aggregate-and-proof-signature"],
      ["aggregate signature", {inner: false}, "aggregate-signature"],
    ]) {
      test(`an aggregate, by its ${what}`, async () => {
        await refusedThenTaken(
          "/eth/v2/validator/aggregate_and_proofs",
          rule,
          await aggregateAndProof(wrong),
          await aggregateAndProof({})
        );
      });
    }

    test("a sync committee message", async () => {
      const beaconBlockRoot = scene.node.chain.head.root;
      const [validatorIndex] = scene.node.syncVotes.committee(slot).validatorIndices;
      const json = (right) => {
        const signature = signWith(
          validatorIndex,
          right,
          ssz.Root,
          beaconBlockRoot,
          domainOf(params.DOMAIN_SYNC_COMMITTEE)
        );
        return [ssz.altair.SyncCommitteeMessage.toJson({slot, beaconBlockRoot, validatorIndex, signature})];
      };
      await refusedThenTaken(
        "/eth/v1/beacon/pool/sync_committees",
        "sync-message-signature",
        json(false),
        json(true),
        {}
      );
    });

    async function contributionAndProof({proof = true, inner = true, outer = true}) {
      const {head} = scene.node.chain;
      const url = `/eth/v1/validator/sync_committee_contribution?slot=${slot}&subcommittee_index=0&beacon_block_root=${head.hex}`;
      const contribution = ssz.altair.SyncCommitteeContribution.fromJson((await scene.ask("GET", url)).body.data);
      const [aggregatorIndex] = scene.node.syncVotes.committee(slot).validatorIndices;
      if (!inner)
        contribution.signature = signWith(
          aggregatorIndex,
          true,
          ssz.Root,
          head.root,
          domainOf(params.DOMAIN_SYNC_COMMITTEE)
        );
      const selection = {slot, subcommitteeIndex: 0};
      const selectionProof = signWith(
        aggregatorIndex,
        proof,
        ssz.altair.SyncAggregatorSelectionData,
        selection,
        domainOf(params.DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF)
      );
      const message = {aggregatorIndex, contribution, selectionProof};
      const signature = signWith(
        aggregatorIndex,
        outer,
        ssz.altair.ContributionAndProof,
        message,
        domainOf(params.DOMAIN_CONTRIBUTION_AND_PROOF)
      );
      return [ssz.altair.SignedContributionAndProof.toJson({message, signature})];
    }

    for (const [what, wrong, rule] of [
      ["selection proof", {proof: false}, "contribution-selection-proof"],
      ["outer signature", {outer: false}, "contribution-and-proof-signature"],
      ["contribution signature", {inner: false}, "contribution-signature"],
    ]) {
      test(`a contribution, by its ${what}`, async () => {
        await refusedThenTaken(
          "/eth/v1/validator/contribution_and_proofs",
          rule,
          await contributionAndProof(wrong),
          await contributionAndProof({}),
          {}
        );
      });
    }

    test("an exit", async () => {
      const message = {epoch: 2, validatorIndex: 7};
      const json = (right) => {
        const domain = scene.config.getDomainForVoluntaryExit(slot, 16);
        return ssz.phase0.SignedVoluntaryExit.toJson({
          message,
          signature: signWith(7, right, ssz.phase0.VoluntaryExit, message, domain),
        });
      };
      await refusedThenTaken(
        "/eth/v1/beacon/pool/voluntary_exits",
        "exit-invalid-signature",
        json(false),
        json(true),
        {}
      );
    });

    test("a registration", async () => {
      const pubkey = scene.keys[2].toPublicKey().toBytes();
      const message = {
        feeRecipient: new Uint8Array(20).fill(12),
        gasLimit: 36_000_000,
        timestamp: Math.floor(scene.clock.now() / 1000),
        pubkey,
      };
      const json = (right) => {
        const signature = signWith(
          2,
          right,
          ssz.bellatrix.ValidatorRegistrationV1,
          message,
          builderDomain(scene.config)
        );
        return [ssz.bellatrix.SignedValidatorRegistrationV1.toJson({message, signature})];
      };
      await refusedThenTaken(
        "/eth/v1/validator/register_validator",
        "registration-signature",
        json(false),
        json(true),
        {}
      );
    });

    test("a proposer slashing", async () => {
      const header = (number, right) => {
        const message = {
          slot: 9n,
          proposerIndex: 4,
          parentRoot: new Uint8Array(32).fill(number),
          stateRoot: new Uint8Array(32),
          bodyRoot: new Uint8Array(32),
        };
        return {
          message,
          signature: signWith(
            4,
            right,
            ssz.phase0.BeaconBlockHeaderBigint,
            message,
            domainOf(params.DOMAIN_BEACON_PROPOSER, 9)
          ),
        };
      };
      const json = (right) =>
        ssz.phase0.ProposerSlashing.toJson({signedHeader1: header(1, true), signedHeader2: header(2, right)});
      await refusedThenTaken(
        "/eth/v1/beacon/pool/proposer_slashings",
        "proposer-slashing",
        json(false),
        json(true),
        {}
      );
    });

    test("an attester slashing", async () => {
      const vote = (number, right) => {
        const root = new Uint8Array(32).fill(number);
        const data = {slot: 9n, index: 0n, beaconBlockRoot: root, source: {epoch: 0n, root}, target: {epoch: 1n, root}};
        const signature = signWith(
          6,
          right,
          ssz.phase0.AttestationDataBigint,
          data,
          domainOf(params.DOMAIN_BEACON_ATTESTER, 8)
        );
        return {attestingIndices: [6], data, signature};
      };
      const json = (right) =>
        ssz.electra.AttesterSlashing.toJson({attestation1: vote(1, true), attestation2: vote(2, right)});
      await refusedThenTaken("/eth/v2/beacon/pool/attester_slashings", "attester-slashing", json(false), json(true));
    });
  });

  describe(`blocks at ${fork}`, () => {
    let scene;
    let slot;
    before(async () => {
      scene = new Scene({fork, blobPeriod: 1, blobCount: 2});
      await scene.play(4);
      slot = scene.slot;
      scene.at(slot);
    });

    const proposer = () => scene.node.chain.stateAt(slot).epochCtx.getBeaconProposer(slot);
    const reveal = (author) =>
      sign(scene.keys[author], ssz.Epoch.hashTreeRoot(0), scene.config.getDomain(slot, params.DOMAIN_RANDAO, slot));
    const types = () => scene.config.getPostDenebForkTypes(slot);

    async function produced(author = proposer()) {
      const reply = await scene.ask("GET", `/eth/v3/validator/blocks/${slot}?randao_reveal=${toHex(reveal(author))}`);
      return reply;
    }

    async function contents() {
      const {body} = await produced();
      return types().BlockContents.fromJson(body.data);
    }

    const signed = ({block, kzgProofs, blobs}, author = proposer()) => {
      const domain = scene.config.getDomain(slot, params.DOMAIN_BEACON_PROPOSER, slot);
      const signature = sign(scene.keys[author], blockRoot(scene.config, block), domain);
      return {signedBlock: {message: block, signature}, kzgProofs, blobs};
    };

    const publish = (one) =>
      scene.ask("POST", "/eth/v2/beacon/blocks", types().SignedBlockContents.toJson(one), scene.version);

    async function refused(one, rule) {
      const {status, body} = await publish(one);
      assert.equal(status, 400, JSON.stringify(body));
      assert.ok(body.message.startsWith(`${rule}:`), `${body.message} is not by ${rule}`);
      assert.ok(scene.node.chain.head.slot < slot, "no new head");
    }

    /** Changes a block, and makes its state root right again if the state transition still goes through. */
    function changed(one, change) {
      change(one.block.body);
      one.block.stateRoot = scene.node.chain.tryBlock(one.block).hashTreeRoot();
      return one;
    }

    // Each block below would be slashable beside another: every refusal is of another proposer's making.
    const forget = () => (scene.node.publication = new scene.node.publication.constructor({...scene.node.publication}));

    test("a RANDAO reveal of another validator gets no block", async () => {
      const {status, body} = await produced((proposer() + 1) % scene.keys.length);
      assert.equal(status, 400);
      assert.match(body.message, /^production-randao:/);
    });

    test("a block signed by another validator", async () =>
      refused(signed(await contents(), (proposer() + 1) % scene.keys.length), "block-signature"));

    for (const [what, change] of [
      [
        "with another validator's RANDAO reveal",
        (body) => (body.randaoReveal = reveal((proposer() + 1) % scene.keys.length)),
      ],
      ["with a corrupted attestation", (body) => (body.attestations[0].signature = reveal(proposer()))],
      ["with a corrupted sync aggregate", (body) => (body.syncAggregate.syncCommitteeSignature = reveal(proposer()))],
    ]) {
      test(`a block ${what}`, async () => {
        await refused(signed(changed(await contents(), change)), "block-invalid");
        forget();
      });
    }

    test("a block with a wrong state root", async () => {
      const one = await contents();
      one.block.stateRoot = new Uint8Array(32).fill(1);
      await refused(signed(one), "block-invalid");
      forget();
    });

    test("a block whose payload was changed", async () => {
      await refused(signed(changed(await contents(), (body) => (body.executionPayload.gasUsed += 1))), "payload-hash");
      forget();
    });

    test("a block without one of its blobs, with a changed blob, with a proof too few, with a changed proof", async () => {
      const one = signed(await contents());
      const each = fork === "fulu" ? params.CELLS_PER_EXT_BLOB : 1;
      assert.equal(one.kzgProofs.length, 2 * each);
      await refused({...one, blobs: one.blobs.slice(1)}, "blobs-count");
      const other = Uint8Array.from(one.blobs[0]).fill(7, 1, 2);
      await refused({...one, blobs: [other, one.blobs[1]]}, "blobs-commitment");
      await refused({...one, kzgProofs: one.kzgProofs.slice(1)}, "proofs-count");
      await refused({...one, kzgProofs: [new Uint8Array(48), ...one.kzgProofs.slice(1)]}, "blobs-proof");
    });

    test("a blinded block signed by another validator, and its twin without a builder", async () => {
      const one = signed(await contents());
      const blinded = blindedTwin(scene.config, one.signedBlock);
      const type = scene.config.getPostBellatrixForkTypes(slot).SignedBlindedBeaconBlock;
      const hand = (signature) =>
        scene.ask("POST", "/eth/v2/beacon/blinded_blocks", type.toJson({...blinded, signature}), scene.version);
      const bad = await hand(reveal(proposer()));
      assert.equal(bad.status, 400);
      assert.match(bad.body.message, /^block-signature:/);
      assert.match((await hand(blinded.signature)).body.message, /^builder-absent:/);
    });

    test("the block as it was made is taken, again it is known, another one beside it is slashable", async () => {
      const one = await contents();
      assert.equal((await publish(signed(one))).status, 200);
      assert.equal(scene.node.chain.head.slot, slot);
      assert.equal((await publish(signed(one))).status, 202);
      // Afresh: the libraries keep the root of an object that was hashed before.
      const other = types().BlockContents.fromJson(types().BlockContents.toJson(one));
      other.block.body.graffiti = new Uint8Array(32).fill(9);
      const {status, body} = await publish(signed(other));
      assert.equal(status, 400);
      assert.match(body.message, /^block-equivocation:/);
      assert.equal(scene.node.publication.slashable.length, 1);
    });
  });
}

for (const [what, change] of [
  ["a second vote of an epoch", (data, chain) => ({beaconBlockRoot: chain.at(data.slot - 1).root})],
  ["a second vote of an epoch for a block that nobody knows", () => ({beaconBlockRoot: new Uint8Array(32).fill(7)})],
  ["a vote that surrounds an earlier one", (data) => ({target: {...data.target, epoch: data.target.epoch + 1}})],
]) {
  test(`${what} is slashable and refused`, async () => {
    const scene = new Scene();
    // Justified by now: sources are of an epoch later than the genesis.
    await scene.play(33);
    const slot = await scene.half();
    const [committeeIndex, [attesterIndex]] = committeesOf(scene.node.chain, slot)[0];
    const right = attestationData(scene.node.chain, slot);
    assert.ok(right.source.epoch > 0);
    const data = {...right, ...change(right, scene.node.chain)};
    if (data.target.epoch !== right.target.epoch) data.source = {epoch: 0, root: new Uint8Array(32)};
    const first = firstSlotOf(data.target.epoch);
    const domain = scene.config.getDomain(slot, params.DOMAIN_BEACON_ATTESTER, first);
    const root = transition.computeSigningRoot(ssz.phase0.AttestationData, data, domain);
    const signature = scene.keys[attesterIndex].sign(root).toBytes();
    const json = [ssz.electra.SingleAttestation.toJson({committeeIndex, attesterIndex, data, signature})];
    for (let again = 0; again < 2; again++) {
      const {status, body} = await scene.ask("POST", "/eth/v2/beacon/pool/attestations", json, scene.version);
      assert.equal(status, 400);
      assert.match(body.failures[0].message, /^attestation-slashable:/);
    }
    assert.equal(scene.judge.report(1, slot).slashable.length, 1);
  });
}
