//! Frames of a chain that is known slot by slot: what a report must say is counted beside it.

use super::super::frame::{self, Frame, FrameError};
use super::super::said::Block;
use super::super::*;
use super::chain::{Chain, STAKE, ask, root, round, tally};
use crate::formulas::rewards::ideal_attestations;
use crate::ledger::deposits::Stage;
use crate::ledger::reports::{Duties, Report, SeenValidator};
use crate::ledger::testbed::Pool;
use crate::ledger::testbed::jar::key;
use crate::ledger::{Cause, Sealed, State};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use types::{Epoch, Gwei, Slot, ValidatorIndex};

const BEGIN: u64 = 4_500;
const FRAME: u64 = 225;
const ETH: u64 = 1_000_000_000;
/// The validators of keys 1 and 2.
const ONE: ValidatorIndex = ValidatorIndex(1000);
const TWO: ValidatorIndex = ValidatorIndex(1001);

/// A pool with two validators that are active by the first boundary after the beginning, and were reported then.
pub(super) static BEGUN: LazyLock<(Pool, Chain)> = LazyLock::new(|| {
    let mut pool = Pool::new();
    let team = pool.team();
    let cluster = pool.cluster(team, 2);
    pool.register(cluster, &[1, 2]).unwrap();
    let mut chain = Chain::new();
    chain.finalize(BEGIN);
    round(&mut pool, &mut chain);
    pool.pay(70, "80", 0).unwrap();
    let mut epoch = BEGIN;
    let is_active = |pool: &Pool| {
        pool.state().deposits.validators().values().all(|validator| validator.stage == Stage::Active)
    };
    while !is_active(&pool) {
        if round(&mut pool, &mut chain).observed.contains(&"plan") {
            let batch = *pool.state().deposits.batches().last_key_value().unwrap().0;
            pool.approve(batch).unwrap();
            chain.send(&pool, batch);
        }
        epoch += 10;
        chain.finalize(epoch);
        round(&mut pool, &mut chain);
        chain.jar.go_on(|_| false);
        epoch += 10;
        chain.finalize(epoch);
    }
    chain.live(BEGIN + FRAME);
    assert!(round(&mut pool, &mut chain).observed.contains(&"report"));
    assert_eq!(pool.state().money.reported(), Some(Epoch(BEGIN + FRAME)));
    assert_eq!([1, 2].map(|secret| chain.jar.validators[&key(secret)].index), [ONE, TWO]);
    (pool, chain)
});

/// The chain goes on to the next boundary, which is looked at and not yet reported.
fn to_boundary(pool: &mut Pool, chain: &mut Chain) {
    chain.live(BEGIN + 2 * FRAME);
    let deaf = chain.deaf.replace(|question| matches!(question, Question::Root { .. }));
    round(pool, chain);
    chain.deaf = deaf;
}

/// All answers of a frame.
pub(super) fn answers(state: &State, chain: &mut Chain, frame: Frame) -> Known {
    let mut known = Known::default();
    for _ in 0..70 {
        let questions = frame::plan(state, frame, &known);
        if questions.is_empty() {
            return known;
        }
        assert!(ask(state, chain, questions, &mut known));
    }
    panic!("a frame has no end");
}

/// The pool's state, with the balances of the report before.
fn state_of(pool: &Pool, chain: &Chain) -> State {
    let cluster = *pool.state().clusters.clusters.keys().next().unwrap();
    let before = chain.states[&(BEGIN + FRAME)].validators.values();
    let mut state = pool.state().clone();
    state.reports.balances.insert(cluster, before.map(|seen| (seen.index, seen.balance)).collect());
    state
}

fn folded(pool: &Pool, chain: &mut Chain) -> Result<Report, FrameError> {
    Folding::of(pool, chain).fold()
}

/// A frame that goes by so.
fn lived(change: impl FnOnce(&mut Chain)) -> (Pool, Chain) {
    let (mut pool, mut chain) = BEGUN.clone();
    change(&mut chain);
    to_boundary(&mut pool, &mut chain);
    (pool, chain)
}

fn of(report: &Report, index: ValidatorIndex) -> &SeenValidator {
    &report.clusters.values().next().unwrap().validators[&index]
}

/// What a balance shows beside what is told of it: what blocks and sync committees paid.
fn left_over(chain: &Chain, report: &Report, index: ValidatorIndex) -> i128 {
    let one = of(report, index);
    let balance = |epoch: u64| {
        let mut all = chain.states[&epoch].validators.values();
        i128::from(all.find(|seen| seen.index == index).unwrap().balance.0)
    };
    let [from, to] = [BEGIN + FRAME, BEGIN + 2 * FRAME].map(balance);
    assert_eq!(i128::from(one.balance.0), to);
    let lost = [one.swept, one.missed, one.leaked, one.penalised].map(|amount| i128::from(amount.0));
    to + lost.iter().sum::<i128>() - from - i128::from(one.arrived.0) - i128::from(one.attested.0)
}

#[test]
fn every_gwei_of_a_frame_is_told_once() {
    let (pool, mut chain) = lived(|chain| {
        // The second misses every third epoch, and is late in every fifth.
        chain.attests = |epoch, index| match (index, epoch % 3, epoch % 5) {
            (TWO, 0, _) => [0, -4_100, -2_200, 0],
            (TWO, _, 0) => [0, 4_000, -2_200, 0],
            _ => [2_000, 4_000, 2_100, 0],
        };
        chain.member = Some((ONE, |slot| if slot % 4 == 0 { -700 } else { 800 }));
    });
    let report = folded(&pool, &mut chain).unwrap();
    assert_eq!((report.slot, report.lost), (Slot((BEGIN + 2 * FRAME) * 32), Gwei(0)));
    let blocks = chain.blocks.range((BEGIN + FRAME) * 32 + 1..=(BEGIN + 2 * FRAME) * 32);
    let paid: i128 = blocks
        .clone()
        .flat_map(|(_, block)| block.sync.values())
        .filter(|paid| **paid > 0)
        .map(|paid| i128::from(*paid))
        .sum();
    assert_eq!(left_over(&chain, &report, ONE), paid);
    assert_eq!(left_over(&chain, &report, TWO), 0);
    let cost: u64 = blocks
        .clone()
        .flat_map(|(_, block)| block.sync.values())
        .filter(|paid| **paid < 0)
        .map(|paid| paid.unsigned_abs())
        .sum();
    assert_eq!(of(&report, ONE).missed, Gwei(cost));
    let swept: u64 = blocks
        .filter_map(|(_, block)| block.swept)
        .filter(|(index, _)| *index == ONE)
        .map(|(_, amount)| amount)
        .sum();
    assert!(swept > 0);
    assert_eq!(of(&report, ONE).swept, Gwei(swept));
    assert_eq!(of(&report, ONE).attested, Gwei(FRAME * 8_100));
    // Of 225 epochs in a row a third are multiples of three.
    assert_eq!(of(&report, TWO).missed, Gwei(75 * 6_300 + 30 * 2_200));
    let duties = report.clusters.values().next().unwrap().duties;
    assert_eq!(duties, Duties { made: 2 * FRAME - 75, due: 2 * FRAME });
}

#[test]
fn what_is_told_is_within_the_bounds_of_the_specification() {
    let (pool, mut chain) = lived(|chain| chain.attests = |_, _| [2_394, 4_446, 2_394, 0]);
    let report = folded(&pool, &mut chain).unwrap();
    let network = report.network;
    assert_eq!(network.stake, Gwei(STAKE));
    // The stake was weighed at the boundary before, or at this one: a frame's churn lies between at most.
    let churn = STAKE / 65_536 * (FRAME + 1);
    assert_eq!(network.stake_min, Gwei(STAKE - churn));
    assert_eq!((network.duties.made, network.duties.due), (FRAME * (4_446 * 9 / 10), FRAME * 4_446));
    for index in [ONE, TWO] {
        let one = of(&report, index);
        assert_eq!(one.increments, 32 * FRAME);
        assert!(
            one.attested <= ideal_attestations(one.increments, network.stake_min),
            "everything of everything"
        );
        assert_eq!((one.effective, one.arrived), (Gwei(32 * ETH), Gwei(0)));
    }
}

#[test]
fn what_a_leak_costs_is_told_apart() {
    let (pool, mut chain) = lived(|chain| {
        chain.attests = |_, index| if index == ONE { [0, 0, 0, 0] } else { [0, -4_000, -2_000, -600] };
    });
    let report = folded(&pool, &mut chain).unwrap();
    assert_eq!([of(&report, ONE).leaked, of(&report, TWO).leaked], [0, FRAME * 600].map(Gwei));
    assert_eq!([left_over(&chain, &report, ONE), left_over(&chain, &report, TWO)], [0, 0]);
    assert_eq!(
        report.clusters.values().next().unwrap().duties.made,
        FRAME,
        "who attests in a leak did its duty"
    );
}

#[test]
fn what_slashing_cost_is_what_is_missing() {
    let (pool, mut chain) = lived(|chain| chain.slash(ONE, ETH));
    let report = folded(&pool, &mut chain).unwrap();
    assert_eq!([of(&report, ONE).penalised, of(&report, TWO).penalised], [ETH, 0].map(Gwei));
    assert_eq!(left_over(&chain, &report, ONE), 0);
    assert!(of(&report, ONE).slashed);
}

#[test]
fn a_block_that_is_kept_back_shows() {
    let slot = (BEGIN + FRAME) * 32 + 1_002;
    let (pool, mut chain) = lived(|_| {});
    assert!(chain.blocks.contains_key(&slot), "slot {slot} has a block");
    chain.hidden = Some(slot);
    let gap = folded(&pool, &mut chain).unwrap_err();
    let FrameError::Gap { slot: after, have, last } = gap else { panic!("{gap}") };
    assert_eq!((after, have), (Slot(slot + 1), last + 3));
}

#[test]
fn a_boundary_without_a_block_is_that_of_the_block_before() {
    let (pool, mut chain) = lived(|_| {});
    let boundary = (BEGIN + 2 * FRAME) * 32;
    chain.blocks.retain(|slot, _| *slot + 3 <= boundary);
    let report = folded(&pool, &mut chain).unwrap();
    assert_eq!(report.block_root, root(BEGIN + 2 * FRAME));
    let roots = chain
        .asked
        .iter()
        .filter(|question| matches!(question, Question::Root { slot } if slot.0 + 3 > boundary));
    assert!(roots.count() >= 3);
    let names: Vec<_> = report.evidence.keys().filter(|name| name.as_str().contains("/headers/")).collect();
    assert!(names.len() >= 4, "the empty slots too: {names:?}");
}

/// All that is needed to fold the frame.
struct Folding {
    state: State,
    tally: Tally,
    frame: Frame,
    known: Known,
}

impl Folding {
    fn of(pool: &Pool, chain: &mut Chain) -> Self {
        let frame = Frame::due(pool.state()).unwrap();
        assert_eq!(frame, Frame { from: Epoch(BEGIN + FRAME), to: Epoch(BEGIN + 2 * FRAME) });
        let known = answers(pool.state(), chain, frame);
        Self { state: state_of(pool, chain), tally: tally(pool, chain).clone(), frame, known }
    }

    fn fold(&self) -> Result<Report, FrameError> {
        frame::fold(&self.state, &self.tally, self.frame, &self.known)
    }

    /// One question of each kind.
    fn kinds(&self) -> Vec<Question> {
        let mut kinds = BTreeMap::new();
        for question in self.known.answers.keys() {
            let name = format!("{question:?}");
            kinds.entry(name.split(' ').next().unwrap().to_owned()).or_insert_with(|| question.clone());
        }
        assert_eq!(kinds.len(), 6, "{:?}", kinds.keys());
        kinds.into_values().collect()
    }
}

#[test]
fn a_chain_that_is_not_the_ledger_s_is_not_reported() {
    let (pool, mut chain) = lived(|_| {});
    let mut folding = Folding::of(&pool, &mut chain);
    let want = root(BEGIN + 2 * FRAME);
    assert_eq!(folding.fold().map(|report| report.block_root), Ok(want));
    let roots = folding.known.answers.values_mut().filter(|said| matches!(said, Said::Root(_)));
    roots.for_each(|said| *said = Said::Root(root(1)));
    let other = FrameError::OtherBlock { epoch: folding.frame.to, have: root(1), want };
    assert_eq!(folding.fold(), Err(other));
    folding.state.chain.finalized.epoch = Epoch(BEGIN + 2 * FRAME + 1);
    assert_eq!(folding.fold().map(|report| report.block_root), Ok(root(1)), "the ledger knows no better");
}

#[test]
fn a_report_needs_all_of_its_answers_and_names_each() {
    let (pool, mut chain) = lived(|chain| chain.member = Some((ONE, |_| 5)));
    let mut folding = Folding::of(&pool, &mut chain);
    let whole = folding.fold().unwrap();
    // Root, two states, attestations of each epoch, two committees; blocks and committees' pay by epochs.
    let count = 1 + 2 + 225 + 2 + 226 + 226;
    assert!((count..count + 3).contains(&whole.evidence.len()), "{}", whole.evidence.len());
    for question in folding.kinds() {
        let said = folding.known.answers.remove(&question).unwrap();
        let missing = FrameError::NotAsked(question.path());
        assert_eq!(folding.fold(), Err(missing), "{question:?}");
        // Another answer shows in its own evidence, and in no other.
        let other = match said.clone() {
            Said::Root(_) => Said::Root(root(BEGIN + 2 * FRAME - 1)),
            Said::Validators(mut found) => {
                found.values_mut().for_each(|one| one.withdrawable = Some(Epoch(9)));
                Said::Validators(found)
            }
            Said::Attestations(mut attested) => {
                attested.totals.values_mut().for_each(|total| total.head += 1);
                Said::Attestations(attested)
            }
            Said::Members(_) => Said::Members([ONE, ValidatorIndex(7)].into()),
            Said::Block(mut block) => {
                block.swept.insert(ONE, Gwei(1));
                Said::Block(block)
            }
            Said::Sync(_) => Said::Sync([(ONE, 6)].into()),
            Said::Nothing => Said::Block(Block::default()),
            other => other,
        };
        assert_ne!(other, said);
        folding.state.chain.finalized.epoch = Epoch(BEGIN + 2 * FRAME + 1);
        folding.known.answers.insert(question.clone(), other);
        if let Ok(report) = folding.fold() {
            let differ = |(name, hash): &(&_, &_)| whole.evidence.get(*name) != Some(*hash);
            assert_eq!(report.evidence.iter().filter(differ).count(), 1, "{question:?}");
        } else {
            // With another member there is more to ask.
            assert!(matches!(question, Question::Members { .. }), "{question:?}");
        }
        folding.known.answers.insert(question, said);
    }
}

#[test]
fn a_validator_that_the_node_does_not_know_or_does_not_pay_is_named() {
    let (pool, mut chain) = lived(|_| {});
    let mut folding = Folding::of(&pool, &mut chain);
    let answers = folding.known.answers.clone();
    for said in folding.known.answers.values_mut() {
        if let Said::Validators(found) = said {
            found.remove(&key(2));
        }
    }
    assert_eq!(folding.fold(), Err(FrameError::Unknown { pubkey: key(2) }));
    folding.known.answers = answers;
    for (question, said) in &mut folding.known.answers {
        if let (Question::Attestations { epoch, .. }, Said::Attestations(attested)) = (question, said)
            && epoch.0 == BEGIN + FRAME + 7
        {
            attested.totals.remove(&TWO);
        }
    }
    let epoch = Epoch(BEGIN + FRAME + 7);
    assert_eq!(folding.fold(), Err(FrameError::NoRewards { index: TWO, epoch }));
}

#[test]
fn a_frame_without_validators_asks_for_its_block_alone() {
    let mut pool = Pool::new();
    let mut chain = Chain::new();
    chain.finalize(BEGIN);
    round(&mut pool, &mut chain);
    pool.pay(70, "1", 0).unwrap();
    chain.asked.clear();
    assert_eq!(round(&mut pool, &mut chain).observed, ["executed", "look", "report"]);
    let of_frames = |question: &&Question| !matches!(question, Question::Finality | Question::Payload { .. });
    let asked: Vec<_> =
        chain.asked.iter().filter(of_frames).filter(|question| question.rpc().is_none()).collect();
    assert_eq!(asked, [&Question::Root { slot: Slot(BEGIN * 32) }]);
}

#[test]
fn deposits_count_in_the_frame_in_which_they_arrived() {
    let (mut tally, mut most) = (Tally::default(), Gwei(0));
    for stored in &BEGUN.0.log {
        let entry = Sealed::read(stored).unwrap().entry;
        tally.take(&entry);
        most = most.max(tally.arrived(&key(1)));
        if matches!(&entry.cause, Cause::Observation(observation) if observation.kind.as_str() == "report") {
            assert_eq!(tally.arrived(&key(1)), Gwei(0), "after a report");
        }
    }
    assert_eq!(most, Gwei(32 * ETH), "the first deposit and the rest");
}
