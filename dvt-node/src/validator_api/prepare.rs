//! What the client tells ahead of its duties: subscriptions, which the beacon nodes need, and preparations, which this
//! node makes itself.

use super::errors::{ApiError, Reply};
use super::proxy::{self, forward_json};
use super::request::Body;
use super::shapes::{CommitteeSubscription, ProposerPreparation, SyncSubscription};
use super::{Desk, Duties, Shared, Upstream};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::IntoResponse as _;
use serde::Serialize;
use types::builder::SignedValidatorRegistrationV1;

/// `POST beacon_committee_subscriptions`: indices are the chain's, so it is passed on as it is.
pub(crate) async fn committees<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    uri: Uri,
    body: Body,
) -> Reply {
    let subscriptions = body.list::<CommitteeSubscription>("a BeaconCommitteeSubscription")?;
    desk.pass_on(&uri, &subscriptions).await
}

/// `POST sync_committee_subscriptions`: the same.
pub(crate) async fn subcommittees<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    uri: Uri,
    body: Body,
) -> Reply {
    let subscriptions = body.list::<SyncSubscription>("a SyncCommitteeSubscription")?;
    desk.pass_on(&uri, &subscriptions).await
}

/// `POST prepare_beacon_proposer`: the node tells its beacon nodes whom the cluster's blocks pay, as the lock says it.
pub(crate) async fn proposers(body: Body) -> Reply {
    body.list::<ProposerPreparation>("a proposer's preparation")?;
    Ok(StatusCode::OK.into_response())
}

/// `POST register_validator`: registrations were signed in the ceremony; half of a share signs none.
pub(crate) async fn registrations(body: Body) -> Reply {
    body.list::<SignedValidatorRegistrationV1>("a SignedValidatorRegistrationV1")?;
    Ok(StatusCode::OK.into_response())
}

impl<D: Duties, U: Upstream> Desk<D, U> {
    /// Passes a list on in JSON, which every beacon node reads.
    async fn pass_on(&self, uri: &Uri, list: &impl Serialize) -> Reply {
        let path = proxy::plain(uri.path())?.to_owned();
        let body = serde_json::to_vec(list).map_err(ApiError::internal)?;
        let answer = self.upstream.forward(forward_json(Method::POST, path, body.into())).await?;
        proxy::respond(answer)
    }
}
