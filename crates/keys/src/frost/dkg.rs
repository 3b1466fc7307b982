//! Key generation: the two rounds of FROST's (Pedersen's with proofs of knowledge), over frost-core.
//!
//! 1. [`Dealer::new`] draws a secret polynomial of degree `t - 1`; [`Round1`] commits to it and proves knowledge
//!    of its constant term. Everybody gets the same.
//! 2. [`deal`] checks the others' [`Round1`] of many validators together and evaluates each polynomial once for each
//!    operator: one [`PrivateShare`] each, confidential.
//! 3. [`finish`] adds up the shares received of one validator and checks the sum: a [`DistributedKey`].
//!
//! **Context.** frost-core's proof of knowledge is bound to the author's index, not to a ceremony, and has no hook
//! for more. So the ceremony binds it from outside: round 1 travels under its author's node signature over the
//! ceremony id, and all operators echo those signatures before any share goes out. A proof copied from another
//! ceremony (only its author's own index fits) then commits its author to a constant term that it does not know:
//! it can deal no consistent shares to `t` others, and where it needs to convince fewer, the seal fails without it.
//! The nonce and the polynomial come from one [stream](super::stream) bound to the ceremony, so no two
//! proofs share a nonce.
//!
//! **Sums.** An operator's share is the sum of what it was dealt, and its public share is the sum of what the commitments
//! say of that. So one equation, `G sum_d f_d(i) = sum_d sum_k i^k phi_dk`, says that the share is right, and none is
//! checked alone. Dealers who conspire may deal shares that are wrong by amounts which cancel; the key and everybody's
//! share of it are then what they should be all the same. If the equation fails, some dealer's own equation does, and
//! that one is evidence.
//!
//! Source: Komlo and Goldberg, FROST (SAC 2020), figure 1; frost-core 3, `keys::dkg`, whose `part2` and `part3` check
//! one by one what is checked together here.

mod proofs;

use super::curve::{Point, Scalar};
use super::suite::{Bls12381G1Sha256 as S, ScalarField};
use crypto::PublicKeyPoint;
use crypto::point::G1;
use frost_core::keys::dkg::{part1, part2, round1};
use frost_core::keys::{
    CoefficientCommitment, PublicKeyPackage, SecretShare, SigningShare, VerifiableSecretSharingCommitment,
};
use frost_core::{Field, Identifier, Signature};
use rand_core::{CryptoRng, RngCore};
use std::{collections::BTreeMap, fmt};
use thiserror::Error;
use types::{ClusterSize, ShareIndex};
use zeroize::Zeroizing;

const POINT_LEN: usize = 48;
const SCALAR_LEN: usize = 32;

/// Bytes of a [`Round1`]: `t` commitments, then the proof's point and scalar.
pub const fn round1_len(size: ClusterSize) -> usize {
    size.threshold() * POINT_LEN + POINT_LEN + SCALAR_LEN
}

/// Why a [`Round1`] is refused: its author's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Round1Error {
    /// More or fewer commitments than the threshold says, or bytes to spare.
    #[error("{have} bytes instead of {want}: commitments to a polynomial of another degree")]
    Length {
        /// Bytes found.
        have: usize,
        /// Bytes wanted.
        want: usize,
    },
    /// A commitment that is no point of the group, or the identity.
    #[error("commitment {coefficient} is not a point of the group other than the identity")]
    Commitment {
        /// Of which coefficient, from 0.
        coefficient: usize,
    },
    /// The proof of knowledge is not even one in form.
    #[error("the proof of knowledge is malformed")]
    ProofForm,
    /// The proof of knowledge does not verify.
    #[error("the proof of knowledge is wrong")]
    Proof,
}

/// What a dealer tells everybody: commitments to its polynomial, proof of knowledge of the constant term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round1 {
    package: round1::Package<S>,
    bytes: Box<[u8]>,
}

impl Round1 {
    fn of_package(package: round1::Package<S>) -> Self {
        let commitments = package.commitment().serialize_whole();
        let proof = package.proof_of_knowledge().serialize();
        let whole = commitments.and_then(|mut bytes| {
            bytes.extend(proof?);
            Ok(bytes.into_boxed_slice())
        });
        let bytes = whole.expect("no point drawn is the identity, which alone has no bytes");
        Self { package, bytes }
    }

    /// [`round1_len`] bytes: commitments from the constant term on, 48 bytes each; `R` 48 bytes; `mu` 32 bytes.
    pub const fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads [`Round1::bytes`]; checks length, group membership and canonical form, not the proof.
    ///
    /// - Cost: `t + 1` square roots and subgroup checks.
    pub fn from_bytes(size: ClusterSize, bytes: &[u8]) -> Result<Self, Round1Error> {
        let (have, want) = (bytes.len(), round1_len(size));
        if have != want {
            return Err(Round1Error::Length { have, want });
        }
        let (points, proof) = bytes.split_at(size.threshold() * POINT_LEN);
        let commitment = VerifiableSecretSharingCommitment::deserialize(points.chunks_exact(POINT_LEN))
            .map_err(|_| Round1Error::Commitment { coefficient: first_bad_point(points) })?;
        let proof = Signature::deserialize(proof).map_err(|_| Round1Error::ProofForm)?;
        Ok(Self { package: round1::Package::new(commitment, proof), bytes: bytes.into() })
    }

    /// Checks the proof of knowledge of `author` alone.
    ///
    /// - Errors: [`Round1Error::Proof`].
    /// - Cost: two full G1 multiplications and `t` field operations.
    pub fn check(&self, size: ClusterSize, author: ShareIndex) -> Result<(), Round1Error> {
        // frost-core checks proofs on the way through `part2` only. So a reader with a constant polynomial of
        // ones asks it for its share to `author`: the answer is no secret and thrown away.
        let reader = identifier(if author.get() == 1 { 2 } else { 1 });
        let ones = vec![ScalarField::one(); size.threshold()];
        let (t, two) = (size.threshold() as u16, 2);
        let secret = round1::SecretPackage::new(reader, ones, self.package.commitment().clone(), t, two);
        let package = BTreeMap::from([(identifier(author.get()), self.package.clone())]);
        part2(secret, &package).map(|_| ()).map_err(|_| Round1Error::Proof)
    }

    /// Whether `share` is this dealer's polynomial at `recipient`.
    ///
    /// - Cost: one full and `t` short G1 multiplications.
    pub fn fits(&self, recipient: ShareIndex, share: &PrivateShare) -> bool {
        share.signing_share().is_some_and(|share| {
            let commitment = self.package.commitment().clone();
            SecretShare::new(identifier(recipient.get()), share, commitment).verify().is_ok()
        })
    }
}

/// 32 big-endian bytes: a dealer's polynomial at one operator, or an operator's sum of these.
///
/// # Security
/// Secret. Wiped on drop; prints `<redacted>`. Any bytes can be held; whether they are a share is
/// [`Round1::fits`]'s to say.
#[derive(Clone)]
pub struct PrivateShare(Zeroizing<[u8; SCALAR_LEN]>);

impl PrivateShare {
    /// Bytes: the length of a share on the wire.
    pub const LEN: usize = SCALAR_LEN;

    /// A share as it came over the wire or from disk.
    pub fn from_bytes(bytes: [u8; SCALAR_LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    ///
    /// # Security
    /// The secret itself.
    pub fn expose(&self) -> &[u8; SCALAR_LEN] {
        &self.0
    }

    fn signing_share(&self) -> Option<SigningShare<S>> {
        SigningShare::deserialize(&*self.0).ok()
    }

    fn of(share: &SigningShare<S>) -> Self {
        Self(Zeroizing::new(ScalarField::serialize(&share.to_scalar())))
    }

    /// `None` if one of them is not a number below the order.
    fn sum(shares: &[Self]) -> Option<Self> {
        let numbers = shares.iter().map(|share| Scalar::from_be_bytes(&share.0));
        let sum = numbers.reduce(|sum, number| Some(sum? + number?))??;
        Some(Self(Zeroizing::new(sum.to_be_bytes())))
    }
}

impl fmt::Debug for PrivateShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateShare(<redacted>)")
    }
}

/// An operator as the dealer of one validator, while the others' [`Round1`] are awaited.
///
/// # Security
/// Holds the secret polynomial; wiped on drop, prints `<redacted>`. frost-core's own copies on the way are
/// wiped where [`WipingAllocator`](super::WipingAllocator) is installed.
pub struct Dealer {
    size: ClusterSize,
    me: ShareIndex,
    secret: round1::SecretPackage<S>,
    round1: Round1,
}

impl Dealer {
    /// Draws polynomial and nonce from `rng`. The same stream gives the same dealer.
    ///
    /// - Cost: `t + 1` full G1 multiplications.
    pub fn new(size: ClusterSize, me: ShareIndex, rng: impl RngCore + CryptoRng) -> Self {
        let (n, t) = (size.operators() as u16, size.threshold() as u16);
        let (secret, package) = part1(identifier(me.get()), n, t, rng).expect("2 <= t <= n in a ClusterSize");
        Self { size, me, secret, round1: Round1::of_package(package) }
    }

    /// What everybody is told.
    pub fn round1(&self) -> &Round1 {
        &self.round1
    }

    /// The polynomial at each operator, this one included, in order.
    fn shares(&self) -> Vec<PrivateShare> {
        // A copy, which the program's allocator wipes.
        let coefficients = self.secret.coefficients();
        let share = |index: ShareIndex| {
            PrivateShare::of(&SigningShare::from_coefficients(&coefficients, identifier(index.get())))
        };
        self.size.indices().map(share).collect()
    }
}

/// A wrong proof of knowledge: its author's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the proof of knowledge of operator {author} for the validator at place {place} is wrong")]
pub struct WrongProof {
    /// Which of the dealers' validators, from 0.
    pub place: usize,
    /// Whose.
    pub author: ShareIndex,
}

/// Checks everybody's proofs of some validators together, and evaluates the polynomials at each operator.
///
/// - `dealers`: one operator's, one for each validator.
/// - `rows`: for each validator everybody's round 1 in order of operator; this operator's own is not looked at.
/// - `seed`: 32 bytes that no author could foresee.
/// - Returns for each validator one share per operator, in order.
/// - Errors: all proofs that are wrong, each found by [`Round1::check`].
/// - Cost: about 30 us a proof for some hundreds of them; on failure what it takes to check each.
/// - Soundness: a wrong proof passes with probability at most `2^-128`.
pub fn deal(
    dealers: &[Dealer],
    rows: &[Vec<Round1>],
    seed: &[u8; 32],
) -> Result<Vec<Vec<PrivateShare>>, Vec<WrongProof>> {
    assert!(dealers.len() == rows.len(), "one dealer for each validator");
    let places = || dealers.iter().zip(rows).enumerate();
    let others = || {
        places().flat_map(|(place, (dealer, row))| {
            assert!(row.len() == dealer.size.operators(), "one round-1 package for each operator");
            dealer.size.others(dealer.me).map(move |author| (place, author, &row[author.position()]))
        })
    };
    let proofs: Vec<_> = others().map(|(_, author, round1)| (author, round1)).collect();
    if !proofs::hold(&proofs, seed) {
        let wrong =
            others().filter(|(place, author, round1)| round1.check(dealers[*place].size, *author).is_err());
        return Err(wrong.map(|(place, author, _)| WrongProof { place, author }).collect());
    }
    Ok(dealers.iter().map(Dealer::shares).collect())
}

impl fmt::Debug for Dealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dealer").field("me", &self.me).field("secret", &"<redacted>").finish()
    }
}

/// A key nobody has, and this operator's share of it.
#[derive(Debug)]
pub struct DistributedKey {
    /// The validator's key.
    pub group: PublicKeyPoint,
    /// Everybody's public share, in order of operator.
    pub public_shares: Vec<PublicKeyPoint>,
    /// This operator's share of the secret.
    pub share: PrivateShare,
}

/// Why received shares make no key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FinishError {
    /// Shares that contradict their dealers' commitments.
    #[error("the shares of operators {dealers:?} do not fit their commitments")]
    Shares {
        /// Whose.
        dealers: Vec<ShareIndex>,
    },
    /// The dealers' polynomials cancel out somewhere: by chance in no lifetime, by choice against every proof.
    #[error("the key or one of its shares would be zero")]
    Zero,
}

/// Adds up the shares received, and checks the sum against the sum of the commitments.
///
/// - `round1`, `shares`: everybody's in order of operator, this operator's own included.
/// - Errors: [`FinishError`]; the dealers are found by [`Round1::fits`].
/// - Cost: one full and `n t` short G1 multiplications.
pub fn finish(
    size: ClusterSize,
    me: ShareIndex,
    round1: &[Round1],
    shares: &[PrivateShare],
) -> Result<DistributedKey, FinishError> {
    assert!(round1.len() == size.operators() && shares.len() == size.operators(), "one for each operator");
    let wrong = || {
        let fits = |dealer: &ShareIndex| round1[dealer.position()].fits(me, &shares[dealer.position()]);
        let dealers: Vec<_> = size.others(me).filter(|dealer| !fits(dealer)).collect();
        assert!(!dealers.is_empty(), "shares that fit their commitments add up to one that fits their sum");
        FinishError::Shares { dealers }
    };
    let sum = PrivateShare::sum(shares).ok_or_else(wrong)?;
    let public = Public::of(size, round1);
    let own = Zeroizing::new(*sum.expose());
    let own = Scalar::from_be_bytes(&own).expect("a sum is written as a number below the order");
    if Point::generator() * own != public.shares[me.position()] {
        return Err(wrong());
    }
    let (group, public_shares) = public.keys().ok_or(FinishError::Zero)?;
    Ok(DistributedKey { group, public_shares, share: sum })
}

/// The key that everybody's commitments make, and everybody's public share of it, in order: what whoever holds no share
/// can compute, and the same as in [`finish`].
///
/// - `round1`: everybody's in order of operator.
/// - Returns `None` if the commitments cancel out somewhere.
/// - Cost: `n t` short G1 multiplications.
pub fn public_keys(size: ClusterSize, round1: &[Round1]) -> Option<(PublicKeyPoint, Vec<PublicKeyPoint>)> {
    assert!(round1.len() == size.operators(), "one round-1 package for each operator");
    Public::of(size, round1).keys()
}

/// What the commitments make, the identity perhaps among it.
struct Public {
    group: Point,
    /// In order of operator.
    shares: Vec<Point>,
}

impl Public {
    fn of(size: ClusterSize, round1: &[Round1]) -> Self {
        let commitments = size.indices().zip(round1);
        let commitments =
            commitments.map(|(index, one)| (identifier(index.get()), one.package.commitment())).collect();
        let package = PublicKeyPackage::<S>::from_dkg_commitments(&commitments);
        let package = package.expect("commitments that were read have one degree, and there is one at least");
        let shares = package.verifying_shares().values().map(|share| share.to_element()).collect();
        Self { group: package.verifying_key().to_element(), shares }
    }

    /// `None` if one of them is zero, which is nobody's key.
    fn keys(&self) -> Option<(PublicKeyPoint, Vec<PublicKeyPoint>)> {
        let points: Vec<G1> =
            self.shares.iter().chain([&self.group]).map(|point| G1::vouched(*point.as_blst())).collect();
        let mut keys = PublicKeyPoint::of_all(&points).ok()?;
        let group = keys.pop().expect("the group's comes last");
        Some((group, keys))
    }
}

fn first_bad_point(points: &[u8]) -> usize {
    let bad = |point| CoefficientCommitment::<S>::deserialize(point).is_err();
    points.chunks_exact(POINT_LEN).position(bad).unwrap_or_default()
}

fn identifier(index: u8) -> Identifier<S> {
    Identifier::try_from(u16::from(index)).expect("share indices are not zero")
}

#[cfg(test)]
mod tests;
