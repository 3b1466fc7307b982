//! Planted secrets: what the search must find, or it would find nothing anywhere.

use crate::process::Process;
use crate::scan::{Needles, Secret, base64_standard};
use dkg::ceremony::Frame;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::hint::black_box;
use std::process::ExitCode;

/// The ways in which a secret is planted.
const FORMS: [&str; 3] = ["raw", "hex", "base64"];

/// A secret for each form, so that one find cannot pass for another.
fn planted(form: &str) -> Secret {
    let mut secret: Secret = Sha256::new().chain_update(b"planted ").chain_update(form).finalize().into();
    secret[0] &= 0x3f;
    secret
}

fn written(form: &str) -> Vec<u8> {
    let secret = planted(form);
    match form {
        "raw" => secret.to_vec(),
        "hex" => hex::encode(secret).into_bytes(),
        _ => base64_standard(&secret),
    }
}

fn needles() -> Needles {
    Needles::new(FORMS.map(|form| (form.to_owned(), planted(form))))
}

/// What stands there in the form in which it was planted.
fn found(bytes: &[u8]) -> BTreeSet<String> {
    let hits = needles().find(bytes).into_iter();
    hits.filter(|hit| hit.form.starts_with(&hit.name)).map(|hit| hit.name).collect()
}

/// The role of a child that holds what is planted, until it is killed.
pub(crate) fn hold() -> ExitCode {
    // Of a thread of its own, as tests are.
    let on_a_stack = planted("stack");
    let boxes = FORMS.map(|form| written(form).into_boxed_slice());
    say_holding();
    while black_box((&boxes, &on_a_stack)).0.len() == FORMS.len() {
        std::thread::park();
    }
    ExitCode::FAILURE
}

#[expect(clippy::print_stderr, reason = "the parent waits for this line")]
fn say_holding() {
    eprintln!("holding");
}

#[test]
fn what_is_planted_in_a_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    for form in FORMS {
        let path = folder.path().join(form);
        std::fs::write(&path, [b"before".as_slice(), &written(form), b"after"].concat()).unwrap();
        assert_eq!(found(&std::fs::read(&path).unwrap()), BTreeSet::from([form.to_owned()]));
    }
}

#[test]
fn what_is_planted_in_a_frame_is_found() {
    for form in FORMS {
        let frame = Frame::from([&[1; 137][..], &written(form)].concat());
        assert_eq!(found(&frame.0), BTreeSet::from([form.to_owned()]));
    }
    assert_eq!(found(&[1; 500]), BTreeSet::new());
}

#[test]
fn what_is_planted_in_the_memory_of_another_process_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let holder = Process::start(folder.path(), "holder", "holder", &[]);
    holder.wait_for(&["holding".to_owned()]);
    let Some(regions) = holder.memory() else { return };
    let hits: BTreeSet<_> = regions.iter().flat_map(|region| found(&region.bytes)).collect();
    assert_eq!(hits, FORMS.map(str::to_owned).into());
    let on_a_stack = Needles::new([("stack".to_owned(), planted("stack"))]);
    assert!(regions.iter().any(|region| !on_a_stack.find(&region.bytes).is_empty()));
}
