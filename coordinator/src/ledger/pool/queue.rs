//! Who waits for ETH, in which order, and what it comes to.

use super::apply::Corrupt;
use crate::formulas::shares::{Rate, Shares};
use crate::formulas::wide::{self, WideError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use types::{Address, Wei};

/// The most requests that wait: at [`SERVED_MAX`] for a daily report it would take most of a year to serve them.
pub const OPEN_MAX: u64 = 1 << 20;
/// The most requests that one report serves, so that its event stays below a megabyte.
pub const SERVED_MAX: usize = 4096;

/// A withdrawal request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Whose.
    pub owner: Address,
    /// Its shares; in the queue's account until it is served.
    pub shares: Shares,
    /// What it comes to: until it is served the most it can get, which is what its shares were worth when it was made.
    pub eth: Wei,
    /// When it was made, in seconds since 1970.
    pub at: u64,
}

impl Request {
    /// What it gets at a rate: what its shares are worth, and no more than when it was made.
    pub fn worth(&self, rate: Rate) -> Result<Wei, WideError> {
        Ok(rate.eth_of(self.shares)?.min(self.eth))
    }
}

/// All requests: those from `first_open` on wait, those before it are served and stay until they are claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    pub(super) next: u64,
    pub(super) first_open: u64,
    pub(super) requests: BTreeMap<u64, Request>,
}

impl Queue {
    /// The next request's number.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many wait.
    pub fn waiting(&self) -> u64 {
        self.next - self.first_open
    }

    /// A request, if it was made and not claimed.
    pub fn request(&self, number: u64) -> Option<&Request> {
        self.requests.get(&number)
    }

    /// Whether a request has its turn behind it.
    pub fn is_served(&self, number: u64) -> bool {
        number < self.first_open
    }

    /// Requests that wait, the next one first.
    pub fn open(&self) -> impl Iterator<Item = (u64, &Request)> {
        self.requests.range(self.first_open..).map(|(number, request)| (*number, request))
    }

    /// Requests that are served and not claimed.
    pub fn claimable(&self) -> impl Iterator<Item = (u64, &Request)> {
        self.requests.range(..self.first_open).map(|(number, request)| (*number, request))
    }

    /// What all that wait get at a rate. Cost: all of them.
    pub fn worth(&self, rate: Rate) -> Result<Wei, WideError> {
        self.open().try_fold(Wei::ZERO, |sum, (_, request)| wide::add(sum, request.worth(rate)?))
    }

    /// Compares the requests with the account of those that wait, and with what is locked for those that are served.
    pub(super) fn audit(&self, held: Shares, locked: Wei) -> Result<(), Corrupt> {
        let waiting = super::sum(self.open().map(|(_, request)| request.shares))?;
        if waiting != held {
            return Err(Corrupt::QueueShares { have: held, want: waiting });
        }
        let due = wide::total(self.claimable().map(|(_, request)| request.eth))?;
        if due != locked {
            return Err(Corrupt::Owed { have: due, want: locked });
        }
        // Those that wait have all numbers from the first on: none is lost.
        let numbers = self.open().map(|(number, _)| number);
        if self.first_open > self.next || !numbers.eq(self.first_open..self.next) {
            return Err(Corrupt::Number { have: self.first_open, next: self.next });
        }
        Ok(())
    }
}
