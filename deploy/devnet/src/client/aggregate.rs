//! Attestations of a slot, and two thirds into it the aggregates of those whose proofs win.

use super::selections::Candidate;
use super::{Client, Duties, DutyError};
use crate::clock;
use std::collections::BTreeSet;
use tokio::sync::watch;
use types::aggregate::{Aggregate, AggregateShape, SignedAggregate};
use types::{DomainType, Root, Signature, SigningRoot, Slot};

impl Client {
    /// Attests, has the selection proofs combined meanwhile, and aggregates.
    pub(super) async fn attest_and_aggregate(
        &self,
        slot: Slot,
        duties: &Duties,
        heads: watch::Receiver<Slot>,
    ) -> Result<(), DutyError> {
        let due: Vec<_> = duties.attesters.iter().filter(|duty| duty.slot == slot).cloned().collect();
        if due.is_empty() {
            return Ok(());
        }
        let aggregators = async { self.aggregators(self.attesters_of(slot).await).await };
        let (data, aggregators) = tokio::join!(self.attest(slot, &due, heads), aggregators);
        let (subject, aggregators) = (Root::of(&data?), aggregators?);
        if aggregators.is_empty() {
            return Ok(());
        }
        clock::wait_until(self.spec.aggregate_due(slot)).await;
        let fork = self.spec.fork_at(self.spec.epoch_of(slot)).fork;
        let shape = AggregateShape::Attestation { preset: self.spec.preset, fork };
        let mut signed = Vec::new();
        for place in places(&aggregators) {
            let aggregate = self.api.aggregate(shape, slot, subject, place).await?;
            check(&aggregate, slot, subject, place)?;
            signed.extend(self.sign_aggregates(&aggregators, &aggregate, DomainType::AggregateAndProof));
        }
        self.api.publish_aggregates(fork, &signed).await?;
        tracing::info!(%slot, validators = signed.len(), "aggregated");
        Ok(())
    }

    /// Signs an aggregate for each of those who aggregate in its place.
    pub(super) fn sign_aggregates(
        &self,
        aggregators: &[(Candidate, Signature)],
        aggregate: &Aggregate,
        domain: DomainType,
    ) -> Vec<SignedAggregate> {
        let epoch = self.spec.epoch_of(aggregate.slot);
        let sign = |(candidate, selection_proof): &(Candidate, Signature)| {
            let (aggregator_index, selection_proof) = (candidate.index, *selection_proof);
            let object = aggregate.proof_root(aggregator_index, selection_proof);
            let signature =
                self.halves.get(&candidate.key)?.sign(&SigningRoot::of(&self.spec, domain, epoch, object));
            Some(SignedAggregate {
                aggregator_index,
                aggregate: aggregate.clone(),
                selection_proof,
                signature,
            })
        };
        let here = aggregators.iter().filter(|(candidate, _)| candidate.place == aggregate.place);
        here.filter_map(sign).collect()
    }
}

/// Committees, or subcommittees, in which somebody aggregates.
pub(super) fn places(aggregators: &[(Candidate, Signature)]) -> BTreeSet<u64> {
    aggregators.iter().map(|(candidate, _)| candidate.place).collect()
}

/// Whether an aggregate is what was asked for.
pub(super) fn check(aggregate: &Aggregate, slot: Slot, subject: Root, place: u64) -> Result<(), DutyError> {
    let right = (aggregate.slot, aggregate.subject, aggregate.place) == (slot, subject, place);
    if right { Ok(()) } else { Err(DutyError::Other("another aggregate")) }
}
