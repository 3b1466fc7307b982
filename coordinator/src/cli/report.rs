//! `dvt-coordinator report`: what a log says of its reports.

use super::{lines, print};
use crate::ledger::frames::{self, Told};
use crate::office::LOG_FOLDER;
use crate::store::LogStore;
use anyhow::bail;
use clap::{Args, Subcommand};
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// Replay a log, and print the numbers of each of its reports.
    ///
    /// With `--json` also what each was told, and the hash of each answer of a beacon node that it was read from. Example:
    /// dvt-coordinator report list --file pool.jsonl
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The coordinator's folder; nothing may run in it.
    #[arg(long, conflicts_with = "file", required_unless_present = "file")]
    data_dir: Option<PathBuf>,
    /// An exported log instead.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &ReportCommand) -> anyhow::Result<()> {
    match command {
        ReportCommand::List(args) => {
            let all = all(args)?;
            print(args.json, &serde_json::to_value(&all)?, shown(&all)?.trim_end())
        }
    }
}

fn all(args: &ListArgs) -> anyhow::Result<Vec<Told>> {
    let log = match (&args.data_dir, &args.file) {
        (Some(folder), _) => {
            let store = LogStore::open(&folder.join(LOG_FOLDER))?;
            store.entries_from(0).collect::<Result<Vec<_>, _>>()?
        }
        (None, Some(file)) => lines(file)?.collect::<anyhow::Result<_>>()?,
        (None, None) => bail!("a folder or a file is needed"),
    };
    Ok(frames::replay(&log)?.1)
}

/// For people: a paragraph for each report. Amounts are wei but for what the chain counts in gwei.
fn shown(all: &[Told]) -> anyhow::Result<String> {
    let mut text = format!("reports {}\n", all.len());
    for Told { entry, report, reported } in all {
        let (parts, categories) = (&reported.parts, &reported.categories);
        writeln!(
            text,
            "\nframe {} epoch {} block {} entry {entry}",
            reported.frame, reported.epoch, reported.block_root
        )?;
        writeln!(
            text,
            "  gwei       balance {} arrived {} withdrawn {} lost {}",
            reported.balance, reported.arrived, reported.withdrawn, reported.lost
        )?;
        writeln!(
            text,
            "  gwei       rewards {} missed {} leaked {} slashed {}",
            categories.rewards, categories.missed, categories.leaked, categories.slashed
        )?;
        writeln!(text, "  result     {} of it blocks {}", reported.result, reported.el_rewards)?;
        writeln!(
            text,
            "  parts      delegators {} operators {} debts {} treasury {} reserve {}",
            parts.delegators, parts.operators, parts.debts, parts.pool, parts.reserve
        )?;
        writeln!(text, "  share rate {}", reported.share_rate)?;
        for (cluster, one) in &reported.clusters {
            let strike = if one.strike { " strike" } else { "" };
            let ejected = if reported.ejected.contains(cluster) { " ejected" } else { "" };
            writeln!(
                text,
                "  cluster    {cluster} duties {}/{} stake {} reward {}{strike}{ejected}",
                one.duties.made, one.duties.due, one.stake, one.reward
            )?;
        }
        for (operator, earned) in &reported.operators {
            writeln!(text, "  operator   {operator} keeps {} repays {}", earned.kept, earned.repaid)?;
        }
        writeln!(text, "  evidence   {} answers {}", report.evidence.len(), reported.evidence)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical;
    use crate::ledger::log::tests::STORY;

    #[test]
    fn every_report_of_a_log_is_listed_with_what_it_was_read_from() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pool.jsonl");
        std::fs::write(&file, STORY.log.join(&b'\n')).unwrap();
        let list = |file| ListArgs { data_dir: None, file: Some(file), json: false };
        let listed = all(&list(file.clone())).unwrap();
        let frames: Vec<_> = listed.iter().map(|one| one.reported.frame).collect();
        let next = STORY.state().reports.next();
        assert_eq!(frames, (0..next).collect::<Vec<_>>());
        for Told { report, reported, .. } in &listed {
            assert_eq!(reported.evidence, canonical::hash(&report.evidence));
            assert_eq!((reported.frame, reported.slot), (report.frame, report.slot));
        }
        let text = shown(&listed).unwrap();
        for told in &listed {
            let reported = &told.reported;
            assert!(text.contains(&format!("frame {} epoch {}", reported.frame, reported.epoch)), "{text}");
            assert!(text.contains(&format!("  result     {} ", reported.result)), "{text}");
            for (operator, earned) in &reported.operators {
                assert!(text.contains(&format!("{operator} keeps {}", earned.kept)), "{text}");
            }
        }
        // A log that does not hold has no reports.
        let mut forged = STORY.log.join(&b'\n');
        let at = forged.len() / 2;
        forged[at] ^= 1;
        std::fs::write(&file, forged).unwrap();
        assert!(all(&list(file)).is_err());
    }
}
