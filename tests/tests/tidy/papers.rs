//! The map, the README and the decisions.

use crate::tree::{Finding, TextFile, Tree};

/// What a person reads in one sitting.
const LINES_MAX: [(&str, usize); 2] = [("ARCHITECTURE.md", 250), ("README.md", 120)];
const DECISIONS: &str = "docs/adr/";
const INDEX: &str = "docs/adr/README.md";

/// Papers that are missing or too long.
pub(crate) fn sizes(tree: &Tree) -> Vec<Finding> {
    let judge = |(path, max): (&str, usize)| match tree.file(path) {
        None => Some(Finding { file: path.into(), line: 1, what: "it is missing".into() }),
        Some(file) if file.text.lines().count() > max => {
            Some(file.finding(max + 1, format!("at most {max} lines")))
        }
        Some(_) => None,
    };
    LINES_MAX.into_iter().filter_map(judge).collect()
}

/// Decisions that the index lacks, numbers that are taken twice, and numbers in the code that no decision has.
pub(crate) fn decisions(tree: &Tree) -> Vec<Finding> {
    let decisions: Vec<(&TextFile, &str)> =
        tree.files.iter().filter_map(|file| Some((file, number(file)?))).collect();
    let index = tree.file(INDEX).map_or("", |index| index.text.as_str());
    let mut findings = Vec::new();
    for (file, number) in &decisions {
        if !index.contains(&format!("({})", file.name())) {
            findings.push(file.finding(1, format!("it is not listed in {INDEX}")));
        }
        if decisions.iter().filter(|(_, other)| other == number).count() > 1 {
            findings.push(file.finding(1, format!("decision {number} exists twice")));
        }
    }
    let mention = concat!("AD", "R ");
    for file in &tree.files {
        for (line, text) in file.lines() {
            for (at, _) in text.match_indices(mention) {
                let named: String = text[at + mention.len()..].chars().take(4).collect();
                let is_number = named.len() == 4 && named.bytes().all(|byte| byte.is_ascii_digit());
                if is_number && !decisions.iter().any(|(_, number)| *number == named) {
                    findings.push(file.finding(line, format!("there is no decision {named}")));
                }
            }
        }
    }
    findings
}

/// Links of a paper to a file that is not there.
pub(crate) fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (line, text) in file.lines() {
            for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
                let elsewhere = target.is_empty() || target.contains("://");
                let path = resolve(folder, target);
                let inside = format!("{path}/");
                let exists =
                    tree.files.iter().any(|file| file.path == path || file.path.starts_with(&inside));
                if !elsewhere && !exists {
                    findings.push(file.finding(line, format!("`{target}` leads nowhere")));
                }
            }
        }
    }
    findings
}

/// The four digits of a decision's file.
fn number(file: &TextFile) -> Option<&str> {
    let name = file.path.strip_prefix(DECISIONS)?.strip_suffix(".md")?;
    let number = name.split('-').next()?;
    (number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

/// A relative link from a folder, as a path from the root.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
