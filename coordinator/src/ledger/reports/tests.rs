//! Reports: rows M8, M11, M12, M16, K2, K8, K12, K13 and K20, and the books of a frame against sums kept slowly.

use super::reward::commission_bp;
use super::*;
use crate::canonical;
use crate::formulas::concentration::SelfLimit;
use crate::formulas::participation::{Statements, Unearned as NotEarned};
use crate::formulas::ratio::{BasisPoints, Ratio};
use crate::formulas::rebase::Frame;
use crate::formulas::rewards::ideal_attestations;
use crate::formulas::shares::{Rate, Shares};
use crate::ledger::chain::Finalized;
use crate::ledger::operators::OperatorId;
use crate::ledger::policy::{Commission, CommissionStep, Policy, Terms, tests::lido};
use crate::ledger::pool::{self, Fees, Settled};
use crate::merkle::claims::{ClaimTree, verify};
use crate::text::{Label, Text};
use alloy_primitives::U256;
use proptest::prelude::*;
use types::{ChainSpec, ClusterSize, ShareIndex, Slot, ValidatorStatus};

mod random;

const ETH: u64 = 1_000_000_000;
const FRAME: u64 = 225;
const START: u64 = 10_000;
/// 1,2 million ETH.
const NETWORK: Gwei = Gwei(1_200_000 * ETH);

fn cluster(no: u8) -> ClusterId {
    Root([no; 32])
}

fn operator(no: u8) -> OperatorId {
    Address([no; 20])
}

fn reward_of(no: u8) -> Address {
    Address([no.wrapping_add(100); 20])
}

fn eth(eth: u64) -> Wei {
    wide::wei(Gwei(eth * ETH))
}

/// The policy of the tests: no pledge counts, three clusters are wanted, and every part of a gain is believed.
fn policy(change: impl FnOnce(&mut Terms)) -> Policy {
    let mut terms = lido().terms().clone();
    terms.saturation.pools_wanted = 3;
    terms.saturation.pledge_influence = Ratio::ZERO;
    terms.reports.bounds.positive_rebase_max_ppb = 1_000_000_000;
    terms.reports.bounds.cl_decrease_max = BasisPoints::WHOLE;
    terms.self_limit = SelfLimit { warn: BasisPoints::WHOLE, stop: BasisPoints::WHOLE };
    change(&mut terms);
    Policy::new(terms).unwrap()
}

fn seat(no: u8, kind: &str) -> Seat {
    Seat {
        operator: operator(no),
        reward: reward_of(no),
        operator_type: Label::new(kind).unwrap(),
        first_key: 1,
        keys: 1,
        delinquent: false,
        labels: [(Axis::Entity, format!("entity-{no}"))].into(),
    }
}

/// A cluster of four with operators from `first` on.
fn four(first: u8) -> Cluster {
    Cluster {
        size: ClusterSize::new_safe(4, 3).unwrap(),
        seats: (first..first + 4).map(|no| seat(no, "csm-default")).collect(),
        pledge: Wei::ZERO,
        statements: Statements::new(),
    }
}

/// A validator of 32 ETH that missed nothing and earned `gained`, which stays on it.
fn active(before: u64, gained: u64) -> SeenValidator {
    SeenValidator {
        status: ValidatorStatus::ActiveOngoing,
        slashed: false,
        balance: Gwei(before + gained),
        effective: Gwei(32 * ETH),
        arrived: Gwei(0),
        swept: Gwei(0),
        increments: 32 * FRAME,
        attested: Gwei(0),
        missed: Gwei(0),
        leaked: Gwei(0),
        penalised: Gwei(0),
    }
}

/// Facts that can be changed, and a state.
#[derive(Clone)]
struct World {
    state: State,
    spec: ChainSpec,
    policy: Policy,
    clusters: BTreeMap<ClusterId, Cluster>,
    owed: BTreeMap<OperatorId, Wei>,
    before: Rate,
    el_rewards: Wei,
    finalized: Finalized,
}

impl World {
    fn new(policy: Policy) -> Self {
        Self {
            state: State::default(),
            spec: ChainSpec::builtin("hoodi").unwrap(),
            policy,
            clusters: [(cluster(1), four(1)), (cluster(2), four(5))].into(),
            owed: BTreeMap::new(),
            before: Rate { shares: Shares(eth(1000).0), pooled: eth(1200) },
            el_rewards: Wei::ZERO,
            finalized: Finalized { epoch: Epoch(1 << 40), root: Root([7; 32]) },
        }
    }

    fn decide(&self, report: &Report) -> Result<Reported, Refusal> {
        let facts = Facts {
            policy: &self.policy,
            finalized: self.finalized,
            spec: &self.spec,
            money: &|told| self.money(told),
            clusters: &self.clusters,
            owed: &self.owed,
        };
        decide(&self.state, &facts, report).map(|reported| *reported)
    }

    /// What the book of money says, of a pool in which nobody waits.
    fn money(&self, told: &pool::Report) -> Result<Settled, pool::Refusal> {
        let terms = self.policy.terms();
        let sum = [terms.fees.operators, terms.fees.pool, terms.fees.reserve].map(BasisPoints::get);
        let frame = Frame {
            before: self.before,
            cl_before: self.state.balance().unwrap(),
            deposited: wide::wei(told.arrived),
            cl_after: wide::wei(told.balance),
            withdrawn: wide::wei(told.withdrawn),
            el_rewards: self.el_rewards,
            fee: BasisPoints::new(sum.iter().sum()).unwrap(),
            ..Frame::default()
        };
        let rebase = frame.settle()?;
        rebase.within(&frame, &terms.reports.bounds)?;
        let fees = Fees {
            operators: (terms.fees.operators, pool::OPERATORS_HOLDER),
            treasury: (terms.fees.pool, reward_of(99)),
            reserve: (terms.fees.reserve, pool::RESERVE_HOLDER),
        };
        Ok(Settled { frame, rebase, fees })
    }

    fn report(&mut self, report: &Report) -> Result<Reported, Refusal> {
        let reported = self.decide(report)?;
        let event = Event::Reported(Box::new(reported.clone()));
        assert_eq!(canonical::read::<Event>(&canonical::bytes(&event)).unwrap(), event);
        assert_eq!(canonical::read::<Report>(&canonical::bytes(report)).unwrap(), *report);
        apply(&mut self.state, &event).unwrap();
        assert_eq!(canonical::read::<State>(&canonical::bytes(&self.state)).unwrap(), self.state);
        Ok(reported)
    }

    /// The next report, in which nothing happened.
    fn next(&self) -> Report {
        let frame = self.state.next();
        let clusters = self.state.balances().iter().map(|(id, balances)| {
            let validators = balances.iter().map(|(index, balance)| (*index, active(balance.0, 0)));
            (*id, SeenCluster { duties: Duties { made: 100, due: 100 }, validators: validators.collect() })
        });
        Report {
            frame,
            slot: Slot(32 * (START + frame * FRAME)),
            block_root: Root([7; 32]),
            network: Network {
                stake: NETWORK,
                stake_min: NETWORK,
                duties: Duties { made: 990_000, due: 1_000_000 },
            },
            lost: Gwei(0),
            clusters: clusters.collect(),
            evidence: [(Text::new("/eth/v1/beacon/headers/finalized").unwrap(), Root([3; 32]))].into(),
        }
    }

    /// Two clusters with so many validators of 32 ETH each, as a report has them.
    fn staked(policy: Policy, validators: [u64; 2]) -> Self {
        let mut world = Self::new(policy);
        let mut report = world.next();
        for (no, many) in [1, 2].into_iter().zip(validators) {
            let fresh = |at| {
                let mut fresh = active(32 * ETH, 0);
                (fresh.arrived, fresh.increments) = (Gwei(32 * ETH), 0);
                (ValidatorIndex(u64::from(no) * 1000 + at), fresh)
            };
            let duties = Duties { made: 100, due: 100 };
            let validators = (0..many).map(fresh).collect();
            report.clusters.insert(cluster(no), SeenCluster { duties, validators });
        }
        world.report(&report).unwrap();
        world
    }
}

fn of(report: &mut Report, no: u8, at: u64) -> &mut SeenValidator {
    let index = ValidatorIndex(u64::from(no) * 1000 + at);
    report.clusters.get_mut(&cluster(no)).unwrap().validators.get_mut(&index).unwrap()
}

/// Each validator gained so much.
fn gain(report: &mut Report, gwei: u64) {
    for validator in report.clusters.values_mut().flat_map(|seen| seen.validators.values_mut()) {
        validator.balance.0 += gwei;
    }
}

#[test]
fn a_frame_of_two_clusters_by_hand() {
    let mut world = World::staked(policy(|_| {}), [1, 1]);
    world.owed = [(operator(1), Wei(U256::from(1_000_000_000_000_u64)))].into();
    world.el_rewards = wide::wei(Gwei(100_000));
    let mut report = world.next();
    gain(&mut report, 450_000);
    report.clusters.get_mut(&cluster(2)).unwrap().duties.made = 50;
    let reported = world.report(&report).unwrap();
    // 900000 gwei on validators and 100000 of blocks: 10 % is fee.
    assert_eq!(reported.result, Net::Gain(wide::wei(Gwei(1_000_000))));
    assert_eq!(reported.gain, wide::wei(Gwei(1_000_000)));
    let gwei = |gwei: u64| wide::wei(Gwei(gwei));
    assert_eq!(reported.parts.delegators, Net::Gain(gwei(900_000)));
    // Each cluster has half of the stake where a third saturates: a third of the pot of 50000, 16666.6 gwei. Half of the
    // second's duties were done. Of 5 % for operators their type gets 3.5.
    let [one, two] = [1, 2].map(|no| reported.clusters[&cluster(no)].clone());
    assert_eq!(one.saturation, Ratio::of(3, 2).unwrap());
    assert_eq!(
        (one.reward.to_string(), two.reward.to_string()),
        ("16666666666666".into(), "8333333333333".into())
    );
    assert!((one.parts.len(), two.parts.len()) == (4, 4) && one.strike != two.strike && two.strike);
    assert_eq!(one.parts[0].earned.to_string(), "2916666666666");
    assert_eq!(two.parts[3].earned.to_string(), "1458333333333");
    let first = reported.operators[&operator(1)];
    assert_eq!(
        (first.repaid.to_string(), first.kept.to_string()),
        ("1000000000000".into(), "1916666666666".into())
    );
    assert_eq!(reported.parts.debts, first.repaid);
    // 10000 gwei are the reserve's part of the fee; a third of the pot and half of a cluster's nobody earned.
    let dust = U256::from(2 + 1 + 1);
    assert!(reported.parts.reserve.0 - (gwei(10_000).0 + gwei(25_000).0) <= dust + U256::from(4));
    assert!(reported.parts.pool > gwei(40_000 + 7_499) && reported.parts.pool < gwei(40_000 + 7_501));
    let claims = world.state.claims().unwrap();
    let tree = ClaimTree::new(&claims).unwrap();
    assert_eq!(Some(tree.root()), reported.claims);
    let proof = tree.proof(reward_of(1), first.kept).unwrap();
    assert!(verify(tree.root(), reward_of(1), first.kept, &proof));
}

#[test]
fn claims_are_cumulative_and_go_where_they_were_earned() {
    let mut world = World::staked(policy(|_| {}), [1, 1]);
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut report = world.next();
        gain(&mut report, 1_000_000);
        kept.push(world.report(&report).unwrap().operators[&operator(2)].kept);
    }
    let claims = world.state.claims().unwrap();
    assert_eq!(claims.cumulative(reward_of(2)), wide::total(kept).unwrap());
    // Another address gets what is earned from now on.
    world.clusters.get_mut(&cluster(1)).unwrap().seats[1].reward = reward_of(77);
    let mut report = world.next();
    gain(&mut report, 1_000_000);
    let earned = world.report(&report).unwrap().operators[&operator(2)];
    let after = world.state.claims().unwrap();
    assert_eq!(after.cumulative(reward_of(2)), claims.cumulative(reward_of(2)));
    assert_eq!((earned.to, after.cumulative(reward_of(77))), (reward_of(77), earned.kept));
    assert_eq!(after.follow(&claims), Ok(()));
}

#[test]
fn a_frame_that_loses_pays_no_fee_and_tells_its_losses_apart() {
    let mut world = World::staked(policy(|_| {}), [2, 1]);
    world.el_rewards = wide::wei(Gwei(5));
    let mut report = world.next();
    let slashed = of(&mut report, 1, 0);
    (slashed.slashed, slashed.penalised, slashed.missed) = (true, Gwei(8_000_000), Gwei(70));
    slashed.balance.0 -= 8_000_070;
    let leaking = of(&mut report, 2, 0);
    leaking.leaked = Gwei(900);
    leaking.balance.0 -= 700;
    let reported = world.report(&report).unwrap();
    let want =
        Categories { rewards: Gwei(200), missed: Gwei(70), leaked: Gwei(900), slashed: Gwei(8_000_000) };
    assert_eq!(reported.categories, want);
    assert_eq!(reported.result, Net::Loss(wide::wei(Gwei(8_000_970 - 205))));
    assert_eq!(reported.parts.delegators, reported.result);
    let others =
        [reported.parts.pool, reported.parts.reserve, reported.parts.operators, reported.parts.debts];
    assert_eq!((others, reported.gain, reported.claims), ([Wei::ZERO; 4], Wei::ZERO, None));
    assert_eq!(reported.clusters[&cluster(1)].stake, Gwei(32 * ETH), "a slashed validator is no stake");
}

#[test]
fn lost_deposits_are_a_loss_and_the_book_of_money_is_told_the_same() {
    let mut world = World::staked(policy(|_| {}), [1, 1]);
    let mut report = world.next();
    report.lost = Gwei(ETH);
    of(&mut report, 1, 0).swept = Gwei(5);
    let reported = world.report(&report).unwrap();
    assert_eq!(reported.result, Net::Loss(wide::wei(Gwei(ETH - 5))));
    let money = reported.money();
    assert_eq!((money.balance, money.arrived, money.withdrawn), (Gwei(64 * ETH), Gwei(ETH), Gwei(5)));
    let at = world.spec.genesis_time_ms / 1_000 + 12 * report.slot.0;
    assert_eq!((money.epoch, money.at), (reported.epoch, at));
}

#[test]
fn a_free_rider_earns_what_the_others_saw() {
    let silent = |unearned| {
        let mut world = World::staked(policy(|terms| terms.losses.unearned = unearned), [1, 1]);
        let index = |no| ShareIndex::new(no).unwrap();
        // Of number 4 the others saw a quarter, one of them lies. Of all others they saw everything.
        let said = |by: u8, of: u8| match (by, of) {
            (1, 4) => 0,
            (_, 4) => 25,
            _ => 100,
        };
        let statements = (1..=4).map(|by| {
            let counts = (1..=4).filter(|of| *of != by).map(|of| (index(of), said(by, of)));
            (index(by), counts.collect())
        });
        world.clusters.get_mut(&cluster(1)).unwrap().statements = statements.collect();
        let mut report = world.next();
        gain(&mut report, 1_000_000);
        world.report(&report).unwrap()
    };
    let (kept, shared) = (silent(NotEarned::ToReserve), silent(NotEarned::ToOthers));
    let parts = |reported: &Reported| reported.clusters[&cluster(1)].parts.clone();
    assert_eq!(parts(&kept)[3].participation, Ratio::of(1, 4).unwrap());
    let close = |one: Wei, other: U256| one.0.abs_diff(other) < U256::from(10);
    assert!(close(parts(&kept)[3].earned, parts(&kept)[0].earned.0 / U256::from(4)));
    assert!(close(parts(&shared)[3].earned, parts(&shared)[0].earned.0 / U256::from(4)));
    assert!(parts(&shared)[0].earned > parts(&kept)[0].earned);
    assert!(shared.parts.reserve < kept.parts.reserve);
}

#[test]
fn a_delinquent_earns_half_and_the_reserve_the_other() {
    let earned = |delinquent| {
        let mut world = World::staked(policy(|_| {}), [1, 1]);
        world.clusters.get_mut(&cluster(1)).unwrap().seats[2].delinquent = delinquent;
        let mut report = world.next();
        gain(&mut report, 1_000_000);
        world.report(&report).unwrap()
    };
    let (whole, half) = (earned(false), earned(true));
    let of = |reported: &Reported| reported.clusters[&cluster(1)].parts[2].earned.0;
    assert_eq!(of(&whole) / U256::from(2), of(&half));
    assert!(half.parts.reserve > whole.parts.reserve);
    assert_eq!(half.clusters[&cluster(1)].parts[1], whole.clusters[&cluster(1)].parts[1]);
}

/// Row K8: who is larger earns no more for each ETH. Row M12: beyond saturation it earns less.
#[test]
fn an_operators_pay_for_each_eth_never_rises_with_its_clusters_size() {
    let mut last = U256::MAX;
    for many in 1..=12 {
        // The pool stays as large, the pot too.
        let mut world = World::staked(policy(|_| {}), [many, 24 - many]);
        let mut report = world.next();
        gain(&mut report, 1_000_000);
        let reward = world.report(&report).unwrap().clusters[&cluster(1)].reward.0;
        let unit = U256::from(10).pow(U256::from(9));
        let each = reward / U256::from(many) / unit;
        assert!(each <= last, "{many}: {each} > {last}");
        assert_eq!(many > 8 && each < last, many > 8, "saturated from a third of 24 on");
        last = each;
    }
}

/// Row M16: a validator of 2048 ETH counts sixty-four times.
#[test]
fn weight_is_effective_balance_and_not_a_number_of_validators() {
    let mut world = World::staked(policy(|terms| terms.saturation.pools_wanted = 1), [1, 64]);
    let mut report = world.next();
    let large = of(&mut report, 1, 0);
    (large.arrived, large.balance, large.effective) = (Gwei(2016 * ETH), Gwei(2048 * ETH), Gwei(2048 * ETH));
    world.report(&report).unwrap();
    let mut report = world.next();
    of(&mut report, 1, 0).effective = Gwei(2048 * ETH);
    gain(&mut report, 1_000_000);
    let reported = world.report(&report).unwrap();
    let [one, two] = [1, 2].map(|no| &reported.clusters[&cluster(no)]);
    assert_eq!((one.reward, one.stake, one.saturation), (two.reward, two.stake, two.saturation));
}

/// Row K20, against the formula by hand: one cluster of 2 of 37500 validators.
#[test]
fn the_stress_rate_is_that_after_the_costliest_cluster_is_slashed() {
    let mut world = World::staked(policy(|_| {}), [2, 1]);
    let report = world.next();
    let reported = world.report(&report).unwrap();
    let stress = reported.stress.unwrap();
    let each = 32 * ETH / 4096 + (3 * 64 * ETH) / 1_200_000 * 32;
    assert_eq!((stress.cluster, stress.loss), (cluster(1), Gwei(2 * each)));
    let unit = U256::from(10).pow(U256::from(27));
    let left = reported.after.pooled.0 - wide::wei(stress.loss).0;
    assert_eq!(stress.share_rate, left * unit / reported.after.shares.0);
    assert!(stress.share_rate < reported.share_rate);
    assert_eq!(reported.share_rate, unit * U256::from(6) / U256::from(5));
}

#[test]
fn concentration_is_by_stake_and_by_every_dimension() {
    let mut world = World::staked(policy(|_| {}), [3, 1]);
    for seats in world.clusters.values_mut() {
        for (at, seat) in seats.seats.iter_mut().enumerate() {
            seat.labels.insert(Axis::Country, if at == 0 { "PT" } else { "CH" }.to_owned());
        }
    }
    let report = world.next();
    let figures = world.report(&report).unwrap().concentration;
    // Four entities with 24 ETH each, four with 8.
    let entity = &figures[&Axis::Entity];
    assert_eq!((entity.third, entity.half, entity.two_thirds), (2, 3, 4));
    assert_eq!(entity.hhi, Ratio::of(4 * 24 * 24 + 4 * 8 * 8, 128 * 128).unwrap());
    let country = &figures[&Axis::Country];
    assert_eq!((country.third, country.half, country.two_thirds, country.largest.as_str()), (1, 1, 1, "CH"));
    let client = &figures[&Axis::ConsensusClient];
    assert_eq!((client.third, client.largest.as_str()), (1, "unknown"), "who says nothing is one");
    assert_eq!(figures.len(), 6);
}

#[test]
fn effectiveness_is_measured_against_the_specification() {
    let world = World::staked(policy(|_| {}), [1, 1]);
    let mut report = world.next();
    let ideal = ideal_attestations(32 * FRAME, NETWORK);
    let earned = Gwei(ideal.0 * 49 / 100);
    gain(&mut report, earned.0);
    of(&mut report, 1, 0).attested = earned;
    let effectiveness = |report: &Report| {
        let one = world.decide(report).unwrap().clusters[&cluster(1)].effectiveness().unwrap();
        one.floor_of(U256::from(1000)).unwrap().to::<u64>()
    };
    assert!((489..=490).contains(&effectiveness(&report)));
    // Four times as much stake in the network: everybody earns half, and so the same is twice as much of it.
    (report.network.stake, report.network.stake_min) = (Gwei(4 * NETWORK.0), Gwei(4 * NETWORK.0));
    assert!((978..=982).contains(&effectiveness(&report)));
}

#[test]
fn too_many_strikes_in_too_few_frames_eject() {
    // Three in six frames, each 3 % and more below the network's 99 %.
    let run = |frames: &[u64]| {
        let mut world = World::staked(policy(|_| {}), [1, 1]);
        let mut ejected = Vec::new();
        for made in frames {
            let mut report = world.next();
            report.clusters.get_mut(&cluster(1)).unwrap().duties.made = *made;
            let reported = world.report(&report).unwrap();
            assert_eq!(reported.clusters[&cluster(1)].strike, *made < 96);
            ejected.push(reported.ejected.contains(&cluster(1)));
        }
        ejected
    };
    assert_eq!(run(&[95, 100, 95, 100, 100, 95]), [false, false, false, false, false, true]);
    assert_eq!(run(&[95, 100, 95, 100, 100, 100, 95]), [false; 7], "the first is forgotten");
    assert_eq!(run(&[96, 96, 96, 95, 95, 95, 100]), [false, false, false, false, false, true, false]);
}

type Row = (&'static str, fn(&mut World, &mut Report), fn(&Refusal) -> bool);

macro_rules! row {
    ($change:expr, $refusal:pat) => {
        (stringify!($refusal), $change, |refusal| matches!(refusal, $refusal))
    };
}

const ROWS: [Row; 26] = [
    row!(|_, report| report.frame += 1, Refusal::Frame { have: 2, want: 1 }),
    row!(|_, report| report.frame = 0, Refusal::Frame { have: 0, want: 1 }),
    row!(|_, report| report.slot.0 += 1, Refusal::NotAnEpoch { .. }),
    row!(|_, report| report.slot.0 += 32, Refusal::Epoch { frame_epochs: 225, .. }),
    row!(|_, report| report.slot.0 -= 32 * FRAME, Refusal::Epoch { .. }),
    row!(|world, _| world.finalized.epoch.0 = START + FRAME - 1, Refusal::NotFinalized { .. }),
    row!(
        |world, report| {
            world.finalized.epoch.0 = START + FRAME;
            report.block_root = Root([8; 32]);
        },
        Refusal::OtherBlock { .. }
    ),
    row!(|_, report| report.evidence.clear(), Refusal::Evidence { have: 0 }),
    row!(|_, report| report.network.stake_min.0 = report.network.stake.0 + 1, Refusal::Network { .. }),
    row!(|_, report| report.network.stake_min.0 = 0, Refusal::Network { .. }),
    row!(|_, report| report.network.duties.made = 1_000_001, Refusal::Duties { .. }),
    row!(
        |_, report| report.clusters.get_mut(&cluster(1)).unwrap().duties.made = 101,
        Refusal::Duties { duties: Duties { made: 101, due: 100 } }
    ),
    row!(|world, _| drop(world.clusters.remove(&cluster(2))), Refusal::UnknownCluster { .. }),
    row!(
        |world, _| drop(world.clusters.get_mut(&cluster(2)).unwrap().seats.pop()),
        Refusal::Seats { have: 3, want: 4, .. }
    ),
    row!(
        |_, report| {
            let copy = *of(report, 1, 0);
            report.clusters.get_mut(&cluster(2)).unwrap().validators.insert(ValidatorIndex(1000), copy);
        },
        Refusal::Twice { index: ValidatorIndex(1000) }
    ),
    row!(
        |_, report| report.clusters.get_mut(&cluster(2)).unwrap().validators.clear(),
        Refusal::Missing { index: ValidatorIndex(2000), .. }
    ),
    row!(
        |_, report| drop(report.clusters.remove(&cluster(2))),
        Refusal::Missing { index: ValidatorIndex(2000), .. }
    ),
    row!(|_, report| of(report, 1, 0).effective.0 = 2049 * ETH, Refusal::Effective { .. }),
    row!(|_, report| of(report, 1, 0).effective.0 -= 1, Refusal::Effective { .. }),
    row!(|_, report| of(report, 1, 0).increments = 2048 * FRAME + 1, Refusal::Increments { .. }),
    row!(
        |_, report| {
            let ideal = ideal_attestations(32 * FRAME, NETWORK).0;
            gain(report, 2 * ideal);
            of(report, 1, 0).attested = Gwei(ideal + 1);
        },
        Refusal::EarnsTooMuch { .. }
    ),
    row!(
        |_, report| {
            of(report, 1, 0).balance.0 -= 5;
            of(report, 1, 0).penalised.0 = 5;
        },
        Refusal::NotSlashed { penalised: Gwei(5), .. }
    ),
    row!(|_, report| of(report, 1, 0).balance.0 -= 1, Refusal::Unexplained { .. }),
    row!(|_, report| of(report, 1, 0).attested.0 = 1, Refusal::Unearned { rewards: 0, .. }),
    row!(
        |world, _| world.clusters.get_mut(&cluster(1)).unwrap().seats[0].operator_type =
            Label::new("unheard-of").unwrap(),
        Refusal::NoSuchType { .. }
    ),
    row!(
        |_, report| {
            (report.network.stake, report.network.stake_min) = (Gwei(32 * ETH), Gwei(32 * ETH));
        },
        Refusal::Stress { .. }
    ),
];

#[test]
fn what_no_honest_report_says_is_refused_by_its_rule() {
    for (rule, change, expected) in ROWS {
        let mut world = World::staked(policy(|_| {}), [2, 1]);
        let mut report = world.next();
        assert!(world.decide(&report).is_ok());
        change(&mut world, &mut report);
        let refusal = world.decide(&report).expect_err(rule);
        assert!(expected(&refusal), "{rule}: {refusal}");
    }
}

#[test]
fn the_policys_bounds_hold_on_both_sides() {
    let refuse = |change: fn(&mut Report)| {
        let narrow = policy(|terms| terms.reports.bounds = lido().terms().reports.bounds);
        let world = World::staked_under(narrow);
        let mut report = world.next();
        change(&mut report);
        world.decide(&report)
    };
    // A share may gain 0.075 %: 0.9 of 1200 ETH, without the fee.
    assert!(refuse(|report| gain(report, 400_000_000)).is_ok());
    assert!(matches!(
        refuse(|report| gain(report, 600_000_000)),
        Err(Refusal::Money(pool::Refusal::Report(_)))
    ));
    // The consensus layer may lose 5 % of 64 ETH.
    assert!(
        refuse(|report| {
            let one = of(report, 1, 0);
            (one.balance.0, one.missed.0) = (one.balance.0 - 3_200_000_000, 3_200_000_000);
        })
        .is_ok()
    );
    let beyond = refuse(|report| {
        let one = of(report, 1, 0);
        (one.balance.0, one.missed.0) = (one.balance.0 - 3_200_000_001, 3_200_000_001);
    });
    assert!(matches!(beyond, Err(Refusal::Money(pool::Refusal::Report(_)))));
}

impl World {
    /// One validator in each cluster, and another policy from now on.
    fn staked_under(policy_then: Policy) -> Self {
        let mut world = Self::staked(policy(|_| {}), [1, 1]);
        world.policy = policy_then;
        world
    }
}

#[test]
fn an_event_that_does_not_fit_changes_nothing() {
    let world = World::staked(policy(|_| {}), [1, 1]);
    let mut report = world.next();
    gain(&mut report, 1_000_000);
    let good = world.decide(&report).unwrap();
    let spoil = |change: fn(&mut Reported)| {
        let mut bad = good.clone();
        change(&mut bad);
        let mut state = world.state.clone();
        let error = apply(&mut state, &Event::Reported(Box::new(bad))).unwrap_err();
        assert_eq!(state, world.state);
        error
    };
    assert!(matches!(spoil(|bad| bad.frame = 5), Corrupt::Frame { have: 5, want: 1 }));
    assert!(matches!(spoil(|bad| bad.epoch.0 = START), Corrupt::NotLater { .. }));
    assert!(matches!(spoil(|bad| bad.parts.pool.0 += U256::ONE), Corrupt::Parts { .. }));
    let more = spoil(|bad| bad.operators.get_mut(&operator(1)).unwrap().kept.0 += U256::ONE);
    assert!(matches!(more, Corrupt::Claims { .. }));
    let mut state = world.state.clone();
    let mut refused = |event: Event| {
        let before = state.clone();
        let error = apply(&mut state, &event).unwrap_err();
        assert_eq!(state, before);
        error
    };
    for frame in [0, 2] {
        let statement = Statement { frame, seen: BTreeMap::new() };
        let stated = Event::Stated { cluster: cluster(1), operator: operator(1), statement };
        assert!(matches!(refused(stated), Corrupt::Frame { want: 1, .. }));
    }
    for eth in [Wei::ZERO, Wei(U256::ONE)] {
        let claimed = Event::Claimed { account: reward_of(1), eth };
        assert!(matches!(refused(claimed), Corrupt::Claimed { .. }));
    }
}

#[test]
fn no_more_is_taken_than_was_earned() {
    let mut world = World::staked(policy(|_| {}), [1, 1]);
    let mut report = world.next();
    gain(&mut report, 1_000_000);
    let (who, earned) = (reward_of(1), world.report(&report).unwrap().operators[&operator(1)].kept);
    let claim = |world: &World, eth| world.state.claim(who, eth);
    let more = Wei(earned.0 + U256::ONE);
    for eth in [Wei::ZERO, more] {
        let refused = Refusal::NotClaimable { account: who, eth, claimable: earned };
        assert_eq!(claim(&world, eth), Err(refused));
    }
    let some = Wei(earned.0 / U256::from(3));
    let event = claim(&world, some).unwrap();
    apply(&mut world.state, &event).unwrap();
    assert_eq!(world.state.claimable(who), Wei(earned.0 - some.0));
    assert!(apply(&mut world.state, &Event::Claimed { account: who, eth: earned }).is_err());
    assert_eq!(world.state.claims().unwrap().cumulative(who), earned, "what was earned in all does not fall");
}

#[test]
fn skipped_frames_are_made_up_by_a_longer_one() {
    let mut world = World::staked(policy(|_| {}), [1, 1]);
    let mut report = world.next();
    report.slot.0 += 32 * 3 * FRAME;
    of(&mut report, 1, 0).increments = 32 * 4 * FRAME;
    assert_eq!(world.report(&report).unwrap().epoch.0, START + 4 * FRAME);
    assert_eq!((world.state.next(), world.state.last().unwrap().epoch), (2, Epoch(START + 4 * FRAME)));
}
