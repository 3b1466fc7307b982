//! The contenders agree, whatever arrives. What they cost is not asked here.

use super::clock::Stopwatch;
use super::made::Made;
use super::ours::Ours;
use super::peer::Peer;
use super::plain::Plain;
use super::{Contender, SigningArgs, Slot, signing};
use types::wire::{Instance, Item, Kind, Message, PartialSignature, Partials, Statement, Step};
use types::{ClusterSize, Generation, Root, ShareIndex, Signature, ValidatorNo};

fn slots(operators: usize, threshold: usize, bad: f64, seed: u64) -> [Slot; 3] {
    let size = ClusterSize::new(operators, threshold).unwrap();
    let (mut made, halves) = Made::new(size, 3, seed).unwrap();
    let arrived = made.arrived(bad);
    let mut plain = Plain { made: &made, verifying: Stopwatch::default() };
    let mut peer = Peer::new(&made).unwrap();
    let mut ours = Ours::new(&made, halves).unwrap();
    [plain.slot(&arrived).unwrap(), peer.slot(&arrived).unwrap(), ours.slot(&arrived).unwrap()]
}

#[test]
fn three_ways_give_the_same_signatures_and_name_the_same_cheats() {
    let mut named = 0;
    for (operators, threshold, bad) in [(4, 3, 0.0), (4, 3, 0.3), (5, 4, 0.2), (7, 5, 0.25)] {
        let [plain, peer, ours] = slots(operators, threshold, bad, 7);
        assert_eq!(plain, peer, "{operators} {threshold} {bad}");
        assert_eq!(plain.signatures, ours.signatures, "{operators} {threshold} {bad}");
        assert!(ours.culprits.is_subset(&plain.culprits));
        named += ours.culprits.len();
    }
    assert!(named > 0, "nothing was bad");
}

#[test]
fn where_too_few_are_good_nobody_has_a_signature() {
    for slot in slots(4, 3, 1.0, 3) {
        assert_eq!(slot.signatures, [None; 3]);
    }
}

#[test]
fn what_is_verified_alone_costs_pairings_for_each_and_what_is_checked_at_once_costs_four() {
    let [plain, peer, ours] = slots(4, 3, 0.0, 1);
    // A half, three partials and the combination, of three validators.
    assert_eq!((plain.pairings, peer.pairings), (2 * 5 * 3, 2 * 5 * 3));
    assert_eq!(ours.pairings, 4);
}

#[test]
fn a_partial_takes_101_bytes_of_a_frame() {
    let frame = |count: u32| {
        let item = |no| Item::of(ValidatorNo(no));
        let partial = |no| PartialSignature { item: item(no), signature: Signature::INFINITY };
        let partials: Vec<_> = (0..count).map(partial).collect();
        let instance = Instance::new(Generation(0), types::Slot(7), Kind::Attest);
        let extra = Partials::extra(&partials);
        let statement = Statement { instance, step: Step::Partial, round: 0, hash: Root([1; 32]), extra };
        let author = ShareIndex::new(1).unwrap();
        Message::Partial(Partials { signed: statement.unsigned(author), partials }).to_frame().len()
    };
    assert_eq!(frame(33) - frame(32), 101);
    assert!(frame(0) < 256, "what a frame has besides: {}", frame(0));
}

#[test]
fn a_measurement_says_what_it_measured() {
    let args =
        SigningArgs { validators: 64, operators: 4, threshold: 3, bad: 0.2, rounds: 1, seed: 5, json: false };
    let report = signing(&args).unwrap();
    assert_eq!(report.attesters, 2);
    for ms in [report.ms.plain, report.ms.threshold_crypto, report.ms.ours, report.bare_verify_ms] {
        assert!(ms > 0.0, "{report:?}");
    }
    assert!(report.to_string().contains("(c) ours"));
    let none = signing(&SigningArgs { threshold: 1, ..args });
    assert!(none.unwrap_err().to_string().contains("threshold 1"));
}
