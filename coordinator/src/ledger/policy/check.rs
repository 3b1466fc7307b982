//! The rules of a policy.

use super::{OperatorCaps, Terms};
use crate::formation::accept::ANSWER_MAX;
use crate::formulas::allocation::{ACTIVATION, DEPOSIT_MIN};
use crate::formulas::ratio::{BasisPoints, Ratio};
use crate::formulas::slashing::SLASHINGS_EPOCHS;
use crate::text::Label;
use std::collections::BTreeSet;
use thiserror::Error;
use types::{Address, ClusterSize, Gwei, Wei, operators::SizeError};

/// More pairs than there are sizes of clusters.
pub const SIZES_MAX: usize = 64;
/// More kinds of operators than a page can show.
pub const OPERATOR_TYPES_MAX: usize = 32;
/// More people than know each other.
pub const NAMED_MAX: usize = 4096;
/// A delay that nobody can notice is none. A pool with money in it takes days; this is for test chains.
pub const DELAY_MIN_S: u64 = 60;
/// A pool that cannot change in a quarter of a year cannot be repaired.
pub const DELAY_MAX_S: u64 = 90 * 86_400;
/// A quarter of a year of epochs: delegators learn at least so often what they have.
pub const FRAME_EPOCHS_MAX: u32 = 20_250;
/// Two years of epochs: a lock that never ends is a confiscation.
pub const BOND_LOCK_EPOCHS_MAX: u64 = 164_250;
/// In 10^-9: all of it.
const WHOLE_PPB: u64 = 1_000_000_000;

/// The rule that a policy breaks.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PolicyError {
    /// No sizes of clusters, or too many.
    #[error("{have} sizes of clusters, where 1 to {SIZES_MAX} are allowed")]
    Sizes {
        /// How many.
        have: usize,
    },
    /// A size that is none, or not safe.
    #[error("a cluster of {operators} with threshold {threshold}: {why}")]
    Size {
        /// `n`.
        operators: u8,
        /// `t`.
        threshold: u8,
        /// Why not.
        why: SizeError,
    },
    /// A size twice.
    #[error("clusters of {operators} with threshold {threshold} are there twice")]
    SizeTwice {
        /// `n`.
        operators: u8,
        /// `t`.
        threshold: u8,
    },
    /// Operators that may do nothing.
    #[error("caps of {} gwei and {} clusters let an operator do nothing", .0.stake, .0.clusters)]
    Caps(OperatorCaps),
    /// No operator types, or too many.
    #[error("{have} operator types, where 1 to {OPERATOR_TYPES_MAX} are allowed")]
    OperatorTypes {
        /// How many.
        have: usize,
    },
    /// One name for two types.
    #[error("operator type {name} is there twice")]
    OperatorTypeTwice {
        /// Its name.
        name: Label,
    },
    /// Others' ETH behind nobody's.
    #[error("operator type {name} puts up nothing for its first key: everybody may not delegate to it")]
    PublicWithoutBond {
        /// Its name.
        name: Label,
    },
    /// Fees of more than everything.
    #[error("fees of {sum_bp} basis points are more than 10000")]
    Fees {
        /// Together.
        sum_bp: u32,
    },
    /// No pools wanted.
    #[error("saturation is a part of the total for each of 0 pools")]
    NoPools,
    /// A cap that leaves an operator less than its own bond.
    #[error("a leverage of at most {cap} is less than 1")]
    LeverageBelowOne {
        /// The cap.
        cap: Ratio,
    },
    /// A rule of diversity that asks for nothing.
    #[error("a rule of diversity asks neither for safety nor for liveness")]
    IdleDiversity,
    /// No frame, or one too long.
    #[error("a report every {have} epochs, where 1 to {FRAME_EPOCHS_MAX} are allowed")]
    Frame {
        /// Epochs.
        have: u32,
    },
    /// Bounds that allow everything or nothing.
    #[error("a gain of at most {positive_ppb} of 10^9 a frame is no bound; it is 1 to 10^9")]
    Bounds {
        /// The bound on gains.
        positive_ppb: u64,
    },
    /// A limit that stops everything, or warns too late.
    #[error("it warns at {warn} and stops at {stop} of the network's stake")]
    SelfLimit {
        /// Where it warns.
        warn: BasisPoints,
        /// Where it stops.
        stop: BasisPoints,
    },
    /// Too short to notice, or too long.
    #[error("announcements of {have} s, where {DELAY_MIN_S} to {DELAY_MAX_S} are allowed")]
    Announcement {
        /// Seconds.
        have: u64,
    },
    /// Too short to answer, or so long that what was proposed is not true any more.
    #[error("{have} s to answer for a cluster, where {DELAY_MIN_S} to {ANSWER_MAX} are allowed")]
    Answer {
        /// Seconds.
        have: u64,
    },
    /// Bonds that are free before faults come to light, or never.
    #[error("bonds locked for {have} epochs, where {SLASHINGS_EPOCHS} to {BOND_LOCK_EPOCHS_MAX} are allowed")]
    BondLock {
        /// Epochs.
        have: u64,
    },
    /// Parts that the deposit contract refuses, or that do not activate a validator.
    #[error("deposits of {first} and {rest} gwei: each is at least 1 ETH, together they are 32")]
    Deposit {
        /// The first.
        first: Gwei,
        /// The rest.
        rest: Gwei,
    },
    /// Deadlines out of order.
    #[error("exits are delayed after {delayed_s} s and delinquent after {delinquent_s} s")]
    Exits {
        /// Delayed.
        delayed_s: u64,
        /// Delinquent.
        delinquent_s: u64,
    },
    /// More strikes than frames, or none.
    #[error("{max} strikes in {frames} frames")]
    Strikes {
        /// Strikes.
        max: u8,
        /// Frames.
        frames: u8,
    },
    /// Others' ETH behind nobody's.
    #[error("not everybody may delegate to operator type {name}, and nobody is named")]
    OpenToAll {
        /// Its name.
        name: Label,
    },
    /// More names than anybody reads, or one that is nobody's.
    #[error("{have} delegators are named, where at most {NAMED_MAX} are allowed, and not the zero address")]
    Named {
        /// How many.
        have: usize,
    },
    /// Requests that nobody can make, or of nothing, or that wait too long.
    #[error("requests of {min} to {max} wei that wait {age_s} s: more than nothing, at most {DELAY_MAX_S} s")]
    Requests {
        /// The least.
        min: Wei,
        /// The most.
        max: Wei,
        /// Seconds.
        age_s: u64,
    },
    /// Everything is kept aside, so nothing is staked.
    #[error("a liquid reserve of {have} leaves nothing to stake")]
    Reserve {
        /// The liquid reserve.
        have: BasisPoints,
    },
}

pub(super) fn check(terms: &Terms) -> Result<(), PolicyError> {
    sizes(terms)?;
    operators(terms)?;
    money(terms)?;
    delegations(terms)?;
    chain(terms)
}

fn sizes(terms: &Terms) -> Result<(), PolicyError> {
    let have = terms.sizes.len();
    if have == 0 || have > SIZES_MAX {
        return Err(PolicyError::Sizes { have });
    }
    let mut seen = BTreeSet::new();
    for size in &terms.sizes {
        let (operators, threshold) = (size.operators, size.threshold);
        ClusterSize::new_safe(operators.into(), threshold.into()).map_err(|why| PolicyError::Size {
            operators,
            threshold,
            why,
        })?;
        if !seen.insert((operators, threshold)) {
            return Err(PolicyError::SizeTwice { operators, threshold });
        }
    }
    match terms.diversity.values().find(|rule| !rule.safety && !rule.liveness) {
        Some(_) => Err(PolicyError::IdleDiversity),
        None => Ok(()),
    }
}

fn operators(terms: &Terms) -> Result<(), PolicyError> {
    if terms.operator_caps.stake == Gwei(0) || terms.operator_caps.clusters == 0 {
        return Err(PolicyError::Caps(terms.operator_caps));
    }
    let have = terms.operator_types.len();
    if have == 0 || have > OPERATOR_TYPES_MAX {
        return Err(PolicyError::OperatorTypes { have });
    }
    let mut names = BTreeSet::new();
    for kind in &terms.operator_types {
        let name = kind.name.clone();
        if kind.public_delegation && kind.bond.required(1) == Wei::ZERO {
            return Err(PolicyError::PublicWithoutBond { name });
        }
        if !names.insert(&kind.name) {
            return Err(PolicyError::OperatorTypeTwice { name });
        }
    }
    let (max, frames) = (terms.strikes.max, terms.strikes.frames);
    if max == 0 || max > frames {
        return Err(PolicyError::Strikes { max, frames });
    }
    if !(DELAY_MIN_S..=DELAY_MAX_S).contains(&terms.announcement_s) {
        return Err(PolicyError::Announcement { have: terms.announcement_s });
    }
    let have = terms.formation.answer_s;
    if !(DELAY_MIN_S..=ANSWER_MAX).contains(&have) {
        return Err(PolicyError::Answer { have });
    }
    Ok(())
}

fn money(terms: &Terms) -> Result<(), PolicyError> {
    let parts = [terms.fees.operators, terms.fees.pool, terms.fees.reserve];
    let sum_bp = parts.iter().map(|part| u32::from(part.get())).sum();
    if sum_bp > u32::from(BasisPoints::WHOLE.get()) {
        return Err(PolicyError::Fees { sum_bp });
    }
    if terms.saturation.pools_wanted == 0 {
        return Err(PolicyError::NoPools);
    }
    let caps = [terms.saturation.leverage_max, terms.leverage_max];
    if let Some(cap) = caps.into_iter().flatten().find(|cap| *cap < Ratio::ONE) {
        return Err(PolicyError::LeverageBelowOne { cap });
    }
    let positive_ppb = terms.reports.bounds.positive_rebase_max_ppb;
    if positive_ppb == 0 || positive_ppb > WHOLE_PPB {
        return Err(PolicyError::Bounds { positive_ppb });
    }
    let (warn, stop) = (terms.self_limit.warn, terms.self_limit.stop);
    if stop == BasisPoints::ZERO || warn > stop {
        return Err(PolicyError::SelfLimit { warn, stop });
    }
    if terms.reserves.liquid == BasisPoints::WHOLE {
        return Err(PolicyError::Reserve { have: terms.reserves.liquid });
    }
    Ok(())
}

fn delegations(terms: &Terms) -> Result<(), PolicyError> {
    let rules = &terms.delegations;
    let closed = terms.operator_types.iter().find(|kind| !kind.public_delegation);
    match (closed, &rules.named) {
        (Some(kind), None) => return Err(PolicyError::OpenToAll { name: kind.name.clone() }),
        (_, Some(named)) if named.len() > NAMED_MAX || named.contains(&Address::ZERO) => {
            return Err(PolicyError::Named { have: named.len() });
        }
        (None | Some(_), None | Some(_)) => {}
    }
    let (min, max, age_s) = (rules.request_min, rules.request_max, rules.request_age_min_s);
    if min == Wei::ZERO || min > max || age_s > DELAY_MAX_S {
        return Err(PolicyError::Requests { min, max, age_s });
    }
    Ok(())
}

fn chain(terms: &Terms) -> Result<(), PolicyError> {
    let have = terms.reports.frame_epochs;
    if have == 0 || have > FRAME_EPOCHS_MAX {
        return Err(PolicyError::Frame { have });
    }
    let have = terms.bond_lock_epochs;
    if !(SLASHINGS_EPOCHS..=BOND_LOCK_EPOCHS_MAX).contains(&have) {
        return Err(PolicyError::BondLock { have });
    }
    let (first, rest) = (terms.deposit.first, terms.deposit.rest);
    if first < DEPOSIT_MIN || rest < DEPOSIT_MIN || first.0.checked_add(rest.0) != Some(ACTIVATION.0) {
        return Err(PolicyError::Deposit { first, rest });
    }
    let (delayed_s, delinquent_s) = (terms.exits.delayed_s, terms.exits.delinquent_s);
    if delayed_s == 0 || delayed_s >= delinquent_s {
        return Err(PolicyError::Exits { delayed_s, delinquent_s });
    }
    Ok(())
}
