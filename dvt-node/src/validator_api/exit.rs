//! Voluntary exits: what the client signs is this operator's approval. The chain hears of an exit when enough operators
//! have approved it.

use super::errors::{ApiError, Reply};
use super::request::JsonBody;
use super::{Duties, Shared, Upstream};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use symbolon_core::{Answer, Ask};
use types::operations::SignedVoluntaryExit;

/// `POST pool/voluntary_exits`.
pub(crate) async fn approve<D: Duties, U: Upstream>(State(desk): Shared<D, U>, body: JsonBody) -> Reply {
    let exit: SignedVoluntaryExit = body.read("a SignedVoluntaryExit")?;
    let index = exit.message.validator_index;
    let validator = desk.look_up(&[index]).await.seat(index)?.number;
    let ask = Ask::Exit { validator, index, epoch: exit.message.epoch, half: exit.signature };
    match desk.ask(ask).await? {
        Answer::Accepted => {
            tracing::info!(%validator, %index, epoch = %exit.message.epoch, "this operator approves an exit");
            Ok(StatusCode::OK.into_response())
        }
        answer => Err(ApiError::of_one(answer)),
    }
}
