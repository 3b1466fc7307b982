//! A child process: started in its own process group, its output in a file, ended with what it started.

use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fs::File,
    future::Future,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use thiserror::Error;
use tokio::{
    io::AsyncRead,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// How long a process may take to end when asked. Lodestar 1.5.1's beacon node never does (its libp2p hangs).
const STOP_GRACE: Duration = Duration::from_secs(3);

/// Pause between two looks at a process that is not ready yet: well below what a person notices.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// Last part of a log that an error carries: about a screen.
const LOG_TAIL_BYTES: usize = 1500;

/// Why a process is not running as wanted.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot start {name}: {source}")]
    Start {
        /// Our name for it.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It ended by itself.
    #[error("{name} ended by itself ({status}); its log {} ends with:\n{tail}", log.display())]
    Ended {
        /// Our name for it.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Where its output is.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// It runs, but did not become ready in time.
    #[error("{name} was not ready after {waited_s} s; its log {} ends with:\n{tail}", log.display())]
    NotReady {
        /// Our name for it.
        name: String,
        /// How long it was given.
        waited_s: u64,
        /// Where its output is.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
}

/// A process that we started and that ends with this value.
///
/// Dropping it kills its whole process group at once; [`Process::stop`] asks first.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `command` in a process group of its own, both outputs appended to `log`, no input.
    ///
    /// - Errors: [`ProcessError::Start`], also when `log` cannot be opened.
    pub fn start(name: &str, command: Command, log: &Path) -> Result<Self, ProcessError> {
        Self::named(name, log, spawn(command, log))
    }

    /// The same, with outputs that come to this process, which writes them to `log`: where the child itself may be unable
    /// to write to files.
    pub fn start_heard(name: &str, command: Command, log: &Path) -> Result<Self, ProcessError> {
        Self::named(name, log, spawn_heard(command, log))
    }

    fn named(name: &str, log: &Path, child: io::Result<Child>) -> Result<Self, ProcessError> {
        match child {
            Ok(child) => Ok(Self { name: name.to_owned(), log: log.to_owned(), child }),
            Err(source) => Err(ProcessError::Start { name: name.to_owned(), source }),
        }
    }

    /// Our name for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that receives its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its process id; `None` once it has ended and been noticed.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The most memory that it has held, in bytes, itself and not what it started; `None` once it has ended.
    pub fn memory_peak(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// Looks whether it still runs.
    ///
    /// - Errors: [`ProcessError::Ended`] with the end of its log.
    pub fn check(&mut self) -> Result<(), ProcessError> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(ProcessError::Ended {
                name: self.name.clone(),
                status,
                log: self.log.clone(),
                tail: tail(&self.log),
            }),
            Ok(None) => Ok(()),
            Err(source) => Err(ProcessError::Start { name: self.name.clone(), source }),
        }
    }

    /// Waits until `ready` says yes, asking it again and again.
    ///
    /// - Errors: [`ProcessError::Ended`] when the process ends first, [`ProcessError::NotReady`] after `within`.
    pub async fn wait_ready<F, Asked>(&mut self, within: Duration, mut ready: F) -> Result<(), ProcessError>
    where
        F: FnMut() -> Asked,
        Asked: Future<Output = bool>,
    {
        let deadline = Instant::now() + within;
        loop {
            self.check()?;
            if ready().await {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let (name, log, tail) = (self.name.clone(), self.log.clone(), tail(&self.log));
                return Err(ProcessError::NotReady { name, waited_s: within.as_secs(), log, tail });
            }
            sleep(POLL_PAUSE).await;
        }
    }

    /// Waits for its good end.
    ///
    /// - Errors: [`ProcessError::Ended`] with the end of its log if it fails, [`ProcessError::NotReady`] after `within`.
    pub async fn finished(mut self, within: Duration) -> Result<(), ProcessError> {
        let (name, log) = (self.name.clone(), self.log.clone());
        match timeout(within, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(ProcessError::Ended { name, status, tail: tail(&log), log }),
            Ok(Err(source)) => Err(ProcessError::Start { name, source }),
            Err(_) => Err(ProcessError::NotReady { name, waited_s: within.as_secs(), tail: tail(&log), log }),
        }
    }

    /// Kills it at once, with SIGKILL, and waits until it is gone.
    pub async fn kill(mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait().await;
    }

    /// Ends it: asks with SIGTERM, and kills its whole group after three seconds.
    pub async fn stop(mut self) {
        self.signal(Signal::TERM);
        if timeout(STOP_GRACE, self.child.wait()).await.is_err() {
            tracing::debug!(process = self.name, "did not end when asked, killed");
            self.signal(Signal::KILL);
            let _ = self.child.wait().await;
        }
    }

    /// Signals the group. A process that was reaped has no id any more, so its number cannot hit a stranger.
    fn signal(&self, signal: Signal) {
        let group = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, signal);
        }
    }
}

fn spawn(command: Command, log: &Path) -> io::Result<Child> {
    let out = File::options().create(true).append(true).open(log)?;
    let err = out.try_clone()?;
    spawn_into(command, out.into(), err.into())
}

fn spawn_heard(command: Command, log: &Path) -> io::Result<Child> {
    let log = File::options().create(true).append(true).open(log)?;
    let mut child = spawn_into(command, Stdio::piped(), Stdio::piped())?;
    let (out, err) = (tokio::fs::File::from_std(log.try_clone()?), tokio::fs::File::from_std(log));
    tokio::spawn(hear(child.stdout.take(), out));
    tokio::spawn(hear(child.stderr.take(), err));
    Ok(child)
}

fn spawn_into(mut command: Command, out: Stdio, err: Stdio) -> io::Result<Child> {
    command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0).kill_on_drop(true).spawn()
}

/// Writes what a child says to its log, to the child's end.
async fn hear(said: Option<impl AsyncRead + Unpin>, mut log: tokio::fs::File) {
    let Some(mut said) = said else { return };
    if let Err(error) = tokio::io::copy(&mut said, &mut log).await {
        tracing::warn!(%error, "a log is not complete");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Ends several processes at once, so that the grace is waited for only once.
pub async fn stop_all(processes: impl IntoIterator<Item = Process>) {
    futures::future::join_all(processes.into_iter().map(Process::stop)).await;
}

/// The last screen of a file, as text.
pub(crate) fn tail(file: &Path) -> String {
    let bytes = std::fs::read(file).unwrap_or_default();
    let from = bytes.len().saturating_sub(LOG_TAIL_BYTES);
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    /// Whether a process of this number exists and is not a zombie.
    fn alive(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
    }

    /// Whether a process is gone soon: the kernel buries a killed process in its own time.
    async fn is_soon_gone(pid: &str) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while alive(pid) && Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        !alive(pid)
    }

    /// A shell that ignores SIGTERM, with a child of its own, once both run.
    async fn stubborn(dir: &Path) -> (Process, String) {
        let (log, pid_file) = (dir.join("log"), dir.join("pid"));
        let script = format!("trap '' TERM; sleep 600 & echo $! > {}; wait", pid_file.display());
        let mut process = Process::start("stubborn", shell(&script), &log).unwrap();
        let started = async || std::fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n'));
        process.wait_ready(Duration::from_secs(20), started).await.unwrap();
        (process, std::fs::read_to_string(&pid_file).unwrap())
    }

    #[tokio::test]
    async fn a_stopped_process_takes_its_children_along() {
        let dir = tempfile::tempdir().unwrap();
        let (process, child) = stubborn(dir.path()).await;
        assert!(alive(&child));
        process.stop().await;
        assert!(is_soon_gone(&child).await);
    }

    #[tokio::test]
    async fn a_running_process_has_held_some_memory() {
        let dir = tempfile::tempdir().unwrap();
        let (process, _) = stubborn(dir.path()).await;
        assert!(process.memory_peak().is_some_and(|bytes| bytes > 100_000 && bytes < 1 << 30));
        process.kill().await;
    }

    #[tokio::test]
    async fn a_dropped_process_is_killed_with_its_group() {
        let dir = tempfile::tempdir().unwrap();
        let (process, child) = stubborn(dir.path()).await;
        drop(process);
        assert!(is_soon_gone(&child).await);
    }

    #[tokio::test]
    async fn an_early_end_is_reported_with_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let script = shell("echo no such key; exit 3");
        let mut process = Process::start("vc", script, &dir.path().join("log")).unwrap();
        let error = process.wait_ready(Duration::from_secs(20), async || false).await.unwrap_err();
        let ProcessError::Ended { status, tail, .. } = error else { panic!("{error}") };
        assert_eq!(status.code(), Some(3));
        assert_eq!(tail, "no such key\n");
    }

    #[tokio::test]
    async fn a_process_that_never_gets_ready_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::start("bn", shell("sleep 600"), &dir.path().join("log")).unwrap();
        let error = process.wait_ready(Duration::ZERO, async || false).await.unwrap_err();
        assert!(matches!(error, ProcessError::NotReady { name, .. } if name == "bn"));
    }

    #[tokio::test]
    async fn a_missing_program_is_reported_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let command = Command::new("/nonexistent/program");
        let error = Process::start("ghost", command, &dir.path().join("log")).unwrap_err();
        assert!(matches!(error, ProcessError::Start { .. }));
    }
}
