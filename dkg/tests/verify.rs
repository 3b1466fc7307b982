//! `dvt-dkg verify` is right about every published file.

#[path = "../../crates/cluster/tests/common/mod.rs"]
mod common;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use common::{files, folder, json as read, name};
use dkg::verify::{Verification, VerifyArgs, verify};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The command line that names a file by what it is.
fn args(path: &Path) -> VerifyArgs {
    let file = read(path);
    if file.is_array() {
        VerifyArgs { deposit_data: vec![path.to_owned()], ..VerifyArgs::default() }
    } else if file.get("lock_hash").is_some() {
        VerifyArgs { lock: Some(path.to_owned()), ..VerifyArgs::default() }
    } else {
        VerifyArgs { definition: Some(path.to_owned()), ..VerifyArgs::default() }
    }
}

/// Names and verdicts of what does not hold.
fn refused(verification: &Verification) -> Vec<(String, String)> {
    let json = verification.json();
    let checks = json["checks"].as_array().unwrap();
    assert!(!checks.is_empty());
    let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    let refused: Vec<_> = checks
        .iter()
        .filter(|check| check["ok"] == false)
        .map(|check| (text(check, "name"), text(check, "verdict")))
        .collect();
    assert_eq!(json["ok"] == true, refused.is_empty());
    assert_eq!(verification.ok(), refused.is_empty());
    assert_eq!(verification.complaint().is_none(), refused.is_empty());
    refused
}

fn names(verification: &Verification) -> Vec<String> {
    refused(verification).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn every_valid_file_passes() {
    let Some(folder) = folder() else { return };
    let synthetic = ["synthetic-v1.8-hoodi", "synthetic-v1.11-hoodi"];
    let mut paths: Vec<PathBuf> = synthetic
        .iter()
        .flat_map(|cluster| files(&folder, &format!("synthetic/{cluster}")))
        .filter(|path| !["private.json", "voluntary-exits.json"].contains(&name(path).as_str()))
        .collect();
    paths.extend(files(&folder, "real"));
    paths.extend(files(&folder, "examples"));
    paths.push(folder.join("deposit/deposit-data-goerli-compounding.json"));
    paths.retain(|path| !name(path).contains("safe-operator") && !name(path).starts_with("hash-mismatch"));
    assert!(paths.len() >= 13, "{} files", paths.len());
    for path in paths {
        let found = verify(&args(&path)).unwrap();
        assert_eq!(names(&found), [""; 0], "{}", path.display());
    }
}

#[test]
fn every_negative_is_refused_by_the_rule_it_breaks_first_of_all() {
    let Some(folder) = folder() else { return };
    let rules = [
        ("aggregate_missing_one", "signature_aggregate"),
        ("bad_definition_hash", "definition_hash"),
        ("bad_registration_sig", "builder_registrations"),
        ("duplicate_dv_key", "group_keys"),
        ("lock_signed_by_group_keys", "signature_aggregate"),
        ("missing_pubshare", "public_shares"),
        ("node_sig_missing", "node_signatures"),
        ("operator_config_sig_wrong_signer", "operator_signatures"),
        ("share_off_polynomial", "share_interpolation"),
    ];
    let have = files(&folder, "synthetic/negative");
    assert_eq!(have.len(), rules.len());
    for (path, (fault, rule)) in have.iter().zip(rules) {
        assert_eq!(name(path), format!("{fault}.json"));
        let found = verify(&args(path)).unwrap();
        assert_eq!(names(&found)[0], rule, "{fault}");
        assert!(found.complaint().unwrap().contains(rule), "{fault}");
    }
    let stale = verify(&args(&folder.join("examples/hash-mismatch-lock-v1.10.json"))).unwrap();
    assert_eq!(names(&stale)[..3], ["config_hash", "definition_hash", "lock_hash"]);
}

#[test]
fn goldens_with_random_signatures_pass_by_their_hashes_alone() {
    let Some(folder) = folder() else { return };
    let mut paths = files(&folder, "golden");
    paths.push(folder.join("synthetic/multisig-lengths-v1.11-definition.json"));
    for path in paths {
        let all = args(&path);
        assert!(!verify(&all).unwrap().ok(), "{}", path.display());
        let hashes = verify(&VerifyArgs { hashes_only: true, ..all }).unwrap();
        assert_eq!(names(&hashes), [""; 0], "{}", path.display());
    }
}

#[test]
fn a_contract_wallets_signature_is_unverified_and_passes_only_where_that_is_accepted() {
    let Some(folder) = folder() else { return };
    let safe = args(&folder.join("real/lock-v1.10-mainnet-safe-operator.json"));
    let unverified = [("operator_signatures".to_owned(), "unverified".to_owned())];
    assert_eq!(refused(&verify(&safe).unwrap()), unverified);
    assert!(verify(&VerifyArgs { allow_contract_wallets: true, ..safe }).unwrap().ok());
    // What no contract could make valid is not accepted with it.
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("definition.json");
    let mut unsigned = read(folder.join("synthetic/synthetic-v1.11-hoodi/cluster-definition.json"));
    unsigned["operators"][2]["config_signature"] = "".into();
    std::fs::write(&path, unsigned.to_string()).unwrap();
    let found = verify(&VerifyArgs { allow_contract_wallets: true, ..args(&path) }).unwrap();
    assert!(refused(&found).contains(&("operator_signatures".to_owned(), "failed".to_owned())));
}

/// An execution node that knows one chain and says the same of every signature.
async fn execution_node(chain: &'static str, answer: Value) -> String {
    let reply = move |body: Bytes| {
        let question: Value = serde_json::from_slice(&body).unwrap();
        let mut reply = json!({ "jsonrpc": "2.0", "id": question["id"] });
        let (field, value) = match question["method"].as_str().unwrap() {
            "eth_chainId" => ("result", chain.into()),
            "eth_call" if answer.is_object() => ("error", answer.clone()),
            "eth_call" => ("result", answer.clone()),
            method => panic!("{method} was not expected"),
        };
        reply[field] = value;
        std::future::ready(reply.to_string())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/", post(reply));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_node_settles_what_a_contract_says() {
    let Some(folder) = folder() else { return };
    let safe = args(&folder.join("real/lock-v1.10-mainnet-safe-operator.json"));
    let asked = |url: String| {
        let args = VerifyArgs { execution_rpc: Some(url), ..safe.clone() };
        tokio::task::spawn_blocking(move || verify(&args))
    };
    let magic = format!("0x1626ba7e{}", "0".repeat(56));
    let yes = asked(execution_node("0x1", magic.clone().into()).await).await.unwrap().unwrap();
    assert_eq!(names(&yes), [""; 0]);
    let revert = json!({ "code": 3, "message": "execution reverted", "data": "0x" });
    for no in [revert, json!(format!("0x{}", "f".repeat(64)))] {
        let found = asked(execution_node("0x1", no).await).await.unwrap().unwrap();
        let broken = [("operator_signatures".to_owned(), "failed".to_owned())];
        assert_eq!(refused(&found), broken);
    }
    // What is no answer leaves it as it was, and says why.
    for silent in [json!({ "code": -32005, "message": "daily limit" }), json!("0x12 no hex")] {
        let found = asked(execution_node("0x1", silent).await).await.unwrap().unwrap();
        assert_eq!(refused(&found), [("operator_signatures".to_owned(), "unverified".to_owned())]);
        assert!(found.complaint().unwrap().contains("execution node at http://127.0.0.1"), "{found}");
    }
    let nobody = asked("http://127.0.0.1:1".to_owned()).await.unwrap().unwrap();
    assert_eq!(refused(&nobody), [("operator_signatures".to_owned(), "unverified".to_owned())]);
    let other = asked(execution_node("0x88bb0", magic.into()).await).await.unwrap().unwrap_err();
    assert!(other.to_string().contains("chain 560048"), "{other}");
}

#[test]
fn a_deposit_file_must_be_of_the_lock_beside_it() {
    let Some(folder) = folder() else { return };
    let synthetic = folder.join("synthetic");
    let of = |lock: &str, deposits: &str| VerifyArgs {
        lock: Some(synthetic.join(lock).join("cluster-lock.json")),
        deposit_data: vec![synthetic.join(deposits).join("deposit-data.json")],
        ..VerifyArgs::default()
    };
    let (new, old) = ("synthetic-v1.11-hoodi", "synthetic-v1.8-hoodi");
    assert!(verify(&of(new, new)).unwrap().ok());
    assert_eq!(names(&verify(&of(old, new)).unwrap()), ["deposits_of_lock"]);
}

#[test]
fn a_deposit_that_would_be_lost_is_refused_by_its_rule() {
    let Some(folder) = folder() else { return };
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("deposit-data.json");
    let good = read(folder.join("synthetic/synthetic-v1.11-hoodi/deposit-data.json"));
    let refused_by = |edit: &dyn Fn(&mut Value), rule: &str| {
        let mut file = good.clone();
        edit(&mut file);
        std::fs::write(&path, file.to_string()).unwrap();
        let found =
            verify(&VerifyArgs { deposit_data: vec![path.clone()], ..VerifyArgs::default() }).unwrap();
        assert!(names(&found).iter().any(|name| name == rule), "{rule}: {found}");
    };
    let credentials =
        |text: String| move |file: &mut Value| file[1]["withdrawal_credentials"] = text.clone().into();
    refused_by(&credentials(format!("07{}", "00".repeat(31))), "deposit_credentials");
    refused_by(&credentials(format!("01{}", "11".repeat(31))), "deposit_credentials");
    refused_by(
        &|file| {
            let mut again = file[0].clone();
            again["withdrawal_credentials"] = format!("01{}{}", "00".repeat(11), "22".repeat(20)).into();
            again["amount"] = 1_000_000_000.into();
            file.as_array_mut().unwrap().push(again);
        },
        "deposit_credentials",
    );
    refused_by(&|file| *file = json!([]), "deposit_amounts");
    refused_by(&|file| file[0]["amount"] = 1.into(), "deposit_amounts");
}

#[test]
fn an_exit_must_be_signed_by_a_validator_of_the_lock() {
    let Some(folder) = folder() else { return };
    let temporary = tempfile::tempdir().unwrap();
    let cluster = folder.join("synthetic/synthetic-v1.11-hoodi");
    let exits = read(cluster.join("voluntary-exits.json"));
    let path = temporary.path().join("exit.json");
    let of = |cluster: &str, exit: &Value| {
        std::fs::write(&path, exit.to_string()).unwrap();
        let lock = folder.join("synthetic").join(cluster).join("cluster-lock.json");
        names(
            &verify(&VerifyArgs { lock: Some(lock), exit: vec![path.clone()], ..VerifyArgs::default() })
                .unwrap(),
        )
    };
    for exit in exits.as_array().unwrap() {
        let mut signed = exit["signed_exit"].clone();
        assert_eq!(of("synthetic-v1.11-hoodi", &signed), [""; 0]);
        assert_eq!(of("synthetic-v1.8-hoodi", &signed), ["exit_signature"]);
        signed["message"]["epoch"] = "257".into();
        assert_eq!(of("synthetic-v1.11-hoodi", &signed), ["exit_signature"]);
    }
    assert_eq!(of("synthetic-v1.11-hoodi", &json!({ "message": {} })), ["json"]);
}

#[test]
fn a_file_that_is_none_is_a_finding_with_the_rules_name() {
    let Some(folder) = folder() else { return };
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("lock.json");
    let good = read(folder.join("synthetic/synthetic-v1.11-hoodi/cluster-lock.json"));
    let broken = |edit: &dyn Fn(&mut Value)| {
        let mut file = good.clone();
        edit(&mut file);
        std::fs::write(&path, file.to_string()).unwrap();
        names(&verify(&VerifyArgs { lock: Some(path.clone()), ..VerifyArgs::default() }).unwrap())
    };
    assert_eq!(broken(&|_| {}), [""; 0]);
    assert_eq!(broken(&|file| file["cluster_definition"]["version"] = "v2.0.0".into()), ["version"]);
    assert_eq!(broken(&|file| file["cluster_definition"]["num_validators"] = 3.into()), ["validator_count"]);
    let enr = "enr:-nothing";
    assert_eq!(
        broken(&|file| file["cluster_definition"]["operators"][1]["enr"] = enr.into()),
        ["operator_enrs"]
    );
    assert_eq!(
        broken(&|file| file["cluster_definition"]["deposit_amounts"] = json!(["5"])),
        ["deposit_amounts"]
    );
    assert_eq!(
        broken(&|file| file["cluster_definition"]["creator"]["config_signature"] = "0x1234".into()),
        ["signature_lengths"]
    );
    assert_eq!(broken(&|file| *file = json!([1])), ["json"]);
}

#[test]
fn the_exit_status_says_whether_everything_holds() {
    let Some(folder) = folder() else { return };
    let status = |arguments: &[&str]| {
        let line = ["dvt-dkg", "verify"].iter().chain(arguments).map(std::ffi::OsString::from);
        dkg::cli::run(line)
    };
    let path = |file: &str| folder.join("synthetic").join(file).to_string_lossy().into_owned();
    let good = path("synthetic-v1.11-hoodi/cluster-lock.json");
    let bad = path("negative/node_sig_missing.json");
    assert_eq!(status(&["--lock", &good]), ExitCode::SUCCESS);
    assert_eq!(status(&["--lock", &good, "--json"]), ExitCode::SUCCESS);
    assert_eq!(status(&["--lock", &bad, "--json"]), ExitCode::FAILURE);
    assert_eq!(status(&["--lock", "no such file"]), ExitCode::FAILURE);
    assert_eq!(status(&[]), ExitCode::FAILURE);
    assert_eq!(status(&["--lock", &good, "--definition", &good]), ExitCode::from(2));
}
