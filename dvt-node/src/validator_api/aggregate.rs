//! Aggregates of attestations, and contributions of sync committees: the agreed ones go out, the client's halves over
//! them come in.
//!
//! A question that the cluster has no answer to is passed on: nobody of ours aggregates there, or the client is not in
//! distributed mode and will find that what it signs is dropped, but keeps working.

use super::errors::{ApiError, Reply};
use super::negotiate::{Accept, Data, Encoding, answer};
use super::request::{Body, Parameters, Parts, consensus_version};
use super::{Desk, Dropped, Duties, Shared, Upstream, list, proxy};
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde_json::{Map, Value};
use std::sync::Arc;
use symbolon_core::{Answer, Ask, HalfAggregate, Refusal};
use types::aggregate::{Aggregate, AggregateError, AggregateShape, SignedAggregate};
use types::selection::SUBCOMMITTEES;
use types::wire::{Item, Kind};
use types::{Root, Slot};

/// `GET aggregate_attestation`.
pub(crate) async fn attestation<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    accept: Accept,
    uri: Uri,
    headers: HeaderMap,
) -> Reply {
    let query = Parameters::of(&uri)?;
    let ask = Ask::Aggregate {
        kind: Kind::Aggregate,
        slot: Slot(query.need("slot")?),
        place: query.need("committee_index")?,
        subject: query.need::<Root>("attestation_data_root")?,
    };
    serve(desk, ask, accept.either()?, uri, headers).await
}

/// `GET sync_committee_contribution`.
pub(crate) async fn contribution<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    accept: Accept,
    uri: Uri,
    headers: HeaderMap,
) -> Reply {
    let query = Parameters::of(&uri)?;
    let ask = Ask::Aggregate {
        kind: Kind::Contribute,
        slot: Slot(query.need("slot")?),
        place: query.need("subcommittee_index")?,
        subject: query.need::<Root>("beacon_block_root")?,
    };
    serve(desk, ask, accept.either()?, uri, headers).await
}

async fn serve<D: Duties, U: Upstream>(
    desk: Arc<Desk<D, U>>,
    ask: Ask,
    wanted: Encoding,
    uri: Uri,
    headers: HeaderMap,
) -> Reply {
    match desk.ask(ask).await? {
        Answer::Aggregate(aggregate) => written(&aggregate, wanted),
        Answer::Refused(Refusal::NotDistributed) => {
            desk.warn_not_distributed();
            proxy::get_upstream(State(desk), uri, headers).await
        }
        Answer::Refused(Refusal::NoDuty(_) | Refusal::NoAggregate { .. }) => {
            proxy::get_upstream(State(desk), uri, headers).await
        }
        Answer::Refused(refusal) => Err(refusal.into()),
        other => Err(ApiError::unasked(&other)),
    }
}

fn written(aggregate: &Aggregate, wanted: Encoding) -> Reply {
    let mut meta = Map::new();
    if let AggregateShape::Attestation { fork, .. } = aggregate.shape {
        meta.insert("version".to_owned(), Value::String(fork.to_string()));
    }
    let data = match wanted {
        Encoding::Json => Data::json(&aggregate.to_json())?,
        Encoding::Ssz => Data::Ssz(aggregate.ssz.0.to_vec()),
    };
    answer(meta, data)
}

/// `POST aggregate_and_proofs`.
pub(crate) async fn aggregate_and_proofs<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    body: Body,
) -> Reply {
    let fork = consensus_version(&body.headers)?;
    let shape = AggregateShape::Attestation { preset: desk.spec.preset, fork };
    let of_fork = |signed: Result<SignedAggregate, ApiError>| {
        let signed = signed?;
        desk.ensure_fork(fork, signed.aggregate.slot).map(|()| signed)
    };
    let signed = read(shape, &body)?.into_iter().map(of_fork).collect();
    desk.take(Kind::Aggregate, Dropped::Aggregates, signed).await
}

/// `POST contribution_and_proofs`.
pub(crate) async fn contribution_and_proofs<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    body: Body,
) -> Reply {
    let shape = AggregateShape::Contribution { preset: desk.spec.preset };
    desk.take(Kind::Contribute, Dropped::Contributions, read(shape, &body)?).await
}

/// Signed aggregates as they were sent, in JSON each by itself.
fn read(shape: AggregateShape, body: &Body) -> Result<Parts<SignedAggregate>, ApiError> {
    let (bad, name) = (|error: AggregateError| ApiError::bad(error), "a signed aggregate");
    match body.encoding {
        Encoding::Json => {
            let read = |item| shape.signed_from_json(&list::read::<Value>(item, name)?).map_err(bad);
            Ok(body.items()?.into_iter().map(read).collect())
        }
        Encoding::Ssz => {
            let signed = shape.signed_list_from_ssz(&body.bytes).map_err(bad)?;
            list::ensure_few(signed.len())?;
            Ok(signed.into_iter().map(Ok).collect())
        }
    }
}

impl<D: Duties, U: Upstream> Desk<D, U> {
    /// Hands signed aggregates to core.
    async fn take(&self, kind: Kind, what: Dropped, signed: Parts<SignedAggregate>) -> Reply {
        let indices: Vec<_> = signed.iter().flatten().map(|one| one.aggregator_index).collect();
        let known = self.look_up(&indices).await;
        let half = |signed: Result<SignedAggregate, ApiError>| {
            let signed = signed?;
            let validator = known.seat(signed.aggregator_index)?.number;
            let part = match kind {
                Kind::Contribute => subcommittee(signed.aggregate.place)?,
                _ => 0,
            };
            Ok((signed.aggregate.slot, HalfAggregate { item: Item { validator, part }, signed }))
        };
        let parts = signed.into_iter().map(half).collect();
        let ask = |slot, halves| Ask::SignedAggregates { kind, slot, halves };
        self.hand_in_aggregates(what, parts, ask).await
    }
}

/// A subcommittee as operators name it to each other.
pub(crate) fn subcommittee(index: u64) -> Result<u8, ApiError> {
    let part = u8::try_from(index).ok().filter(|part| u64::from(*part) < SUBCOMMITTEES);
    part.ok_or_else(|| {
        ApiError::bad(format_args!("subcommittee {index} does not exist, there are {SUBCOMMITTEES}"))
    })
}
