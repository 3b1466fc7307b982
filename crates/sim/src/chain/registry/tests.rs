//! Balances by hand: what a validator earns, loses, and takes along.

use super::*;
use types::payload::Withdrawal;

const ETH: u64 = INCREMENT;

fn key(no: u8) -> PublicKey {
    PublicKey([no; 48])
}

fn credentials(kind: u8) -> Root {
    let mut credentials = Root([0xaa; 32]);
    credentials.0[0] = kind;
    credentials
}

/// Validators of 32 ETH, of credentials without an address.
fn registry(count: u8) -> Registry {
    Registry::new((0..count).map(|no| (key(no), credentials(0), Gwei(32 * ETH))))
}

const ALL: Flags = Flags { source: true, target: true, head: true };

fn begin(registry: &mut Registry, epoch: u64, did: impl Fn(u64) -> Flags) -> Vec<PublicKey> {
    registry.begin(Epoch(epoch), |who| did(who.0), Epoch(epoch.saturating_sub(2)), Slot(8 * epoch))
}

fn deposit(no: u8, eth: u64, is_signed: bool, slot: u64) -> Deposit {
    let (amount, signature) = (Gwei(eth * ETH), Signature([no; 96]));
    Deposit { pubkey: key(no), credentials: credentials(1), amount, signature, is_signed, slot: Slot(slot) }
}

#[test]
fn who_does_everything_earns_what_the_specification_says_and_who_does_nothing_loses_it() {
    let mut registry = registry(64);
    let idle = |who| if who == 3 { Flags::default() } else { ALL };
    begin(&mut registry, 1, idle);
    assert_eq!(registry.accounts()[0].balance, Gwei(32 * ETH), "nothing is paid before an epoch is over");
    begin(&mut registry, 2, idle);
    // 64 * 10^9 / isqrt(2048 ETH in gwei) an increment; 63 of 64 took part.
    let base = 32 * (64 * ETH / 1_431_083);
    let reward = |weight: u64| base * weight * (63 * 32) / (64 * 32) / 64;
    let penalty = |weight: u64| base * weight / 64;
    let earned = reward(14) + reward(26) + reward(14);
    assert_eq!(registry.accounts()[0].balance, Gwei(32 * ETH + earned));
    assert_eq!(registry.accounts()[3].balance, Gwei(32 * ETH - penalty(14) - penalty(26)));
    let paid = registry.paid(Epoch(0)).unwrap();
    assert_eq!(paid.ideal[&Gwei(32 * ETH)], [reward(14), reward(26), reward(14)]);
    assert_eq!(paid.totals[&ValidatorIndex(3)], [-(penalty(14) as i64), -(penalty(26) as i64), 0]);
    assert_eq!(registry.paid(Epoch(1)), None);
}

#[test]
fn a_deposit_makes_a_validator_once_it_is_final_and_signed_and_an_active_one_later() {
    let mut registry = registry(4);
    registry.deposit(deposit(9, 1, true, 7));
    registry.deposit(deposit(8, 32, false, 8));
    registry.deposit(deposit(9, 31, false, 17));
    let begun = |registry: &mut Registry, epoch| begin(registry, epoch, |_| ALL);
    assert_eq!(begun(&mut registry, 1), [key(9)], "of slots up to 8");
    let young = *registry.account(ValidatorIndex(4)).unwrap();
    assert_eq!((young.balance, young.status(Epoch(1))), (Gwei(ETH), ValidatorStatus::PendingInitialized));
    assert_eq!(registry.pending().count(), 1, "a signature that is none makes no validator, and is gone");
    for epoch in 2..=3 {
        assert_eq!(begun(&mut registry, epoch), []);
    }
    // A top-up needs no signature.
    let full = *registry.account(ValidatorIndex(4)).unwrap();
    assert_eq!((full.balance, full.effective), (Gwei(32 * ETH), Gwei(32 * ETH)));
    let mut activation = None;
    for epoch in 4..=9 {
        begun(&mut registry, epoch);
        activation = activation.or(registry.account(ValidatorIndex(4)).unwrap().activation);
    }
    // Eligible in epoch 4, final when 6 begins, active after the lookahead.
    assert_eq!(activation, Some(Epoch(10)));
    let account = registry.account(ValidatorIndex(4)).unwrap();
    assert_eq!(account.status(Epoch(9)), ValidatorStatus::PendingQueued);
    assert_eq!(account.status(Epoch(10)), ValidatorStatus::ActiveOngoing);
    assert_eq!(registry.at(Epoch(3)).unwrap().0[4].balance, Gwei(32 * ETH));
    assert_eq!(registry.at(Epoch(1)).unwrap().1.len(), 1);
    assert!(registry.at(Epoch(10)).is_none());
}

#[test]
fn who_leaves_gets_all_of_it_and_who_stays_what_is_too_much() {
    let with = [
        (key(0), credentials(1), Gwei(33 * ETH)),
        (key(1), credentials(2), Gwei(33 * ETH)),
        (key(2), credentials(0), Gwei(33 * ETH)),
    ];
    let mut registry = Registry::new(with);
    let paid = |index, who, amount| Withdrawal {
        index,
        validator_index: ValidatorIndex(who),
        address: Address([0xaa; 20]),
        amount: Gwei(amount),
    };
    assert_eq!(
        registry.withdrawals(Epoch(0)),
        [paid(0, 0, ETH)],
        "neither compounding nor without an address"
    );
    registry.withdraw(&[paid(0, 0, ETH)]);
    assert_eq!(registry.withdrawals(Epoch(0)), []);
    assert_eq!(registry.exit(ValidatorIndex(1), Epoch(3)), Some(Epoch(8)));
    assert_eq!(registry.exit(ValidatorIndex(1), Epoch(5)), Some(Epoch(8)), "once");
    let status =
        |registry: &Registry, epoch| registry.account(ValidatorIndex(1)).unwrap().status(Epoch(epoch));
    assert_eq!(status(&registry, 7), ValidatorStatus::ActiveExiting);
    assert_eq!(status(&registry, 8), ValidatorStatus::ExitedUnslashed);
    assert_eq!(status(&registry, 8 + WITHDRAWABILITY_DELAY), ValidatorStatus::WithdrawalPossible);
    let gone = Epoch(8 + WITHDRAWABILITY_DELAY);
    assert_eq!(registry.withdrawals(Epoch(gone.0 - 1)), []);
    assert_eq!(registry.withdrawals(gone), [paid(1, 1, 33 * ETH)]);
    registry.withdraw(&[paid(1, 1, 33 * ETH)]);
    assert_eq!(status(&registry, gone.0), ValidatorStatus::WithdrawalDone);
    assert_eq!(registry.exit(ValidatorIndex(7), Epoch(0)), None);
}

#[test]
fn a_sweep_goes_round_so_that_nobody_is_left_out() {
    let count = 2 * WITHDRAWALS_MAX as u8 + 1;
    let mut registry = Registry::new((0..count).map(|no| (key(no), credentials(1), Gwei(33 * ETH))));
    let mut swept = Vec::new();
    for _ in 0..4 {
        let due = registry.withdrawals(Epoch(0));
        registry.withdraw(&due);
        swept.extend(due.iter().map(|one| (one.index, one.validator_index.0)));
    }
    let each: Vec<_> = (0..u64::from(count)).map(|no| (no, no)).collect();
    assert_eq!(swept, each);
}

#[test]
fn a_slashing_costs_at_once_half_way_and_every_epoch_between() {
    let mut registry = registry(8);
    assert_eq!(registry.slash(ValidatorIndex(2), Epoch(3)), Some(Epoch(8)));
    assert_eq!(registry.slash(ValidatorIndex(2), Epoch(3)), None, "once");
    let account = *registry.account(ValidatorIndex(2)).unwrap();
    assert_eq!(account.balance, Gwei(32 * ETH - 32 * ETH / PENALTY));
    assert_eq!(account.withdrawable, Some(Epoch(3 + SLASHINGS_EPOCHS)));
    assert_eq!(account.status(Epoch(7)), ValidatorStatus::ActiveSlashed);
    assert_eq!(account.status(Epoch(8)), ValidatorStatus::ExitedSlashed);
    let lost = |registry: &Registry| 32 * ETH - registry.account(ValidatorIndex(2)).unwrap().balance.0;
    let mut costs = Vec::new();
    for epoch in 4..=3 + SLASHINGS_EPOCHS + 2 {
        let before = lost(&registry);
        begin(&mut registry, epoch, |_| ALL);
        costs.push((epoch, lost(&registry) - before));
    }
    let largest = costs.iter().max_by_key(|(_, cost)| *cost).unwrap();
    // Current is the epoch before: it sees what ends half a vector later. For each of its increments it pays three times what
    // was slashed, 32 ETH, in parts of what is still active, 224.
    assert_eq!(largest.0, 3 + SLASHINGS_EPOCHS / 2 + 1);
    let by_increment = 3 * 32 * ETH / 224;
    let missed = costs[0].1;
    assert!((32 * by_increment..32 * by_increment + 2 * missed).contains(&largest.1), "{largest:?}");
    // It pays for each epoch in which it might have attested, until the last before it is free.
    let paying: Vec<_> = costs.iter().filter(|(_, cost)| *cost > 0).map(|(epoch, _)| *epoch).collect();
    assert_eq!(paying, (4..=3 + SLASHINGS_EPOCHS).collect::<Vec<_>>());
}

/// `MIN_SLASHING_PENALTY_QUOTIENT_ELECTRA`, again.
const PENALTY: u64 = 4_096;
