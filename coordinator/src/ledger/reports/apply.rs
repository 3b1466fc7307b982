//! What a report changes. One that cannot have been decided on this state is a corrupt log, and changes nothing.

use super::command::Net;
use super::decide::root_of;
use super::event::{Event, Reported};
use super::{Last, State};
use crate::formulas::wide::{self, WideError};
use crate::merkle::claims::ClaimError;
use std::collections::BTreeMap;
use thiserror::Error;
use types::{Address, Epoch, Root, Wei};

/// The most frames in which strikes count: a policy has their number in a byte.
const STRIKE_FRAMES_MAX: u64 = u8::MAX as u64;

/// Why an event cannot have happened.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Corrupt {
    /// Not the next.
    #[error("frame {have}, the next is {want}")]
    Frame {
        /// The event's.
        have: u64,
        /// The next.
        want: u64,
    },
    /// Not later.
    #[error("a report of epoch {epoch}, the last one is of {last}")]
    NotLater {
        /// The event's.
        epoch: Epoch,
        /// The last one's.
        last: Epoch,
    },
    /// Parts of something else.
    #[error("the parts are {have:?}, the result is {want:?}")]
    Parts {
        /// Their sum.
        have: Net,
        /// The result.
        want: Net,
    },
    /// Claims that make another tree.
    #[error("the tree of claims has the root {have:?}, these make {want:?}")]
    Claims {
        /// The event's.
        have: Option<Root>,
        /// Computed.
        want: Option<Root>,
    },
    /// More taken than was earned.
    #[error("{account} takes {eth} wei of its rewards, {claimable} are left")]
    Claimed {
        /// Whose.
        account: Address,
        /// Taken.
        eth: Wei,
        /// Earned and not taken.
        claimable: Wei,
    },
    /// What makes no tree.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

/// Changes the state by one event. Errors: the event cannot have been decided on this state, which is then as it was.
pub fn apply(state: &mut State, event: &Event) -> Result<(), Corrupt> {
    match event {
        Event::Reported(reported) => count(state, reported),
        Event::Stated { cluster, operator, statement } => {
            let (have, want) = (statement.frame, state.next);
            if have != want {
                return Err(Corrupt::Frame { have, want });
            }
            let of_cluster = state.statements.entry(*cluster).or_default();
            of_cluster.insert(*operator, statement.seen.clone());
            Ok(())
        }
        Event::Repaid { to, eth } => {
            let claims = wide::add(state.claims.get(to).copied().unwrap_or_default(), *eth)?;
            state.claims.insert(*to, claims);
            Ok(())
        }
        Event::Claimed { account, eth } => {
            let claimable = state.claimable(*account);
            if *eth == Wei::ZERO || *eth > claimable {
                return Err(Corrupt::Claimed { account: *account, eth: *eth, claimable });
            }
            let claimed = wide::add(state.claimed.get(account).copied().unwrap_or_default(), *eth)?;
            state.claimed.insert(*account, claimed);
            Ok(())
        }
    }
}

fn count(state: &mut State, reported: &Reported) -> Result<(), Corrupt> {
    let next = state.next.checked_add(1).filter(|_| reported.frame == state.next);
    let next = next.ok_or(Corrupt::Frame { have: reported.frame, want: state.next })?;
    if let Some(last) = state.last.filter(|last| last.epoch >= reported.epoch) {
        return Err(Corrupt::NotLater { epoch: reported.epoch, last: last.epoch });
    }
    let (have, want) = (reported.parts.sum()?, reported.result);
    if have != want {
        return Err(Corrupt::Parts { have, want });
    }
    let want = root_of(state, &reported.operators)?;
    if want != reported.claims {
        return Err(Corrupt::Claims { have: reported.claims, want });
    }
    let mut claims = state.claims.clone();
    for earned in reported.operators.values().filter(|earned| earned.kept != Wei::ZERO) {
        let sum = claims.entry(earned.to).or_default();
        *sum = wide::add(*sum, earned.kept)?;
    }
    state.claims = claims;
    state.statements.clear();
    state.next = next;
    state.last = Some(Last { epoch: reported.epoch, block_root: reported.block_root, at: reported.at });
    let balances = reported.clusters.iter().filter(|(_, one)| !one.balances.is_empty());
    state.balances = balances.map(|(id, one)| (*id, one.balances.clone())).collect::<BTreeMap<_, _>>();
    strikes(state, reported);
    Ok(())
}

/// Adds this frame's strikes, and forgets those that no policy counts any more.
fn strikes(state: &mut State, reported: &Reported) {
    for (cluster, _) in reported.clusters.iter().filter(|(_, one)| one.strike) {
        state.strikes.entry(*cluster).or_default().insert(reported.frame);
    }
    let oldest = reported.frame.saturating_sub(STRIKE_FRAMES_MAX);
    for frames in state.strikes.values_mut() {
        frames.retain(|frame| *frame >= oldest);
    }
    state.strikes.retain(|_, frames| !frames.is_empty());
}
