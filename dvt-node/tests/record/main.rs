//! What a record holds is read as it was written: inputs of every kind, and what the node was built from.

mod inputs;

use dvt_node::record::Entry;
use dvt_node::record::Start;
use dvt_node::record::coded::{Coded, Misread, Reader};
use dvt_node::record::start::Place;
use inputs::{
    ASKS, Cluster, Draw, INPUTS, KEPT, REASONS, ask_kind, input_kind, kept_kind, operator, reason_kind,
};
use std::collections::BTreeSet;
use symbolon_core::{Input, Ticket};
use types::{ClusterSize, Millis, Signature};

/// Draws of each kind of input.
const DRAWS: u64 = 200;

fn bytes_of<T: Coded>(one: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    one.put(&mut bytes);
    bytes
}

/// Every kind of input, with seeds that differ.
fn drawn() -> impl Iterator<Item = (Cluster, Input)> {
    (0..DRAWS).flat_map(|seed| {
        (0..INPUTS.len()).map(move |number| {
            let mut draw = Draw(seed << 8 | number as u64);
            let cluster = Cluster::draw(&mut draw);
            let input = cluster.input(number, &mut draw);
            assert_eq!(input_kind(&input), INPUTS[number], "each at its place");
            (cluster, input)
        })
    })
}

#[test]
fn every_input_is_read_as_it_was_written() {
    let mut kinds = BTreeSet::new();
    for (cluster, input) in drawn() {
        kinds.insert(("input", input_kind(&input)));
        if let Input::Ask { ask, .. } = &input {
            kinds.insert(("ask", ask_kind(ask)));
        }
        if let Input::Recall(kept) = &input {
            kinds.insert(("kept", kept_kind(kept)));
        }
        if let Input::Stop(reason) = &input {
            kinds.insert(("reason", reason_kind(reason)));
        }
        let mut place = cluster.place(&input);
        let entry = Entry::Input { at: Millis(7), input };
        let bytes = bytes_of(&entry);
        let again: Entry = Reader::whole(&bytes, Some(&mut place)).unwrap();
        assert_eq!(format!("{again:?}"), format!("{entry:?}"));
        assert_eq!(bytes_of(&again), bytes);
    }
    let all = INPUTS.len() + ASKS.len() + KEPT.len() + REASONS.len();
    assert_eq!(kinds.len(), all, "every kind was drawn: {kinds:?}");
}

#[test]
fn an_entry_that_is_cut_or_goes_on_is_refused() {
    for (cluster, input) in drawn().take(INPUTS.len()) {
        let place = || cluster.place(&input);
        let mut bytes = Vec::new();
        input.put(&mut bytes);
        for len in 0..bytes.len() {
            let cut = Reader::whole::<Input>(&bytes[..len], Some(&mut place()));
            assert!(cut.is_err(), "{} of {} bytes of {input:?}", len, bytes.len());
        }
        bytes.push(0);
        let longer = Reader::whole::<Input>(&bytes, Some(&mut place())).unwrap_err();
        assert_eq!(longer, Misread::Left { have: 1 }, "{input:?}");
    }
}

#[test]
fn what_a_node_is_built_from_is_read_as_it_was_written() {
    for seed in 0..DRAWS {
        let Cluster { start, .. } = Cluster::draw(&mut Draw(seed));
        let bytes = bytes_of(&start);
        let again: Start = Reader::whole(&bytes, None).unwrap();
        assert_eq!(format!("{again:?}"), format!("{start:?}"));
        assert_eq!(bytes_of(&again), bytes);
        let node = |start: &Start| format!("{:?}", start.node());
        assert_eq!(node(&again), node(&start), "the same machine");
    }
}

#[test]
fn a_beginning_whose_numbers_do_not_fit_together_is_refused() {
    let start = || Cluster::draw(&mut Draw(1)).start;
    assert!(Place::of(&start()).is_ok(), "the control");
    let mut short = start();
    short.histories.pop();
    assert_eq!(refused(&short), Misread::Count { what: "histories", have: 2, want: 3 });
    let mut strangers = start();
    strangers.setup.size = ClusterSize::new(5, 3).unwrap();
    assert_eq!(refused(&strangers), Misread::Count { what: "node keys", have: 4, want: 5 });
    let mut other = start();
    other.setup.me = operator(5);
    assert_eq!(refused(&other), Misread::Operator { index: 5 });
    let mut twice = start();
    twice.node_keys[1] = twice.node_keys[0];
    assert!(matches!(refused(&twice), Misread::NodeKeys(_)));
}

fn refused(start: &Start) -> Misread {
    Place::of(start).unwrap_err()
}

#[test]
fn a_permit_is_given_back_once_and_only_under_its_ticket() {
    let mut draw = Draw(2);
    let cluster = Cluster::draw(&mut draw);
    let signed = |ticket, len| Input::Signed {
        ticket: Ticket(ticket),
        results: (0..len).map(|_| Ok(Signature::ZERO)).collect(),
    };
    let mut place = cluster.place(&signed(5, 2));
    let mut read = |input: Input| {
        let bytes = bytes_of(&input);
        Reader::whole::<Input>(&bytes, Some(&mut place)).map(drop)
    };
    assert_eq!(read(signed(6, 1)), Err(Misread::NoPermit(6)));
    assert_eq!(read(signed(5, 2)), Ok(()));
    assert_eq!(read(signed(5, 1)), Err(Misread::NoPermit(5)), "they are used up");
}
