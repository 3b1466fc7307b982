//! How validators leave: without the office, by the nodes alone; and because a delegator wants its ETH.

use super::people::SOON;
use super::shares;
use super::story::Life;
use crate::operators::{ourselves, output_of};
use anyhow::{Context as _, ensure};
use cluster::folder;
use coordinator::ledger::State;
use coordinator::ledger::deposits::Stage;
use coordinator::ledger::exits;
use serde_json::json;
use sim::chain::registry::{ACTIVE_EPOCHS_MIN, WITHDRAWABILITY_DELAY};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use types::{Epoch, PublicKey, SigningRoot, Slot, ValidatorIndex};

/// Epochs for which the office is closed.
const CLOSED_EPOCHS: u64 = 8;
/// What the first delegator asks for: more than lies in the buffer.
const WITHDRAWN: &str = "70";

impl Life {
    fn epoch(&self) -> Epoch {
        self.spec.epoch_of(self.server.node().now().unwrap_or_default())
    }

    async fn until_epoch(&self, epoch: Epoch) {
        crate::clock::wait_until(self.spec.slot_start(self.spec.epoch_start(epoch))).await;
    }

    /// The office is closed: duties go on, and operators take a validator off the chain with their nodes alone.
    pub(super) async fn without_office(&mut self) -> anyhow::Result<()> {
        let state = self.office.state().await?;
        let cluster = self.cluster(1)?;
        let key = *cluster.keys.first().context("a cluster has validators")?;
        let leaver = state.deposits.validators()[&key].index.context("it is on the chain")?;
        let youngest = state.deposits.validators().values().filter_map(|one| one.activation).max();
        let old_enough = Epoch(youngest.context("validators are active")?.0 + ACTIVE_EPOCHS_MIN + 1);
        tracing::info!(%old_enough, now = %self.epoch(), "until validators may leave");
        self.until_epoch(old_enough).await;

        self.process.take().context("the office is open")?.kill().await;
        let from = self.epoch().next();
        let to = Epoch(from.0 + CLOSED_EPOCHS);
        self.exit_by_nodes(&cluster, key, leaver).await?;
        self.until_epoch(Epoch(to.0 + 2)).await;
        let (due, done) = self.attested(&state, from, to);
        ensure!(done == due, "{done} of {due} attestations while the office was closed");
        self.process = Some(self.office.open().await?);
        let left = move |state: &State| {
            let (_, validator) = state.deposits.by_index(leaver)?;
            (validator.stage >= Stage::Exiting).then_some(())
        };
        self.office.until("the exit that nobody asked for", SOON, left).await?;
        self.tell(
            "office_closed",
            json!({ "epochs": CLOSED_EPOCHS, "attested": done, "due": due, "exit": leaver }),
        );
        Ok(())
    }

    /// What the chain has of the pool's attestations in these epochs, and of how many.
    fn attested(&self, state: &State, from: Epoch, to: Epoch) -> (u64, u64) {
        let ours: Vec<_> = state.deposits.validators().values().filter_map(|one| one.index).collect();
        let slots = self.spec.epoch_start(from).0..self.spec.epoch_start(to).0;
        self.server.node().look(|chain| {
            let (mut due, mut done) = (0, 0);
            for slot in slots.map(Slot) {
                for who in chain.committee(slot).into_iter().filter(|who| ours.contains(who)) {
                    due += 1;
                    done += u64::from(chain.attested(slot, who).is_some());
                }
            }
            (due, done)
        })
    }

    /// As many operators as sign approve beside their nodes.
    async fn exit_by_nodes(
        &self,
        cluster: &super::cluster::Cluster,
        key: PublicKey,
        leaver: ValidatorIndex,
    ) -> anyhow::Result<()> {
        let epoch = self.epoch().to_string();
        for operator in cluster.operators.iter().take(super::people::THRESHOLD.into()) {
            let mut command = ourselves("node")?;
            command
                .arg("exit")
                .arg("--data-dir")
                .arg(&operator.data_dir)
                .arg("--validator")
                .arg(key.to_string());
            command.arg("--keystores").arg(operator.client_dir.join(folder::KEYSTORES));
            command.arg("--node").arg(operator.api_url()).arg("--epoch").arg(&epoch);
            output_of(command, "exit").await?;
        }
        let began = Instant::now();
        while self.server.node().look(|chain| chain.exit_epoch(leaver)).is_none() {
            ensure!(began.elapsed() < SOON, "the nodes' exit of validator {leaver} is not in the chain");
            sleep(Duration::from_millis(250)).await;
        }
        Ok(())
    }

    /// A delegator wants more than there is: exits are asked for, signed by operators, and pay for it.
    pub(super) async fn delegator_leaves(&mut self) -> anyhow::Result<()> {
        let delegator = self.people.delegators.first().context("there are delegators")?;
        let wanted = super::people::eth(WITHDRAWN)?;
        self.office.post(delegator, "/v1/withdrawals", &json!({ "amount": { "eth": wanted } })).await?;
        let number = self.office.state().await?.money.queue().next() - 1;
        let asked = |state: &State| {
            let open = state.exits.exits().values();
            let open = open.filter(|exit| exit.stage < exits::Stage::Seen && exit.signature.is_none());
            open.map(|exit| (exit.asked.validator, exit.message(), exit.generation)).next()
        };
        let (validator, message, generation) = self.office.until("exits asked for", SOON, asked).await?;
        let state = self.office.state().await?;
        let (key, known) = state.deposits.by_index(validator).context("it is the pool's")?;
        let (of, root) = (known.cluster, SigningRoot::voluntary_exit(&self.spec, &message));
        let at = usize::from(self.cluster(0)?.id != of);
        let cluster = self.cluster(at)?;
        for (place, manager) in (1..=usize::from(super::people::THRESHOLD)).zip(&cluster.managers) {
            let signature = shares::partial(&cluster, place, &key, &root)?;
            let path = format!("/v1/clusters/{of}/exits/{validator}/partials");
            let person = self.people.operator(*manager)?;
            let body = json!({ "generation": generation, "signature": signature });
            self.office.post(&person.manager, &path, &body).await?;
        }
        let gone = move |state: &State| {
            let (_, validator) = state.deposits.by_index(validator)?;
            (validator.stage == Stage::Withdrawn).then_some(())
        };
        self.office.until("the validator's ETH", 2 * SOON, gone).await?;
        let served = move |state: &State| {
            (number < state.money.queue().next() - state.money.queue().waiting()).then_some(())
        };
        self.office.until("the request served", SOON, served).await?;
        self.office.post(delegator, &format!("/v1/withdrawals/{number}/claim"), &json!({})).await?;
        let paid = |state: &State| state.money.payouts().is_empty().then(|| state.money.rate());
        self.office.until("the payout", SOON, paid).await?;
        self.tell(
            "withdrawal",
            json!({ "eth": WITHDRAWN, "exit": validator, "delay_epochs": WITHDRAWABILITY_DELAY }),
        );
        Ok(())
    }
}
