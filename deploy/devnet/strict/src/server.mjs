// The node over HTTP: the routes and codecs are the libraries', the answers ours.
import fastify from "fastify";
import qs from "qs";
import {beaconMethods} from "./api/beacon.mjs";
import {configMethods, eventMethods, nodeMethods} from "./api/rest.mjs";
import {validatorMethods} from "./api/validator.mjs";
import {BUILDER_HEADER, asker} from "./builder.mjs";
import {epochOf} from "./clock.mjs";
import {ApiError, addSszContentTypeParser, api, apiServer, params} from "./lodestar.mjs";
import {networkFile} from "./network.mjs";
import {attributesType, payloadAttributes} from "./payload.mjs";
import {Refused} from "./refused.mjs";

// A block with nine blobs as JSON has 3 MB; room for more.
const BODY_BYTES_MAX = 64 << 20;

const NAMESPACES = ["beacon", "config", "events", "node", "validator"];

/** A server that does not listen yet. - `judge`: answers what became of the duties of some slots. */
export function createServer(node, judge) {
  const server = fastify({
    bodyLimit: BODY_BYTES_MAX,
    forceCloseConnections: true,
    // Lists come as one value with commas, or as a value repeated.
    routerOptions: {querystringParser: (text) => qs.parse(text, {comma: true, parseArrays: false})},
  });
  addSszContentTypeParser(server);
  server.setErrorHandler((error, _request, reply) => answerError(node, error, reply));
  server.setNotFoundHandler(
    (request, reply) => void reply.code(404).send({code: 404, message: `no route ${request.method} ${request.url}`})
  );
  server.addHook("onRequest", (request, _reply, done) => asker.run(request.headers[BUILDER_HEADER], done));
  server.addHook("onRequest", async (request) => checkVersion(node, request));
  // Who listens for events knows that it is heard before the first one comes.
  server.addHook("preHandler", (request, reply, done) => {
    if (request.url.startsWith("/eth/v1/events")) setImmediate(() => reply.raw.headersSent || reply.raw.flushHeaders());
    done();
  });
  const methods = {
    beacon: beaconMethods(node),
    config: configMethods(node),
    events: eventMethods(node),
    node: nodeMethods(node),
    validator: validatorMethods(node),
  };
  for (const namespace of NAMESPACES) fillGaps(methods[namespace], api.routes[namespace].getDefinitions(node.config));
  apiServer.registerRoutes(server, node.config, methods, NAMESPACES);
  ownRoutes(server, node, judge);
  return server;
}

/** Routes that this node has no answer for, such as those of later forks, answer 501. */
function fillGaps(methods, definitions) {
  for (const name of Object.keys(definitions)) {
    methods[name] ??= () => {
      throw new Refused("not-implemented", name, 501);
    };
  }
}

/** A body's fork, where a request names one, is one that is in force about now. */
function checkVersion(node, request) {
  const version = request.headers["eth-consensus-version"];
  if (version === undefined) return;
  const {slot} = node.clock;
  const near = [slot - params.SLOTS_PER_EPOCH, slot, slot + 1].map((one) => node.config.getForkName(Math.max(0, one)));
  if (!near.includes(version)) {
    throw new ApiError(400, `Eth-Consensus-Version ${version} in epoch ${epochOf(slot)}, which is of ${near[1]}`);
  }
}

function answerError(node, error, reply) {
  const code = error.statusCode ?? (error.validation ? 400 : 500);
  if (code >= 500 && code !== 501) node.log("error", {message: error.message, stack: error.stack});
  const failures = error.failures?.map(({index, message}) => ({index, message}));
  void reply.code(code).send({code, message: error.message, ...(failures && {failures})});
}

/** What no beacon node has: for the devnet around this one. */
function ownRoutes(server, node, judge) {
  server.get("/symbolon/network", () => networkFile(node.config, node.chain.genesisTime));
  server.get("/symbolon/payload_attributes/:slot", ({params: {slot}}) => {
    const number = Number(slot);
    if (!Number.isSafeInteger(number) || number <= node.chain.head.slot)
      throw new Refused("payload-slot", `no payload is wanted for slot ${slot}`);
    return attributesType.toJson(payloadAttributes(node.chain, number));
  });
  server.get("/symbolon/judge", ({query}) => {
    const from = Number(query.from ?? 1);
    const to = Number(query.to ?? node.chain.head.slot);
    if (!(from <= to)) throw new Refused("judge-slots", `slots ${query.from} to ${query.to}`);
    return judge.report(from, to);
  });
}
