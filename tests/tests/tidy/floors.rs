//! Who may import whom: the tables of `ARCHITECTURE.md` against the manifests.

use crate::tree::{Finding, TextFile, Tree};
use std::collections::{BTreeMap, BTreeSet};

const MAP: &str = "ARCHITECTURE.md";
const CORE: &str = "symbolon-core";
/// Everything that core links: nouns, their encoding, and a derive for errors.
const CORE_LINKS: [&str; 4] = ["types", "ethereum_ssz", "ethereum_ssz_derive", "thiserror"];

/// A crate's row in the map.
struct Row {
    line: usize,
    floor: u32,
    folder: String,
    imports: Vec<String>,
}

/// A library that is linked in few places.
struct Door {
    library: String,
    crates: Vec<String>,
    /// Whether dev-dependencies must use it too.
    tests_too: bool,
}

/// One dependency line.
struct Link<'a> {
    line: usize,
    name: &'a str,
    text: &'a str,
    dev: bool,
}

/// A member's manifest.
struct Manifest<'a> {
    file: &'a TextFile,
    name: &'a str,
    links: Vec<Link<'a>>,
}

impl Manifest<'_> {
    fn folder(&self) -> &str {
        self.file.path.trim_end_matches("/Cargo.toml")
    }
}

/// Rows and manifests belong together, imports are in the row, and floors only look down.
pub(crate) fn imports(tree: &Tree) -> Vec<Finding> {
    let Some(map) = tree.file(MAP) else { return Vec::new() };
    let (rows, manifests) = (rows(map), manifests(tree));
    let mut findings = Vec::new();
    for (name, row) in &rows {
        if !manifests.iter().any(|manifest| manifest.name == name && manifest.folder() == row.folder) {
            findings.push(map.finding(row.line, format!("there is no crate `{name}` in {}", row.folder)));
        }
    }
    for manifest in &manifests {
        let Some(row) = rows.get(manifest.name) else {
            findings.push(manifest.file.finding(1, format!("`{}` has no row in {MAP}", manifest.name)));
            continue;
        };
        for link in manifest.links.iter().filter(|link| !link.dev) {
            let Some(below) = rows.get(link.name) else { continue };
            if !row.imports.iter().any(|import| import == link.name) {
                let what = format!("`{}` may not import `{}`: {MAP}:{}", manifest.name, link.name, row.line);
                findings.push(manifest.file.finding(link.line, what));
            } else if below.floor >= row.floor {
                let what =
                    format!("`{}` on floor {} imports from floor {}", manifest.name, row.floor, below.floor);
                findings.push(manifest.file.finding(link.line, what));
            }
        }
    }
    findings
}

/// A library with a door is linked by the crates of its row only.
pub(crate) fn doors(tree: &Tree) -> Vec<Finding> {
    let Some(map) = tree.file(MAP) else { return Vec::new() };
    let doors = doors_of(map);
    let mut findings = Vec::new();
    for manifest in manifests(tree) {
        for link in &manifest.links {
            let shut = |door: &&Door| {
                door.library == link.name
                    && (!link.dev || door.tests_too)
                    && !door.crates.iter().any(|name| name == manifest.name)
            };
            if let Some(door) = doors.iter().find(shut) {
                let what = format!("`{}` is linked by {} only", door.library, door.crates.join(", "));
                findings.push(manifest.file.finding(link.line, what));
            }
        }
    }
    findings
}

/// Core's short list; and no way from the coordinator to a secret, through any of our crates.
pub(crate) fn absences(tree: &Tree) -> Vec<Finding> {
    let manifests = manifests(tree);
    let mut findings = Vec::new();
    for manifest in &manifests {
        for link in manifest.links.iter().filter(|link| !link.dev) {
            if manifest.name == CORE && !CORE_LINKS.contains(&link.name) {
                let what = format!("core links {} and nothing else", CORE_LINKS.join(", "));
                findings.push(manifest.file.finding(link.line, what));
            }
            if manifest.folder().starts_with("coordinator") && reach(&manifests, link.name).contains("keys") {
                findings.push(manifest.file.finding(link.line, "the coordinator must not reach `keys`"));
            }
        }
    }
    findings
}

/// Versions, paths and reasons stand in the root's table; nothing comes from git or under another name.
pub(crate) fn one_table(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for manifest in manifests(tree) {
        for link in &manifest.links {
            let inherited = link.text.replace(' ', "").contains("workspace=true");
            if !inherited {
                findings.push(manifest.file.finding(link.line, "a dependency that is not the workspace's"));
            }
        }
    }
    let Some(root) = tree.file("Cargo.toml") else { return findings };
    for (line, text) in section_lines(root, "workspace.dependencies") {
        let (value, reason) = text.split_once('#').unwrap_or((text, ""));
        let spec = value.replace(' ', "");
        if !spec.contains("path=") && reason.trim().len() < 3 {
            findings.push(root.finding(line, "a dependency without a reason behind a `#`"));
        }
        if spec.contains("git=") || spec.contains("package=") || spec.contains("registry=") {
            findings
                .push(root.finding(line, "dependencies come from the public registry under their own names"));
        }
    }
    findings
}

/// A crate and all of ours that it links, directly or not.
fn reach<'a>(manifests: &'a [Manifest<'a>], from: &'a str) -> BTreeSet<&'a str> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(name) = next.pop() {
        if seen.insert(name) {
            let links = manifests.iter().filter(|manifest| manifest.name == name).flat_map(|one| &one.links);
            next.extend(links.filter(|link| !link.dev).map(|link| link.name));
        }
    }
    seen
}

fn manifests(tree: &Tree) -> Vec<Manifest<'_>> {
    let members = tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    members.filter_map(manifest).collect()
}

fn manifest(file: &TextFile) -> Option<Manifest<'_>> {
    let package = section_lines(file, "package");
    let name = package.iter().find_map(|(_, text)| text.strip_prefix("name = "))?.trim_matches('"');
    let (mut links, mut section) = (Vec::new(), "");
    for (line, text) in file.lines() {
        if let Some(header) = header(text) {
            section = header;
            // [dependencies.name] is a line's worth of table.
            if let Some((kind, name)) =
                section.rsplit_once('.').filter(|(kind, _)| dependencies(kind).is_some())
            {
                let what = "a table: write it on one line";
                links.push(Link { line, name, text: what, dev: dependencies(kind) == Some(true) });
            }
        } else if let Some(dev) = dependencies(section).filter(|_| is_entry(text)) {
            let name = text.split(['=', '.', ' ']).next().unwrap_or_default();
            links.push(Link { line, name, text, dev });
        }
    }
    Some(Manifest { file, name, links })
}

/// Whether a section lists dependencies, and if so whether they are the tests'.
fn dependencies(section: &str) -> Option<bool> {
    match section.rsplit('.').next()? {
        "dependencies" | "build-dependencies" => Some(false),
        "dev-dependencies" => Some(true),
        _ => None,
    }
}

fn section_lines<'a>(file: &'a TextFile, section: &str) -> Vec<(usize, &'a str)> {
    let mut inside = false;
    let mut lines = Vec::new();
    for (line, text) in file.lines() {
        match header(text) {
            Some(header) => inside = header == section,
            None if inside && is_entry(text) => lines.push((line, text)),
            None => {}
        }
    }
    lines
}

fn header(text: &str) -> Option<&str> {
    text.trim().strip_prefix('[')?.strip_suffix(']')
}

fn is_entry(text: &str) -> bool {
    text.contains('=') && !text.trim_start().starts_with('#')
}

fn rows(map: &TextFile) -> BTreeMap<String, Row> {
    let parse = |(line, cells): (usize, Vec<&str>)| {
        let [floor, name, folder, imports, ..] = cells[..] else { return None };
        let floor = floor.parse().ok()?;
        let folder = ticked(folder).into_iter().next()?;
        Some((ticked(name).into_iter().next()?, Row { line, floor, folder, imports: ticked(imports) }))
    };
    table(map, "## Floors").into_iter().filter_map(parse).collect()
}

fn doors_of(map: &TextFile) -> Vec<Door> {
    let parse = |(_, cells): (usize, Vec<&str>)| {
        let [library, crates, ..] = cells[..] else { return None };
        let tests_too = crates.contains("tests too");
        Some(Door { library: ticked(library).into_iter().next()?, crates: ticked(crates), tests_too })
    };
    table(map, "## Doors").into_iter().filter_map(parse).collect()
}

/// The cells of a section's table, with their line.
fn table<'a>(map: &'a TextFile, heading: &str) -> Vec<(usize, Vec<&'a str>)> {
    let section = map.lines().skip_while(|(_, text)| *text != heading).skip(1);
    let section = section.take_while(|(_, text)| !text.starts_with("## "));
    let row = |(line, text): (usize, &'a str)| {
        let inner = text.strip_prefix('|')?.strip_suffix('|')?;
        Some((line, inner.split('|').map(str::trim).collect()))
    };
    section.filter_map(row).collect()
}

/// The words in backticks.
fn ticked(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
