//! What a beacon node says: each answer's shape, and every rule that it can break.
//!
//! Fields that are not needed are read over: nodes add their own, and forks bring more.

use super::contracts::{self, Log, Quantity, RawLog};
use super::list::{self, Says};
use super::question::Scope;
use crate::ledger::chain::{Executed, Finalized};
use crate::ledger::deposits::{PendingDeposit, SeenValidator};
use serde::de::DeserializeOwned;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Read};
use thiserror::Error;
use types::{Address, Epoch, Gwei, PublicKey, Root, Signature, Slot, ValidatorIndex, ValidatorStatus};

/// An epoch that never comes: `FAR_FUTURE_EPOCH`.
const NEVER: Epoch = Epoch(u64::MAX);

/// What was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Said {
    /// What is finalized.
    Finality(Finalized),
    /// Validators, by key. Of keys that are not there nothing is said.
    Validators(BTreeMap<PublicKey, SeenValidator>),
    /// Deposits for the pool's keys, in the queue's order.
    Pending(Vec<PendingDeposit>),
    /// Effective balances of all active validators together.
    Active(Gwei),
    /// A block's root.
    Root(Root),
    /// A block.
    Block(Block),
    /// What attestations earned.
    Attestations(Attested),
    /// Which of the pool's validators are in a sync committee.
    Members(BTreeSet<ValidatorIndex>),
    /// What members of a sync committee earned, or lost, in gwei.
    Sync(BTreeMap<ValidatorIndex, i64>),
    /// Those of the validators that are slashed.
    Slashed(BTreeMap<ValidatorIndex, SeenValidator>),
    /// Whom of the pool's a block slashes, and the epoch of the later of the two messages.
    Slashings(BTreeMap<ValidatorIndex, Epoch>),
    /// The RANDAO mix of an epoch.
    Randao(Root),
    /// The execution layer's block in a block of the chain.
    Payload(Executed),
    /// A block of the execution layer.
    Executed(ExecutedBlock),
    /// What the pool's contracts said, in the chain's order.
    Logs(Vec<Log>),
    /// That there is no such thing: the slot has no block.
    Nothing,
}

/// A block of the execution layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ExecutedBlock {
    /// Its hash.
    pub hash: Root,
    /// When it was made, in seconds since 1970.
    pub at: u64,
}

/// What a block withdraws.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Block {
    /// Numbers of the first and the last of all withdrawals: the chain counts them, so a block that is kept back shows.
    pub withdrawals: Option<(u64, u64)>,
    /// What goes to the pool's address, by validator.
    pub swept: BTreeMap<ValidatorIndex, Gwei>,
}

/// What attestations of an epoch earned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attested {
    /// Of the largest effective balance that is told: how much it is, and what a right target would have earned it.
    pub ideal: Option<(Gwei, Gwei)>,
    /// By validator.
    pub totals: BTreeMap<ValidatorIndex, Total>,
}

/// What a validator's attestation earned, or cost if it was not there, in gwei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Total {
    /// For the head.
    pub head: i64,
    /// For the target.
    pub target: i64,
    /// For the source.
    pub source: i64,
    /// While the chain did not finalize.
    pub inactivity: i64,
}

/// Which rule an answer breaks.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Wrong {
    /// Another shape.
    #[error("not the shape: {0}")]
    Shape(String),
    /// A node that has not verified what it says.
    #[error("the node has not verified this yet: it is optimistic")]
    Optimistic,
    /// What may still change.
    #[error("this is not final")]
    NotFinal,
    /// Something else than was asked for.
    #[error("validator {pubkey} was not asked for")]
    NotAsked {
        /// Which.
        pubkey: PublicKey,
    },
    /// A key or an index that is there twice.
    #[error("validator {pubkey}, or its index {index}, is told twice")]
    Twice {
        /// Which.
        pubkey: PublicKey,
        /// Its index.
        index: ValidatorIndex,
    },
    /// Something of a validator that was not asked for.
    #[error("validator {index} was not asked for")]
    NotAskedIndex {
        /// Which.
        index: ValidatorIndex,
    },
    /// A validator that is there twice.
    #[error("validator {index} is told twice")]
    TwiceIndex {
        /// Which.
        index: ValidatorIndex,
    },
    /// A block of another slot.
    #[error("the block is of slot {have}, asked for was {want}")]
    Slot {
        /// Told.
        have: Slot,
        /// Asked for.
        want: Slot,
    },
    /// A block that is on no chain.
    #[error("the block is not on the chain")]
    NotCanonical,
    /// Withdrawals out of their order, so that none could be missed.
    #[error("withdrawal {have} follows {last}")]
    Withdrawal {
        /// Its number.
        have: u64,
        /// The one before.
        last: u64,
    },
    /// Another block of the execution layer.
    #[error("block {have}, asked for was {want}")]
    Number {
        /// Told.
        have: u64,
        /// Asked for.
        want: u64,
    },
    /// A log that cannot be read, was not asked for, was dropped from the chain, or is out of order.
    #[error("log {index} of block {block} is none of those that were asked for, or cannot be read")]
    Log {
        /// Its block.
        block: u64,
        /// Its number there.
        index: u64,
    },
    /// Nothing was to be asked: the pool has no contracts.
    #[error("the pool has no contracts")]
    NoContracts,
    /// More than 64 bits of gwei.
    #[error("amounts of more than 2^64 gwei")]
    TooMuch,
}

/// A number of gwei that may be a loss: a quoted integer.
#[derive(Clone, Copy)]
struct Signed(i64);

impl<'de> Deserialize<'de> for Signed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
    }
}

/// An answer that fits into memory.
#[derive(Deserialize)]
struct Answer<T> {
    execution_optimistic: bool,
    finalized: bool,
    data: T,
}

impl<T> Answer<T> {
    /// What it says, if that is final.
    fn final_data(self) -> Result<T, Wrong> {
        let Self { execution_optimistic, finalized, data } = self;
        Says { execution_optimistic, finalized }.check().map(|()| data)
    }
}

fn short<T: DeserializeOwned>(answer: &mut dyn Read) -> Result<Answer<T>, Wrong> {
    serde_json::from_reader(BufReader::new(answer)).map_err(|error| Wrong::Shape(error.to_string()))
}

/// The finalized checkpoint. The head's state, which says so, is not final itself.
pub(super) fn finality(answer: &mut dyn Read) -> Result<Said, Wrong> {
    #[derive(Deserialize)]
    struct Checkpoints {
        finalized: Checkpoint,
    }
    #[derive(Deserialize)]
    struct Checkpoint {
        epoch: Epoch,
        root: Root,
    }
    let answer: Answer<Checkpoints> = short(answer)?;
    Says { execution_optimistic: answer.execution_optimistic, finalized: true }.check()?;
    let Checkpoint { epoch, root } = answer.data.finalized;
    Ok(Said::Finality(Finalized { epoch, root }))
}

#[derive(Deserialize)]
struct Entry {
    index: ValidatorIndex,
    balance: Gwei,
    status: ValidatorStatus,
    validator: Record,
}

#[derive(Deserialize)]
struct Record {
    pubkey: PublicKey,
    withdrawal_credentials: Root,
    effective_balance: Gwei,
    slashed: bool,
    activation_epoch: Epoch,
    exit_epoch: Epoch,
    withdrawable_epoch: Epoch,
}

impl Entry {
    fn seen(self) -> SeenValidator {
        let Self { index, balance, status, validator } = self;
        let known = |epoch| Some(epoch).filter(|epoch| *epoch != NEVER);
        SeenValidator {
            pubkey: validator.pubkey,
            index,
            credentials: validator.withdrawal_credentials,
            balance,
            effective_balance: validator.effective_balance,
            status,
            slashed: validator.slashed,
            activation: known(validator.activation_epoch),
            exit: known(validator.exit_epoch),
            withdrawable: known(validator.withdrawable_epoch),
        }
    }
}

pub(super) fn validators(keys: &[PublicKey], answer: &mut dyn Read) -> Result<Said, Wrong> {
    let asked: BTreeSet<&PublicKey> = keys.iter().collect();
    let (mut found, mut indices) = (BTreeMap::new(), BTreeSet::new());
    list::read(answer, |entry: Entry| {
        let (pubkey, index) = (entry.validator.pubkey, entry.index);
        if !asked.contains(&pubkey) {
            return Err(Wrong::NotAsked { pubkey });
        }
        if found.insert(pubkey, entry.seen()).is_some() || !indices.insert(index) {
            return Err(Wrong::Twice { pubkey, index });
        }
        Ok(())
    })?;
    Ok(Said::Validators(found))
}

/// Of validators that are not slashed nothing is said: nodes may not know the filter.
pub(super) fn slashed(indices: &[ValidatorIndex], answer: &mut dyn Read) -> Result<Said, Wrong> {
    let asked: BTreeSet<&ValidatorIndex> = indices.iter().collect();
    let (mut found, mut told) = (BTreeMap::new(), BTreeSet::new());
    list::read(answer, |entry: Entry| {
        let index = entry.index;
        if !asked.contains(&index) {
            return Err(Wrong::NotAskedIndex { index });
        }
        if !told.insert(index) {
            return Err(Wrong::TwiceIndex { index });
        }
        if entry.validator.slashed {
            found.insert(index, entry.seen());
        }
        Ok(())
    })?;
    Ok(Said::Slashed(found))
}

pub(super) fn pending(scope: &Scope, answer: &mut dyn Read) -> Result<Said, Wrong> {
    #[derive(Deserialize)]
    struct Entry {
        pubkey: PublicKey,
        withdrawal_credentials: Root,
        amount: Gwei,
        signature: Signature,
        slot: Slot,
    }
    let mut found = Vec::new();
    list::read(answer, |entry: Entry| {
        let Entry { pubkey, withdrawal_credentials: credentials, amount, signature, slot } = entry;
        if scope.keys.contains(&pubkey) {
            found.push(PendingDeposit { pubkey, credentials, amount, signature, slot });
        }
        Ok(())
    })?;
    Ok(Said::Pending(found))
}

pub(super) fn active(answer: &mut dyn Read) -> Result<Said, Wrong> {
    #[derive(Deserialize)]
    struct Entry {
        status: ValidatorStatus,
        validator: Record,
    }
    #[derive(Deserialize)]
    struct Record {
        effective_balance: Gwei,
    }
    let mut sum = 0_u64;
    list::read(answer, |entry: Entry| {
        // Nodes may not know the filter.
        let more = if entry.status.is_active() { entry.validator.effective_balance.0 } else { 0 };
        sum = sum.checked_add(more).ok_or(Wrong::TooMuch)?;
        Ok(())
    })?;
    Ok(Said::Active(Gwei(sum)))
}

pub(super) fn root(slot: Slot, answer: &mut dyn Read) -> Result<Said, Wrong> {
    #[derive(Deserialize)]
    struct Header {
        root: Root,
        canonical: bool,
        header: SignedHeader,
    }
    #[derive(Deserialize)]
    struct SignedHeader {
        message: Message,
    }
    #[derive(Deserialize)]
    struct Message {
        slot: Slot,
    }
    let header = short::<Header>(answer)?.final_data()?;
    let have = header.header.message.slot;
    if have != slot {
        return Err(Wrong::Slot { have, want: slot });
    }
    if header.canonical { Ok(Said::Root(header.root)) } else { Err(Wrong::NotCanonical) }
}

#[derive(Deserialize)]
struct SignedBlock {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    slot: Slot,
    body: Body,
}

#[derive(Deserialize)]
struct Body {
    execution_payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(with = "serde_utils::quoted_u64")]
    block_number: u64,
    block_hash: Root,
    withdrawals: Vec<Withdrawal>,
}

#[derive(Deserialize)]
struct Withdrawal {
    #[serde(with = "serde_utils::quoted_u64")]
    index: u64,
    validator_index: ValidatorIndex,
    address: Address,
    amount: Gwei,
}

/// Source: consensus-specs, Capella: `get_expected_withdrawals`. A fork that moves the payload out of the block has another
/// shape, and is refused.
pub(super) fn block(slot: Slot, scope: &Scope, answer: &mut dyn Read) -> Result<Said, Wrong> {
    let Message { slot: have, body } = short::<SignedBlock>(answer)?.final_data()?.message;
    if have != slot {
        return Err(Wrong::Slot { have, want: slot });
    }
    let mut block = Block::default();
    for Withdrawal { index, validator_index, address, amount } in body.execution_payload.withdrawals {
        block.withdrawals = match block.withdrawals {
            None => Some((index, index)),
            Some((first, last)) if last.checked_add(1) == Some(index) => Some((first, index)),
            Some((_, last)) => return Err(Wrong::Withdrawal { have: index, last }),
        };
        if address == scope.address && scope.indices.contains(&validator_index) {
            let sum = block.swept.entry(validator_index).or_default();
            *sum = Gwei(sum.0.checked_add(amount.0).ok_or(Wrong::TooMuch)?);
        }
    }
    Ok(Said::Block(block))
}

/// Source: consensus-specs, Electra: `process_operations`, `process_proposer_slashing`, `process_attester_slashing`.
pub(super) fn slashings(slot: Slot, scope: &Scope, answer: &mut dyn Read) -> Result<Said, Wrong> {
    #[derive(Deserialize)]
    struct Signed {
        message: Message,
    }
    #[derive(Deserialize)]
    struct Message {
        slot: Slot,
        body: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        proposer_slashings: Vec<ProposerSlashing>,
        attester_slashings: Vec<AttesterSlashing>,
    }
    #[derive(Deserialize)]
    struct ProposerSlashing {
        signed_header_1: SignedHeader,
    }
    #[derive(Deserialize)]
    struct SignedHeader {
        message: Header,
    }
    #[derive(Deserialize)]
    struct Header {
        slot: Slot,
        proposer_index: ValidatorIndex,
    }
    #[derive(Deserialize)]
    struct AttesterSlashing {
        attestation_1: Vote,
        attestation_2: Vote,
    }
    #[derive(Deserialize)]
    struct Vote {
        attesting_indices: Vec<ValidatorIndex>,
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        target: Target,
    }
    #[derive(Deserialize)]
    struct Target {
        epoch: Epoch,
    }
    let Message { slot: have, body } = short::<Signed>(answer)?.final_data()?.message;
    if have != slot {
        return Err(Wrong::Slot { have, want: slot });
    }
    let mut faults = BTreeMap::new();
    // Who is slashed twice is slashed by the first, and the chain takes proposers' first.
    for ProposerSlashing { signed_header_1: SignedHeader { message } } in body.proposer_slashings {
        let epoch = Epoch(message.slot.0 / scope.slots_per_epoch.max(1));
        faults.entry(message.proposer_index).or_insert(epoch);
    }
    for AttesterSlashing { attestation_1: one, attestation_2: other } in body.attester_slashings {
        let both: BTreeSet<_> = other.attesting_indices.into_iter().collect();
        for index in one.attesting_indices.into_iter().filter(|index| both.contains(index)) {
            faults.entry(index).or_insert(one.data.target.epoch.max(other.data.target.epoch));
        }
    }
    faults.retain(|index, _| scope.indices.contains(index));
    Ok(Said::Slashings(faults))
}

pub(super) fn payload(answer: &mut dyn Read) -> Result<Said, Wrong> {
    let Message { body, .. } = short::<SignedBlock>(answer)?.final_data()?.message;
    let Payload { block_number: number, block_hash: hash, .. } = body.execution_payload;
    Ok(Said::Payload(Executed { number, hash }))
}

/// Source: ethereum/beacon-APIs, `getAttestationsRewards`.
pub(super) fn attestations(indices: &[ValidatorIndex], answer: &mut dyn Read) -> Result<Said, Wrong> {
    #[derive(Deserialize)]
    struct Rewards {
        ideal_rewards: Vec<Ideal>,
        total_rewards: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Ideal {
        effective_balance: Gwei,
        target: Gwei,
    }
    #[derive(Deserialize)]
    struct Entry {
        validator_index: ValidatorIndex,
        head: Signed,
        target: Signed,
        source: Signed,
        inactivity: Signed,
    }
    let asked: BTreeSet<&ValidatorIndex> = indices.iter().collect();
    let Rewards { ideal_rewards, total_rewards } = short::<Rewards>(answer)?.final_data()?;
    let ideal = ideal_rewards.iter().map(|ideal| (ideal.effective_balance, ideal.target)).max();
    let mut totals = BTreeMap::new();
    for Entry { validator_index: index, head, target, source, inactivity } in total_rewards {
        if !asked.contains(&index) {
            return Err(Wrong::NotAskedIndex { index });
        }
        let [head, target, source, inactivity] = [head, target, source, inactivity].map(|one| one.0);
        if totals.insert(index, Total { head, target, source, inactivity }).is_some() {
            return Err(Wrong::TwiceIndex { index });
        }
    }
    Ok(Said::Attestations(Attested { ideal, totals }))
}

pub(super) fn members(scope: &Scope, answer: &mut dyn Read) -> Result<Said, Wrong> {
    #[derive(Deserialize)]
    struct Committee {
        validators: Vec<ValidatorIndex>,
    }
    let Committee { validators } = short::<Committee>(answer)?.final_data()?;
    Ok(Said::Members(validators.into_iter().filter(|index| scope.indices.contains(index)).collect()))
}

/// Whoever has several places in the committee may be told several times.
pub(super) fn sync(indices: &[ValidatorIndex], answer: &mut dyn Read) -> Result<Said, Wrong> {
    #[derive(Deserialize)]
    struct Entry {
        validator_index: ValidatorIndex,
        reward: Signed,
    }
    let asked: BTreeSet<&ValidatorIndex> = indices.iter().collect();
    let mut rewards = BTreeMap::new();
    list::read(answer, |Entry { validator_index: index, reward }: Entry| {
        if !asked.contains(&index) {
            return Err(Wrong::NotAskedIndex { index });
        }
        let sum: &mut i64 = rewards.entry(index).or_default();
        *sum = sum.checked_add(reward.0).ok_or(Wrong::TooMuch)?;
        Ok(())
    })?;
    Ok(Said::Sync(rewards))
}

/// Source: ethereum/beacon-APIs, `getStateRandao`.
pub(super) fn randao(answer: &mut dyn Read) -> Result<Said, Wrong> {
    #[derive(Deserialize)]
    struct Mix {
        randao: Root,
    }
    Ok(Said::Randao(short::<Mix>(answer)?.final_data()?.randao))
}

fn result<T: DeserializeOwned>(answer: &mut dyn Read) -> Result<T, Wrong> {
    serde_json::from_reader(BufReader::new(answer)).map_err(|error| Wrong::Shape(error.to_string()))
}

pub(super) fn executed(want: u64, answer: &mut dyn Read) -> Result<Said, Wrong> {
    #[derive(Deserialize)]
    struct Header {
        number: Quantity,
        hash: Root,
        timestamp: Quantity,
    }
    let Header { number: Quantity(have), hash, timestamp: Quantity(at) } = result(answer)?;
    if have != want {
        return Err(Wrong::Number { have, want });
    }
    Ok(Said::Executed(ExecutedBlock { hash, at }))
}

pub(super) fn logs(range: (u64, u64), scope: &Scope, answer: &mut dyn Read) -> Result<Said, Wrong> {
    let contracts = scope.contracts.as_ref().ok_or(Wrong::NoContracts)?;
    let raw: Vec<RawLog> = result(answer)?;
    Ok(Said::Logs(contracts::logs(raw, range, contracts, &scope.keys)?))
}
