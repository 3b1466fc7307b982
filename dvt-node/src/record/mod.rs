//! What a node was told, written down as it comes, so that the same machine can be told it again (ADR 0022).
//!
//! The machine is pure: the same [`start`], the same inputs at the same times, the same wishes. A record holds the first
//! two and the hashes of the third, so [`replay`] says whether it is so, and shows a slot's story. [`Recorded`] is the
//! machine as the loop has it; what it hears goes to a [`tape`], whatever becomes of that. No secret is in a record, for
//! the machine has none; what was signed, when, with signatures of the client's halves, is.

pub mod coded;
pub mod entry;
pub mod file;
pub mod replay;
pub mod start;
mod story;
pub mod tape;
mod words;

pub use entry::{End, Entry};
pub use start::Start;
pub use tape::Tape;

use crate::data_folder::DataFolder;
use clap::Args;
use coded::Coded as _;
use entry::{Chain, Seen, Trace};
use std::path::PathBuf;
use symbolon_core::journal::History;
use symbolon_core::node::{Node, Setup};
use symbolon_core::{Input, Output};
use types::{Machine, Millis};

/// Where records go, and how much of the disk they may take.
#[derive(Clone, Debug)]
pub struct RecordConfig {
    /// The folder.
    pub folder: PathBuf,
    /// Bytes of all records in it.
    pub len_max: u64,
}

/// The flags of `dvt-node run` for it.
#[derive(Debug, Args)]
pub(crate) struct RecordFlags {
    /// Record what this node is told into a new file of this folder, for dvt-node replay: docs/replay.md.
    #[arg(long, value_name = "DIR", env = "SYMBOLON_RECORD")]
    record: Option<PathBuf>,
    /// Mebibytes that all records in that folder may take. When they do, recording ends and the node goes on.
    #[arg(long, value_name = "MIB", default_value_t = 1024, requires = "record")]
    record_max_mib: u32,
}

impl RecordFlags {
    pub(crate) fn config(self) -> Option<RecordConfig> {
        let len_max = u64::from(self.record_max_mib) << 20;
        self.record.map(|folder| RecordConfig { folder, len_max })
    }
}

/// Builds the machine of a data folder, recorded if the operator wants it. If it cannot be, the log says why, and the
/// node goes on: duties come first.
pub(crate) fn begin(
    config: Option<&RecordConfig>,
    data: &DataFolder,
    setup: Setup,
    histories: Vec<History>,
) -> Recorded {
    let start = Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: data.cluster.id,
        node_keys: data.cluster.nodes.iter().map(|node| *node.as_bytes()).collect(),
        setup,
        histories,
    };
    let tape = config.and_then(|config| {
        let created = Tape::create(&config.folder, config.len_max, &start);
        match created {
            Ok((tape, file)) => {
                tracing::info!(file = %file.display(), "what this node is told is recorded");
                Some(tape)
            }
            Err(error) => {
                tracing::error!(%error, "nothing is recorded");
                None
            }
        }
    });
    Recorded::new(start.node(), tape)
}

/// A machine, and the tape that hears what it hears.
#[derive(Debug)]
pub struct Recorded {
    node: Node,
    recording: Option<Recording>,
}

#[derive(Debug)]
struct Recording {
    tape: Tape,
    chain: Chain,
    outputs: Vec<Seen>,
    /// Whether anything was heard since the last trace.
    heard: bool,
}

impl Recorded {
    /// A machine just built, and its tape if it has one.
    pub fn new(node: Node, tape: Option<Tape>) -> Self {
        let recording =
            tape.map(|tape| Recording { tape, chain: Chain::default(), outputs: Vec::new(), heard: false });
        Self { node, recording }
    }

    /// The machine, to be asked.
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// The machine, for questions that change nothing, however they borrow it. What it is told this way is in no record.
    pub const fn node_mut(&mut self) -> &mut Node {
        &mut self.node
    }
}

impl Machine for Recorded {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Millis, input: Input) {
        if let Some(recording) = &mut self.recording {
            recording.hear(now, &input);
        }
        self.node.handle(now, input);
    }

    fn poll(&mut self) -> Option<Output> {
        let output = self.node.poll();
        if let Some(recording) = &mut self.recording {
            recording.see(output.as_ref());
        }
        output
    }

    fn wake_at(&self) -> Option<Millis> {
        self.node.wake_at()
    }
}

impl Recording {
    fn hear(&mut self, now: Millis, input: &Input) {
        if self.tape.is_running() {
            let mut entry = Vec::new();
            entry::put_input(now, input, &mut entry);
            self.tape.put(entry);
            self.heard = true;
        }
    }

    /// A wish, or that there is none any more.
    fn see(&mut self, output: Option<&Output>) {
        if !self.tape.is_running() {
            return;
        }
        if let Some(output) = output {
            self.outputs.push(self.chain.take(output, words::of_output(output)));
        } else if std::mem::take(&mut self.heard) {
            let outputs = std::mem::take(&mut self.outputs);
            let mut entry = Vec::new();
            Entry::Trace(Trace { outputs, hash: self.chain.hash() }).put(&mut entry);
            self.tape.put(entry);
        }
    }
}
