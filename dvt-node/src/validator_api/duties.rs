//! What the client is told of its duties: the chain's, under the client's keys.

use super::errors::{ApiError, Reply};
use super::negotiate::{Accept, Data, answer};
use super::proxy::{self, forward_json};
use super::request::{Body, Segment, number};
use super::shapes::Liveness;
use super::validators::{Form, Keyed};
use super::{Desk, Duties, Shared, Upstream};
use axum::extract::State;
use axum::http::{Method, Uri};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};
use types::duty::{AttesterDuty, ProposerDuty, SyncDuty};
use types::{Epoch, ValidatorIndex};

/// `POST duties/attester/{epoch}`.
pub(crate) async fn attester<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    accept: Accept,
    epoch: Segment,
    body: Body,
) -> Reply {
    let epoch: Epoch = number("epoch", epoch)?;
    let path = format!("/eth/v1/validator/duties/attester/{epoch}");
    desk.duties_of(path, &body, Form::of::<AttesterDuty>(accept)?).await
}

/// `POST duties/sync/{epoch}`.
pub(crate) async fn sync<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    accept: Accept,
    epoch: Segment,
    body: Body,
) -> Reply {
    let epoch: Epoch = number("epoch", epoch)?;
    let path = format!("/eth/v1/validator/duties/sync/{epoch}");
    desk.duties_of(path, &body, Form::of::<SyncDuty>(accept)?).await
}

/// `GET duties/proposer/{epoch}`, v1 and v2: all of the chain's, with client keys for ours.
pub(crate) async fn proposer<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    accept: Accept,
    epoch: Segment,
    uri: Uri,
) -> Reply {
    let _: Epoch = number("epoch", epoch)?;
    let path = proxy::plain(uri.path())?.to_owned();
    let request = forward_json(Method::GET, path, Bytes::new());
    desk.forward_keyed(request, Form::of::<ProposerDuty>(accept)?).await
}

/// `POST liveness/{epoch}`: of ours nobody is live, or a restarting client would see its own cluster's signatures and
/// refuse to sign for ever. Of others it is what the beacon nodes say.
pub(crate) async fn liveness<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    accept: Accept,
    epoch: Segment,
    body: Body,
) -> Reply {
    let epoch: Epoch = number("epoch", epoch)?;
    let wanted = accept.either()?;
    let indices = indices(&body)?;
    let known = desk.look_up(&indices).await;
    let mut others = BTreeSet::new();
    for index in &indices {
        if !known.is_ours(*index)? {
            others.insert(*index);
        }
    }
    let seen = match desk.seen(epoch, &others).await? {
        Ok(seen) => seen,
        Err(other) => return Ok(other),
    };
    let live = |index: &ValidatorIndex| {
        let is_live = if others.contains(index) { *seen.get(index)? } else { false };
        Some(Liveness { index: *index, is_live })
    };
    let data: Vec<_> = indices.iter().filter_map(live).collect();
    answer(Map::new(), Data::of(wanted, &data)?)
}

impl<D: Duties, U: Upstream> Desk<D, U> {
    /// The duties of validators of ours.
    async fn duties_of(&self, path: String, body: &Body, form: Form) -> Reply {
        let indices = indices(body)?;
        let known = self.look_up(&indices).await;
        for index in &indices {
            known.seat(*index)?;
        }
        let request = forward_json(Method::POST, path, json!(indices).to_string().into());
        self.forward_keyed(request, form).await
    }

    /// Which of these the beacon nodes have seen in an epoch; or what they answer instead, to be passed on.
    async fn seen(
        &self,
        epoch: Epoch,
        indices: &BTreeSet<ValidatorIndex>,
    ) -> Result<Result<BTreeMap<ValidatorIndex, bool>, Response>, ApiError> {
        if indices.is_empty() {
            return Ok(Ok(BTreeMap::new()));
        }
        let path = format!("/eth/v1/validator/liveness/{epoch}");
        let request = forward_json(Method::POST, path, json!(indices).to_string().into());
        match self.ask_keyed(request).await? {
            Keyed::Other(response) => Ok(Err(response)),
            Keyed::Told { data, .. } => match serde_json::from_str::<Vec<Liveness>>(data.get()) {
                Ok(seen) => Ok(Ok(seen.into_iter().map(|one| (one.index, one.is_live)).collect())),
                Err(error) => Err(ApiError::bad_gateway(format_args!(
                    "the beacon node's liveness makes no sense: {error}"
                ))),
            },
        }
    }
}

/// A list of validator indices.
fn indices(body: &Body) -> Result<Vec<ValidatorIndex>, ApiError> {
    body.list("a validator index")
}
