//! What a chain's Node programs import: installed from npm once a machine, then reused.

use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};
use thiserror::Error;
use tokio::process::Command;

/// What is installed: packages in exact versions.
#[derive(Clone, Copy, Debug)]
pub struct Packages {
    /// Short name, the beginning of the installation's folder.
    pub name: &'static str,
    /// The text of `package.json`.
    pub manifest: &'static str,
    /// The text of `package-lock.json`, if the packages below are pinned too.
    pub lock: Option<&'static str>,
    /// Whether native parts have to be built here: some npm settings skip install scripts.
    pub rebuild: bool,
}

/// Written last. A folder without it is an installation that was cut short.
const MARKER: &str = "complete";

/// Oldest Node that runs these packages; `preload.cjs` adds what versions below 22 lack.
const NODE_MAJOR_MIN: u32 = 20;

/// Part of a tool's output that an error carries.
const OUTPUT_TAIL_BYTES: usize = 1500;

/// Why packages are not installed.
#[derive(Debug, Error)]
pub enum InstallError {
    /// A program we need is not there.
    #[error("{program} not found: this chain needs Node {NODE_MAJOR_MIN} or later with npm on the PATH")]
    NoProgram {
        /// `node` or `npm`.
        program: &'static str,
    },
    /// Node is there, but too old.
    #[error("node {version} is too old: this chain needs Node {NODE_MAJOR_MIN} or later")]
    OldNode {
        /// As it says itself.
        version: String,
    },
    /// npm failed.
    #[error("`npm {step}` failed in {}:\n{tail}", dir.display())]
    Npm {
        /// `ci`, `install` or `rebuild`.
        step: &'static str,
        /// Where.
        dir: PathBuf,
        /// What it said last.
        tail: String,
    },
    /// A file or folder could not be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// No folder was named and the environment names none either.
    #[error("no cache folder: neither XDG_CACHE_HOME nor HOME is set; name one with --lodestar-dir")]
    NoHome,
}

/// A complete installation.
#[derive(Clone, Debug)]
pub struct Installation {
    dir: PathBuf,
}

impl Installation {
    /// The installation of `packages` below `root`, made first if it is not there or not complete.
    ///
    /// - `root`: a cache folder; the installation's own folder is named by a hash of the pinned versions.
    /// - Errors: see [`InstallError`]; a failed attempt is done afresh the next time.
    /// - Cost: nothing when complete; else registry access, and up to three minutes and 300 MB where packages are
    ///   rebuilt. Two callers at once wait for each other.
    pub async fn ready(root: &Path, packages: &Packages) -> Result<Self, InstallError> {
        let dir = root.join(packages.folder());
        if is_complete(&dir) {
            return Ok(Self { dir });
        }
        check_node(&tool("node", &["--version"], root).await?)?;
        fs::create_dir_all(root).map_err(at(root))?;
        let _lock = lock(dir.with_extension("lock")).await?;
        if !is_complete(&dir) {
            install(&dir, packages).await?;
        }
        Ok(Self { dir })
    }

    /// The folder that holds `node_modules`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Packages {
    /// Differs as soon as anything that is installed differs.
    fn folder(&self) -> String {
        let mut hash = Sha256::new_with_prefix(self.manifest);
        hash.update(self.lock.unwrap_or_default());
        format!("{}-{}", self.name, hex::encode(&hash.finalize()[..6]))
    }
}

/// The cache folder when none is named: `$XDG_CACHE_HOME/symbolon/lodestar`, or the same below `~/.cache`.
///
/// - Errors: [`InstallError::NoHome`].
pub fn default_root() -> Result<PathBuf, InstallError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let cache = cache.or_else(|| set("HOME").map(|home| home.join(".cache")));
    Ok(cache.ok_or(InstallError::NoHome)?.join("symbolon/lodestar"))
}

fn is_complete(dir: &Path) -> bool {
    dir.join(MARKER).is_file()
}

/// Holds the lock until dropped; waits for whoever has it.
async fn lock(path: PathBuf) -> Result<File, InstallError> {
    let file = File::create(&path).map_err(at(&path))?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    locked.map_err(io::Error::other).flatten().map_err(at(&path))
}

/// Installs into `dir`, wiping what an earlier attempt left there.
async fn install(dir: &Path, packages: &Packages) -> Result<(), InstallError> {
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(at(dir))?;
    }
    fs::create_dir_all(dir).map_err(at(dir))?;
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).map_err(at(&path))
    };
    write("package.json", packages.manifest)?;
    tracing::info!(dir = %dir.display(), packages = packages.name, "installing from npm, up to three minutes");
    let quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
    match packages.lock {
        Some(lock) => {
            write("package-lock.json", lock)?;
            npm("ci", &quiet, dir).await?;
        }
        None => npm("install", &["--no-package-lock", quiet[0], quiet[1], quiet[2]], dir).await?,
    }
    if packages.rebuild {
        npm("rebuild", &quiet[2..], dir).await?;
    }
    let marker = dir.join(MARKER);
    fs::write(&marker, "").map_err(at(&marker))
}

async fn npm(step: &'static str, options: &[&str], dir: &Path) -> Result<(), InstallError> {
    let args: Vec<&str> = [step].into_iter().chain(options.iter().copied()).collect();
    npm_outcome(step, dir, tool("npm", &args, dir).await?)
}

fn npm_outcome(step: &'static str, dir: &Path, output: Output) -> Result<(), InstallError> {
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let tail = String::from_utf8_lossy(&said[said.len().saturating_sub(OUTPUT_TAIL_BYTES)..]).into_owned();
    Err(InstallError::Npm { step, dir: dir.to_owned(), tail })
}

/// Runs a tool to its end; it is killed if the caller loses interest.
async fn tool(program: &'static str, args: &[&str], dir: &Path) -> Result<Output, InstallError> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    if dir.is_dir() {
        command.current_dir(dir);
    }
    command.output().await.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => InstallError::NoProgram { program },
        _ => InstallError::File { path: program.into(), source },
    })
}

/// Takes `v20.20.2` and the like.
fn check_node(output: &Output) -> Result<(), InstallError> {
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major =
        version.trim_start_matches('v').split('.').next().and_then(|digits| digits.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE_MAJOR_MIN => Ok(()),
        _ => Err(InstallError::OldNode { version }),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> InstallError {
    let path = path.to_owned();
    |source| InstallError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    const PACKAGES: Packages = Packages { name: "test", manifest: "{}", lock: None, rebuild: false };

    fn says(version: &str) -> Output {
        Output { status: ExitStatusExt::from_raw(0), stdout: version.into(), stderr: Vec::new() }
    }

    #[test]
    fn node_is_taken_from_version_20_on() {
        assert!(check_node(&says("v20.20.2\n")).is_ok());
        assert!(check_node(&says("v24.1.0\n")).is_ok());
        assert!(
            matches!(check_node(&says("v18.19.0\n")), Err(InstallError::OldNode { version }) if version == "v18.19.0")
        );
        assert!(matches!(check_node(&says("")), Err(InstallError::OldNode { .. })));
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = tool("symbolon-no-such-program", &[], Path::new("/")).await.unwrap_err();
        assert!(matches!(error, InstallError::NoProgram { program: "symbolon-no-such-program" }));
    }

    #[tokio::test]
    async fn a_complete_installation_is_reused_without_any_tool() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join(PACKAGES.folder());
        fs::create_dir_all(&dir).unwrap();
        assert!(!is_complete(&dir));
        fs::write(dir.join(MARKER), "").unwrap();
        let installation = Installation::ready(root.path(), &PACKAGES).await.unwrap();
        assert_eq!(installation.dir(), dir);
        assert!(!dir.join("node_modules").exists(), "nothing was installed");
    }

    #[test]
    fn a_failing_npm_is_quoted() {
        let failed = Output {
            status: ExitStatusExt::from_raw(256),
            stderr: b"npm error 404".into(),
            stdout: Vec::new(),
        };
        let error = npm_outcome("rebuild", Path::new("/cache"), failed).unwrap_err();
        assert!(matches!(error, InstallError::Npm { step: "rebuild", tail, .. } if tail == "npm error 404"));
        assert!(npm_outcome("rebuild", Path::new("/cache"), says("ok")).is_ok());
    }

    #[test]
    fn an_installation_is_another_one_when_its_lock_is() {
        let locked = Packages { lock: Some("{}"), ..PACKAGES };
        assert_ne!(locked.folder(), PACKAGES.folder());
        assert!(locked.folder().starts_with("test-"));
    }

    #[test]
    fn the_packages_name_every_version_exactly() {
        for packages in [crate::lodestar::site::PACKAGES, crate::strict::site::PACKAGES] {
            let manifest: serde_json::Value = serde_json::from_str(packages.manifest).unwrap();
            for table in ["dependencies", "overrides"] {
                for (name, version) in manifest[table].as_object().unwrap() {
                    let version = version.as_str().unwrap();
                    assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{name} {version}");
                }
            }
        }
    }
}
