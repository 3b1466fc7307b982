//! A journal that was damaged: the node must not start, and say which file it is.
//!
//! The damaged folder is set aside afterwards, and the node goes on with the journal as it left it: nothing was signed in
//! between.

use crate::process::{Process, ProcessError};
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file below a journal's folder that holds the rows.
const ROWS: &str = "sled/db";
/// What is written over its middle.
const NOISE: [u8; 4096] = [0xa5; 4096];
/// A node that cannot start says so within seconds; ten times that on a busy machine.
const END_MAX: Duration = Duration::from_secs(60);

/// A damaged journal, and where it lies whole.
#[derive(Debug)]
pub struct Damaged {
    journal: PathBuf,
    whole: PathBuf,
}

impl Damaged {
    /// Damages the journal of a node that does not run.
    pub fn make(journal: &Path) -> anyhow::Result<Self> {
        let whole = journal.with_extension("whole");
        copy(journal, &whole).with_context(|| format!("cannot copy {}", journal.display()))?;
        let rows = journal.join(ROWS);
        let mut bytes = fs::read(&rows).with_context(|| format!("cannot read {}", rows.display()))?;
        damage(&mut bytes);
        fs::write(&rows, bytes)?;
        Ok(Self { journal: journal.to_owned(), whole })
    }

    /// Waits for the end of a node that was started with it; says what was wrong about that end.
    pub async fn refused(&self, node: Process) -> Option<String> {
        let name = node.name().to_owned();
        let journal = self.journal.display().to_string();
        match node.finished(END_MAX).await {
            Ok(()) => Some(format!("{name} ended in good order with a damaged journal")),
            Err(ProcessError::Ended { tail, .. }) if tail.lines().last()?.contains(&journal) => None,
            Err(ProcessError::Ended { tail, .. }) => {
                Some(format!("{name} does not say that {journal} is damaged, but: {tail}"))
            }
            Err(ProcessError::NotReady { .. }) => Some(format!("{name} runs with a damaged journal")),
            Err(error @ ProcessError::Start { .. }) => Some(error.to_string()),
        }
    }

    /// Puts the whole one back.
    pub fn mend(self) -> anyhow::Result<()> {
        fs::rename(&self.journal, self.journal.with_extension("damaged"))?;
        Ok(fs::rename(&self.whole, &self.journal)?)
    }
}

/// Noise over all of the file's middle that holds something.
fn damage(bytes: &mut [u8]) {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let noise = NOISE.iter().cycle();
    for (byte, noise) in bytes[used / 4..used].iter_mut().zip(noise) {
        *byte = *noise;
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
