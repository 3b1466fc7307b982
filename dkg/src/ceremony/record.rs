//! What must outlive a crash: the seed, and what was heard in each completed step.
//!
//! ```text
//! record = version (1) || tag (1) || ceremony id (32) || payload
//! tag 0: the seed (32 bytes)
//! tag of a step: for each other operator, in order: SSZ of Signed || content
//! ```

use super::inbox::Whole;
use super::plan::Plan;
use super::wire::{Frame, Signed, shape_of};
use super::{CEREMONY_VERSION, Step};
use keys::frost::CeremonySeed;
use ssz::{Decode as _, Encode as _};
use thiserror::Error;
use types::wire::Verify;
use types::{Root, ShareIndex};
use zeroize::Zeroizing;

const SEED_TAG: u8 = 0;
const HEADER_LEN: usize = 1 + 1 + Root::LEN;

/// What a record holds, and so what a crash can no longer take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durable {
    /// The seed: before the first word is said.
    Seed,
    /// Everybody's messages of a step: before the next step's message goes out.
    Heard(Step),
    /// The files of the outcome.
    Files,
}

/// Why records are not those of this ceremony.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// There is none: nothing was begun.
    #[error("no record of this ceremony's seed")]
    NoSeed,
    /// Of another ceremony.
    #[error("a record of another ceremony, {theirs}")]
    OtherCeremony {
        /// Whose id it bears.
        theirs: Root,
    },
    /// Not of the form, or out of order.
    #[error("record {number} is damaged")]
    Damaged {
        /// From 0.
        number: usize,
    },
    /// Messages that do not add up to the step they were kept for.
    #[error("the record of {step} does not hold what it should")]
    Wrong {
        /// Which step.
        step: Step,
    },
}

fn record(plan: &Plan, tag: u8, payload: &mut dyn FnMut(&mut Vec<u8>), len: usize) -> Frame {
    let mut bytes = Vec::with_capacity(HEADER_LEN + len);
    bytes.extend([CEREMONY_VERSION, tag]);
    bytes.extend(plan.ceremony.0);
    payload(&mut bytes);
    bytes.into()
}

pub(super) fn of_seed(plan: &Plan, seed: &CeremonySeed) -> Frame {
    record(plan, SEED_TAG, &mut |bytes| bytes.extend(seed.expose()), seed.expose().len())
}

/// - `heard`: everybody's but this operator's, in order.
pub(super) fn of_step(plan: &Plan, step: Step, heard: &[&Whole]) -> Frame {
    let len = heard.iter().map(|whole| Signed::LEN + whole.content.len()).sum();
    let mut write = |bytes: &mut Vec<u8>| {
        for whole in heard {
            whole.signed.ssz_append(bytes);
            bytes.extend_from_slice(&whole.content);
        }
    };
    record(plan, step.tag(), &mut write, len)
}

/// The seed in the first record.
pub(super) fn read_seed(plan: &Plan, record: &[u8]) -> Result<CeremonySeed, RecordError> {
    let damaged = RecordError::Damaged { number: 0 };
    let (tag, payload) = open(plan, record).map_err(|other| other.unwrap_or(damaged.clone()))?;
    let seed = <[u8; 32]>::try_from(payload).ok().filter(|_| tag == SEED_TAG).ok_or(damaged)?;
    Ok(CeremonySeed::new(Zeroizing::new(seed)))
}

/// What was heard in `step`: every other operator's message.
pub(super) fn read_step(
    plan: &Plan,
    node: &impl Verify,
    number: usize,
    step: Step,
    record: &[u8],
) -> Result<Vec<Whole>, RecordError> {
    let damaged = || RecordError::Damaged { number };
    let (tag, mut payload) = open(plan, record).map_err(|other| other.unwrap_or_else(damaged))?;
    let length = plan.shape(step).filter(|_| tag == step.tag()).ok_or_else(damaged)?.len();
    let mut heard = Vec::new();
    for author in plan.others() {
        let (message, rest) = payload.split_at_checked(Signed::LEN + length).ok_or_else(damaged)?;
        heard.push(read_message(plan, node, author, step, message).ok_or_else(damaged)?);
        payload = rest;
    }
    if payload.is_empty() { Ok(heard) } else { Err(damaged()) }
}

fn read_message(
    plan: &Plan,
    node: &impl Verify,
    author: ShareIndex,
    step: Step,
    message: &[u8],
) -> Option<Whole> {
    let (signed, content) = message.split_at(Signed::LEN);
    let signed = Signed::from_ssz_bytes(signed).ok()?;
    let statement = &signed.statement;
    let ours = statement.ceremony == plan.ceremony && (statement.author, statement.step) == (author, step);
    let shape = shape_of(plan, statement).filter(|_| ours && signed.is_signed(node))?;
    Whole::new(signed, Zeroizing::new(content.to_vec()), shape)
}

/// Tag and payload; the error names another ceremony, or nothing if the form is wrong.
fn open<'a>(plan: &Plan, record: &'a [u8]) -> Result<(u8, &'a [u8]), Option<RecordError>> {
    let (header, payload) = record.split_at_checked(HEADER_LEN).ok_or(None)?;
    if header[0] != CEREMONY_VERSION {
        return Err(None);
    }
    if header[2..] != plan.ceremony.0 {
        let theirs = Root(header[2..].try_into().expect("the header ends with a root"));
        return Err(Some(RecordError::OtherCeremony { theirs }));
    }
    Ok((header[1], payload))
}
