//! Sync committees: the head that the cluster votes for goes out, the client's halves over it come in.

use super::errors::{ApiError, Reply};
use super::negotiate::{Accept, Data, Encoding, answer};
use super::request::Body;
use super::{Duties, Shared, Upstream, proxy};
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde_json::{Map, Value, json};
use symbolon_core::{Answer, Ask, HalfSyncMessage, Refusal};
use types::sync::SyncCommitteeMessage;

/// `GET blocks/head/root`: what sync committee members sign. Where none of ours is in this slot's committee, it is a
/// question like any other, and passed on.
pub(crate) async fn head_root<D: Duties, U: Upstream>(
    State(desk): Shared<D, U>,
    accept: Accept,
    uri: Uri,
    headers: HeaderMap,
) -> Reply {
    let Some(slot) = desk.spec.slot_at((desk.now)()) else {
        return proxy::get_upstream(State(desk), uri, headers).await;
    };
    let wanted = accept.either()?;
    let root = match desk.ask(Ask::HeadRoot { slot }).await? {
        Answer::HeadRoot(root) => root,
        Answer::Refused(Refusal::NoDuty(_)) => {
            return proxy::get_upstream(State(desk), uri, headers).await;
        }
        Answer::Refused(refusal) => return Err(refusal.into()),
        other => return Err(ApiError::unasked(&other)),
    };
    let told = |field: &str| (field.to_owned(), Value::Bool(false));
    let meta = Map::from_iter(["execution_optimistic", "finalized"].map(told));
    let data = match wanted {
        Encoding::Json => Data::json(&json!({ "root": root }))?,
        Encoding::Ssz => Data::Ssz(root.0.to_vec()),
    };
    answer(meta, data)
}

/// `POST pool/sync_committees`.
pub(crate) async fn messages<D: Duties, U: Upstream>(State(desk): Shared<D, U>, body: Body) -> Reply {
    let messages = body.parts::<SyncCommitteeMessage>("a SyncCommitteeMessage")?;
    let indices: Vec<_> = messages.iter().flatten().map(|message| message.validator_index).collect();
    let known = desk.look_up(&indices).await;
    let half = |message: Result<SyncCommitteeMessage, ApiError>| {
        let SyncCommitteeMessage { slot, beacon_block_root, validator_index, signature } = message?;
        let validator = known.seat(validator_index)?.number;
        Ok((slot, HalfSyncMessage { validator, beacon_block_root, half: signature }))
    };
    let parts = messages.into_iter().map(half).collect();
    desk.hand_in(parts, |slot, halves| Ask::SyncMessages { slot, halves }).await
}
