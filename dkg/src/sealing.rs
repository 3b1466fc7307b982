//! A definition as the ceremony sees it, and an operator's node key as it signs there.

use crate::ceremony::{CeremonyKey, Document, LockSignature, SealedLock, SealedValidator, Sealing};
use cluster::definition::Definition;
use cluster::deposit::SignedDeposit;
use cluster::folder;
use cluster::lock::{Lock, NewValidator};
use cluster::network::Network;
use cluster::registration::SignedRegistration;
use keys::identity::Operator;
use types::wire::{Sign, Verify};
use types::{NodeSignature, PublicKey, Root, ShareIndex, SigningRoot, ValidatorNo};

/// A definition that [`Definition::ready`] has let pass, with its network.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What was approved.
    pub definition: Definition,
    /// Where.
    pub network: Network,
}

const READY: &str = "a ready definition has addresses for every validator, and its lock has room for them";

impl Plan {
    fn validator(&self, sealed: &SealedValidator, number: ValidatorNo) -> NewValidator {
        let messages = self.definition.deposit_messages(number, sealed.group).expect(READY);
        let (last, deposits) = sealed.signatures.split_last().expect("the registration comes last");
        let deposit = |(message, signature)| SignedDeposit { message, signature };
        let registration = self.definition.registration(number, sealed.group, self.network.genesis_time_s);
        NewValidator {
            public_key: sealed.group,
            public_shares: sealed.public_shares.clone(),
            deposits: messages.into_iter().zip(deposits.iter().copied()).map(deposit).collect(),
            registration: SignedRegistration { message: registration.expect(READY), signature: *last },
        }
    }

    fn lock(&self, validators: &[SealedValidator]) -> Lock {
        let numbered = validators.iter().zip((0..).map(ValidatorNo));
        let validators = numbered.map(|(sealed, number)| self.validator(sealed, number)).collect();
        Lock::unsigned(self.definition.clone(), validators).expect(READY)
    }
}

impl Sealing for Plan {
    fn messages(&self) -> usize {
        self.definition.deposit_amounts().len() + 1
    }

    fn signing_roots(&self, validator: ValidatorNo, group: &PublicKey) -> Vec<SigningRoot> {
        let genesis = self.network.fork_version;
        let deposits = self.definition.deposit_messages(validator, *group).expect(READY);
        let registration = self.definition.registration(validator, *group, self.network.genesis_time_s);
        let deposits = deposits.iter().map(|message| message.signing_root(genesis));
        deposits.chain([registration.expect(READY).signing_root(genesis)]).collect()
    }

    fn lock_hash(&self, validators: &[SealedValidator]) -> Root {
        self.lock(validators).lock_hash()
    }

    fn documents(&self, sealed: &SealedLock) -> Vec<Document> {
        let lock = self.lock(&sealed.validators);
        let lock = lock.with_signatures(sealed.signature_aggregate, &sealed.node_signatures);
        let deposits = lock.deposit_files(&self.network).expect(READY);
        let deposits =
            deposits.into_iter().map(|file| Document { name: file.name, bytes: file.json.into_bytes() });
        let lock = Document { name: folder::LOCK.to_owned(), bytes: lock.to_json().into_bytes() };
        // The lock comes last: where it lies, everything else does.
        deposits.chain([lock]).collect()
    }
}

/// This operator's node key, with everybody's public ones.
#[derive(Debug)]
pub struct Signer(pub Operator);

impl Verify for Signer {
    fn verify(&self, author: ShareIndex, digest: &[u8; 32], signature: &NodeSignature) -> bool {
        self.0.verify(author, digest, signature)
    }
}

impl Sign for Signer {
    fn author(&self) -> ShareIndex {
        self.0.author()
    }

    fn sign(&self, digest: &[u8; 32]) -> NodeSignature {
        self.0.sign(digest)
    }
}

impl CeremonyKey for Signer {
    fn sign_lock(&self, lock_hash: &Root) -> LockSignature {
        self.0.key().sign_prehash_recoverable(&lock_hash.0)
    }

    fn verify_lock(&self, author: ShareIndex, lock_hash: &Root, signature: &LockSignature) -> bool {
        let [compact @ .., recovery] = signature;
        *recovery <= 1 && self.0.verify(author, &lock_hash.0, &NodeSignature(*compact))
    }
}
