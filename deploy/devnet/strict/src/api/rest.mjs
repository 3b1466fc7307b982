// The namespaces "config", "events" and "node".
import {BitArray, api, params} from "../lodestar.mjs";
import {specJson} from "../network.mjs";
import {must} from "../refused.mjs";

const VERSION = "symbolon-strict/0.0.0";
// Nobody dials this node: it has no peers, and an identity only because the API asks for one.
const PEER_ID = "16Uiu2HAkuWPWqF4W3aw9oo5Yw79v5muzBaaGTGKMmuqjPfEyfkwu";

export function configMethods({config}) {
  return {
    getForkSchedule: () => ({
      data: config.forksAscendingEpochOrder
        .filter(({epoch}) => epoch !== Infinity)
        .map(({prevVersion, version, epoch}) => ({previousVersion: prevVersion, currentVersion: version, epoch})),
    }),
    getSpec: () => ({data: specJson(config)}),
    getDepositContract: () => ({data: {chainId: config.DEPOSIT_CHAIN_ID, address: config.DEPOSIT_CONTRACT_ADDRESS}}),
  };
}

export function eventMethods(node) {
  return {
    eventstream({topics, signal, onEvent}) {
      const wanted = new Set(topics);
      const tell = (event) => wanted.has(event.type) && onEvent(event);
      node.events.on("event", tell);
      signal.addEventListener("abort", () => node.events.off("event", tell), {once: true});
    },
  };
}

export function nodeMethods(node) {
  const {chain, clock} = node;
  return {
    getNetworkIdentity: () => ({
      data: {
        peerId: PEER_ID,
        enr: "",
        p2pAddresses: [],
        discoveryAddresses: [],
        metadata: {
          seqNumber: 0n,
          attnets: BitArray.fromBitLen(params.ATTESTATION_SUBNET_COUNT),
          syncnets: BitArray.fromBitLen(params.SYNC_COMMITTEE_SUBNET_COUNT),
        },
      },
    }),
    getPeers: () => ({data: [], meta: {count: 0}}),
    getPeer: ({peerId}) => must(false, "peer-unknown", `no peer ${peerId}`, 404),
    getPeerCount: () => ({data: {disconnected: 0, connecting: 0, connected: 0, disconnecting: 0}}),
    getNodeVersion: () => ({data: {version: VERSION}}),
    getNodeVersionV2: () => ({
      data: {
        beaconNode: {
          code: api.routes.node.ClientCode.XX,
          name: "symbolon-strict",
          version: "0.0.0",
          commit: "00000000",
        },
      },
    }),
    // The one branch is the chain: there is nothing to sync from.
    getSyncingStatus: () => ({
      data: {
        headSlot: chain.head.slot,
        syncDistance: Math.max(0, clock.slot - chain.head.slot),
        isSyncing: false,
        isOptimistic: false,
        elOffline: false,
      },
    }),
    getHealth: () => ({status: api.routes.node.NodeHealth.READY}),
  };
}
