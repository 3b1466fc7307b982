//! The Node program and its packages, side by side in one run's folder.

use crate::npm::{Installation, Packages};
use std::path::{Path, PathBuf};
use std::{fs, io};
use tokio::process::Command;

/// Libraries of the state transition and of the beacon API, and a web server.
pub const PACKAGES: Packages = Packages {
    name: "strict",
    manifest: include_str!("../../strict/package.json"),
    lock: Some(include_str!("../../strict/package-lock.json")),
    rebuild: false,
};

macro_rules! program {
    ($($file:literal),+ $(,)?) => {
        /// The program's files: path below its folder, and text.
        const PROGRAM: &[(&str, &str)] = &[$(($file, include_str!(concat!("../../strict/", $file)))),+];
    };
}

program![
    "package.json",
    "main.mjs",
    "oracle.mjs",
    "relay.mjs",
    "src/api/beacon.mjs",
    "src/api/ids.mjs",
    "src/api/rest.mjs",
    "src/api/states.mjs",
    "src/api/validator.mjs",
    "src/attestations.mjs",
    "src/builder.mjs",
    "src/chain.mjs",
    "src/clock.mjs",
    "src/devnet.mjs",
    "src/genesis.mjs",
    "src/judge.mjs",
    "src/keys.mjs",
    "src/known.mjs",
    "src/lodestar.mjs",
    "src/network.mjs",
    "src/node.mjs",
    "src/operations.mjs",
    "src/oracle.mjs",
    "src/ordinary.mjs",
    "src/payload.mjs",
    "src/preset.mjs",
    "src/production.mjs",
    "src/publication.mjs",
    "src/refused.mjs",
    "src/relay.mjs",
    "src/server.mjs",
    "src/sync.mjs",
    "src/votes.mjs",
];

/// The program in a folder of its own.
#[derive(Clone, Debug)]
pub struct Site {
    dir: PathBuf,
}

impl Site {
    /// Writes the program into `dir`, made if it is not there, and links the packages beside it.
    ///
    /// - Errors: the system's, with the path.
    pub fn open(installation: &Installation, dir: &Path) -> io::Result<Self> {
        for (name, text) in PROGRAM {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap_or(dir)).map_err(|error| at(&path, &error))?;
            fs::write(&path, text).map_err(|error| at(&path, &error))?;
        }
        let link = dir.join("node_modules");
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&link, &error)),
            Ok(()) | Err(_) => {}
        }
        std::os::unix::fs::symlink(installation.dir().join("node_modules"), &link)
            .map_err(|error| at(&link, &error))?;
        // Children get absolute paths: their working folder is not ours to assume.
        Ok(Self { dir: dir.canonicalize().map_err(|error| at(dir, &error))? })
    }

    /// The folder, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command line of one of the program's entries, such as `main.mjs`.
    pub fn node(&self, entry: &str) -> Command {
        let mut command = Command::new("node");
        // Settings of the caller's own Node programs are not meant for this one.
        command.env_remove("NODE_OPTIONS").env_remove("LODESTAR_PRESET").arg(self.dir.join(entry));
        command
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every module below `dir`, as a path relative to the program's folder.
    fn modules(dir: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != "node_modules" && name != "test" {
                modules(&path, root, found);
            } else if path.extension().is_some_and(|extension| extension == "mjs") {
                found.insert(name);
            }
        }
    }

    #[test]
    fn every_module_of_the_program_is_carried() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("strict");
        let mut there = BTreeSet::new();
        modules(&root, &root, &mut there);
        let carried: BTreeSet<_> = PROGRAM
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .filter(|name| name.ends_with(".mjs"))
            .collect();
        assert_eq!(carried, there);
    }
}
