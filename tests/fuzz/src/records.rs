//! Records of nodes: what `dvt-node replay` reads, before any machine is told of it.

use crate::inputs::{Cluster, Draw, INPUTS};
use dvt_node::record::coded::{Coded, Reader};
use dvt_node::record::entry::{End, Entry, Seen, Trace};
use dvt_node::record::file::{ENTRY_LEN_MAX, RECORD_VERSION, Reading};
use dvt_node::record::start::{Place, Start};
use sha2::{Digest, Sha256};
use symbolon_core::journal::{Harmless, Permit};
use symbolon_core::{Output, SignJob, Ticket};
use types::{Millis, Root, Signature, Slot, ValidatorNo};

/// Where a record's parts lie, by the text at the head of `dvt_node::record::file`.
const HEAD_LEN: usize = 8;
const CHECK_LEN: usize = 8;
/// Entries of one input that are read: more say nothing new.
const ENTRIES_MAX: usize = 64;

pub(crate) fn record(input: &[u8]) -> bool {
    let as_it_is = read(input);
    let Some((head, entries)) = input.split_at_checked(HEAD_LEN) else { return as_it_is };
    let put_right = read(&file(head, &bodies(entries)));
    as_it_is || put_right
}

/// What stands between lengths and checks, whatever the checks are.
fn bodies(mut left: &[u8]) -> Vec<&[u8]> {
    let mut bodies = Vec::new();
    while let Some((len, rest)) = left.split_first_chunk() {
        let len = (u32::from_le_bytes(*len) as usize).min(ENTRY_LEN_MAX);
        let Some((body, rest)) = rest.split_at_checked(len) else { break };
        bodies.push(body);
        left = rest.get(CHECK_LEN..).unwrap_or_default();
    }
    bodies
}

/// A file with checks that are right.
fn file(head: &[u8], bodies: &[&[u8]]) -> Vec<u8> {
    let mut file = head.to_vec();
    let mut check = Sha256::digest(head);
    for body in bodies {
        check = Sha256::new().chain_update(check).chain_update(body).finalize();
        let len = u32::try_from(body.len()).expect("an entry is short");
        file.extend([&len.to_le_bytes(), *body, &check[..CHECK_LEN]].concat());
    }
    file
}

/// Whether all of it is a record.
fn read(bytes: &[u8]) -> bool {
    let Ok(mut file) = Reading::begin(bytes) else { return false };
    let Ok(Some(first)) = file.next_entry() else { return false };
    let Ok(start) = Reader::whole::<Start>(&first, None) else { return false };
    let again: Start = Reader::whole(&written(&start), None).expect("what was written is read");
    assert_eq!(written(&again), written(&start));
    let Ok(mut place) = Place::of(&start) else { return false };
    for _ in 0..ENTRIES_MAX {
        let body = match file.next_entry() {
            Ok(Some(body)) => body,
            Ok(None) => return true,
            Err(_) => return false,
        };
        let Ok(entry) = read_entry(&body, &start, &mut place) else { return false };
        let bytes = written(&entry);
        let again = read_entry(&bytes, &start, &mut place).expect("what was written is read");
        assert_eq!((written(&again), format!("{again:?}")), (bytes, format!("{entry:?}")));
    }
    true
}

/// Reads an entry where the machine has just asked for three signatures under the ticket 0.
fn read_entry(
    body: &[u8],
    start: &Start,
    place: &mut Place,
) -> Result<Entry, dvt_node::record::coded::Misread> {
    let job = |slot| {
        let permit = Permit::harmless(&start.setup.spec, ValidatorNo(0), Harmless::Selection(Slot(slot)));
        SignJob { permit, half: Signature::ZERO }
    };
    place.grant(Output::Sign { ticket: Ticket(0), jobs: (0..3).map(job).collect() });
    Reader::whole(body, Some(place))
}

fn written<T: Coded>(one: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    one.put(&mut bytes);
    bytes
}

/// An input of every kind with what came of it, and a record of a node that heard nothing.
pub(crate) fn records() -> Vec<Vec<u8>> {
    let mut draw = Draw(7);
    let cluster = Cluster::draw(&mut draw);
    let seen = Seen { digest: [7; 8], words: "attest@41: Done".to_owned() };
    let trace = Entry::Trace(Trace { outputs: vec![seen], hash: Root([5; 32]) });
    let mut entries = vec![written(&cluster.start)];
    for number in 0..INPUTS.len() {
        let mut input = cluster.input(number, &mut draw);
        if let symbolon_core::Input::Signed { ticket, results } = &mut input {
            *ticket = Ticket(0);
            *results = vec![Ok(Signature([9; 96]))];
        }
        entries.push(written(&Entry::Input { at: Millis(number as u64), input }));
        entries.push(written(&trace));
    }
    entries.push(written(&Entry::End(End::Stopped)));
    let bodies: Vec<_> = entries.iter().map(Vec::as_slice).collect();
    let silent = [bodies[0], &written(&Entry::End(End::Panicked))];
    [&bodies[..], &silent].map(|bodies| file(&[&b"symbrec"[..], &[RECORD_VERSION]].concat(), bodies)).to_vec()
}
