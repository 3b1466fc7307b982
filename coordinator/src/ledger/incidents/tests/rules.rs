//! What incidents refuse, and random runs against sums kept slowly.

use super::*;
use types::Preset;

type Row = (fn(&mut World) -> Command, fn(&Refusal) -> bool);

macro_rules! row {
    ($command:expr, $refusal:pat) => {
        ($command, |refusal| matches!(refusal, $refusal))
    };
}

fn opening(fault: Fault) -> Command {
    let evidence = if matches!(fault, Fault::MissedExit(_)) { Evidence::new() } else { evidence() };
    Command::Open { fault, evidence }
}

const ROWS: [Row; 16] = [
    row!(|_| opening(Fault::Slashing(slashed(100, 900))), Refusal::Known { .. }),
    row!(
        |_| Command::Open { fault: stolen(100, 1, 1), evidence: Evidence::new() },
        Refusal::Evidence { have: 0 }
    ),
    row!(
        |_| Command::Open { fault: Fault::MissedExit(ValidatorIndex(100)), evidence: evidence() },
        Refusal::Evidence { have: 1 }
    ),
    row!(|_| opening(Fault::Slashing(slashed(300, 900))), Refusal::NotOurs { .. }),
    row!(
        |_| {
            let down = Downtime { cluster: cluster(9), from: Epoch(1), until: Epoch(2), cost: Gwei(0) };
            opening(Fault::Downtime(down))
        },
        Refusal::NoMembers { .. }
    ),
    row!(
        |_| opening(Fault::Slashing(Slashing { slashed: Epoch(899), ..slashed(101, 900) })),
        Refusal::NoSlashing(..)
    ),
    row!(
        |_| {
            let fast = slashed(101, 900);
            opening(Fault::Slashing(Slashing { withdrawable: Epoch(fast.withdrawable.0 - 1), ..fast }))
        },
        Refusal::NoSlashing(..)
    ),
    row!(
        |_| opening(Fault::Slashing(Slashing { effective: Gwei(2049 * ETH), ..slashed(101, 900) })),
        Refusal::Effective { .. }
    ),
    row!(
        |_| {
            let Fault::Theft(theft) = stolen(100, 1, 1) else { panic!("a theft") };
            opening(Fault::Theft(Theft { paid_to: RECIPIENT, ..theft }))
        },
        Refusal::NotStolen { .. }
    ),
    row!(
        |_| {
            let down = Downtime { cluster: cluster(1), from: Epoch(900), until: Epoch(1001), cost: Gwei(0) };
            opening(Fault::Downtime(down))
        },
        Refusal::Downtime { .. }
    ),
    row!(|_| opening(Fault::MissedExit(ValidatorIndex(100))), Refusal::NotMissed { .. }),
    row!(
        |world| {
            let deadline = world.now + 1;
            world.missed = Some(MissedExit { epoch: Epoch(1), deadline, missing: operators(&[1]) });
            opening(Fault::MissedExit(ValidatorIndex(100)))
        },
        Refusal::NotMissed { .. }
    ),
    row!(|_| Command::Settle { incident: 7 }, Refusal::NotOpen { incident: 7 }),
    row!(
        |world| {
            world.open(stolen(100, 1, 1)).unwrap();
            Command::Look { incident: 1, epoch: Epoch(999), lost: Gwei(1) }
        },
        Refusal::OtherKind { incident: 1 }
    ),
    row!(|_| Command::Repay { operator: operator(1), amount: Wei(U256::ONE) }, Refusal::NotOwed { .. }),
    row!(|_| Command::Repay { operator: operator(1), amount: Wei::ZERO }, Refusal::NotOwed { .. }),
];

#[test]
fn each_rule_refuses_what_breaks_it() {
    for (at, (command, expected)) in ROWS.into_iter().enumerate() {
        let mut world = World::new();
        world.slash(100, 900);
        let command = command(&mut world);
        let refusal = world.decide(&command).expect_err("a rule is broken");
        assert!(expected(&refusal), "row {at}: {refusal}");
    }
}

#[test]
fn an_event_that_does_not_fit_changes_nothing() {
    let mut world = World::new();
    world.bond(&[(1, 1)]);
    let incident = world.over(100, 450, 20);
    let closed = world.settle(incident).unwrap();
    world.slash(101, 450);
    let opened = world.decide(&opening(stolen(100, 1, 1))).unwrap()[0].clone();
    let mut bad = closed;
    bad.retain(|event| matches!(event, Event::Paid { .. } | Event::Closed { .. }));
    bad.extend([
        Event::Frozen(cluster(1)),
        Event::Thawed(cluster(2)),
        Event::QueueHeld,
        Event::Seen { incident: 9, epoch: Epoch(1), lost: Gwei(1) },
        Event::Proven { incident: 1, guilty: operators(&[7]) },
        Event::Proven { incident: 1, guilty: BTreeSet::new() },
        Event::Closed { incident: 1, loss: Wei(U256::ONE), debts: Debts::default() },
        Event::Repaid { incident: 1, operator: operator(1), amount: Wei(U256::ONE), to: Vec::new() },
        Event::Repaid { incident: 0, operator: operator(1), amount: Wei(U256::ONE), to: Vec::new() },
        Event::Repaid { incident: 0, operator: operator(9), amount: Wei(U256::ONE), to: Vec::new() },
    ]);
    let Event::Opened(next) = opened else { panic!("it opens") };
    for change in [
        (|opened: &mut Opened| opened.incident = 5) as fn(&mut Opened),
        |opened| opened.key = Key::Slashing(ValidatorIndex(100)),
        |opened| opened.guilty = operators(&[9]),
    ] {
        let mut opened = next.clone();
        change(&mut opened);
        bad.push(Event::Opened(opened));
    }
    let before = world.state.clone();
    for event in &bad {
        let mut state = before.clone();
        assert!(apply(&mut state, event).is_err(), "{event:?}");
        assert_eq!(state, before, "{event:?}");
    }
}

#[test]
fn a_slashed_validator_waits_as_long_as_its_network_says() {
    let waits = |preset, epochs| {
        let mut world = World::new();
        world.spec.preset = preset;
        let fault = slashed(100, 450);
        let withdrawable = Epoch(fault.slashed.0 + epochs);
        world.decide(&opening(Fault::Slashing(Slashing { withdrawable, ..fault }))).is_ok()
    };
    for (preset, epochs) in [(Preset::Mainnet, 8_192), (Preset::Gnosis, 8_192), (Preset::Minimal, 64)] {
        assert_eq!([waits(preset, epochs - 1), waits(preset, epochs)], [false, true], "{preset:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Against the slow version: each tier pays what is left, or all it has; who is guilty owes the rest in equal parts.
    #[test]
    fn the_steps_are_the_loss_and_debts_are_what_others_paid(
        bonds in prop::collection::vec(0u64..5 * ETH, 4), reserve in 0u64..5 * ETH, lost in 7_812_500u64..32 * ETH,
        stands: bool, named in prop::option::of(prop::sample::select(vec![[1u8, 2], [1, 4], [3, 4]])),
        payments in prop::collection::vec((1u8..5, 1u64..9 * ETH), 0..12),
    ) {
        let mut world = World::new();
        world.bonds = (1..).zip(&bonds).map(|(no, gwei)| (operator(no), wide::wei(Gwei(*gwei)))).collect();
        (world.reserve, world.terms.cluster_stands) = (wide::wei(Gwei(reserve)), stands);
        world.slash(100, 450);
        world.finalized = Epoch(451 + SLASHINGS_EPOCHS);
        world.look(0, world.finalized.0, lost).unwrap();
        if let Some([one, other]) = named {
            let rest: Vec<u8> = (1..=4).filter(|no| *no != one && *no != other).collect();
            world.prove(0, &[one, other, rest[0]], &[one, other, rest[1]]).unwrap();
        }
        let guilty = guilty(&world, 0);
        let (had, reserve_had) = (world.bonds.clone(), world.reserve);
        world.settle(0).unwrap();
        // The slow way, in gwei: all amounts are whole.
        let tier = |is_guilty: bool| (1u8..=4).zip(&bonds).filter(|(no, _)| guilty.contains(&operator(*no)) == is_guilty).map(|(_, gwei)| *gwei).sum::<u64>();
        let of_guilty = tier(true).min(lost);
        let of_cluster = if stands { tier(false).min(lost - of_guilty) } else { 0 };
        let of_reserve = reserve.min(lost - of_guilty - of_cluster);
        let taken = |is_guilty: bool| {
            let all = (1u8..=4).map(operator).filter(|who| guilty.contains(who) == is_guilty);
            wide::total(all.map(|who| wide::sub(had[&who], world.bonds[&who]).unwrap())).unwrap()
        };
        prop_assert_eq!(taken(true), wide::wei(Gwei(of_guilty)));
        prop_assert_eq!(taken(false), wide::wei(Gwei(of_cluster)));
        prop_assert_eq!(wide::sub(reserve_had, world.reserve).unwrap(), wide::wei(Gwei(of_reserve)));
        prop_assert_eq!(world.cover, wide::wei(Gwei(of_guilty + of_cluster + of_reserve)));
        let owed = world.state.debts().unwrap();
        prop_assert_eq!(wide::total(owed.values().copied()).unwrap(), wide::wei(Gwei(lost - of_guilty)));
        let known: BTreeMap<_, _> = world.debts.clone().into_iter().filter(|(_, debt)| *debt != Wei::ZERO).collect();
        prop_assert_eq!(&owed, &known, "the book of bonds has the same debts");
        if let (Some(most), Some(least)) = (owed.values().max(), owed.values().min()) {
            prop_assert!(most.0 - least.0 <= U256::ONE && owed.keys().all(|who| guilty.contains(who)));
        }
        // Whatever is paid comes back to who paid, never more than is owed.
        for (no, gwei) in payments {
            let (who, amount) = (operator(no), wide::wei(Gwei(gwei)));
            let before = world.state.owed(who).unwrap();
            let paid = amount.min(before);
            if amount > before {
                let refused = matches!(world.act(&Command::Repay { operator: who, amount }), Err(Refusal::NotOwed { .. }));
                prop_assert!(refused);
            }
            if paid != Wei::ZERO {
                world.act(&Command::Repay { operator: who, amount: paid }).unwrap();
                prop_assert_eq!(world.state.owed(who).unwrap(), wide::sub(before, paid).unwrap());
            }
        }
        for (who, owed) in world.state.debts().unwrap() {
            world.act(&Command::Repay { operator: who, amount: owed }).unwrap();
        }
        prop_assert!(world.state.incidents().is_empty());
        prop_assert_eq!(world.cover, wide::wei(Gwei(lost)), "delegators have everything back");
        prop_assert_eq!(world.reserve, reserve_had);
        for who in (1u8..=4).map(operator).filter(|who| !guilty.contains(who)) {
            prop_assert_eq!(world.bonds[&who], had[&who]);
        }
    }
}
