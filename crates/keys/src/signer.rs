//! Adds the node's half to checked halves of the validator client.
//!
//! Every signature consumes a [`Permit`], which only the journal can make and nobody can copy: that the promise is
//! durable before the signature exists is a matter of types here, not of discipline.

use crate::batch;
use crate::curve::{HashPoint, key_point};
use crate::share::{NodeHalf, PointError};
use blst::min_pk::{AggregateSignature, PublicKey as KeyPoint, Signature as Point};
use crypto::cores;
use rand_core::{OsRng, RngCore};
use std::collections::BTreeMap;
use symbolon_core::SignJob;
use symbolon_core::journal::Permit;
use thiserror::Error;
use types::{PublicKey, Signature, SigningRoot, ValidatorNo};

/// The public key of a validator client's half, parsed and checked once.
#[derive(Clone, Copy, Debug)]
pub struct VcKey {
    bytes: PublicKey,
    point: KeyPoint,
}

impl VcKey {
    /// Checks that the bytes are a point of the group, not infinity.
    ///
    /// - Errors: [`PointError::NotAKey`].
    pub fn parse(key: &PublicKey) -> Result<Self, PointError> {
        let point = key_point(key).ok_or(PointError::NotAKey(*key))?;
        Ok(Self { bytes: *key, point })
    }

    /// The compressed key.
    pub const fn bytes(&self) -> &PublicKey {
        &self.bytes
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
        let hash = HashPoint::of(&job.permit.root());
        let point = half_point(&job.half);
        // A single check needs no randomness: its only coefficient cancels.
        let good = point.is_some_and(|point| batch::check_many(&hash, &[(vc_key.point, point)], [0; 32])[0]);
        finish(job, &hash, point.filter(|_| good))
    }
}

/// Completes many half signatures, hashing each distinct root once and checking the halves of a root together.
///
/// - Returns one result per job, in order, each as of [`NodeHalf::complete`]: one bad half spoils no other.
/// - Randomness for the check comes from the operating system; results do not depend on it.
/// - Cost: per root one hash and one pairing check; per job one subgroup check and one G2 multiplication; each bad
///   half adds some pairing checks to find it.
pub fn complete_many(jobs: Vec<CompleteJob<'_>>) -> Vec<Result<Signature, Permit>> {
    let mut by_root: BTreeMap<SigningRoot, Vec<(usize, CompleteJob<'_>)>> = BTreeMap::new();
    let count = jobs.len();
    for (position, job) in jobs.into_iter().enumerate() {
        by_root.entry(job.permit.root()).or_default().push((position, job));
    }
    let mut results: Vec<Option<Result<Signature, Permit>>> = (0..count).map(|_| None).collect();
    for (root, jobs) in by_root {
        complete_root(&root, jobs, &mut results);
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
    pub fn vc_key(&self, validator: ValidatorNo) -> Option<&PublicKey> {
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
    pub fn complete(&self, jobs: Vec<SignJob>) -> Vec<Result<Signature, Permit>> {
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
        let mut completed = complete_many(ours).into_iter();
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

fn complete_root(
    root: &SigningRoot,
    jobs: Vec<(usize, CompleteJob<'_>)>,
    results: &mut [Option<Result<Signature, Permit>>],
) {
    let hash = HashPoint::of(root);
    let points: Vec<Option<Point>> = jobs.iter().map(|(_, job)| half_point(&job.half)).collect();
    let halves = jobs.iter().zip(&points);
    let checked: Vec<_> =
        halves.filter_map(|((_, job), point)| point.map(|point| (job.vc_key.point, point))).collect();
    let mut verdicts = batch::check_many(&hash, &checked, fresh_seed()).into_iter();
    for ((position, job), point) in jobs.into_iter().zip(points) {
        let good = point.filter(|_| verdicts.next().expect("one verdict per point"));
        results[position] = Some(finish(job, &hash, good));
    }
}

/// Adds `w * H(m)` to a half that is known to be good, or gives the permit back.
fn finish(job: CompleteJob<'_>, hash: &HashPoint, good_half: Option<Point>) -> Result<Signature, Permit> {
    let Some(half) = good_half else { return Err(job.permit) };
    let mut whole = AggregateSignature::from_signature(&half);
    whole.add_aggregate(&hash.sign(job.node_half.scalar()));
    Ok(Signature(whole.to_signature().compress()))
}

/// In the group and finite, or `None`.
fn half_point(half: &Signature) -> Option<Point> {
    Point::sig_validate(half.as_ref(), true).ok()
}

fn fresh_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    OsRng.fill_bytes(&mut seed);
    seed
}
