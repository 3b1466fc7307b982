//! `/symbolon/v1/`: what operators approve beside duties, for the commands `dvt-node exit` and `dvt-node registration`.
//!
//! ```text
//! GET  exits            who approves which exit
//! GET  registrations    statements that wait, with who approves them, and the registrations that count
//! POST registrations    this operator's approval: a statement, and its client's half of each validator's registration
//! ```
//!
//! An exit is approved where a validator client hands one in. Validators have their numbers in the lock here.

use super::errors::{ApiError, Failure, Reply};
use super::request::JsonBody;
use super::{Desk, Duties, Shared, Upstream};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use symbolon_core::approve::Approvals;
use symbolon_core::{Answer, Ask};
use types::approval::{RegistrationStatement, Standing};
use types::{Epoch, Root, Signature, ValidatorNo};

/// Where exits are listed.
pub const EXITS: &str = "/symbolon/v1/exits";
/// Where registrations are listed and approved.
pub const REGISTRATIONS: &str = "/symbolon/v1/registrations";

/// Who they are that approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// This operator.
    pub operator: u8,
    /// How many there are.
    pub operators: usize,
    /// How many must approve.
    pub threshold: usize,
}

/// An exit that operators approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitEntry {
    /// Its number in the lock.
    pub validator: ValidatorNo,
    /// Not before this epoch.
    pub epoch: Epoch,
    /// Operators that approve.
    pub approved_by: Vec<u8>,
    /// Whether it is signed.
    pub signed: bool,
    /// Whether a beacon node has taken it.
    pub taken: bool,
}

/// The answer to [`EXITS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitList {
    /// Who approve.
    #[serde(flatten)]
    pub who: Who,
    /// What.
    pub exits: Vec<ExitEntry>,
}

/// A statement that waits for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementEntry {
    /// Its hash.
    pub id: Root,
    /// What it says.
    pub statement: RegistrationStatement,
    /// Operators that approve, and for how many of its validators that wait.
    pub approved_by: BTreeMap<u8, usize>,
}

/// A registration that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingEntry {
    /// Its number in the lock.
    pub validator: ValidatorNo,
    /// What counts.
    #[serde(flatten)]
    pub standing: Standing,
}

/// The answer to [`REGISTRATIONS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationList {
    /// Who approve.
    #[serde(flatten)]
    pub who: Who,
    /// What waits.
    pub statements: Vec<StatementEntry>,
    /// What counts.
    pub registered: Vec<StandingEntry>,
}

/// An approval of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// What is approved.
    pub statement: RegistrationStatement,
    /// The client's half signatures, one for each of its validators in order.
    pub halves: Vec<Signature>,
}

impl From<&Approvals> for Who {
    fn from(approvals: &Approvals) -> Self {
        let Approvals { me, operators, threshold, .. } = approvals;
        Self { operator: me.get(), operators: *operators, threshold: *threshold }
    }
}

impl From<Approvals> for ExitList {
    fn from(approvals: Approvals) -> Self {
        let who = Who::from(&approvals);
        let entry = |exit: symbolon_core::approve::ExitApproval| ExitEntry {
            validator: exit.validator,
            epoch: exit.epoch,
            approved_by: exit.operators.iter().map(|operator| operator.get()).collect(),
            signed: exit.signed,
            taken: exit.taken,
        };
        Self { who, exits: approvals.exits.into_iter().map(entry).collect() }
    }
}

impl From<Approvals> for RegistrationList {
    fn from(approvals: Approvals) -> Self {
        let who = Who::from(&approvals);
        let statement = |one: symbolon_core::approve::StatementApproval| StatementEntry {
            id: one.id,
            statement: one.statement,
            approved_by: one.operators.iter().map(|(operator, count)| (operator.get(), *count)).collect(),
        };
        let registered = approvals.registered.into_iter();
        let registered = registered.map(|(validator, standing)| StandingEntry { validator, standing });
        let statements = approvals.statements.into_iter().map(statement).collect();
        Self { who, statements, registered: registered.collect() }
    }
}

/// The routes.
pub(super) fn routes<D: Duties, U: Upstream>() -> Router<Arc<Desk<D, U>>> {
    Router::new().route(EXITS, get(exits)).route(REGISTRATIONS, get(registrations).post(approve))
}

async fn exits<D: Duties, U: Upstream>(State(desk): Shared<D, U>) -> Reply {
    Ok(data(&ExitList::from(desk.approvals().await?)))
}

async fn registrations<D: Duties, U: Upstream>(State(desk): Shared<D, U>) -> Reply {
    Ok(data(&RegistrationList::from(desk.approvals().await?)))
}

async fn approve<D: Duties, U: Upstream>(State(desk): Shared<D, U>, body: JsonBody) -> Reply {
    let Approval { statement, halves } = body.read("an approval of a statement")?;
    let id = statement.hash();
    match desk.ask(Ask::Register { statement, halves }).await? {
        Answer::Accepted => {
            tracing::info!(%id, "this operator approves a change of registrations");
            Ok(StatusCode::OK.into_response())
        }
        Answer::Refused(refusal) => Err(refusal.into()),
        Answer::PartlyRefused(refused) => {
            let failure =
                |(place, refusal): (usize, symbolon_core::Refusal)| Failure::of(place, refusal.into());
            Err(ApiError::parts(refused.into_iter().map(failure).collect()))
        }
        other => Err(ApiError::unasked(&other)),
    }
}

fn data(data: &impl Serialize) -> axum::response::Response {
    #[derive(Serialize)]
    struct Data<'a, T> {
        data: &'a T,
    }
    Json(Data { data }).into_response()
}

impl<D: Duties, U: Upstream> Desk<D, U> {
    async fn approvals(&self) -> Result<Approvals, ApiError> {
        match self.ask(Ask::Approvals).await? {
            Answer::Approvals(approvals) => Ok(*approvals),
            other => Err(ApiError::unasked(&other)),
        }
    }
}
