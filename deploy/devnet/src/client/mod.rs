//! A plain validator client: it knows the beacon API of one node and its own keys, and nothing of clusters.
//!
//! What it signs with may be a validator's key or one operator's half of a share: it cannot tell, which is the point. Only
//! its flag for distributed mode says so: then it has its selection proofs combined by the node before it aggregates.
//! One attestation a validator and epoch, one block where its validator proposes, a vote a slot of a sync committee's
//! member; aggregates and contributions of those whose proofs win.
//!
//! - [`api`]: what it asks. [`record`]: what it has signed.
//! - [`selections`]: when it asks for selection proofs. `aggregate`, `sync`: what they are for.

mod aggregate;
pub mod api;
pub mod record;
pub mod selections;
mod sync;

use crate::clock;
use api::{Api, ApiError};
use futures::StreamExt as _;
use keys::VcHalf;
use record::{Record, Slashable};
use selections::{Proofs, Selecting};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::sleep;
use types::attestation::SingleAttestation;
use types::block::BlockContents;
use types::duty::{AttesterDuty, ProposerDuty, SyncDuty};
use types::{
    Address, AttestationData, ChainSpec, DomainType, Epoch, Millis, PublicKey, Root, Signature, SigningRoot,
    Slot, ValidatorIndex,
};

/// Pause before a node that did not answer is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Why a duty is not done. The client goes on with the next.
#[derive(Debug, Error)]
enum DutyError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Slashable(#[from] Slashable),
    #[error("the node's answer is for {0}, which was not asked for")]
    Other(&'static str),
}

/// Duties of an epoch.
#[derive(Clone, Debug, Default)]
struct Duties {
    attesters: Vec<AttesterDuty>,
    proposers: Vec<ProposerDuty>,
    /// Of the epoch's sync committee.
    members: Vec<SyncDuty>,
}

/// A validator client that knows its network and its validators.
pub struct Client {
    api: Api,
    spec: ChainSpec,
    halves: BTreeMap<PublicKey, VcHalf>,
    indices: BTreeMap<PublicKey, ValidatorIndex>,
    fee_recipient: Address,
    selecting: Selecting,
    proofs: Mutex<Proofs>,
    duties: Mutex<BTreeMap<Epoch, Arc<Duties>>>,
    record: Mutex<Record>,
}

impl Client {
    /// Waits until the node at `url` answers and knows all keys and the next duties.
    ///
    /// - Errors: only if no HTTP client can be made; a node that is not there yet is asked again.
    pub async fn connect(
        url: &str,
        halves: BTreeMap<PublicKey, VcHalf>,
        fee_recipient: Address,
        selecting: Selecting,
    ) -> Result<Self, ApiError> {
        let api = Api::new(url)?;
        let spec = until_answered("config/spec", || api.spec()).await;
        let keys: Vec<_> = halves.keys().copied().collect();
        let indices = loop {
            let indices = until_answered("validators", || api.indices(&keys)).await;
            if keys.iter().all(|key| indices.contains_key(key)) {
                break indices;
            }
            tracing::info!(known = indices.len(), keys = keys.len(), "the chain does not know all keys yet");
            sleep(RETRY_PAUSE).await;
        };
        let (duties, record, proofs) = (Mutex::default(), Mutex::default(), Mutex::default());
        let client = Self { api, spec, halves, indices, fee_recipient, selecting, proofs, duties, record };
        let epoch = client.spec.epoch_of(client.now().unwrap_or_default());
        until_answered("duties", || client.refresh(epoch)).await;
        Ok(client)
    }

    fn now(&self) -> Option<Slot> {
        self.spec.slot_at(clock::now())
    }

    /// Does the duties of every slot from the next on; never returns.
    pub async fn serve(self) {
        let client = Arc::new(self);
        let (sender, heads) = watch::channel(Slot(0));
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(Arc::clone(&client).follow(sender));
        tasks.spawn(Arc::clone(&client).select_at_start());
        let mut slot = client.now().map_or(Slot(0), Slot::next);
        loop {
            clock::wait_until(client.spec.slot_start(slot)).await;
            tasks.spawn(Arc::clone(&client).slot(slot, heads.clone()));
            while tasks.try_join_next().is_some() {}
            slot = client.now().unwrap_or(slot).max(slot).next();
        }
    }

    /// Follows the node's heads for ever; a stream that breaks is opened again.
    async fn follow(self: Arc<Self>, heads: watch::Sender<Slot>) {
        loop {
            match self.api.heads().await {
                Ok(mut slots) => {
                    while let Some(slot) = slots.next().await {
                        heads.send_replace(slot);
                    }
                }
                Err(error) => tracing::debug!(%error, "no event stream"),
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    async fn slot(self: Arc<Self>, slot: Slot, heads: watch::Receiver<Slot>) {
        let epoch = self.spec.epoch_of(slot);
        let Some(duties) = self.duties_of(epoch).await else { return };
        let selected = self.select_early(slot);
        let (proposed, attested, voted, refreshed, ()) = tokio::join!(
            self.propose(slot, &duties),
            self.attest_and_aggregate(slot, &duties, heads.clone()),
            self.vote_and_contribute(slot, heads),
            self.look_ahead(slot),
            selected,
        );
        let results =
            [("propose", proposed), ("attest", attested), ("sync committee", voted), ("duties", refreshed)];
        for (kind, result) in results {
            if let Err(error) = result {
                tracing::warn!(%slot, kind, %error, "not done");
            }
        }
    }

    async fn duties_of(&self, epoch: Epoch) -> Option<Arc<Duties>> {
        let known = || self.duties.lock().unwrap_or_else(PoisonError::into_inner).get(&epoch).cloned();
        if known().is_none() {
            let refreshed = self.refresh(epoch).await;
            refreshed.inspect_err(|error| tracing::warn!(%epoch, %error, "no duties")).ok()?;
        }
        known()
    }

    /// The middle of an epoch brings the next one's duties; its start brings them again, now that they are settled.
    async fn look_ahead(&self, slot: Slot) -> Result<(), DutyError> {
        let place = slot.0 % self.spec.slots_per_epoch;
        let epoch = self.spec.epoch_of(slot);
        if place == 0 {
            self.refresh(epoch).await?;
        }
        if place == self.spec.slots_per_epoch / 2 {
            self.refresh(epoch.next()).await?;
        }
        Ok(())
    }

    async fn refresh(&self, epoch: Epoch) -> Result<(), ApiError> {
        let who: Vec<_> = self.indices.values().copied().collect();
        let (attesters, mut proposers, members) = tokio::try_join!(
            self.api.attesters(epoch, &who),
            self.api.proposers(epoch),
            self.api.members(epoch, &who)
        )?;
        proposers.retain(|duty| self.halves.contains_key(&duty.pubkey));
        self.api.prepare(&who, self.fee_recipient).await?;
        self.api.subscribe(&attesters).await?;
        self.api.subscribe_members(&members, epoch).await?;
        let mut duties = self.duties.lock().unwrap_or_else(PoisonError::into_inner);
        duties.retain(|other, _| other.next() >= epoch);
        duties.insert(epoch, Arc::new(Duties { attesters, proposers, members }));
        Ok(())
    }

    async fn propose(&self, slot: Slot, duties: &Duties) -> Result<(), DutyError> {
        let Some(duty) = duties.proposers.iter().find(|duty| duty.slot == slot) else { return Ok(()) };
        let Some(half) = self.halves.get(&duty.pubkey) else { return Ok(()) };
        let epoch = self.spec.epoch_of(slot);
        let randao = half.sign(&SigningRoot::randao(&self.spec, epoch));
        let contents = self.api.block(self.spec.preset, slot, &randao).await?;
        let signature = self.sign_block(duty, half, &contents)?;
        self.api.publish(self.spec.preset, &contents.sign(signature)).await?;
        tracing::info!(%slot, "proposed");
        Ok(())
    }

    fn sign_block(
        &self,
        duty: &ProposerDuty,
        half: &VcHalf,
        contents: &BlockContents,
    ) -> Result<Signature, DutyError> {
        let block = &contents.block;
        if block.slot != duty.slot || block.proposer_index != duty.validator_index {
            return Err(DutyError::Other("another slot or proposer"));
        }
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.block(duty.pubkey, block.slot, block.root)?;
        let epoch = self.spec.epoch_of(block.slot);
        Ok(half.sign(&SigningRoot::of(&self.spec, DomainType::BeaconProposer, epoch, block.root)))
    }

    /// Waits until the slot's block is the head, or a third of the slot is over.
    async fn until_head(&self, slot: Slot, mut heads: watch::Receiver<Slot>) {
        tokio::select! {
            () = async { drop(heads.wait_for(|head| *head >= slot).await) } => {}
            () = clock::wait_until(self.spec.attestation_due(slot)) => {}
        }
    }

    /// Attests; returns what.
    async fn attest(
        &self,
        slot: Slot,
        due: &[AttesterDuty],
        heads: watch::Receiver<Slot>,
    ) -> Result<AttestationData, DutyError> {
        self.until_head(slot, heads).await;
        let data = self.api.attestation_data(slot).await?;
        if data.slot != slot || data.target.epoch != self.spec.epoch_of(slot) {
            return Err(DutyError::Other("another slot or epoch"));
        }
        let signed: Vec<_> = due.iter().filter_map(|duty| self.sign_attestation(duty, &data)).collect();
        if !signed.is_empty() {
            let fork = self.spec.fork_at(data.target.epoch).fork;
            self.api.attest(fork, &signed).await?;
            tracing::info!(%slot, validators = signed.len(), "attested");
        }
        Ok(data)
    }

    fn sign_attestation(&self, duty: &AttesterDuty, data: &AttestationData) -> Option<SingleAttestation> {
        let half = self.halves.get(&duty.pubkey)?;
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = record.attestation(duty.pubkey, data) {
            tracing::error!(validator = %duty.pubkey, %error, "the node asked for a slashable signature");
            return None;
        }
        let (domain, epoch) = (DomainType::BeaconAttester, data.target.epoch);
        let signature = half.sign(&SigningRoot::of(&self.spec, domain, epoch, Root::of(data)));
        let (committee_index, attester_index) = (duty.committee_index, duty.validator_index);
        Some(SingleAttestation { committee_index, attester_index, data: *data, signature })
    }

    /// When the chain begins.
    pub fn genesis(&self) -> Millis {
        self.spec.slot_start(Slot(0))
    }
}

/// Asks again until there is an answer.
async fn until_answered<T, F: Future<Output = Result<T, ApiError>>>(what: &str, ask: impl Fn() -> F) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => tracing::debug!(what, %error, "the node does not answer yet"),
        }
        sleep(RETRY_PAUSE).await;
    }
}

#[cfg(test)]
mod tests;
