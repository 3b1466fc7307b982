//! What was due is in the chain: counted from the chain's own committees, blocks and pools.

use super::Violation;
use crate::chain::Chain;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use types::selection::{SUBCOMMITTEES, all_aggregate, is_aggregator, is_sync_aggregator, subcommittee_len};
use types::wire::Kind;
use types::{Signature, SigningRoot, Slot, ValidatorIndex};

/// Duties of one kind over some slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many were due.
    pub due: usize,
    /// How many are done.
    pub done: usize,
}

/// One duty of one validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty {
    /// When.
    pub slot: Slot,
    /// What: attest, propose, sync message, aggregate or contribute.
    pub kind: Kind,
    /// Whose.
    pub who: ValidatorIndex,
    /// The subcommittee, for contributions.
    pub part: u64,
    /// Whether the chain has it.
    pub done: bool,
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, who, part, .. } = self;
        match self.kind {
            Kind::Attest => write!(f, "attestation of {who} for slot {slot}"),
            Kind::Propose => write!(f, "block for slot {slot}"),
            Kind::SyncMessage => write!(f, "sync message of {who} for slot {slot}"),
            Kind::Aggregate => write!(f, "aggregate of {who} for slot {slot}"),
            Kind::Contribute => write!(f, "contribution of {who} to subcommittee {part} for slot {slot}"),
            Kind::Randao | Kind::Selection | Kind::SyncSelection | Kind::Exit | Kind::Registration => {
                write!(f, "{} of {who} for slot {slot}", self.kind)
            }
        }
    }
}

/// Makes selection proofs, for a judge that holds the keys of a jar. Without it an aggregator of a large committee is
/// known only once its aggregate was taken; in a small one everybody aggregates, whatever the proof.
pub type Proofs<'a> = Option<&'a dyn Fn(ValidatorIndex, &SigningRoot) -> Signature>;

/// The duties of the validators for which `ours` holds.
///
/// - An attestation is done when a block has it, a block when the chain has it; a sync message when the next slot's
///   block has all bits of the member, and where that slot has no block, no message was due.
/// - Aggregates and contributions are due from those whose proofs win, and done when taken from them in time.
pub fn due(
    chain: &Chain,
    slots: RangeInclusive<u64>,
    ours: impl Fn(ValidatorIndex) -> bool,
    proofs: Proofs<'_>,
) -> Vec<Duty> {
    let mut duties = Vec::new();
    for slot in slots.map(Slot) {
        let committee = chain.committee(slot);
        let duty = |kind, who, done| Duty { slot, kind, who, part: 0, done };
        for who in committee.iter().copied().filter(|who| ours(*who)) {
            duties.push(duty(Kind::Attest, who, chain.attested(slot, who).is_some()));
        }
        let proposer = chain.proposer(slot);
        if slot > Slot(0) && ours(proposer) {
            duties.push(duty(Kind::Propose, proposer, chain.has_block(slot)));
        }
        let members = chain.sync_duties(chain.spec().epoch_of(slot.next()));
        for who in members.iter().map(|duty| duty.validator_index).filter(|who| ours(*who)) {
            duties.extend(chain.sync_voted(slot, who).map(|done| duty(Kind::SyncMessage, who, done)));
        }
        for who in committee.iter().copied().filter(|who| ours(*who)) {
            if aggregates(chain, slot, who, committee.len() as u64, proofs) {
                duties.push(duty(Kind::Aggregate, who, chain.aggregated(slot, who).is_some()));
            }
        }
        for part in 0..SUBCOMMITTEES {
            let mut members = chain.subcommittee(slot, part);
            members.sort_unstable();
            members.dedup();
            for who in members.into_iter().filter(|who| ours(*who)) {
                if contributes(chain, slot, who, part, proofs) {
                    let done = chain.contributed(slot, who, part).is_some();
                    duties.push(Duty { part, ..duty(Kind::Contribute, who, done) });
                }
            }
        }
    }
    duties
}

fn aggregates(chain: &Chain, slot: Slot, who: ValidatorIndex, members: u64, proofs: Proofs<'_>) -> bool {
    let root = SigningRoot::selection_proof(chain.spec(), slot);
    let proof = proofs.map(|proof| proof(who, &root)).or_else(|| chain.aggregated(slot, who));
    proof.map_or(all_aggregate(members), |proof| is_aggregator(members, &proof))
}

fn contributes(chain: &Chain, slot: Slot, who: ValidatorIndex, part: u64, proofs: Proofs<'_>) -> bool {
    let preset = chain.spec().preset;
    let root = SigningRoot::sync_selection_proof(chain.spec(), slot, part);
    let proof = proofs.map(|proof| proof(who, &root)).or_else(|| chain.contributed(slot, who, part));
    let certain = all_aggregate(subcommittee_len(preset));
    proof.map_or(certain, |proof| is_sync_aggregator(preset, &proof))
}

/// Counts duties by kind.
pub fn count(duties: &[Duty]) -> BTreeMap<Kind, Tally> {
    let mut count: BTreeMap<Kind, Tally> = BTreeMap::new();
    for duty in duties {
        let tally = count.entry(duty.kind).or_default();
        tally.due += 1;
        tally.done += usize::from(duty.done);
    }
    count
}

/// A violation for each duty that is not done.
pub fn missed(duties: &[Duty]) -> Vec<Violation> {
    let missed = duties.iter().filter(|duty| !duty.done);
    missed.map(|duty| Violation { at: None, what: format!("no {duty}") }).collect()
}
