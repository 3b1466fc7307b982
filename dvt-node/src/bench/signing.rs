//! Runs the contenders side by side.

use super::clock::{Laps, Stopwatch, stay_on_one_core};
use super::made::{Arrived, Made, me};
use super::memory::peak_of;
use super::ours::Ours;
use super::peer::Peer;
use super::plain::Plain;
use super::report::{Caught, Contenders, Report};
use super::{Contender, Slot};
use anyhow::{Context as _, ensure};
use clap::Args;
use crypto::hashed::{HashedRoot, find_bad};
use crypto::lagrange::Coefficients;
use crypto::plain::verify_point;
use crypto::{At, PointError, SignaturePoint};
use types::{ClusterSize, ShareIndex};

/// As many validators as the whole network has: a cluster has fewer, and one slot of the plain way takes minutes then.
const VALIDATORS_MAX: u32 = 1_000_000;
/// An epoch's slots: each validator attests once in it.
const SLOTS_PER_EPOCH: u32 = 32;
/// Bare verifications measured in each round: enough that one interruption of a core does not show.
const BARE_VERIFICATIONS: usize = 16;
/// Quorums that are looked at for the dearest: all of 7 out of 10, a part of them in the largest clusters.
const QUORUMS_MAX: usize = 4096;

/// What `dvt-node bench signing` is told.
#[derive(Clone, Debug, Args)]
pub struct SigningArgs {
    /// Validators of the cluster; a 32nd part of them attests in a slot.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(VALIDATORS_MAX)))]
    pub validators: u32,
    /// Operators of the cluster.
    #[arg(long)]
    pub operators: usize,
    /// Partial signatures that make a signature.
    #[arg(long)]
    pub threshold: usize,
    /// Which share of the other operators' partials is bad, from 0 to 1: signatures over something else, spread at random.
    #[arg(long, default_value_t = 0.0, value_parser = parse_share)]
    pub bad: f64,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Where keys, votes and bad partials come from: the same seed measures the same.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number")?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("not from 0 to 1".into()) }
}

/// What arrives in the slots that are measured.
struct Slots {
    /// All partials, some of them bad.
    all: Arrived,
    /// Good ones only.
    honest: Arrived,
    /// Good ones, just enough, of those who combine worst.
    dearest: Arrived,
    /// One operator's all bad.
    garbage: Arrived,
}

/// Times, round by round.
#[derive(Default)]
struct Times {
    bare: Laps,
    contenders: Contenders<Laps>,
    halves: Laps,
    dearest: Laps,
    honest: Laps,
    first: Laps,
    later: Laps,
}

/// Measures; prints nothing.
///
/// - Errors: numbers that make no cluster; contenders that do not agree.
pub fn signing(args: &SigningArgs) -> anyhow::Result<Report> {
    let size = ClusterSize::new(args.operators, args.threshold)?;
    stay_on_one_core();
    let attesters = args.validators.div_ceil(SLOTS_PER_EPOCH);
    let (mut made, halves) = Made::new(size, attesters as usize, args.seed)?;
    let slots = Slots::draw(&mut made, args.bad)?;
    let plain = Plain { made: &made, verifying: Stopwatch::default() };
    let mut contenders = (plain, Peer::new(&made)?, Ours::new(&made, halves)?);
    let (pairings, memory) = compare(&mut contenders, &slots.all)?;
    let times = measure(args, &made, &mut contenders, &slots)?;
    Ok(Report {
        validators: args.validators,
        operators: args.operators,
        threshold: args.threshold,
        attesters,
        bad: args.bad,
        rounds: args.rounds,
        seed: args.seed,
        bare_verify_ms: times.bare.median_ms() / BARE_VERIFICATIONS as f64,
        plain_verify_ms: contenders.0.verifying.mean_ms(),
        ms: times.contenders.map(Laps::median_ms),
        halves_check_ms: times.halves.median_ms(),
        dearest_quorum_ms: times.dearest.median_ms(),
        pairings,
        memory,
        one_garbage_peer: Caught {
            honest_ms: times.honest.median_ms(),
            first_slot_ms: times.first.median_ms(),
            later_slot_ms: times.later.median_ms(),
        },
    })
}

impl Slots {
    fn draw(made: &mut Made, bad: f64) -> anyhow::Result<Self> {
        let all = made.arrived(bad);
        let honest = made.arrived_of(&made.peers);
        let others: Vec<_> = dearest(made.size).into_iter().filter(|index| *index != me()).collect();
        // The second operator is among those whose partials are chosen first.
        let garbage = ShareIndex::new(2).context("a cluster has more than one operator")?;
        Ok(Self {
            all,
            honest,
            dearest: made.arrived_of(&others),
            garbage: made.arrived_with_garbage(garbage),
        })
    }
}

type All<'a> = (Plain<'a>, Peer<'a>, Ours<'a>);

/// One slot of each, unmeasured: equal signatures, and what they took of pairings and memory.
fn compare(
    (plain, peer, ours): &mut All<'_>,
    arrived: &Arrived,
) -> anyhow::Result<(Contenders<usize>, Contenders<Option<u64>>)> {
    let (a, a_memory) = peak_of(|| plain.slot(arrived));
    let (b, b_memory) = peak_of(|| peer.slot(arrived));
    let (c, c_memory) = peak_of(|| ours.slot(arrived));
    let (a, b, c) = (a?, b?, c?);
    agree(&a, &b, &c)?;
    let pairings = Contenders { plain: a.pairings, threshold_crypto: b.pairings, ours: c.pairings };
    Ok((pairings, Contenders { plain: a_memory, threshold_crypto: b_memory, ours: c_memory }))
}

/// All give the same signatures. Who looks at every partial names the same operators; ours names some of them, and none
/// besides.
fn agree(plain: &Slot, peer: &Slot, ours: &Slot) -> anyhow::Result<()> {
    ensure!(plain.signatures == peer.signatures, "threshold_crypto and blst give different signatures");
    ensure!(plain.signatures == ours.signatures, "the slot check and blst give different signatures");
    ensure!(plain.culprits == peer.culprits, "threshold_crypto and blst name different operators");
    ensure!(ours.culprits.is_subset(&plain.culprits), "the slot check names an operator that blst does not");
    Ok(())
}

fn measure(
    args: &SigningArgs,
    made: &Made,
    (plain, peer, ours): &mut All<'_>,
    slots: &Slots,
) -> anyhow::Result<Times> {
    let mut times = Times::default();
    plain.verifying = Stopwatch::default();
    for _ in 0..args.rounds {
        bare(made, &mut times.bare)?;
        halves(made, &mut times.halves)?;
        times.contenders.plain.run(|| plain.slot(&slots.all))?;
        times.contenders.threshold_crypto.run(|| peer.slot(&slots.all))?;
        ours.fresh(&mut times.contenders.ours, &slots.all)?;
        ours.fresh(&mut times.dearest, &slots.dearest)?;
        let honest = ours.fresh(&mut times.honest, &slots.honest)?;
        let first = ours.fresh(&mut times.first, &slots.garbage)?;
        // Whoever was caught in the first slot is remembered in this one.
        ours.prepare();
        let later = times.later.run(|| ours.slot(&slots.garbage))?;
        ensure!(honest.culprits.is_empty() && !first.culprits.is_empty(), "the cheat was not caught");
        ensure!(
            first.signatures == honest.signatures && later.signatures == honest.signatures,
            "a cheat has cost a signature"
        );
        ensure!(later.culprits.is_empty(), "the cheat's partials were looked at again");
    }
    Ok(times)
}

impl Ours<'_> {
    /// A slot with nobody caught before.
    fn fresh(&mut self, laps: &mut Laps, arrived: &Arrived) -> anyhow::Result<Slot> {
        self.forgive();
        self.prepare();
        laps.run(|| self.slot(arrived))
    }
}

/// blst's verification and nothing else.
fn bare(made: &Made, laps: &mut Laps) -> anyhow::Result<()> {
    let validator = made.validators.first().context("a slot has an attester")?;
    let half = SignaturePoint::parse(&validator.half)?;
    let holds = laps
        .run(|| (0..BARE_VERIFICATIONS).all(|_| verify_point(&validator.client_key, made.message(), &half)));
    ensure!(holds, "blst refuses a good signature");
    Ok(())
}

/// The one check of all halves that (c) begins with, alone.
fn halves(made: &Made, laps: &mut Laps) -> anyhow::Result<()> {
    let root = HashedRoot::of(&made.root);
    let bad = laps.run(|| {
        let read = made.validators.iter().map(|one| Ok((&one.client_key, SignaturePoint::parse(&one.half)?)));
        let signed = read.collect::<Result<Vec<_>, PointError>>()?;
        Ok::<_, PointError>(find_bad(&root, &signed, [3; 32]))
    });
    ensure!(bad?.is_empty(), "the check of halves refuses a good one");
    Ok(())
}

/// The quorum with this operator that combines with the most work: one that divides, with the longest numerators.
fn dearest(size: ClusterSize) -> Vec<ShareIndex> {
    let all: Vec<_> = size.indices().collect();
    let masks = (1u32..1 << all.len()).filter(|mask| mask & 1 == 1);
    let of_size = masks.filter(|mask| mask.count_ones() as usize == size.threshold()).take(QUORUMS_MAX);
    let quorum = |mask: u32| -> Vec<ShareIndex> {
        all.iter().copied().filter(|index| mask >> index.position() & 1 == 1).collect()
    };
    let work = |quorum: &Vec<ShareIndex>| {
        let coefficients = Coefficients::new(quorum, At::Group);
        let longest = coefficients.numerators().iter().map(|numerator| numerator.unsigned_abs()).max();
        (coefficients.division().is_some(), longest)
    };
    of_size.map(quorum).max_by_key(work).unwrap_or(all)
}
