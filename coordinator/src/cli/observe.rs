//! `dvt-coordinator observe` and `call`: what a person has to say.

use super::print;
use crate::desk::{self, Wish, Word, Written};
use crate::formation::Delegation;
use crate::text::Label;
use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use types::{Epoch, Gwei};

#[derive(Debug, Args)]
pub(super) struct ObserveArgs {
    /// What kind of thing: call, downtime, given-up, slashing, slashing-look or theft; in a pool without contracts also what
    /// these would say.
    kind: Label,
    /// The coordinator's folder. If it serves there, it is told; if not, its log is opened.
    #[arg(long)]
    data_dir: PathBuf,
    /// The body: a file with JSON, or `-` for standard input.
    #[arg(long, default_value = "-")]
    body: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct CallArgs {
    /// The coordinator's folder. If it serves there, it is told; if not, its log is opened.
    #[arg(long)]
    data_dir: PathBuf,
    /// How many clusters.
    #[arg(long)]
    clusters: u32,
    /// Operators of each.
    #[arg(long)]
    operators: u8,
    /// How many of them sign.
    #[arg(long)]
    threshold: u8,
    /// Validators of each.
    #[arg(long)]
    validators: u32,
    /// What these may hold together, in gwei; if not given, 32 ETH each.
    #[arg(long)]
    stake_gwei: Option<u64>,
    /// The epoch whose randomness decides; if not given, the first that may.
    #[arg(long)]
    epoch: Option<u64>,
    /// Each is of one entity with many nodes.
    #[arg(long)]
    intra_operator: bool,
    /// Only delegators that the policy names may delegate to them.
    #[arg(long)]
    private: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn observe(args: &ObserveArgs) -> anyhow::Result<()> {
    let body = body(&args.body)?;
    let word = Word::Observe { kind: args.kind.clone(), body };
    told(args.json, &desk::tell(&args.data_dir, word)?)
}

pub(super) fn call(args: &CallArgs) -> anyhow::Result<()> {
    let wish = Wish {
        clusters: args.clusters,
        operators: args.operators,
        threshold: args.threshold,
        keys: args.validators,
        stake: args.stake_gwei.map(Gwei),
        seed_epoch: args.epoch.map(Epoch),
        intra_operator: args.intra_operator,
        delegation: if args.private { Delegation::Private } else { Delegation::Public },
    };
    told(args.json, &desk::tell(&args.data_dir, Word::Call(wish))?)
}

/// What is in a file, or comes in.
fn body(path: &Path) -> anyhow::Result<String> {
    let shown = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    let cannot = || format!("cannot read {shown}");
    let from: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(path).with_context(cannot)?),
    };
    let mut body = String::new();
    from.take(desk::WORD_LEN_MAX as u64 + 1).read_to_string(&mut body).with_context(cannot)?;
    if body.len() > desk::WORD_LEN_MAX {
        bail!("{shown} has more than {} bytes: it is no observation", desk::WORD_LEN_MAX);
    }
    Ok(body.trim_end().to_owned())
}

/// The entry's number and hash, and a line for each thing that followed.
fn told(as_json: bool, written: &Written) -> anyhow::Result<()> {
    let mut text = format!("entry {}\nhash {}", written.seq, written.hash);
    for event in &written.events {
        write!(text, "\n{}", serde_json::to_string(event)?)?;
    }
    print(as_json, &json!(written), &text)
}
