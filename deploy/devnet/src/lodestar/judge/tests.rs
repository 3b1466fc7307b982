//! A chain of two-slot epochs with four validators: 0 and 1 distributed, 2 and 3 ordinary.

use super::*;

const SLOTS_PER_EPOCH: u64 = 2;

fn distributed() -> BTreeSet<ValidatorIndex> {
    [0, 1].map(ValidatorIndex).into()
}

fn committee(slot: u64, members: &[u64]) -> Committee {
    Committee { slot: Slot(slot), index: 0, members: members.iter().copied().map(ValidatorIndex).collect() }
}

/// Even slots: 0 with 2, proposed by 0. Odd slots: 1 with 3, proposed by 3.
fn record(now: u64) -> Record {
    let duties = |epoch: u64| {
        let first = epoch * SLOTS_PER_EPOCH;
        let committees = vec![committee(first, &[0, 2]), committee(first + 1, &[3, 1])];
        let proposers = [(Slot(first), ValidatorIndex(0)), (Slot(first + 1), ValidatorIndex(3))].into();
        // Seat 0 is ordinary, seats 1 and 9 are those of 1 and 0.
        let sync = [(0, 2), (1, 1), (9, 0)].map(|(seat, who)| (seat, ValidatorIndex(who))).into();
        (Epoch(epoch), EpochDuties { committees, proposers, sync })
    };
    let chain = (1..now).map(|slot| {
        let proposer = ValidatorIndex(if slot % 2 == 0 { 0 } else { 3 });
        let sync_bits = vec![0b11, 0b10];
        (Slot(slot), Block { proposer, attestations: vec![carried(slot - 1, 0b111)], sync_bits })
    });
    Record {
        slots_per_epoch: SLOTS_PER_EPOCH,
        now: Slot(now),
        duties: (0..=now / SLOTS_PER_EPOCH).map(duties).collect(),
        chain: chain.collect(),
        finalized: Epoch(2),
    }
}

fn carried(slot: u64, bits: u8) -> Carried {
    Carried { slot: Slot(slot), index: 0, bits: vec![bits] }
}

fn miss(slot: u64, validator: u64) -> Miss {
    Miss { slot: Slot(slot), validator: ValidatorIndex(validator) }
}

#[test]
fn a_chain_with_everything_in_it_has_no_misses() {
    let judgement = judge(&record(8), &distributed(), Slot(0)).unwrap();
    // Windows of slots 0 to 5 have passed at slot 8; validator 0 proposes 2, 4, 6.
    assert_eq!(judgement.attest, Attested { due: 6, done: 6, excused: 0, missed: 0 });
    assert_eq!(judgement.propose, Proposed { due: 3, done: 3, missed: 0 });
    assert_eq!(judgement.finalized_epoch, Epoch(2));
    assert!(judgement.missed_attestations.is_empty() && judgement.missed_proposals.is_empty());
}

#[test]
fn a_seat_without_its_bit_in_the_next_block_is_a_missed_sync_message_and_without_that_block_none_is_due() {
    let mut record = record(8);
    // Messages of slots 1 to 6, two seats of ours each.
    let synced = |record: &Record| judge(record, &distributed(), Slot(0)).unwrap().sync;
    assert_eq!(synced(&record), Synced { due: 12, done: 12, missed: 0 });
    record.chain.get_mut(&Slot(4)).unwrap().sync_bits = vec![0b11, 0];
    assert_eq!(synced(&record), Synced { due: 12, done: 11, missed: 1 });
    assert_eq!(judge(&record, &distributed(), Slot(0)).unwrap().missed_syncs, [miss(3, 0)]);
    record.chain.remove(&Slot(4));
    assert_eq!(synced(&record), Synced { due: 10, done: 10, missed: 0 });
}

#[test]
fn a_cleared_bit_is_a_missed_attestation_of_that_member() {
    let mut record = record(8);
    // Slot 3, members 3 and 1: only the first signed.
    record.chain.get_mut(&Slot(4)).unwrap().attestations = vec![carried(3, 0b101)];
    let judgement = judge(&record, &distributed(), Slot(0)).unwrap();
    assert_eq!(judgement.attest, Attested { due: 6, done: 5, excused: 0, missed: 1 });
    assert_eq!(judgement.missed_attestations, [miss(3, 1)]);
}

#[test]
fn an_attestation_counts_in_any_later_block_and_only_once() {
    let mut record = record(8);
    record.chain.get_mut(&Slot(4)).unwrap().attestations.clear();
    record.chain.get_mut(&Slot(5)).unwrap().attestations.extend([carried(3, 0b110), carried(3, 0b111)]);
    let judgement = judge(&record, &distributed(), Slot(0)).unwrap();
    assert_eq!(judgement.attest, Attested { due: 6, done: 6, excused: 0, missed: 0 });
}

#[test]
fn a_committee_without_an_ordinary_member_is_excused_unless_it_is_in_the_chain() {
    let mut record = record(8);
    record.duties.get_mut(&Epoch(1)).unwrap().committees = vec![committee(2, &[0, 1]), committee(3, &[2, 3])];
    record.chain.get_mut(&Slot(3)).unwrap().attestations = vec![carried(2, 0b101)];
    let judgement = judge(&record, &distributed(), Slot(0)).unwrap();
    assert_eq!(judgement.attest, Attested { due: 6, done: 5, excused: 1, missed: 0 });
}

#[test]
fn an_empty_slot_and_a_strangers_block_are_missed_proposals() {
    let mut record = record(8);
    let moved = record.chain.remove(&Slot(2)).unwrap().attestations;
    record.chain.get_mut(&Slot(3)).unwrap().attestations.extend(moved);
    record.chain.get_mut(&Slot(4)).unwrap().proposer = ValidatorIndex(2);
    let judgement = judge(&record, &distributed(), Slot(0)).unwrap();
    assert_eq!(judgement.propose, Proposed { due: 3, done: 1, missed: 2 });
    assert_eq!(judgement.missed_proposals, [miss(2, 0), miss(4, 0)]);
    assert_eq!(judgement.attest.missed, 0);
}

#[test]
fn duties_before_the_start_and_of_open_windows_are_not_judged() {
    let mut record = record(8);
    record.chain.get_mut(&Slot(2)).unwrap().attestations.clear(); // those of slot 1
    record.chain.get_mut(&Slot(7)).unwrap().attestations.clear(); // those of slot 6: still open
    let judgement = judge(&record, &distributed(), Slot(2)).unwrap();
    assert_eq!(judgement.attest, Attested { due: 4, done: 4, excused: 0, missed: 0 });
    let all = judge(&record, &distributed(), Slot(0)).unwrap();
    assert_eq!(all.missed_attestations, [miss(1, 1)]);
}

#[test]
fn a_window_closes_after_an_epoch() {
    let mut record = record(8);
    record.chain.get_mut(&Slot(6)).unwrap().attestations.clear(); // those of slot 5
    assert_eq!(judge(&record, &distributed(), Slot(0)).unwrap().missed_attestations, [miss(5, 1)]);
    record.now = Slot(7); // a block of slot 7 could still carry them
    record.chain.remove(&Slot(7));
    assert_eq!(judge(&record, &distributed(), Slot(0)).unwrap().missed_attestations, []);
}

#[test]
fn a_record_with_a_gap_is_not_judged() {
    let mut gap = record(8);
    gap.duties.remove(&Epoch(1));
    assert_eq!(judge(&gap, &distributed(), Slot(0)), Err(JudgeError::NoDuties { epoch: Epoch(1) }));
}

#[test]
fn bits_for_another_committee_are_an_error() {
    let mut wrong = record(8);
    wrong.chain.get_mut(&Slot(4)).unwrap().attestations = vec![carried(3, 0b1001)];
    let error = JudgeError::Bits { slot: Slot(3), index: 0, have: 3, want: 2 };
    assert_eq!(judge(&wrong, &distributed(), Slot(0)), Err(error));
    wrong.chain.get_mut(&Slot(4)).unwrap().attestations[0].index = 5;
    let error = JudgeError::NoCommittee { slot: Slot(3), index: 5 };
    assert_eq!(judge(&wrong, &distributed(), Slot(0)), Err(error));
}

#[test]
fn a_bitlist_ends_at_its_highest_bit() {
    assert_eq!(bitlist_len(&[0b1]), Some(0));
    assert_eq!(bitlist_len(&[0b1_1010]), Some(4));
    assert_eq!(bitlist_len(&[0xff, 0b1]), Some(8));
    assert_eq!(bitlist_len(&[0xff, 0]), None);
    assert_eq!(bitlist_len(&[]), None);
}
