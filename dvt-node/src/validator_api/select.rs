//! Selection proofs: the client's halves come in, the validators' own proofs go out, as far as they combine.
//!
//! A client in distributed mode asks here who aggregates: in the slot itself, one slot ahead, or for an epoch ahead. Core
//! answers each slot when its proofs have combined, or with those that have when they are needed.

use super::aggregate::subcommittee;
use super::errors::{ApiError, Failure, Reply};
use super::negotiate::{Accept, Data, answer};
use super::parts::BySlot;
use super::request::Body;
use super::shapes::{CommitteeSelection, SyncSelection};
use super::{Desk, Duties, Shared, Upstream};
use axum::extract::State;
use futures::future::join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Map;
use symbolon_core::{Answer, Ask, HalfSelection};
use types::wire::{Item, Kind};
use types::{Signature, Slot, ValidatorIndex, ValidatorNo};

/// A selection proof as clients send it: of an attester, or of a sync committee member.
pub(crate) trait Selection:
    Clone + Send + Sync + Serialize + DeserializeOwned + ssz::Encode + ssz::Decode + 'static
{
    /// What it is called, with its article.
    const NAME: &str;
    /// What operators call it.
    const KIND: Kind;
    /// Whose.
    fn index(&self) -> ValidatorIndex;
    /// For which slot.
    fn slot(&self) -> Slot;
    /// Which signature of that slot. `validator`: whose.
    fn item(&self, validator: ValidatorNo) -> Result<Item, ApiError>;
    /// The proof.
    fn proof(&mut self) -> &mut Signature;
}

impl Selection for CommitteeSelection {
    const NAME: &str = "a BeaconCommitteeSelection";
    const KIND: Kind = Kind::Selection;

    fn index(&self) -> ValidatorIndex {
        self.validator_index
    }

    fn slot(&self) -> Slot {
        self.slot
    }

    fn item(&self, validator: ValidatorNo) -> Result<Item, ApiError> {
        Ok(Item::of(validator))
    }

    fn proof(&mut self) -> &mut Signature {
        &mut self.selection_proof
    }
}

impl Selection for SyncSelection {
    const NAME: &str = "a SyncCommitteeSelection";
    const KIND: Kind = Kind::SyncSelection;

    fn index(&self) -> ValidatorIndex {
        self.validator_index
    }

    fn slot(&self) -> Slot {
        self.slot
    }

    fn item(&self, validator: ValidatorNo) -> Result<Item, ApiError> {
        Ok(Item { validator, part: subcommittee(self.subcommittee_index)? })
    }

    fn proof(&mut self) -> &mut Signature {
        &mut self.selection_proof
    }
}

/// A selection and what core is told of it.
type Asked<T> = (T, HalfSelection);

/// `POST beacon_committee_selections`, `POST sync_committee_selections`.
///
/// - Answers those that have combined, in the request's order; errors only if none has.
pub(crate) async fn combine<T: Selection, D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    accept: Accept,
    body: Body,
) -> Reply {
    let wanted = accept.either()?;
    let BySlot { slots, mut failures } = desk.selections::<T>(&body).await?;
    let asked = slots.into_iter().map(|(slot, selections)| desk.combine_slot(slot, selections));
    let mut combined = Vec::new();
    for slot in join_all(asked).await {
        match slot {
            Ok(proven) => combined.extend(proven),
            Err(refused) => failures.extend(refused),
        }
    }
    if combined.is_empty() && !failures.is_empty() {
        return Err(ApiError::parts(failures));
    }
    for Failure { index, message, .. } in failures {
        tracing::debug!(place = index, message, kind = T::KIND.name(), "a selection proof did not combine");
    }
    combined.sort_by_key(|(place, _)| *place);
    let combined: Vec<T> = combined.into_iter().map(|(_, selection)| selection).collect();
    answer(Map::new(), Data::of(wanted, &combined)?)
}

impl<D: Duties, U: Upstream> Desk<D, U> {
    /// Reads what was sent, and finds whose it is.
    async fn selections<T: Selection>(&self, body: &Body) -> Result<BySlot<Asked<T>>, ApiError> {
        let selections = body.parts::<T>(T::NAME)?;
        let indices: Vec<_> = selections.iter().flatten().map(Selection::index).collect();
        let known = self.look_up(&indices).await;
        let half = |selection: Result<T, ApiError>| {
            let mut selection = selection?;
            let item = selection.item(known.seat(selection.index())?.number)?;
            let half = HalfSelection { item, half: *selection.proof() };
            Ok((selection.slot(), (selection, half)))
        };
        BySlot::of(selections.into_iter().map(half).collect())
    }

    /// Has the proofs of one slot combined; gives the selections that have been, with the validators' own proofs, or
    /// why there are none. Each goes with its place in the request.
    async fn combine_slot<T: Selection>(
        &self,
        slot: Slot,
        selections: Vec<(usize, Asked<T>)>,
    ) -> Result<Vec<(usize, T)>, Vec<Failure>> {
        let (kind, halves) = (T::KIND, selections.iter().map(|(_, (_, half))| *half).collect());
        let failed = |position: usize, error: ApiError| Some(Failure::of(selections.get(position)?.0, error));
        let all = |error: ApiError| {
            Err((0..selections.len()).filter_map(|position| failed(position, error.clone())).collect())
        };
        match self.ask(Ask::Selections { kind, slot, halves }).await {
            Ok(Answer::Selections(proofs)) => {
                let proven = |(position, proof): (usize, Signature)| {
                    let (place, (selection, _)) = selections.get(position)?;
                    let mut selection = selection.clone();
                    *selection.proof() = proof;
                    Some((*place, selection))
                };
                Ok(proofs.into_iter().filter_map(proven).collect())
            }
            Ok(Answer::PartlyRefused(refused)) => Err(refused
                .into_iter()
                .filter_map(|(position, refusal)| failed(position, refusal.into()))
                .collect()),
            Ok(Answer::Refused(refusal)) => all(refusal.into()),
            Ok(other) => all(ApiError::unasked(&other)),
            Err(error) => all(error),
        }
    }
}
