//! What anybody can check at the end: the log from zero, every report against the chain, and that no byte of it can be changed.

use super::office::coordinator;
use super::story::Life;
use crate::lodestar::http_client;
use crate::operators::output_of;
use anyhow::{Context as _, bail, ensure};
use coordinator::ledger::{Audit, AuditError, Replay};
use coordinator::verify;
use rand_core::{OsRng, RngCore as _};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Entries of which one bit is changed, spread over the log.
const FLIPS: usize = 40;

impl Life {
    /// The whole log, as the office hands it out.
    async fn export(&self) -> anyhow::Result<(PathBuf, Vec<Vec<u8>>)> {
        let (http, mut entries) = (http_client()?, Vec::new());
        loop {
            let url = format!("{}/v1/log?from={}&count=1000", self.office.url, entries.len());
            let text = http.get(url).send().await?.error_for_status()?.text().await?;
            let before = entries.len();
            entries.extend(text.lines().map(|line| line.as_bytes().to_vec()));
            if entries.len() == before {
                break;
            }
        }
        let path = self.run_dir.join("pool.jsonl");
        let mut text = entries.join(&b'\n');
        text.push(b'\n');
        std::fs::write(&path, text)?;
        Ok((path, entries))
    }

    /// `log verify` and `report verify` pass; whatever byte is changed is found, and named by its entry.
    pub(super) async fn check(&mut self) -> anyhow::Result<()> {
        let made = self.office.state().await?.reports.next();
        let (path, entries) = self.export().await?;
        let file = path.display().to_string();
        let verified: Value =
            serde_json::from_str(&on_log(&["log", "verify", "--file", &file, "--json"]).await?)?;
        let url = self.server.url();
        let reports = on_log(&["report", "verify", "--file", &file, "--beacon-node", &url]).await?;
        let reports = reports.lines().filter(|line| line.ends_with("the same")).count();
        ensure!(reports as u64 >= made, "{reports} of {made} reports are verified");
        for at in (0..FLIPS).map(|no| no * (entries.len() - 1) / (FLIPS - 1)) {
            flip(&entries, at)?;
        }
        self.tell("checked", json!({ "log": verified, "reports": reports, "flips_found": FLIPS }));
        Ok(())
    }
}

/// Runs a command of the coordinator on the exported log.
async fn on_log(args: &[&str]) -> anyhow::Result<String> {
    Ok(String::from_utf8(output_of(coordinator(args)?, args[0]).await?)?)
}

/// One byte of one entry is another.
fn flip(entries: &[Vec<u8>], at: usize) -> anyhow::Result<()> {
    let mut changed = entries.to_vec();
    let entry = changed.get_mut(at).context("an entry")?;
    let byte = OsRng.next_u32() as usize % entry.len();
    entry[byte] ^= 1 << (OsRng.next_u32() % 7);
    let read = changed.into_iter().map(Ok::<_, AuditError>);
    let found = verify::finish(Audit::new(Replay::default(), &[]), None, read);
    match found {
        Err(AuditError::Corrupt(corrupt)) if corrupt.seq == at as u64 => Ok(()),
        other => bail!("byte {byte} of entry {at} is changed: {:?}", other.err()),
    }
}
