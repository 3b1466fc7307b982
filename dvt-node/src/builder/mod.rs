//! The node as a builder-API proxy between the operator's beacon node and the relays.
//!
//! ```text
//! beacon node: header/{slot}/{parent}/{key} -> all relays at once -> each bid checked -> the best one, kept in [`Bids`]
//! beacon node: a blinded block -> the leader's proposal takes the bid along (`Bids::of`) -> agreed, signed
//! beacon node: blinded_blocks -> the relays that offered it -> published
//! ```
//!
//! A builder's block pays the builder; that the proposer is paid is promised by the relay's signed bid. So every bid
//! that a beacon node ever sees has passed here: it is of a relay on this operator's list, signed by it, for the
//! slot and the parent that were asked for, and not below the operator's minimum. Where there is none, the beacon
//! node is told so and builds its own block.
//!
//! - What relays hear of our validators are the cluster's registrations, signed by the group's keys ([`Builder::register`]); a
//!   validator client's own, under its halves' keys, end here.
//! - Errors are `{code, message}`. No input ends the process; bodies, requests and bids kept are bounded.

mod auction;
mod bids;
mod flags;
mod publish;
mod routes;

pub use auction::{Asked, Unfit};
pub use bids::{BIDS_MAX, Bids};
pub use flags::{BuilderConfig, BuilderFlags};
pub use routes::{BLOCK_LEN_MAX, REGISTRATIONS_LEN_MAX, REQUESTS_MAX};

use crate::chain_side::BuilderSide;
use beacon::Beacon;
use cluster::lock::ClusterValidator;
use crypto::{PointError, PublicKeyPoint};
use remote::{Relay, RelayError, SetupError};
use secrecy::ExposeSecret as _;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::Notify;
use types::builder::{SignedValidatorRegistrationV1, ValidatorRegistrationV1};
use types::{ChainSpec, PublicKey};

/// Most relays of one operator: each is asked in every slot of ours, and there are fewer in all.
pub const RELAYS_MAX: usize = 16;

/// For a relay to take registrations. It verifies a signature for each, and no duty waits for it.
const REGISTER_WAIT: Duration = Duration::from_secs(10);

/// Why there is no proxy. Relays are named by their place in the list, from 1: addresses may hold secrets.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BuilderError {
    /// More relays than [`RELAYS_MAX`].
    #[error("{have} relays, at most {RELAYS_MAX} are asked")]
    TooMany {
        /// How many are named.
        have: usize,
    },
    /// An address that is none of a relay's.
    #[error("relay {position}: {error}")]
    Address {
        /// Its place in the list, from 1.
        position: usize,
        /// What is wrong with it.
        error: SetupError,
    },
    /// The key in an address is none.
    #[error("relay {position} ({label}): its key is no public key: {error}")]
    Key {
        /// Its place in the list, from 1.
        position: usize,
        /// Scheme, host and port.
        label: String,
        /// What is wrong with it.
        error: PointError,
    },
    /// One relay twice: it would be asked twice.
    #[error("relay {position} ({label}) has the key of another one in the list")]
    Twice {
        /// Its place in the list, from 1.
        position: usize,
        /// Scheme, host and port.
        label: String,
    },
}

/// How a relay's answer to a question for a bid ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It was handed out.
    Best,
    /// It was good, and another one better or earlier in the list.
    Outbid,
    /// The relay had none.
    NoBid,
    /// No answer in time.
    Late,
    /// No answer, or none of the API.
    Failed,
    /// A bid below the operator's minimum.
    TooLow,
    /// A bid for something else than what was asked for, or of somebody else.
    Unfit,
    /// A bid that the relay has not signed.
    Forged,
}

/// Something worth counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noticed<'a> {
    /// A relay was asked for a bid.
    Bid {
        /// Scheme, host and port of the relay.
        relay: &'a str,
        /// How it ended.
        fate: Fate,
    },
    /// A signed block was handed to the relays.
    Published {
        /// Whether one of them took it.
        taken: bool,
    },
}

/// Is told what is worth counting.
pub type Notice = Box<dyn Fn(Noticed<'_>) + Send + Sync>;

/// A relay on this operator's list.
struct Listed {
    relay: Relay,
    key: PublicKeyPoint,
}

/// The proxy: what its routes share.
pub struct Builder {
    relays: Vec<Arc<Listed>>,
    validators: BTreeSet<PublicKey>,
    /// The newest that the cluster has signed.
    registrations: RwLock<BTreeMap<PublicKey, SignedValidatorRegistrationV1>>,
    /// There are newer ones.
    changed: Notify,
    spec: Arc<ChainSpec>,
    config: BuilderConfig,
    bids: Arc<Bids>,
    notice: Notice,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relays: Vec<&str> = self.relays.iter().map(|listed| listed.relay.label()).collect();
        f.debug_struct("Builder").field("relays", &relays).finish_non_exhaustive()
    }
}

impl Builder {
    /// A proxy for the cluster's validators. Speaks to nobody yet.
    ///
    /// - Errors: all of [`BuilderError`].
    pub fn new(
        config: BuilderConfig,
        spec: Arc<ChainSpec>,
        validators: &[ClusterValidator],
        notice: Notice,
    ) -> Result<Arc<Self>, BuilderError> {
        let relays = read_relays(&config)?;
        let registrations: BTreeMap<_, _> = validators
            .iter()
            .filter_map(registration)
            .map(|signed| (signed.message.pubkey, signed))
            .collect();
        if let missing @ 1.. = validators.len() - registrations.len() {
            tracing::warn!(
                missing,
                "validators without a registration in the lock: no relay offers them a block"
            );
        }
        let validators = validators.iter().map(|one| one.public_key).collect();
        let bids = Arc::new(Bids::default());
        let (registrations, changed) = (RwLock::new(registrations), Notify::new());
        Ok(Arc::new(Self { relays, validators, registrations, changed, spec, config, bids, notice }))
    }

    /// The bids that were handed out.
    pub const fn bids(&self) -> &Arc<Bids> {
        &self.bids
    }

    /// What the beacon nodes' side needs, to propose a builder's block.
    pub fn side(&self) -> BuilderSide {
        BuilderSide { bids: self.bids.clone(), boost_factor: self.config.boost_factor }
    }

    /// The keys of this operator's relays: a bid under another key counts for nothing, whoever shows it.
    pub fn relay_keys(&self) -> Vec<PublicKey> {
        self.relays.iter().map(|listed| listed.relay.key()).collect()
    }

    /// Takes registrations that the cluster has signed since the ceremony; relays and beacon nodes hear of them at once.
    pub fn learn(&self, newer: impl IntoIterator<Item = SignedValidatorRegistrationV1>) {
        let mut registrations = self.registrations.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        for signed in newer {
            let known = registrations.get(&signed.message.pubkey).map(|known| known.message.timestamp);
            if self.validators.contains(&signed.message.pubkey) && known < Some(signed.message.timestamp) {
                registrations.insert(signed.message.pubkey, signed);
                changed = true;
            }
        }
        if changed {
            self.changed.notify_one();
        }
    }

    fn registrations(&self) -> Vec<SignedValidatorRegistrationV1> {
        self.registrations.read().unwrap_or_else(PoisonError::into_inner).values().copied().collect()
    }

    /// Tells all relays whom our validators' blocks pay: the registrations that the cluster has signed.
    ///
    /// - Returns how many relays took them. The others are named in the log.
    pub async fn register(&self) -> usize {
        let registrations = &self.registrations();
        let tell = |listed: &Arc<Listed>| {
            let listed = listed.clone();
            async move { listed.relay.register_validators(registrations, REGISTER_WAIT).await }
        };
        let told = futures::future::join_all(self.relays.iter().map(tell)).await;
        self.relays.iter().zip(told).filter(|(listed, told)| took(listed, told)).count()
    }

    /// Registers now, each epoch again, and when there is something newer, with relays and beacon nodes: both forget, and restart.
    ///
    /// - `beacon`: some beacon nodes ask a builder only for validators whose registration they have seen, and a
    ///   validator client has none for them.
    pub async fn keep_registered(self: Arc<Self>, beacon: Beacon) {
        let epoch_ms = self.spec.slot_ms.saturating_mul(self.spec.slots_per_epoch).max(1);
        let mut epochs = tokio::time::interval(Duration::from_millis(epoch_ms));
        loop {
            tokio::select! {
                _ = epochs.tick() => {}
                () = self.changed.notified() => {}
            }
            self.register().await;
            self.register_with(&beacon).await;
        }
    }

    async fn register_with(&self, beacon: &Beacon) {
        let registrations = self.registrations();
        if registrations.is_empty() {
            return;
        }
        let body = serde_json::to_value(&registrations).expect("plain structs serialize into memory");
        if let Err(error) = beacon.register_validators(body).await {
            tracing::warn!(%error, "no beacon node took our registrations");
        }
    }
}

fn took(listed: &Listed, told: &Result<(), RelayError>) -> bool {
    if let Err(error) = told {
        tracing::warn!(relay = listed.relay.label(), %error, "a relay did not take our registrations");
    }
    told.is_ok()
}

fn read_relays(config: &BuilderConfig) -> Result<Vec<Arc<Listed>>, BuilderError> {
    if config.relays.len() > RELAYS_MAX {
        return Err(BuilderError::TooMany { have: config.relays.len() });
    }
    let mut relays: Vec<Arc<Listed>> = Vec::new();
    for (position, address) in (1..).zip(&config.relays) {
        let relay = Relay::new(address.expose_secret());
        let relay = relay.map_err(|error| BuilderError::Address { position, error })?;
        let label = relay.label().to_owned();
        if relays.iter().any(|other| other.relay.key() == relay.key()) {
            return Err(BuilderError::Twice { position, label });
        }
        let key = PublicKeyPoint::parse(&relay.key());
        let key = key.map_err(|error| BuilderError::Key { position, label, error })?;
        relays.push(Arc::new(Listed { relay, key }));
    }
    Ok(relays)
}

/// The registration in the builder API's own type.
fn registration(validator: &ClusterValidator) -> Option<SignedValidatorRegistrationV1> {
    let signed = validator.registration?;
    let message = ValidatorRegistrationV1 {
        fee_recipient: signed.message.fee_recipient,
        gas_limit: signed.message.gas_limit,
        timestamp: signed.message.timestamp_s,
        pubkey: signed.message.public_key,
    };
    Some(SignedValidatorRegistrationV1 { message, signature: signed.signature })
}
