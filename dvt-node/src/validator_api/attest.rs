//! Attestations: the vote that the cluster agreed on goes out, the client's halves come in.

use super::errors::{ApiError, Failure, Reply};
use super::proxy;
use super::request::{JsonBody, Parameters, consensus_version};
use super::{Desk, Duties, Shared, Upstream};
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse as _;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use symbolon_core::{Answer, Ask, HalfAttestation};
use tokio::sync::Mutex;
use types::attestation::{Attestation, SingleAttestation};
use types::duty::AttesterDuty;
use types::{Epoch, Fork, Slot, ValidatorIndex};

/// Slots in one request: no block takes attestations older than the previous epoch, and a client sends one slot's.
const SLOTS_MAX: usize = 64;
/// Epochs whose committees are kept: previous, current and next, and one for a client that is behind.
const EPOCHS_MAX: usize = 4;

/// Our validators' committees, epoch by epoch, oldest question first.
#[derive(Debug, Default)]
pub(crate) struct Committees(Mutex<VecDeque<(Epoch, Arc<Vec<AttesterDuty>>)>>);

/// `GET attestation_data`.
pub(crate) async fn data<D: Duties, U: Upstream>(State(desk): Shared<D, U>, uri: Uri) -> Reply {
    let query = Parameters::of(&uri)?;
    let slot = Slot(query.need("slot")?);
    let before_electra = desk.spec.fork_at(desk.spec.epoch_of(slot)).fork < Fork::Electra;
    let index = if before_electra {
        query.need("committee_index")?
    } else {
        // Named by old clients; one vote is for all committees.
        query.get::<u64>("committee_index")?;
        0
    };
    match desk.ask(Ask::Vote { slot }).await? {
        Answer::Vote(vote) => Ok(proxy::json_reply(&json!({ "data": vote.data(index) }))),
        Answer::Refused(refusal) => Err(refusal.into()),
        other => Err(ApiError::unasked(&other)),
    }
}

/// `POST pool/attestations`: each is handed to core exactly as signed.
pub(crate) async fn attestations<D: Duties, U: Upstream>(State(desk): Shared<D, U>, body: JsonBody) -> Reply {
    let fork = consensus_version(&body.headers)?;
    let items = body.list()?;
    let read = if fork >= Fork::Electra { desk.singles(items).await } else { desk.members(items).await };
    let mut failures = Vec::new();
    let mut slots: BTreeMap<Slot, Vec<(usize, HalfAttestation)>> = BTreeMap::new();
    for (place, half) in read.into_iter().enumerate() {
        match half {
            Ok(half) => slots.entry(half.data.slot).or_default().push((place, half)),
            Err(error) => failures.push(Failure::of(place, error)),
        }
    }
    if slots.len() > SLOTS_MAX {
        return Err(ApiError::bad(format_args!("attestations of more than {SLOTS_MAX} slots at once")));
    }
    let asked = slots.into_iter().map(|(slot, halves)| desk.halves(slot, halves));
    failures.extend(futures::future::join_all(asked).await.into_iter().flatten());
    if failures.is_empty() { Ok(StatusCode::OK.into_response()) } else { Err(ApiError::parts(failures)) }
}

impl<D: Duties, U: Upstream> Desk<D, U> {
    /// Hands core the halves of one slot; gives those it refused.
    async fn halves(&self, slot: Slot, halves: Vec<(usize, HalfAttestation)>) -> Vec<Failure> {
        let (places, halves): (Vec<usize>, Vec<_>) = halves.into_iter().unzip();
        let all = |error: ApiError| {
            places.iter().map(|place| Failure::of(*place, error.clone())).collect::<Vec<_>>()
        };
        match self.ask(Ask::Attestations { slot, halves }).await {
            Ok(Answer::Accepted) => Vec::new(),
            Ok(Answer::PartlyRefused(refused)) => refused
                .into_iter()
                .filter_map(|(position, refusal)| Some(Failure::of(*places.get(position)?, refusal.into())))
                .collect(),
            Ok(Answer::Refused(refusal)) => all(refusal.into()),
            Ok(other) => all(ApiError::unasked(&other)),
            Err(error) => all(error),
        }
    }

    /// From Electra on: each names its attester.
    async fn singles(&self, items: Vec<Value>) -> Vec<Result<HalfAttestation, ApiError>> {
        let read = |item| {
            serde_json::from_value::<SingleAttestation>(item)
                .map_err(|error| ApiError::bad(format_args!("not a SingleAttestation: {error}")))
        };
        let singles: Vec<_> = items.into_iter().map(read).collect();
        let indices: Vec<_> = singles.iter().flatten().map(|single| single.attester_index).collect();
        let learned = self.seats.learn(&self.upstream, &indices).await;
        let half = |single: SingleAttestation| {
            let SingleAttestation { attester_index, data, signature, .. } = single;
            let Some(seat) = self.seats.by_index(attester_index) else {
                learned.clone()?;
                return Err(stranger(attester_index));
            };
            Ok(HalfAttestation { validator: seat.number, data, half: signature })
        };
        singles.into_iter().map(|single| single.and_then(half)).collect()
    }

    /// Before Electra: each names its attester by committee and place.
    async fn members(&self, items: Vec<Value>) -> Vec<Result<HalfAttestation, ApiError>> {
        let mut asked = BTreeSet::new();
        let mut halves = Vec::with_capacity(items.len());
        for item in items {
            halves.push(self.member(item, &mut asked).await);
        }
        halves
    }

    /// `asked`: epochs that the beacon nodes were asked about for this request; they are asked once.
    async fn member(&self, item: Value, asked: &mut BTreeSet<Epoch>) -> Result<HalfAttestation, ApiError> {
        let attestation: Attestation = serde_json::from_value(item)
            .map_err(|error| ApiError::bad(format_args!("not an Attestation: {error}")))?;
        let Attestation { aggregation_bits: bits, data, signature } = attestation;
        let place = bits.iter().position(|bit| bit);
        let place = place.filter(|_| bits.num_set_bits() == 1).map(|place| place as u64);
        let Some(place) = place else {
            return Err(ApiError::bad("exactly one aggregation bit has to be set, the attester's own"));
        };
        let here = |duty: &&AttesterDuty| {
            let AttesterDuty { slot, committee_index, validator_committee_index, committee_length, .. } =
                duty;
            (*slot, *committee_index, *validator_committee_index, *committee_length)
                == (data.slot, data.index, place, bits.len() as u64)
        };
        let duty = self.find_duty(self.spec.epoch_of(data.slot), here, asked).await?;
        let seat = duty.and_then(|duty| self.seats.by_group(&duty.pubkey));
        let Some(seat) = seat else {
            return Err(ApiError::bad(format_args!(
                "place {place} of {} in committee {} of slot {} is none of this cluster's validators'",
                bits.len(),
                data.index,
                data.slot
            )));
        };
        Ok(HalfAttestation { validator: seat.number, data, half: signature })
    }

    /// Looks among the committees that are kept; the beacon nodes are asked where that finds nothing, for a
    /// reorganisation may have changed them.
    async fn find_duty(
        &self,
        epoch: Epoch,
        here: impl Fn(&&AttesterDuty) -> bool,
        asked: &mut BTreeSet<Epoch>,
    ) -> Result<Option<AttesterDuty>, ApiError> {
        let find = |duties: &[AttesterDuty]| duties.iter().find(&here).cloned();
        let mut kept = self.committees.0.lock().await;
        let known = kept.iter().find(|(of, _)| *of == epoch).and_then(|(_, duties)| find(duties));
        if known.is_some() || !asked.insert(epoch) {
            return Ok(known);
        }
        self.seats.learn_all(&self.upstream).await?;
        let duties = self.upstream.attester_duties(epoch, &self.seats.indices()).await?;
        let found = find(&duties);
        kept.retain(|(of, _)| *of != epoch);
        if kept.len() == EPOCHS_MAX {
            kept.pop_front();
        }
        kept.push_back((epoch, Arc::new(duties)));
        Ok(found)
    }
}

fn stranger(index: ValidatorIndex) -> ApiError {
    ApiError::bad(format_args!("validator index {index} is none of this cluster's"))
}
