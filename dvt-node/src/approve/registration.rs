//! `dvt-node registration`: this operator approves whom blocks pay from now on, or looks what is approved.

use super::{FolderArgs, NodeArgs, Site, ask, listed};
use crate::validator_api::approvals::{
    Approval, REGISTRATIONS, RegistrationList, StandingEntry, StatementEntry, Who,
};
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use cluster::define::TARGET_GAS_LIMIT;
use remote::OwnNode;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use types::approval::{RegistrationStatement, registration_root};
use types::{Address, Millis, PublicKey, Root, ValidatorNo};

/// What `dvt-node registration sign` is told.
#[derive(Clone, Debug, Args)]
pub struct SignArgs {
    /// The operator's folder.
    #[command(flatten)]
    pub folder: FolderArgs,
    /// The running node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// The validator client's keystores and their passwords: its halves sign.
    #[arg(long, value_name = "DIR")]
    pub keystores: PathBuf,
    /// Whose blocks: a validator's key, or the one that the client has for it. Repeat for more; without it, all.
    #[arg(long = "validator", value_name = "PUBKEY", conflicts_with = "approve")]
    pub validators: Vec<PublicKey>,
    /// Whom their blocks shall pay. With --approve: refuse a statement that says another address.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "approve")]
    pub fee_recipient: Option<Address>,
    /// The gas limit wished for; without it, 60 million.
    #[arg(long, conflicts_with = "approve")]
    pub gas_limit: Option<u64>,
    /// Approve what another operator has stated, by its id in `dvt-node registration status`.
    #[arg(long, value_name = "ID")]
    pub approve: Option<Root>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What `dvt-node registration status` is told.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// The running node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What this operator approves now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// By what the others name it.
    pub id: Root,
    /// What it says.
    pub statement: RegistrationStatement,
    /// Operators that approve it, this one included; all that are needed, if it is complete.
    pub approved_by: Vec<u8>,
    /// How many must.
    pub threshold: usize,
    /// Whether it is the registration that counts for all of its validators.
    pub complete: bool,
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "approved: {}", words(&self.statement))?;
        if self.complete {
            return write!(f, "it is complete, and counts from now on");
        }
        writeln!(f, "by {}; {} operators must", listed(self.approved_by.iter().copied()), self.threshold)?;
        write!(f, "the others: dvt-node registration sign --approve {}", self.id)
    }
}

/// What is approved, and what counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status(pub RegistrationList);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RegistrationList { who, statements, registered } = &self.0;
        for StatementEntry { id, statement, approved_by } in statements {
            let (by, threshold) = (listed(approved_by.keys().copied()), who.threshold);
            writeln!(f, "waits: {}", words(statement))?;
            writeln!(f, "  id {id}, approved by {by}; {threshold} operators must")?;
        }
        for StandingEntry { standing, .. } in registered {
            let message = &standing.newest.message;
            let (key, to, gas) = (message.pubkey, message.fee_recipient, message.gas_limit);
            writeln!(f, "counts: {key} pays {to}, gas limit {gas}, of second {}", message.timestamp)?;
        }
        let Who { operator, operators, .. } = who;
        write!(f, "this is operator {operator} of {operators}")
    }
}

/// A statement, for people.
fn words(statement: &RegistrationStatement) -> String {
    let RegistrationStatement { validators, fee_recipient, gas_limit, timestamp_s } = statement;
    let names: Vec<String> = validators.iter().take(8).map(ToString::to_string).collect();
    let more = if validators.len() > names.len() { ", ..." } else { "" };
    let (count, names) = (validators.len(), names.join(", "));
    format!(
        "blocks of {count} validators (numbers {names}{more}) pay {fee_recipient}, gas limit {gas_limit}, stated in second \
         {timestamp_s}"
    )
}

/// Asks the running node what is approved.
pub fn status(args: &StatusArgs) -> anyhow::Result<Status> {
    let node = args.node.connect()?;
    ask(async { Ok(Status(list(&node).await?)) })
}

async fn list(node: &OwnNode) -> anyhow::Result<RegistrationList> {
    node.get(REGISTRATIONS).await.with_context(|| format!("{}: is the node running?", node.label()))
}

/// States something, or approves what another operator has stated.
///
/// - `show`: is given the statement in words before anything is signed.
/// - Errors: a validator that is not ours, a statement that nobody approves or that is not pending, keystores without the
///   client's halves, a node that is not running or refuses.
pub fn sign(args: &SignArgs, now: Millis, show: impl FnOnce(&str)) -> anyhow::Result<Signed> {
    let site = args.folder.read()?;
    let node = args.node.connect()?;
    let before = ask(list(&node))?;
    let statement = match args.approve {
        Some(id) => pending(&before, id, args.fee_recipient)?,
        None => new_statement(args, &site, now)?,
    };
    statement.check(site.client_keys.len())?;
    show(&words(&statement));
    let approval = sign_halves(args, &site, statement)?;
    let id = approval.statement.hash();
    ask(async {
        let taken = node.post(REGISTRATIONS, &approval).await;
        taken.with_context(|| format!("{}: the statement is not approved", node.label()))?;
        Ok(signed(approval.statement, id, list(&node).await?))
    })
}

/// The statement of this id, as the node tells it: what it says is what the id says.
fn pending(
    list: &RegistrationList,
    id: Root,
    fee_recipient: Option<Address>,
) -> anyhow::Result<RegistrationStatement> {
    let Some(entry) = list.statements.iter().find(|entry| entry.id == id) else {
        bail!("no statement {id} waits for approval: see dvt-node registration status");
    };
    let statement = entry.statement.clone();
    ensure!(
        statement.hash() == id,
        "the node tells a statement that does not hash to {id}: nothing is signed"
    );
    if let Some(wanted) = fee_recipient {
        let stated = statement.fee_recipient;
        ensure!(stated == wanted, "statement {id} pays {stated}, not {wanted}: nothing is signed");
    }
    Ok(statement)
}

fn new_statement(args: &SignArgs, site: &Site, now: Millis) -> anyhow::Result<RegistrationStatement> {
    let mut validators = Vec::new();
    for key in &args.validators {
        validators.push(site.number(key)?);
    }
    if validators.is_empty() {
        validators = (0..).map(ValidatorNo).take(site.client_keys.len()).collect();
    }
    validators.sort_unstable();
    validators.dedup();
    Ok(RegistrationStatement {
        validators,
        fee_recipient: args.fee_recipient.context("--fee-recipient is missing")?,
        gas_limit: args.gas_limit.unwrap_or(TARGET_GAS_LIMIT),
        timestamp_s: now.0 / 1000,
    })
}

fn sign_halves(args: &SignArgs, site: &Site, statement: RegistrationStatement) -> anyhow::Result<Approval> {
    let secrets = site.halves(&args.keystores, &statement.validators)?;
    let mut halves = Vec::with_capacity(secrets.len());
    for (validator, secret) in statement.validators.iter().zip(secrets) {
        let registration = statement.registration(site.group_key(*validator)?);
        halves.push(secret.sign(&registration_root(&site.data.spec, &registration)));
    }
    Ok(Approval { statement, halves })
}

/// What has become of it, as the node tells.
fn signed(statement: RegistrationStatement, id: Root, after: RegistrationList) -> Signed {
    let counts = |validator: &ValidatorNo| {
        after.registered.iter().any(|entry| {
            let message = &entry.standing.newest.message;
            entry.validator == *validator
                && (message.fee_recipient, message.gas_limit, message.timestamp)
                    == (statement.fee_recipient, statement.gas_limit, statement.timestamp_s)
        })
    };
    let complete = statement.validators.iter().all(counts);
    let waiting = after.statements.iter().find(|entry| entry.id == id);
    let approved_by = waiting.map(|entry| entry.approved_by.keys().copied().collect());
    let approved_by = approved_by.unwrap_or_default();
    Signed { id, statement, approved_by, threshold: after.who.threshold, complete }
}
