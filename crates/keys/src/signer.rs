//! Adds the node's half to checked halves of the validator client.
//!
//! Every signature consumes a [`Permit`], which only the journal can make and nobody can copy: that the promise is
//! durable before the signature exists is a matter of types here, not of discipline.

use crate::curve::HashPoint;
use crate::share::{NodeHalf, PointError};
use crypto::hashed::{HashedRoot, RecentRoots, find_bad};
use crypto::{G2, PublicKeyPoint, SignaturePoint, cores};
use rand_core::{OsRng, RngCore};
use std::collections::{BTreeMap, BTreeSet};
use symbolon_core::SignJob;
use symbolon_core::journal::Permit;
use thiserror::Error;
use types::{PublicKey, Signature, SigningRoot, ValidatorNo};

/// The public key of a validator client's half, parsed and checked once.
#[derive(Clone, Copy, Debug)]
pub struct VcKey(PublicKeyPoint);

impl VcKey {
    /// Checks that the bytes are a point of the group, not infinity.
    ///
    /// - Errors: [`PointError::NotAKey`].
    pub fn parse(key: &PublicKey) -> Result<Self, PointError> {
        PublicKeyPoint::parse(key).map(Self).map_err(|_| PointError::NotAKey(*key))
    }

    /// The compressed key.
    pub const fn bytes(&self) -> PublicKey {
        self.0.bytes()
    }
}

/// One half to check and complete.
#[derive(Debug)]
pub struct CompleteJob<'a> {
    /// What to add.
    pub node_half: &'a NodeHalf,
    /// Under which the client's signature must verify.
    pub vc_key: &'a VcKey,
    /// The right to sign.
    pub permit: Permit,
    /// The client's signature over the permit's root.
    pub half: Signature,
}

impl NodeHalf {
    /// Completes one half signature to the partial signature of the share.
    ///
    /// - `half`: must verify over `permit.root()` under `vc_key`.
    /// - Returns the signature of `s = v + w`, which verifies under the public share; the permit comes back if the
    ///   half or the key is bad, and nothing was signed.
    /// - Cost: one hash to G2, one pairing check, one G2 multiplication.
    pub fn complete(
        &self,
        permit: Permit,
        vc_key: &PublicKey,
        half: &Signature,
    ) -> Result<Signature, Permit> {
        let Ok(vc_key) = VcKey::parse(vc_key) else { return Err(permit) };
        let job = CompleteJob { node_half: self, vc_key: &vc_key, permit, half: *half };
        let completed = complete_many(vec![job], &RecentRoots::default()).pop();
        completed.expect("one result per job").map(|partial| partial.bytes())
    }
}

/// Completes many half signatures, hashing each distinct root once and checking the halves of a root together.
///
/// - `roots`: where roots are looked up, and kept for whoever combines these partials.
/// - Returns one result per job, in order, each as of [`NodeHalf::complete`]: one bad half spoils no other.
/// - Randomness for the check comes from the operating system; results do not depend on it.
/// - Cost: per root one hash, one pairing check, and one inversion; per job reading the half with its subgroup check, and one
///   G2 multiplication; each bad half adds some pairing checks to find it.
pub fn complete_many(jobs: Vec<CompleteJob<'_>>, roots: &RecentRoots) -> Vec<Result<SignaturePoint, Permit>> {
    let mut by_root: BTreeMap<SigningRoot, Vec<(usize, CompleteJob<'_>)>> = BTreeMap::new();
    let count = jobs.len();
    for (position, job) in jobs.into_iter().enumerate() {
        by_root.entry(job.permit.root()).or_default().push((position, job));
    }
    let mut results: Vec<Option<Result<SignaturePoint, Permit>>> = (0..count).map(|_| None).collect();
    for (root, jobs) in by_root {
        complete_root(&roots.hash(&root).0, jobs, &mut results);
    }
    results.into_iter().map(|result| result.expect("every job is in exactly one root's list")).collect()
}

/// This operator's node halves, in the order of the lock, each with the key of its counterpart.
///
/// # Security
/// Holds every `w` of the cluster in memory; all are wiped when it is dropped.
#[derive(Debug)]
pub struct NodeSigner {
    seats: Vec<(NodeHalf, VcKey)>,
}

/// A node half that does not fit its validator.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("validator {validator}: {reason}")]
pub struct SeatError {
    /// Which.
    pub validator: ValidatorNo,
    /// Why.
    pub reason: PointError,
}

impl NodeSigner {
    /// Takes the halves in the order of the lock's validators, each with this operator's public share of it.
    ///
    /// - Errors: [`SeatError`] if a public share is no key, or a half is the whole share.
    /// - Cost: one G1 multiplication per validator, on all cores.
    pub fn new(halves: impl IntoIterator<Item = (NodeHalf, PublicKey)>) -> Result<Self, SeatError> {
        let halves: Vec<_> = halves.into_iter().collect();
        let keys = cores::map(&halves, |(half, share)| half.vc_key(share).and_then(|key| VcKey::parse(&key)));
        let seats = (0..).zip(halves).zip(keys).map(|((number, (half, _)), key)| match key {
            Ok(key) => Ok((half, key)),
            Err(reason) => Err(SeatError { validator: ValidatorNo(number), reason }),
        });
        Ok(Self { seats: seats.collect::<Result<_, _>>()? })
    }

    /// The key that a validator client must sign with, `PK(v)`; `None` for a validator that is not ours.
    pub fn vc_key(&self, validator: ValidatorNo) -> Option<PublicKey> {
        self.seat(validator).map(|(_, key)| key.bytes())
    }

    /// Validators that still have no split: their node half is zero.
    pub fn unsplit(&self) -> Vec<ValidatorNo> {
        let zero = (0..).zip(&self.seats).filter(|(_, (half, _))| half.is_zero());
        zero.map(|(number, _)| ValidatorNo(number)).collect()
    }

    /// Answers [`symbolon_core::Output::Sign`]: one result per job, in order, as [`complete_many`] gives them.
    ///
    /// - A permit for a validator that is not ours comes back.
    pub fn complete(&self, jobs: Vec<SignJob>, roots: &RecentRoots) -> Vec<Result<SignaturePoint, Permit>> {
        let seated: Vec<Result<CompleteJob<'_>, Permit>> =
            jobs.into_iter().map(|job| self.take(job)).collect();
        let mut strangers: Vec<Option<Permit>> = Vec::with_capacity(seated.len());
        let mut ours = Vec::with_capacity(seated.len());
        for job in seated {
            match job {
                Ok(job) => {
                    ours.push(job);
                    strangers.push(None);
                }
                Err(permit) => strangers.push(Some(permit)),
            }
        }
        let mut completed = complete_many(ours, roots).into_iter();
        let answer = |stranger: Option<Permit>| match stranger {
            Some(permit) => Err(permit),
            None => completed.next().expect("one result per job of ours"),
        };
        strangers.into_iter().map(answer).collect()
    }

    fn take(&self, job: SignJob) -> Result<CompleteJob<'_>, Permit> {
        let Some((node_half, vc_key)) = self.seat(job.permit.validator()) else { return Err(job.permit) };
        Ok(CompleteJob { node_half, vc_key, permit: job.permit, half: job.half })
    }

    fn seat(&self, validator: ValidatorNo) -> Option<&(NodeHalf, VcKey)> {
        self.seats.get(usize::try_from(validator.0).ok()?)
    }
}

/// Checks the halves of one root together, then adds `w * H(m)` to each good one; the permits of the others come back.
fn complete_root(
    root: &HashedRoot,
    jobs: Vec<(usize, CompleteJob<'_>)>,
    results: &mut [Option<Result<SignaturePoint, Permit>>],
) {
    let halves: Vec<Option<SignaturePoint>> =
        jobs.iter().map(|(_, job)| SignaturePoint::parse(&job.half).ok()).collect();
    let read = jobs.iter().zip(&halves).enumerate();
    let (places, signed): (Vec<_>, Vec<_>) =
        read.filter_map(|(place, ((_, job), half))| Some((place, (&job.vc_key.0, (*half)?)))).unzip();
    let bad = find_bad(root, &signed, fresh_seed());
    let bad: BTreeSet<usize> = bad.into_iter().map(|found| places[found]).collect();
    let hash = HashPoint::of_hashed(root);
    let (mut positions, mut sums) = (Vec::with_capacity(jobs.len()), Vec::with_capacity(jobs.len()));
    for (place, ((position, job), half)) in jobs.into_iter().zip(halves).enumerate() {
        match half.filter(|_| !bad.contains(&place)) {
            Some(half) => {
                positions.push(position);
                sums.push(hash.sign(job.node_half.scalar()) + *half.point());
            }
            None => results[position] = Some(Err(job.permit)),
        }
    }
    for (position, sum) in positions.into_iter().zip(G2::all_to_affine(&sums)) {
        results[position] = Some(Ok(SignaturePoint::new(sum)));
    }
}

fn fresh_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    OsRng.fill_bytes(&mut seed);
    seed
}
