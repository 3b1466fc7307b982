//! `serve` beside a beacon node: what the node says comes into the log, and reports are made again from it.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use coordinator::formulas::allocation::Credentials;
use coordinator::key::CoordinatorKey;
use coordinator::ledger::charter::Charter;
use coordinator::ledger::policy;
use coordinator::ledger::quorum::Quorum;
use coordinator::office::Office;
use coordinator::text::{Label, Text};
use rand_core::OsRng;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use types::{Address, ChainSpec, Root};

/// A beacon node of Hoodi without validators; what it says is finalized.
#[derive(Clone)]
struct Node(Arc<Mutex<u64>>);

impl Node {
    /// Serves on a thread of its own until the test's process ends. Returns its address.
    fn serve(&self) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(self.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        url
    }
}

async fn answer(State(Node(finalized)): State<Node>, request: Request) -> Response {
    let finalized = *finalized.lock().unwrap();
    let hoodi = ChainSpec::builtin("hoodi").unwrap();
    let slot = (finalized * 32).to_string();
    let data = match request.uri().path().strip_prefix("/eth/v1/beacon/").unwrap_or_default() {
        "genesis" => json!({
            "genesis_time": (hoodi.genesis_time_ms / 1_000).to_string(),
            "genesis_validators_root": hoodi.genesis_validators_root,
            "genesis_fork_version": hoodi.genesis_fork_version,
        }),
        "states/head/finality_checkpoints" => {
            json!({"finalized": {"epoch": finalized.to_string(), "root": Root([7; 32])}})
        }
        path if path == format!("states/{slot}/validators") => {
            json!([{"status": "active_ongoing", "validator": {"effective_balance": "32000000000000000"}}])
        }
        path if path == format!("headers/{slot}") => {
            json!({"root": Root([7; 32]), "canonical": true, "header": {"message": {"slot": slot}}})
        }
        _ => return (StatusCode::NOT_FOUND, Json(json!({"code": 404, "message": "no"}))).into_response(),
    };
    Json(json!({"execution_optimistic": false, "finalized": true, "data": data})).into_response()
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dvt-coordinator"));
    command.args(args).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

fn run(args: &[&str]) -> Output {
    program(args).output().unwrap()
}

/// A pool with one delegator, who paid an ETH.
fn found(folder: &Path) {
    let key = CoordinatorKey::load_or_create(folder, &mut OsRng).unwrap();
    let address = |byte| Address([byte; 20]);
    let charter = Charter {
        name: Text::new("Meadow").unwrap(),
        network: ChainSpec::builtin("hoodi").unwrap(),
        withdrawal_address: address(0xaa),
        credentials: Credentials::Execution,
        fee_recipient: address(0xbb),
        treasury: address(0xcc),
        coordinator: key.address(),
        governance: Quorum::new(&[1, 2, 3].map(address), 2).unwrap(),
        guardians: Quorum::new(&[4, 5].map(address), 2).unwrap(),
        contracts: None,
        timelock_s: 86_400,
        policy: policy::preset("lido").unwrap(),
    };
    let mut office = Office::found(folder, key, charter, now()).unwrap();
    let mut see = |kind: &str, body: Value| {
        office.observe(now(), Label::new(kind).unwrap(), body.to_string()).unwrap();
    };
    see("finalized", json!({"epoch": "9", "root": Root([7; 32])}));
    see("network-stake", json!({"epoch": "9", "active": "32000000000000000"}));
    let reference = json!({"hash": Root([8; 32]), "index": 0});
    see("payment", json!({"reference": reference, "payer": address(9), "eth": "1000000000000000000"}));
}

/// A program that runs, killed when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_node_is_watched_and_the_log_has_what_it_said() {
    let folder = tempfile::tempdir().unwrap();
    found(folder.path());
    let boundary = 450;
    let node = Node(Arc::new(Mutex::new(boundary)));
    let url = node.serve();
    let serve = [
        "serve",
        "--data-dir",
        text(folder.path()),
        "--listen",
        "127.0.0.1:0",
        "--beacon-node",
        "http://127.0.0.1:1",
        "--beacon-node",
        &url,
    ];
    let mut child = program(&serve).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut running = Running(child);
    let observed = lines.filter_map(|line| {
        let kind = line.split_once("kind=\"")?.1.split_once('"')?.0.to_owned();
        line.contains("observed").then_some(kind)
    });
    let kinds: Vec<_> = observed.take(4).collect();
    assert_eq!(kinds, ["finalized", "network-stake", "look", "report"]);
    let stop = Command::new("kill").args(["-TERM", &running.0.id().to_string()]).status().unwrap();
    assert!(stop.success());
    assert!(running.0.wait().unwrap().success());

    let again = ["report", "verify", "--data-dir", text(folder.path()), "--beacon-node", &url];
    let output = run(&again);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "report 0 of epoch 450: the same\n");
    let none = run(&[&again[..], &["--frame", "1"]].concat());
    assert!(String::from_utf8(none.stderr).unwrap().contains("the log has no report 1"));
    // A node that has another chain, or has forgotten this one, says so.
    *node.0.lock().unwrap() = boundary + 1;
    let other = run(&again);
    assert!(!other.status.success());
    let said = String::from_utf8(other.stderr).unwrap();
    assert!(said.contains("report 0 of epoch 450 cannot be made again: no block in 64 slots"), "{said}");
}
