//! Somebody has as many shares as sign, and signs twice: what the chain does, and who pays.

use super::people::SOON;
use super::shares::partials;
use super::story::Life;
use crate::lodestar::http_client;
use anyhow::{Context as _, ensure};
use coordinator::ledger::State;
use coordinator::ledger::deposits::Stage;
use coordinator::ledger::incidents::{Conflict, Messages, Place};
use crypto::combine;
use serde_json::json;
use sim::chain::Slashing;
use sim::chain::registry::SLASHINGS_EPOCHS;
use std::time::Duration;
use types::Threshold;
use types::attestation::IndexedAttestation;
use types::{AttestationData, DomainType, PublicKey, Root, SigningRoot, ValidatorIndex, Wei};

/// Wei of a gwei.
const GWEI_WEI: u128 = 1_000_000_000;

impl Life {
    /// A validator that still attests.
    fn victim(state: &State) -> anyhow::Result<(ValidatorIndex, PublicKey, types::ClusterId)> {
        let mut active = state.deposits.validators().iter().filter(|(_, one)| one.stage == Stage::Active);
        let found = active.find_map(|(key, one)| Some((one.index?, *key, one.cluster)));
        found.context("a validator is active")
    }

    /// A validator signs two votes for one target; its operators are named, and the waterfall runs.
    pub(super) async fn sign_twice(&mut self) -> anyhow::Result<()> {
        let state = self.office.state().await?;
        let (victim, key, of) = Self::victim(&state)?;
        let cluster = self.cluster(usize::from(self.cluster(0)?.id != of))?;
        let slot = self.server.node().now().context("the chain runs")?;
        let vote = self.server.node().vote(slot)?.data(0);
        let other = AttestationData { beacon_block_root: Root([0xbd; 32]), ..vote };
        let root = |data: &AttestationData| {
            SigningRoot::of(&self.spec, DomainType::BeaconAttester, data.target.epoch, Root::of(data))
        };
        let signed = [partials(&cluster, &key, &root(&vote))?, partials(&cluster, &key, &root(&other))?];
        let threshold = Threshold(super::people::THRESHOLD);
        let indexed = |data: AttestationData, at: usize| -> anyhow::Result<_> {
            let all: Vec<_> = signed[at].iter().map(|(index, partial)| (*index, *partial)).collect();
            let signature = combine(&all, threshold)?;
            Ok(IndexedAttestation { attesting_indices: vec![victim].try_into()?, data, signature })
        };
        let slashing = Slashing { attestation_1: indexed(vote, 0)?, attestation_2: indexed(other, 1)? };
        let url = format!("{}/eth/v2/beacon/pool/attester_slashings", self.server.url());
        let request = http_client()?.post(url).header("Eth-Consensus-Version", "electra").json(&slashing);
        let answer = request.send().await?;
        ensure!(answer.status().is_success(), "the slashing: {}", answer.text().await?);

        let opened = |state: &State| state.incidents.open_of(of);
        let incident = self.office.until("an incident", SOON, opened).await?;
        let bonds = |state: &State| -> u128 {
            let each =
                cluster.managers.iter().map(|one| state.bonds.account(*one).bond.0.saturating_to::<u128>());
            each.sum()
        };
        let before = bonds(&self.office.state().await?);
        let by_place =
            |at: usize| signed[at].iter().map(|(index, partial)| (Place(*index), *partial)).collect();
        let conflict =
            Conflict { messages: Messages::Votes([vote, other]), partials: [by_place(0), by_place(1)] };
        let anybody = self.people.delegators.last().context("there are delegators")?;
        let evidence = format!("/v1/incidents/{incident}/evidence");
        self.office.post(anybody, &evidence, &serde_json::to_value(&conflict)?).await?;
        let guilty = self.office.state().await?.incidents.incidents()[&incident].opened.guilty.len();
        ensure!(guilty == usize::from(super::people::THRESHOLD), "evidence names {guilty}");

        // Final is what it costs when the validator is free, which a look finds.
        let epoch_ms = self.spec.slot_ms * self.spec.slots_per_epoch;
        let wait = Duration::from_millis(epoch_ms * (SLASHINGS_EPOCHS + 20));
        let free = self.server.node().look(|chain| {
            let account = chain.registry().and_then(|registry| registry.account(victim));
            account.and_then(|account| account.withdrawable)
        });
        let free = free.context("a slashed validator is free some day")?;
        let last = move |state: &State| {
            let found = state.incidents.incidents().get(&incident)?;
            found.seen.filter(|(epoch, _)| *epoch >= free)
        };
        let (_, lost) = self.office.until("what it has cost", wait + SOON, last).await?;
        self.office.post(anybody, &format!("/v1/incidents/{incident}/settle"), &json!({})).await?;
        let state = self.office.state().await?;
        state.incidents.audit()?;
        let paid = before - bonds(&state);
        let want = u128::from(lost.0) * GWEI_WEI;
        ensure!(lost.0 > 0 && paid == want, "bonds have paid {paid} wei for a loss of {want}");
        ensure!(!state.incidents.holds_queue(), "withdrawals are still stopped");
        let steps = state.incidents.incidents().get(&incident).map(|found| json!(found.steps));
        self.tell(
            "slashed",
            json!({ "validator": victim, "guilty": guilty, "lost_gwei": lost, "bonds_paid_wei": paid.to_string(), "steps": steps }),
        );
        // People send what bonds have paid to the pool.
        let flow = state.incidents.moved();
        let due = Wei(flow.to_pool.0.saturating_sub(flow.from_reserve.0));
        self.execution.cover(self.people.operators[0].reward.address, due);
        Ok(())
    }
}
