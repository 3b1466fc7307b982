//! The office over HTTP: what is written, refused, read and proved.

use super::{Shared, now, router};
use crate::key::CoordinatorKey;
use crate::ledger::audit;
use crate::ledger::ceremonies::LOCK_LEN_MAX;
use crate::ledger::ceremonies::tests::lock;
use crate::ledger::charter::{Charter, tests::charter};
use crate::ledger::testbed::{MANAGER, NODE, Pool, REWARD, address, setup};
use crate::merkle::log_tree::{leaf_hash, verify_consistency, verify_inclusion};
use crate::office::{Office, OfficeError, Published};
use crate::request::BODY_LEN_MAX;
use crate::test_keys::Wallet;
use crate::text::Label;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use rand_core::OsRng;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tower::ServiceExt as _;
use types::Root;

/// A coordinator, its folder and its routes.
struct Site {
    folder: TempDir,
    charter: Charter,
    shared: Shared,
    router: Router,
    nonce: u64,
}

/// What is wrong with a request, beside what it says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Pool,
    Signer,
    NoSignature,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = CoordinatorKey::load_or_create(folder.path(), &mut OsRng).unwrap();
        let charter = Charter { coordinator: key.address(), ..charter() };
        let office = Office::found(folder.path(), key, charter.clone(), now()).unwrap();
        let shared = Shared::new(office);
        Self { folder, charter, router: router(shared.clone()), shared, nonce: 0 }
    }

    /// A coordinator that goes on with another's log.
    fn over(pool: &Pool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = CoordinatorKey::load_or_create(folder.path(), &mut OsRng).unwrap();
        let shared = Shared::new(Office::take_over(folder.path(), key, &pool.log).unwrap());
        let charter = pool.state().charter.clone();
        // Above all nonces of the pool's own.
        Self { folder, charter, router: router(shared.clone()), shared, nonce: 1 << 32 }
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, Vec<u8>) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (status, to_bytes(response.into_body(), 1 << 24).await.unwrap().to_vec())
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let (status, body) = self.ask(Request::get(path).body(Body::empty()).unwrap()).await;
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn told(&self, path: &str) -> Value {
        let (status, value) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {value}");
        value
    }

    fn signed(&mut self, wallet: u8, what: (&str, &str), body: &Value, wrong: Wrong) -> Request<Body> {
        self.signed_text(wallet, what, body.to_string(), wrong)
    }

    fn signed_text(&mut self, wallet: u8, what: (&str, &str), body: String, wrong: Wrong) -> Request<Body> {
        self.nonce += 1;
        let wallet = Wallet::new(wallet);
        let pool = if wrong == Wrong::Pool { Root([1; 32]) } else { self.charter.pool() };
        let expiry = now() + 60;
        let incoming = wallet.incoming(pool, self.charter.network.chain_id, what, &body, self.nonce, expiry);
        let signer = if wrong == Wrong::Signer { address(77) } else { incoming.signer };
        let mut request = Request::builder()
            .method(what.0)
            .uri(what.1)
            .header("x-pool", pool.to_string())
            .header("x-signer", signer.to_string())
            .header("x-nonce", self.nonce)
            .header("x-expiry", expiry);
        if wrong != Wrong::NoSignature {
            request = request.header("x-signature", incoming.request.signature.to_string());
        }
        request.body(Body::from(body)).unwrap()
    }

    async fn send(&mut self, wallet: u8, what: (&str, &str), body: &Value) -> (StatusCode, Value) {
        let request = self.signed(wallet, what, body, Wrong::Nothing);
        let (status, body) = self.ask(request).await;
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// The operator of [`MANAGER`] applies.
    fn application(&self) -> Value {
        let node = Wallet::new(NODE);
        json!({
            "entity": "Blauer Reiter", "setup": setup("geth"), "operator_type": "csm-default",
            "reward": address(REWARD), "enr": node.enr().as_str(),
            "node_signature": node.binding(self.charter.pool(), self.charter.network.chain_id, address(MANAGER)),
        })
    }

    async fn apply(&mut self) {
        let application = self.application();
        let (status, told) = self.send(MANAGER, ("POST", "/v1/operators"), &application).await;
        assert_eq!(status, StatusCode::CREATED, "{told}");
    }

    async fn entries(&self) -> u64 {
        self.told("/v1/health").await["entries"].as_u64().unwrap()
    }

    fn restarted(self) -> Self {
        let Self { folder, charter, shared, router: old, nonce } = self;
        drop((shared, old));
        let key = CoordinatorKey::load(folder.path()).unwrap();
        let shared = Shared::new(Office::open(folder.path(), key).unwrap());
        Self { folder, charter, router: router(shared.clone()), shared, nonce }
    }
}

#[tokio::test]
async fn what_is_signed_is_written_read_and_there_after_a_restart() {
    let mut site = Site::new();
    site.apply().await;
    let operators = site.told("/v1/state/operators").await;
    let manager = address(MANAGER).to_string();
    assert_eq!(operators["operators"][&manager]["application"]["entity"], "Blauer Reiter");
    assert_eq!(site.told(&format!("/v1/nonces/{manager}")).await, json!({ "last": "1" }));
    let before = site.told("/v1/head").await;
    let site = site.restarted();
    assert_eq!(site.told("/v1/head").await, before, "kept, not signed again");
    assert_eq!(site.told("/v1/state/operators").await, operators);
    assert_eq!(site.entries().await, 2);
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_by_name_and_changes_nothing() {
    let mut site = Site::new();
    site.apply().await;
    let operators = ("POST", "/v1/operators");
    let pause = ("POST", "/v1/deposits/pause");
    let empty = json!({});
    for (wallet, what, body, wrong, status, word) in [
        (90, operators, &empty, Wrong::NoSignature, 401, "x-signature"),
        (90, operators, &empty, Wrong::Pool, 401, "this is pool"),
        (90, operators, &empty, Wrong::Signer, 401, "it gives"),
        (90, operators, &empty, Wrong::Nothing, 400, "missing field"),
        (90, pause, &empty, Wrong::Nothing, 403, "nobody in the pool"),
        (MANAGER, operators, &empty, Wrong::Nothing, 403, "manager"),
        (90, ("POST", "/v1/nowhere"), &empty, Wrong::Nothing, 404, "nothing is written at /v1/nowhere"),
        (90, ("POST", "/v1/pool"), &empty, Wrong::Nothing, 404, "nothing is written at /v1/pool"),
        (90, ("PUT", "/v1/operators"), &empty, Wrong::Nothing, 405, "PUT"),
        (21, ("POST", "/v1/deposits/pause?now"), &empty, Wrong::Nothing, 400, "query"),
    ] {
        let request = site.signed(wallet, what, body, wrong);
        let (have, body) = site.ask(request).await;
        let body = String::from_utf8(body).unwrap();
        assert_eq!(have.as_u16(), status, "{what:?}: {body}");
        assert!(body.contains(word), "{what:?}: {body}");
        let error: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(error["code"], status);
    }
    assert_eq!(site.entries().await, 2);
    let (status, _) = site.get("/v1/state/secrets").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_request_counts_once() {
    let mut site = Site::new();
    let pause = || ("POST", "/v1/deposits/pause");
    let request = site.signed(21, pause(), &json!({}), Wrong::Nothing);
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let copy = || Request::from_parts(parts.clone(), Body::from(body.clone()));
    assert_eq!(site.ask(copy()).await.0, StatusCode::CREATED);
    let (status, said) = site.ask(copy()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(String::from_utf8(said).unwrap().contains("is not higher"));
}

#[tokio::test]
async fn a_stranger_checks_the_log_with_what_is_served() {
    let mut site = Site::new();
    let early: Published = serde_json::from_value(site.told("/v1/head").await).unwrap();
    site.apply().await;
    let late: Published = serde_json::from_value(site.told("/v1/head").await).unwrap();
    let (_, log) = site.ask(Request::get("/v1/log").body(Body::empty()).unwrap()).await;
    let entries: Vec<_> = log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let ledger = audit(&entries, &[early.signed, late.signed]).unwrap();
    assert_eq!(ledger.head(), late.signed.head);
    let (_, state) = site.ask(Request::get("/v1/state").body(Body::empty()).unwrap()).await;
    let hash = Sha256::digest(&state);
    assert_eq!(late.signed.head.state.0[..], hash[..], "the state is what was signed");

    let proof: Value = site.told("/v1/log/1/proof").await;
    let roots: Vec<Root> = serde_json::from_value(proof["proof"].clone()).unwrap();
    let entry: Value = serde_json::from_slice(entries[1]).unwrap();
    let hash: Root = serde_json::from_value(entry["hash"].clone()).unwrap();
    let root = late.signed.head.root;
    assert_eq!(verify_inclusion(leaf_hash(&hash.0), 1, 2, &roots, root), Ok(()));
    let proof = site.told("/v1/log/consistency?from=1").await;
    let roots: Vec<Root> = serde_json::from_value(proof["proof"].clone()).unwrap();
    assert_eq!(verify_consistency(1, 2, &roots, early.signed.head.root, root), Ok(()));
    assert_eq!(site.get("/v1/log/9/proof").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(site.get("/v1/log/consistency?from=2&to=1").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn heads_are_countersigned_by_who_counts() {
    let mut site = Site::new();
    site.apply().await;
    let published: Published = serde_json::from_value(site.told("/v1/head").await).unwrap();
    let digest = published.signed.head.digest(site.charter.network.chain_id);
    let post = |wallet: u8, size: u64| {
        let body = json!({ "signature": Wallet::new(wallet).sign(digest) }).to_string();
        Request::post(format!("/v1/heads/{size}/signatures")).body(Body::from(body)).unwrap()
    };
    assert_eq!(site.ask(post(99, 2)).await.0, StatusCode::FORBIDDEN);
    assert_eq!(site.ask(post(MANAGER, 1)).await.0, StatusCode::NOT_FOUND);
    assert_eq!(site.ask(post(MANAGER, 2)).await.0, StatusCode::OK);
    assert_eq!(site.ask(post(21, 2)).await.0, StatusCode::OK);
    let site = site.restarted();
    let again: Published = serde_json::from_value(site.told("/v1/heads/2").await).unwrap();
    let signers: Vec<_> = again.countersigned.keys().copied().collect();
    let mut wanted = vec![address(MANAGER), address(21)];
    wanted.sort();
    assert_eq!(signers, wanted);
}

#[tokio::test]
async fn a_second_coordinator_takes_over_and_sees_once_governance_says_so() {
    let mut site = Site::new();
    site.apply().await;
    let (_, log) = site.ask(Request::get("/v1/log").body(Body::empty()).unwrap()).await;
    let entries: Vec<Vec<u8>> =
        log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
    let before = site.told("/v1/head").await["signed"]["head"].clone();

    let folder = tempfile::tempdir().unwrap();
    let key = CoordinatorKey::load_or_create(folder.path(), &mut OsRng).unwrap();
    let mut office = Office::take_over(folder.path(), key, &entries).unwrap();
    assert_eq!(json!(office.ledger().unwrap().head()), before, "the same state");
    let finalized = || json!({ "epoch": "9", "root": Root([7; 32]) }).to_string();
    let refused = office.observe(now(), Label::new("finalized").unwrap(), finalized()).unwrap_err();
    assert!(matches!(refused, OfficeError::NotTheCoordinator { .. }), "{refused}");
    assert!(matches!(office.head(), Err(OfficeError::NotTheCoordinator { .. })));

    // Governance writes to the new one, which needs no coordinator's signature, and waits for the timelock.
    let (pool, chain) = (site.charter.pool(), site.charter.network.chain_id);
    let motion = json!({ "act": { "rotate_coordinator": { "coordinator": office.address() } }, "salt": Root([5; 32]) });
    let path = "/v1/governance/proposals";
    for wallet in [11, 12] {
        let incoming =
            Wallet::new(wallet).incoming(pool, chain, ("POST", path), &motion.to_string(), 1, now() + 60);
        office.request(now(), &incoming).unwrap();
    }
    let id = *office.ledger().unwrap().state().governance.open.keys().next().unwrap();
    let later = now() + site.charter.timelock_s;
    let path = format!("{path}/{id}/execute");
    let incoming = Wallet::new(99).incoming(pool, chain, ("POST", &path), "{}", 1, later + 60);
    office.request(later, &incoming).unwrap();
    office.observe(later, Label::new("finalized").unwrap(), finalized()).unwrap();
    office.head().unwrap();
    drop(office);
    Office::open(folder.path(), CoordinatorKey::load(folder.path()).unwrap()).unwrap();
}

#[tokio::test]
async fn a_ceremony_is_read_spoken_of_and_delivered_and_delivered_again() {
    let mut pool = Pool::since(charter(), now() - 30 * 86_400);
    let team = pool.team();
    let cluster = pool.cluster(team, 1);
    let definition = pool.state().definition(cluster).unwrap();
    let mut site = Site::over(&pool);
    let (notice, presence) =
        (format!("/v1/ceremonies/{cluster}"), format!("/v1/ceremonies/{cluster}/presence"));
    let entries = site.entries().await;

    let word = json!({"step": "round1", "waiting_for": [2, 3], "done": false});
    let request = site.signed(124, ("PUT", &presence), &word, Wrong::Nothing);
    assert_eq!(site.ask(request).await.0, StatusCode::NO_CONTENT);
    let read = site.told(&notice).await;
    assert_eq!(read["definition"], definition.to_json());
    assert_eq!((&read["stage"], &read["missing"]), (&json!("running"), &json!([1, 2, 3])));
    assert_eq!(read["operators"][3]["present"]["waiting_for"], json!([2, 3]));
    assert_eq!((&read["lock"], &read["amounts"]), (&Value::Null, &json!(["1000000000", "31000000000"])));
    let nowhere = format!("/v1/ceremonies/{}/presence", Root([1; 32]));
    let presence = presence.as_str();
    for (wallet, what, body, wrong, status) in [
        (101, ("PUT", presence), &word, Wrong::Nothing, 403),
        (124, ("PUT", presence), &word, Wrong::Pool, 401),
        (124, ("PUT", presence), &word, Wrong::NoSignature, 401),
        (124, ("PUT", presence), &json!({}), Wrong::Nothing, 400),
        (124, ("PUT", nowhere.as_str()), &word, Wrong::Nothing, 404),
        (124, ("POST", presence), &word, Wrong::Nothing, 404),
    ] {
        let request = site.signed(wallet, what, body, wrong);
        let (have, body) = site.ask(request).await;
        assert_eq!(have.as_u16(), status, "{what:?}: {}", String::from_utf8_lossy(&body));
    }
    assert_eq!(site.get(&format!("/v1/ceremonies/{}", Root([1; 32]))).await.0, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/v1/ceremonies/7").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(site.entries().await, entries, "none of it is in the log");

    let (path, text) = (format!("/v1/clusters/{cluster}/lock"), lock(&definition).to_json());
    for (status, entry) in [(StatusCode::CREATED, 1), (StatusCode::OK, 1)] {
        let request = site.signed_text(122, ("POST", &path), text.clone(), Wrong::Nothing);
        let (have, said) = site.ask(request).await;
        assert_eq!(have, status, "{}", String::from_utf8_lossy(&said));
        assert_eq!(site.entries().await, entries + entry);
    }
    let read = site.told(&notice).await;
    assert_eq!((&read["stage"], &read["lock"]), (&json!("delivered"), &json!(lock(&definition).lock_hash())));
}

#[tokio::test]
async fn a_lock_may_be_long_and_nothing_else() {
    let mut site = Site::new();
    let path = format!("/v1/clusters/{}/lock", Root([1; 32]));
    let mut ask = async |path: &str, len: usize| {
        let request = site.signed_text(90, ("POST", path), " ".repeat(len), Wrong::Nothing);
        site.ask(request).await.0.as_u16()
    };
    assert_eq!(ask(&path, LOCK_LEN_MAX).await, 403, "read whole, and of nobody");
    assert_eq!(ask(&path, LOCK_LEN_MAX + 1).await, 413);
    assert_eq!(ask("/v1/operators", BODY_LEN_MAX).await, 400);
    assert_eq!(ask("/v1/operators", BODY_LEN_MAX + 1).await, 413);
}
