//! People who do what the books say is to be done: guardians approve batches, the treasurer sends deposits and pays out, and
//! operators say what their nodes saw of the others.

use super::cluster::Cluster;
use super::execution::Execution;
use super::office::Office;
use super::people::People;
use cluster::{DepositMessage, SignedDeposit};
use coordinator::ledger::State;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use types::{Address, ClusterId, PublicKey, Root};

/// Between two looks at the books.
const PAUSE: Duration = Duration::from_millis(500);
/// What guardians checked batches against: the deposit contract's root, which nothing here depends on.
const DEPOSIT_ROOT: Root = Root([0xd0; 32]);

/// What was done already.
#[derive(Debug, Default)]
struct Done {
    approved: BTreeSet<(u64, Address, Root)>,
    sent: BTreeSet<(u64, PublicKey)>,
    paid: BTreeSet<u64>,
    bonds: BTreeSet<u64>,
    /// Partial signatures and gaps that nodes had counted when their operators last spoke.
    counted: BTreeMap<(ClusterId, usize), BTreeMap<usize, (u64, u64)>>,
    said: BTreeSet<(ClusterId, u64)>,
}

/// The clusters whose operators speak, as they come to be.
pub type Clusters = Arc<Mutex<Vec<Cluster>>>;

/// Everybody works until this value is dropped.
#[derive(Debug)]
pub struct Desk(JoinHandle<()>);

impl Drop for Desk {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Desk {
    /// Begins.
    pub fn open(
        office: Arc<Office>,
        execution: Arc<Execution>,
        people: Arc<People>,
        clusters: Clusters,
    ) -> Self {
        Self(tokio::spawn(async move {
            let mut done = Done::default();
            loop {
                // An office that is closed for a while is asked again.
                if let Ok(state) = office.state().await {
                    let worked = async {
                        approve(&office, &people, &state, &mut done).await?;
                        pay(&execution, &people, &state, &mut done);
                        say(&office, &people, &clusters, &state, &mut done).await
                    };
                    if let Err(error) = worked.await {
                        tracing::debug!(%error, "at the desk");
                    }
                }
                sleep(PAUSE).await;
            }
        }))
    }
}

async fn approve(office: &Office, people: &People, state: &State, done: &mut Done) -> anyhow::Result<()> {
    for (number, batch) in state.deposits.batches() {
        let keys_hash = batch.keys_hash();
        for guardian in &people.guardians {
            if !done.approved.insert((*number, guardian.address, keys_hash)) {
                continue;
            }
            let path = format!("/v1/deposits/batches/{number}/approvals");
            let body = json!({ "deposit_root": DEPOSIT_ROOT, "keys_hash": keys_hash });
            if let Err(error) = office.post(guardian, &path, &body).await {
                done.approved.remove(&(*number, guardian.address, keys_hash));
                return Err(error);
            }
        }
    }
    Ok(())
}

/// What guardians have approved is sent; what the pool owes is paid.
fn pay(execution: &Execution, people: &People, state: &State, done: &mut Done) {
    let guardians: BTreeSet<_> = people.guardians.iter().map(|guardian| guardian.address).collect();
    let needed = usize::from(state.charter.guardians.needed());
    for (number, batch) in state.deposits.batches() {
        if batch.approved(&guardians, DEPOSIT_ROOT) < needed || state.governance.deposits_paused.is_some() {
            continue;
        }
        for item in batch.items.iter().filter(|item| !item.sent) {
            if done.sent.insert((*number, item.pubkey)) {
                let message = DepositMessage {
                    public_key: item.pubkey,
                    withdrawal_credentials: state.credentials(),
                    amount: item.amount,
                };
                execution.deposit(&SignedDeposit { message, signature: item.signature });
            }
        }
    }
    for (number, payout) in state.money.payouts() {
        if done.paid.insert(*number) {
            execution.pay_out(*number, payout.to, payout.eth);
        }
    }
    for (number, claim) in &state.bonds.claims {
        if done.bonds.insert(*number) {
            execution.pay_bond(*number, claim.to, claim.amount);
        }
    }
}

/// Operators say what their nodes have counted since they last did, once a frame. Whom nothing was missing of is left out.
async fn say(
    office: &Office,
    people: &People,
    clusters: &Clusters,
    state: &State,
    done: &mut Done,
) -> anyhow::Result<()> {
    let frame = state.reports.next();
    let known = clusters.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for cluster in known {
        if !done.said.insert((cluster.id, frame)) {
            continue;
        }
        for (place, manager) in (1..).zip(&cluster.managers) {
            let Some(counted) = cluster.counted(place).await else { continue };
            let before = done.counted.insert((cluster.id, place), counted.clone()).unwrap_or_default();
            let mut seen = BTreeMap::new();
            for (peer, (came, missing)) in counted {
                let (had, lacked) = before.get(&peer).copied().unwrap_or_default();
                if missing > lacked {
                    seen.insert(cluster.managers[peer - 1], came.saturating_sub(had));
                }
            }
            let path = format!("/v1/clusters/{}/statements", cluster.id);
            let person = people.operator(*manager)?;
            let body = json!({ "frame": frame, "seen": seen });
            office.send(&person.manager, "PUT", &path, &body).await?;
        }
    }
    Ok(())
}
