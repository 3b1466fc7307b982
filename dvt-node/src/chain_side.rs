//! The beacon nodes' side: grants the wishes of core that are questions or submissions to the chain.

use crate::sidecars::Kept;
use beacon::{ApiError, Beacon, Head};
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use symbolon_core::{Input, Output, SignedAttestation, Submission};
use types::attestation::{Attestation, SingleAttestation};
use types::block::{ProposedBlock, SignedBlockContents, SignedBlockParts};
use types::{Address, BeaconVote, ChainSpec, Epoch, Fork, PublicKey, Root, Signature, Slot, ValidatorIndex};

/// One of the cluster's validators, as the chain knows it.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// Its key.
    pub group_key: PublicKey,
    /// Whom its blocks pay.
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
    sidecars: Arc<Kept>,
    graffiti: Root,
}

impl ChainSide {
    /// For validators in the lock's order.
    pub fn new(
        beacon: Beacon,
        spec: Arc<ChainSpec>,
        seats: Vec<Seat>,
        sidecars: Arc<Kept>,
        graffiti: Root,
    ) -> Arc<Self> {
        Arc::new(Self { beacon, spec, seats, indices: RwLock::default(), sidecars, graffiti })
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
            Output::FetchVote { slot } => Input::BeaconVote { slot, vote: self.vote(slot).await },
            Output::FetchBlock { slot, randao } => {
                Input::Block { slot, block: self.block(slot, &randao).await }
            }
            Output::FetchHeader { root } => {
                let known = self.beacon.knows_block(root).await;
                Input::Header { root, known: known.unwrap_or_else(|error| said(&error, "header", false)) }
            }
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
            return Input::Duties { epoch, attesters: None, proposers: None };
        }
        let known = self.known_indices();
        let indices: Vec<_> = known.values().copied().collect();
        let attesters = async {
            if indices.is_empty() {
                return Ok(Vec::new());
            }
            self.beacon.attester_duties(epoch, &indices).await
        };
        let (attesters, proposers) = tokio::join!(attesters, self.beacon.proposer_duties(epoch));
        let wanted = |result: Result<_, ApiError>| result.map_err(|error| said(&error, "duties", ())).ok();
        let proposers = proposers.map_err(|error| said(&error, "proposer duties", ())).ok();
        let proposers = proposers.map(|duties| {
            let ours = duties.into_iter();
            ours.filter(|duty| known.get(&duty.pubkey) == Some(&duty.validator_index)).collect()
        });
        Input::Duties { epoch, attesters: wanted(attesters), proposers }
    }

    async fn vote(&self, slot: Slot) -> Option<BeaconVote> {
        let data = self.beacon.attestation_data(slot).await;
        data.map(|data| BeaconVote::of(&data)).map_err(|error| said(&error, "attestation data", ())).ok()
    }

    async fn block(&self, slot: Slot, randao: &Signature) -> Option<ProposedBlock> {
        let produced = self.beacon.produce_block(slot, randao, Some(self.graffiti), None).await;
        let produced = produced.map_err(|error| said(&error, "block", ())).ok()?;
        self.sidecars.keep(slot, produced.block.root, produced.contents);
        Some(produced.block)
    }

    async fn submit(&self, submission: Submission) -> bool {
        let result = match submission {
            Submission::Attestations(attestations) => self.submit_attestations(attestations).await,
            Submission::Block { block, signature } => self.submit_block(block, signature).await,
        };
        match result {
            Ok(()) => true,
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

    async fn submit_block(&self, block: ProposedBlock, signature: Signature) -> Result<(), ApiError> {
        let sidecars = self.sidecars.of(block.root).unwrap_or_default();
        let signed = SignedBlockParts { block, signature };
        self.beacon.publish_block(SignedBlockContents { signed, sidecars }).await
    }

    /// Tells all beacon nodes whom our blocks pay.
    pub async fn prepare(&self) {
        let known = self.known_indices();
        let paid =
            self.seats.iter().filter_map(|seat| Some((*known.get(&seat.group_key)?, seat.fee_recipient)));
        let paid: Vec<_> = paid.collect();
        if paid.is_empty() {
            return;
        }
        if let Err(error) = self.beacon.prepare_proposers(&paid).await {
            tracing::warn!(%error, "cannot tell the beacon nodes whom our blocks pay");
        }
    }
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
