//! The ceremony of a cluster definition: what its operators and its keys sign, and the files that come of it.

use super::plan::Setup;
use super::seal::{
    CeremonyKey, CeremonyPeers, Document, LockSignature, SealedLock, SealedValidator, Sealing,
};
use cluster::folder::LOCK;
use cluster::k1::recover;
use cluster::lock::BuildError;
use cluster::{
    Definition, Lock, Network, Networks, NewValidator, NotReady, SignedDeposit, SignedRegistration, Version,
};
use keys::{NodeKeys, Operator};
use thiserror::Error;
use types::wire::Verify as _;
use types::{ClusterSize, Millis, NodeSignature, PublicKey, Root, ShareIndex, SigningRoot, ValidatorNo};

/// Why there is no ceremony of a definition.
#[derive(Debug, Error)]
pub enum UnfitDefinition {
    /// A rule for all ceremonies is broken.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// Its locks hold no deposit of each amount: they were never made by us.
    #[error("definitions of {0} are read only; make a new one")]
    OldVersion(Version),
    /// More validators than a share index can count.
    #[error("{0} validators are too many")]
    Validators(usize),
}

/// A definition on which a ceremony may run.
#[derive(Clone, Debug)]
pub struct ReadyDefinition {
    definition: Definition,
    network: Network,
    size: ClusterSize,
    validators: u32,
    registered_s: u64,
}

impl ReadyDefinition {
    /// Checks a definition by [`Definition::ready`].
    ///
    /// - Errors: [`UnfitDefinition`].
    pub fn new(definition: Definition, networks: &Networks) -> Result<Self, UnfitDefinition> {
        let network = definition.ready(networks)?.clone();
        if !definition.version().has_deposit_amounts() {
            return Err(UnfitDefinition::OldVersion(definition.version()));
        }
        let size = definition.size().map_err(NotReady::from)?;
        let count = definition.validators().len();
        let validators = u32::try_from(count).map_err(|_| UnfitDefinition::Validators(count))?;
        let registered_s = network.genesis_time_s;
        Ok(Self { definition, network, size, validators, registered_s })
    }

    /// The same with registrations of this Unix time in seconds, instead of the network's genesis as for new keys.
    pub fn registered_at(self, registered_s: u64) -> Self {
        Self { registered_s, ..self }
    }

    /// The setup of an attempt at it.
    pub fn setup(&self, me: ShareIndex, attempt: u32, deadline: Millis) -> Setup {
        Setup {
            definition_hash: self.definition.definition_hash(),
            attempt,
            size: self.size,
            me,
            validators: self.validators,
            deadline,
        }
    }

    /// The node keys of its operators, in order: compressed.
    pub fn node_keys(&self) -> Vec<[u8; 33]> {
        let keys = self.definition.node_keys();
        let key = |key: Option<cluster::NodeKey>| key.expect("a ready definition has every node's record");
        keys.map(|found| *key(found).as_bytes()).collect()
    }

    fn new_validator(&self, number: ValidatorNo, sealed: &SealedValidator) -> NewValidator {
        let (deposits, registration) = sealed.signatures.split_at(sealed.signatures.len() - 1);
        let messages = self.deposits(number, &sealed.group);
        let deposits = messages.into_iter().zip(deposits);
        let message = self.registration(number, &sealed.group);
        NewValidator {
            public_key: sealed.group,
            public_shares: sealed.public_shares.clone(),
            deposits: deposits.map(|(message, s)| SignedDeposit { message, signature: *s }).collect(),
            registration: SignedRegistration { message, signature: registration[0] },
        }
    }

    fn deposits(&self, validator: ValidatorNo, group: &PublicKey) -> Vec<cluster::DepositMessage> {
        let messages = self.definition.deposit_messages(validator, *group);
        messages.expect("a definition that is ready has every validator's withdrawal address")
    }

    fn registration(&self, validator: ValidatorNo, group: &PublicKey) -> cluster::Registration {
        let message = self.definition.registration(validator, *group, self.registered_s);
        message.expect("a definition that is ready has every validator's fee recipient")
    }

    fn unsigned(&self, validators: &[SealedValidator]) -> Result<Lock, BuildError> {
        let numbers = (0..self.validators).map(ValidatorNo);
        let new = numbers.zip(validators).map(|(number, sealed)| self.new_validator(number, sealed));
        Lock::unsigned(self.definition.clone(), new.collect())
    }

    fn lock(&self, validators: &[SealedValidator]) -> Lock {
        self.unsigned(validators).expect("the ceremony makes what the definition asks for")
    }
}

impl Sealing for ReadyDefinition {
    fn messages(&self) -> usize {
        self.definition.deposit_amounts().len() + 1
    }

    fn signing_roots(&self, validator: ValidatorNo, group: &PublicKey) -> Vec<SigningRoot> {
        let fork = self.network.fork_version;
        let deposits = self.deposits(validator, group);
        let deposits = deposits.iter().map(|deposit| deposit.signing_root(fork));
        deposits.chain([self.registration(validator, group).signing_root(fork)]).collect()
    }

    fn lock_hash(&self, validators: &[SealedValidator]) -> Root {
        self.lock(validators).lock_hash()
    }

    fn documents(&self, sealed: &SealedLock) -> Vec<Document> {
        let lock = self.lock(&sealed.validators);
        let lock = lock.with_signatures(sealed.signature_aggregate, &sealed.node_signatures);
        let deposits = lock.deposit_files(&self.network).expect("the lock has every deposit");
        let deposits = deposits.into_iter().map(|f| Document { name: f.name, bytes: f.json.into_bytes() });
        let file = Document { name: LOCK.to_owned(), bytes: lock.to_json().into_bytes() };
        // The lock comes last: where it lies, everything else does.
        deposits.chain([file]).collect()
    }
}

impl CeremonyKey for Operator {
    fn sign_lock(&self, lock_hash: &Root) -> LockSignature {
        self.key().sign_prehash_recoverable(&lock_hash.0)
    }
}

impl CeremonyPeers for Operator {
    fn verify_lock(&self, author: ShareIndex, lock_hash: &Root, signature: &LockSignature) -> bool {
        self.peers().verify_lock(author, lock_hash, signature)
    }
}

impl CeremonyPeers for NodeKeys {
    fn verify_lock(&self, author: ShareIndex, lock_hash: &Root, signature: &LockSignature) -> bool {
        let (rs, v) = signature.split_at(NodeSignature::LEN);
        let rs = NodeSignature(rs.try_into().expect("split at its length"));
        // The low half of s and v of 0 or 1: the one form that readers of locks agree on.
        let well_formed = v[0] <= 1 && self.verify(author, &lock_hash.0, &rs);
        let by = recover(*lock_hash, signature).ok().map(|key| cluster::NodeKey::from(&key));
        well_formed && by.and_then(|key| self.index_of(key.as_bytes())) == Some(author)
    }
}
