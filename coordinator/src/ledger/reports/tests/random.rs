//! Random frames: every part together is what the balances say, to the wei.

use super::*;

prop_compose! {
    /// What may happen to a validator in a frame: earned, missed, leaked, swept, added; and whether it is slashed, and for what.
    fn life()(
        earned in 0u64..ETH, missed in 0u64..ETH / 10, leaked in 0u64..ETH / 10, swept in 0u64..2 * ETH,
        added in prop_oneof![Just(0u64), 1u64..64 * ETH], slashed in prop::option::weighted(0.2, 0u64..16 * ETH),
        lazy in any::<bool>(),
    ) -> [u64; 6] {
        [if lazy { 0 } else { earned }, missed, leaked, swept, added, slashed.map_or(u64::MAX, |penalty| penalty)]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn all_parts_together_are_what_balances_say_to_the_wei(
        lives in prop::collection::vec(life(), 4), el in 0u64..5 * ETH, lost in prop_oneof![Just(0u64), 1u64..ETH],
        owed in prop::collection::vec((1u8..9, 0u64..ETH / 100), 0..5),
        counts in prop::collection::vec((1u8..5, 1u8..5, 0u64..130), 0..12),
        made in 0u64..=100, delinquent in 0usize..4, pledge in 0u64..100, influence in 0u64..4, to_others: bool,
    ) {
        let terms = policy(|terms| {
            terms.saturation.pledge_influence = Ratio::of(influence, 10).unwrap();
            terms.losses.unearned = if to_others { NotEarned::ToOthers } else { NotEarned::ToReserve };
        });
        let mut world = World::staked(terms, [2, 2]);
        world.el_rewards = Wei(wide::wei(Gwei(el)).0 + U256::from(el % 7));
        world.owed = owed.iter().map(|(no, gwei)| (operator(*no), wide::wei(Gwei(*gwei)))).collect();
        let index = |no| ShareIndex::new(no).unwrap();
        let one = world.clusters.get_mut(&cluster(1)).unwrap();
        one.seats[delinquent].delinquent = true;
        one.pledge = eth(pledge);
        for (by, of, count) in counts {
            one.statements.entry(index(by)).or_default().insert(index(of), count);
        }
        let mut report = world.next();
        report.lost = Gwei(lost);
        report.clusters.get_mut(&cluster(2)).unwrap().duties.made = made;
        // The slow way: signed numbers of gwei, validator by validator.
        let mut delta = -i128::from(lost);
        let places = [(1, 0), (1, 1), (2, 0), (2, 1)];
        for ((no, at), [earned, missed, leaked, swept, added, penalty]) in places.into_iter().zip(&lives) {
            let validator = of(&mut report, no, at);
            let penalty = if *penalty == u64::MAX { 0 } else { validator.slashed = true; *penalty };
            let net = i128::from(*earned) - i128::from(missed + leaked + penalty);
            validator.balance = Gwei(u64::try_from(i128::from(32 * ETH) + net + i128::from(*added) - i128::from(*swept)).unwrap());
            (validator.missed, validator.leaked, validator.penalised) = (Gwei(*missed), Gwei(*leaked), Gwei(penalty));
            (validator.swept, validator.arrived) = (Gwei(*swept), Gwei(*added));
            delta += net;
        }
        let reported = world.report(&report).unwrap();
        let parts = &reported.parts;
        let signed = |net: Net| {
            let (gain, loss) = net.sides();
            i128::try_from(gain.0.to::<u128>()).unwrap() - i128::try_from(loss.0.to::<u128>()).unwrap()
        };
        let wei = |wei: Wei| i128::try_from(wei.0.to::<u128>()).unwrap();
        let want = delta * 1_000_000_000 + wei(world.el_rewards);
        prop_assert_eq!(signed(reported.result), want);
        let others = wei(parts.pool) + wei(parts.reserve) + wei(parts.operators) + wei(parts.debts);
        prop_assert_eq!(signed(parts.delegators) + others, want);
        // Fees are of a gain of the consensus layer only.
        if delta <= 0 {
            prop_assert_eq!(others, 0);
        } else {
            prop_assert_eq!(others, want / 10);
        }
        // By operator and by cluster it is the same.
        let by_operator = wide::total(reported.operators.values().map(|earned| Wei(earned.repaid.0 + earned.kept.0))).unwrap();
        let by_cluster = wide::total(reported.clusters.values().flat_map(|one| &one.parts).map(|part| part.earned)).unwrap();
        prop_assert_eq!(by_operator, by_cluster);
        prop_assert_eq!(wei(by_operator), wei(parts.operators) + wei(parts.debts));
        for (who, earned) in &reported.operators {
            let owed = world.owed.get(who).copied().unwrap_or_default();
            prop_assert!(earned.kept == Wei::ZERO || earned.repaid == owed, "debts are paid first");
        }
        // Nobody in a cluster gets more than its reward, and the clusters no more than the pot.
        let pot = if delta > 0 { want / 20 } else { 0 };
        let rewards = wide::total(reported.clusters.values().map(|one| one.reward)).unwrap();
        prop_assert!(wei(rewards) <= pot);
        for one in reported.clusters.values() {
            prop_assert!(wide::total(one.parts.iter().map(|part| part.earned)).unwrap() <= one.reward);
        }
        prop_assert_eq!(world.state.balance().unwrap(), wide::wei(reported.balance));
    }

    /// Of the chain's numbers to what an operator earns: with a pledge that stays, a larger cluster never earns more for each
    /// unit of stake. Where the pledge counts that is so from saturation on only, as the curve is.
    #[test]
    fn the_yield_of_a_unit_never_rises_with_the_clusters_size(
        (small, large) in (1u64..40, 1u64..40).prop_map(|(one, other)| (one.min(other), one.max(other))),
        pledge in 0u64..32, influence in 0u64..4, earned in 1u64..1_000_000,
    ) {
        const ALL: u64 = 48;
        let saturated = 3 * small >= ALL;
        let influence = if saturated { influence } else { 0 };
        let yields = |size: u64| {
            let terms = |terms: &mut Terms| {
                terms.saturation.pledge_influence = Ratio::of(influence, 10).unwrap();
            };
            let mut world = World::staked(policy(terms), [size, ALL - size]);
            world.clusters.get_mut(&cluster(1)).unwrap().pledge = eth(pledge);
            let mut report = world.next();
            gain(&mut report, earned);
            let one = world.report(&report).unwrap().clusters[&cluster(1)].clone();
            [one.reward.0, one.parts[0].earned.0]
        };
        // Rounded down: once, and three times.
        for ((of_small, of_large), dust) in yields(small).into_iter().zip(yields(large)).zip([1u64, 3]) {
            let (small, large) = (U256::from(small), U256::from(large));
            prop_assert!(of_large * small <= (of_small + U256::from(dust)) * large, "{of_small} then {of_large}");
        }
    }

    #[test]
    fn commissions_are_added_up_key_by_key(
        steps in prop::collection::vec((1u32..9, 0u16..=10_000), 0..6), base in 0u16..=10_000,
        first in 1u32..60, keys in 0u32..60,
    ) {
        let mut from_key = 1;
        let mut all = vec![CommissionStep { from_key, part: BasisPoints::new(base).unwrap() }];
        for (length, part) in steps {
            from_key += length;
            all.push(CommissionStep { from_key, part: BasisPoints::new(part).unwrap() });
        }
        let commission = Commission::new(all).unwrap();
        let slow: u64 = (first..first + keys).map(|key| u64::from(commission.of_key(key).get())).sum();
        prop_assert_eq!(commission_bp(&commission, first, keys), slow);
    }
}
