//! The ceremonies' board: who of a cluster is at the ceremony and how far, as its nodes say themselves. Not in the log.
//!
//! ```text
//! a node     says: this step, waiting for these, done; signed as a request is
//! the board  remembers the newest word of each, for ten minutes
//! anybody    reads: the definition, who has accepted it, who is there, who is missing
//! ```
//!
//! Nothing depends on it. What a node says of itself, or of others, is believed by nobody: the ceremony goes its own way
//! between the nodes, and what comes of it is a lock that anybody can check. So it need not be kept, and a coordinator that
//! is started again begins with an empty board.
//!
//! The time is told, in Unix seconds. Memory: one word for each operator of a cluster that the pool has, and at most
//! [`PRESENT_MAX`] of them.

use crate::ledger::State;
use crate::ledger::calls::Outline;
use crate::ledger::operators::OperatorId;
use crate::request::{Incoming, Nonce, RequestRefusal, VALID_MAX_S};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use types::{Address, ClusterId, Gwei, Root};

/// Seconds of silence after which a node is missing. Nodes speak once a minute. It is longer than any request is valid, so
/// when a nonce is forgotten nothing below it can be said again.
pub const SILENCE_S: u64 = 2 * VALID_MAX_S;
/// Longest body of a node's word, in bytes.
pub const WORD_LEN_MAX: usize = 1 << 10;
/// Nodes that are remembered at once: all operators of some hundreds of ceremonies.
pub const PRESENT_MAX: usize = 4_096;

/// How far a ceremony is at one of its operators. The names are those of `dvt-dkg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Waiting until everybody is there.
    Gather,
    /// Commitments.
    Round1,
    /// Whether everybody has heard the same.
    Echo,
    /// Private shares.
    Round2,
    /// Deposits and registrations are signed.
    Seal,
    /// The lock is signed.
    Lock,
    /// Its files are on disk.
    Done,
    /// Everybody's are.
    Farewell,
    /// It has failed.
    Complaint,
}

/// What a node says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// The step under way.
    pub step: Step,
    /// Places that it waits for, each once, the lowest first.
    pub waiting_for: Vec<u8>,
    /// Whether its part is over, and its keys are on disk.
    pub done: bool,
}

/// A node that was heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Present {
    /// What it said last.
    #[serde(flatten)]
    pub word: Word,
    /// Unix seconds of its first word in this step.
    pub since: u64,
    /// Unix seconds of its last word.
    pub heard: u64,
    #[serde(skip)]
    nonce: Nonce,
}

/// Why a word is not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WordRefusal {
    /// As a request.
    #[error(transparent)]
    Request(#[from] RequestRefusal),
    /// No cluster of the pool.
    #[error("there is no cluster {0}")]
    NoCluster(ClusterId),
    /// Of nobody who is in the cluster.
    #[error("{0} is the node of no operator of this cluster")]
    Stranger(Address),
    /// Not what a node says.
    #[error("the body is not a node's word: {0}")]
    Body(String),
    /// Places that there are not, or twice, or out of order.
    #[error("waits for {waiting_for:?}: places are 1 to {operators}, each once, the lowest first")]
    Places {
        /// What it says.
        waiting_for: Vec<u8>,
        /// Of how many.
        operators: usize,
    },
    /// Too many at once.
    #[error("the board has {PRESENT_MAX} nodes, and no room for another")]
    Full,
}

/// How far a ceremony is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Its operators are asked, and not all have accepted: nobody speaks yet.
    Asked,
    /// Somebody is missing, and nobody has begun.
    Waiting,
    /// Somebody has begun, or everybody is there.
    Running,
    /// The pool has its lock.
    Delivered,
}

/// An operator of a ceremony.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place<'a> {
    /// From 1.
    pub place: u8,
    /// Who.
    pub operator: OperatorId,
    /// Its node's record.
    pub enr: &'a str,
    /// The address that its node signs as.
    pub node: Address,
    /// Whether it has accepted the definition.
    pub accepted: bool,
    /// What its node says, if it was heard of late.
    pub present: Option<&'a Present>,
}

/// What can be read of a ceremony.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice<'a> {
    /// The pool's id.
    pub pool: Root,
    /// The pool's chain: requests are signed for it.
    pub chain_id: u64,
    /// The cluster: the hash of its definition.
    pub cluster: ClusterId,
    /// How far it is.
    pub stage: Stage,
    /// The definition's file: who reads it hashes it, and accepts that hash.
    pub definition: String,
    /// Its operators.
    pub operators: Vec<Place<'a>>,
    /// How many of them sign.
    pub threshold: u8,
    /// Places of those who were not heard of late.
    pub missing: Vec<u8>,
    /// What every deposit pays back to.
    pub withdrawal_credentials: Root,
    /// Who takes fees.
    pub fee_recipient: Address,
    /// What is deposited first, and then, as it was when the operators were asked.
    pub amounts: [Gwei; 2],
    /// The lock's hash, if the pool has it.
    pub lock: Option<Root>,
}

/// The board.
#[derive(Clone, Debug, Default)]
pub struct Board {
    present: BTreeMap<(ClusterId, u8), Present>,
    taken: u64,
}

impl Board {
    /// Takes a node's word.
    ///
    /// - `incoming`: its request; who signed it is checked here.
    /// - Errors: it is no good request, or was overtaken; it is of nobody in the cluster; it is no word; there is no room.
    pub fn hear(
        &mut self,
        now: u64,
        state: &State,
        cluster: ClusterId,
        incoming: &Incoming,
    ) -> Result<(), WordRefusal> {
        self.forget(now);
        let (pool, chain_id) = (state.pool, state.charter.network.chain_id);
        let signer = incoming.claims(pool, chain_id)?;
        let formed = state.clusters.get(cluster).is_some();
        let outline = state.calls.outlines.get(&cluster).filter(|_| formed);
        let outline = outline.ok_or(WordRefusal::NoCluster(cluster))?;
        let mut places = (1..=u8::MAX).zip(&outline.members);
        let place = places.find(|(_, member)| member.node.key().0.address() == signer);
        let (place, _) = place.ok_or(WordRefusal::Stranger(signer))?;
        let before = self.present.get(&(cluster, place));
        let last = |_| before.map(|present| present.nonce);
        incoming.request.valid(Ok(signer), now, WORD_LEN_MAX, last)?;
        let word = word(&incoming.request.body, outline.members.len())?;
        if before.is_none() && self.present.len() >= PRESENT_MAX {
            return Err(WordRefusal::Full);
        }
        let same = before.filter(|present| present.word.step == word.step);
        let since = same.map_or(now, |present| present.since);
        let present = Present { word, since, heard: now, nonce: incoming.request.nonce };
        self.present.insert((cluster, place), present);
        self.taken += 1;
        Ok(())
    }

    /// How many words it has taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// What can be read of a cluster's ceremony; nothing if the pool has no such cluster and asks for none.
    ///
    /// Cost: the definition is made again: some hashes for every validator.
    pub fn notice<'a>(&'a self, now: u64, state: &'a State, cluster: ClusterId) -> Option<Notice<'a>> {
        let outline = state.calls.outlines.get(&cluster)?;
        let definition = state.definition(cluster)?.to_json();
        let charter = &state.charter;
        let operators = self.places(now, state, cluster, outline);
        let missing = operators.iter().filter(|one| one.present.is_none()).map(|one| one.place);
        let missing: Vec<_> = missing.collect();
        let begun = operators.iter().filter_map(|one| one.present).any(|one| one.word.step > Step::Gather);
        let lock = state.ceremonies.locks.get(&cluster).map(|locked| locked.lock);
        let stage = match lock {
            _ if state.clusters.get(cluster).is_none() => Stage::Asked,
            Some(_) => Stage::Delivered,
            None if begun || missing.is_empty() => Stage::Running,
            None => Stage::Waiting,
        };
        Some(Notice {
            pool: state.pool,
            chain_id: charter.network.chain_id,
            cluster,
            stage,
            definition,
            operators,
            threshold: outline.threshold,
            missing,
            withdrawal_credentials: state.credentials(),
            fee_recipient: charter.fee_recipient,
            amounts: [outline.deposit.first, outline.deposit.rest],
            lock,
        })
    }

    /// A cluster's operators in their places.
    fn places<'a>(
        &'a self,
        now: u64,
        state: &State,
        cluster: ClusterId,
        outline: &'a Outline,
    ) -> Vec<Place<'a>> {
        let asked = state.calls.answers.clusters.get(&cluster);
        let accepted = asked.map_or(&[][..], |asked| &asked.accepted);
        let heard = |place| self.present.get(&(cluster, place)).filter(|present| !present.silent(now));
        let places = (1..=u8::MAX).zip(&outline.members);
        places
            .map(|(place, member)| Place {
                place,
                operator: member.operator,
                enr: member.node.as_str(),
                node: member.node.key().0.address(),
                accepted: accepted.contains(&member.operator),
                present: heard(place),
            })
            .collect()
    }

    /// Forgets who was silent for too long.
    fn forget(&mut self, now: u64) {
        self.present.retain(|_, present| !present.silent(now));
    }
}

impl Present {
    fn silent(&self, now: u64) -> bool {
        now.saturating_sub(self.heard) > SILENCE_S
    }
}

fn word(body: &str, operators: usize) -> Result<Word, WordRefusal> {
    let word: Word = serde_json::from_str(body).map_err(|error| WordRefusal::Body(error.to_string()))?;
    let rises = word.waiting_for.windows(2).all(|pair| pair[0] < pair[1]);
    let within = |place: &u8| (1..=operators).contains(&usize::from(*place));
    if !rises || !word.waiting_for.iter().all(within) {
        return Err(WordRefusal::Places { waiting_for: word.waiting_for, operators });
    }
    Ok(word)
}

#[cfg(test)]
mod tests;
