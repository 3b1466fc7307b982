//! The lookout beside an office, and a beacon node on a real socket.

use super::*;
use crate::key::CoordinatorKey;
use crate::ledger::charter::Charter;
use crate::ledger::charter::tests::charter;
use crate::ledger::governance::Act;
use crate::ledger::testbed::Pool;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Json, Response};
use beacon::Limits;
use rand_core::OsRng;
use serde_json::{Value, json};
use std::sync::Mutex;
use tempfile::TempDir;
use types::{ChainSpec, Root, Slot};

/// A beacon node: what it says is finalized, and what it was asked.
#[derive(Clone, Default)]
struct Node {
    finalized: Arc<Mutex<u64>>,
    asked: Arc<Mutex<Vec<(Method, String)>>>,
    /// What it has not: the end of a path.
    lacks: Arc<Mutex<&'static str>>,
    /// Who is slashed, and the block that says so, by its path.
    slashed: Arc<Mutex<Value>>,
    block: Arc<Mutex<(String, Value)>>,
    /// Exits that it was given, and whether it takes them.
    exits: Arc<Mutex<Vec<Value>>>,
    refuses: Arc<Mutex<Option<StatusCode>>>,
}

impl Node {
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }

    fn paths(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(method, path)| format!("{method} {path}")).collect()
    }
}

/// What the execution node answers: blocks, and no logs.
async fn executed(request: Request) -> Response {
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let result = match asked["method"].as_str() {
        Some("eth_getBlockByNumber") => {
            json!({"number": asked["params"][0], "hash": Root([6; 32]), "timestamp": "0x0"})
        }
        Some("eth_getLogs") => json!([]),
        other => panic!("{other:?}"),
    };
    Json(json!({"jsonrpc": "2.0", "id": asked["id"], "result": result})).into_response()
}

async fn answer(State(node): State<Node>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if path == "/" {
        return executed(request).await;
    }
    node.asked.lock().unwrap().push((request.method().clone(), path.clone()));
    if path == "/eth/v1/beacon/pool/voluntary_exits" {
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
        node.exits.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
        let code = node.refuses.lock().unwrap().unwrap_or(StatusCode::OK);
        return (code, Json(json!({"code": code.as_u16(), "message": "no such exit"}))).into_response();
    }
    let of_state =
        |data: Value| Json(json!({"execution_optimistic": false, "finalized": true, "data": data}));
    let spec = ChainSpec::builtin("hoodi").unwrap();
    let finalized = *node.finalized.lock().unwrap();
    let lacks = Some(*node.lacks.lock().unwrap()).filter(|lacks| !lacks.is_empty()).unwrap_or("nothing");
    match path.strip_prefix("/eth/v1/beacon/").unwrap_or(&path) {
        "genesis" => Json(json!({"data": {
            "genesis_time": (spec.genesis_time_ms / 1_000).to_string(),
            "genesis_validators_root": spec.genesis_validators_root,
            "genesis_fork_version": spec.genesis_fork_version,
        }}))
        .into_response(),
        "states/head/finality_checkpoints" => of_state(json!({
            "finalized": {"epoch": finalized.to_string(), "root": Root([7; 32])},
        }))
        .into_response(),
        path if path == format!("states/{}/randao", finalized * 32) => {
            assert!(request.uri().query().is_some_and(|query| query.starts_with("epoch=")));
            of_state(json!({"randao": Root([4; 32])})).into_response()
        }
        path if path == format!("states/{}/validators", finalized * 32)
            && request.method() == Method::POST
            && node.slashed.lock().unwrap().is_array() =>
        {
            of_state(node.slashed.lock().unwrap().clone()).into_response()
        }
        path if path == node.block.lock().unwrap().0 => {
            of_state(node.block.lock().unwrap().1.clone()).into_response()
        }
        path if path.starts_with(&format!("states/{}/", finalized * 32)) && !path.ends_with(lacks) => {
            let all =
                json!([{"status": "active_ongoing", "validator": {"effective_balance": "32000000000"}}]);
            let whole = request.uri().query() == Some("status=active");
            of_state(if whole { all } else { json!([]) }).into_response()
        }
        path if path == format!("/eth/v2/beacon/blocks/{}", Root([7; 32])) => {
            let payload = json!({"withdrawals": [], "block_number": "150000", "block_hash": Root([6; 32])});
            of_state(json!({"message": {"slot": (finalized * 32).to_string(), "body": {"execution_payload": payload}}}))
                .into_response()
        }
        _ => (StatusCode::NOT_FOUND, Json(json!({"code": 404, "message": "no such state"}))).into_response(),
    }
}

/// An office with a cluster and a key, whose coordinator it is or is not.
fn office(ours: bool) -> (TempDir, Shared) {
    let mut pool = Pool::of(charter());
    let team = pool.team();
    let cluster = pool.cluster(team, 1);
    pool.register(cluster, &[1]).unwrap();
    taken_over(pool, ours)
}

/// An office with a pool's log.
fn taken_over(mut pool: Pool, ours: bool) -> (TempDir, Shared) {
    let folder = tempfile::tempdir().unwrap();
    let key = CoordinatorKey::load_or_create(folder.path(), &mut OsRng).unwrap();
    if ours {
        pool.govern(Act::RotateCoordinator { coordinator: key.address() }).unwrap();
    }
    let office = Office::take_over(folder.path(), key, &pool.log).unwrap();
    (folder, Shared::new(office))
}

fn beacon_of(urls: &[&str]) -> Nodes {
    let hoodi = Arc::new(ChainSpec::builtin("hoodi").unwrap());
    let execution = urls.last().map(|url| Execution::new(url).unwrap());
    Nodes { beacon: Beacon::new(urls, hoodi, Limits::default()).unwrap(), execution }
}

async fn round_of(shared: &Shared, beacon: &Nodes, troubles: &mut Troubles) {
    watch(shared, beacon, Memory::default(), troubles, Duration::ZERO).await.unwrap();
}

async fn kinds(shared: &Shared) -> Vec<String> {
    let entries = shared.with(|office| Ok(office.entries(0, 1_000)?)).await.unwrap();
    let kind = |entry: Vec<u8>| {
        let entry: Value = serde_json::from_slice(&entry).unwrap();
        entry["entry"]["cause"]["observation"]["kind"].as_str().map(str::to_owned)
    };
    entries.into_iter().filter_map(kind).filter(|kind| kind != "bond-deposited").collect()
}

/// What was observed since so many entries.
async fn since(shared: &Shared, size: usize) -> Vec<String> {
    let entries = shared.with(move |office| Ok(office.entries(size as u64, 1_000)?)).await.unwrap();
    let sealed = entries.iter().map(|entry| Sealed::read(entry).unwrap());
    let kind = |sealed: Sealed| match sealed.entry.cause {
        crate::ledger::Cause::Observation(seen) => Some(seen.kind.to_string()),
        _ => None,
    };
    sealed.filter_map(kind).collect()
}

async fn size(shared: &Shared) -> usize {
    let size = shared.with(|office| Ok(office.ledger()?.tree().size())).await.unwrap();
    usize::try_from(size).unwrap()
}

#[tokio::test]
async fn what_the_node_says_is_written_and_the_next_node_is_asked_when_one_is_gone() {
    let (_folder, shared) = office(true);
    let node = Node::default();
    *node.finalized.lock().unwrap() = 9;
    // Nobody listens at the first.
    let urls = ["http://127.0.0.1:1", &node.serve().await];
    let (beacon, mut troubles) = (beacon_of(&urls), Troubles::default());
    round_of(&shared, &beacon, &mut troubles).await;
    let all = ["finalized", "network-stake", "executed", "look"];
    assert_eq!(kinds(&shared).await, all);
    assert!(troubles.0.is_empty());
    let looked = shared.with(|office| Ok(office.ledger()?.state().deposits.looked())).await.unwrap();
    assert_eq!(looked, Some(Slot(9 * 32)));
    let asked = [
        "GET /eth/v1/beacon/genesis".to_owned(),
        "GET /eth/v1/beacon/states/head/finality_checkpoints".to_owned(),
        "GET /eth/v1/beacon/states/288/validators".to_owned(),
        format!("GET /eth/v2/beacon/blocks/{}", Root([7; 32])),
        "POST /eth/v1/beacon/states/288/validators".to_owned(),
        "GET /eth/v1/beacon/states/288/pending_deposits".to_owned(),
    ];
    assert_eq!(node.paths(), asked);
    round_of(&shared, &beacon, &mut troubles).await;
    assert_eq!(kinds(&shared).await, all, "nothing twice");
}

#[tokio::test]
async fn what_fails_is_left_alone_for_a_while_and_then_done() {
    let (_folder, shared) = office(true);
    let node = Node::default();
    *node.finalized.lock().unwrap() = 9;
    let beacon = beacon_of(&[&node.serve().await]);
    *node.lacks.lock().unwrap() = "pending_deposits";
    let mut troubles = Troubles::default();
    round_of(&shared, &beacon, &mut troubles).await;
    let trouble = &troubles.0[&Task::Look];
    assert!(trouble.why.contains("states/288/pending_deposits: status 404"), "{}", trouble.why);
    assert_eq!((trouble.times, troubles.0.len()), (1, 1));
    let before = ["finalized", "network-stake", "executed"];
    assert_eq!(kinds(&shared).await, before, "the others go on");
    round_of(&shared, &beacon, &mut troubles).await;
    assert_eq!(troubles.0[&Task::Look].times, 2, "tried again");
    troubles.have(Task::Look, "still", Duration::from_secs(3_600));
    assert_eq!(troubles.resting(), [(Task::Look, "still".to_owned())].into());
    *node.lacks.lock().unwrap() = "nothing";
    round_of(&shared, &beacon, &mut troubles).await;
    assert_eq!(kinds(&shared).await, before, "left alone");
    troubles.0.get_mut(&Task::Look).unwrap().again = Instant::now();
    round_of(&shared, &beacon, &mut troubles).await;
    assert_eq!(kinds(&shared).await, ["finalized", "network-stake", "executed", "look"]);
    assert!(troubles.0.is_empty(), "well again");
}

#[tokio::test]
async fn an_office_that_is_not_the_pool_s_coordinator_asks_and_sees_nothing() {
    let (_folder, shared) = office(false);
    let node = Node::default();
    *node.finalized.lock().unwrap() = 9;
    let beacon = beacon_of(&[&node.serve().await]);
    round_of(&shared, &beacon, &mut Troubles::default()).await;
    assert!(node.paths().is_empty());
    assert!(kinds(&shared).await.is_empty());
    let refused = observe(&shared, "finalized", json!({"epoch": "9", "root": Root::ZERO}).to_string()).await;
    assert!(refused.unwrap().unwrap_err().contains("it records requests, and sees nothing"));
}

#[tokio::test]
async fn a_seed_is_asked_of_the_node_and_written() {
    let mut pool = Pool::of(charter());
    pool.team();
    let epoch = pool.state().epoch_at(pool.now).0;
    pool.see("call", &Pool::wanted(1, epoch + 1)).unwrap();
    let (_folder, shared) = taken_over(pool, true);
    let (node, before) = (Node::default(), size(&shared).await);
    *node.finalized.lock().unwrap() = epoch + 3;
    round_of(&shared, &beacon_of(&[&node.serve().await]), &mut Troubles::default()).await;
    assert_eq!(since(&shared, before).await[..2], ["finalized", "seed"]);
    let mix = shared.with(|office| Ok(office.ledger()?.state().calls.proposal.clone())).await.unwrap();
    assert_eq!(mix.unwrap().seed.mix, Root([4; 32]));
    assert!(node.paths().contains(&format!("GET /eth/v1/beacon/states/{}/randao", (epoch + 3) * 32)));
}

/// A pool without contracts with two validators, of which these keys' exits are signed, and the last of them.
fn leaving(secrets: &[u64]) -> (Pool, Value) {
    let (mut pool, _, cluster) = Pool::staked(Charter { contracts: None, ..charter() }, 2);
    let validators = secrets.iter().map(|secret| pool.index(*secret)).collect();
    pool.try_govern(Act::ExitValidator { validators }).unwrap();
    for (secret, place) in secrets.iter().flat_map(|secret| [1, 2, 3].map(|place| (*secret, place))) {
        pool.sign_exit(cluster, secret, place).unwrap();
    }
    let signed = serde_json::to_value(pool.state().exits.to_broadcast().last().unwrap()).unwrap();
    (pool, signed)
}

#[tokio::test]
async fn a_signed_exit_is_given_to_every_node_and_written_when_one_has_it() {
    let (pool, signed) = leaving(&[1]);
    let finalized = pool.state().chain.finalized.epoch.0;
    let (_folder, shared) = taken_over(pool, true);
    let [first, second] = [Node::default(), Node::default()];
    for node in [&first, &second] {
        *node.finalized.lock().unwrap() = finalized;
    }
    // The first is unwell.
    *first.refuses.lock().unwrap() = Some(StatusCode::SERVICE_UNAVAILABLE);
    let nodes = beacon_of(&[&first.serve().await, &second.serve().await]);
    let before = size(&shared).await;
    let (mut troubles, period) = (Troubles::default(), Duration::ZERO);
    let memory = watch(&shared, &nodes, Memory::default(), &mut troubles, period).await.unwrap();
    assert_eq!(since(&shared, before).await, ["network-stake", "exit-broadcast"]);
    let given = |node: &Node| node.exits.lock().unwrap().clone();
    assert_eq!((given(&first), given(&second)), (vec![signed.clone()], vec![signed]));
    assert!(troubles.0.is_empty());
    watch(&shared, &nodes, memory, &mut troubles, period).await.unwrap();
    assert_eq!(given(&second).len(), 1, "once");
    // Whoever starts again does not know, and gives it again; that is written nowhere.
    round_of(&shared, &nodes, &mut troubles).await;
    assert_eq!(given(&second).len(), 2);
    assert_eq!(since(&shared, before).await.len(), 2);
}

#[tokio::test]
async fn an_exit_that_is_refused_waits_for_a_look_and_one_that_nobody_hears_is_tried_again() {
    let (pool, _) = leaving(&[1, 2]);
    let finalized = pool.state().chain.finalized.epoch.0;
    let (_folder, shared) = taken_over(pool, true);
    let (node, before) = (Node::default(), size(&shared).await);
    *node.finalized.lock().unwrap() = finalized;
    *node.refuses.lock().unwrap() = Some(StatusCode::SERVICE_UNAVAILABLE);
    let nodes = beacon_of(&[&node.serve().await]);
    let (mut troubles, period) = (Troubles::default(), Duration::ZERO);
    let mut memory = watch(&shared, &nodes, Memory::default(), &mut troubles, period).await.unwrap();
    assert!(troubles.0[&Task::Publish].why.starts_with("the exit of validator 1000: status 503"));
    assert_eq!(node.exits.lock().unwrap().len(), 2, "one stops no other");
    *node.refuses.lock().unwrap() = Some(StatusCode::BAD_REQUEST);
    for _ in 0..3 {
        memory = watch(&shared, &nodes, memory, &mut troubles, period).await.unwrap();
    }
    assert_eq!(node.exits.lock().unwrap().len(), 4, "one for each answer");
    assert!(troubles.0.is_empty());
    assert_eq!(since(&shared, before).await, ["network-stake"]);
    assert_eq!(memory.known.published.values().collect::<Vec<_>>(), [&false, &false]);
}

#[tokio::test]
async fn a_slashing_is_asked_for_each_epoch_and_written_with_its_block() {
    let (pool, _, _) = Pool::staked(Charter { contracts: None, ..charter() }, 1);
    let (key, finalized) = (crate::ledger::testbed::jar::key(1), pool.state().chain.finalized.epoch.0);
    let credentials = pool.ours();
    let (_folder, shared) = taken_over(pool, true);
    let (node, slashed) = (Node::default(), finalized - 1);
    *node.finalized.lock().unwrap() = finalized;
    *node.slashed.lock().unwrap() = json!([{
        "index": "1000", "balance": "31992187500", "status": "active_slashed",
        "validator": {
            "pubkey": key, "withdrawal_credentials": credentials, "effective_balance": "32000000000",
            "slashed": true, "activation_epoch": "5", "exit_epoch": (slashed + 5).to_string(),
            "withdrawable_epoch": (slashed + 8_192).to_string(),
        },
    }]);
    let slot = slashed * 32 + 7;
    let vote = json!({"attesting_indices": ["1000"], "data": {"target": {"epoch": slashed.to_string()}}});
    let body = json!({
        "proposer_slashings": [], "attester_slashings": [{"attestation_1": vote, "attestation_2": vote}],
    });
    let block = json!({"message": {"slot": slot.to_string(), "body": body}});
    *node.block.lock().unwrap() = (format!("/eth/v2/beacon/blocks/{slot}"), block);
    let before = size(&shared).await;
    round_of(&shared, &beacon_of(&[&node.serve().await]), &mut Troubles::default()).await;
    assert_eq!(since(&shared, before).await, ["network-stake", "slashing"]);
    let held = shared.with(|office| Ok(office.ledger()?.state().incidents.holds_queue())).await.unwrap();
    assert!(held, "nobody leaves");
}

#[test]
fn a_failure_is_waited_for_longer_each_time_and_not_for_ever() {
    let mut troubles = Troubles::default();
    let period = Duration::from_secs(1_000);
    for times in 0..80_u32 {
        let before = Instant::now();
        troubles.have(Task::Look, "no", period);
        let waits = troubles.0[&Task::Look].again - before;
        let rounds = 1_u32.checked_shl(times).map_or(ROUNDS_ASIDE_MAX, |rounds| rounds.min(ROUNDS_ASIDE_MAX));
        let least = period * rounds - period / 2;
        assert!(waits >= least && waits < least + period / 2, "{times}: {waits:?}");
    }
    troubles.well(&Known::default());
    assert!(troubles.0.is_empty());
}
