//! Child processes: this very program in another role, what they say, and what their memory holds.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Which program a child plays.
pub(crate) const ROLE: &str = "SYMBOLON_SECRETS_ROLE";
/// Its command line, an argument a line.
pub(crate) const ARGUMENTS: &str = "SYMBOLON_SECRETS_ARGUMENTS";
/// Far beyond what a machine under load needs for a ceremony.
const PATIENCE: Duration = Duration::from_secs(180);

/// A child that is killed at the latest when the test is over.
pub(crate) struct Process {
    pub(crate) name: String,
    child: Child,
    log: PathBuf,
    lines: Receiver<String>,
}

impl Process {
    /// Starts a child in a role; standard output goes to `NAME.out`, standard error to `NAME.log`.
    pub(crate) fn start(folder: &Path, name: &str, role: &str, arguments: &[String]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_child_of_this_test_plays_its_role", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(ARGUMENTS, arguments.join("\n"))
            .stdin(Stdio::null())
            .stdout(File::create(folder.join(format!("{name}.out"))).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = folder.join(format!("{name}.log"));
        let (errors, mut copy) = (child.stderr.take().unwrap(), File::create(&log).unwrap());
        let (said, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines() {
                let line = line.unwrap();
                writeln!(copy, "{line}").unwrap();
                // Nobody may be listening any more; the file is read in the end.
                let _ = said.send(line);
            }
        });
        Self { name: name.to_owned(), child, log, lines }
    }

    /// Waits until it has said these on standard error, each on a line of its own.
    pub(crate) fn wait_for(&self, words: &[String]) {
        let mut open: Vec<_> = words.iter().collect();
        let end = Instant::now() + PATIENCE;
        while !open.is_empty() {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let said = open.iter().position(|words| line.contains(words.as_str()));
                    said.map(|at| open.remove(at));
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let log = std::fs::read_to_string(&self.log).unwrap();
                    panic!("{} never said {open:?}:\n{log}", self.name)
                }
            }
        }
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn finish(mut self) {
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        let ended = self.child.try_wait().unwrap().or_else(|| self.child.wait().ok());
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert!(ended.is_some_and(|status| status.success()), "{} ended as {ended:?}:\n{log}", self.name);
    }

    /// Everything in its memory that it could have written to; `None`, and a line, where the system forbids to look.
    #[expect(clippy::print_stderr, reason = "what was left out must be seen")]
    pub(crate) fn memory(&self) -> Option<Vec<Region>> {
        match regions(self.child.id()) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                eprintln!("SKIPPED: the memory of {} may not be read here: {error}", self.name);
                None
            }
            read => Some(read.unwrap()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A mapping of a process and its bytes.
pub(crate) struct Region {
    /// As `/proc` names it: `[heap]`, `[stack]`, a file, or nothing.
    pub(crate) name: String,
    pub(crate) start: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Reads heap, stacks, written data segments and anonymous mappings; program text and shared files are no secrets' place.
fn regions(process: u32) -> std::io::Result<Vec<Region>> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
    let mut memory = File::open(format!("/proc/{process}/mem"))?;
    let mut regions = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        let name = words.nth(3).unwrap_or_default().to_owned();
        let ours = rights.starts_with('r') && rights.ends_with('p');
        let kept = rights.as_bytes()[1] == b'w' || name.is_empty();
        if !ours || !kept || name.starts_with("[v") {
            continue;
        }
        let (start, end) = range.split_once('-').expect("a range of addresses");
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).expect("an address"));
        let mut bytes = vec![0; usize::try_from(end - start).expect("a region fits memory")];
        memory.seek(SeekFrom::Start(start))?;
        // A mapping may go away between the list and the reading; what could be read counts.
        let len = read_up_to(&mut memory, &mut bytes);
        bytes.truncate(len);
        regions.push(Region { name, start, bytes });
    }
    Ok(regions)
}

fn read_up_to(memory: &mut File, bytes: &mut [u8]) -> usize {
    let mut len = 0;
    while len < bytes.len() {
        match memory.read(&mut bytes[len..]) {
            Ok(0) | Err(_) => break,
            Ok(more) => len += more,
        }
    }
    len
}
