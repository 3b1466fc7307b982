//! Attestations: the vote that the cluster agreed on goes out, the client's halves come in.

use super::errors::{ApiError, Reply};
use super::negotiate::{Accept, Data, answer};
use super::request::{Body, Parameters, Parts, consensus_version};
use super::{Desk, Duties, Shared, Upstream};
use axum::extract::State;
use axum::http::Uri;
use serde_json::Map;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use symbolon_core::{Answer, Ask, HalfAttestation};
use tokio::sync::Mutex;
use types::attestation::{Attestation, SingleAttestation};
use types::duty::AttesterDuty;
use types::{Epoch, Fork, Slot};

/// Epochs whose committees are kept: previous, current and next, and one for a client that is behind.
const EPOCHS_MAX: usize = 4;

/// Our validators' committees, epoch by epoch, oldest question first.
#[derive(Debug, Default)]
pub(crate) struct Committees(Mutex<VecDeque<(Epoch, Arc<Vec<AttesterDuty>>)>>);

/// `GET attestation_data`.
pub(crate) async fn data<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    accept: Accept,
    uri: Uri,
) -> Reply {
    let wanted = accept.either()?;
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
        Answer::Vote(vote) => answer(Map::new(), Data::of(wanted, &vote.data(index))?),
        Answer::Refused(refusal) => Err(refusal.into()),
        other => Err(ApiError::unasked(&other)),
    }
}

/// `POST pool/attestations`: each is handed to core exactly as signed.
pub(crate) async fn attestations<D: Duties, U: Upstream>(State(desk): Shared<D, U>, body: Body) -> Reply {
    let fork = consensus_version(&body.headers)?;
    let halves = if fork >= Fork::Electra {
        desk.singles(body.parts("a SingleAttestation")?).await
    } else {
        desk.members(body.parts("an Attestation")?).await
    };
    let of_slot = |half: Result<HalfAttestation, ApiError>| {
        let half = half?;
        let slot = half.data.slot;
        desk.ensure_fork(fork, slot).map(|()| (slot, half))
    };
    let parts = halves.into_iter().map(of_slot).collect();
    desk.hand_in(parts, |slot, halves| Ask::Attestations { slot, halves }).await
}

impl<D: Duties, U: Upstream> Desk<D, U> {
    /// From Electra on: each names its attester.
    async fn singles(&self, singles: Parts<SingleAttestation>) -> Parts<HalfAttestation> {
        let indices: Vec<_> = singles.iter().flatten().map(|single| single.attester_index).collect();
        let known = self.look_up(&indices).await;
        let half = |single: Result<SingleAttestation, ApiError>| {
            let SingleAttestation { attester_index, data, signature, .. } = single?;
            let validator = known.seat(attester_index)?.number;
            Ok(HalfAttestation { validator, data, half: signature })
        };
        singles.into_iter().map(half).collect()
    }

    /// Before Electra: each names its attester by committee and place.
    async fn members(&self, attestations: Parts<Attestation>) -> Parts<HalfAttestation> {
        let mut asked = BTreeSet::new();
        let mut halves = Vec::with_capacity(attestations.len());
        for attestation in attestations {
            halves.push(match attestation {
                Ok(attestation) => self.member(attestation, &mut asked).await,
                Err(error) => Err(error),
            });
        }
        halves
    }

    /// `asked`: epochs that the beacon nodes were asked about for this request; they are asked once.
    async fn member(
        &self,
        attestation: Attestation,
        asked: &mut BTreeSet<Epoch>,
    ) -> Result<HalfAttestation, ApiError> {
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
