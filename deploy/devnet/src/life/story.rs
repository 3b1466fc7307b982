//! What happens, in order. Each step waits for what the books say, and fails with words if they do not in time.

use super::cluster::{Cluster, Running};
use super::desk::{Clusters, Desk};
use super::execution::Execution;
use super::house::{House, spec};
use super::office::Office;
use super::people::{People, SOON, THRESHOLD, eth};
use crate::beacon_api::{BeaconNode, Server};
use crate::clock::now;
use crate::curve::Bls;
use crate::process::{Process, stop_all};
use anyhow::{Context as _, ensure};
use coordinator::formation::accept;
use coordinator::formulas::shares::{Rate, Shares};
use coordinator::ledger::State;
use coordinator::ledger::deposits::Stage;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use tokio::task::JoinHandle;
use types::{Address, ChainSpec, ClusterId, Epoch, ValidatorIndex, Wei};

/// From the chain's start to its slot 0.
const LEAD_MS: u64 = 3_000;
/// Clusters that are called for.
const CLUSTERS: usize = 2;
/// Validators of each.
const KEYS: usize = 2;
/// What delegators pay, in ETH: four validators, and something that stays liquid.
const PAID: [&str; 3] = ["80", "60", "12"];
/// Reports that are waited for where one could be luck.
const REPORTS: u64 = 3;

/// What a run is asked for.
#[derive(Clone, Debug)]
pub struct LifeOrders {
    /// Where all files of the run go.
    pub run_dir: PathBuf,
    /// Length of a slot.
    pub seconds_per_slot: u64,
    /// Slots of an epoch.
    pub slots_per_epoch: u64,
}

/// The world, and everybody in it.
pub(super) struct Life {
    pub(super) run_dir: PathBuf,
    pub(super) network: PathBuf,
    pub(super) spec: ChainSpec,
    pub(super) server: Server,
    pub(super) execution: Arc<Execution>,
    pub(super) people: Arc<People>,
    pub(super) office: Arc<Office>,
    pub(super) process: Option<Process>,
    pub(super) clusters: Clusters,
    pub(super) running: Vec<Running>,
    house: JoinHandle<()>,
    /// What was shown, and what was seen.
    pub(super) told: Map<String, Value>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.house.abort();
    }
}

impl Life {
    /// The chain begins, and a pool is founded.
    pub(super) async fn begin(orders: &LifeOrders) -> anyhow::Result<Self> {
        let run_dir = orders.run_dir.clone();
        let genesis_s = (now().0 + LEAD_MS).div_ceil(1000);
        let spec = spec(genesis_s, orders.seconds_per_slot, orders.slots_per_epoch);
        let network = run_dir.join("network.json");
        std::fs::write(&network, serde_json::to_vec_pretty(&spec)?)?;
        let house = House::new()?;
        let curve = Bls::new(&house.keys())?;
        let server = Server::start(BeaconNode::new(house.chain(spec.clone()), curve)).await?;
        let house = house.live(Arc::clone(server.node()));
        let execution = Arc::new(Execution::start(Arc::clone(server.node())).await?);
        let people = Arc::new(People::new(&run_dir).await?);
        let charter = people.charter(&run_dir, &network).await?;
        let beacon_url = server.url();
        let watched = ["--beacon-node", &beacon_url, "--execution-node", execution.url()];
        let office = Arc::new(Office::found(&run_dir, &charter, &watched).await?);
        let process = Some(office.open().await?);
        let (clusters, running, told) = (Clusters::default(), Vec::new(), Map::new());
        Ok(Self {
            run_dir,
            network,
            spec,
            server,
            execution,
            people,
            office,
            process,
            clusters,
            running,
            house,
            told,
        })
    }

    pub(super) fn tell(&mut self, step: &str, seen: Value) {
        tracing::info!(step, %seen, "shown");
        self.told.insert(step.to_owned(), seen);
    }

    /// Everybody who does again and again what the books say.
    pub(super) fn open_desk(&self) -> Desk {
        let clusters = Arc::clone(&self.clusters);
        Desk::open(Arc::clone(&self.office), Arc::clone(&self.execution), Arc::clone(&self.people), clusters)
    }

    pub(super) fn cluster(&self, at: usize) -> anyhow::Result<Cluster> {
        let known = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(at).cloned().with_context(|| format!("no cluster {at}"))
    }

    /// Operators register, are vetted, and bring bonds.
    pub(super) async fn operators_join(&mut self) -> anyhow::Result<()> {
        self.people.join(&self.office, &self.execution).await?;
        self.tell("operators", json!(self.people.operators.len()));
        Ok(())
    }

    /// Delegators pay, and get shares.
    pub(super) async fn delegators_pay(&mut self) -> anyhow::Result<()> {
        for (delegator, amount) in self.people.delegators.iter().zip(PAID) {
            self.execution.pay(delegator.address, eth(amount)?);
        }
        let addresses: Vec<_> = self.people.delegators.iter().map(|one| one.address).collect();
        let have = move |state: &State| {
            let all = addresses.iter().all(|who| state.money.shares().shares(*who) > Shares::ZERO);
            all.then(|| state.money.rate())
        };
        let rate = self.office.until("shares", SOON, have).await?;
        self.tell("delegated", json!({ "eth_wei": rate.pooled, "delegators": PAID.len() }));
        Ok(())
    }

    /// Clusters are called for and drawn; all who are asked accept.
    pub(super) async fn clusters_form(&mut self) -> anyhow::Result<Vec<(ClusterId, Vec<Address>)>> {
        let dir = self.office.dir.display().to_string();
        let (clusters, keys, threshold) = (CLUSTERS.to_string(), KEYS.to_string(), THRESHOLD.to_string());
        let call = [
            "call",
            "--data-dir",
            &dir,
            "--clusters",
            &clusters,
            "--operators",
            "4",
            "--threshold",
            &threshold,
            "--validators",
            &keys,
        ];
        crate::operators::output_of(super::office::coordinator(&call)?, "call").await?;
        let asked = |state: &State| {
            let open = state.calls.answers.clusters.values().filter(|one| one.stage == accept::Stage::Open);
            let open: Vec<_> =
                open.map(|one| (one.proposed.definition, one.proposed.operators.clone())).collect();
            (open.len() == CLUSTERS).then_some(open)
        };
        let asked = self.office.until("clusters drawn", SOON, asked).await?;
        for (cluster, operators) in &asked {
            for operator in operators {
                let person = self.people.operator(*operator)?;
                let path = format!("/v1/clusters/{cluster}/accept");
                self.office.post(&person.manager, &path, &json!({})).await?;
            }
        }
        self.tell("clusters", json!(asked.iter().map(|(id, _)| id).collect::<Vec<_>>()));
        Ok(asked)
    }

    /// Ceremonies run through the board; then nodes and clients.
    pub(super) async fn ceremonies(&mut self, asked: Vec<(ClusterId, Vec<Address>)>) -> anyhow::Result<()> {
        for (no, (id, managers)) in (1..).zip(asked) {
            let of = (no, id, managers);
            let made = Cluster::make(&self.run_dir, of, &self.people, &self.office, &self.network).await?;
            ensure!(
                made.keys.len() == KEYS,
                "a ceremony of {} keys, {KEYS} were called for",
                made.keys.len()
            );
            self.running.push(made.start(&self.server.url(), &self.network).await?);
            self.clusters.lock().unwrap_or_else(PoisonError::into_inner).push(made);
        }
        let registered = |state: &State| {
            let keys = state.deposits.validators().len();
            (keys == CLUSTERS * KEYS).then_some(keys)
        };
        let keys = self.office.until("keys registered", SOON, registered).await?;
        self.tell("ceremonies", json!({ "through_the_board": CLUSTERS, "keys": keys }));
        Ok(())
    }

    /// Batches are approved and sent, in two steps; the chain makes validators of them.
    pub(super) async fn activate(&mut self) -> anyhow::Result<()> {
        let active = |state: &State| {
            let all: Option<BTreeMap<_, _>> = state
                .deposits
                .validators()
                .values()
                .map(|one| Some((one.index.filter(|_| one.stage == Stage::Active)?, one.activation?)))
                .collect();
            all.filter(|all| all.len() == CLUSTERS * KEYS)
        };
        let active: BTreeMap<ValidatorIndex, Epoch> =
            self.office.until("validators active", 2 * SOON, active).await?;
        self.tell("active", json!(active));
        Ok(())
    }

    /// The state once so many more reports have come.
    pub(super) async fn reports(&self, more: u64) -> anyhow::Result<State> {
        let first = self.office.state().await?.reports.next();
        let come = |state: &State| (state.reports.next() >= first + more).then(|| state.clone());
        self.office.until("reports", SOON, come).await
    }

    /// Duties run, and reports make shares worth more.
    pub(super) async fn earn(&mut self) -> anyhow::Result<()> {
        let before = self.reports(1).await?.money.rate();
        let after = self.reports(REPORTS).await?.money.rate();
        ensure!(worth(after)? > worth(before)?, "shares are not worth more after {REPORTS} reports");
        self.tell("rebase", json!({ "before": worth(before)?, "after": worth(after)? }));
        Ok(())
    }

    /// An operator's node goes dark, and it earns less than one who is like it.
    pub(super) async fn go_dark(&mut self) -> anyhow::Result<()> {
        let (first, second) = (self.cluster(0)?, self.cluster(1)?);
        let only: Vec<_> = first.managers.iter().filter(|one| !second.managers.contains(one)).collect();
        let [dark, like, ..] = only[..] else { anyhow::bail!("both clusters have the same operators") };
        let place = first.place(*dark)?;
        self.running[0].nodes.kill(place).await;
        tracing::info!(place, "dark");
        let claims = |state: &State| -> anyhow::Result<[Wei; 2]> {
            let of = |manager: &Address| -> anyhow::Result<Wei> {
                Ok(state.reports.earned(self.people.operator(*manager)?.reward.address))
            };
            Ok([of(dark)?, of(like)?])
        };
        // The frame in which it still had some, and one more whose statements are of it.
        let [dark_before, like_before] = claims(&self.reports(2).await?)?;
        let [dark_after, like_after] = claims(&self.reports(REPORTS).await?)?;
        let (dark, like) = (dark_after.0 - dark_before.0, like_after.0 - like_before.0);
        ensure!(dark < like, "the dark operator earned {dark} wei, one like it {like}");
        self.running[0].nodes.start_again(place)?;
        self.tell("dark", json!({ "earned_wei": dark.to_string(), "one_like_it": like.to_string() }));
        Ok(())
    }

    /// Ends all processes, clients first.
    pub(super) async fn end(mut self) -> Map<String, Value> {
        let mut processes = Vec::new();
        for Running { nodes, clients } in std::mem::take(&mut self.running) {
            processes.extend(clients);
            nodes.stop().await;
        }
        processes.extend(self.process.take());
        stop_all(processes).await;
        std::mem::take(&mut self.told)
    }
}

/// What 10^18 shares are worth, in wei.
fn worth(rate: Rate) -> anyhow::Result<Wei> {
    let share = Shares(Wei::from_eth("1").context("one")?.0);
    Ok(rate.eth_of(share)?)
}

/// The whole of it. Errors: the first step that did not come.
pub async fn run(orders: &LifeOrders) -> anyhow::Result<Map<String, Value>> {
    std::fs::create_dir_all(&orders.run_dir)?;
    let mut life = Life::begin(orders).await?;
    let desk = life.open_desk();
    life.operators_join().await?;
    life.delegators_pay().await?;
    let asked = life.clusters_form().await?;
    life.ceremonies(asked).await?;
    life.activate().await?;
    life.earn().await?;
    life.go_dark().await?;
    life.without_office().await?;
    life.delegator_leaves().await?;
    life.sign_twice().await?;
    life.check().await?;
    drop(desk);
    Ok(life.end().await)
}
