//! A frame: what is asked about it, and the report that the answers make.
//!
//! ```text
//! frame          (from, to]: balances of the states at the first slots of these epochs, and the blocks after the one up to
//!                the other
//! attestations   of epochs from - 1 to to - 2: the chain pays for an epoch at the end of the next
//! before         the last report's balances       arrived   by the log: the deposits' book saw them
//! swept          withdrawals to the pool's address, by the blocks
//! missed         what targets, sources and sync committees cost                leaked   what inactivity cost
//! ```
//!
//! What the API does not tell is bounded, in favour of who reads the report:
//!
//! - **Increments**: by the greatest effective balance of the frame's two ends, and what the first with all that arrived
//!   would count for. They only bound what attestations can have earned.
//! - **The network's least stake**: what was seen of its stake last, less what can leave in the epochs between
//!   (`get_balance_churn_limit`).
//! - **The network's duties**: in gwei of what right targets would have earned, and what they could have earned if everybody
//!   had attested. While the chain leaks it says nothing, so nobody did less than the network.
//! - **A duty that was made**: an attestation that a block has with a right target, or early enough. One that came late with a
//!   wrong target cannot be told from none.
//! - **What slashing cost**: what is missing from a slashed validator's balance when everything else is counted.
//!
//! A slot without a block and a block that is kept back look alike; the chain counts its withdrawals, so a gap shows.
//!
//! The node must have the states of the whole frame: it is one that keeps them.

use super::question::{PER_QUESTION, Question};
use super::said::{Attested, Said, Total};
use super::step::Known;
use super::tally::Tally;
use crate::canonical;
use crate::formulas::allocation::COMPOUNDING_MAX;
use crate::formulas::rewards::{WEIGHT_DENOMINATOR, per_increment};
use crate::formulas::slashing::INCREMENT;
use crate::ledger::State;
use crate::ledger::deposits::SeenValidator as Found;
use crate::ledger::deposits::Validator;
use crate::ledger::reports::{
    Duties, Evidence, Network, REQUEST_LEN_MAX, Report, SeenCluster, SeenValidator,
};
use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use types::{ClusterId, Epoch, Gwei, Preset, PublicKey, Root, Slot, ValidatorIndex};

/// `TIMELY_TARGET_WEIGHT`.
const TARGET_WEIGHT: u64 = 26;
/// Slots before a boundary of which one has a block: with none in two epochs nothing would be final.
const EMPTY_SLOTS_MAX: u64 = 64;
/// `CHURN_LIMIT_QUOTIENT`: a part of all stake that can leave in an epoch, and
const CHURN_QUOTIENT: u64 = 65_536;
/// `MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA`: what can leave in any case.
const CHURN_MIN: Gwei = Gwei(128_000_000_000);

/// Why there is no report.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// Nothing is to be reported now.
    #[error("no frame is to be reported")]
    NotDue,
    /// The network's stake is a number of every report.
    #[error("the chain's stake was not seen yet")]
    StakeUnknown,
    /// Something was not asked yet.
    #[error("{0} was not asked")]
    NotAsked(String),
    /// No block before the boundary.
    #[error("no block in {EMPTY_SLOTS_MAX} slots up to slot {0}")]
    NoBlock(Slot),
    /// Another chain than the ledger's.
    #[error("the block of epoch {epoch} is {have}, the ledger's checkpoint is {want}")]
    OtherBlock {
        /// The boundary.
        epoch: Epoch,
        /// Told.
        have: Root,
        /// The ledger's.
        want: Root,
    },
    /// A validator that the ledger knows.
    #[error("the node does not know validator {pubkey}")]
    Unknown {
        /// Which.
        pubkey: PublicKey,
    },
    /// A validator with duties of which nothing is told.
    #[error("the node does not say what validator {index} earned in epoch {epoch}")]
    NoRewards {
        /// Which.
        index: ValidatorIndex,
        /// Of when.
        epoch: Epoch,
    },
    /// A block that was kept back.
    #[error(
        "slot {slot} begins with withdrawal {have}, the one before ended with {last}: a block is missing"
    )]
    Gap {
        /// Of the later block.
        slot: Slot,
        /// Its first.
        have: u64,
        /// The last before.
        last: u64,
    },
    /// More than 64 bits of gwei.
    #[error("amounts of more than 2^64 gwei")]
    TooMuch,
}

/// A frame that is to be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The epoch of the last report; of the first, a frame earlier.
    pub from: Epoch,
    /// The epoch of this one.
    pub to: Epoch,
}

impl Frame {
    /// The frame whose last state was looked at, if it is to be reported.
    pub fn due(state: &State) -> Option<Self> {
        let to = super::due::boundary(state)?;
        let looked = state.deposits.looked() == Some(state.network.epoch_start(to));
        (looked && to <= state.chain.finalized.epoch).then(|| Self::to(state, to))
    }

    /// The frame that ends with an epoch.
    pub fn to(state: &State, to: Epoch) -> Self {
        let frame = u64::from(state.policy.terms().reports.frame_epochs);
        let from = state.money.reported().unwrap_or(Epoch(to.0.saturating_sub(frame)));
        Self { from, to }
    }

    /// Epochs whose attestations are paid in the frame.
    fn attested(self) -> impl Iterator<Item = Epoch> {
        (self.from.0.saturating_sub(1)..self.to.0.saturating_sub(1)).map(Epoch)
    }

    /// Slots whose blocks are of the frame.
    fn slots(self, state: &State) -> std::ops::RangeInclusive<u64> {
        state.network.epoch_start(self.from).0 + 1..=state.network.epoch_start(self.to).0
    }
}

/// The pool's validators that have an index and its credentials, by index.
fn ours(state: &State) -> BTreeMap<ValidatorIndex, (PublicKey, &Validator)> {
    let deposits = &state.deposits;
    let ours = Some(state.credentials());
    let known = deposits.by_index.keys().filter_map(|index| Some((*index, deposits.by_index(*index)?)));
    known.filter(|(_, (_, validator))| validator.credentials == ours).collect()
}

/// What is still to be asked before the frame's report can be made; nothing if all is known.
///
/// - Some of it follows from earlier answers: ask, and plan again.
pub fn plan(state: &State, frame: Frame, known: &Known) -> Vec<Question> {
    let ours = ours(state);
    let mut questions = Vec::new();
    questions.extend(root(state, frame, known).err());
    if !ours.is_empty() {
        questions.extend(validators(state, frame, &ours));
        questions.extend(attestations(frame, &ours));
        questions.extend(members(state, frame));
        questions.extend(frame.slots(state).map(|slot| Question::Block { slot: Slot(slot) }));
        questions.extend(syncs(state, frame, known));
    }
    questions.retain(|question| !known.answers.contains_key(question));
    questions
}

/// The root of the boundary's block. Errors: what is to be asked, if it is not known yet.
fn root(state: &State, frame: Frame, known: &Known) -> Result<Option<Root>, Question> {
    let slot = state.network.epoch_start(frame.to).0;
    for slot in (slot.saturating_sub(EMPTY_SLOTS_MAX)..=slot).rev().map(Slot) {
        let question = Question::Root { slot };
        match known.answers.get(&question) {
            Some(Said::Root(root)) => return Ok(Some(*root)),
            Some(_) => {}
            None => return Err(question),
        }
    }
    Ok(None)
}

fn validators(
    state: &State,
    frame: Frame,
    ours: &BTreeMap<ValidatorIndex, (PublicKey, &Validator)>,
) -> Vec<Question> {
    let keys: BTreeSet<_> = ours.values().map(|(pubkey, _)| *pubkey).collect();
    let keys: Vec<_> = keys.into_iter().collect();
    let slots = [frame.from, frame.to].map(|epoch| state.network.epoch_start(epoch));
    let chunks =
        |slot| keys.chunks(PER_QUESTION).map(move |keys| Question::Validators { slot, keys: keys.to_vec() });
    slots.into_iter().flat_map(chunks).collect()
}

fn attestations(frame: Frame, ours: &BTreeMap<ValidatorIndex, (PublicKey, &Validator)>) -> Vec<Question> {
    let indices: Vec<_> = ours.keys().copied().collect();
    let of = |epoch| {
        indices
            .chunks(PER_QUESTION)
            .map(move |indices| Question::Attestations { epoch, indices: indices.to_vec() })
    };
    frame.attested().flat_map(of).collect()
}

/// `EPOCHS_PER_SYNC_COMMITTEE_PERIOD`.
fn period_epochs(preset: Preset) -> u64 {
    match preset {
        Preset::Mainnet => 256,
        Preset::Minimal => 8,
        Preset::Gnosis => 512,
    }
}

/// One question for each sync committee of the frame.
fn members(state: &State, frame: Frame) -> Vec<Question> {
    let period = period_epochs(state.network.preset);
    let starts = (frame.from.0 / period..=frame.to.0 / period).map(|no| (no * period).max(frame.from.0));
    starts.map(|epoch| Question::Members { slot: state.network.epoch_start(Epoch(epoch)) }).collect()
}

/// What each block of the frame paid those of the pool who were in its sync committee.
fn syncs(state: &State, frame: Frame, known: &Known) -> Vec<Question> {
    let period = period_epochs(state.network.preset);
    let mut questions = Vec::new();
    for question in members(state, frame) {
        let (Question::Members { slot: start }, Some(Said::Members(members))) =
            (&question, known.answers.get(&question))
        else {
            continue;
        };
        let no = state.network.epoch_of(*start).0 / period;
        let indices: Vec<_> = members.iter().copied().collect();
        let its = |slot: &u64| state.network.epoch_of(Slot(*slot)).0 / period == no;
        for slot in frame.slots(state).filter(its).map(Slot) {
            let has_block = matches!(known.answers.get(&Question::Block { slot }), Some(Said::Block(_)));
            if has_block && !indices.is_empty() {
                questions.push(Question::Sync { slot, indices: indices.clone() });
            }
        }
    }
    questions
}

/// The report of a frame of which all is known.
///
/// - `tally`: of the log up to now.
/// - Errors: something was not asked; an answer that cannot be.
pub fn fold(state: &State, tally: &Tally, frame: Frame, known: &Known) -> Result<Report, FrameError> {
    if let Some(missing) = plan(state, frame, known).first() {
        return Err(FrameError::NotAsked(missing.path()));
    }
    let slot = state.network.epoch_start(frame.to);
    let block_root = root(state, frame, known).ok().flatten().ok_or(FrameError::NoBlock(slot))?;
    let finalized = state.chain.finalized;
    if finalized.epoch == frame.to && finalized.root != block_root {
        return Err(FrameError::OtherBlock { epoch: frame.to, have: block_root, want: finalized.root });
    }
    let answers = Answers::read(state, frame, known)?;
    let mut clusters: BTreeMap<ClusterId, SeenCluster> = BTreeMap::new();
    let mut arrived = 0_u64;
    for (index, (pubkey, validator)) in ours(state) {
        let one = answers.validator(state, tally, index, pubkey, validator)?;
        let of_cluster = state.reports.balances().get(&validator.cluster);
        let had = of_cluster.is_some_and(|balances| balances.contains_key(&index));
        let moved = [one.seen.balance, one.seen.swept, one.seen.arrived].iter().any(|amount| amount.0 > 0);
        if !had && !moved {
            continue;
        }
        arrived = arrived.checked_add(one.seen.arrived.0).ok_or(FrameError::TooMuch)?;
        let cluster = clusters.entry(validator.cluster).or_default();
        cluster.duties.due += one.duties.due;
        cluster.duties.made += one.duties.made;
        cluster.validators.insert(index, one.seen);
    }
    let ended = state.deposits.arrived(state.money.books().transient).unwrap_or_default();
    Ok(Report {
        frame: state.reports.next(),
        slot,
        block_root,
        network: answers.network(state, frame)?,
        // What is not on its way any more and is in no balance of the pool's.
        lost: Gwei(ended.0.saturating_sub(arrived)),
        clusters,
        evidence: evidence(state, frame, known),
    })
}

/// A validator's part of a report.
struct One {
    seen: SeenValidator,
    duties: Duties,
}

/// The answers, sorted by what they are about.
#[derive(Default)]
struct Answers<'a> {
    from: BTreeMap<PublicKey, Found>,
    to: BTreeMap<PublicKey, Found>,
    /// By epoch, the answers with the least index of each: those of an epoch are of validators one after the other.
    attested: BTreeMap<Epoch, BTreeMap<ValidatorIndex, &'a Attested>>,
    swept: BTreeMap<ValidatorIndex, u64>,
    /// What sync committees cost those who missed them.
    sync: BTreeMap<ValidatorIndex, u64>,
}

impl<'a> Answers<'a> {
    fn read(state: &State, frame: Frame, known: &'a Known) -> Result<Self, FrameError> {
        let mut answers = Self::default();
        let to = state.network.epoch_start(frame.to);
        let mut last = None;
        for question in asked(state, frame, known) {
            match (&question, known.answers.get(&question)) {
                (Question::Validators { slot, .. }, Some(Said::Validators(found))) => {
                    let end = if *slot == to { &mut answers.to } else { &mut answers.from };
                    end.extend(found.iter().map(|(key, found)| (*key, *found)));
                }
                (Question::Attestations { epoch, indices }, Some(Said::Attestations(attested))) => {
                    let first = indices.first().copied().unwrap_or_default();
                    answers.attested.entry(*epoch).or_default().insert(first, attested);
                }
                (Question::Block { slot }, Some(Said::Block(block))) => {
                    if let (Some((first, _)), Some(last)) = (block.withdrawals, last)
                        && first != last + 1
                    {
                        return Err(FrameError::Gap { slot: *slot, have: first, last });
                    }
                    last = block.withdrawals.map(|(_, last)| last).or(last);
                    let swept = block.swept.iter().map(|(index, amount)| (*index, amount.0));
                    swept.into_iter().try_for_each(|one| add(&mut answers.swept, one))?;
                }
                (Question::Sync { .. }, Some(Said::Sync(rewards))) => {
                    let lost = rewards.iter().filter(|(_, reward)| **reward < 0);
                    let lost = lost.map(|(index, reward)| (*index, reward.unsigned_abs()));
                    lost.into_iter().try_for_each(|one| add(&mut answers.sync, one))?;
                }
                _ => {}
            }
        }
        Ok(answers)
    }

    fn validator(
        &self,
        state: &State,
        tally: &Tally,
        index: ValidatorIndex,
        pubkey: PublicKey,
        validator: &Validator,
    ) -> Result<One, FrameError> {
        let found = self.to.get(&pubkey).ok_or(FrameError::Unknown { pubkey })?;
        let (mut duties, mut sums) = (Duties::default(), Sums::default());
        for (epoch, attested) in &self.attested {
            let of_index = attested.range(..=index).next_back();
            let total = of_index.and_then(|(_, one)| one.totals.get(&index));
            let active = found.activation.is_some_and(|activation| activation <= *epoch)
                && found.exit.is_none_or(|exit| *epoch < exit);
            let total = match total {
                Some(total) => *total,
                None if active => return Err(FrameError::NoRewards { index, epoch: *epoch }),
                None => continue,
            };
            sums.add(&total)?;
            duties.due += u64::from(active);
            duties.made += u64::from(active && was_made(&total));
        }
        let arrived = tally.arrived(&pubkey);
        let before = state.reports.balances().get(&validator.cluster).and_then(|one| one.get(&index));
        let seen = found;
        let missed = sums.missed.checked_add(self.sync.get(&index).copied().unwrap_or_default());
        let mut one = SeenValidator {
            status: seen.status,
            slashed: seen.slashed,
            balance: seen.balance,
            effective: seen.effective_balance,
            arrived,
            swept: Gwei(self.swept.get(&index).copied().unwrap_or_default()),
            increments: duties.due * self.increments(&pubkey, found, arrived),
            attested: Gwei(sums.attested),
            missed: Gwei(missed.ok_or(FrameError::TooMuch)?),
            leaked: Gwei(sums.leaked),
            penalised: Gwei(0),
        };
        if seen.slashed || seen.status.is_slashed() {
            one.penalised = missing(&one, before.copied().unwrap_or_default())?;
        }
        Ok(One { seen: one, duties })
    }

    /// The most ETH that a validator counted for in the frame.
    fn increments(&self, pubkey: &PublicKey, found: &Found, arrived: Gwei) -> u64 {
        let before = self.from.get(pubkey).map_or(0, |found| found.effective_balance.0);
        let most = before.saturating_add(arrived.0).max(before).max(found.effective_balance.0);
        most.min(COMPOUNDING_MAX.0) / INCREMENT.0
    }

    fn network(&self, state: &State, frame: Frame) -> Result<Network, FrameError> {
        let stake = state.chain.stake.ok_or(FrameError::StakeUnknown)?;
        let apart = stake.epoch.0.abs_diff(frame.from.0).max(stake.epoch.0.abs_diff(frame.to.0));
        let churn = (stake.active.0 / CHURN_QUOTIENT).max(CHURN_MIN.0);
        let left = stake.active.0.saturating_sub(churn.saturating_mul(apart.saturating_add(1)));
        let mut duties = Duties::default();
        for attested in self.attested.values() {
            let ideal = attested.values().filter_map(|one| one.ideal).max();
            let Some((effective, target)) = ideal else { continue };
            let base = u128::from(effective.0 / INCREMENT.0) * u128::from(per_increment(stake.active).0);
            let most = base * u128::from(TARGET_WEIGHT) / u128::from(WEIGHT_DENOMINATOR);
            let most = u64::try_from(most).map_err(|_| FrameError::TooMuch)?;
            duties.due = duties.due.checked_add(most).ok_or(FrameError::TooMuch)?;
            duties.made += target.0.min(most);
        }
        Ok(Network { stake: stake.active, stake_min: Gwei(left.max(INCREMENT.0)), duties })
    }
}

fn add(
    sums: &mut BTreeMap<ValidatorIndex, u64>,
    (index, more): (ValidatorIndex, u64),
) -> Result<(), FrameError> {
    let sum = sums.entry(index).or_default();
    *sum = sum.checked_add(more).ok_or(FrameError::TooMuch)?;
    Ok(())
}

/// What attestations came to, gains and losses apart.
#[derive(Default)]
struct Sums {
    attested: u64,
    missed: u64,
    leaked: u64,
}

impl Sums {
    fn add(&mut self, total: &Total) -> Result<(), FrameError> {
        let Total { head, target, source, inactivity } = *total;
        for one in [head, target, source] {
            let sum = if one < 0 { &mut self.missed } else { &mut self.attested };
            *sum = sum.checked_add(one.unsigned_abs()).ok_or(FrameError::TooMuch)?;
        }
        let lost = if inactivity < 0 { inactivity.unsigned_abs() } else { 0 };
        self.leaked = self.leaked.checked_add(lost).ok_or(FrameError::TooMuch)?;
        Ok(())
    }
}

/// Whether a block has an attestation, as far as what it earned says so.
fn was_made(total: &Total) -> bool {
    !(total.source < 0 && total.target < 0)
}

/// What is missing from a balance when all that is known is counted.
fn missing(one: &SeenValidator, before: Gwei) -> Result<Gwei, FrameError> {
    let total = |parts: &[Gwei]| parts.iter().map(|part| u128::from(part.0)).sum::<u128>();
    let had = total(&[before, one.arrived, one.attested]);
    let has = total(&[one.balance, one.swept, one.missed, one.leaked]);
    u64::try_from(had.saturating_sub(has)).map(Gwei).map_err(|_| FrameError::TooMuch)
}

/// All that a report is read from, in one order.
fn asked(state: &State, frame: Frame, known: &Known) -> Vec<Question> {
    let nothing = Known::default();
    let mut asked = plan(state, frame, &nothing);
    asked.extend(syncs(state, frame, known));
    let boundary = state.network.epoch_start(frame.to).0;
    let before = (boundary.saturating_sub(EMPTY_SLOTS_MAX)..boundary).rev();
    let roots = before.map(|slot| Question::Root { slot: Slot(slot) });
    asked.extend(roots.take_while(|question| known.answers.contains_key(question)));
    asked
}

/// What was asked, and the SHA-256 of what was read from each answer: two nodes that say the same have the same, however
/// they write it. Of questions that are asked for each slot those of an epoch are one, and so are those of a path that is
/// asked for some of the validators after others.
fn evidence(state: &State, frame: Frame, known: &Known) -> Evidence {
    let mut evidence = Evidence::new();
    let mut parts: BTreeMap<String, BTreeMap<Text<REQUEST_LEN_MAX>, &Said>> = BTreeMap::new();
    let mut blocks: BTreeMap<Epoch, BTreeMap<Slot, &Said>> = BTreeMap::new();
    let mut pays = blocks.clone();
    for question in asked(state, frame, known) {
        let Some(said) = known.answers.get(&question) else { continue };
        let (slots, slot) = match &question {
            Question::Block { slot } => (&mut blocks, *slot),
            Question::Sync { slot, .. } => (&mut pays, *slot),
            Question::Validators { .. } | Question::Attestations { .. } => {
                parts.entry(question.path()).or_default().insert(question.name(), said);
                continue;
            }
            _ => {
                evidence.insert(question.name(), canonical::hash(said));
                continue;
            }
        };
        slots.entry(state.network.epoch_of(slot)).or_default().insert(slot, said);
    }
    let pays = pays.values().map(|of_epoch| ("/eth/v1/beacon/rewards/sync_committee", of_epoch));
    for (path, of_epoch) in blocks.values().map(|of_epoch| ("/eth/v2/beacon/blocks", of_epoch)).chain(pays) {
        let ends = of_epoch.first_key_value().zip(of_epoch.last_key_value());
        let Some(((first, _), (last, _))) = ends else { continue };
        let name = Text::new(format!("{path}/{first}..{last}")).expect("a short path");
        evidence.insert(name, canonical::hash(of_epoch));
    }
    for (path, of_path) in &parts {
        evidence.insert(Text::new(path.as_str()).expect("a short path"), canonical::hash(of_path));
    }
    evidence
}
