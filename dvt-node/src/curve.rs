//! Signing and combining, away from the loop: everything that costs a pairing runs on blocking threads.

use crypto::signature::PublicKeyPoint;
use crypto::slot::{Job, Settled, settle};
use keys::NodeSigner;
use rand_core::{OsRng, RngCore as _};
use std::sync::Arc;
use symbolon_core::journal::Permit;
use symbolon_core::{CombineJob, Combined, SignJob};
use types::{PublicKey, Signature, SigningRoot, Threshold, ValidatorNo};

/// The public keys of one validator, parsed once.
#[derive(Debug)]
pub struct ValidatorKeys {
    /// The validator's.
    pub group: PublicKeyPoint,
    /// Of operators `1..=n`.
    pub shares: Vec<PublicKeyPoint>,
}

/// This operator's halves and everybody's public keys.
///
/// # Security
/// Holds the node halves; they are wiped when the last handle is dropped, and never leave.
#[derive(Debug)]
pub struct Curve {
    signer: NodeSigner,
    validators: Vec<ValidatorKeys>,
    threshold: Threshold,
}

impl Curve {
    /// For validators in the lock's order.
    pub fn new(signer: NodeSigner, validators: Vec<ValidatorKeys>, threshold: Threshold) -> Arc<Self> {
        Arc::new(Self { signer, validators, threshold })
    }

    /// The key that this operator's validator client signs with for a validator.
    pub fn client_key(&self, validator: ValidatorNo) -> Option<&PublicKey> {
        self.signer.vc_key(validator)
    }

    /// How many validators' shares are whole in the client's keystores: an import that was not split yet.
    pub fn unsplit(&self) -> usize {
        self.signer.unsplit().len()
    }

    /// Answers [`symbolon_core::Output::Sign`].
    pub async fn complete(self: Arc<Self>, jobs: Vec<SignJob>) -> Vec<Result<Signature, Permit>> {
        blocking(move || self.signer.complete(jobs)).await
    }

    /// Answers [`symbolon_core::Output::Combine`].
    pub async fn combine(self: Arc<Self>, jobs: Vec<CombineJob>) -> Vec<Combined> {
        blocking(move || self.settle(&jobs)).await
    }

    fn settle(&self, jobs: &[CombineJob]) -> Vec<Combined> {
        let job = |job: &'_ CombineJob| {
            let keys = &self.validators[job.validator.0 as usize];
            (keys, job.root)
        };
        let described: Vec<_> = jobs.iter().map(job).collect();
        let jobs: Vec<Job<'_>> = jobs
            .iter()
            .zip(described)
            .map(|(job, (keys, root))| Job {
                root,
                group_key: &keys.group,
                public_shares: &keys.shares,
                threshold: self.threshold,
                partials: &job.partials,
            })
            .collect();
        let mut seed = [0; 32];
        OsRng.fill_bytes(&mut seed);
        let (settled, _cost) = settle(&jobs, seed);
        let combined =
            |settled: Settled| Combined { signature: settled.signature, culprits: settled.culprits };
        settled.into_iter().map(combined).collect()
    }

    /// Answers [`symbolon_core::Output::VerifyGroup`].
    pub async fn verify(self: Arc<Self>, key: PublicKey, root: SigningRoot, signature: Signature) -> bool {
        blocking(move || {
            let key = PublicKeyPoint::parse(&key);
            key.is_ok_and(|key| crypto::signature::verify(&key, root.as_ref(), &signature))
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
