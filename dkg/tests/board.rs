//! Ceremonies at a pool's board: a real coordinator's office behind it, real sockets between everybody.

mod pool;

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use cluster::{Definition, folder};
use coordinator::api::{Shared, router};
use coordinator::formulas::allocation::Credentials;
use coordinator::key::CoordinatorKey;
use coordinator::ledger::calls::Chosen;
use coordinator::ledger::charter::Charter;
use coordinator::ledger::clusters::Stage;
use coordinator::ledger::governance::{Act, Motion};
use coordinator::ledger::policy::preset;
use coordinator::ledger::quorum::Quorum;
use coordinator::office::Office;
use coordinator::request::{Incoming, Message, Nonce, Request, WalletSignature};
use coordinator::text::{Label, Text};
use dkg::board::{BoardTerms, Delivery, deliver_folder};
use dkg::cli::check;
use dkg::run::{Finished, RunConfig, Source, run};
use keys::identity::{KEY_FILE, NodeKey};
use pool::{Pool, pool};
use rand_core::OsRng;
use remote::board::Board;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use types::{Address, ChainSpec, Gwei, Root};

const DAY_S: u64 = 86_400;
const MANAGERS: [u8; 4] = [101, 102, 103, 104];

/// A wallet whose secret key is one byte 32 times.
fn wallet(byte: u8) -> NodeKey {
    NodeKey::from_bytes(&[byte; 32]).unwrap()
}

fn address(byte: u8) -> Address {
    cluster::NodeKey::new(wallet(byte).public()).unwrap().address()
}

/// An office in the past, which wallets write to.
struct Books {
    office: Office,
    now: u64,
    nonce: u64,
}

impl Books {
    fn post(&mut self, by: u8, path: &str, body: &Value) {
        self.nonce += 1;
        let state = self.office.ledger().unwrap().state();
        let (pool, chain_id) = (state.pool, state.charter.network.chain_id);
        let (body, expiry) = (body.to_string(), self.now + 60);
        let message =
            Message::Request { method: "POST", path, body: body.as_bytes(), pool, nonce: self.nonce, expiry };
        let mut signature = wallet(by).sign_prehash_recoverable(&message.digest(chain_id).0);
        signature[64] += 27;
        let request = Request {
            method: "POST".to_owned(),
            path: path.to_owned(),
            body,
            nonce: Nonce(self.nonce),
            expiry,
            signature: WalletSignature::new(signature).unwrap(),
        };
        self.office.request(self.now, &Incoming { pool, signer: address(by), request }).unwrap();
    }

    fn govern(&mut self, act: Act) {
        let motion = Motion { act, salt: Root([self.nonce as u8; 32]) };
        for key in [11, 12] {
            self.post(key, "/v1/governance/proposals", &serde_json::to_value(&motion).unwrap());
        }
        self.now += DAY_S;
        self.post(99, &format!("/v1/governance/proposals/{}/execute", motion.id()), &json!({}));
    }

    /// The operator of a node: it applies, is vetted, and has a bond.
    fn join(&mut self, manager: u8, node: &NodeKey) {
        let state = self.office.ledger().unwrap().state();
        let (pool, chain_id, enr) = (state.pool, state.charter.network.chain_id, node.enr());
        let binding = Message::NodeBinding { pool, manager: address(manager), enr: &enr }.digest(chain_id);
        // No two have anything in common.
        let at = usize::from(manager - MANAGERS[0]);
        let of = |names: [&'static str; 4]| names[at];
        let setup = json!({
            "country": of(["DE", "FI", "CL", "JP"]), "hosting_as": 24_940 + at,
            "execution_client": of(["geth", "reth", "nethermind", "besu"]),
            "consensus_client": of(["lodestar", "lighthouse", "teku", "nimbus"]),
            "validator_client": of(["lodestar", "lighthouse", "teku", "nimbus"]),
        });
        let application = json!({
            "entity": format!("Reiter {manager}"), "setup": setup, "operator_type": "csm-default",
            "reward": address(manager + 10), "enr": enr, "node_signature": node.sign_prehash(&binding.0),
        });
        self.post(manager, "/v1/operators", &application);
        self.govern(Act::VetOperator { operator: address(manager) });
        let reference = json!({"hash": Root([9; 32]), "index": manager});
        let eth = types::Wei::from_eth("20").unwrap();
        let bond = json!({"operator": address(manager), "amount": eth, "reference": reference});
        self.office.observe(self.now, Label::new("bond-deposited").unwrap(), bond.to_string()).unwrap();
        self.post(manager, &format!("/v1/operators/{}/activate", address(manager)), &json!({}));
    }
}

/// A coordinator whose pool has a cluster, and who does not serve yet.
struct Founded {
    folder: TempDir,
    office: Office,
    definition: Definition,
}

/// A coordinator that serves, whose pool has a cluster.
struct Fair {
    _folder: TempDir,
    url: String,
    shared: Shared,
    cluster: Root,
    server: JoinHandle<()>,
}

fn charter(coordinator: Address) -> Charter {
    let quorum = |keys: &[u8]| Quorum::new(&keys.iter().map(|key| address(*key)).collect::<Vec<_>>(), 2);
    Charter {
        name: Text::new("Meadow").unwrap(),
        network: ChainSpec::builtin("hoodi").unwrap(),
        withdrawal_address: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".parse().unwrap(),
        credentials: Credentials::Execution,
        contracts: None,
        fee_recipient: "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359".parse().unwrap(),
        treasury: address(81),
        coordinator,
        governance: quorum(&[11, 12, 13]).unwrap(),
        guardians: quorum(&[21, 22]).unwrap(),
        timelock_s: DAY_S,
        policy: preset("lido").unwrap(),
    }
}

async fn serve(router: Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (url, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

fn defined(path: &Path) -> Definition {
    Definition::parse(&std::fs::read(path).unwrap()).unwrap()
}

impl Founded {
    /// A pool of all operators, who have accepted a cluster of so many validators.
    fn of(pool: &Pool, keys: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = CoordinatorKey::load_or_create(folder.path(), &mut OsRng).unwrap();
        let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let (charter, now) = (charter(key.address()), today - 30 * DAY_S);
        let office = Office::found(folder.path(), key, charter, now).unwrap();
        let mut books = Books { office, now, nonce: 0 };
        for (manager, dir) in MANAGERS.into_iter().zip(&pool.dirs) {
            books.join(manager, &NodeKey::load(&dir.join(KEY_FILE)).unwrap());
        }
        let stake = Gwei(u64::from(keys) * 32_000_000_000);
        let operators = MANAGERS.map(address).to_vec();
        books.govern(Act::ChooseCluster(Chosen { operators, threshold: 3, keys, stake }));
        let asked = &books.office.ledger().unwrap().state().calls.outlines;
        let cluster = *asked.keys().next().unwrap();
        for manager in MANAGERS {
            books.post(manager, &format!("/v1/clusters/{cluster}/accept"), &json!({}));
        }
        let definition = books.office.ledger().unwrap().state().definition(cluster).unwrap();
        Self { folder, office: books.office, definition }
    }

    async fn open(self) -> Fair {
        let shared = Shared::new(self.office);
        let (url, server) = serve(router(shared.clone())).await;
        let cluster = self.definition.definition_hash();
        Fair { _folder: self.folder, url, shared, cluster, server }
    }
}

impl Fair {
    /// How many validators the cluster has registered, and how far it is.
    async fn registered(&self) -> (u64, Stage) {
        let cluster = self.cluster;
        let asked = self.shared.with(move |office| {
            let state = office.ledger()?.state();
            Ok((state.deposits.keys_of(cluster), state.clusters.get(cluster).map(|found| found.stage)))
        });
        let (keys, stage) = asked.await.unwrap();
        (keys, stage.unwrap())
    }

    /// What the board says of everybody, once everybody has spoken.
    async fn everybody(&self) -> Value {
        let cluster = self.cluster;
        let all = async {
            loop {
                let notice = self.shared.with(move |office| {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
                    Ok(serde_json::to_value(office.notice(now, cluster)?.unwrap()).unwrap())
                });
                let notice = notice.await.unwrap();
                if notice["missing"] == json!([]) {
                    return notice;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all).await.unwrap()
    }
}

fn board(url: &str) -> Arc<Board> {
    Arc::new(Board::new(url).unwrap())
}

/// The configuration of an operator that knows a board, and the hash of what it approves.
fn config(pool: &Pool, position: usize, url: &str, approved: Root) -> RunConfig {
    RunConfig {
        definition: Source::Board(BoardTerms { board: board(url), patience: Duration::ZERO }),
        approve: Some(approved),
        ..pool.config(position, Path::new("nowhere"))
    }
}

async fn all(pool: &Pool, url: &str, approved: Root) -> Vec<Finished> {
    let runs: Vec<_> = (0..4).map(|at| tokio::spawn(run(config(pool, at, url, approved)))).collect();
    let mut finished = Vec::new();
    for run in runs {
        finished.push(run.await.unwrap().unwrap());
    }
    finished
}

#[tokio::test(flavor = "multi_thread")]
async fn four_operators_that_know_a_board_and_a_hash_register_their_keys_with_the_pool() {
    let pool = pool(4);
    let fair = Founded::of(&pool, 2).open().await;
    assert_eq!(fair.registered().await, (0, Stage::Accepted));
    let finished = all(&pool, &fair.url, fair.cluster).await;
    let taken = finished.iter().filter(|one| one.delivery == Some(Delivery::Taken)).count();
    let had = finished.iter().filter(|one| one.delivery == Some(Delivery::Had)).count();
    assert_eq!((taken, had), (1, 3), "{finished:?}");
    assert_eq!(fair.registered().await, (2, Stage::Keyed));
    let notice = fair.everybody().await;
    assert_eq!(notice["stage"], "delivered");
    assert_eq!(notice["lock"], json!(finished[0].lock_hash));

    // A second time there is nothing to make and nothing to bring, and no board is needed to know it.
    let again = run(config(&pool, 0, &fair.url, fair.cluster)).await.unwrap();
    assert_eq!((again.already, again.delivery), (true, Some(Delivery::Had)));
    fair.server.abort();
    assert!(fair.server.await.unwrap_err().is_cancelled());
    let alone = run(config(&pool, 0, &fair.url, fair.cluster)).await.unwrap();
    assert!(matches!(alone.delivery, Some(Delivery::Not(_))), "{alone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_is_down_costs_a_ceremony_nothing_and_gets_the_lock_later() {
    let pool = pool(4);
    let founded = Founded::of(&pool, 1);
    let hash = founded.definition.definition_hash();
    let told = json!({
        "pool": Root([1; 32]), "chain_id": 1, "missing": [], "lock": null,
        "definition": founded.definition.to_json(),
    });
    let notice = Router::new().route("/v1/ceremonies/{cluster}", get(async move || Json(told)));
    let (url, server) = serve(notice).await;
    // One comes early, and has the definition; then the board goes down.
    let early = RunConfig { deadline: Duration::from_millis(500), ..config(&pool, 0, &url, hash) };
    let silence = run(early).await.unwrap_err().to_string();
    assert!(silence.contains("silence in gather"), "{silence}");
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    let late = run(config(&pool, 1, &url, hash)).await.unwrap_err();
    assert!(format!("{late:#}").contains("no definition from the board at http://127.0.0.1"), "{late:#}");
    let name = folder::fetched_definition(hash);
    for dir in &pool.dirs[1..] {
        std::fs::copy(pool.dirs[0].join(&name), dir.join(&name)).unwrap();
    }

    let finished = all(&pool, &url, hash).await;
    for one in &finished {
        let Some(Delivery::Not(words)) = &one.delivery else { panic!("{one:?}") };
        assert!(words.contains("no connection"), "{words}");
        assert!(!one.already && one.missing.is_empty() && one.lock_hash == finished[0].lock_hash);
    }
    let fair = founded.open().await;
    let delivered = deliver_folder(board(&fair.url), &pool.dirs[2]).await.unwrap();
    assert_eq!(delivered, (finished[0].lock_hash, Delivery::Taken));
    let delivered = deliver_folder(board(&fair.url), &pool.dirs[3]).await.unwrap();
    assert_eq!(delivered, (finished[0].lock_hash, Delivery::Had));
    assert_eq!(fair.registered().await, (1, Stage::Keyed));
}

#[tokio::test]
async fn what_was_not_approved_is_not_taken_from_a_board() {
    let pool = pool(4);
    let ours = defined(&pool.define("ours", 1));
    // The same to the letter, but for where withdrawals go.
    let text = ours.to_json();
    let theirs = text
        .replace("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb");
    assert_ne!(text, theirs);
    let approved = ours.definition_hash();
    for (definition, words) in [
        (json!(theirs), "hands out a definition with hash"),
        (json!("{}"), "the definition of the board"),
        (Value::Null, "not an answer of a pool's board"),
    ] {
        let told = json!({"pool": Root([1; 32]), "chain_id": 1, "missing": [], "definition": definition});
        let notice = Router::new().route("/v1/ceremonies/{cluster}", get(async move || Json(told)));
        let (url, _) = serve(notice).await;
        let error = format!("{:#}", run(config(&pool, 0, &url, approved)).await.unwrap_err());
        assert!(error.contains(words), "{error}");
        assert!(!pool.dirs[0].join(folder::fetched_definition(approved)).exists());
        let blind = RunConfig { approve: None, ..config(&pool, 0, &url, approved) };
        let error = run(blind).await.unwrap_err().to_string();
        assert!(error.contains("whose hash is approved"), "{error}");
    }
    // Nor from the folder, if somebody has put it there.
    let kept = pool.dirs[0].join(folder::fetched_definition(approved));
    std::fs::write(&kept, &theirs).unwrap();
    let error = format!("{:#}", run(config(&pool, 0, "http://127.0.0.1:1", approved)).await.unwrap_err());
    assert!(error.contains("approved was") || error.contains("config_hash"), "{error}");
}

/// The program itself, alone and in vain: its board is broken, and it says so once however often it tries.
#[tokio::test]
async fn a_board_that_does_not_answer_is_complained_of_once_and_asked_again() {
    let pool = pool(4);
    let definition = defined(&pool.define("four", 1));
    let hash = definition.definition_hash();
    std::fs::write(pool.dirs[0].join(folder::fetched_definition(hash)), definition.to_json()).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let broken = async move || {
        counted.fetch_add(1, Ordering::Relaxed);
        StatusCode::SERVICE_UNAVAILABLE
    };
    let (url, _) = serve(Router::new().fallback(broken)).await;
    let mut program = Command::new(env!("CARGO_BIN_EXE_dvt-dkg"));
    program.args(["run", "--board", &url, "--approve", &hash.to_string(), "--deadline", "8"]);
    program.arg("--data-dir").arg(&pool.dirs[0]).args(["--listen", &pool.addresses[0].to_string()]);
    let output = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(asked.load(Ordering::Relaxed) >= 2, "{told}");
    assert_eq!(told.matches("the ceremony goes on without it").count(), 1, "{told}");
}

#[test]
fn a_command_line_names_a_board_or_a_file_and_with_a_board_a_hash() {
    let hash = Root([7; 32]).to_string();
    let says = |args: &[&str]| {
        let args = ["dvt-dkg", "run", "--data-dir", "d"].iter().chain(args).map(OsString::from);
        check(args).is_ok()
    };
    assert!(says(&["--board", "https://pool.example", "--approve", &hash]));
    assert!(says(&["--definition", "d.json"]));
    assert!(!says(&[]));
    assert!(!says(&["--board", "https://pool.example"]));
    assert!(!says(&["--board", "https://pool.example", "--approve", &hash, "--definition", "d.json"]));
}
