//! The guard, with the journal around it and histories from outside, against the obvious implementation.
//!
//! Bytes are read as a sequence of what can happen to the keys of one operator: wishes to sign, alone or several at a
//! time, writes that fail, restarts, files that are imported, a move to another node by an exported file, and rows
//! found missing. Two things are remembered beside the machine: what the disk holds, and ([`Obvious`]) everything that
//! was signed or imported. At every step:
//!
//! - what is signed makes no slashable offence with anything signed or imported before, and EIP-3076 allows it;
//! - as long as no write has failed, exactly what the minimal strategy allows is signed, and the last message again;
//! - no watermark falls, in memory, on disk, or on the way to another node.

use crate::files::json_of;
use crate::obvious::{Obvious, Signed};
use dvt_node::moving::interchange::{Interchange, InterchangeError};
use std::sync::LazyLock;
use symbolon_core::Ticket;
use symbolon_core::guard::Verdict;
use symbolon_core::journal::{Candidate, History, Journal, Promise, Row};
use types::{ChainSpec, Epoch, PublicKey, Root, SigningRoot, Slot, ValidatorNo};

/// Validators of the operator.
const VALIDATORS: usize = 3;
/// Steps of one input that are taken: what is kept of them is searched for each, and longer stories say nothing new.
const STEPS_MAX: usize = 96;
/// Candidates of one slot's promise.
const BATCH_MAX: usize = 4;
/// Records of one imported file.
const RECORDS_MAX: usize = 4;

static SPEC: LazyLock<ChainSpec> = LazyLock::new(|| ChainSpec::builtin("hoodi").expect("hoodi is built in"));

const fn key(validator: usize) -> PublicKey {
    PublicKey([validator as u8 + 1; 48])
}

fn keys() -> Vec<PublicKey> {
    (0..VALIDATORS).map(key).collect()
}

/// A record of a file: with a signing root, or without.
type Told = (Promise, Option<Root>);

/// The bytes that are left.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Small numbers as they are, so that they meet; the last ones at the end of time.
    fn number(&mut self) -> Option<u64> {
        let byte = u64::from(self.next()?);
        Some(if byte < 0xf8 { byte } else { u64::MAX - (0xff - byte) })
    }

    fn promise(&mut self, kind: u8) -> Option<Promise> {
        Some(match kind % 2 {
            0 => Promise::Block { slot: Slot(self.number()?) },
            _ => Promise::Attestation { source: Epoch(self.number()?), target: Epoch(self.number()?) },
        })
    }

    /// A byte that says what, whose and over which of three roots, then the numbers.
    fn wish(&mut self) -> Option<(usize, Promise, Root)> {
        let head = self.next()?;
        let (validator, root) = (usize::from(head >> 1) % VALIDATORS, Root([head >> 4 & 3; 32]));
        Some((validator, self.promise(head)?, root))
    }

    /// Records under one key, with their roots or without.
    fn file(&mut self) -> Option<(usize, Vec<Told>)> {
        let head = self.next()?;
        let count = usize::from(head >> 4) % RECORDS_MAX + 1;
        let mut records = Vec::new();
        for _ in 0..count {
            let kind = self.next()?;
            let root = (kind & 2 != 0).then_some(Root([kind >> 4 & 3; 32]));
            records.push((self.promise(kind)?, root));
        }
        Some((usize::from(head) % VALIDATORS, records))
    }
}

/// What is never to fall: slots of blocks, sources, targets.
fn marks(history: &History) -> [Option<u64>; 3] {
    let attestation = history.attestation.map(|last| (last.source_max.0, last.target_max.0));
    [history.block.map(|last| last.slot.0), attestation.map(|last| last.0), attestation.map(|last| last.1)]
}

fn assert_risen(before: &[History], after: &[History], when: &str) {
    for (before, after) in before.iter().zip(after) {
        let fallen = marks(before).into_iter().zip(marks(after)).find(|(before, after)| after < before);
        assert_eq!(fallen, None, "a watermark fell, {when}: {before:?} to {after:?}");
    }
}

/// One operator, as it is and as it ought to be.
struct Desk {
    journal: Journal,
    disk: Vec<History>,
    obvious: Vec<Obvious>,
    /// A write failed since the last start: memory is bound by more than the disk.
    doubtful: bool,
    signed: usize,
}

impl Desk {
    fn new() -> Self {
        let disk = vec![History::default(); VALIDATORS];
        let journal = Journal::new(keys(), disk.clone());
        Self { journal, disk, obvious: vec![Obvious::default(); VALIDATORS], doubtful: false, signed: 0 }
    }

    /// Takes one step; `None` where the bytes end.
    fn step(&mut self, bytes: &mut Bytes<'_>) -> Option<()> {
        let before = (self.journal.histories().to_vec(), self.disk.clone());
        match bytes.next()? {
            0..=0x7f => self.wishes(&[bytes.wish()?], true),
            0x80..=0x9f => {
                let wishes: Vec<_> = (0..BATCH_MAX).map_while(|_| bytes.wish()).collect();
                self.wishes(&wishes, true);
            }
            0xa0..=0xaf => {
                let wishes: Vec<_> = (0..BATCH_MAX).map_while(|_| bytes.wish()).collect();
                self.wishes(&wishes, false);
            }
            0xb0..=0xcf => {
                let (validator, records) = bytes.file()?;
                self.import(validator, &records);
                assert_risen(&before.1, self.journal.histories(), "at an import");
                return Some(());
            }
            0xd0..=0xdf => {
                self.restart();
                assert_risen(&before.1, self.journal.histories(), "at a restart");
                return Some(());
            }
            0xe0..=0xef => {
                self.move_out_and_in();
                assert_risen(&before.1, self.journal.histories(), "on the way to another node");
                return Some(());
            }
            0xf0..=0xff => self.rows_are_missing(Slot(bytes.number()?)),
        }
        assert_risen(&before.0, self.journal.histories(), "in memory");
        assert_risen(&before.1, &self.disk, "on disk");
        Some(())
    }

    /// Somebody wants these signed in one go; the disk takes what is promised, or fails.
    fn wishes(&mut self, wishes: &[(usize, Promise, Root)], durable: bool) {
        let candidate = |&(validator, promise, root): &(usize, Promise, Root)| Candidate {
            validator: ValidatorNo(u32::try_from(validator).expect("three are few")),
            slot: slot_of(promise),
            promise,
            root: SigningRoot::recorded(root),
        };
        let candidates: Vec<_> = wishes.iter().map(candidate).collect();
        let first = candidates.first().map(|first| self.journal.judge(first));
        let promised = self.journal.promise(Ticket(1), &candidates);
        assert_eq!(promised.rows.len() + promised.refused.len(), wishes.len(), "each has one answer");
        let refused = promised.refused.first().map(|(validator, _)| *validator);
        if let (Some(Verdict::Refused(_)), Some(first)) = (first, candidates.first()) {
            assert_eq!(refused, Some(first.validator), "what is judged is what is done");
        }
        let permits = self.journal.settle(Ticket(1), durable);
        assert_eq!(
            permits.len(),
            if durable { promised.rows.len() } else { 0 },
            "a permit for a durable row"
        );
        assert!(self.journal.settle(Ticket(1), true).is_empty(), "permits are given once");
        self.doubtful |= !durable && !promised.rows.is_empty();
        if !durable {
            return;
        }
        for (row, permit) in promised.rows.iter().zip(&permits) {
            assert_eq!((Some(permit.root()), key(permit.validator().0 as usize)), (row.root, row.key));
            self.disk[permit.validator().0 as usize].append(row);
        }
        // Rows are in the order of the wishes, and of two equal wishes the second is never the first to be granted.
        let mut rows = promised.rows.iter().peekable();
        for (wish, candidate) in wishes.iter().zip(&candidates) {
            let asked = (key(wish.0), candidate.promise, Some(candidate.root));
            let signs = rows.next_if(|row| (row.key, row.promise, row.root) == asked).is_some();
            self.compare(wish, signs);
        }
        assert_eq!(rows.next(), None, "a row that nobody wished for");
    }

    /// Whether the answer to a wish is right.
    fn compare(&mut self, &(validator, promise, root): &(usize, Promise, Root), signs: bool) {
        let obvious = &mut self.obvious[validator];
        let wish = Signed { promise, root: Some(root), own: true };
        let why = || format!("{wish:?} after {obvious:?}");
        let again = obvious.is_last(&wish);
        assert!(!signs || !obvious.is_slashable(&wish), "slashable: {}", why());
        assert!(!signs || obvious.has(&wish) || obvious.complete_allows(&wish), "EIP-3076 refuses {}", why());
        assert!(!signs || again || obvious.minimal_allows(&wish), "not above the highest: {}", why());
        if !self.doubtful {
            assert_eq!(signs, again || obvious.minimal_allows(&wish), "refused for nothing: {}", why());
        }
        if signs && !again {
            obvious.0.push(wish);
        }
        self.signed += usize::from(signs);
    }

    /// A file is imported while the node is stopped, and the node starts from the disk.
    fn import(&mut self, validator: usize, records: &[Told]) {
        let text = json_of(SPEC.genesis_validators_root, key(validator), records);
        let Some(rows) = rows_of(&text) else {
            assert!(records.iter().any(|(promise, _)| is_far(*promise)), "{text} is refused for nothing");
            return;
        };
        self.append(&rows);
        let imported = records.iter().map(|&(promise, root)| Signed { promise, root, own: false });
        self.obvious[validator].0.extend(imported);
        self.restart();
    }

    /// Rows of others onto the disk: those that raise a watermark.
    fn append(&mut self, rows: &[Row]) {
        let history_of = |disk: &[History], row: &Row| {
            let at = keys().iter().position(|key| *key == row.key).expect("rows are of our keys");
            (at, disk[at])
        };
        let rising: Vec<_> =
            rows.iter().filter(|row| history_of(&self.disk, row).1.would_rise(row.promise)).collect();
        for row in rising {
            let (at, _) = history_of(&self.disk, row);
            self.disk[at].append(row);
        }
    }

    fn restart(&mut self) {
        self.journal = Journal::new(keys(), self.disk.clone());
        self.doubtful = false;
        for (history, obvious) in self.disk.iter().zip(&self.obvious) {
            let [block, source, target] = marks(history);
            for signed in &obvious.0 {
                let kept = match signed.promise {
                    Promise::Block { slot } => block >= Some(slot.0),
                    Promise::Attestation { source: s, target: t } => {
                        source >= Some(s.0) && target >= Some(t.0)
                    }
                };
                assert!(kept, "{signed:?} is forgotten: {history:?}");
            }
        }
    }

    /// What this node exports is all that another one begins with. What was signed here is then a stranger's.
    fn move_out_and_in(&mut self) {
        let histories: Vec<_> = keys().into_iter().zip(self.disk.clone()).collect();
        let text = Interchange::export(&histories, SPEC.genesis_validators_root).to_json();
        let far = self.disk.iter().flat_map(marks).flatten().any(|mark| mark > FAR);
        let Some(rows) = rows_of(&text) else {
            assert!(far, "our own export is refused: {text}");
            return;
        };
        let before = std::mem::replace(&mut self.disk, vec![History::default(); VALIDATORS]);
        self.append(&rows);
        let marked = |histories: &[History]| histories.iter().map(marks).collect::<Vec<_>>();
        assert_eq!(marked(&self.disk), marked(&before), "no watermark is lost on the way");
        self.obvious.iter_mut().flat_map(|one| &mut one.0).for_each(|signed| signed.own = false);
        self.restart();
    }

    /// Peers hold more under this node's name than it remembers: anything may have been signed up to a slot.
    fn rows_are_missing(&mut self, until: Slot) {
        let rows = self.journal.roll_forward(&SPEC, until);
        self.append(&rows);
        for row in rows {
            let at = keys().iter().position(|key| *key == row.key).expect("rows are of our keys");
            self.obvious[at].0.push(Signed { promise: row.promise, root: None, own: false });
        }
    }
}

/// Numbers beyond are at the end of time, where no import is believed.
const FAR: u64 = u64::MAX / 2;

const fn is_far(promise: Promise) -> bool {
    match promise {
        Promise::Block { slot } => slot.0 > FAR,
        Promise::Attestation { source, target } => source.0 > FAR || target.0 > FAR,
    }
}

fn slot_of(promise: Promise) -> Slot {
    match promise {
        Promise::Block { slot } => slot,
        Promise::Attestation { target, .. } => SPEC.epoch_start(target),
    }
}

/// What a file says, by way of its JSON; `None` if it is of the future.
fn rows_of(text: &str) -> Option<Vec<Row>> {
    let late = SPEC.slot_start(Slot(1 << 20));
    let file = Interchange::parse(text.as_bytes()).expect("what was written is read");
    match file.rows(&SPEC, late, Some) {
        Ok(told) => Some(told.rows),
        Err(InterchangeError::Future { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn guard(input: &[u8]) -> bool {
    let mut desk = Desk::new();
    let mut bytes = Bytes(input);
    let steps = (0..STEPS_MAX).map_while(|_| desk.step(&mut bytes)).count();
    steps > 0
}

/// Wishes, files and restarts in the letters of this module: honest epochs, every kind of offence, the ends of time.
pub(crate) fn guards() -> Vec<Vec<u8>> {
    const BLOCK: u8 = 0;
    const VOTE: u8 = 1;
    const OTHER_ROOT: u8 = 0x10;
    let vote = |head: u8, source: u8, target: u8| vec![0, VOTE | head, source, target];
    let block = |head: u8, slot: u8| vec![0, BLOCK | head, slot];
    let epochs = (1..8).flat_map(|epoch| [vote(0, epoch - 1, epoch), block(0, 32 * epoch)].concat());
    let offences =
        [vote(0, 4, 5), vote(OTHER_ROOT, 4, 5), vote(0, 3, 6), vote(0, 4, 5), vote(0, 5, 4), vote(0, 6, 7)];
    let blocks = [block(0, 9), block(OTHER_ROOT, 9), block(0, 9), block(0, 8), block(0, 10)];
    let batch = vec![0x80, VOTE, 1, 2, VOTE | 2, 1, 2, VOTE | 4, 1, 2, VOTE, 1, 2];
    let failed = [vec![0xa0, VOTE, 1, 2, VOTE | 2, 1, 2, VOTE, 2, 3, BLOCK, 9], vote(0, 1, 2), vec![0xd0]];
    // Of validator 0: a block of slot 20 with its root, votes (3, 9) and (5, 6).
    let file = vec![0xb0, 0x20 + 1, 0x12, 20, 1, 3, 9, 1, 5, 6];
    let imported = [vote(2, 2, 5), file, vote(2, 5, 9), vote(2, 4, 10), vote(2, 5, 10), vote(2, 5, 10)];
    let moved =
        [vote(0, 1, 2), block(0, 40), vec![0xe0], vote(0, 1, 2), block(0, 40), vote(0, 2, 3), block(0, 41)];
    let lost = [vote(0, 1, 2), vec![0xf0, 96], vote(0, 2, 3), vote(0, 2, 4), vec![0xd0], vote(0, 2, 4)];
    let ends =
        [vote(0, 0xff, 0xff), vote(0, 0xff, 0xff), block(0, 0xff), vec![0xe0], block(0, 1), vec![0xf0, 0xff]];
    let stories =
        [offences.concat(), blocks.concat(), batch, failed.concat(), imported.concat(), moved.concat()];
    let mut seeds: Vec<_> = stories.into_iter().chain([lost.concat(), ends.concat()]).collect();
    seeds.push(epochs.collect());
    seeds.push(seeds.concat());
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mistake that the target is there for: a guard that grants what the obvious rule forbids.
    #[test]
    #[should_panic(expected = "slashable")]
    fn a_second_vote_for_one_target_is_found() {
        let mut desk = Desk::new();
        for root in [Root([1; 32]), Root([2; 32])] {
            desk.compare(&(0, Promise::Attestation { source: Epoch(1), target: Epoch(2) }, root), true);
        }
    }

    #[test]
    #[should_panic(expected = "is forgotten")]
    fn a_vote_that_the_disk_forgets_is_found() {
        let mut desk = Desk::new();
        desk.wishes(&[(0, Promise::Block { slot: Slot(7) }, Root::ZERO)], true);
        desk.disk[0] = History::default();
        desk.restart();
    }

    #[test]
    fn the_stories_come_to_every_ending() {
        let (mut signed, mut moved) = (0, 0);
        for seed in guards() {
            let (mut desk, mut bytes) = (Desk::new(), Bytes(&seed));
            while desk.step(&mut bytes).is_some() {}
            signed += desk.signed;
            moved += usize::from(desk.obvious.iter().flat_map(|one| &one.0).any(|one| !one.own));
        }
        assert!(signed > 20 && moved > 2, "{signed} signed, {moved} stories with a stranger's records");
    }
}
