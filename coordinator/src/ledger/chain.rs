//! How far the chain is, as the coordinator has seen it: the latest finalized checkpoint, and how much stake there is.
//!
//! Bonds are locked until an epoch is *finalized*: a fault comes to light on the chain, and while the chain does not
//! finalize, nothing is freed. The checkpoint's root is kept, so anybody with a beacon node can check the coordinator's word.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::{Epoch, Gwei, Root};

/// Where on the execution layer something happened. In all books together it counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Hash of the transaction; of a block's own fees, of the block.
    pub hash: Root,
    /// The number of the log in its block (`logIndex`); of a block's own fees, zero.
    pub index: u32,
}

/// A finalized checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finalized {
    /// Its epoch.
    pub epoch: Epoch,
    /// The root of its block.
    pub root: Root,
}

/// How much stake the whole chain has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stake {
    /// In the state of this finalized checkpoint's epoch.
    pub epoch: Epoch,
    /// Effective balances of all active validators together.
    pub active: Gwei,
}

/// A block of the execution layer that is final, up to which all that the pool's contracts said was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Executed {
    /// Its number.
    #[serde(with = "serde_utils::quoted_u64")]
    pub number: u64,
    /// Its hash.
    pub hash: Root,
}

/// The latest of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The latest.
    pub finalized: Finalized,
    /// What was seen last of the chain's stake, if anything was.
    pub stake: Option<Stake>,
    /// Up to where the pool's contracts were listened to, if they were.
    pub executed: Option<Executed>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The chain has finalized a later checkpoint.
    Finalized(Finalized),
    /// How much stake there is.
    Stake(Stake),
    /// All that the pool's contracts said up to here was told.
    Executed(Executed),
}

/// Why a checkpoint is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// Not later than the last.
    #[error("epoch {have} is finalized, {last} was already")]
    NotLater {
        /// What is said to be finalized.
        have: Epoch,
        /// What was.
        last: Epoch,
    },
    /// Of a time that has not come: with it all bonds that are locked until then would be free.
    #[error("epoch {have} is said to be finalized, it is epoch {now}")]
    Tomorrow {
        /// What is said to be finalized.
        have: Epoch,
        /// The epoch that it is.
        now: Epoch,
    },
    /// Of a state that is not final, or that something later was said of.
    #[error("the chain's stake in epoch {have}, where more than {last} and at most {finalized} is looked at")]
    StakeOf {
        /// The state's epoch.
        have: Epoch,
        /// That of the last one.
        last: Epoch,
        /// The latest that is finalized.
        finalized: Epoch,
    },
    /// A block that is not later than the last.
    #[error("block {have}, where {last} was told of already")]
    NotLaterBlock {
        /// Its number.
        have: u64,
        /// The last one's.
        last: u64,
    },
    /// No stake at all.
    #[error("a chain without stake")]
    NoStake,
}

impl State {
    /// What a checkpoint changes. Errors: it is not later than the last, or later than anything can be final.
    ///
    /// - `now`: the epoch that it is, by the clock of the entry.
    pub fn decide(&self, now: Epoch, seen: &Finalized) -> Result<Vec<Event>, Refusal> {
        let have = seen.epoch;
        if have <= self.finalized.epoch {
            return Err(Refusal::NotLater { have, last: self.finalized.epoch });
        }
        if have > now {
            return Err(Refusal::Tomorrow { have, now });
        }
        Ok(vec![Event::Finalized(*seen)])
    }

    /// What is said of the chain's stake. Errors: of a state that is not final, or not later than the last; none.
    pub fn weigh(&self, seen: &Stake) -> Result<Vec<Event>, Refusal> {
        let (have, finalized) = (seen.epoch, self.finalized.epoch);
        let last = self.stake.map_or(Epoch(0), |stake| stake.epoch);
        if have <= last || have > finalized {
            return Err(Refusal::StakeOf { have, last, finalized });
        }
        if seen.active == Gwei(0) { Err(Refusal::NoStake) } else { Ok(vec![Event::Stake(*seen)]) }
    }

    /// That the pool's contracts were listened to up to a block. Errors: it is not later than the last.
    pub fn heard(&self, seen: &Executed) -> Result<Vec<Event>, Refusal> {
        match self.executed {
            Some(last) if seen.number <= last.number => {
                Err(Refusal::NotLaterBlock { have: seen.number, last: last.number })
            }
            _ => Ok(vec![Event::Executed(*seen)]),
        }
    }

    /// Applies an event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Finalized(seen) => self.finalized = *seen,
            Event::Stake(seen) => self.stake = Some(*seen),
            Event::Executed(seen) => self.executed = Some(*seen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_finalized_only_rises() {
        let mut state = State::default();
        let seen = |epoch| Finalized { epoch: Epoch(epoch), root: Root([9; 32]) };
        let now = Epoch(6);
        state.apply(&state.decide(now, &seen(5)).unwrap()[0]);
        for epoch in [0, 4, 5] {
            let refusal = Refusal::NotLater { have: Epoch(epoch), last: Epoch(5) };
            assert_eq!(state.decide(now, &seen(epoch)), Err(refusal));
        }
        state.apply(&state.decide(now, &seen(6)).unwrap()[0]);
        assert_eq!(state.finalized, seen(6));
    }

    #[test]
    fn nothing_is_final_before_its_time() {
        let state = State::default();
        let seen = |epoch| Finalized { epoch: Epoch(epoch), root: Root([9; 32]) };
        let refusal = |have, now| Err(Refusal::Tomorrow { have: Epoch(have), now: Epoch(now) });
        assert_eq!(state.decide(Epoch(6), &seen(7)), refusal(7, 6));
        assert_eq!(state.decide(Epoch(0), &seen(u64::MAX)), refusal(u64::MAX, 0));
        assert_eq!(state.decide(Epoch(7), &seen(7)), Ok(vec![Event::Finalized(seen(7))]));
    }

    #[test]
    fn stake_is_of_a_finalized_state_and_each_later_than_the_last() {
        let mut state = State::default();
        let seen = |epoch, active| Stake { epoch: Epoch(epoch), active: Gwei(active) };
        let of = |have, last, finalized| {
            let [have, last, finalized] = [have, last, finalized].map(Epoch);
            Err(Refusal::StakeOf { have, last, finalized })
        };
        assert_eq!(state.weigh(&seen(1, 7)), of(1, 0, 0));
        state.apply(&Event::Finalized(Finalized { epoch: Epoch(5), root: Root([9; 32]) }));
        assert_eq!(state.weigh(&seen(6, 7)), of(6, 0, 5));
        assert_eq!(state.weigh(&seen(5, 0)), Err(Refusal::NoStake));
        state.apply(&state.weigh(&seen(5, 7)).unwrap()[0]);
        assert_eq!(state.stake, Some(seen(5, 7)));
        assert_eq!(state.weigh(&seen(5, 8)), of(5, 5, 5));
    }

    #[test]
    fn what_contracts_said_is_told_block_by_block() {
        let mut state = State::default();
        let block = |number| Executed { number, hash: Root([number.try_into().unwrap(); 32]) };
        state.apply(&state.heard(&block(7)).unwrap()[0]);
        assert_eq!(state.executed, Some(block(7)));
        for have in [0, 6, 7] {
            assert_eq!(state.heard(&block(have)), Err(Refusal::NotLaterBlock { have, last: 7 }));
        }
        assert_eq!(state.heard(&block(8)), Ok(vec![Event::Executed(block(8))]));
    }
}
