//! A full disk: from now on a node's process can make no file longer.
//!
//! It is the process's own limit of a file's size (`RLIMIT_FSIZE`), at zero, so that every write to a file fails. That
//! takes no rights, and can be taken back. The system would also send a signal, which ends a process; a disk that is full
//! sends none, so such a process is started with the signal ignored. Its log goes through this process, which has room.

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tokio::process::Command;

/// The same command, ignoring the signal of who exceeds a file's size.
pub fn bearing(command: &Command) -> Command {
    let command = command.as_std();
    let mut bearing = Command::new("sh");
    bearing.arg("-c").arg(r#"trap "" XFSZ; exec "$@""#).arg("sh");
    bearing.arg(command.get_program()).args(command.get_args());
    bearing
}

/// Fills the disk for a process, or frees it again.
pub fn fill(process: Option<u32>, full: bool) -> anyhow::Result<()> {
    let id = process.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let id = id.context("a process that has ended has no limits")?;
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    let current = if full { Some(0) } else { maximum };
    prlimit(Some(id), Resource::Fsize, Rlimit { current, maximum }).context("cannot limit files")?;
    let Rlimit { current: now, .. } = prlimit(Some(id), Resource::Fsize, Rlimit { current, maximum })?;
    ensure!(now == current, "the limit of files is {now:?}, not {current:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Process;
    use std::time::Duration;

    #[tokio::test]
    async fn a_process_that_bears_it_fails_to_write_lives_and_writes_again_later() {
        let dir = tempfile::tempdir().unwrap();
        let (log, file) = (dir.path().join("log"), dir.path().join("file"));
        let mut shell = Command::new("sh");
        let script = r#"until [ -e "$0.go" ]; do sleep 0.01; done
            until echo no >> "$0"; do echo failed; sleep 0.01; done"#;
        shell.arg("-c").arg(script).arg(&file);
        let mut process = Process::start_heard("writer", bearing(&shell), &log).unwrap();
        fill(process.id(), true).unwrap();
        std::fs::write(dir.path().join("file.go"), "").unwrap();
        let said = |word: &str| std::fs::read_to_string(&log).is_ok_and(|text| text.contains(word));
        process.wait_ready(Duration::from_secs(60), async || said("failed")).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), "");
        fill(process.id(), false).unwrap();
        process.finished(Duration::from_secs(60)).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "no\n");
    }
}
