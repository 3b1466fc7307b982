//! The rest of the network: validators that are nobody's pool, and do their duties by themselves.
//!
//! They hold so much stake that the chain is final whatever the pool does, and that the pool stays small in it.

use crate::beacon_api::BeaconNode;
use crate::clock::wait_until;
use crate::network;
use cluster::deposit::withdrawal_credentials;
use keys::VcHalf;
use keys::derive::derive_master;
use sim::chain::Chain;
use sim::chain::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinHandle;
use types::attestation::SingleAttestation;
use types::block::{BlockContents, Sidecars};
use types::{Address, ChainSpec, DomainType, Gwei, PublicKey, Root, SigningRoot, Slot, ValidatorIndex};

/// How many there are: four attest in a slot.
const VALIDATORS: u8 = 16;
/// What each has: the most that counts.
const STAKE: Gwei = Gwei(2_048_000_000_000);
/// In sync committees others sit, who do nothing: as almost all members on a real network they are strangers here.
const STRANGERS: u64 = 1 << 20;
/// Where what is too much goes: to nobody.
const NOBODY: Address = Address([0xee; 20]);
/// Whose block it is.
const GRAFFITI: Root = Root([b'h'; 32]);

/// The keys of the house, by index.
#[derive(Debug)]
pub struct House {
    halves: BTreeMap<ValidatorIndex, VcHalf>,
}

impl House {
    /// Keys that everybody knows: nothing here is worth anything.
    pub fn new() -> anyhow::Result<Self> {
        let half =
            |no: u8| Ok((ValidatorIndex(no.into()), derive_master(&[no + 1; 32])?.into_imported_half()));
        Ok(Self { halves: (0..VALIDATORS).map(half).collect::<anyhow::Result<_>>()? })
    }

    /// Their public keys, by index.
    pub fn keys(&self) -> Vec<PublicKey> {
        self.halves.values().map(VcHalf::public).collect()
    }

    /// A chain of theirs.
    pub fn chain(&self, spec: ChainSpec) -> Chain {
        let credentials = withdrawal_credentials(NOBODY, true);
        let account = |key| (key, credentials, STAKE);
        Chain::with_registry(spec, Registry::new(self.keys().into_iter().map(account)), STRANGERS, 1)
    }

    /// Does their duties for ever.
    pub fn live(self, node: Arc<BeaconNode>) -> JoinHandle<()> {
        let house = Arc::new(self);
        tokio::spawn(async move {
            let spec = node.spec().clone();
            for slot in (node.now().map_or(1, |now| now.0 + 1)..).map(Slot) {
                wait_until(spec.slot_start(slot)).await;
                house.clone().on_thread(&node, move |house, node| house.propose(node, slot)).await;
                wait_until(spec.attestation_due(slot)).await;
                house.clone().on_thread(&node, move |house, node| house.attest(node, slot)).await;
            }
        })
    }

    /// Curves take milliseconds: they stay off the threads that serve.
    async fn on_thread(
        self: Arc<Self>,
        node: &Arc<BeaconNode>,
        work: impl FnOnce(&Self, &BeaconNode) -> Result<(), String> + Send + 'static,
    ) {
        let node = Arc::clone(node);
        match tokio::task::spawn_blocking(move || work(&self, &node)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a duty of the house"),
            Err(error) => tracing::warn!(%error, "a duty of the house"),
        }
    }

    fn propose(&self, node: &BeaconNode, slot: Slot) -> Result<(), String> {
        let (spec, proposer) = (node.spec(), node.look(|chain| chain.proposer(slot)));
        let Some(half) = self.halves.get(&proposer) else { return Ok(()) };
        let epoch = spec.epoch_of(slot);
        let randao = half.sign(&SigningRoot::randao(spec, epoch));
        let block = node.produce(slot, randao, GRAFFITI).map_err(|error| error.to_string())?;
        let root = SigningRoot::of(spec, DomainType::BeaconProposer, epoch, block.root);
        let signed = BlockContents { block, sidecars: Sidecars::default() }.sign(half.sign(&root));
        let json = signed.to_json(spec.preset).map_err(|error| error.to_string())?;
        let json = json.get("signed_block").cloned().unwrap_or_default();
        node.publish(&signed.signed, json).map_err(|error| error.to_string())
    }

    fn attest(&self, node: &BeaconNode, slot: Slot) -> Result<(), String> {
        let spec = node.spec();
        let data = node.vote(slot).map_err(|error| error.to_string())?.data(0);
        let root = SigningRoot::of(spec, DomainType::BeaconAttester, data.target.epoch, Root::of(&data));
        for who in node.look(|chain| chain.committee(slot)) {
            let Some(half) = self.halves.get(&who) else { continue };
            let signature = half.sign(&root);
            let single = SingleAttestation { committee_index: 0, attester_index: who, data, signature };
            node.attest(&single).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// The network of a pool's life: short epochs, so that what takes days elsewhere takes minutes.
pub fn spec(genesis_s: u64, seconds_per_slot: u64, slots_per_epoch: u64) -> ChainSpec {
    ChainSpec { slots_per_epoch, ..network::spec(genesis_s, seconds_per_slot) }
}
