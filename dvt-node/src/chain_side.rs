//! The beacon nodes' side: grants the wishes of core that are questions or submissions to the chain.

use crate::builder::Bids;
use crate::contents::Contents;
use beacon::json::CommitteeSubscription;
use beacon::{ApiError, Beacon, Head};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};
use std::time::Duration;
use symbolon_core::{Input, Output, SignedAttestation, Submission};
use types::aggregate::{Aggregate, AggregateShape, SignedAggregate};
use types::attestation::{Attestation, SingleAttestation};
use types::block::{ProposedBlock, Sidecars, SignedBlockContents, SignedBlockParts};
use types::duty::AttesterDuty;
use types::offer::Offer;
use types::wire::Kind;
use types::{
    Address, BeaconVote, ChainSpec, Epoch, Fork, PublicKey, Root, Signature, Slot, ValidatorIndex,
    ValidatorNo,
};

/// How long a signed block waits for its payload, in basis points of the slot: after that nobody attests to it.
const CONTENTS_BPS: u64 = 2_500;

/// One of the cluster's validators, as the chain knows it.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// Its key.
    pub group_key: PublicKey,
    /// Whom its blocks pay by the lock.
    pub fee_recipient: Address,
}

/// The beacon nodes, and what is remembered of their answers.
#[derive(Debug)]
pub struct ChainSide {
    beacon: Beacon,
    spec: Arc<ChainSpec>,
    seats: Vec<Seat>,
    /// The validators' indices, once the chain knows them.
    indices: RwLock<BTreeMap<PublicKey, ValidatorIndex>>,
    /// Whom blocks pay by registrations since the ceremony.
    recipients: RwLock<BTreeMap<PublicKey, Address>>,
    contents: Arc<Contents>,
    graffiti: Root,
    builder: Option<BuilderSide>,
}

/// What is needed of builder mode to propose a builder's block.
#[derive(Clone, Debug)]
pub struct BuilderSide {
    /// The bids that were handed out.
    pub bids: Arc<Bids>,
    /// Percent of a builder's value that counts against the beacon node's own payload's.
    pub boost_factor: u64,
}

impl ChainSide {
    /// For validators in the lock's order.
    pub fn new(
        beacon: Beacon,
        spec: Arc<ChainSpec>,
        seats: Vec<Seat>,
        contents: Arc<Contents>,
        graffiti: Root,
        builder: Option<BuilderSide>,
    ) -> Arc<Self> {
        let (indices, recipients) = (RwLock::default(), RwLock::default());
        Arc::new(Self { beacon, spec, seats, indices, recipients, contents, graffiti, builder })
    }

    /// The network.
    pub const fn spec(&self) -> &Arc<ChainSpec> {
        &self.spec
    }

    /// The beacon nodes.
    pub const fn beacon(&self) -> &Beacon {
        &self.beacon
    }

    /// New heads, from all beacon nodes.
    pub fn heads(&self) -> tokio::sync::mpsc::Receiver<Head> {
        self.beacon.heads()
    }

    /// Grants one wish; other wishes than questions and submissions do not come here.
    pub async fn answer(&self, wish: Output) -> Input {
        match wish {
            Output::FetchDuties { epoch } => self.duties(epoch).await,
            Output::FetchVote { slot } => Input::BeaconVote { slot, votes: self.votes(slot).await },
            Output::FetchAggregates { kind, slot, wanted } => {
                Input::Aggregates { kind, slot, aggregates: self.aggregates(kind, slot, &wanted).await }
            }
            Output::Subscribe { duty } => self.subscribe(&duty).await,
            Output::FetchBlock { slot, randao } => {
                Input::Block { slot, offer: self.block(slot, &randao).await }
            }
            Output::FetchHeader { root } => {
                let known = self.beacon.knows_block(root).await;
                Input::Header { root, known: known.unwrap_or_else(|error| said(&error, "header", false)) }
            }
            Output::FetchLiveness { epoch } => Input::Liveness { epoch, live: self.live(epoch).await },
            Output::Submit { ticket, submission } => {
                Input::Submitted { ticket, taken: self.submit(submission).await }
            }
            _ => Input::Tick,
        }
    }

    /// Asks for the indices that are not known yet; those of validators that the chain does not know stay out.
    async fn learn_indices(&self) -> Result<(), ApiError> {
        let unknown: Vec<PublicKey> = {
            let indices = self.indices.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            let missing = |key: &PublicKey| !indices.contains_key(key);
            self.seats.iter().map(|seat| seat.group_key).filter(missing).collect()
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let found = self.beacon.validators(&unknown).await?;
        let mut indices = self.indices.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let ours = found.into_iter().filter(|info| unknown.contains(&info.pubkey));
        indices.extend(ours.map(|info| (info.pubkey, info.index)));
        Ok(())
    }

    fn known_indices(&self) -> BTreeMap<PublicKey, ValidatorIndex> {
        self.indices.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    async fn duties(&self, epoch: Epoch) -> Input {
        if let Err(error) = self.learn_indices().await {
            tracing::warn!(%error, "cannot ask the beacon nodes for our validators' indices");
            return Input::Duties { epoch, attesters: None, proposers: None, sync: None };
        }
        let known = self.known_indices();
        let indices: Vec<_> = known.values().copied().collect();
        let attesters = async {
            if indices.is_empty() {
                return Ok(Vec::new());
            }
            self.beacon.attester_duties(epoch, &indices).await
        };
        let sync = async {
            if indices.is_empty() {
                return Ok(Vec::new());
            }
            Ok(self.beacon.sync_duties_reply(epoch, &indices).await?.data)
        };
        let (attesters, proposers, sync) = tokio::join!(attesters, self.beacon.proposer_duties(epoch), sync);
        let attesters = attesters.map_err(|error| said(&error, "duties", ())).ok();
        let sync = sync.map_err(|error| said(&error, "sync committee duties", ())).ok();
        let proposers = proposers.map_err(|error| said(&error, "proposer duties", ())).ok();
        let proposers = proposers.map(|duties| {
            let ours = duties.into_iter();
            ours.filter(|duty| known.get(&duty.pubkey) == Some(&duty.validator_index)).collect()
        });
        Input::Duties { epoch, attesters, proposers, sync }
    }

    /// What the beacon nodes say of a slot, the best one's view first.
    async fn votes(&self, slot: Slot) -> Vec<BeaconVote> {
        match self.beacon.attestation_data_views(slot).await {
            Ok(views) => views.iter().map(BeaconVote::of).collect(),
            Err(error) => said(&error, "attestation data", Vec::new()),
        }
    }

    /// A block of the own beacon nodes, in its blinded form; its contents are kept.
    /// A builder's block comes with the bid that this node handed out for it; without one it is worth nothing.
    async fn block(&self, slot: Slot, randao: &Signature) -> Option<Offer> {
        let boost_factor = self.builder.as_ref().map(|builder| builder.boost_factor);
        let produced = self.beacon.produce_block(slot, randao, Some(self.graffiti), boost_factor).await;
        let produced = produced.map_err(|error| said(&error, "block", ())).ok()?;
        if produced.block.blinded {
            return self.built(produced.block);
        }
        let (contents, preset) = (produced.into_contents(), self.spec.preset);
        let blinded = tokio::task::spawn_blocking(move || {
            let blinded = contents.block.blind(preset).map(|block| (block, contents));
            blinded.map_err(|error| ApiError::Body(error.to_string()))
        });
        let (blinded, contents) = match blinded.await.ok()? {
            Ok(parts) => parts,
            Err(error) => return said(&error, "block", None),
        };
        self.contents.keep(slot, contents);
        Offer::new(blinded, None).ok()
    }

    /// A blinded block of the beacon node: a builder's, of whose bid this node knows.
    fn built(&self, block: ProposedBlock) -> Option<Offer> {
        let bids = self.builder.as_ref().map(|builder| &builder.bids);
        let bid = bids.and_then(|bids| bids.of(block.payload_block_hash));
        if bid.is_none() {
            let hash = block.payload_block_hash;
            tracing::warn!(%hash, "the beacon node offers a builder's block without a bid that this node has seen");
        }
        Offer::new(block, Some(bid?)).ok()
    }

    /// The aggregates that the beacon nodes have, of those wanted: committee or subcommittee, and what it is about.
    async fn aggregates(&self, kind: Kind, slot: Slot, wanted: &[(u64, Root)]) -> Vec<Aggregate> {
        let asked = wanted.iter().map(|(place, subject)| self.aggregate(kind, slot, *place, *subject));
        let answers = futures::future::join_all(asked).await;
        let found = answers.into_iter();
        found.filter_map(|answer| answer.map_err(|error| said(&error, "aggregate", ())).ok()).collect()
    }

    async fn aggregate(
        &self,
        kind: Kind,
        slot: Slot,
        place: u64,
        subject: Root,
    ) -> Result<Aggregate, ApiError> {
        let preset = self.spec.preset;
        let (shape, data) = if kind == Kind::Contribute {
            let data = self.beacon.sync_contribution(slot, place, subject).await?;
            (AggregateShape::Contribution { preset }, data)
        } else {
            let fork = self.spec.fork_at(self.spec.epoch_of(slot)).fork;
            let (fork, data) = self.beacon.aggregate_attestation(fork, slot, subject, place).await?;
            (AggregateShape::Attestation { preset, fork }, data)
        };
        shape.from_json(&data).map_err(|error| ApiError::Body(error.to_string()))
    }

    /// The beacon nodes collect a committee's attestations for its aggregator.
    async fn subscribe(&self, duty: &AttesterDuty) -> Input {
        let subscription = CommitteeSubscription {
            validator_index: duty.validator_index,
            committee_index: duty.committee_index,
            committees_at_slot: duty.committees_at_slot,
            slot: duty.slot,
            is_aggregator: true,
        };
        if let Err(error) = self.beacon.subscribe_committees(&[subscription]).await {
            said(&error, "committee subscription", ());
        }
        Input::Tick
    }

    async fn submit(&self, submission: Submission) -> bool {
        let result = match submission {
            Submission::Attestations(attestations) => self.submit_attestations(attestations).await,
            Submission::SyncMessages(messages) => match json_of(&messages) {
                Ok(body) => self.beacon.submit_sync_messages(body).await,
                Err(error) => Err(error),
            },
            Submission::Aggregates(signed) => self.submit_aggregates(&signed).await,
            Submission::Exit(exit) => match json_of(&exit) {
                Ok(body) => self.beacon.submit_exit(body).await,
                Err(error) => Err(error),
            },
            Submission::Block { offer, signature } => self.submit_block(*offer, signature).await,
        };
        match result {
            Ok(()) => true,
            Err(error @ ApiError::Partly { .. }) => {
                tracing::warn!(%error, "the beacon nodes took only a part of what was signed");
                true
            }
            Err(error) => {
                tracing::warn!(%error, "no beacon node took what was signed");
                false
            }
        }
    }

    async fn submit_attestations(&self, attestations: Vec<SignedAttestation>) -> Result<(), ApiError> {
        let Some(first) = attestations.first() else { return Ok(()) };
        let fork = self.spec.fork_at(first.data.target.epoch).fork;
        let body = if fork < Fork::Electra {
            serde_json::to_value(attestations.iter().map(attestation).collect::<Vec<_>>())
        } else {
            serde_json::to_value(attestations.iter().map(single_attestation).collect::<Vec<_>>())
        };
        let body = body.map_err(|error| ApiError::Body(error.to_string()))?;
        self.beacon.submit_attestations(fork, body).await
    }

    async fn submit_aggregates(&self, signed: &[SignedAggregate]) -> Result<(), ApiError> {
        let Some(first) = signed.first() else { return Ok(()) };
        let body = signed.iter().map(SignedAggregate::to_json).collect();
        match first.aggregate.shape {
            AggregateShape::Attestation { fork, .. } => self.beacon.submit_aggregates(fork, body).await,
            AggregateShape::Contribution { .. } => self.beacon.submit_contributions(body).await,
        }
    }

    /// A builder's block goes back blinded, for its relay has the payload. Of any other, whoever holds the payload
    /// publishes it; one that does not have it in time looks whether it has come from the others.
    async fn submit_block(&self, offer: Offer, signature: Signature) -> Result<(), ApiError> {
        let block = offer.block().clone();
        if offer.bid().is_some() {
            let signed = SignedBlockParts { block, signature };
            let sidecars = Sidecars::default();
            return self.beacon.publish_block(SignedBlockContents { signed, sidecars }).await;
        }
        let patience = Duration::from_millis(self.spec.slot_ms * CONTENTS_BPS / 10_000);
        let Some(contents) = self.contents.wait_for(block.root, patience).await else {
            let known = self.beacon.knows_block(block.root).await?;
            return if known {
                Ok(())
            } else {
                Err(ApiError::Body("nobody sent the block's payload".into()))
            };
        };
        self.beacon.publish_block(contents.sign(signature)).await
    }

    /// Which of our validators the beacon nodes saw act in an epoch, if one says.
    async fn live(&self, epoch: Epoch) -> Option<BTreeSet<ValidatorNo>> {
        if let Err(error) = self.learn_indices().await {
            return said(&error, "indices", None);
        }
        let known = self.known_indices();
        let indices: Vec<_> = known.values().copied().collect();
        let seen = self.beacon.liveness(epoch, &indices).await;
        let seen = seen.map_err(|error| said(&error, "liveness", ())).ok()?;
        let live: BTreeSet<_> = seen.iter().filter(|one| one.is_live).map(|one| one.index).collect();
        Some(self.numbered(|seat| known.get(&seat.group_key).is_some_and(|index| live.contains(index))))
    }

    /// Those of our validators that the head's state calls slashed.
    pub async fn slashed_validators(&self) -> Result<BTreeSet<ValidatorNo>, ApiError> {
        let keys: Vec<_> = self.seats.iter().map(|seat| seat.group_key).collect();
        let found = self.beacon.validators(&keys).await?;
        let slashed: BTreeSet<_> =
            found.iter().filter(|info| info.is_slashed()).map(|info| info.pubkey).collect();
        Ok(self.numbered(|seat| slashed.contains(&seat.group_key)))
    }

    fn numbered(&self, which: impl Fn(&Seat) -> bool) -> BTreeSet<ValidatorNo> {
        (0..)
            .zip(&self.seats)
            .filter(|(_, seat)| which(seat))
            .map(|(number, _)| ValidatorNo(number))
            .collect()
    }

    /// From the next [`ChainSide::prepare`] on, a validator's blocks pay this address.
    pub fn pay(&self, group_key: PublicKey, fee_recipient: Address) {
        let mut recipients = self.recipients.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        recipients.insert(group_key, fee_recipient);
    }

    fn paid(&self) -> Vec<(ValidatorIndex, Address)> {
        let known = self.known_indices();
        let recipients = self.recipients.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let paid = self.seats.iter().filter_map(|seat| {
            let recipient = recipients.get(&seat.group_key).unwrap_or(&seat.fee_recipient);
            Some((*known.get(&seat.group_key)?, *recipient))
        });
        paid.collect()
    }

    /// Tells all beacon nodes whom our blocks pay.
    pub async fn prepare(&self) {
        let paid = self.paid();
        if paid.is_empty() {
            return;
        }
        if let Err(error) = self.beacon.prepare_proposers(&paid).await {
            tracing::warn!(%error, "cannot tell the beacon nodes whom our blocks pay");
        }
    }
}

fn json_of(value: &impl serde::Serialize) -> Result<serde_json::Value, ApiError> {
    serde_json::to_value(value).map_err(|error| ApiError::Body(error.to_string()))
}

fn said<T>(error: &ApiError, about: &'static str, otherwise: T) -> T {
    tracing::debug!(%error, about, "a beacon node's answer");
    otherwise
}

/// The form before Electra: one bit of the committee.
fn attestation(signed: &SignedAttestation) -> Attestation {
    let mut bits = ssz_types::BitList::with_capacity(signed.duty.committee_length as usize)
        .unwrap_or_else(|_| ssz_types::BitList::with_capacity(0).expect("an empty list has room for itself"));
    // A place outside its committee leaves no bit set, which every beacon node refuses.
    let _ = bits.set(signed.duty.validator_committee_index as usize, true);
    Attestation { aggregation_bits: bits, data: signed.data, signature: signed.signature }
}

fn single_attestation(signed: &SignedAttestation) -> SingleAttestation {
    SingleAttestation {
        committee_index: signed.duty.committee_index,
        attester_index: signed.duty.validator_index,
        data: signed.data,
        signature: signed.signature,
    }
}
