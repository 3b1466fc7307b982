//! The matrix of refusals: each way to be wrong, at each route that takes something, beside the unmodified twin.
//!
//! A refused request never reaches core and never goes on to the chain; its twin does what it should, and the server
//! goes on serving.

use crate::objects::{
    HALF, aggregated, committee_subscription, contributed, exit, message, preparation, registration,
    selection, single, sync_selection, sync_subscription,
};
use crate::world::{ELECTRA, Got, STRANGER_INDEX, World, client_key, group_key, index, share_key, world};
use axum::body::Body;
use axum::http::{Request, header};
use dvt_node::validator_api::Noticed;
use serde_json::{Value, json};
use ssz::Encode;
use symbolon_core::Answer;
use types::block::body::{BeaconBlock, BlindedBodyElectra, BodyElectra};
use types::block::{BlockShape, ProposedBlock, Sidecars, SignedBlockContents, SignedBlockParts};
use types::sizes::Minimal;
use types::{Fork, Preset};

const JSON: &str = "application/json";
const SSZ: &str = "application/octet-stream";

/// A route that takes a body, and a body that it takes.
struct Route {
    path: &'static str,
    /// Whether the fork has to be named.
    forked: bool,
    json: Value,
    /// `None` where SSZ is not spoken.
    ssz: Option<Vec<u8>>,
    /// The same of a validator that is not ours, where that matters.
    stranger: Option<Value>,
    /// Whether it answers with data, so that `Accept` matters.
    answers: bool,
    /// What core says to the twin.
    core: Option<Answer>,
    /// Longest body.
    len_max: usize,
}

fn route(path: &'static str, json: Value, ssz: Option<Vec<u8>>) -> Route {
    Route { path, forked: false, json, ssz, stranger: None, answers: false, core: None, len_max: 2 << 20 }
}

/// A list of one, and the same of a stranger.
fn list<T: Encode + serde::Serialize>(path: &'static str, of: impl Fn(u64) -> T) -> Route {
    let ours = vec![of(index(0))];
    let stranger = Some(json!([of(STRANGER_INDEX)]));
    Route { stranger, ..route(path, json!(ours), Some(ours.as_ssz_bytes())) }
}

fn selections(path: &'static str, of: impl Fn(u64) -> Value, numbers: &[u64]) -> Route {
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let ssz = [&numbers[..], &HALF.0].concat();
    Route {
        stranger: Some(json!([of(STRANGER_INDEX)])),
        answers: true,
        core: Some(Answer::Selections(Vec::new())),
        len_max: 8 << 20,
        ..route(path, json!([of(index(0))]), Some(ssz))
    }
}

fn indices(path: &'static str) -> Route {
    let ssz = vec![index(0)].as_ssz_bytes();
    let stranger = (!path.contains("liveness")).then(|| json!([STRANGER_INDEX.to_string()]));
    Route { stranger, answers: true, ..route(path, json!([index(0).to_string()]), Some(ssz)) }
}

fn blocks() -> [Route; 2] {
    let of = |block: ProposedBlock| {
        let signed = SignedBlockParts { block, signature: HALF };
        SignedBlockContents { signed, sidecars: Sidecars::default() }
    };
    let full = BeaconBlock::<BodyElectra<Minimal>> { slot: ELECTRA, ..BeaconBlock::default() };
    let blinded = BeaconBlock::<BlindedBodyElectra<Minimal>> { slot: ELECTRA, ..BeaconBlock::default() };
    let read = |shape: BlockShape, json: Value| of(ProposedBlock::from_json(shape, &json).unwrap());
    let (preset, fork) = (Preset::Minimal, Fork::Electra);
    let full = read(BlockShape::full(preset, fork), json!(full));
    let blinded = read(BlockShape::blinded(preset, fork), json!(blinded));
    [("/eth/v2/beacon/blocks", full), ("/eth/v2/beacon/blinded_blocks", blinded)].map(|(path, signed)| {
        Route {
            forked: true,
            len_max: 64 << 20,
            ..route(path, signed.to_json(preset).unwrap(), Some(signed.to_ssz()))
        }
    })
}

/// Of one kind each: what a client signs.
fn signed() -> Vec<Route> {
    let forked = |route| Route { forked: true, ..route };
    let mut routes = vec![
        forked(list("/eth/v2/beacon/pool/attestations", single)),
        forked(list("/eth/v2/validator/aggregate_and_proofs", |who| aggregated(who, 1))),
        list("/eth/v1/validator/contribution_and_proofs", |who| contributed(who, 1)),
        list("/eth/v1/beacon/pool/sync_committees", |who| message(ELECTRA, who)),
        selections(
            "/eth/v1/validator/beacon_committee_selections",
            |who| selection(ELECTRA, who),
            &[index(0), ELECTRA.0],
        ),
        selections(
            "/eth/v1/validator/sync_committee_selections",
            |who| sync_selection(ELECTRA, who, 1),
            &[index(0), ELECTRA.0, 1],
        ),
        Route {
            stranger: Some(json!(exit(STRANGER_INDEX))),
            ..route("/eth/v1/beacon/pool/voluntary_exits", json!(exit(index(0))), None)
        },
    ];
    routes.extend(blocks());
    routes
}

/// What a client asks for and tells.
fn told() -> Vec<Route> {
    let committee = [&[10_u64, 1, 4, 65].map(u64::to_le_bytes).concat()[..], &[1]].concat();
    let fixed = [&10_u64.to_le_bytes()[..], &20_u32.to_le_bytes(), &9_u64.to_le_bytes()].concat();
    let sync = [&4_u32.to_le_bytes()[..], &fixed, &[3_u64, 17].map(u64::to_le_bytes).concat()].concat();
    let prepared = [&10_u64.to_le_bytes()[..], &[0xfe; 20]].concat();
    let registered = vec![registration()];
    let answering = |route| Route { answers: true, ..route };
    let ids = json!([client_key(0)]);
    vec![
        indices("/eth/v1/validator/duties/attester/8"),
        indices("/eth/v1/validator/duties/sync/8"),
        indices("/eth/v1/validator/liveness/8"),
        route(
            "/eth/v1/validator/beacon_committee_subscriptions",
            json!([committee_subscription()]),
            Some(committee),
        ),
        route("/eth/v1/validator/sync_committee_subscriptions", json!([sync_subscription()]), Some(sync)),
        route("/eth/v1/validator/prepare_beacon_proposer", json!([preparation()]), Some(prepared)),
        Route {
            len_max: 8 << 20,
            ..route(
                "/eth/v1/validator/register_validator",
                json!(registered),
                Some(registered.as_ssz_bytes()),
            )
        },
        answering(route("/eth/v1/beacon/states/head/validators", json!({ "ids": ids }), None)),
        answering(route("/eth/v1/beacon/states/head/validator_balances", ids.clone(), None)),
        answering(route("/eth/v1/beacon/states/head/validator_identities", ids.clone(), None)),
        route("/eth/v1/beacon/rewards/attestations/8", ids.clone(), None),
        route("/eth/v1/beacon/rewards/sync_committee/head", ids, None),
    ]
}

fn routes() -> impl Iterator<Item = Route> {
    signed().into_iter().chain(told())
}

impl Route {
    async fn send(&self, world: &World, kind: &str, fork: Option<&str>, body: Vec<u8>) -> Got {
        let request = Request::post(self.path).header(header::CONTENT_TYPE, kind);
        let request =
            fork.into_iter().fold(request, |request, fork| request.header("eth-consensus-version", fork));
        world.call(request.body(body.into()).unwrap()).await
    }

    async fn json(&self, world: &World, body: &str) -> Got {
        self.send(world, JSON, Some("electra"), body.as_bytes().to_vec()).await
    }

    /// The unmodified request is taken, in every form that the route has.
    async fn the_twin_is_taken(&self, world: &World) {
        let twins =
            [Some((JSON, self.json.to_string().into_bytes())), self.ssz.clone().map(|ssz| (SSZ, ssz))];
        for (kind, body) in twins.into_iter().flatten() {
            self.core.iter().for_each(|answer| world.answer(answer.clone()));
            let got = self.send(world, kind, Some("electra"), body).await;
            assert_eq!(got.status.as_u16(), 200, "{} {kind}: {got:?}", self.path);
        }
    }
}

/// Every refusal is followed by its twin, and that by a question that has nothing to do with it.
async fn then(route: &Route, world: &World) {
    assert!(world.asks().is_empty(), "{}: a refused request reached core", route.path);
    assert!(world.forwarded().is_empty(), "{}: a refused request was passed on", route.path);
    route.the_twin_is_taken(world).await;
    world.get("/eth/v1/beacon/genesis").await.ok();
}

#[tokio::test]
async fn bad_json() {
    for route in routes() {
        let world = world();
        let good = route.json.to_string();
        for bad in ["", "{", "\u{0}garbage", &good[..good.len() - 1]] {
            route.json(&world, bad).await.refused(400, "JSON");
        }
        for shape in ["1", "\"x\"", "null"] {
            assert_eq!(route.json(&world, shape).await.status.as_u16(), 400, "{} {shape}", route.path);
        }
        then(&route, &world).await;
    }
}

#[tokio::test]
async fn truncated_ssz_or_ssz_where_it_is_not_spoken() {
    for route in routes() {
        let world = world();
        match &route.ssz {
            Some(ssz) => {
                for bad in [&ssz[..ssz.len() - 1], &[&ssz[..], &[0]].concat()] {
                    let got = route.send(&world, SSZ, Some("electra"), bad.to_vec()).await;
                    got.refused(400, "");
                }
            }
            None => {
                let got = route.send(&world, SSZ, Some("electra"), vec![1, 2, 3]).await;
                got.refused(415, "application/json only");
            }
        }
        then(&route, &world).await;
    }
}

#[tokio::test]
async fn a_content_type_that_nobody_speaks() {
    for route in routes() {
        let world = world();
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
            let got = route.send(&world, kind, Some("electra"), route.json.to_string().into()).await;
            got.refused(415, kind);
        }
        then(&route, &world).await;
    }
}

#[tokio::test]
async fn a_fork_that_is_missing_unknown_or_wrong() {
    let mut forked = 0;
    for route in routes().filter(|route| route.forked) {
        forked += 1;
        let world = world();
        let body = || route.json.to_string().into_bytes();
        let bodies = [(JSON, body()), (SSZ, route.ssz.clone().unwrap())];
        for (kind, body) in bodies {
            let send = |fork| route.send(&world, kind, fork, body.clone());
            send(None).await.refused(400, "no Eth-Consensus-Version header");
            send(Some("bellatrix")).await.refused(400, "unknown Eth-Consensus-Version bellatrix");
            send(Some("fulu")).await.refused(400, "Eth-Consensus-Version is fulu, but slot 65 is of electra");
            assert_eq!(send(Some("capella")).await.status.as_u16(), 400, "{}", route.path);
        }
        then(&route, &world).await;
    }
    assert_eq!(forked, 4);
}

#[tokio::test]
async fn an_over_long_body() {
    for route in routes() {
        let world = world();
        for kind in [JSON, SSZ] {
            if kind == SSZ && route.ssz.is_none() {
                continue;
            }
            let got = route.send(&world, kind, Some("electra"), vec![b' '; route.len_max + 1]).await;
            got.refused(413, "");
        }
        then(&route, &world).await;
    }
}

#[tokio::test]
async fn an_unknown_validator() {
    let mut asked = 0;
    for route in routes() {
        let Some(stranger) = &route.stranger else { continue };
        asked += 1;
        let world = world();
        route.json(&world, &stranger.to_string()).await.refused(400, "index 99 is none of this cluster's");
        then(&route, &world).await;
    }
    assert_eq!(asked, 9);
}

#[tokio::test]
async fn an_answer_that_the_client_does_not_take() {
    for route in routes().filter(|route| route.answers) {
        let world = world();
        let request = Request::post(route.path).header(header::ACCEPT, "text/html, application/*;q=0");
        let request = request.header(header::CONTENT_TYPE, JSON).body(route.json.to_string().into()).unwrap();
        world.call(request).await.refused(406, "application/json");
        then(&route, &world).await;
    }
}

#[tokio::test]
async fn an_unknown_path() {
    for route in routes() {
        let world = world();
        for path in [format!("{}x", route.path), format!("{}/x", route.path), route.path.replace("/v", "/v9")]
        {
            let request = Request::post(&path).header(header::CONTENT_TYPE, JSON);
            let got = world.call(request.body(Body::from(route.json.to_string())).unwrap()).await;
            let numbered = path.ends_with("8x") || path.ends_with("headx");
            if numbered {
                // The last part is a parameter: another epoch or block, and no proper one.
                continue;
            }
            got.refused(501, "does not serve");
            assert_eq!(world.noticed.lock().unwrap().pop(), Some(Noticed::UnknownRoute), "{path}");
        }
        world.forwarded();
        world.asks();
        then(&route, &world).await;
    }
}

#[tokio::test]
async fn a_foreign_key() {
    let another_operators = client_key(9);
    for (key, words) in [
        (group_key(0), "is the validator's group key"),
        (share_key(0), "is the key of this operator's whole share"),
    ] {
        for route in routes().filter(|route| route.path.contains("states") || route.path.contains("rewards"))
        {
            let world = world();
            let json = route.json(&world, &json!([key]).to_string()).await.refused(400, words);
            let message = json["message"].as_str().unwrap();
            assert!(message.contains("import the keystore of this operator's half"), "{message}");
            then(&route, &world).await;
        }
    }
    let world = world();
    let one = |key| format!("/eth/v1/beacon/states/head/validators/{key}");
    let json = world.get(&one(another_operators)).await.refused(404, "is it another operator's keystore?");
    assert!(json["message"].as_str().unwrap().contains("Import the keystores"));
    world.get(&one(client_key(0))).await.ok();
}
