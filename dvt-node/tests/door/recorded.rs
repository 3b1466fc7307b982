//! The node at the door is recorded, and its record replayed.

use crate::blocks::{block, propose};
use crate::scan::Needles;
use crate::world::{
    ATTEST, EPOCH, FEE_RECIPIENT, PEER_LEADS, World, attestation_root, honest_vote, instance, recorded_world,
    refused, spec, taken,
};
use dvt_node::record::file::{FileError, RECORD_VERSION, Reading};
use dvt_node::record::replay::{ReplayError, Replayed, replay};
use dvt_node::record::{Start, Tape};
use ssz::Encode as _;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use symbolon_core::Submission;
use types::block::ProposedBlock;
use types::wire::Kind;
use types::{Millis, Root, Slot};

/// Room for all that is recorded here.
const LEN_MAX: u64 = 8 << 20;

/// Tags in the entries that are changed below: of an input, of a message, and of what beacon nodes took.
const INPUT: u8 = 1;
const PEER: u8 = 10;
const SUBMITTED: u8 = 17;
/// Where an input's own tag stands: behind the entry's and the time.
const INPUT_TAG_AT: usize = 9;
/// Up to here, in an input that is a message, there are only its sender, length, kind, statement and signature.
const SIGNED_UNTIL: usize = 140;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn tape(&self, start: &Start) -> Tape {
        Tape::start(self.clone(), LEN_MAX, start).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

/// A slot in which both validators attest: a bad half that is refused, the right ones, another operator's bad partial, and
/// what makes the signatures whole. Then a block that a peer proposes.
async fn live(world: &World) {
    world.head();
    let vote = honest_vote();
    let place = instance(ATTEST, Kind::Attest);
    let hash = Root::of(&vote);
    world.peers_vote(place, hash, Some(vote.as_ssz_bytes().into()));
    let root = attestation_root(&vote);
    let [first, second] = &world.keys[..] else { panic!("two validators") };
    let bad = world.attest(0, &vote, first.half(2, &root)).await;
    refused(&bad, 400, "not by this operator's validator-client key");
    taken(&world.attest(0, &vote, first.half(1, &root)).await);
    taken(&world.attest(1, &vote, second.half(1, &root)).await);
    world.partial(2, place, hash, first.half(2, &root));
    for by in [3, 4] {
        world.partials(by, place, hash, &[first.share(by, &root), second.share(by, &root)]);
    }
    assert!(matches!(&world.room().submitted[..], [Submission::Attestations(both)] if both.len() == 2));
    world.at(spec().slot_start(PEER_LEADS));
    let block: ProposedBlock = block(world, PEER_LEADS, FEE_RECIPIENT);
    propose(world, 4, &block);
    assert!(!world.room().block_asked, "another leads");
    world.at(spec().slot_start(spec().epoch_start(EPOCH.next())));
}

/// A record of that slot.
async fn record() -> Vec<u8> {
    let buffer = Buffer::default();
    let world = recorded_world(ATTEST, Default::default(), |start| Some(buffer.tape(start)));
    live(&world).await;
    drop(world);
    buffer.bytes()
}

fn again(record: &[u8], slot: Option<Slot>) -> Replayed {
    replay(record, slot).unwrap()
}

/// The entries' bodies, without the last one, which only says that the node was stopped.
fn entries(record: &[u8]) -> Vec<Vec<u8>> {
    let mut file = Reading::begin(record).unwrap();
    let mut entries = Vec::new();
    while let Some(entry) = file.next_entry().unwrap() {
        entries.push(entry);
    }
    entries.pop();
    entries
}

/// Entries as a file again, with checks that are right.
fn written(entries: Vec<Vec<u8>>) -> Vec<u8> {
    let buffer = Buffer::default();
    let mut entries = entries.into_iter();
    let start = dvt_node::record::coded::Reader::whole(&entries.next().unwrap(), None).unwrap();
    let mut tape = buffer.tape(&start);
    entries.for_each(|entry| tape.put(entry));
    drop(tape);
    buffer.bytes()
}

#[tokio::test]
async fn a_recorded_node_does_the_same_again_to_the_hash() {
    let record = record().await;
    let replayed = again(&record, None);
    assert!(replayed.is_equal(), "{replayed}");
    assert!(replayed.inputs > 30 && replayed.outputs > 20, "{replayed}");
    assert_eq!(replayed.slots, Some((Slot(39), Slot(48))));
    assert_eq!(replayed.end.as_deref(), Some("the node was stopped"));
    assert_eq!(written(entries(&record)), record, "the control: a record is written again as it is");
    assert_eq!(again(&record, None).trace, replayed.trace);
    assert_ne!(replayed.trace, Root::ZERO);
}

#[tokio::test]
async fn a_slot_s_story_has_what_a_transcript_has() {
    let replayed = again(&record().await, Some(ATTEST));
    let story = replayed.story.unwrap();
    for line in [
        "operators 4\nthreshold 3\nvalidators 2\nshow attest 9\n----\n",
        "100 ms  #1  attest@41: sees the head 4e4e4e4e\n",
        "100 ms  #1  attest@41: votes ",
        "100 ms  #3  attest@41: votes ",
        "#1  answers its client: 1 parts are refused, the first: the signature is not by this operator's",
        "#1  attest@41: its client hands in 1 halves\n",
        "#1  blames #2: BadPartial(ValidatorNo(0))\n",
        "#4  attest@41: sends 2 partial signatures\n",
        "#1  attest@41: submits the signature\n",
        "#1  attest@41: Done",
    ] {
        assert!(story.contains(line), "{line} is not in\n{story}");
    }
    assert!(!story.contains("propose@42"), "another slot's");
}

#[tokio::test]
async fn a_changed_input_is_named_with_both_wishes() {
    let mut entries = entries(&record().await);
    let is_submitted = |entry: &&mut Vec<u8>| entry[0] == INPUT && entry[INPUT_TAG_AT] == SUBMITTED;
    let taken = entries.iter_mut().find(is_submitted).unwrap().last_mut().unwrap();
    assert_eq!(*taken, 1);
    *taken = 0;
    let replayed = again(&written(entries), None);
    let difference = replayed.difference.as_ref().unwrap();
    assert_eq!(difference.told, "has it taken by no beacon node");
    assert_eq!(difference.recorded, "attest@41: Done");
    assert_eq!(difference.at_ms, spec().slot_start(ATTEST).0 + 100);
    assert_ne!(difference.recorded, difference.replayed);
    let words = replayed.to_string();
    for part in [&difference.recorded, &difference.replayed, &format!("after input {}", difference.input)] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    assert!(replayed.inputs == difference.input, "what comes after a difference means nothing");
}

#[tokio::test]
async fn a_message_that_was_changed_is_not_taken_for_what_was_said() {
    let entries = entries(&record().await);
    let by_four = |entry: &Vec<u8>| entry[0] == INPUT && entry[INPUT_TAG_AT..].starts_with(&[PEER, 4]);
    let places: Vec<_> = (0..entries.len()).filter(|place| by_four(&entries[*place])).collect();
    assert!(places.len() >= 3, "a vote, a partial, a proposal");
    let mut words = BTreeSet::new();
    for place in places {
        for at in (INPUT_TAG_AT + 2..).step_by(11).take_while(|at| *at < SIGNED_UNTIL) {
            let mut changed = entries.clone();
            changed[place][at] ^= 1;
            let error = replay(&written(changed)[..], None).expect_err("an entry that nobody wrote");
            words.insert(error.to_string());
        }
    }
    let unsigned =
        |text: &String| text.contains("not a message of operator 4: signature of operator 4 does not verify");
    assert!(words.iter().any(unsigned), "{words:?}");
}

#[tokio::test]
async fn a_record_that_is_cut_off_is_replayed_up_to_there() {
    let record = record().await;
    let whole = again(&record, None);
    let mut longest = 0;
    for len in (record.len() - 3000..record.len()).step_by(7) {
        let cut = again(&record[..len], None);
        assert!(cut.is_equal() && cut.end.is_none(), "{len}: {cut}");
        assert!(cut.to_string().contains("is cut off"));
        assert!(cut.inputs <= whole.inputs && longest <= cut.inputs);
        longest = cut.inputs;
    }
    assert_eq!(longest, whole.inputs, "only the last entry was missing");
}

#[tokio::test]
async fn what_is_no_record_or_damaged_is_refused_with_one_clear_error() {
    let record = record().await;
    let error = |bytes: &[u8]| replay(bytes, None).unwrap_err();
    for no in [&b""[..], b"symbrec", b"{\"json\": true}", &[0xff; 4096]] {
        assert!(matches!(error(no), ReplayError::File(FileError::NoRecord)), "{}", error(no));
    }
    let mut newer = record.clone();
    newer[7] += 1;
    let newer = error(&newer);
    assert!(
        matches!(newer, ReplayError::File(FileError::Version { version }) if version == RECORD_VERSION + 1),
        "{newer}"
    );
    assert!(matches!(error(&record[..100]), ReplayError::File(FileError::NoStart)));
    // Each byte belongs to an entry that is named; in a length, the entry may also seem to be cut off.
    for at in (12..record.len()).step_by(997) {
        let mut damaged = record.clone();
        damaged[at] ^= 0x40;
        match replay(&damaged[..], None) {
            Ok(replayed) => assert!(replayed.end.is_none(), "{at}"),
            Err(ReplayError::File(FileError::Damaged { at: from, .. })) => assert!(from <= at as u64),
            Err(ReplayError::File(FileError::NoStart)) => assert!(at < 16),
            Err(error) => panic!("{at}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_record_is_its_owner_s_only_and_holds_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("records");
    let mut file = None;
    let world = recorded_world(ATTEST, Default::default(), |start| {
        let (tape, path) = Tape::create(&records, LEN_MAX, start).unwrap();
        file = Some(path);
        Some(tape)
    });
    live(&world).await;
    let secrets = Needles::new(world.keys.iter().flat_map(|keys| keys.secrets()));
    drop(world);
    let file = file.unwrap();
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&*file), mode(&*records)), (0o600, 0o700));
    let bytes = std::fs::read(&file).unwrap();
    assert!(again(&bytes, None).is_equal());
    assert_eq!(secrets.find(&bytes), [].into());
}

#[tokio::test]
async fn records_together_take_no_more_than_they_may() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("record-1.symrec"), vec![0; 3 << 20]).unwrap();
    let mut refused = None;
    let _world = recorded_world(ATTEST, Default::default(), |start| {
        refused = Tape::create(folder.path(), 3 << 20, start).err();
        None
    });
    let words = refused.unwrap().to_string();
    assert!(words.contains("take 3145728 bytes of at most 3145728: move them away"), "{words}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    // A record that reaches its end of the room says so, and replays.
    let buffer = Buffer::default();
    let room = 12 << 10;
    let world = recorded_world(ATTEST, Default::default(), |start| {
        Some(Tape::start(buffer.clone(), room, start).unwrap())
    });
    live(&world).await;
    drop(world);
    let bytes = buffer.bytes();
    assert!(bytes.len() as u64 <= room && bytes.len() > 8 << 10);
    let replayed = again(&bytes, None);
    assert!(replayed.is_equal(), "{replayed}");
    assert!(replayed.end.unwrap().contains("as long as it may be"));
}

#[tokio::test]
async fn a_disk_that_hangs_ends_the_record_and_not_the_node() {
    /// Writes once it is allowed to.
    struct Slow(std::sync::mpsc::Receiver<()>, Buffer);
    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The other end is gone when the disk is well again.
            let _ = self.0.recv();
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (well, hangs) = std::sync::mpsc::channel();
    let buffer = Buffer::default();
    let disk = Slow(hangs, buffer.clone());
    let world =
        recorded_world(ATTEST, Default::default(), |start| Some(Tape::start(disk, LEN_MAX, start).unwrap()));
    // Also if something fails below: dropped before the world, which waits for its tape.
    let well = well;
    for ms in 0..10_000 {
        world.at(Millis(spec().slot_start(ATTEST).0 + ms / 10));
    }
    live(&world).await;
    drop(well);
    drop(world);
    let replayed = again(&buffer.bytes(), None);
    assert!(replayed.is_equal(), "{replayed}");
    assert!(replayed.end.unwrap().contains("the disk was too slow"));
}

#[tokio::test]
async fn a_loop_that_panics_leaves_a_record_that_says_so() {
    let buffer = Buffer::default();
    let world = recorded_world(ATTEST, Default::default(), |start| Some(buffer.tape(start)));
    live(&world).await;
    let fall = AssertUnwindSafe(move || {
        let _world = world;
        panic!("planted");
    });
    catch_unwind(fall).unwrap_err();
    let replayed = again(&buffer.bytes(), None);
    assert!(replayed.is_equal() && replayed.panicked.is_none(), "the machine itself is sound: {replayed}");
    assert_eq!(replayed.end.as_deref(), Some("the node's loop panicked"));
    assert_eq!(replayed.inputs, again(&record().await, None).inputs, "nothing is missing");
}
