//! The program as a pool's founder runs it: a key, a charter, a pool, a log that verifies, and a server.

use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dvt-coordinator"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    program(args).output().unwrap()
}

fn done(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// One sentence on standard error, and no success.
fn refused(args: &[&str]) -> String {
    let output = run(args);
    assert!(!output.status.success(), "{args:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn address(digit: char) -> String {
    format!("0x{}", digit.to_string().repeat(40))
}

/// The words of a command line; no path of a test has a space.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Drafts a charter: whose key is the coordinator's, who governs, and how many of these must agree.
fn draft(coordinator: &str, (governance, needed): (&str, u8), out: &Path) -> String {
    let [four, five, withdrawal, fees] = ['4', '5', 'a', 'b'].map(address);
    format!(
        "charter --json --name Meadow --network hoodi --policy lido --coordinator {coordinator} --withdrawal-address \
         {withdrawal} --fee-recipient {fees} --treasury {fees} --governance {governance} --governance-needed {needed} \
         --guardian {four} {five} --guardians-needed 2 --out {}",
        text(out)
    )
}

/// A folder with a key, and a charter for it.
fn drafted(folder: &Path) -> String {
    let told: Value =
        serde_json::from_str(&done(&["identity", "--data-dir", text(folder), "--json"])).unwrap();
    let charter = folder.join("charter.json");
    let governance = ['1', '2', '3'].map(address).join(" ");
    done(&words(&draft(told["address"].as_str().unwrap(), (&governance, 2), &charter)));
    text(&charter).to_owned()
}

#[test]
fn a_pool_is_founded_verified_exported_and_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let charter = drafted(&first);
    let found = ["found", "--data-dir", text(&first), "--charter", &charter, "--json"];
    let founded = done(&found);
    assert!(refused(&found).contains("a pool is founded once"));
    assert_eq!(done(&["log", "verify", "--data-dir", text(&first), "--json"]), founded);
    let log = first.join("pool.jsonl");
    let export = ["log", "export", "--data-dir", text(&first), "--out", text(&log)];
    done(&export);
    assert!(refused(&export).contains("cannot make"), "never over another");
    assert_eq!(done(&["log", "verify", "--file", text(&log), "--json"]), founded);

    // Nothing was reported yet; of a coordinator's folder and of a file it says the same.
    assert_eq!(done(&["report", "list", "--data-dir", text(&first), "--json"]), "[]\n");
    assert_eq!(done(&["report", "list", "--file", text(&log)]), "reports 0\n");

    let entry = fs::read(&log).unwrap();
    let forged = first.join("forged.jsonl");
    for at in (0..entry.len() - 1).step_by(97) {
        let mut bytes = entry.clone();
        bytes[at] ^= 1;
        fs::write(&forged, bytes).unwrap();
        let said = refused(&["log", "verify", "--file", text(&forged)]);
        // A byte that becomes a line's end makes another entry of the rest.
        assert!(said.contains("entry 0: "), "byte {at}: {said}");
    }
    assert!(refused(&["report", "list", "--file", text(&forged)]).contains("entry 0: "));

    done(&["log", "take-over", "--data-dir", text(&second), "--file", text(&log)]);
    assert_eq!(done(&["log", "verify", "--data-dir", text(&second), "--json"]), founded);
    let other = refused(&["found", "--data-dir", text(&folder.path().join("third")), "--charter", &charter]);
    assert!(other.contains("this folder's key is"), "{other}");
    assert!(
        refused(&["log", "verify", "--data-dir", text(folder.path())])
            .contains("there is no coordinator's log")
    );
}

#[test]
fn a_charter_that_founds_no_pool_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("charter.json");
    let (one, four, six) = (address('1'), address('4'), address('6'));
    let refusal = |governance: (&str, u8)| refused(&words(&draft(&one, governance, &out)));
    assert!(refusal((&one, 1)).contains("different principals"));
    assert!(refusal((&four, 1)).contains("different principals"), "a guardian does not govern");
    assert!(refusal((&six, 2)).contains("2 of 1 keys are needed"));
    assert!(!out.exists());
}

/// A coordinator that serves, killed when the test ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: pool\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_log_is_served_until_the_program_is_asked_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let charter = drafted(folder.path());
    done(&["found", "--data-dir", text(folder.path()), "--charter", &charter]);
    let serve = ["serve", "--data-dir", text(folder.path()), "--listen", "127.0.0.1:0"];
    let mut child = program(&serve).env("NO_COLOR", "1").stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut server = Server(child);
    let line = lines.find(|line| line.as_ref().unwrap().contains("in office")).unwrap().unwrap();
    let address = line.split_once("address=").unwrap().1.split_whitespace().next().unwrap();
    let health = get(address, "/v1/health");
    assert!(health.starts_with("HTTP/1.1 200") && health.contains(r#""in_office":true"#), "{health}");
    assert!(get(address, "/v1/head").contains(r#""size":1"#));
    assert!(get(address, "/nowhere").starts_with("HTTP/1.1 404"));
    assert!(
        refused(&["log", "verify", "--data-dir", text(folder.path())]).contains("in use by another process")
    );
    let stop = Command::new("kill").args(["-TERM", &server.0.id().to_string()]).status().unwrap();
    assert!(stop.success());
    assert!(server.0.wait().unwrap().success());
    done(&["log", "verify", "--data-dir", text(folder.path())]);
}

/// A program with something on its standard input.
fn told(args: &[&str], input: &str) -> Output {
    let mut child =
        program(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What blocks have paid, by the number of a log.
fn rewards(index: u32) -> String {
    let reference = serde_json::json!({"hash": format!("0x{}", "5".repeat(64)), "index": index});
    serde_json::json!({"reference": reference, "payer": address('9'), "eth": "7"}).to_string()
}

#[test]
fn a_person_says_what_only_a_person_can_whether_the_office_serves_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let charter = drafted(folder.path());
    done(&["found", "--data-dir", text(folder.path()), "--charter", &charter]);
    let observe =
        |kind: &'static str| ["observe", kind, "--data-dir", text(folder.path()), "--json"].to_vec();
    let entry = |output: Output| -> Value {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let no = |output: Output| -> String {
        assert!(!output.status.success() && output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    // Nobody serves: the log is opened, and closed again.
    let first = entry(told(&observe("rewards"), &rewards(1)));
    assert_eq!((&first["seq"], first["events"].as_array().unwrap().len()), (&Value::from(1), 1));
    let file = folder.path().join("rewards.json");
    fs::write(&file, rewards(2) + "\n").unwrap();
    let by_file = ["observe", "rewards", "--data-dir", text(folder.path()), "--body", text(&file)];
    let said = done(&by_file);
    assert!(said.starts_with("entry 2\nhash 0x") && said.trim_end().lines().count() == 3, "{said}");
    assert!(refused(&by_file).contains("was counted"), "one log counts once");

    let serve = ["serve", "--data-dir", text(folder.path()), "--listen", "127.0.0.1:0"];
    let mut child = program(&serve).env("NO_COLOR", "1").stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut server = Server(child);
    let line = lines.find(|line| line.as_ref().unwrap().contains("in office")).unwrap().unwrap();
    let listens = line.split_once("address=").unwrap().1.split_whitespace().next().unwrap();
    // Whoever is answered over HTTP finds the socket made.
    assert!(get(listens, "/v1/health").contains(r#""in_office":true"#));
    let third = entry(told(&observe("rewards"), &rewards(3)));
    assert_eq!(third["seq"], 3);
    assert!(get(listens, "/v1/head").contains(r#""size":4"#), "the office that serves has it");
    assert!(no(told(&observe("finalized"), "{}")).contains("is not a person's to say"));
    assert!(no(told(&observe("theft"), "7")).contains("the body is not what is written there"));
    assert!(no(told(&observe("rain"), "{}")).contains("rain is not a person's to say"));
    let sizes = "--clusters 1 --operators 4 --threshold 2 --validators 1";
    let call = format!("call --data-dir {} {sizes}", text(folder.path()));
    assert!(refused(&words(&call)).contains("the policy takes no clusters of 4 with threshold 2"));
    assert!(get(listens, "/v1/head").contains(r#""size":4"#), "and still serves");

    let stop = Command::new("kill").args(["-TERM", &server.0.id().to_string()]).status().unwrap();
    assert!(stop.success());
    assert!(server.0.wait().unwrap().success());
    assert!(!folder.path().join("desk.sock").exists());
    assert!(refused(&words(&call)).contains("the policy takes no clusters of 4 with threshold 2"));
    let verified = done(&["log", "verify", "--data-dir", text(folder.path()), "--json"]);
    assert!(verified.contains(r#""size":4"#), "{verified}");
}
