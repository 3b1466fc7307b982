//! What the log told that the state does not keep: reports, how shares went from hand to hand, incidents that are over, the
//! proofs of clusters. Entry by entry; whoever starts again reads the log again.
//!
//! Memory: a word for each report and each call; [`FRAMES_MAX`] reports with each operator's part; [`MOVES_MAX`] movements of
//! each account that ever had shares, some hundred bytes each as a rule; [`INCIDENTS_MAX`] incidents.

use crate::formulas::shares::Shares;
use crate::formulas::wide;
use crate::ledger::Entry;
use crate::ledger::incidents::{self, Opened};
use crate::ledger::operators::{OperatorId, Reason};
use crate::ledger::pool;
use crate::ledger::reports::{self, Duties, Net, Reported};
use crate::ledger::state::Event;
use crate::ledger::{bonds, calls};
use alloy_primitives::U256;
use std::collections::{BTreeMap, VecDeque};
use types::{Address, Epoch, Root, Wei};

/// Reports whose numbers are kept: of a pool that reports daily, more than a year.
pub const FRAMES_MAX: usize = 400;
/// Movements of an account that are kept, the newest.
pub const MOVES_MAX: usize = 64;
/// Incidents that are kept, the newest.
pub const INCIDENTS_MAX: usize = 256;

/// A report's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its number.
    pub frame: u64,
    /// Its epoch.
    pub epoch: Epoch,
    /// Unix seconds of its slot.
    pub at: u64,
    /// What 10^27 shares were worth after it.
    pub share_rate: U256,
    /// All that shares were worth after it.
    pub pooled: Wei,
    /// What it brought.
    pub result: Net,
    /// All clusters' duties.
    pub duties: Duties,
    /// By operator.
    pub operators: BTreeMap<OperatorId, OfOperator>,
}

/// An operator's part of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfOperator {
    /// What it did of what was due in all its clusters, in ten-thousandths, rounded down; nothing where nothing was due.
    pub participation: Option<u16>,
    /// What it can claim of it.
    pub kept: Wei,
    /// What paid its debts.
    pub repaid: Wei,
}

/// Something that happened to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// It paid, and got shares; some may be owed back.
    Bought {
        /// What bought shares.
        eth: Wei,
        /// The shares.
        shares: Shares,
        /// What is owed back.
        refund: Wei,
    },
    /// It gave shares away.
    Gave {
        /// To whom.
        to: Address,
        /// How many.
        shares: Shares,
    },
    /// It was given shares.
    Got {
        /// By whom.
        from: Address,
        /// How many.
        shares: Shares,
    },
    /// It asked for ETH.
    Asked {
        /// The request's number.
        request: u64,
        /// Its shares.
        shares: Shares,
        /// The most that it gets.
        eth: Wei,
    },
    /// A report served its request.
    Served {
        /// The request's number.
        request: u64,
        /// What it comes to.
        eth: Wei,
    },
    /// It asked to be paid.
    Claimed {
        /// The request's number.
        request: u64,
    },
    /// A payment to it was seen on the chain.
    PaidOut {
        /// The payout's number.
        payout: u64,
    },
    /// Bond is to be paid to it.
    BondClaimed {
        /// How much.
        eth: Wei,
    },
    /// What it earned became shares.
    Earned {
        /// How much.
        eth: Wei,
    },
}

/// A movement, and where the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The number of the entry.
    pub entry: u64,
    /// Unix seconds of it.
    pub at: u64,
    /// What happened.
    pub what: Move,
}

/// How an incident ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The loss was paid: how much it was.
    Settled(Wei),
    /// It was none.
    Dismissed(Reason),
}

/// An incident, from its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tale {
    /// The number of the entry that opened it.
    pub entry: u64,
    /// How it began.
    pub opened: Opened,
    /// When it ended, in Unix seconds, and how; nothing while it is open.
    pub ended: Option<(u64, Ending)>,
}

/// What the log told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    entries: u64,
    /// The entry of each report.
    reports: Vec<u64>,
    frames: VecDeque<Frame>,
    /// The entry of each call's answer, by the proposal's hash.
    proposals: BTreeMap<Root, u64>,
    moves: BTreeMap<Address, VecDeque<Moved>>,
    incidents: BTreeMap<u64, Tale>,
    /// Whose requests and payouts these are, until they are over.
    requests: BTreeMap<u64, Address>,
    payouts: BTreeMap<u64, Address>,
    payout_next: u64,
}

impl Digest {
    /// How many entries were read.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Reports that are kept, the newest last.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = &Frame> + ExactSizeIterator {
        self.frames.iter()
    }

    /// The number of the entry of a report.
    pub fn report(&self, frame: u64) -> Option<u64> {
        self.reports.get(usize::try_from(frame).ok()?).copied()
    }

    /// The number of the entry that has a proposal.
    pub fn proposal(&self, hash: Root) -> Option<u64> {
        self.proposals.get(&hash).copied()
    }

    /// What happened to an account, the newest last.
    pub fn moves(&self, account: Address) -> impl DoubleEndedIterator<Item = &Moved> {
        self.moves.get(&account).into_iter().flatten()
    }

    /// Incidents that are kept, by number.
    pub fn incidents(&self) -> &BTreeMap<u64, Tale> {
        &self.incidents
    }

    /// Reads the next entry. One that was read, or that is not the next, changes nothing.
    pub fn take(&mut self, entry: &Entry) {
        if entry.seq != self.entries {
            return;
        }
        self.entries += 1;
        for event in &entry.events {
            match event {
                Event::Money(event) => self.money(entry, event),
                Event::Reports(event) => self.reported(entry, event),
                Event::Incidents(event) => self.incident(entry, event),
                Event::Calls(event) => {
                    if let calls::Event::Proposed(proposal) = &**event {
                        self.proposals.insert(proposal.hash(), entry.seq);
                    }
                }
                Event::Bonds(bonds::Event::Claimed { claim, .. }) => {
                    self.moved(entry, claim.to, Move::BondClaimed { eth: claim.amount });
                }
                Event::Accepted { .. }
                | Event::PolicyChanged(_)
                | Event::Chain(_)
                | Event::Governance(_)
                | Event::Operators(_)
                | Event::Bonds(_)
                | Event::Clusters(_)
                | Event::Ceremonies(_)
                | Event::Deposits(_)
                | Event::Exits(_)
                | Event::ForkAdded(_)
                | Event::PassedOver { .. } => {}
            }
        }
    }

    fn moved(&mut self, entry: &Entry, account: Address, what: Move) {
        let moves = self.moves.entry(account).or_default();
        if moves.len() >= MOVES_MAX {
            moves.pop_front();
        }
        moves.push_back(Moved { entry: entry.seq, at: entry.at, what });
    }

    fn money(&mut self, entry: &Entry, event: &pool::Event) {
        match event {
            pool::Event::Paid { payer, pooled, shares, refund, .. } => {
                if *refund != Wei::ZERO {
                    self.payouts.insert(self.payout_next, *payer);
                    self.payout_next += 1;
                }
                self.moved(entry, *payer, Move::Bought { eth: *pooled, shares: *shares, refund: *refund });
            }
            pool::Event::Transferred { from, to, shares } | pool::Event::Given { from, to, shares } => {
                self.moved(entry, *from, Move::Gave { to: *to, shares: *shares });
                self.moved(entry, *to, Move::Got { from: *from, shares: *shares });
            }
            pool::Event::Requested { request, owner, shares, eth, .. } => {
                self.requests.insert(*request, *owner);
                self.moved(entry, *owner, Move::Asked { request: *request, shares: *shares, eth: *eth });
            }
            pool::Event::Claimed { request, payout } => {
                self.payout_next = payout + 1;
                if let Some(owner) = self.requests.remove(request) {
                    self.payouts.insert(*payout, owner);
                    self.moved(entry, owner, Move::Claimed { request: *request });
                }
            }
            pool::Event::PaidOut { payout, .. } => {
                if let Some(to) = self.payouts.remove(payout) {
                    self.moved(entry, to, Move::PaidOut { payout: *payout });
                }
            }
            pool::Event::Reported(reported) => {
                for served in &reported.served {
                    if let Some(owner) = self.requests.get(&served.request).copied() {
                        self.moved(entry, owner, Move::Served { request: served.request, eth: served.eth });
                    }
                }
            }
            pool::Event::Rewarded(_)
            | pool::Event::Covered(_)
            | pool::Event::Endowed { .. }
            | pool::Event::Forgiven { .. }
            | pool::Event::Restored { .. }
            | pool::Event::Planned(_)
            | pool::Event::Unplanned(_)
            | pool::Event::Sent(_) => {}
        }
    }

    fn reported(&mut self, entry: &Entry, event: &reports::Event) {
        match event {
            reports::Event::Reported(reported) => {
                self.reports.push(entry.seq);
                if self.frames.len() >= FRAMES_MAX {
                    self.frames.pop_front();
                }
                self.frames.push_back(Frame::of(reported));
            }
            reports::Event::Claimed { account, eth } => {
                self.moved(entry, *account, Move::Earned { eth: *eth });
            }
            reports::Event::Stated { .. } | reports::Event::Repaid { .. } => {}
        }
    }

    fn incident(&mut self, entry: &Entry, event: &incidents::Event) {
        let mut end = |incident, ending| {
            if let Some(tale) = self.incidents.get_mut(&incident) {
                tale.ended = Some((entry.at, ending));
            }
        };
        match event {
            incidents::Event::Opened(opened) => {
                let tale = Tale { entry: entry.seq, opened: (**opened).clone(), ended: None };
                self.incidents.insert(opened.incident, tale);
                if self.incidents.len() > INCIDENTS_MAX {
                    self.incidents.pop_first();
                }
            }
            incidents::Event::Closed { incident, loss, .. } => end(*incident, Ending::Settled(*loss)),
            incidents::Event::Dismissed { incident, reason } => {
                end(*incident, Ending::Dismissed(reason.clone()));
            }
            incidents::Event::Frozen(_)
            | incidents::Event::Thawed(_)
            | incidents::Event::QueueHeld
            | incidents::Event::QueueReleased
            | incidents::Event::Seen { .. }
            | incidents::Event::Proven { .. }
            | incidents::Event::Paid { .. }
            | incidents::Event::Repaid { .. } => {}
        }
    }
}

impl Frame {
    /// The numbers of a report.
    fn of(reported: &Reported) -> Self {
        let mut duties = Duties::default();
        // By operator: what it did, and what was due, in ten-thousandths of duties.
        let mut done: BTreeMap<OperatorId, [U256; 2]> = BTreeMap::new();
        for cluster in reported.clusters.values() {
            duties.made = duties.made.saturating_add(cluster.duties.made);
            duties.due = duties.due.saturating_add(cluster.duties.due);
            let due = U256::from(cluster.duties.due) * U256::from(10_000);
            for part in &cluster.parts {
                let [made, all] = done.entry(part.operator).or_default();
                *made += part.participation.floor_of(due).unwrap_or(due);
                *all += U256::from(cluster.duties.due);
            }
        }
        let mut operators: BTreeMap<OperatorId, OfOperator> = BTreeMap::new();
        for (operator, [made, all]) in done {
            let participation = made.checked_div(all).map(|points| points.saturating_to());
            operators.insert(operator, OfOperator { participation, ..OfOperator::default() });
        }
        for (operator, earned) in &reported.operators {
            let one = operators.entry(*operator).or_default();
            (one.kept, one.repaid) = (earned.kept, earned.repaid);
        }
        Self {
            frame: reported.frame,
            epoch: reported.epoch,
            at: reported.at,
            share_rate: reported.share_rate,
            pooled: reported.after.pooled,
            result: reported.result,
            duties,
            operators,
        }
    }

    /// What shares would gain in a year of 365.25 days at the pace since another report, in hundredths of a percent; nothing if
    /// no time has passed, or they were worth nothing.
    pub fn apr_since(&self, before: &Self) -> Option<i64> {
        const YEAR_S: u64 = 31_557_600;
        let seconds = U256::from(self.at.checked_sub(before.at)?);
        let (gain, is_loss) = match self.share_rate.checked_sub(before.share_rate) {
            Some(gain) => (gain, false),
            None => (before.share_rate - self.share_rate, true),
        };
        let yearly = gain.checked_mul(U256::from(10_000 * YEAR_S))?;
        let points = yearly.checked_div(before.share_rate.checked_mul(seconds)?)?;
        let points: i64 = points.try_into().ok()?;
        Some(if is_loss { -points } else { points })
    }
}

/// An operator's sums over all frames that are kept.
pub(super) fn earned(digest: &Digest, operator: OperatorId) -> [Wei; 2] {
    digest.frames().filter_map(|frame| frame.operators.get(&operator)).fold([Wei::ZERO; 2], |sums, one| {
        let add = |sum: Wei, more: Wei| wide::add(sum, more).unwrap_or(sum);
        [add(sums[0], one.kept), add(sums[1], one.repaid)]
    })
}
