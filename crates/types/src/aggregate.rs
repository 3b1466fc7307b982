//! What aggregators publish, whatever fork and preset: a committee's attestations, or a subcommittee's sync messages.
//!
//! An [`Aggregate`] is its SSZ bytes and what the checks read from them; an [`AggregateSet`] is what a cluster agrees on
//! once a slot for all its aggregators. Both are one encoding only: what is read is written again as the same bytes.

use crate::attestation::{AggregateAndProof, Attestation, AttestationElectra, SignedAggregateAndProof};
use crate::sizes::{Gnosis, Mainnet, Minimal, Sizes, Ssz};
use crate::sync::SyncCommitteeContribution;
use crate::wire::Value;
use crate::{Fork, Preset, Root, Signature, Slot, ValidatorIndex};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use sha2::{Digest, Sha256};
use ssz::{Decode as _, Encode as _};
use thiserror::Error;

/// Most aggregates of a set: `MAX_COMMITTEES_PER_SLOT` of mainnet.
pub const AGGREGATES_MAX: usize = 64;

/// Why bytes or JSON are no aggregate, or no set of them. Each names the broken rule.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AggregateError {
    /// Not the SSZ of that container.
    #[error("not the SSZ of {name}: {reason}")]
    Ssz {
        /// Which container.
        name: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// Not the JSON of that container.
    #[error("not the JSON of {name}: {reason}")]
    Json {
        /// Which container.
        name: &'static str,
        /// What the reader says.
        reason: String,
    },
    /// From Electra on an aggregate on its own is of one committee.
    #[error("an aggregate of {0} committees, has to be of one")]
    Committees(usize),
    /// More than a slot can have.
    #[error("{have} aggregates in one set, at most {AGGREGATES_MAX} are taken")]
    TooMany {
        /// How many.
        have: usize,
    },
    /// Two of one place, or not in order of place.
    #[error("a set lists each committee once, in order")]
    Order,
}

/// Which container an aggregate is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateShape {
    /// A committee's attestations.
    Attestation {
        /// Sizes of its lists.
        preset: Preset,
        /// Its fork.
        fork: Fork,
    },
    /// A subcommittee's sync messages.
    Contribution {
        /// Sizes of its lists.
        preset: Preset,
    },
}

/// A committee's attestations, or a subcommittee's sync messages, aggregated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// Which container it is in.
    pub shape: AggregateShape,
    /// The committee's index, or the subcommittee's.
    pub place: u64,
    /// Its slot.
    pub slot: Slot,
    /// What was signed: hash tree root of the attestation data, or the block's root.
    pub subject: Root,
    /// How many signed it.
    pub participants: usize,
    /// Its SSZ.
    pub ssz: Value,
}

/// An aggregate as its aggregator publishes it, whoever's the signature is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAggregate {
    /// Who aggregated.
    pub aggregator_index: ValidatorIndex,
    /// What.
    pub aggregate: Aggregate,
    /// That the aggregator was chosen.
    pub selection_proof: Signature,
    /// By the aggregator, over all of these.
    pub signature: Signature,
}

/// All aggregates of a cluster's aggregators in a slot: the value that is agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregateSet {
    aggregates: Vec<Aggregate>,
}

impl AggregateShape {
    /// Reads SSZ. Strict: what it takes is the one encoding of that aggregate.
    pub fn decode(self, ssz: &[u8]) -> Result<Aggregate, AggregateError> {
        (self.codec().decode)(self, ssz)
    }

    /// Reads the beacon API's JSON.
    pub fn from_json(self, json: &serde_json::Value) -> Result<Aggregate, AggregateError> {
        (self.codec().from_json)(self, json)
    }

    /// Reads the beacon API's JSON of one signed aggregate.
    pub fn signed_from_json(self, json: &serde_json::Value) -> Result<SignedAggregate, AggregateError> {
        let message = &json["message"];
        let text = |at: &serde_json::Value, field: &'static str| {
            at[field].as_str().ok_or(field).map(str::to_owned).map_err(|field| self.missing(field))
        };
        let signature = |at, field| text(at, field)?.parse().map_err(|error| self.json_error(error));
        let index: u64 =
            text(message, "aggregator_index")?.parse().map_err(|error| self.json_error(error))?;
        let body = message.get(self.field()).ok_or_else(|| self.missing(self.field()))?;
        Ok(SignedAggregate {
            aggregator_index: ValidatorIndex(index),
            aggregate: self.from_json(body)?,
            selection_proof: signature(message, "selection_proof")?,
            signature: signature(json, "signature")?,
        })
    }

    /// Reads the SSZ of a list of signed aggregates, as clients publish it.
    pub fn signed_list_from_ssz(self, ssz: &[u8]) -> Result<Vec<SignedAggregate>, AggregateError> {
        (self.codec().signed_list)(self, ssz)
    }

    /// The name of its container.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attestation { .. } => "Attestation",
            Self::Contribution { .. } => "SyncCommitteeContribution",
        }
    }

    const fn preset(self) -> Preset {
        match self {
            Self::Attestation { preset, .. } | Self::Contribution { preset } => preset,
        }
    }

    /// Under which name its container has it, beside the proof.
    const fn field(self) -> &'static str {
        match self {
            Self::Attestation { .. } => "aggregate",
            Self::Contribution { .. } => "contribution",
        }
    }

    fn codec(self) -> Codec {
        match self.preset() {
            Preset::Mainnet => self.codec_sized::<Mainnet>(),
            Preset::Minimal => self.codec_sized::<Minimal>(),
            Preset::Gnosis => self.codec_sized::<Gnosis>(),
        }
    }

    fn codec_sized<P: Sizes>(self) -> Codec {
        match self {
            Self::Attestation { fork, .. } if fork < Fork::Electra => Codec::of::<Attestation>(),
            Self::Attestation { .. } => Codec::of::<AttestationElectra<P>>(),
            Self::Contribution { .. } => Codec::of::<SyncCommitteeContribution<P>>(),
        }
    }

    fn missing(self, field: &str) -> AggregateError {
        self.json_error(format_args!("no {field}"))
    }

    fn json_error(self, reason: impl ToString) -> AggregateError {
        AggregateError::Json { name: self.name(), reason: reason.to_string() }
    }

    fn ssz_error(self, error: &ssz::DecodeError) -> AggregateError {
        AggregateError::Ssz { name: self.name(), reason: format!("{error:?}") }
    }
}

impl Aggregate {
    /// The beacon API's JSON.
    pub fn to_json(&self) -> serde_json::Value {
        (self.shape.codec().to_json)(&self.ssz.0)
    }

    /// Hash tree root of `AggregateAndProof` or `ContributionAndProof`: what the aggregator signs.
    pub fn proof_root(&self, aggregator_index: ValidatorIndex, selection_proof: Signature) -> Root {
        (self.shape.codec().proof_root)(&self.ssz.0, aggregator_index, selection_proof)
    }
}

impl SignedAggregate {
    /// The beacon API's JSON of the signed aggregate.
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "message": {
                "aggregator_index": self.aggregator_index,
                self.aggregate.shape.field(): self.aggregate.to_json(),
                "selection_proof": self.selection_proof,
            },
            "signature": self.signature,
        })
    }
}

impl AggregateSet {
    /// One aggregate for each place, those with most participants where there are several.
    ///
    /// - Errors: `TooMany`.
    pub fn of(aggregates: impl IntoIterator<Item = Aggregate>) -> Result<Self, AggregateError> {
        let mut aggregates: Vec<Aggregate> = aggregates.into_iter().collect();
        aggregates.sort_by_key(|one| (one.place, std::cmp::Reverse(one.participants)));
        aggregates.dedup_by_key(|one| one.place);
        let have = aggregates.len();
        if have > AGGREGATES_MAX { Err(AggregateError::TooMany { have }) } else { Ok(Self { aggregates }) }
    }

    /// Reads what [`AggregateSet::to_value`] wrote; strict.
    pub fn from_value(shape: AggregateShape, value: &[u8]) -> Result<Self, AggregateError> {
        let parts = Vec::<Value>::from_ssz_bytes(value).map_err(|error| shape.ssz_error(&error))?;
        if parts.len() > AGGREGATES_MAX {
            return Err(AggregateError::TooMany { have: parts.len() });
        }
        let aggregates: Vec<_> = parts.iter().map(|part| shape.decode(&part.0)).collect::<Result<_, _>>()?;
        let ordered = aggregates.is_sorted_by(|a: &Aggregate, b| a.place < b.place);
        if ordered { Ok(Self { aggregates }) } else { Err(AggregateError::Order) }
    }

    /// The form in which operators send it to each other: SSZ of a list.
    pub fn to_value(&self) -> Value {
        let parts: Vec<Value> = self.aggregates.iter().map(|one| one.ssz.clone()).collect();
        parts.as_ssz_bytes().into()
    }

    /// What a value hashes to: SHA-256 of its bytes.
    pub fn hash(value: &Value) -> Root {
        Root(Sha256::digest(&value.0).into())
    }

    /// In order of place.
    pub fn aggregates(&self) -> &[Aggregate] {
        &self.aggregates
    }

    /// The aggregate of a committee or subcommittee.
    pub fn at(&self, place: u64) -> Option<&Aggregate> {
        self.aggregates.iter().find(|one| one.place == place)
    }
}

/// What a container is asked.
trait Body: Ssz + Serialize + DeserializeOwned + Clone {
    fn place(&self) -> Result<u64, AggregateError>;
    fn slot(&self) -> Slot;
    fn subject(&self) -> Root;
    fn participants(&self) -> usize;
}

impl Body for Attestation {
    fn place(&self) -> Result<u64, AggregateError> {
        Ok(self.data.index)
    }
    fn slot(&self) -> Slot {
        self.data.slot
    }
    fn subject(&self) -> Root {
        Root::of(&self.data)
    }
    fn participants(&self) -> usize {
        self.aggregation_bits.num_set_bits()
    }
}

impl<P: Sizes> Body for AttestationElectra<P> {
    fn place(&self) -> Result<u64, AggregateError> {
        let mut places = (0u64..).zip(self.committee_bits.iter()).filter(|(_, bit)| *bit);
        match (places.next(), places.next()) {
            (Some((place, _)), None) => Ok(place),
            _ => Err(AggregateError::Committees(self.committee_bits.num_set_bits())),
        }
    }
    fn slot(&self) -> Slot {
        self.data.slot
    }
    fn subject(&self) -> Root {
        Root::of(&self.data)
    }
    fn participants(&self) -> usize {
        self.aggregation_bits.num_set_bits()
    }
}

impl<P: Sizes> Body for SyncCommitteeContribution<P> {
    fn place(&self) -> Result<u64, AggregateError> {
        Ok(self.subcommittee_index)
    }
    fn slot(&self) -> Slot {
        self.slot
    }
    fn subject(&self) -> Root {
        self.beacon_block_root
    }
    fn participants(&self) -> usize {
        self.aggregation_bits.num_set_bits()
    }
}

/// What the containers of one shape can do.
struct Codec {
    decode: fn(AggregateShape, &[u8]) -> Result<Aggregate, AggregateError>,
    from_json: fn(AggregateShape, &serde_json::Value) -> Result<Aggregate, AggregateError>,
    to_json: fn(&[u8]) -> serde_json::Value,
    proof_root: fn(&[u8], ValidatorIndex, Signature) -> Root,
    signed_list: fn(AggregateShape, &[u8]) -> Result<Vec<SignedAggregate>, AggregateError>,
}

impl Codec {
    const fn of<B: Body>() -> Self {
        Self {
            decode: decode::<B>,
            from_json: from_json::<B>,
            to_json: to_json::<B>,
            proof_root: proof_root::<B>,
            signed_list: signed_list::<B>,
        }
    }
}

fn describe<B: Body>(shape: AggregateShape, body: &B) -> Result<Aggregate, AggregateError> {
    Ok(Aggregate {
        shape,
        place: body.place()?,
        slot: body.slot(),
        subject: body.subject(),
        participants: body.participants(),
        ssz: body.as_ssz_bytes().into(),
    })
}

fn decode<B: Body>(shape: AggregateShape, ssz: &[u8]) -> Result<Aggregate, AggregateError> {
    let body = B::from_ssz_bytes(ssz).map_err(|error| shape.ssz_error(&error))?;
    describe(shape, &body)
}

fn from_json<B: Body>(shape: AggregateShape, json: &serde_json::Value) -> Result<Aggregate, AggregateError> {
    let body = B::deserialize(json).map_err(|error| shape.json_error(error))?;
    describe(shape, &body)
}

/// The container of an aggregate's own bytes.
fn read<B: Body>(ssz: &[u8]) -> B {
    B::from_ssz_bytes(ssz).expect("an aggregate is made only from bytes that were read")
}

fn to_json<B: Body>(ssz: &[u8]) -> serde_json::Value {
    serde_json::to_value(read::<B>(ssz)).expect("our shapes have string keys and do not fail")
}

fn proof_root<B: Body>(ssz: &[u8], aggregator_index: ValidatorIndex, selection_proof: Signature) -> Root {
    // A contribution's container has the same fields under other names, so the same root.
    Root::of(&AggregateAndProof { aggregator_index, aggregate: read::<B>(ssz), selection_proof })
}

fn signed_list<B: Body>(shape: AggregateShape, ssz: &[u8]) -> Result<Vec<SignedAggregate>, AggregateError> {
    let list =
        Vec::<SignedAggregateAndProof<B>>::from_ssz_bytes(ssz).map_err(|error| shape.ssz_error(&error))?;
    let signed = |one: SignedAggregateAndProof<B>| {
        Ok(SignedAggregate {
            aggregator_index: one.message.aggregator_index,
            aggregate: describe(shape, &one.message.aggregate)?,
            selection_proof: one.message.selection_proof,
            signature: one.signature,
        })
    };
    list.into_iter().map(signed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AttestationData;
    use crate::sync::{ContributionAndProof, SignedContributionAndProof};
    use ssz::{BitList, BitVector};

    const ELECTRA: AggregateShape =
        AggregateShape::Attestation { preset: Preset::Minimal, fork: Fork::Electra };
    const SYNC: AggregateShape = AggregateShape::Contribution { preset: Preset::Minimal };

    fn attestation(place: usize, voters: usize) -> AttestationElectra<Minimal> {
        let mut aggregation_bits = BitList::with_capacity(8).unwrap();
        (0..voters).for_each(|at| aggregation_bits.set(at, true).unwrap());
        let mut committee_bits = BitVector::new();
        committee_bits.set(place, true).unwrap();
        let data = AttestationData { slot: Slot(9), ..Default::default() };
        AttestationElectra { aggregation_bits, data, signature: Signature([7; 96]), committee_bits }
    }

    fn aggregate(place: usize, voters: usize) -> Aggregate {
        ELECTRA.decode(&attestation(place, voters).as_ssz_bytes()).unwrap()
    }

    fn contribution() -> SyncCommitteeContribution<Minimal> {
        SyncCommitteeContribution { slot: Slot(9), subcommittee_index: 3, ..Default::default() }
    }

    #[test]
    fn an_aggregate_reads_back_from_ssz_and_json() {
        let one = aggregate(2, 3);
        assert_eq!((one.place, one.slot, one.participants), (2, Slot(9), 3));
        assert_eq!(ELECTRA.from_json(&one.to_json()).unwrap(), one);
        let sync = SYNC.decode(&contribution().as_ssz_bytes()).unwrap();
        assert_eq!((sync.place, sync.subject), (3, Root::ZERO));
        assert_eq!(SYNC.from_json(&sync.to_json()).unwrap(), sync);
    }

    #[test]
    fn what_is_signed_is_the_specification_s_container() {
        let (index, proof) = (ValidatorIndex(5), Signature([1; 96]));
        let message = AggregateAndProof {
            aggregator_index: index,
            aggregate: attestation(1, 2),
            selection_proof: proof,
        };
        assert_eq!(aggregate(1, 2).proof_root(index, proof), Root::of(&message));
        let message = ContributionAndProof {
            aggregator_index: index,
            contribution: contribution(),
            selection_proof: proof,
        };
        let sync = SYNC.decode(&contribution().as_ssz_bytes()).unwrap();
        assert_eq!(sync.proof_root(index, proof), Root::of(&message));
    }

    #[test]
    fn signed_aggregates_read_from_json_and_ssz_alike() {
        let (aggregator_index, selection_proof) = (ValidatorIndex(5), Signature([1; 96]));
        let message =
            ContributionAndProof { aggregator_index, contribution: contribution(), selection_proof };
        let signed = SignedContributionAndProof { message, signature: Signature([2; 96]) };
        let from_json = SYNC.signed_from_json(&serde_json::to_value(&signed).unwrap()).unwrap();
        let from_ssz = SYNC.signed_list_from_ssz(&vec![signed.clone()].as_ssz_bytes()).unwrap();
        assert_eq!(from_ssz.first(), Some(&from_json));
        assert_eq!(from_json.to_json(), serde_json::to_value(&signed).unwrap());
    }

    #[test]
    fn a_set_has_one_encoding_and_each_place_once() {
        let set = AggregateSet::of([aggregate(3, 1), aggregate(0, 2), aggregate(3, 4)]).unwrap();
        assert_eq!(set.at(3).unwrap().participants, 4, "the fullest of a place");
        assert_eq!(set.aggregates().len(), 2);
        let value = set.to_value();
        assert_eq!(AggregateSet::from_value(ELECTRA, &value.0).unwrap(), set);
        let twice: Value = vec![aggregate(1, 1).ssz, aggregate(1, 2).ssz].as_ssz_bytes().into();
        assert_eq!(AggregateSet::from_value(ELECTRA, &twice.0), Err(AggregateError::Order));
        assert!(matches!(AggregateSet::from_value(SYNC, &value.0), Err(AggregateError::Ssz { .. })));
    }

    #[test]
    fn an_aggregate_of_two_committees_is_refused() {
        let mut both = attestation(1, 2);
        both.committee_bits.set(2, true).unwrap();
        assert_eq!(ELECTRA.decode(&both.as_ssz_bytes()), Err(AggregateError::Committees(2)));
        both.committee_bits = BitVector::default();
        assert_eq!(ELECTRA.decode(&both.as_ssz_bytes()), Err(AggregateError::Committees(0)));
    }
}
