//! `dvt-node bench signing` as outside checks call it. What it takes is not judged here, only what it says.

use serde_json::Value;
use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_dvt-node");
    Command::new(program).args(["bench", "signing"]).args(arguments).output().unwrap()
}

const TINY: [&str; 8] = ["--validators", "64", "--operators", "4", "--threshold", "3", "--rounds", "1"];

#[test]
fn json_has_the_keys_that_outside_checks_read() {
    let output = bench(&[&TINY[..], &["--json", "--bad", "0.2"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&json["validators"], &json["operators"], &json["threshold"]),
        (&64.into(), &4.into(), &3.into())
    );
    for key in
        ["naive_ms", "threshold_crypto_ms", "ours_ms", "ratio", "bare_verify_ms", "naive_verify_over_bare"]
    {
        assert!(json[key].as_f64().unwrap() > 0.0, "{key}: {json}");
    }
    let ratio = json["naive_ms"].as_f64().unwrap() / json["ours_ms"].as_f64().unwrap();
    assert!((json["ratio"].as_f64().unwrap() - ratio).abs() < 1e-9);
    for contender in ["naive", "threshold_crypto", "ours"] {
        assert!(json["pairings"][contender].as_u64().unwrap() > 0, "{json}");
        assert!(
            json["memory_bytes"][contender].as_u64().unwrap() > 0,
            "this program's allocator counts: {json}"
        );
    }
    // A half, three partials and the result, two pairings each, of two validators.
    assert!(json["pairings"]["naive"].as_u64().unwrap() <= 20);
    assert!(json["one_garbage_peer"]["later_over_honest"].as_f64().unwrap() > 0.0);
}

#[test]
fn the_table_names_the_contenders_and_what_a_verification_costs() {
    let output = bench(&TINY);
    let table = String::from_utf8(output.stdout).unwrap();
    for words in
        ["(a) each alone, blst", "(b) threshold_crypto", "(c) ours", "a verification: blst alone", "garbage"]
    {
        assert!(table.contains(words), "{table}");
    }
}

#[test]
fn numbers_that_make_no_cluster_are_refused_in_a_sentence() {
    let output = bench(&["--validators", "64", "--operators", "4", "--threshold", "5"]);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("threshold 5 of 4 operators"));
    let share = bench(&[&TINY[..], &["--bad", "1.5"]].concat());
    assert!(String::from_utf8_lossy(&share.stderr).contains("not from 0 to 1"));
}
