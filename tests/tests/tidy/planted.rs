//! Small trees with one thing wrong in each: a rule that finds nothing in them is no rule.

use crate::tree::{Finding, Tree};
use crate::{floors, papers, words};

const MAP: &str = "\
## Floors

| floor | crate | folder | may import | what |
|---|---|---|---|---|
| 0 | `types` | `crates/types` | - | nouns |
| 1 | `symbolon-core` | `crates/core` | `types` | mind |
| 2 | `keys` | `crates/keys` | `types` `symbolon-core` | secrets |
| 2 | `odd` | `odd` | `keys` | looks sideways |

## Doors

| library | linked by | why |
|---|---|---|
| `blst` | `keys`, tests too | curves |
| `axum` | `keys` | servers |
";

fn crate_of(name: &str, body: &str) -> String {
    format!("[package]\nname = \"{name}\"\n\n{body}")
}

/// A house in order, but for one crate's dependencies.
fn house(folder: &str, name: &str, body: &str) -> Tree {
    let mut files = vec![
        ("ARCHITECTURE.md".to_owned(), MAP.to_owned()),
        ("crates/types/Cargo.toml".to_owned(), crate_of("types", "")),
        ("crates/core/Cargo.toml".to_owned(), crate_of("symbolon-core", "")),
        ("crates/keys/Cargo.toml".to_owned(), crate_of("keys", "")),
        ("odd/Cargo.toml".to_owned(), crate_of("odd", "")),
    ];
    let path = format!("{folder}/Cargo.toml");
    files.retain(|(other, _)| *other != path);
    files.push((path, crate_of(name, body)));
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    Tree::planted(&files)
}

fn one(findings: Vec<Finding>, file: &str, line: usize, part: &str) {
    let [found] = &findings[..] else { panic!("one finding about {part:?}, not {findings:?}") };
    assert_eq!((found.file.as_str(), found.line), (file, line), "{found}");
    assert!(found.what.contains(part), "{found}");
}

fn rust(path: &str, text: &str) -> Tree {
    Tree::planted(&[(path, text)])
}

#[test]
fn an_import_that_the_map_does_not_allow() {
    let tree = house("crates/keys", "keys", "[dependencies]\ntypes = { workspace = true }\n");
    assert_eq!(floors::imports(&tree), []);
    let tree = house("crates/core", "symbolon-core", "[dependencies]\nkeys = { workspace = true }\n");
    one(floors::imports(&tree), "crates/core/Cargo.toml", 5, "may not import `keys`");
    let tree =
        house("crates/core", "symbolon-core", "[target.'cfg(unix)'.dependencies]\nkeys.workspace = true\n");
    one(floors::imports(&tree), "crates/core/Cargo.toml", 5, "may not import `keys`");
    let tree = house("odd", "odd", "[dependencies]\nkeys = { workspace = true }\n");
    one(floors::imports(&tree), "odd/Cargo.toml", 5, "on floor 2 imports from floor 2");
}

#[test]
fn a_crate_without_a_row_and_a_row_without_a_crate() {
    let tree = house("crates/new", "new", "");
    one(floors::imports(&tree), "crates/new/Cargo.toml", 1, "no row");
    let tree = house("odd", "even", "");
    let findings = floors::imports(&tree);
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert_eq!((findings[0].file.as_str(), findings[0].line), ("ARCHITECTURE.md", 8));
}

#[test]
fn a_library_beside_its_door() {
    let dev = "[dev-dependencies]\nblst = { workspace = true }\naxum = { workspace = true }\n";
    let tree = house("odd", "odd", dev);
    one(floors::doors(&tree), "odd/Cargo.toml", 5, "`blst` is linked by keys only");
    let tree = house("odd", "odd", "[dependencies]\naxum = { workspace = true }\n");
    one(floors::doors(&tree), "odd/Cargo.toml", 5, "`axum` is linked by keys only");
    let tree = house("crates/keys", "keys", dev);
    assert_eq!(floors::doors(&tree), []);
}

#[test]
fn a_runtime_in_core_and_a_secret_in_the_coordinator() {
    let tree = house(
        "crates/core",
        "symbolon-core",
        "[dependencies]\nthiserror = { workspace = true }\ntokio = { workspace = true }\n",
    );
    one(floors::absences(&tree), "crates/core/Cargo.toml", 6, "nothing else");
    let tree = house("coordinator", "coordinator", "[dependencies]\nkeys = { workspace = true }\n");
    one(floors::absences(&tree), "coordinator/Cargo.toml", 5, "must not reach `keys`");
    // Through another crate of ours as well.
    let mut tree = house("odd", "odd", "[dependencies]\nkeys = { workspace = true }\n");
    let manifest = crate_of("coordinator", "[dependencies]\nodd = { workspace = true }\n");
    tree.files.extend(Tree::planted(&[("coordinator/Cargo.toml", &manifest)]).files);
    one(floors::absences(&tree), "coordinator/Cargo.toml", 5, "must not reach `keys`");
}

#[test]
fn a_dependency_without_a_reason_or_beside_the_table() {
    let table = |line: &str| {
        format!(
            "[workspace.dependencies]\ntypes = {{ path = \"crates/types\" }}\n{line}\n[profile.dev]\ndebug = 1\n"
        )
    };
    let findings = |line: &str| floors::one_table(&rust("Cargo.toml", &table(line)));
    assert_eq!(findings("hex = \"0.4\" # hex without 0x"), []);
    one(findings("hex = \"0.4\""), "Cargo.toml", 3, "without a reason");
    one(findings("hex = \"0.4\" #"), "Cargo.toml", 3, "without a reason");
    one(findings("hex = { git = \"there\" } # nice"), "Cargo.toml", 3, "public registry");
    let member = |line: &str| floors::one_table(&house("odd", "odd", &format!("[dependencies]\n{line}\n")));
    assert_eq!(member("hex.workspace = true"), []);
    one(member("hex = \"0.4\""), "odd/Cargo.toml", 5, "not the workspace's");
    one(
        floors::one_table(&house("odd", "odd", "[dependencies.hex]\n")),
        "odd/Cargo.toml",
        4,
        "not the workspace's",
    );
}

#[test]
fn something_left_open() {
    for word in [
        concat!("to", "do!()"),
        concat!("#[ign", "ore = \"slow\"]"),
        concat!("// FIX", "ME"),
        concat!("// TO", "DO"),
    ] {
        let tree = rust("a/src/lib.rs", &format!("fn a() {{}}\n{word}\n"));
        one(words::left_open(&tree), "a/src/lib.rs", 2, "finish it");
    }
}

#[test]
fn a_sleep_in_a_test() {
    let call = concat!("thread::sle", "ep(second);");
    for path in ["a/tests/b.rs", "a/src/tests.rs", "crates/sim/src/world.rs", "tests/tests/c.rs"] {
        one(words::sleeps(&rust(path, &format!("\n{call}"))), path, 2, "wait for the event");
    }
    let shell = format!("{call}\n#[cfg(test)]\nmod tests {{\n    {call} // soon\n}}\n");
    one(words::sleeps(&rust("a/src/lib.rs", &shell)), "a/src/lib.rs", 4, "wait for the event");
    assert_eq!(words::sleeps(&rust("a/src/lib.rs", call)), [], "shells may");
    assert_eq!(words::sleeps(&rust("a/tests/b.rs", &format!("let a = 1; // not a {call}"))), []);
}

#[test]
fn a_clock_or_chance_in_a_pure_room() {
    let clock = concat!("let now = Instant::", "now();");
    let map = concat!("use std::collections::Hash", "Map;");
    for path in
        ["crates/core/src/a.rs", "crates/types/tests/a.rs", "dkg/src/ceremony/a.rs", "crates/sim/src/lib.rs"]
    {
        one(words::impurities(&rust(path, clock)), path, 1, "told everything");
        one(words::impurities(&rust(path, map)), path, 1, "told everything");
        assert_eq!(words::impurities(&rust(path, &format!("/// {map}"))), []);
    }
    assert_eq!(words::impurities(&rust("dkg/src/main.rs", clock)), [], "shells may");
    assert_eq!(words::impurities(&rust("crates/sim/src/main.rs", clock)), [], "shells may");
    let bare =
        Tree::planted(&[("crates/types/Cargo.toml", ""), ("crates/types/clippy.toml", "msrv = \"1.95\"")]);
    one(words::impurities(&bare), "crates/types/Cargo.toml", 1, "clippy.toml");
}

#[test]
fn sled_elsewhere() {
    let import = concat!("use sl", "ed::Db;");
    one(words::sled(&rust("dkg/src/store.rs", import)), "dkg/src/store.rs", 1, "speak to sled");
    for file in ["dvt-node/src/journal.rs", "coordinator/src/store.rs"] {
        assert_eq!(words::sled(&rust(file, import)), []);
    }
    assert_eq!(words::sled(&rust("dkg/src/store.rs", concat!("let settled = settl", "ed::now();"))), []);
}

#[test]
fn a_long_file() {
    let lines = |count: usize| "\n".repeat(count);
    assert_eq!(words::lengths(&rust("a.rs", &lines(700))), []);
    one(words::lengths(&rust("a.rs", &lines(701))), "a.rs", 701, "at most 700");
}

#[test]
fn a_room_without_words() {
    let text = |said: usize| format!("{}{}", "/// Says.\n".repeat(said), "let a = 1;\n".repeat(20 - said));
    assert_eq!(words::documentation(&rust("crates/crypto/src/a.rs", &text(3))), []);
    one(words::documentation(&rust("crates/crypto/src/a.rs", &text(2))), "crates/crypto/src/", 1, "2 of 20");
    let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", text(3), "a();\n".repeat(100));
    assert_eq!(words::documentation(&rust("crates/crypto/src/a.rs", &tested)), [], "tests are not counted");
}

#[test]
fn a_path_of_one_machine() {
    for path in [concat!("/wo", "rk/main/x"), concat!("/ro", "ot/.cargo"), concat!("/tmp/bash", "_jobs.0/1")]
    {
        let tree = rust("docs/a.md", &format!("fine\nsee {path}\n"));
        one(words::machine_paths(&tree), "docs/a.md", 2, "one machine");
    }
    for fine in [concat!("net", "/wo", "rk/"), concat!("./ro", "ot/"), concat!("frame", "/wo", "rk/")] {
        assert_eq!(words::machine_paths(&rust("docs/a.md", fine)), []);
    }
}

#[test]
fn a_registry_in_a_package() {
    let lock = "{\n  \"resolved\": \"somewhere\"\n}";
    let tree = rust("deploy/x/package-lock.json", lock);
    one(words::registries(&tree), "deploy/x/package-lock.json", 2, "wherever the machine");
    assert_eq!(words::registries(&rust("deploy/x/other.json", lock)), []);
}

#[test]
fn papers_that_are_too_long_or_missing() {
    let long = "\n".repeat(251);
    let tree = Tree::planted(&[("ARCHITECTURE.md", &long), ("README.md", "")]);
    one(papers::sizes(&tree), "ARCHITECTURE.md", 251, "at most 250");
    one(papers::sizes(&rust("README.md", "")), "ARCHITECTURE.md", 1, "missing");
}

#[test]
fn a_decision_that_nobody_finds() {
    let index = ("docs/adr/README.md", "[0001](0001-a.md)");
    let tree = Tree::planted(&[
        index,
        ("docs/adr/0001-a.md", ""),
        ("docs/adr/0002-b.md", ""),
        ("docs/adr/template.md", ""),
    ]);
    one(papers::decisions(&tree), "docs/adr/0002-b.md", 1, "not listed");
    let mention = concat!("// see AD", "R 0009");
    let tree = Tree::planted(&[index, ("docs/adr/0001-a.md", ""), ("a.rs", mention)]);
    one(papers::decisions(&tree), "a.rs", 1, "no decision 0009");
    let tree = Tree::planted(&[
        ("docs/adr/README.md", "(0001-a.md) (0001-b.md)"),
        ("docs/adr/0001-a.md", ""),
        ("docs/adr/0001-b.md", ""),
    ]);
    assert_eq!(papers::decisions(&tree).len(), 2, "one number twice");
}

#[test]
fn a_link_that_leads_nowhere() {
    let text = "[a](../a.md#part) [b](b.md) [c](https://example.org/c) [d](../docs)";
    let tree = Tree::planted(&[("docs/x.md", text), ("a.md", "")]);
    one(papers::links(&tree), "docs/x.md", 1, "`b.md` leads nowhere");
}
