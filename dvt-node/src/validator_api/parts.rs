//! Requests of several parts: each part goes to core with the others of its slot, and is taken or refused by itself.

use super::errors::{ApiError, Failure, Reply};
use super::request::Parts;
use super::{Desk, Dropped, Duties, Noticed, Upstream};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use futures::future::join_all;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use symbolon_core::{Answer, Ask, Refusal};
use types::{Fork, Slot};

/// Slots in one request: no block takes attestations older than the previous epoch, and selection proofs are asked for
/// at most an epoch of 32 slots at a time.
pub(crate) const SLOTS_MAX: usize = 64;

/// What has been said in the log, so that it is said once.
#[derive(Debug, Default)]
pub(crate) struct Warned(AtomicBool);

/// The parts of a request by slot, each with its place in the request, and those that were refused already.
#[derive(Debug)]
pub(crate) struct BySlot<T> {
    pub(crate) slots: BTreeMap<Slot, Vec<(usize, T)>>,
    pub(crate) failures: Vec<Failure>,
}

/// A part that was not taken.
#[derive(Debug)]
pub(crate) struct NotTaken {
    place: usize,
    why: Why,
}

#[derive(Debug)]
enum Why {
    /// Core refused it.
    Refused(Refusal),
    /// Core could not be asked, or made no sense.
    Failed(ApiError),
}

impl NotTaken {
    fn failure(self) -> Failure {
        let error = match self.why {
            Why::Refused(refusal) => refusal.into(),
            Why::Failed(error) => error,
        };
        Failure::of(self.place, error)
    }
}

impl<T> BySlot<T> {
    /// - Errors: 400 for more than [`SLOTS_MAX`] slots.
    pub(crate) fn of(parts: Parts<(Slot, T)>) -> Result<Self, ApiError> {
        let mut sorted = Self { slots: BTreeMap::new(), failures: Vec::new() };
        for (place, part) in parts.into_iter().enumerate() {
            match part {
                Ok((slot, part)) => sorted.slots.entry(slot).or_default().push((place, part)),
                Err(error) => sorted.failures.push(Failure::of(place, error)),
            }
        }
        match sorted.slots.len() {
            0..=SLOTS_MAX => Ok(sorted),
            _ => Err(ApiError::bad(format_args!("parts of more than {SLOTS_MAX} slots in one request"))),
        }
    }
}

/// What a request of several parts is answered.
fn reply(failures: Vec<Failure>) -> Reply {
    if failures.is_empty() { Ok(StatusCode::OK.into_response()) } else { Err(ApiError::parts(failures)) }
}

impl<D: Duties, U: Upstream> Desk<D, U> {
    /// Hands the parts of all slots to core at once, and answers the client.
    pub(crate) async fn hand_in<T>(
        &self,
        parts: Parts<(Slot, T)>,
        ask: impl Fn(Slot, Vec<T>) -> Ask,
    ) -> Reply {
        let (mut failures, not_taken) = self.hand_over(parts, ask).await?;
        failures.extend(not_taken.into_iter().map(NotTaken::failure));
        reply(failures)
    }

    /// The same for aggregates. Those of a client outside distributed mode are acknowledged and dropped: nothing can be
    /// made of them, and an error would stop some clients.
    pub(crate) async fn hand_in_aggregates<T>(
        &self,
        what: Dropped,
        parts: Parts<(Slot, T)>,
        ask: impl Fn(Slot, Vec<T>) -> Ask,
    ) -> Reply {
        let (mut failures, not_taken) = self.hand_over(parts, ask).await?;
        let useless = |part: &NotTaken| matches!(part.why, Why::Refused(Refusal::NotDistributed));
        let (dropped, refused): (Vec<_>, Vec<_>) = not_taken.into_iter().partition(useless);
        for _ in &dropped {
            (self.notice)(Noticed::Dropped(what));
        }
        if !dropped.is_empty() {
            self.warn_not_distributed();
        }
        failures.extend(refused.into_iter().map(NotTaken::failure));
        reply(failures)
    }

    /// Says once in the log that the client is not in distributed mode.
    pub(crate) fn warn_not_distributed(&self) {
        if !self.warned.0.swap(true, Ordering::Relaxed) {
            tracing::warn!("{}", Refusal::NotDistributed);
        }
    }

    async fn hand_over<T>(
        &self,
        parts: Parts<(Slot, T)>,
        ask: impl Fn(Slot, Vec<T>) -> Ask,
    ) -> Result<(Vec<Failure>, Vec<NotTaken>), ApiError> {
        let BySlot { slots, failures } = BySlot::of(parts)?;
        let asked = slots.into_iter().map(|(slot, parts)| {
            let (places, parts): (Vec<usize>, Vec<T>) = parts.into_iter().unzip();
            self.hand_over_slot(places, ask(slot, parts))
        });
        Ok((failures, join_all(asked).await.into_iter().flatten().collect()))
    }

    /// Hands over the parts of one slot; gives those that were not taken. `places`: theirs in the request.
    async fn hand_over_slot(&self, places: Vec<usize>, ask: Ask) -> Vec<NotTaken> {
        let why = match self.ask(ask).await {
            Ok(Answer::Accepted) => return Vec::new(),
            Ok(Answer::PartlyRefused(refused)) => return at_places(&places, refused),
            Ok(Answer::Refused(refusal)) => {
                let refused = (0..places.len()).map(|position| (position, refusal.clone()));
                return at_places(&places, refused);
            }
            Ok(other) => ApiError::unasked(&other),
            Err(error) => error,
        };
        places.into_iter().map(|place| NotTaken { place, why: Why::Failed(why.clone()) }).collect()
    }

    /// Whether the fork that a request names is the one of its parts' slot.
    pub(crate) fn ensure_fork(&self, named: Fork, slot: Slot) -> Result<(), ApiError> {
        let fork = self.spec.fork_at(self.spec.epoch_of(slot)).fork;
        if fork == named {
            return Ok(());
        }
        Err(ApiError::bad(format_args!("Eth-Consensus-Version is {named}, but slot {slot} is of {fork}")))
    }
}

/// Refusals by position among the parts of a slot, at their places in the request.
fn at_places(places: &[usize], refused: impl IntoIterator<Item = (usize, Refusal)>) -> Vec<NotTaken> {
    let part =
        |(position, refusal)| Some(NotTaken { place: *places.get(position)?, why: Why::Refused(refusal) });
    refused.into_iter().filter_map(part).collect()
}
