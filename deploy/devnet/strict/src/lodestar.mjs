// The one door to the libraries that judge: everything here imports them from this file, so the preset comes first.
import "./preset.mjs";

export {BitArray} from "@chainsafe/ssz";
export {Tree} from "@chainsafe/persistent-merkle-tree";
export {default as blst} from "@chainsafe/blst";
export * as api from "@lodestar/api";
export * as builderApi from "@lodestar/api/builder";
export * as builderServer from "@lodestar/api/builder/server";
export * as apiServer from "@lodestar/api/beacon/server";
export {ApiError, addSszContentTypeParser} from "@lodestar/api/server";
export * as configs from "@lodestar/config";
export {minimalChainConfig} from "@lodestar/config/configs";
export * as params from "@lodestar/params";
export * as transition from "@lodestar/state-transition";
export {ssz, sszTypesFor} from "@lodestar/types";
export {fromHex, toHex, toRootHex} from "@lodestar/utils";
