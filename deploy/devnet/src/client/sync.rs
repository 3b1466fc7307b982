//! Votes of sync committee members for a slot's head, and two thirds into it their contributions.

use super::aggregate::{check, places};
use super::{Client, DutyError};
use crate::clock;
use tokio::sync::watch;
use types::aggregate::AggregateShape;
use types::duty::SyncDuty;
use types::sync::SyncCommitteeMessage;
use types::{DomainType, Root, SigningRoot, Slot};

impl Client {
    /// Votes, has the selection proofs combined meanwhile, and contributes.
    pub(super) async fn vote_and_contribute(
        &self,
        slot: Slot,
        heads: watch::Receiver<Slot>,
    ) -> Result<(), DutyError> {
        // What is voted for in a slot goes into the next one's block: the next slot's committee votes.
        let Some(duties) = self.duties_of(self.spec.epoch_of(slot.next())).await else { return Ok(()) };
        if duties.members.is_empty() {
            return Ok(());
        }
        let contributors = async { self.aggregators(self.contributors_of(slot).await).await };
        let (head, contributors) = tokio::join!(self.vote(slot, &duties.members, heads), contributors);
        let (head, contributors) = (head?, contributors?);
        if contributors.is_empty() {
            return Ok(());
        }
        clock::wait_until(self.spec.aggregate_due(slot)).await;
        let shape = AggregateShape::Contribution { preset: self.spec.preset };
        let mut signed = Vec::new();
        for place in places(&contributors) {
            let contribution = self.api.contribution(shape, slot, place, head).await?;
            check(&contribution, slot, head, place)?;
            signed.extend(self.sign_aggregates(
                &contributors,
                &contribution,
                DomainType::ContributionAndProof,
            ));
        }
        self.api.publish_contributions(&signed).await?;
        tracing::info!(%slot, contributions = signed.len(), "contributed");
        Ok(())
    }

    /// Votes for the head; returns it.
    async fn vote(
        &self,
        slot: Slot,
        members: &[SyncDuty],
        heads: watch::Receiver<Slot>,
    ) -> Result<Root, DutyError> {
        self.until_head(slot, heads).await;
        let beacon_block_root = self.api.head_root().await?;
        let root = SigningRoot::sync_message(&self.spec, slot, beacon_block_root);
        let vote = |duty: &SyncDuty| {
            let (validator_index, half) = (duty.validator_index, self.halves.get(&duty.pubkey)?);
            let signature = half.sign(&root);
            Some(SyncCommitteeMessage { slot, beacon_block_root, validator_index, signature })
        };
        let votes: Vec<_> = members.iter().filter_map(vote).collect();
        self.api.vote_for_head(&votes).await?;
        tracing::info!(%slot, validators = votes.len(), "voted in the sync committee");
        Ok(beacon_block_root)
    }
}
