//! The client and the toy chain against each other, with whole keys, over HTTP and in real time.

use super::*;
use crate::beacon_api::{BeaconNode, Head, Server};
use crate::curve::Bls;
use crate::network;
use keys::derive::derive_master;
use sim::chain::{Chain, Genesis};
use sim::judges::duties;
use types::wire::Kind;

/// Longest the run may take; it ends with the head that it waits for.
const RUN_TIME_MAX: Duration = Duration::from_secs(120);

fn halves(count: u8) -> BTreeMap<PublicKey, VcHalf> {
    let half = |seed| derive_master(&[seed; 32]).unwrap().into_imported_half();
    (1..=count).map(half).map(|half| (half.public(), half)).collect()
}

async fn server(validators: Vec<PublicKey>, genesis_time_s: u64) -> Server {
    let spec = network::spec(genesis_time_s, 1);
    let curve = Bls::new(&validators).unwrap();
    let chain = Chain::new(Genesis { spec, validators, strangers: 0, seed: 7 });
    Server::start(BeaconNode::new(chain, curve)).await.unwrap()
}

async fn until_head(node: &BeaconNode, slot: Slot) -> Head {
    let mut heads = node.heads();
    loop {
        let head = heads.recv().await.unwrap();
        if head.slot >= slot {
            return head;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_whole_keys_does_every_duty_and_nothing_is_refused() {
    let halves = halves(8);
    let genesis = clock::now().0 / 1000 + 3;
    let server = server(halves.keys().copied().collect(), genesis).await;
    let client = Client::connect(&server.url(), halves, Address([0xfe; 20]), Selecting::Never).await.unwrap();
    assert_eq!(client.genesis(), Millis(genesis * 1000));
    let serving = tokio::spawn(client.serve());
    // Past the first epoch, so that duties are looked ahead for.
    let last = Slot(10);
    let end = until_head(server.node(), last.next());
    tokio::time::timeout(RUN_TIME_MAX, end).await.expect("the chain grows");
    serving.abort();
    let due = server.node().look(|chain| duties::due(chain, 1..=last.0, |_| true, None));
    assert_eq!(duties::missed(&due), []);
    let kinds = [Kind::Attest, Kind::Propose, Kind::Aggregate, Kind::Contribute, Kind::SyncMessage];
    assert_eq!(duties::count(&due).into_keys().collect::<Vec<_>>(), kinds);
    let tally = server.node().tally();
    assert_eq!((tally.rejected, tally.slashable), (vec![], 0));
}

/// Who asked for which slot's proof when.
type Asked = Arc<Mutex<Vec<(ValidatorIndex, Slot, Slot)>>>;

/// A beacon node with something before it that combines selection proofs: of one half, which is the whole.
async fn combining_front(node: &Arc<BeaconNode>) -> (String, Asked) {
    let asked = Asked::default();
    let combine = |axum::extract::State((node, asked)): axum::extract::State<(Arc<BeaconNode>, Asked)>,
                   axum::Json(list): axum::Json<Vec<api::Selection>>| async move {
        let now = node.now().unwrap_or_default();
        let rows = list.iter().map(|one| (one.validator_index, one.slot, now));
        asked.lock().unwrap().extend(rows);
        axum::Json(serde_json::json!({ "data": list }))
    };
    let front = axum::Router::new()
        .route("/eth/v1/validator/beacon_committee_selections", axum::routing::post(combine))
        .route("/eth/v1/validator/sync_committee_selections", axum::routing::post(combine))
        .with_state((Arc::clone(node), Arc::clone(&asked)))
        .merge(crate::beacon_api::router(Arc::clone(node)));
    let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, front).await });
    (url, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_ask_for_selection_proofs_by_their_habits_and_aggregate_with_them() {
    let halves = halves(9);
    let keys: Vec<_> = halves.keys().copied().collect();
    let spec = network::spec(clock::now().0 / 1000 + 3, 1);
    let curve = Bls::new(&keys).unwrap();
    let chain = Chain::new(Genesis { spec: spec.clone(), validators: keys.clone(), strangers: 0, seed: 7 });
    let node = Arc::new(BeaconNode::new(chain, curve));
    let (url, asked) = combining_front(&node).await;
    // Three validators for each client.
    let habits = [Selecting::InSlot, Selecting::SlotAhead, Selecting::EpochAhead];
    let mut halves = halves.into_iter();
    let mut serving = tokio::task::JoinSet::new();
    for habit in habits {
        let own = halves.by_ref().take(3).collect();
        let client = Client::connect(&url, own, Address([0xfe; 20]), habit).await.unwrap();
        serving.spawn(client.serve());
    }
    let last = Slot(13);
    tokio::time::timeout(RUN_TIME_MAX, until_head(&node, last.next())).await.expect("the chain grows");
    serving.abort_all();
    let due = node.look(|chain| duties::due(chain, 1..=last.0, |_| true, None));
    assert_eq!(duties::missed(&due), []);
    assert_eq!(node.tally().rejected, Vec::<String>::new());
    for (who, slot, now) in asked.lock().unwrap().iter().filter(|(_, slot, _)| (9..=13).contains(&slot.0)) {
        match habits[who.0 as usize / 3] {
            Selecting::InSlot => assert_eq!(now, slot),
            Selecting::SlotAhead => assert_eq!(now.next(), *slot),
            Selecting::EpochAhead => assert!(spec.epoch_of(*now) < spec.epoch_of(*slot), "{slot} at {now}"),
            Selecting::Never => unreachable!("nobody's habit"),
        }
    }
    let who = |habit: usize| {
        let asked = asked.lock().unwrap();
        asked.iter().filter(|(who, _, _)| who.0 as usize / 3 == habit).count()
    };
    assert!((0..3).all(|habit| who(habit) > 10), "everybody asked");
}

#[tokio::test]
async fn a_client_signs_no_second_attestation_for_a_target() {
    let halves = halves(1);
    let key = *halves.keys().next().unwrap();
    // A genesis in the past: the chain is at some slot already.
    let server = server(vec![key], clock::now().0 / 1000 - 5).await;
    let client = Client::connect(&server.url(), halves, Address::ZERO, Selecting::Never).await.unwrap();
    let duty = server.node().look(|chain| chain.attesters(Epoch(0)).remove(0));
    let data = AttestationData::default();
    let first = client.sign_attestation(&duty, &data).unwrap();
    assert_eq!(client.sign_attestation(&duty, &data), Some(first));
    let other = AttestationData { beacon_block_root: Root([1; 32]), ..data };
    assert_eq!(client.sign_attestation(&duty, &other), None);
}
