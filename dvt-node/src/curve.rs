//! Signing and combining, away from the loop: everything that costs a pairing runs on threads of its own (`pool`).

mod pool;

use crypto::Cost;
use crypto::hashed::RecentRoots;
use crypto::recent::Recent;
use crypto::signature::{PublicKeyPoint, SignaturePoint};
use crypto::slot::{Job, Settled, settle};
use keys::NodeSigner;
use pool::{Pool, Urgency};
use rand_core::{OsRng, RngCore as _};
use std::io;
use std::sync::Arc;
use std::thread::available_parallelism;
use symbolon_core::journal::Permit;
use symbolon_core::{CombineJob, Combined, SignJob};
use types::{PublicKey, Signature, SigningRoot, Threshold, ValidatorNo};

/// Own partials that are kept: more than a slot of ten thousand validators has, and less than two megabytes.
const PARTIALS_MAX: usize = 4096;

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
    pool: Pool,
    /// What is signed is combined and checked a moment later.
    roots: RecentRoots,
    /// This operator's own partials of a moment ago: reading one from its bytes takes a square root, and a slot's combinations
    /// begin with the own ones.
    own: Recent<(ValidatorNo, SigningRoot), SignaturePoint>,
}

impl Curve {
    /// For validators in the lock's order. Starts the threads that the work runs on.
    ///
    /// - Errors: the system has no thread left.
    pub fn new(
        signer: NodeSigner,
        validators: Vec<ValidatorKeys>,
        threshold: Threshold,
    ) -> io::Result<Arc<Self>> {
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(Arc::new(Self {
            signer,
            validators,
            threshold,
            pool: Pool::start(cores)?,
            roots: RecentRoots::default(),
            own: Recent::new(PARTIALS_MAX),
        }))
    }

    /// The key that this operator's validator client signs with for a validator.
    pub fn client_key(&self, validator: ValidatorNo) -> Option<PublicKey> {
        self.signer.vc_key(validator)
    }

    /// How many validators' shares are whole in the client's keystores: an import that was not split yet.
    pub fn unsplit(&self) -> usize {
        self.signer.unsplit().len()
    }

    /// The roots hashed lately.
    pub fn roots(&self) -> &RecentRoots {
        &self.roots
    }

    /// Answers [`symbolon_core::Output::Sign`], before anything else that waits.
    pub async fn complete(self: Arc<Self>, jobs: Vec<SignJob>) -> Vec<Result<Signature, Permit>> {
        let curve = self.clone();
        self.pool.run(Urgency::Signing, move || curve.sign(jobs)).await
    }

    /// The same on the calling thread.
    pub fn sign(&self, jobs: Vec<SignJob>) -> Vec<Result<Signature, Permit>> {
        let what: Vec<_> = jobs.iter().map(|job| (job.permit.validator(), job.permit.root())).collect();
        let results = self.signer.complete(jobs, &self.roots);
        for (what, result) in what.into_iter().zip(&results) {
            if let Ok(partial) = result {
                self.own.keep(what, *partial);
            }
        }
        results.into_iter().map(|result| result.map(|partial| partial.bytes())).collect()
    }

    /// Answers [`symbolon_core::Output::Combine`].
    pub async fn combine(self: Arc<Self>, jobs: Vec<CombineJob>) -> Vec<Combined> {
        let curve = self.clone();
        self.pool.run(Urgency::Rest, move || curve.settle(&jobs).0).await
    }

    /// The same on the calling thread, and what it cost.
    pub fn settle(&self, jobs: &[CombineJob]) -> (Vec<Combined>, Cost) {
        let job = |job: &'_ CombineJob| {
            let keys = &self.validators[job.validator.0 as usize];
            (keys, job.root)
        };
        let described: Vec<_> = jobs.iter().map(job).collect();
        let own = jobs.iter().map(|job| self.own.get(&(job.validator, job.root)));
        let jobs: Vec<Job<'_>> = jobs
            .iter()
            .zip(described)
            .zip(own)
            .map(|((job, (keys, root)), own)| Job {
                own,
                root,
                group_key: &keys.group,
                public_shares: &keys.shares,
                threshold: self.threshold,
                partials: &job.partials,
            })
            .collect();
        let mut seed = [0; 32];
        OsRng.fill_bytes(&mut seed);
        let (settled, cost) = settle(&jobs, &self.roots, seed);
        let combined =
            |settled: Settled| Combined { signature: settled.signature, culprits: settled.culprits };
        (settled.into_iter().map(combined).collect(), cost)
    }

    /// Answers [`symbolon_core::Output::VerifyGroup`].
    pub async fn verify(self: Arc<Self>, key: PublicKey, root: SigningRoot, signature: Signature) -> bool {
        let work = move || crypto::verify_root(&key, &root, &signature);
        self.pool.run(Urgency::Rest, work).await
    }
}
