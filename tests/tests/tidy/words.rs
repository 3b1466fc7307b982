//! Words that must not stand in some places, and sizes.
//!
//! The words are taken apart here, so that this file does not find itself.

use crate::tree::{Finding, TextFile, Tree};

/// No source file is longer.
const LINES_MAX: usize = 700;

/// Machines, formulas and the jar: whoever runs them tells them everything.
const PURE_CRATES: [&str; 4] = ["crates/core/", "crates/types/", "crates/crypto/", "crates/sim/"];
const PURE_MODULES: [&str; 11] = [
    "dkg/src/ceremony/",
    "coordinator/src/board.rs",
    "coordinator/src/canonical.rs",
    "coordinator/src/text.rs",
    "coordinator/src/formation/",
    "coordinator/src/formulas/",
    "coordinator/src/merkle/",
    "coordinator/src/request/",
    "coordinator/src/ledger/",
    "coordinator/src/watch/",
    "coordinator/src/pages/",
];
/// The simulator's program may measure how long it took.
const SHELL_OF_SIM: &str = "crates/sim/src/main.rs";

/// Rooms whose text is their argument, and the least share of their lines that must be documentation, in percent.
const DOCUMENTED: [&str; 3] = ["crates/core/src/", "crates/crypto/src/", "dkg/src/ceremony/"];
const DOCUMENTED_PERCENT_MIN: usize = 15;

const SLED_FILES: [&str; 2] = ["dvt-node/src/journal.rs", "coordinator/src/store.rs"];

/// What waits for somebody to finish it.
pub(crate) fn left_open(tree: &Tree) -> Vec<Finding> {
    let words = [
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
        concat!("#[", "ignore"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("TO", "DO"),
    ];
    tree.rust()
        .flat_map(|file| file.find(&words, "finish it, or say in the README that it is open"))
        .collect()
}

/// Waiting by the clock where an event could be waited for.
pub(crate) fn sleeps(tree: &Tree) -> Vec<Finding> {
    let call = concat!("sle", "ep(");
    let what = "wait for the event instead";
    let found = |file: &TextFile| {
        let first = if is_test_or_sim(&file.path) { 1 } else { tests_begin(file) };
        let calls = code_lines(file).filter(move |(line, code)| *line >= first && code.contains(call));
        calls.map(|(line, _)| file.finding(line, format!("`{call}`: {what}"))).collect::<Vec<_>>()
    };
    tree.rust().flat_map(found).collect()
}

/// Clocks, chance and hash order in pure rooms; and pure crates without a `clippy.toml` that says so to clippy.
pub(crate) fn impurities(tree: &Tree) -> Vec<Finding> {
    let words = [
        concat!("Instant::", "now"),
        concat!("SystemTime::", "now"),
        concat!("thread", "_rng"),
        concat!("Os", "Rng"),
        concat!("from_", "entropy"),
        concat!("Hash", "Map"),
        concat!("Hash", "Set"),
    ];
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| is_pure(&file.path)) {
        for (line, code) in code_lines(file) {
            if let Some(word) = words.iter().find(|word| code.contains(**word)) {
                findings.push(file.finding(line, format!("`{word}`: this room is told everything")));
            }
        }
    }
    for folder in PURE_CRATES {
        let Some(manifest) = tree.file(&format!("{folder}Cargo.toml")) else { continue };
        let clippy = tree.file(&format!("{folder}clippy.toml"));
        let says = |word: &str| clippy.is_some_and(|file| file.text.contains(word));
        // A crate's own clippy.toml takes the place of the root's, so it repeats the limit.
        if !says(words[0]) || !says(words[5]) || !says("too-many-lines-threshold = 70") {
            findings.push(manifest.finding(
                1,
                "a pure crate's clippy.toml refuses clocks and hash maps, and repeats the limit on lines",
            ));
        }
    }
    findings
}

/// sled behind one file of each program that has a log of its own.
pub(crate) fn sled(tree: &Tree) -> Vec<Finding> {
    let (path, import) = (concat!("sl", "ed::"), concat!("use sl", "ed"));
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !SLED_FILES.contains(&&*file.path)) {
        let uses = code_lines(file).filter(|(_, code)| has_word(code, path) || has_word(code, import));
        findings.extend(
            uses.map(|(line, _)| {
                file.finding(line, format!("only {} speak to sled", SLED_FILES.join(" and ")))
            }),
        );
    }
    findings
}

/// Long files.
pub(crate) fn lengths(tree: &Tree) -> Vec<Finding> {
    let judge = |file: &TextFile| {
        let have = file.text.lines().count();
        let what = format!("{have} lines, at most {LINES_MAX}: find the second caption");
        (have > LINES_MAX).then(|| file.finding(LINES_MAX + 1, what))
    };
    tree.rust().filter_map(judge).collect()
}

/// Rooms with too little said.
pub(crate) fn documentation(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for room in DOCUMENTED {
        let files = tree.rust().filter(|file| file.path.starts_with(room) && !is_test_or_sim(&file.path));
        let (mut all, mut said) = (0, 0);
        for file in files {
            let end = tests_begin(file);
            let lines = file.lines().take_while(|(line, _)| *line < end).map(|(_, text)| text.trim());
            for text in lines.filter(|text| !text.is_empty()) {
                all += 1;
                said += usize::from(text.starts_with("//"));
            }
        }
        if said * 100 < all * DOCUMENTED_PERCENT_MIN {
            let what = format!(
                "{said} of {all} lines are documentation, at least {DOCUMENTED_PERCENT_MIN} % should be"
            );
            findings.push(Finding { file: room.into(), line: 1, what });
        }
    }
    findings
}

/// Paths that exist on one machine only.
pub(crate) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let paths = [concat!("/wo", "rk/"), concat!("/tmp/bash", "_jobs"), concat!("/ro", "ot/")];
    let mut findings = Vec::new();
    for file in &tree.files {
        for (line, text) in file.lines() {
            if let Some(path) = paths.iter().find(|path| has_word(text, path)) {
                findings.push(file.finding(line, format!("`{path}` is a path of one machine")));
            }
        }
    }
    findings
}

/// Hosts in the files of npm: which registry is asked is the machine's to say.
pub(crate) fn registries(tree: &Tree) -> Vec<Finding> {
    let npm = ["package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc"];
    let words = ["registry.", "registry=", "npmjs", "\"resolved\""];
    let files = tree.files.iter().filter(|file| npm.contains(&file.name()));
    files.flat_map(|file| file.find(&words, "packages come from wherever the machine is set to")).collect()
}

fn is_pure(path: &str) -> bool {
    let pure = PURE_CRATES.iter().chain(&PURE_MODULES).any(|folder| path.starts_with(folder));
    pure && path != SHELL_OF_SIM
}

fn is_test_or_sim(path: &str) -> bool {
    path.starts_with("tests/")
        || path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.starts_with("crates/sim/")
}

/// The line of `#[cfg(test)]` before a module that is written out; past the end if there is none.
fn tests_begin(file: &TextFile) -> usize {
    let lines: Vec<_> = file.text.lines().map(str::trim).collect();
    let begins =
        |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
    lines.windows(2).position(begins).map_or(lines.len() + 1, |before| before + 1)
}

/// Lines without their comments. A `//` inside a text (of an address, say) does not begin one.
fn code_lines(file: &TextFile) -> impl Iterator<Item = (usize, &str)> {
    file.lines().map(|(line, text)| match text.find(" //") {
        _ if text.trim_start().starts_with("//") => (line, ""),
        Some(end) => (line, &text[..end]),
        None => (line, text),
    })
}

/// Whether `text` contains `word` with nothing before it that would make it the end of another word.
fn has_word(text: &str, word: &str) -> bool {
    let stands_alone = |(at, _): (usize, &str)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "._$-".contains(before))
    };
    text.match_indices(word).any(stands_alone)
}
