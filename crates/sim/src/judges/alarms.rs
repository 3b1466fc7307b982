//! No honest node raises a false alarm: it believes in no second process, old journal or doppelganger where there is none,
//! blames nobody who did nothing wrong, and calls nothing evidence that proves nothing.

use super::{Alarm, Sight, Violation};
use crate::person::NodeKey;
use types::wire::{Signed, Verify as _};
use types::{ClusterId, Millis, ShareIndex};

/// The judge.
#[derive(Debug)]
pub struct Alarms {
    cluster: ClusterId,
    /// What it found.
    pub violations: Vec<Violation>,
}

impl Alarms {
    /// For a cluster.
    pub const fn new(cluster: ClusterId) -> Self {
        Self { cluster, violations: Vec::new() }
    }

    /// Watches.
    pub fn see(&mut self, sight: Sight<'_>) {
        let Sight::Alarmed { at, author, honest: true, alarm } = sight else { return };
        match alarm {
            Alarm::SecondInstance => self.find(at, author, "another process runs with its key"),
            Alarm::RolledBack => self.find(at, author, "its journal is an old one"),
            Alarm::Doppelgangers(validators) => {
                let count = validators.len();
                self.find(at, author, &format!("somebody else signs for {count} of its validators"));
            }
            Alarm::TwoProcesses { peer, blameless: true } => {
                self.find(at, author, &format!("two processes run with the key of operator {peer}"));
            }
            Alarm::Fault { peer, blameless: true, fault } => {
                self.find(at, author, &format!("operator {peer} is to blame for {fault:?}"));
            }
            Alarm::Evidence { peer, first, second, .. } if !self.proves(peer, first, second) => {
                self.find(
                    at,
                    author,
                    &format!("this proves something against operator {peer}: {first:?} and {second:?}"),
                );
            }
            Alarm::Evidence { peer, blameless: true, first, .. } => {
                let instance = first.statement.instance;
                self.find(at, author, &format!("operator {peer} said two things in {instance}"));
            }
            Alarm::TwoProcesses { .. } | Alarm::Fault { .. } | Alarm::Evidence { .. } => {}
        }
    }

    /// Whether both statements are the operator's, for one place, and not the same.
    fn proves(&self, peer: ShareIndex, first: &Signed, second: &Signed) -> bool {
        let place = |signed: &Signed| {
            let statement = signed.statement;
            (signed.author, statement.instance, statement.step, statement.round)
        };
        let is_its = |signed: &Signed| {
            let digest = signed.statement.digest(&self.cluster);
            signed.author == peer && NodeKey(peer).verify(peer, &digest, &signed.signature)
        };
        first.statement != second.statement
            && place(first) == place(second)
            && [first, second].into_iter().all(is_its)
    }

    fn find(&mut self, at: Millis, author: ShareIndex, what: &str) {
        let what = format!("operator {author} believes without reason that {what}");
        self.violations.push(Violation { at: Some(at), what });
    }
}
