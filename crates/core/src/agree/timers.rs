//! How long each round is waited for. Local and never part of validity: nodes may differ.

use super::Agree;
use types::Millis;

/// Rounds that may pass after the vote deadline of round 0: one slow delay for the last vote to arrive.
const OPEN_GRACE: Millis = Millis(300);
/// For the leader of a led first round to have a block made by its execution client or by a relay.
const BLOCK_TIME: Millis = Millis(800);
/// A led round: proposal, vote and commit at delays up to 120 ms, and one slow delay to spare.
const ROUND_BASE: Millis = Millis(600);
/// Each later round waits longer, so that some round is longer than any bounded delay.
const ROUND_STEP: Millis = Millis(100);
/// A leader not heard from lately: only so long that a late presence report does not cost a good leader its round.
const SILENT_LEADER: Millis = Millis(50);
/// A leader whose last round expired here: two delays and a value's transfer, no more patience.
const EXPIRED_LEADER: Millis = Millis(250);
/// A leader's wait for `NEWROUND`s beyond `q`: one more may show a certificate.
const COLLECT: Millis = Millis(100);
/// An asked peer's time to answer with a value: two delays of 120 ms.
const FETCH_RETRY: Millis = Millis(250);
/// An asked peer's time to answer with a payload: two delays, and one mebibyte at 50 Mbit/s.
const CONTENTS_RETRY: Millis = Millis(400);

/// Lengths of the waits of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Round 0 ends so long after the vote deadline.
    pub open_grace: Millis,
    /// A led first round lasts so long, counted from the instance's start, and `round_base` more.
    pub block_time: Millis,
    /// A later round `r` lasts `round_base + r * round_step` from its entry.
    pub round_base: Millis,
    /// See `round_base`.
    pub round_step: Millis,
    /// A round lasts so long if its leader was not heard from lately.
    pub silent_leader: Millis,
    /// A round lasts so long if its leader's last round expired at this node in this instance.
    pub expired_leader: Millis,
    /// Rule 10: how long a leader that holds `q` `NEWROUND`s waits for more.
    pub collect: Millis,
    /// After so long without the value, the next peer is asked for it.
    pub fetch_retry: Millis,
    /// After so long without what belongs to a value, the next peer is asked for it.
    pub contents_retry: Millis,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            open_grace: OPEN_GRACE,
            block_time: BLOCK_TIME,
            round_base: ROUND_BASE,
            round_step: ROUND_STEP,
            silent_leader: SILENT_LEADER,
            expired_leader: EXPIRED_LEADER,
            collect: COLLECT,
            fetch_retry: FETCH_RETRY,
            contents_retry: CONTENTS_RETRY,
        }
    }
}

impl Agree {
    /// When the current round ends; `None` while nothing would follow from it: already asked for another, a
    /// decision is known, or this node may not ask.
    pub(super) fn round_end(&self) -> Option<Millis> {
        self.standing().asks_next()?;
        let timers = &self.setup.timers;
        if self.round == 0 {
            return Some(self.setup.deadline.max(self.setup.start).after(timers.open_grace));
        }
        let leader = self.judge().leader(self.round);
        let length = if !self.leader_is_heard(self.round) {
            timers.silent_leader
        } else if self.expired.contains(leader) {
            timers.expired_leader
        } else if self.round == self.judge().first_round() {
            timers.block_time.after(timers.round_base)
        } else {
            let steps = timers.round_step.0.saturating_mul(u64::from(self.round));
            timers.round_base.after(Millis(steps))
        };
        Some(self.since.after(length))
    }

    /// The next moment at which something is due that was not due at the last event: whatever was due by
    /// then has been done, or waits for an input and not for time.
    pub(super) fn next_wake(&self) -> Option<Millis> {
        let first = self.judge().first_round();
        let opens = first > 0 && self.judge().leader(first) == self.setup.me && !self.is_silent();
        let start = opens.then_some(self.setup.start);
        let deadline = self.awaits_deadline().then_some(self.setup.deadline);
        let retries = [self.values.next_retry(&self.wanted), self.values.next_retry(&self.lacking)];
        [start, deadline, self.round_end(), self.collect_end()]
            .into_iter()
            .chain(retries)
            .flatten()
            .filter(|due| *due > self.now)
            .min()
    }
}
