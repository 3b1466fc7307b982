//! `dvt-node replay`: the machine of a record is built again, told the same, and must wish for the same.

use super::coded::{Misread, Reader};
use super::entry::{Chain, End, Entry, Trace};
use super::file::{FileError, Reading};
use super::start::{Place, Start};
use super::story::Story;
use super::words;
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use symbolon_core::node::Node;
use symbolon_core::{Input, Output};
use thiserror::Error;
use types::{ClusterId, Machine as _, Millis, Root, ShareIndex, Slot};

/// No wish is shown longer in full, in bytes: a screen.
const FULL_LEN_MAX: usize = 4096;

/// `dvt-node replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The record.
    file: PathBuf,
    /// Tell the story of this slot, as a scenario.
    #[arg(long)]
    slot: Option<u64>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Why a record was not run to its end.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file is none, or is damaged.
    #[error(transparent)]
    File(#[from] FileError),
    /// An entry is none that a node has written.
    #[error("entry {entry} of the record: {error}")]
    Entry {
        /// Which, from 0.
        entry: u64,
        /// The broken rule.
        error: Misread,
    },
}

/// What came of a replay.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// Version of the program that has recorded.
    pub recorded_by: String,
    /// Whose record it is.
    pub operator: ShareIndexNumber,
    /// Operators of the cluster.
    pub operators: usize,
    /// Which cluster.
    pub cluster: ClusterId,
    /// When the process was started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// The first and the last slot in which anything was heard.
    pub slots: Option<(Slot, Slot)>,
    /// Inputs that were told.
    pub inputs: u64,
    /// Wishes that were compared.
    pub outputs: u64,
    /// Hash of all of them.
    pub trace: Root,
    /// How the record ends; `None` if it is cut off.
    pub end: Option<String>,
    /// The panic that ended this replay where it ended the node.
    pub panicked: Option<String>,
    /// The first wish that is not as recorded.
    pub difference: Option<Difference>,
    /// The story of the slot that was asked for.
    pub story: Option<String>,
}

/// An operator's number.
pub type ShareIndexNumber = u8;

/// Where the machine did something else than the recorded one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// After how many inputs, this one included.
    pub input: u64,
    /// When it was told, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What it was told.
    pub told: String,
    /// Which wish after it, from 0.
    pub output: usize,
    /// The wish in the record.
    pub recorded: String,
    /// The wish now.
    pub replayed: String,
    /// The wish now, with all that it says.
    pub in_full: String,
}

impl Replayed {
    /// Whether everything was as recorded.
    pub const fn is_equal(&self) -> bool {
        self.difference.is_none()
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(story) = &self.story {
            writeln!(f, "{story}")?;
        }
        let Self { operator, operators, cluster, recorded_by, started_ms, .. } = self;
        writeln!(
            f,
            "record of operator {operator} of {operators}, cluster {cluster}, started at {started_ms} ms, by dvt-node {recorded_by}"
        )?;
        if recorded_by != env!("CARGO_PKG_VERSION") {
            writeln!(f, "replayed by dvt-node {}, which need not do the same", env!("CARGO_PKG_VERSION"))?;
        }
        if let Some((first, last)) = self.slots {
            writeln!(
                f,
                "slots {first} to {last}, {} inputs, {} wishes, trace {}",
                self.inputs, self.outputs, self.trace
            )?;
        }
        match &self.end {
            Some(end) => writeln!(f, "the record ends: {end}")?,
            None => writeln!(f, "the record is cut off: this is what was written of it")?,
        }
        if let Some(words) = &self.panicked {
            writeln!(f, "the node panics as it did then: {words}")?;
        }
        match &self.difference {
            Some(difference) => write!(f, "{difference}"),
            None => f.write_str("equal: every wish is as it was recorded"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, at_ms, told, output, recorded, replayed, in_full } = self;
        writeln!(f, "different after input {input}, at {at_ms} ms: {told}")?;
        writeln!(f, "  recorded wish {output}: {recorded}")?;
        writeln!(f, "  replayed wish {output}: {replayed}")?;
        write!(f, "  in full: {in_full}")
    }
}

/// Replays a file, as the command does.
pub fn run(args: &ReplayArgs) -> anyhow::Result<Replayed> {
    let file = File::open(&args.file).with_context(|| args.file.display().to_string())?;
    replay(BufReader::new(file), args.slot.map(Slot)).with_context(|| args.file.display().to_string())
}

/// Builds the machine of a record and tells it everything again, up to the first difference or the record's end.
///
/// - `story_of`: the slot whose story is told.
/// - Errors: [`ReplayError`]; a record that is cut off is none.
/// - Cost: that of checking every signature of every message once more.
pub fn replay(record: impl Read, story_of: Option<Slot>) -> Result<Replayed, ReplayError> {
    let mut file = Reading::begin(record)?;
    let first = file.next_entry()?.ok_or(FileError::NoStart)?;
    let misread = |entry| move |error| ReplayError::Entry { entry, error };
    let start: Start = Reader::whole(&first, None).map_err(misread(0))?;
    let place = Place::of(&start).map_err(misread(0))?;
    let mut again = Again::new(&start, place, story_of);
    let mut entry = 0;
    let mut end = None;
    while let (Some(body), true) = (file.next_entry()?, again.is_going()) {
        entry += 1;
        match Reader::whole(&body, Some(&mut again.place)).map_err(misread(entry))? {
            Entry::Input { at, input } => again.hear(at, input),
            Entry::Trace(trace) => again.compare(&trace),
            Entry::End(why) => {
                end = Some(why);
                break;
            }
        }
    }
    Ok(again.finish(&start, end))
}

/// A machine that is told a record.
struct Again {
    node: Node,
    place: Place,
    me: ShareIndex,
    chain: Chain,
    inputs: u64,
    outputs: u64,
    first_at: Option<Millis>,
    /// When the last input was told, and what it was.
    last: (Millis, String),
    panic: Option<String>,
    difference: Option<Difference>,
    story: Option<Story>,
}

impl Again {
    fn new(start: &Start, place: Place, story_of: Option<Slot>) -> Self {
        Self {
            node: start.node(),
            place,
            me: start.setup.me,
            chain: Chain::default(),
            inputs: 0,
            outputs: 0,
            first_at: None,
            last: (start.setup.started, "nothing".to_owned()),
            panic: None,
            difference: None,
            story: story_of.map(|slot| Story::new(&start.setup.spec, slot)),
        }
    }

    /// Neither different nor dead so far.
    const fn is_going(&self) -> bool {
        self.difference.is_none() && self.panic.is_none()
    }

    fn hear(&mut self, at: Millis, input: Input) {
        self.inputs += 1;
        self.first_at.get_or_insert(at);
        let (who, what) = words::of_input(self.me, &input);
        let own = matches!(input, Input::Peer(_)) && who == self.me;
        if !own && !matches!(input, Input::Tick) {
            self.tell(at, who, &what);
        }
        self.last = (at, what);
        let node = &mut self.node;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| node.handle(at, input))) {
            self.panic = Some(words_of(&*panic));
        }
    }

    fn compare(&mut self, trace: &Trace) {
        let (at, me) = (self.last.0, self.me);
        for place in 0.. {
            let node = &mut self.node;
            let output = match catch_unwind(AssertUnwindSafe(|| node.poll())) {
                Ok(output) => output,
                Err(panic) => {
                    self.panic = Some(words_of(&*panic));
                    return;
                }
            };
            let seen = output.as_ref().map(|output| self.chain.take(output, words::of_output(output)));
            let recorded = trace.outputs.get(place);
            if seen.as_ref() != recorded {
                let words = |words: Option<&str>| words.unwrap_or("nothing").to_owned();
                let recorded = words(recorded.map(|seen| &*seen.words));
                let replayed = words(seen.as_ref().map(|seen| &*seen.words));
                self.difference = Some(self.differs(place, recorded, replayed, output.as_ref()));
                return;
            }
            let (Some(output), Some(seen)) = (output, seen) else { break };
            self.outputs += 1;
            self.tell(at, me, &seen.words);
            self.place.grant(output);
        }
        if self.chain.hash() != trace.hash {
            let hash = |hash: Root| format!("the hash of all wishes so far is {hash}");
            let (recorded, replayed) = (hash(trace.hash), hash(self.chain.hash()));
            self.difference = Some(self.differs(trace.outputs.len(), recorded, replayed, None));
        }
    }

    fn differs(&self, output: usize, recorded: String, replayed: String, now: Option<&Output>) -> Difference {
        let mut in_full = now.map_or_else(|| "nothing".to_owned(), |output| format!("{output:?}"));
        in_full.truncate(in_full.floor_char_boundary(FULL_LEN_MAX));
        let (at, told) = self.last.clone();
        Difference { input: self.inputs, at_ms: at.0, told, output, recorded, replayed, in_full }
    }

    fn tell(&mut self, at: Millis, who: ShareIndex, what: &str) {
        if let Some(story) = &mut self.story {
            story.tell(at, who, what);
        }
    }

    fn finish(mut self, start: &Start, end: Option<End>) -> Replayed {
        let as_then = end == Some(End::Panicked);
        if let Some(panic) = self.panic.take_if(|_| !as_then) {
            self.difference = Some(self.differs(0, "no panic".to_owned(), format!("panics: {panic}"), None));
        }
        let setup = &start.setup;
        let slot = |at| setup.spec.slot_at(at).unwrap_or_default();
        Replayed {
            recorded_by: start.version.clone(),
            operator: self.me.get(),
            operators: setup.size.operators(),
            cluster: start.cluster,
            started_ms: setup.started.0,
            slots: self.first_at.map(|first| (slot(first), slot(self.last.0))),
            inputs: self.inputs,
            outputs: self.outputs,
            trace: self.chain.hash(),
            end: end.map(|end| end.to_string()),
            story: self.story.map(|story| story.text(start)),
            panicked: self.panic,
            difference: self.difference,
        }
    }
}

/// What a panic says.
fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words").to_owned()
}
