//! What people say to an office, whether it serves or not.

use super::*;
use crate::ledger::charter::Charter;
use crate::ledger::charter::tests::charter;
use crate::ledger::governance::Act;
use crate::ledger::testbed::Pool;
use rand_core::OsRng;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The folder of an office with four operators and a cluster.
fn folder(charter: Charter) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key = CoordinatorKey::load_or_create(folder.path(), &mut OsRng).unwrap();
    let mut pool = Pool::of(charter);
    let team = pool.team();
    pool.cluster(team, 1);
    pool.finalize(crate::ledger::testbed::EPOCH);
    pool.govern(Act::RotateCoordinator { coordinator: key.address() }).unwrap();
    Office::take_over(folder.path(), key, &pool.log).unwrap();
    folder
}

fn opened(folder: &TempDir) -> Office {
    Office::open(folder.path(), CoordinatorKey::load(folder.path()).unwrap()).unwrap()
}

fn observe(kind: &str, body: &Value) -> Word {
    Word::Observe { kind: Label::new(kind).unwrap(), body: body.to_string() }
}

fn wish(clusters: u32) -> Wish {
    Wish {
        clusters,
        operators: 4,
        threshold: 3,
        keys: 1,
        stake: None,
        seed_epoch: None,
        intra_operator: false,
        delegation: Delegation::Public,
    }
}

fn downtime(office: &Office) -> Value {
    let state = office.ledger().unwrap().state();
    let cluster = state.clusters.clusters.keys().next().unwrap();
    let until = state.chain.finalized.epoch;
    let fault = json!({"cluster": cluster, "from": until, "until": until, "cost": "7"});
    json!({"fault": fault, "evidence": {"/eth/v1/node/version": Root([1; 32])}})
}

/// An office that serves, and a thread's worth of somebody who speaks to it.
async fn served<T: Send + 'static>(
    folder: &TempDir,
    speak: impl FnOnce(PathBuf) -> T + Send + 'static,
) -> (T, Shared) {
    let shared = Shared::new(opened(folder));
    let desk = Desk::open(folder.path()).unwrap();
    let desk = tokio::spawn(desk.serve(shared.clone()));
    let path = folder.path().to_owned();
    let said = tokio::task::spawn_blocking(move || speak(path)).await.unwrap();
    desk.abort();
    assert!(desk.await.unwrap_err().is_cancelled());
    (said, shared)
}

#[test]
fn a_call_is_for_the_first_epoch_that_may_decide_unless_another_is_said() {
    let folder = folder(charter());
    let mut office = opened(&folder);
    let at = office.ledger().unwrap().at() + 100;
    let epoch = office.ledger().unwrap().state().epoch_at(at);
    let seq = office.ledger().unwrap().tree().size();
    let early = Wish { seed_epoch: Some(epoch), ..wish(1) };
    let refused = say(&mut office, at, Word::Call(early)).unwrap_err().to_string();
    assert!(refused.contains("the seed must be of a later one"), "{refused}");
    let written = say(&mut office, at, Word::Call(wish(1))).unwrap();
    assert_eq!((written.seq, written.events.len()), (seq, 1));
    let open = office.ledger().unwrap().state().calls.open.clone().unwrap();
    assert_eq!((open.terms().seed_epoch, open.terms().rules.stake), (Epoch(epoch.0 + 1), ACTIVATION));
    let second = say(&mut office, at, Word::Call(wish(1))).unwrap_err().to_string();
    assert!(second.contains("there is one at a time"), "{second}");
}

#[test]
fn the_command_line_says_all_of_a_call() {
    let folder = folder(charter());
    let epoch = {
        let office = opened(&folder);
        let ledger = office.ledger().unwrap();
        ledger.state().epoch_at(now().max(ledger.at())).0 + 5
    };
    let line = format!(
        "dvt-coordinator call --json --data-dir {} --clusters 2 --operators 4 --threshold 3 --validators 3 --epoch {epoch} \
         --stake-gwei 96000000000",
        folder.path().display()
    );
    crate::cli::run(line.split_whitespace().map(Into::into));
    let office = opened(&folder);
    let open = office.ledger().unwrap().state().calls.open.clone().unwrap();
    let terms = open.terms();
    let rules = &terms.rules;
    assert_eq!((terms.seed_epoch, terms.demand, rules.keys), (Epoch(epoch), 2, 3));
    assert_eq!((rules.operators, rules.threshold, rules.stake), (4, 3, Gwei(96_000_000_000)));
    assert_eq!((rules.intra_operator, rules.delegation), (false, Delegation::Public));
}

#[test]
fn a_clock_that_was_set_back_calls_for_an_epoch_after_the_log_s() {
    let folder = folder(charter());
    let mut office = opened(&folder);
    let epoch = office.ledger().unwrap().state().epoch_at(office.ledger().unwrap().at());
    say(&mut office, 1, Word::Call(wish(1))).unwrap();
    let open = office.ledger().unwrap().state().calls.open.clone().unwrap();
    assert_eq!(open.terms().seed_epoch, Epoch(epoch.0 + 1));
}

#[test]
fn what_the_office_sees_itself_is_nobody_s_to_say() {
    let with = folder(charter());
    let mut office = opened(&with);
    let at = office.ledger().unwrap().at();
    let size = office.ledger().unwrap().tree().size();
    for kind in crate::ledger::routes::KINDS {
        let said = say(&mut office, at, observe(kind, &json!({"no": 1})));
        let own = matches!(said, Err(DeskError::NotAPersons(_)));
        assert_eq!(own, !PERSONS.contains(&kind), "{kind}: {said:?}");
    }
    let many = say(&mut office, at, observe("many", &json!([["finalized", {}]])));
    assert!(matches!(many, Err(DeskError::NotAPersons(_))));
    let incident = downtime(&office);
    say(&mut office, at, observe("downtime", &incident)).unwrap();
    assert_eq!(office.ledger().unwrap().tree().size(), size + 1);

    let without = folder(Charter { contracts: None, ..charter() });
    let mut office = opened(&without);
    let reference = json!({"hash": Root([5; 32]), "index": 0});
    let paid = json!({"reference": reference, "payer": types::Address([9; 20]), "eth": "7"});
    say(&mut office, at, observe("rewards", &paid)).unwrap();
    let finalized = json!({"epoch": "9", "root": Root([7; 32])});
    let own = say(&mut office, at, observe("finalized", &finalized)).unwrap_err();
    assert_eq!(own.to_string(), "finalized is not a person's to say: the office observes it");
}

#[tokio::test]
async fn an_office_that_serves_is_told_over_its_socket_and_one_that_does_not_is_opened() {
    let folder = folder(charter());
    let body = downtime(&opened(&folder));
    let mode = |path: PathBuf| fs::metadata(path.join(SOCKET)).unwrap().permissions().mode() & 0o777;
    let word = observe("downtime", &body);
    let again = word.clone();
    let (said, shared) = served(&folder, move |path| {
        (mode(path.clone()), tell(&path, word.clone()), tell(&path, word), tell(&path, Word::Call(wish(0))))
    })
    .await;
    let (mode, first, second, call) = said;
    assert_eq!(mode, 0o600);
    let first = first.unwrap();
    let kinds: Vec<_> = first.events.iter().map(|event| json!(event)).collect();
    assert!(kinds[0]["incidents"]["opened"].is_object(), "{kinds:?}");
    let refused = second.unwrap_err();
    assert!(matches!(&refused, DeskError::Refused(why) if why.contains("is known")), "{refused}");
    assert!(matches!(call, Err(DeskError::Refused(_))), "{call:?}");
    assert!(!folder.path().join(SOCKET).exists(), "it is gone with the office");
    let size = shared.with(|office| Ok(office.ledger()?.tree().size())).await.unwrap();
    assert_eq!(size, first.seq + 1);
    drop(shared);

    let refused = tell(folder.path(), again).unwrap_err();
    assert!(refused.to_string().contains("is known"), "{refused}");
    // An office that was killed leaves its socket behind, at which nobody listens.
    drop(UnixListener::bind(folder.path().join(SOCKET)).unwrap());
    let written = tell(folder.path(), Word::Call(wish(1))).unwrap();
    assert_eq!(written.seq, size);
    assert_eq!(opened(&folder).ledger().unwrap().tree().size(), size + 1);
    assert!(opened(&folder).published(size + 1).unwrap().is_some(), "it was closed, with a head");
    let (said, _) = served(&folder, |path| path.join(SOCKET).exists()).await;
    assert!(said, "and the next makes its own");
}

/// What is answered to bytes.
fn spoken(folder: &Path, bytes: &[u8]) -> String {
    let mut caller = Caller::connect(folder.join(SOCKET)).unwrap();
    // Whoever has heard enough may have closed.
    let _ = caller.write_all(bytes).and_then(|()| caller.shutdown(std::net::Shutdown::Write));
    let mut answer = String::new();
    let _ = caller.read_to_string(&mut answer);
    answer
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_the_next_is_heard() {
    let folder = folder(charter());
    let (answers, shared) = served(&folder, |path| {
        let long = [&vec![b' '; WORD_LEN_MAX][..], b"\n"].concat();
        let kind = r#"{"observe":{"kind":"Rain","body":"{}"}}"#.to_owned() + "\n";
        let lines: [&[u8]; 6] = [b"", b"{}", b"\xff\n", kind.as_bytes(), &long, b"{\"rain\":1}\n"];
        let answers = lines.map(|line| spoken(&path, line)).to_vec();
        (answers, tell(&path, Word::Call(wish(1))).map(drop))
    })
    .await;
    let (answers, last) = answers;
    for (at, answer) in answers.iter().enumerate() {
        assert!(answer.starts_with(r#"{"refused":""#) && answer.ends_with("\"}\n"), "{at}: {answer}");
    }
    assert!(answers[1].contains("the line has no end"), "{}", answers[1]);
    assert!(answers[4].contains("more than 1048576 bytes"), "{}", answers[4]);
    last.unwrap();
    let open = shared.with(|office| Ok(office.ledger()?.state().calls.open.is_some())).await.unwrap();
    assert!(open);
}
