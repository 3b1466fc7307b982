//! The tree as text: every file of the workspace, and what was found in it.

use std::fmt;
use std::path::Path;

/// A rule that does not hold, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// A file that is text.
#[derive(Debug)]
pub(crate) struct TextFile {
    /// From the root, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl TextFile {
    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    pub(crate) fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding { file: self.path.clone(), line, what: what.into() }
    }

    /// One finding for each line that contains a word.
    pub(crate) fn find(&self, words: &[&str], what: &str) -> Vec<Finding> {
        let named = |(line, text): (usize, &str)| {
            let word = words.iter().find(|word| text.contains(**word))?;
            Some(self.finding(line, format!("`{word}`: {what}")))
        };
        self.lines().filter_map(named).collect()
    }
}

/// All text files, in order of their paths.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) files: Vec<TextFile>,
}

impl Tree {
    /// What stands in the workspace: no build products, no packages of others, no hidden folder but CI's.
    pub(crate) fn of_workspace() -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = tests.parent().expect("tests is a folder of the workspace");
        let mut tree = Self { files: Vec::new() };
        tree.walk(root, "");
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(tree.file("Cargo.toml").is_some() && tree.files.len() > 30, "this is the workspace");
        tree
    }

    /// A tree that is made up.
    pub(crate) fn planted(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| TextFile { path: (*path).into(), text: (*text).into() };
        Self { files: files.iter().map(file).collect() }
    }

    pub(crate) fn file(&self, path: &str) -> Option<&TextFile> {
        self.files.iter().find(|file| file.path == path)
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &TextFile> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    fn walk(&mut self, folder: &Path, prefix: &str) {
        for entry in std::fs::read_dir(folder).expect("folders of the workspace can be read") {
            let path = entry.expect("their entries too").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let inner = format!("{prefix}{name}");
            let skipped =
                matches!(name.as_str(), "target" | "node_modules") || name.starts_with('.') && name != ".ci";
            if path.is_dir() && !skipped {
                self.walk(&path, &format!("{inner}/"));
            // In a linked work tree `.git` is a file.
            } else if path.is_file()
                && name != ".git"
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                self.files.push(TextFile { path: inner, text });
            }
        }
    }
}
