//! Made-up candidates and rules, for the tests of this room.

mod calls;
mod exhaustive;
mod properties;
mod villains;
mod words;

use super::{Call, Candidate, Delegation, Dimension, Diversity, PoolStake, Rules, Seed, Terms};
use crate::formulas::{bonds::BondCurve, ratio::Ratio, wide::ETH_GWEI};
use crate::text::{COUNTRIES, Country, Entity, Label};
use alloy_primitives::U256;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use types::{Address, Epoch, Gwei, Root, Wei};

pub(super) fn eth(amount: u64) -> Gwei {
    Gwei(amount * ETH_GWEI)
}

fn wei(amount: u64) -> Wei {
    Wei(U256::from(amount) * U256::from(10).pow(U256::from(18)))
}

fn word(text: &str) -> Label {
    Label::new(text).unwrap()
}

/// The `at`-th of 249, and again from the first.
fn country(at: u32) -> Country {
    let codes: Vec<_> = COUNTRIES.split(' ').collect();
    Country::new(codes[at as usize % codes.len()]).unwrap()
}

const BOTH: Diversity = Diversity { safety: true, liveness: true };

/// All of it in these.
fn by(dimensions: &[Dimension]) -> BTreeMap<Dimension, Diversity> {
    dimensions.iter().map(|dimension| (*dimension, BOTH)).collect()
}

fn address(at: u32) -> Address {
    let mut bytes = [0x11; 20];
    bytes[16..].copy_from_slice(&at.to_be_bytes());
    Address(bytes)
}

/// A candidate that has nothing in common with another, and room for one cluster.
fn candidate(at: u32) -> Candidate {
    Candidate {
        operator: address(at),
        entity: Entity::new(format!("Entity {at}")).unwrap(),
        country: country(at),
        hosting_as: 1000 + at,
        execution_client: word(&format!("el{at}")),
        consensus_client: word(&format!("cl{at}")),
        validator_client: word(&format!("vc{at}")),
        operator_type: word("csm-default"),
        clusters_now: 0,
        clusters_max: 1,
        keys_now: 0,
        stake_now: Gwei(0),
        stake_cap: eth(1_000_000),
        controlled_now: Gwei(0),
        bond: wei(1000),
        bond_free: wei(1000),
    }
}

/// Clusters of ten validators with 32 ETH each, by all dimensions.
fn rules(operators: u8, threshold: u8) -> Rules {
    let types = ["csm-default", "csm-idvtc", "cmv2-pto", "rocketpool-saturn-1"];
    Rules {
        operators,
        threshold,
        keys: 10,
        stake: eth(320),
        leverage_max: Some(Ratio::of(10, 1).unwrap()),
        pools_wanted: 10,
        diversity: by(&Dimension::ALL),
        intra_operator: false,
        delegation: Delegation::Public,
        operator_types: types.iter().map(|name| (word(name), BondCurve::named(name).unwrap())).collect(),
    }
}

fn terms(rules: Rules, candidates: Vec<Candidate>, demand: u32) -> Terms {
    let pool = PoolStake { total: eth(1_000_000), entities: BTreeMap::new() };
    Terms { committed_at: Epoch(1000), seed_epoch: Epoch(1003), demand, rules, pool, candidates }
}

fn call(rules: Rules, candidates: Vec<Candidate>, demand: u32) -> Call {
    Call::new(terms(rules, candidates, demand)).unwrap()
}

fn seed(at: u8) -> Seed {
    Seed { epoch: Epoch(1003), mix: Root([at; 32]) }
}

/// What candidates of a random call differ in.
#[derive(Debug)]
struct Draw {
    entity: u32,
    values: [u32; 5],
    clusters: (u32, u32),
    stake: (u64, u64),
    bond: (u64, u64),
    keys: u32,
}

fn draw() -> impl Strategy<Value = Draw> {
    let parts = (
        any::<u32>(),
        any::<[u32; 5]>(),
        (0u32..3, 1u32..6),
        (0u64..400, 300u64..1500),
        (20u64..120, 3u64..60),
        0u32..20,
    );
    parts.prop_map(|(entity, values, clusters, stake, bond, keys)| Draw {
        entity,
        values,
        clusters,
        stake,
        bond,
        keys,
    })
}

impl Draw {
    /// One of so many entities, and of so many values in each dimension.
    fn candidate(&self, at: u32, entities: u32, values: u32) -> Candidate {
        let [el, cl, vc, hosting, place] = self.values.map(|value| value % values);
        Candidate {
            operator: address(at),
            entity: Entity::new(format!("Entity {}", self.entity % entities)).unwrap(),
            country: country(place),
            hosting_as: hosting,
            execution_client: word(&format!("el{el}")),
            consensus_client: word(&format!("cl{cl}")),
            validator_client: word(&format!("vc{vc}")),
            operator_type: word(if self.keys.is_multiple_of(2) { "csm-idvtc" } else { "csm-default" }),
            clusters_now: self.clusters.0,
            clusters_max: self.clusters.1,
            keys_now: self.keys,
            stake_now: eth(self.stake.0),
            stake_cap: eth(self.stake.1),
            controlled_now: eth(self.stake.0),
            bond: wei(self.bond.0 + self.bond.1),
            bond_free: wei(self.bond.1),
        }
    }
}

prop_compose! {
    /// Rules of which each refuses something now and then; and how many entities and values there are.
    fn some_rules(sizes: &'static [(u8, u8)])(
        (n, t) in prop::sample::select(sizes),
        dimensions in prop::sample::subsequence(&Dimension::ALL, 0..4),
        asked in prop::sample::select(vec![(true, true), (true, false), (false, true)]),
        (intra, private, capped) in (prop::bool::weighted(0.2), prop::bool::weighted(0.2), any::<bool>()),
        leverage in 8u64..80,
        (entities, values) in (0u32..8, 0u32..4),
    ) -> (Rules, u32, u32) {
        let mut rules = rules(n, t);
        let diversity = Diversity { safety: asked.0, liveness: asked.1 };
        rules.diversity = dimensions.into_iter().map(|dimension| (dimension, diversity)).collect();
        rules.intra_operator = intra;
        rules.delegation = if private { Delegation::Private } else { Delegation::Public };
        rules.leverage_max = capped.then(|| Ratio::of(leverage, 2).unwrap());
        let (size, spared) = (u32::from(n), u32::from(n - t));
        (rules, if intra { 1 + entities % 2 } else { size + entities }, size.div_ceil(spared) + values)
    }
}

prop_compose! {
    /// Random calls of `extra` candidates more than a cluster has.
    fn calls(sizes: &'static [(u8, u8)], extra: std::ops::Range<usize>, demand: u32)(
        (rules, entities, values) in some_rules(sizes),
        draws in prop::collection::vec(draw(), extra.end + 22),
        extra in extra,
        demand in 1..=demand,
        saturated in 500u64..4000,
    ) -> Call {
        let count = extra + usize::from(rules.operators);
        let of = |(at, draw): (u32, &Draw)| draw.candidate(at, entities, values);
        let mut terms = terms(rules, (0..).zip(&draws[..count]).map(of).collect(), demand);
        for candidate in &terms.candidates {
            let sum = terms.pool.entities.entry(candidate.entity.clone()).or_default();
            sum.0 += candidate.stake_now.0;
        }
        terms.pool.total = eth(saturated * 10);
        Call::new(terms).unwrap()
    }
}
