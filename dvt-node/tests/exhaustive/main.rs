//! Guard, journal and interchange against the obvious implementation, for every short sequence of what can happen to a key.
//!
//! What can happen: a wish to sign a block of slots 0 to 3 or a vote of epochs 0 to 3, for one of two roots; a file that is
//! imported, with one record or two. Between any two of them the node restarts. For every sequence and every step:
//!
//! - what our node signs makes no slashable offence with anything signed or imported before;
//! - it refuses exactly what lies at or below the highest that was signed or imported, but for its own last message: the minimal
//!   strategy of EIP-3076;
//! - what is exported binds another signer, an obvious one too, exactly as it binds our node.

mod files;
mod obvious;

use dvt_node::journal::{Durability, Journal as Disk, JournalError};
use dvt_node::moving::interchange::Interchange;
use obvious::{Obvious, Signed};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use symbolon_core::Ticket;
use symbolon_core::guard::{Verdict, judge};
use symbolon_core::journal::{Candidate, History, Journal, Promise, Row};
use types::{ChainSpec, Epoch, PublicKey, Root, SigningRoot, Slot, ValidatorNo};

/// The two keys, as validators.
const KEYS: [PublicKey; 2] = [PublicKey([1; 48]), PublicKey([2; 48])];
const ROOTS: [Root; 2] = [Root([0xa; 32]), Root([0xb; 32])];

/// What can happen to a key.
#[derive(Clone, Debug)]
enum Event {
    /// Somebody wants this signed.
    Wish(Promise, Root),
    /// A file with these records of the key is imported.
    File { records: Vec<Signed>, rows: Vec<Row> },
}

fn spec() -> ChainSpec {
    ChainSpec::builtin("mainnet").unwrap()
}

const fn block(slot: u64) -> Promise {
    Promise::Block { slot: Slot(slot) }
}

const fn vote(source: u64, target: u64) -> Promise {
    Promise::Attestation { source: Epoch(source), target: Epoch(target) }
}

/// Everything that could be signed below `max`: sources after their targets too.
fn wishes(max: u64) -> Vec<(Promise, Root)> {
    let pairs = (0..max).flat_map(|source| (0..max).map(move |target| vote(source, target)));
    let promises = (0..max).map(block).chain(pairs);
    promises.flat_map(|promise| ROOTS.map(|root| (promise, root))).collect()
}

/// Files with one record, and with pairs of which neither record is the higher one, or which are of both kinds.
fn files(max: u64) -> Vec<Vec<(Promise, Option<Root>)>> {
    let pairs = (0..max).flat_map(|source| (source..max).map(move |target| vote(source, target)));
    let promises: Vec<_> = (0..max).map(block).chain(pairs).chain([vote(1, 0)]).collect();
    let mut files: Vec<_> = promises.iter().map(|promise| vec![(*promise, None)]).collect();
    files.extend([block(1), vote(0, 1)].map(|promise| vec![(promise, Some(ROOTS[0]))]));
    files.push(vec![(vote(1, 1), None), (vote(0, 2), None)]);
    files.push(vec![(block(2), None), (block(1), Some(ROOTS[1]))]);
    files.push(vec![(block(1), None), (vote(0, 1), Some(ROOTS[1]))]);
    files
}

/// What a file in the interchange format says to the journal, by way of its JSON.
fn file_of(key: PublicKey, records: &[(Promise, Option<Root>)]) -> Event {
    let text = files::json_of(spec().genesis_validators_root, key, records);
    let imported = |&(promise, root): &(Promise, Option<Root>)| Signed { promise, root, own: false };
    Event::File { records: records.iter().map(imported).collect(), rows: rows(&text) }
}

fn rows(text: &str) -> Vec<Row> {
    let late = spec().slot_start(Slot(1 << 20));
    Interchange::parse(text.as_bytes()).unwrap().rows(&spec(), late, Some).unwrap().rows
}

/// All that can happen to a key below `max`.
fn events(key: PublicKey, max: u64) -> Vec<Event> {
    let wishes = wishes(max).into_iter().map(|(promise, root)| Event::Wish(promise, root));
    let files = files(max);
    wishes.chain(files.iter().map(|records| file_of(key, records))).collect()
}

/// One key, on both sides.
#[derive(Clone, Default)]
struct Key {
    history: History,
    obvious: Obvious,
}

/// Asks our node, as it comes back with these histories: which rows it writes before it signs, none if it refuses.
fn ask(histories: Vec<History>, validator: usize, promise: Promise, root: Root) -> Vec<Row> {
    let mut journal = Journal::new(KEYS[..histories.len()].to_vec(), histories);
    let number = ValidatorNo(u32::try_from(validator).unwrap());
    let root = SigningRoot::recorded(root);
    let candidate = Candidate { validator: number, slot: slot_of(promise), promise, root };
    let rows = journal.promise(Ticket(1), &[candidate]).rows;
    let permits = journal.settle(Ticket(1), true);
    assert_eq!(permits.len(), rows.len(), "a permit for each row and for nothing else");
    assert!(permits.iter().all(|permit| permit.root() == root && permit.validator() == number));
    rows
}

fn slot_of(promise: Promise) -> Slot {
    match promise {
        Promise::Block { slot } => slot,
        Promise::Attestation { target, .. } => spec_epoch_start(target),
    }
}

/// Mainnet's, without building its whole table a million times.
const fn spec_epoch_start(epoch: Epoch) -> Slot {
    Slot(epoch.0 * 32)
}

/// What happened, and how often.
#[derive(Debug, Default)]
struct Count {
    sequences: u64,
    signed: u64,
    refused: u64,
    /// Refused though full histories allow it: the price of constant space.
    stricter: u64,
    repeated: u64,
}

/// Lets something happen to one of the keys, on both sides, and compares them.
fn step(keys: &mut [Key], at: usize, event: &Event, count: &mut Count) {
    match event {
        Event::File { records, rows } => {
            keys[at].obvious.0.extend(records);
            let history = &mut keys[at].history;
            let rising: Vec<_> = rows.iter().filter(|row| history.would_rise(row.promise)).collect();
            rising.into_iter().for_each(|row| history.append(row));
        }
        Event::Wish(promise, root) => {
            let histories = keys.iter().map(|key| key.history).collect();
            let rows = ask(histories, at, *promise, *root);
            let Key { history, obvious } = &mut keys[at];
            let wish = Signed { promise: *promise, root: Some(*root), own: true };
            let (signs, again) = (!rows.is_empty(), obvious.is_last(&wish));
            let why = || format!("{wish:?} after {obvious:?}");
            assert!(!signs || !obvious.is_slashable(&wish), "slashable: {}", why());
            assert_eq!(signs, obvious.minimal_allows(&wish) || again, "{}", why());
            assert!(!signs || again || obvious.complete_allows(&wish), "EIP-3076 refuses {}", why());
            count.signed += u64::from(signs);
            count.refused += u64::from(!signs);
            count.stricter += u64::from(!signs && obvious.complete_allows(&wish));
            count.repeated += u64::from(again);
            rows.iter().for_each(|row| history.append(row));
            if signs && !again {
                obvious.0.push(wish);
            }
        }
    }
}

/// Every sequence of this many events that begins with these keys.
fn explore(keys: &[Key], events: &[(usize, Event)], left: u32, count: &mut Count, seen: &mut Seen) {
    for (at, event) in events {
        // Keys are alike: the first event is the first key's.
        if *at > 0 && keys.iter().all(|key| key.obvious.0.is_empty()) {
            continue;
        }
        let mut keys = keys.to_vec();
        step(&mut keys, *at, event, count);
        seen.entry(name(&keys[*at].history)).or_insert_with(|| keys[*at].clone());
        match left {
            1 => count.sequences += 1,
            _ => explore(&keys, events, left - 1, count, seen),
        }
    }
}

/// One key for each history that came about.
type Seen = BTreeMap<Name, Key>;
type Name = (Option<(Slot, Option<SigningRoot>)>, Option<([Epoch; 4], Option<SigningRoot>)>);

fn name(history: &History) -> Name {
    let block = history.block.map(|last| (last.slot, last.root));
    let epochs = history
        .attestation
        .map(|last| ([last.source, last.target, last.source_max, last.target_max], last.root));
    (block, epochs)
}

/// What our node's file makes of signers that know nothing else, and of our node itself.
fn compare_exports(seen: &Seen, max: u64) {
    for Key { history, obvious } in seen.values() {
        let file = Interchange::export(&[(KEYS[0], *history)], spec().genesis_validators_root).to_json();
        let mut ours = History::default();
        let rows = rows(&file);
        rows.iter().for_each(|row| ours.append(row));
        assert!(!rows.iter().any(|row| history.would_rise(row.promise)), "the own file is no news");
        let theirs = read(&file);
        for (promise, root) in wishes(max + 1) {
            let wish = Signed { promise, root: Some(root), own: true };
            let verdict = judge(history, promise, SigningRoot::recorded(root));
            let why = || format!("{wish:?} by {file} after {obvious:?}");
            let there = judge(&ours, promise, SigningRoot::recorded(root));
            assert_eq!(there == Verdict::Fresh, verdict == Verdict::Fresh, "{}", why());
            assert_eq!(theirs.minimal_allows(&wish), verdict == Verdict::Fresh, "{}", why());
            let passes = !matches!(verdict, Verdict::Refused(_));
            assert_eq!(theirs.complete_allows(&wish), passes, "{}", why());
            assert!(!passes || !obvious.is_slashable(&wish), "{}", why());
        }
    }
}

/// The obvious implementation, with what a file says.
fn read(file: &str) -> Obvious {
    let mut signed = Vec::new();
    for record in Interchange::parse(file.as_bytes()).unwrap().records {
        let blocks = record.blocks.iter().map(|one| (Promise::Block { slot: one.slot }, one.signing_root));
        let votes = record
            .attestations
            .iter()
            .map(|one| (Promise::Attestation { source: one.source, target: one.target }, one.signing_root));
        signed.extend(blocks.chain(votes).map(|(promise, root)| Signed { promise, root, own: false }));
    }
    Obvious(signed)
}

#[expect(clippy::print_stderr, reason = "how much was tried is what the test is worth")]
fn run(keys: usize, max: u64, len: u32) -> Count {
    let of = |at: usize| events(KEYS[at], max).into_iter().map(move |event| (at, event));
    let events: Vec<_> = (0..keys).flat_map(of).collect();
    let (mut count, mut seen) = (Count::default(), Seen::new());
    explore(&vec![Key::default(); keys], &events, len, &mut count, &mut seen);
    compare_exports(&seen, max);
    eprintln!("{keys} keys, below {max}, {len} events: {count:?}, {} histories", seen.len());
    assert!(count.signed > 0 && count.stricter > 0 && count.repeated > 0, "every case has come about");
    assert!(count.refused > count.stricter);
    count
}

#[test]
fn every_three_events_of_two_keys_end_as_the_obvious_implementation_says() {
    assert!(run(2, 4, 3).sequences > 500_000);
}

#[test]
fn every_four_events_of_one_key_end_as_the_obvious_implementation_says() {
    assert!(run(1, 3, 4).sequences > 500_000);
}

/// Sequences on one disk, each of a key of its own.
fn key_of(sequence: usize) -> PublicKey {
    let mut key = [0; 48];
    key[..8].copy_from_slice(&sequence.to_be_bytes());
    PublicKey(key)
}

/// Opens the journal. sled's own threads may hold its file for a moment after it was closed.
fn open(folder: &Path) -> Disk {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match Disk::open_with(folder, Root([7; 32]), Durability::FlushOnly) {
            Err(JournalError::Database(_)) if Instant::now() < until => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

/// Every sequence of two events on one real disk, which is closed and opened again after each event of all of them.
#[test]
fn a_disk_opened_again_after_every_event_holds_what_memory_holds() {
    const MAX: u64 = 4;
    let events = events(KEYS[0], MAX);
    let folder = tempfile::tempdir().unwrap();
    let mut sequences = vec![Key::default(); events.len() * events.len()];
    let keys: Vec<_> = (0..sequences.len()).map(key_of).collect();
    for second in [false, true] {
        let mut count = Count::default();
        let (mut own, mut imported) = (Vec::new(), Vec::new());
        for (number, key) in sequences.iter_mut().enumerate() {
            let event = if second { number % events.len() } else { number / events.len() };
            let renamed = |row: &Row| Row { key: keys[number], ..*row };
            match &events[event] {
                Event::File { rows, .. } => imported.extend(rows.iter().map(renamed)),
                Event::Wish(promise, root) => {
                    own.extend(ask(vec![key.history], 0, *promise, *root).iter().map(renamed));
                }
            }
            step(std::slice::from_mut(key), 0, &events[event], &mut count);
        }
        let mut disk = open(folder.path());
        disk.append(&own).unwrap();
        disk.import(&imported).unwrap();
        drop(disk);
        let disk = open(folder.path());
        let expected: Vec<_> = sequences.iter().map(|key| key.history).collect();
        assert!(disk.histories(&keys) == expected, "after event {}", u8::from(second) + 1);
    }
    assert!(sequences.len() > 3_000);
}
