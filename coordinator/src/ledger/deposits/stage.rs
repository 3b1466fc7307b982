//! How far a validator is, and what can follow.
//!
//! ```text
//! ready -> predeposit_planned -> predeposited -> proven -> rest_planned -> rest_deposited -> active -> exiting
//!   ^------- given up --------'                    ^--- given up ---'                          -> exited -> withdrawn
//! ready, predeposit_planned, predeposited -> foreign -> compensated
//! proven and everything after it -> slashed -> withdrawn
//! ```
//!
//! The rest, which is nearly all of the money, has one way: through `proven`, which only a finalized state with exactly
//! the pool's credentials opens. Source: Lido's `PredepositGuarantee.sol`, whose stages these refine.

use serde::{Deserialize, Serialize};

/// How far a validator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Its key and deposits are verified; nothing is planned.
    Ready,
    /// The small deposit is in a batch.
    PredepositPlanned,
    /// The small deposit was seen sent.
    Predeposited,
    /// A finalized state has it, with exactly the pool's credentials.
    Proven,
    /// The rest is in a batch.
    RestPlanned,
    /// The rest was seen sent.
    RestDeposited,
    /// It has duties.
    Active,
    /// It will exit.
    Exiting,
    /// It has no more duties.
    Exited,
    /// Its balance is withdrawn.
    Withdrawn,
    /// It was slashed.
    Slashed,
    /// It has other credentials, or was on the chain before the pool's deposit. Nothing more is sent.
    Foreign,
    /// The same, and its operators' guarantee has paid for what was lost.
    Compensated,
}

/// What the chain says of a validator that is the pool's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    /// Not active yet.
    Pending,
    /// Has duties.
    Active,
    /// Will exit.
    Exiting,
    /// Has exited.
    Exited,
    /// Was slashed, and has a balance still.
    Slashed,
    /// Has no balance any more.
    Withdrawn,
}

/// All that the chain can say.
pub(super) const LIVES: [Life; 6] =
    [Life::Pending, Life::Active, Life::Exiting, Life::Exited, Life::Slashed, Life::Withdrawn];

/// What can happen to a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A batch has its next deposit.
    Plan,
    /// The batch is given up.
    GiveUp,
    /// The deposit was seen sent.
    Send,
    /// A finalized state has it, with exactly the pool's credentials.
    Prove,
    /// A finalized state says how it does.
    Live(Life),
    /// It is not the pool's.
    Disown,
    /// Its operators' guarantee has paid.
    Compensate,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Ready,
        Self::PredepositPlanned,
        Self::Predeposited,
        Self::Proven,
        Self::RestPlanned,
        Self::RestDeposited,
        Self::Active,
        Self::Exiting,
        Self::Exited,
        Self::Withdrawn,
        Self::Slashed,
        Self::Foreign,
        Self::Compensated,
    ];

    /// The stage after a step; the same where nothing changes, `None` where the step cannot be.
    pub fn after(self, step: Step) -> Option<Self> {
        match (self, step) {
            (Self::Ready, Step::Plan) => Some(Self::PredepositPlanned),
            (Self::PredepositPlanned, Step::GiveUp) => Some(Self::Ready),
            (Self::PredepositPlanned, Step::Send) => Some(Self::Predeposited),
            (Self::Predeposited, Step::Prove) => Some(Self::Proven),
            (Self::Proven, Step::Plan) => Some(Self::RestPlanned),
            (Self::RestPlanned, Step::GiveUp) => Some(Self::Proven),
            (Self::RestPlanned, Step::Send) => Some(Self::RestDeposited),
            // More for one that compounds. What becomes of the validator meanwhile is the chain's to say.
            (Self::Active, Step::Plan) => Some(Self::Active),
            (
                Self::Active | Self::Exiting | Self::Exited | Self::Withdrawn | Self::Slashed,
                Step::GiveUp | Step::Send,
            ) => Some(self),
            // A deposit of a batch that was on its way when the key turned out to be another's.
            (Self::Foreign | Self::Compensated, Step::GiveUp | Step::Send) => Some(self),
            (Self::Ready | Self::PredepositPlanned | Self::Predeposited, Step::Disown) => Some(Self::Foreign),
            (Self::Foreign, Step::Compensate) => Some(Self::Compensated),
            (_, Step::Live(life)) => self.living(life),
            (_, Step::Plan | Step::GiveUp | Step::Send | Step::Prove | Step::Disown | Step::Compensate) => {
                None
            }
        }
    }

    /// The stage that the chain's word leads to: never back.
    fn living(self, life: Life) -> Option<Self> {
        let (now, next) = match self {
            Self::Proven | Self::RestDeposited => (Life::Pending, self),
            Self::Active => (Life::Active, self),
            Self::Exiting => (Life::Exiting, self),
            Self::Exited => (Life::Exited, self),
            Self::Slashed => (Life::Slashed, self),
            Self::Withdrawn => (Life::Withdrawn, self),
            // Somebody else may have sent the rest: first the batch is sent or given up.
            Self::RestPlanned => return (life <= Life::Active).then_some(self),
            Self::Ready
            | Self::PredepositPlanned
            | Self::Predeposited
            | Self::Foreign
            | Self::Compensated => {
                return None;
            }
        };
        let next = match life {
            Life::Pending => next,
            Life::Active => Self::Active,
            Life::Exiting => Self::Exiting,
            Life::Exited => Self::Exited,
            Life::Slashed => Self::Slashed,
            Life::Withdrawn => Self::Withdrawn,
        };
        (life >= now).then_some(next)
    }

    /// Whether it counts as one of its cluster's validators: money is with it, or planned for it, and will stay.
    pub fn is_staked(self) -> bool {
        match self {
            Self::PredepositPlanned
            | Self::Predeposited
            | Self::Proven
            | Self::RestPlanned
            | Self::RestDeposited
            | Self::Active => true,
            Self::Ready
            | Self::Exiting
            | Self::Exited
            | Self::Withdrawn
            | Self::Slashed
            | Self::Foreign
            | Self::Compensated => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> impl Iterator<Item = Step> {
        let plain = [Step::Plan, Step::GiveUp, Step::Send, Step::Prove, Step::Disown, Step::Compensate];
        plain.into_iter().chain(LIVES.map(Step::Live))
    }

    #[test]
    fn the_rest_has_no_way_but_through_proven() {
        // All stages that can be reached without ever being proven.
        let (mut reached, mut next) = (vec![Stage::Ready], vec![Stage::Ready]);
        while let Some(stage) = next.pop() {
            let after = steps().filter(|step| *step != Step::Prove).filter_map(|step| stage.after(step));
            for stage in after {
                if !reached.contains(&stage) {
                    reached.push(stage);
                    next.push(stage);
                }
            }
        }
        reached.sort();
        let early =
            [Stage::Ready, Stage::PredepositPlanned, Stage::Predeposited, Stage::Foreign, Stage::Compensated];
        assert_eq!(reached, early);
    }

    #[test]
    fn every_step_of_every_stage_is_in_the_table() {
        use Stage as S;
        let steps: Vec<Step> = steps().collect();
        // In the order of `steps`: plan, give up, send, prove, disown, compensate; then the six lives.
        let table: [(Stage, [Option<Stage>; 12]); 13] = {
            let n = None;
            let s = Some;
            let (act, ext, exd, sla, wdn) =
                (s(S::Active), s(S::Exiting), s(S::Exited), s(S::Slashed), s(S::Withdrawn));
            let fgn = s(S::Foreign);
            [
                (S::Ready, [s(S::PredepositPlanned), n, n, n, fgn, n, n, n, n, n, n, n]),
                (S::PredepositPlanned, [n, s(S::Ready), s(S::Predeposited), n, fgn, n, n, n, n, n, n, n]),
                (S::Predeposited, [n, n, n, s(S::Proven), fgn, n, n, n, n, n, n, n]),
                (S::Proven, [s(S::RestPlanned), n, n, n, n, n, s(S::Proven), act, ext, exd, sla, wdn]),
                (
                    S::RestPlanned,
                    [
                        n,
                        s(S::Proven),
                        s(S::RestDeposited),
                        n,
                        n,
                        n,
                        s(S::RestPlanned),
                        s(S::RestPlanned),
                        n,
                        n,
                        n,
                        n,
                    ],
                ),
                (S::RestDeposited, [n, n, n, n, n, n, s(S::RestDeposited), act, ext, exd, sla, wdn]),
                (S::Active, [act, act, act, n, n, n, n, act, ext, exd, sla, wdn]),
                (S::Exiting, [n, ext, ext, n, n, n, n, n, ext, exd, sla, wdn]),
                (S::Exited, [n, exd, exd, n, n, n, n, n, n, exd, sla, wdn]),
                (S::Withdrawn, [n, wdn, wdn, n, n, n, n, n, n, n, n, wdn]),
                (S::Slashed, [n, sla, sla, n, n, n, n, n, n, n, sla, wdn]),
                (S::Foreign, [n, fgn, fgn, n, n, s(S::Compensated), n, n, n, n, n, n]),
                (S::Compensated, [n, s(S::Compensated), s(S::Compensated), n, n, n, n, n, n, n, n, n]),
            ]
        };
        assert_eq!(table.map(|(stage, _)| stage), Stage::ALL);
        for (stage, after) in table {
            for (step, want) in steps.iter().zip(after) {
                assert_eq!(stage.after(*step), want, "{stage:?} {step:?}");
            }
        }
    }
}
