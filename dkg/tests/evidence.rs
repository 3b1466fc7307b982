//! One operator lies; every other one, a real process, names it and keeps evidence that holds for whoever was not there.

mod pool;
mod villain;

use cluster::folder;
use dkg::ceremony::Step;
use dkg::run::{RunConfig, run};
use dkg::verify::{VerifyArgs, verify};
use pool::{Pool, pool};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Output;
use villain::Lie;

const VILLAIN: usize = 1;
const HONEST: [usize; 3] = [0, 2, 3];

/// What the villain says otherwise, and what everybody finds.
const LIES: [(&str, Lie); 5] = [
    ("a private share that does not fit its commitments", |_, step, whom, content| {
        if step == Step::Round2 && whom.get() == 3 {
            content[63] ^= 1;
        }
    }),
    ("a wrong proof of knowledge", |_, step, _, content| {
        if let (Step::Round1, Some(last)) = (step, content.last_mut()) {
            *last ^= 1;
        }
    }),
    ("two different round 1 messages", |mask, step, whom, content| {
        if step == Step::Round1 && whom.get() == 4 {
            *content = mask.other_round1();
        }
    }),
    ("a wrong partial signature", |_, step, whom, content| {
        if step == Step::Seal && whom.get() == 1 {
            content.copy_within(0..96, 96);
        }
    }),
    ("a wrong lock hash or a wrong signature over it", |_, step, _, content| {
        if step == Step::Lock {
            // In the sum of the shares' signatures; the node's own over the hash stays true.
            content[32 + 50] ^= 1;
        }
    }),
];
/// From this one on only those can judge who took part.
const JUDGED_BY_ALL: usize = 4;

/// An attempt of four, one of them a villain; what the programs of the others said.
async fn lied_to(pool: &Pool, definition: &Path, attempt: usize, lie: Lie) -> Vec<Output> {
    lied_to_until(pool, definition, attempt, lie, "240").await
}

async fn lied_to_until(
    pool: &Pool,
    definition: &Path,
    attempt: usize,
    lie: Lie,
    deadline_s: &str,
) -> Vec<Output> {
    let programs = HONEST.map(|at| {
        let mut command = pool.command(at, definition);
        command.args(["--deadline", deadline_s, "--attempt", &attempt.to_string()]);
        let child = command.spawn().unwrap();
        tokio::task::spawn_blocking(move || child.wait_with_output().unwrap())
    });
    let ended = async {
        let mut outputs = Vec::new();
        for program in programs {
            outputs.push(program.await.unwrap());
        }
        outputs
    };
    tokio::select! {
        outputs = ended => outputs,
        () = villain::run(pool, VILLAIN, definition, u32::try_from(attempt).unwrap(), lie) => panic!("the villain's wire has ended"),
    }
}

fn evidence_in(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_evidence = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("evidence-");
    entries.filter(is_evidence).collect()
}

/// The three name the villain, exit with 3, and keep the evidence; the folder keeps no seed. Gives the evidence's files.
fn assert_named(pool: &Pool, outputs: &[Output], finding: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (at, output) in HONEST.into_iter().zip(outputs) {
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{words}");
        let last = words.lines().last().unwrap();
        assert!(last.contains(&format!("operator 2 ({})", pool.enrs[VILLAIN])), "{last}");
        assert!(last.contains(finding), "{last}");
        for other in [1, 3, 4] {
            assert!(!last.contains(&format!("operator {other}")), "{last}");
        }
        let dir = &pool.dirs[at];
        let path = evidence_in(dir).into_iter().find(|path| last.contains(&path.display().to_string()));
        files.push(path.unwrap_or_else(|| panic!("no evidence: {last}")));
        assert!(!dir.join(folder::LOCK).exists());
        let records = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        for records in
            records.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("ceremony-"))
        {
            let over = records.join("over").exists();
            let left = std::fs::read_dir(&records).unwrap().count();
            // Who got a good partial signature from the villain may have signed the lock before it heard of a bad one.
            let doubtful = last.contains("this operator had signed the lock")
                && [LIES[3].0, LIES[4].0].contains(&finding);
            assert!(over && left == 1 || doubtful && !over, "{last}");
        }
    }
    files
}

/// Whether evidence holds, by the definition alone; and by which rule not.
fn judged(definition: &Path, evidence: &Path) -> Result<Value, String> {
    let args = VerifyArgs {
        definition: Some(definition.to_owned()),
        evidence: vec![evidence.to_owned()],
        ..VerifyArgs::default()
    };
    let found = verify(&args).unwrap();
    match found.complaint() {
        None => Ok(found.json()),
        Some(complaint) => Err(complaint),
    }
}

/// Whatever is changed in a file of evidence, it holds no more.
fn assert_no_change_holds(definition: &Path, file: &Path) {
    let good: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let changed = file.with_extension("changed");
    let refused = |value: &Value, what: &str| {
        std::fs::write(&changed, value.to_string()).unwrap();
        judged(definition, &changed).expect_err(what);
    };
    std::fs::write(&changed, good.to_string()).unwrap();
    judged(definition, &changed).expect("other spaces are no change");
    for (field, value) in good.as_object().unwrap() {
        let others = match value {
            Value::Number(number) => vec![json!(number.as_u64().unwrap() + 1), json!(number.to_string())],
            Value::String(text) => {
                vec![json!(format!("{text}0")), json!(text.replacen(['0', 'o', 'a'], "1", 1))]
            }
            other => panic!("{field} is {other}"),
        };
        for other in others.into_iter().chain([Value::Null]).filter(|other| other != value) {
            let mut bad = good.clone();
            bad[field] = other;
            refused(&bad, field);
        }
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(field);
        refused(&bad, field);
    }
    let mut more = good.clone();
    more["note"] = json!("and operator 3 helped");
    refused(&more, "a note");
    let proof = hex::decode(&good["evidence"].as_str().unwrap()[2..]).unwrap();
    for place in (0..proof.len()).step_by(5) {
        let mut bad = proof.clone();
        bad[place] ^= 1 << (place % 8);
        let mut file = good.clone();
        file["evidence"] = json!(format!("0x{}", hex::encode(&bad)));
        refused(&file, &format!("byte {place} of the proof"));
    }
    std::fs::remove_file(changed).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lies_is_named_by_everybody_with_evidence_that_holds_and_the_next_attempt_makes_keys() {
    let pool = pool(4);
    let definition = pool.define("lies", 2);
    let other = pool.define("other", 2);
    for (attempt, (finding, lie)) in LIES.into_iter().enumerate() {
        let outputs = lied_to(&pool, &definition, attempt, lie).await;
        let files = assert_named(&pool, &outputs, finding);
        for file in &files {
            if attempt == JUDGED_BY_ALL {
                let refused = judged(&definition, file).unwrap_err();
                assert!(refused.contains("judged by all keys"), "{refused}");
                continue;
            }
            let told = judged(&definition, file).unwrap();
            assert!(told.to_string().contains(finding), "{told}");
            judged(&other, file).expect_err("evidence of another ceremony");
        }
        if attempt < JUDGED_BY_ALL {
            assert_no_change_holds(&definition, &files[0]);
        }
    }
    let again = pool.command(0, &definition).output().unwrap();
    let words = String::from_utf8_lossy(&again.stderr);
    assert_eq!(again.status.code(), Some(3), "{words}");
    assert!(words.contains("attempt 0 at this definition is over, the next is --attempt 1"), "{words}");
    assert!(words.contains(LIES[0].0), "{words}");

    let attempt = u32::try_from(LIES.len()).unwrap();
    let honest = (0..4).map(|at| tokio::spawn(run(RunConfig { attempt, ..pool.config(at, &definition) })));
    for run in honest.collect::<Vec<_>>() {
        assert_eq!(run.await.unwrap().unwrap().missing, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waited_says_for_whom_how_long_and_in_which_step_and_exits_with_its_own_status() {
    let pool = pool(4);
    let definition = pool.define("silence", 1);
    let mut command = pool.command(0, &definition);
    let output = tokio::task::spawn_blocking(move || command.args(["--deadline", "1"]).output().unwrap());
    let output = output.await.unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{words}");
    let last = words.lines().last().unwrap();
    for at in [2, 3, 4] {
        let who = format!("operator {at} ({}), no link to it", pool.enrs[at - 1]);
        assert!(last.contains(&who), "{last}");
    }
    assert!(last.contains("silence in gather: waited ") && last.contains("start again to go on"), "{last}");
    assert!(evidence_in(&pool.dirs[0]).is_empty(), "silence is no fault");

    // Linked, but dumb from round 1 on: the links are told apart from what comes over them.
    let dumb: Lie = |_, step, _, content| {
        if step >= Step::Round1 {
            content.clear();
        }
    };
    let outputs = lied_to_until(&pool, &definition, 1, dumb, "8").await;
    for (at, output) in HONEST.into_iter().zip(outputs) {
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{words}");
        let last = words.lines().last().unwrap();
        let who = format!("operator 2 ({}), its link is up", pool.enrs[VILLAIN]);
        assert!(last.contains("silence in round 1: waited ") && last.contains(&who), "{last}");
        for other in [1, 3, 4] {
            assert!(!last.contains(&format!("operator {other}")), "{last}");
        }
        assert!(evidence_in(&pool.dirs[at]).is_empty());
    }
}
