//! Whether a report is believed, and what it comes to. Nothing changes here.

use super::command::{ANSWERS_MAX, Duties, Facts, Net, Report, VALIDATORS_MAX};
use super::count::{self, Counted};
use super::event::{ClusterReport, Earned, Parts, Reported, Unearned};
use super::reward::{self, Divided};
use super::{Last, State, claims, figures};
use crate::canonical;
use crate::formulas::ratio::BasisPoints;
use crate::formulas::rebase::Rebase;
use crate::formulas::saturation::SaturationError;
use crate::formulas::slashing::SlashingError;
use crate::formulas::wide::{self, WideError};
use crate::ledger::operators::OperatorId;
use crate::ledger::policy::Strikes;
use crate::ledger::pool::{self, Settled};
use crate::merkle::claims::{ClaimError, ClaimTree};
use crate::text::Label;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::{Address, ClusterId, Epoch, Gwei, Root, Slot, ValidatorIndex, Wei};

/// Why a report is refused. It changes nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// Not the next.
    #[error("frame {have}, the next is {want}")]
    Frame {
        /// The report's.
        have: u64,
        /// The next.
        want: u64,
    },
    /// A slot in the middle of an epoch, which no checkpoint is of.
    #[error("slot {slot} is not the first of an epoch")]
    NotAnEpoch {
        /// The report's.
        slot: Slot,
    },
    /// Not a whole number of frames later.
    #[error("epoch {epoch} is not a whole number of frames of {frame_epochs} epochs after {last}")]
    Epoch {
        /// The report's.
        epoch: Epoch,
        /// The last report's.
        last: Epoch,
        /// The policy's.
        frame_epochs: u32,
    },
    /// Something that may still change.
    #[error("epoch {epoch} is not finalized, {finalized} is the last that is")]
    NotFinalized {
        /// The report's.
        epoch: Epoch,
        /// The last that is.
        finalized: Epoch,
    },
    /// Of another chain.
    #[error("block {have} is told for an epoch whose checkpoint is {want}")]
    OtherBlock {
        /// The report's.
        have: Root,
        /// The ledger's.
        want: Root,
    },
    /// Nobody could look at it again, or it would take too long.
    #[error("{have} answers of a beacon node, where 1 to {ANSWERS_MAX} are allowed")]
    Evidence {
        /// How many.
        have: usize,
    },
    /// A network with too little stake for the pool's, or with none.
    #[error("the network has {stake} gwei of stake, at least {stake_min} in the frame")]
    Network {
        /// At the report's slot.
        stake: Gwei,
        /// The least.
        stake_min: Gwei,
    },
    /// More duties made than due, or more than there can be.
    #[error("{} duties of {} were made", .duties.made, .duties.due)]
    Duties {
        /// What is told.
        duties: Duties,
    },
    /// A cluster that the other books do not know.
    #[error("there is no cluster {cluster}")]
    UnknownCluster {
        /// Which.
        cluster: ClusterId,
    },
    /// Not as many operators as the cluster has.
    #[error("{have} operators are told of cluster {cluster}, it has {want}")]
    Seats {
        /// Which.
        cluster: ClusterId,
        /// Told.
        have: usize,
        /// Its size.
        want: usize,
    },
    /// Too many validators.
    #[error("{have} validators, at most {VALIDATORS_MAX}")]
    Validators {
        /// How many.
        have: usize,
    },
    /// A validator in two clusters.
    #[error("validator {index} is told twice")]
    Twice {
        /// Which.
        index: ValidatorIndex,
    },
    /// A validator that had a balance, and is not told.
    #[error("validator {index} of cluster {cluster} had a balance and is not in the report")]
    Missing {
        /// Its cluster.
        cluster: ClusterId,
        /// Which.
        index: ValidatorIndex,
    },
    /// No effective balance.
    #[error("validator {index} counts for {effective} gwei, which is no effective balance")]
    Effective {
        /// Which.
        index: ValidatorIndex,
        /// What is told.
        effective: Gwei,
    },
    /// More epochs of duties than the frame has.
    #[error("validator {index} is told with {have} increments over the frame, it can have {most}")]
    Increments {
        /// Which.
        index: ValidatorIndex,
        /// Told.
        have: u64,
        /// The most.
        most: u64,
    },
    /// More than the specification pays.
    #[error("attestations of validator {index} earned {attested} gwei, the specification pays {ideal}")]
    EarnsTooMuch {
        /// Which.
        index: ValidatorIndex,
        /// Told.
        attested: Gwei,
        /// The most.
        ideal: Gwei,
    },
    /// A penalty for being slashed of one that was not.
    #[error("validator {index} was not slashed, and is told to have lost {penalised} gwei by it")]
    NotSlashed {
        /// Which.
        index: ValidatorIndex,
        /// Told.
        penalised: Gwei,
    },
    /// A loss that nothing told explains.
    #[error("validator {index} had {was} gwei with its deposits, and {is} are told of")]
    Unexplained {
        /// Which.
        index: ValidatorIndex,
        /// Balance, withdrawals and losses.
        is: u128,
        /// Balance before and deposits.
        was: u128,
    },
    /// Earnings that the balance does not show.
    #[error("attestations of validator {index} earned {attested} gwei, its balance shows {rewards}")]
    Unearned {
        /// Which.
        index: ValidatorIndex,
        /// Told.
        attested: Gwei,
        /// All that it gained.
        rewards: u128,
    },
    /// More than 64 bits of gwei.
    #[error("amounts of more than 2^64 gwei")]
    TooMuch,
    /// The policy has dropped an operator's type.
    #[error("the policy has no operator type {name}, which operator {operator} is of")]
    NoSuchType {
        /// Which.
        name: Label,
        /// Whose.
        operator: OperatorId,
    },
    /// By the book of money: among others what no honest report comes to.
    #[error(transparent)]
    Money(#[from] pool::Refusal),
    /// A statement about a frame that is reported, or too early.
    #[error("a statement about frame {have}, the next to be reported is {next}")]
    StatementFrame {
        /// The statement's.
        have: u64,
        /// The next report's.
        next: u64,
    },
    /// Who speaks, or is spoken of, has no seat there.
    #[error("operator {operator} is not in cluster {cluster}")]
    NotInCluster {
        /// Who.
        operator: OperatorId,
        /// Where.
        cluster: ClusterId,
    },
    /// Nobody is heard about itself.
    #[error("operator {operator} speaks of itself")]
    OfItself {
        /// Who.
        operator: OperatorId,
    },
    /// Nothing, or more than was earned and not taken.
    #[error("{account} cannot take {eth} wei of its rewards, {claimable} are left")]
    NotClaimable {
        /// Whose.
        account: Address,
        /// Asked for.
        eth: Wei,
        /// Earned and not taken.
        claimable: Wei,
    },
    /// What the curve cannot compute.
    #[error(transparent)]
    Saturation(#[from] SaturationError),
    /// A cluster that is larger than the network.
    #[error("cluster {cluster}: {why}")]
    Stress {
        /// Which.
        cluster: ClusterId,
        /// Why.
        why: SlashingError,
    },
    /// What makes no tree.
    #[error(transparent)]
    Claims(#[from] ClaimError),
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

/// What follows from a report: what it comes to, or why it is refused.
///
/// - [`super::apply`] takes it as an event, if nothing was applied in between; the book of money takes [`Reported::money`].
/// - Cost: all validators; two hashes for each account that ever earned something.
pub fn decide(state: &State, facts: &Facts<'_>, report: &Report) -> Result<Box<Reported>, Refusal> {
    let epoch = place(state, facts, report)?;
    seats(facts)?;
    let since = state.last.map_or(epoch.0, |last| epoch.0.saturating_sub(last.epoch.0));
    let counted = count::count(state, report, since)?;
    let mut all = Counted::default();
    counted.values().try_for_each(|one| all.add(one))?;
    let told = told(facts, report, epoch, &all)?;
    let money = money(facts, &told, &all, report.lost)?;
    let divided = reward::divide(facts, report, &counted, money.pot)?;
    let (operators, debts) = pay(facts, &divided)?;
    let kept = wide::total(operators.values().map(|earned| earned.kept))?;
    let unearned = Unearned { pool: divided.treasury, reserve: divided.reserve };
    let parts = Parts {
        delegators: money.delegators,
        pool: wide::add(money.pool, unearned.pool)?,
        reserve: wide::add(money.reserve, unearned.reserve)?,
        operators: kept,
        debts,
    };
    assert!(parts.sum() == Ok(money.result), "the parts are the result: {parts:?}, {money:?}");
    let strikes = facts.policy.terms().strikes;
    let clusters = clusters(report, counted.clone(), divided, strikes);
    let reported = Reported {
        frame: report.frame,
        slot: report.slot,
        epoch,
        block_root: report.block_root,
        at: told.at,
        evidence: canonical::hash(&report.evidence),
        balance: told.balance,
        arrived: told.arrived,
        withdrawn: told.withdrawn,
        lost: report.lost,
        categories: all.categories,
        el_rewards: money.el_rewards,
        result: money.result,
        gain: money.rebase.rewards,
        parts,
        unearned,
        ejected: ejected(state, report.frame, &clusters, strikes),
        clusters,
        claims: root_of(state, &operators)?,
        operators,
        after: money.rebase.after,
        share_rate: money.rebase.share_rate()?,
        stress: figures::stress(&counted, &report.network, money.rebase.after)?,
        concentration: figures::concentration(facts, &counted),
    };
    Ok(Box::new(reported))
}

/// What the book of money is told.
fn told(facts: &Facts<'_>, report: &Report, epoch: Epoch, all: &Counted) -> Result<pool::Report, Refusal> {
    Ok(pool::Report {
        epoch,
        at: facts.spec.slot_start(report.slot).0 / 1_000,
        balance: all.balance,
        arrived: Gwei(all.arrived.0.checked_add(report.lost.0).ok_or(Refusal::TooMuch)?),
        withdrawn: all.swept,
    })
}

/// Whether it is the next report, of a state that is final. Returns its epoch.
fn place(state: &State, facts: &Facts<'_>, report: &Report) -> Result<Epoch, Refusal> {
    // The last number is never given out, so that there is always a next.
    if report.frame != state.next || state.next == u64::MAX {
        return Err(Refusal::Frame { have: report.frame, want: state.next });
    }
    let epoch = facts.spec.epoch_of(report.slot);
    if facts.spec.epoch_start(epoch) != report.slot {
        return Err(Refusal::NotAnEpoch { slot: report.slot });
    }
    let finalized = facts.finalized;
    if epoch > finalized.epoch {
        return Err(Refusal::NotFinalized { epoch, finalized: finalized.epoch });
    }
    if epoch == finalized.epoch && report.block_root != finalized.root {
        return Err(Refusal::OtherBlock { have: report.block_root, want: finalized.root });
    }
    if let Some(Last { epoch: last, .. }) = state.last {
        let frame_epochs = facts.policy.terms().reports.frame_epochs;
        let later = epoch.0.checked_sub(last.0).filter(|later| *later > 0);
        if !later.is_some_and(|later| later.is_multiple_of(frame_epochs.into())) {
            return Err(Refusal::Epoch { epoch, last, frame_epochs });
        }
    }
    let have = report.evidence.len();
    if have == 0 || have > ANSWERS_MAX { Err(Refusal::Evidence { have }) } else { Ok(epoch) }
}

fn seats(facts: &Facts<'_>) -> Result<(), Refusal> {
    let odd = facts.clusters.iter().find(|(_, one)| one.seats.len() != one.size.operators());
    odd.map_or(Ok(()), |(cluster, one)| {
        let (have, want) = (one.seats.len(), one.size.operators());
        Err(Refusal::Seats { cluster: *cluster, have, want })
    })
}

/// The frame in wei, before the operators' pot is divided.
#[derive(Debug)]
struct InWei {
    rebase: Rebase,
    el_rewards: Wei,
    result: Net,
    delegators: Net,
    pool: Wei,
    reserve: Wei,
    pot: Wei,
}

/// What the frame came to, and its fee. Errors: those of the book of money.
fn money(facts: &Facts<'_>, told: &pool::Report, all: &Counted, lost: Gwei) -> Result<InWei, Refusal> {
    let Settled { frame, rebase, fees } = (facts.money)(told)?;
    let categories = &all.categories;
    let losses = [categories.missed, categories.leaked, categories.slashed].map(wide::wei);
    let result = Net::of(
        wide::add(wide::wei(categories.rewards), frame.el_rewards)?,
        wide::add(wide::total(losses)?, wide::wei(lost))?,
    );
    let of_gain = |part: BasisPoints| Wei(part.floor_of(rebase.rewards.0));
    let (fee, pot, reserve) = (of_gain(frame.fee), of_gain(fees.operators.0), of_gain(fees.reserve.0));
    let pool = wide::sub(wide::sub(fee, pot)?, reserve)?;
    let (gain, loss) = result.sides();
    let delegators = Net::of(gain, wide::add(loss, fee)?);
    Ok(InWei { rebase, el_rewards: frame.el_rewards, result, delegators, pool, reserve, pot })
}

/// Takes what operators owe from what they earned.
fn pay(facts: &Facts<'_>, divided: &Divided) -> Result<(BTreeMap<OperatorId, Earned>, Wei), Refusal> {
    let (mut operators, mut debts) = (BTreeMap::new(), Wei::ZERO);
    for (operator, (to, earned)) in divided.operators.iter().filter(|(_, (_, earned))| *earned != Wei::ZERO) {
        let repaid = facts.owed.get(operator).copied().unwrap_or_default().min(*earned);
        debts = wide::add(debts, repaid)?;
        let kept = wide::sub(*earned, repaid)?;
        operators.insert(*operator, Earned { to: *to, repaid, kept });
    }
    Ok((operators, debts))
}

fn clusters(
    report: &Report,
    counted: BTreeMap<ClusterId, Counted>,
    mut divided: Divided,
    strikes: Strikes,
) -> BTreeMap<ClusterId, ClusterReport> {
    let of = |(id, one): (ClusterId, Counted)| {
        let (duties, reward) = (report.clusters.get(&id)?.duties, divided.clusters.remove(&id)?);
        let cluster = ClusterReport {
            stake: one.stake(),
            balances: one.balances,
            categories: one.categories,
            duties,
            attested: one.attested,
            ideal: one.ideal,
            saturation: reward.saturation,
            reward: reward.reward,
            parts: reward.parts,
            strike: figures::strike(duties, report.network.duties, strikes.leeway),
        };
        Some((id, cluster))
    };
    counted.into_iter().filter_map(of).collect()
}

/// Clusters that have too many strikes with this frame's.
fn ejected(
    state: &State,
    frame: u64,
    clusters: &BTreeMap<ClusterId, ClusterReport>,
    strikes: Strikes,
) -> BTreeSet<ClusterId> {
    let before = |cluster: &ClusterId| {
        let known = state.strikes.get(cluster).into_iter().flatten();
        known.filter(|known| known.saturating_add(strikes.frames.into()) > frame).count()
    };
    let too_many = |cluster: &ClusterId| before(cluster) + 1 >= usize::from(strikes.max);
    clusters.iter().filter(|(id, one)| one.strike && too_many(id)).map(|(id, _)| *id).collect()
}

/// The root of all claims with what is earned now; nothing if there are none.
pub(super) fn root_of(
    state: &State,
    operators: &BTreeMap<OperatorId, Earned>,
) -> Result<Option<Root>, ClaimError> {
    let before = state.claims.iter().map(|(account, amount)| (*account, *amount));
    let all = claims(before.chain(operators.values().map(|earned| (earned.to, earned.kept))))?;
    match ClaimTree::new(&all) {
        Ok(tree) => Ok(Some(tree.root())),
        Err(ClaimError::Empty) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Parts {
    /// All parts together.
    pub fn sum(&self) -> Result<Net, WideError> {
        let (gain, loss) = self.delegators.sides();
        let others = wide::total([self.pool, self.reserve, self.operators, self.debts])?;
        Ok(Net::of(wide::add(gain, others)?, loss))
    }
}
