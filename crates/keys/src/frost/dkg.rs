//! One validator's key generation: the two rounds of FROST's (Pedersen's with proofs of knowledge), by frost-core.
//!
//! 1. [`Dealer::new`] draws a secret polynomial of degree `t - 1`; [`Round1`] commits to it and proves knowledge
//!    of its constant term. Everybody gets the same.
//! 2. [`Dealer::deal`] checks the others' [`Round1`] and evaluates the polynomial once for each operator: one
//!    [`PrivateShare`] each, confidential.
//! 3. [`finish`] checks the shares received against the commitments and adds them up: a [`DistributedKey`].
//!
//! **Context.** frost-core's proof of knowledge is bound to the author's index, not to a ceremony, and has no hook
//! for more. So the ceremony binds it from outside: round 1 travels under its author's node signature over the
//! ceremony id, and all operators echo those signatures before any share goes out. A proof copied from another
//! ceremony (only its author's own index fits) then commits its author to a constant term that it does not know:
//! it can deal no consistent shares to `t` others, and where it needs to convince fewer, the seal fails without it.
//! The nonce and the polynomial come from one [stream](super::stream) bound to the ceremony, so no two
//! proofs share a nonce.
//!
//! Source: Komlo and Goldberg, FROST (SAC 2020), figure 1; frost-core 3, `keys::dkg`.

use super::suite::{Bls12381G1Sha256 as S, ScalarField};
use frost_core::keys::dkg::{part1, part2, part3, round1, round2};
use frost_core::keys::{
    CoefficientCommitment, PublicKeyPackage, SecretShare, SigningShare, VerifiableSecretSharingCommitment,
};
use frost_core::{Field, Identifier, Signature};
use rand_core::{CryptoRng, RngCore};
use std::{collections::BTreeMap, fmt};
use thiserror::Error;
use types::{ClusterSize, PublicKey, ShareIndex};
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
pub struct Round1(round1::Package<S>);

impl Round1 {
    /// [`round1_len`] bytes: commitments from the constant term on, 48 bytes each; `R` 48 bytes; `mu` 32 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let commitments = self.0.commitment().serialize_whole();
        let proof = self.0.proof_of_knowledge().serialize();
        let whole = commitments.and_then(|mut bytes| {
            bytes.extend(proof?);
            Ok(bytes)
        });
        whole.expect("no point read or drawn is the identity, which alone has no bytes")
    }

    /// Reads [`Round1::to_bytes`]; checks length, group membership and canonical form, not the proof.
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
        Ok(Self(round1::Package::new(commitment, proof)))
    }

    /// Checks the proof of knowledge of `author`.
    ///
    /// - Errors: [`Round1Error::Proof`].
    /// - Cost: two full G1 multiplications and `t` field operations.
    pub fn check(&self, size: ClusterSize, author: ShareIndex) -> Result<(), Round1Error> {
        // frost-core checks proofs on the way through `part2` only. So a reader with a constant polynomial of
        // ones asks it for its share to `author`: the answer is no secret and thrown away.
        let reader = identifier(if author.get() == 1 { 2 } else { 1 });
        let ones = vec![ScalarField::one(); size.threshold()];
        let (t, two) = (size.threshold() as u16, 2);
        let secret = round1::SecretPackage::new(reader, ones, self.0.commitment().clone(), t, two);
        let package = BTreeMap::from([(identifier(author.get()), self.0.clone())]);
        part2(secret, &package).map(|_| ()).map_err(|_| Round1Error::Proof)
    }

    /// Whether `share` is this dealer's polynomial at `recipient`.
    ///
    /// - Cost: one full and `t` short G1 multiplications.
    pub fn fits(&self, recipient: ShareIndex, share: &PrivateShare) -> bool {
        share.signing_share().is_some_and(|share| {
            let commitment = self.0.commitment().clone();
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
        let bytes = Zeroizing::new(share.serialize());
        let mut out = Zeroizing::new([0; SCALAR_LEN]);
        out.copy_from_slice(&bytes);
        Self(out)
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
        Self { size, me, secret, round1: Round1(package) }
    }

    /// What everybody is told.
    pub fn round1(&self) -> &Round1 {
        &self.round1
    }

    /// Checks everybody's proof and evaluates the polynomial at each operator, this one included.
    ///
    /// - `all`: everybody's in order of operator; this operator's own place is not looked at.
    /// - Returns one share per operator, in order.
    /// - Errors: the operators whose proof is wrong.
    /// - Cost: `2 (n - 1)` full G1 multiplications.
    pub fn deal(self, all: &[Round1]) -> Result<Vec<PrivateShare>, Vec<ShareIndex>> {
        let (size, me) = (self.size, self.me);
        let others = others(size, me, all);
        let (own, packages) = part2(self.secret, &others).map_err(|_| wrong_proofs(size, me, all))?;
        let own = PrivateShare(Zeroizing::new(ScalarField::serialize(&own.secret_share())));
        let shares = size.indices().map(|index| match packages.get(&identifier(index.get())) {
            Some(package) => PrivateShare::of(package.signing_share()),
            None => own.clone(),
        });
        Ok(shares.collect())
    }
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
    pub group: PublicKey,
    /// Everybody's public share, in order of operator.
    pub public_shares: Vec<PublicKey>,
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

/// Checks the shares received and adds them up.
///
/// - `round1`, `shares`: everybody's in order of operator, this operator's own included.
/// - Errors: [`FinishError`].
/// - Cost: `n` full and about `2 n t` short G1 multiplications.
pub fn finish(
    size: ClusterSize,
    me: ShareIndex,
    round1: &[Round1],
    shares: &[PrivateShare],
) -> Result<DistributedKey, FinishError> {
    assert!(round1.len() == size.operators() && shares.len() == size.operators(), "one for each operator");
    let packages = others(size, me, round1);
    let received: Option<BTreeMap<_, _>> = size
        .others(me)
        .map(|dealer| {
            let share = shares[dealer.position()].signing_share()?;
            Some((identifier(dealer.get()), round2::Package::new(share)))
        })
        .collect();
    let wrong = || {
        let dealers = size.others(me);
        let wrong = dealers.filter(|dealer| !round1[dealer.position()].fits(me, &shares[dealer.position()]));
        FinishError::Shares { dealers: wrong.collect() }
    };
    let received = received.ok_or_else(wrong)?;
    let own = ScalarField::deserialize(&shares[me.position()].0).expect("our own share is one we computed");
    let commitment = round1[me.position()].0.commitment().clone();
    let (n, t) = (size.operators() as u16, size.threshold() as u16);
    let secret = round2::SecretPackage::new(identifier(me.get()), commitment, own, t, n);
    let (key, public) = part3(&secret, &packages, &received).map_err(|_| wrong())?;
    let (group, public_shares) = keys_of(&public).ok_or(FinishError::Zero)?;
    Ok(DistributedKey { group, public_shares, share: PrivateShare::of(key.signing_share()) })
}

/// The key that everybody's commitments make, and everybody's public share of it, in order: what whoever holds no share
/// can compute, and the same as in [`finish`].
///
/// - `round1`: everybody's in order of operator.
/// - Returns `None` if the commitments cancel out somewhere.
/// - Cost: `n t` short G1 multiplications.
pub fn public_keys(size: ClusterSize, round1: &[Round1]) -> Option<(PublicKey, Vec<PublicKey>)> {
    assert!(round1.len() == size.operators(), "one round-1 package for each operator");
    let commitments =
        size.indices().zip(round1).map(|(index, one)| (identifier(index.get()), one.0.commitment()));
    keys_of(&PublicKeyPackage::from_dkg_commitments(&commitments.collect()).ok()?)
}

/// `None` if one of them is zero, which has no bytes.
fn keys_of(public: &PublicKeyPackage<S>) -> Option<(PublicKey, Vec<PublicKey>)> {
    let shares = public.verifying_shares().values().map(|share| public_key(&share.serialize().ok()?));
    let group = public.verifying_key().serialize().ok()?;
    Some((public_key(&group)?, shares.collect::<Option<Vec<_>>>()?))
}

fn first_bad_point(points: &[u8]) -> usize {
    let bad = |point| CoefficientCommitment::<S>::deserialize(point).is_err();
    points.chunks_exact(POINT_LEN).position(bad).unwrap_or_default()
}

fn identifier(index: u8) -> Identifier<S> {
    Identifier::try_from(u16::from(index)).expect("share indices are not zero")
}

fn others(size: ClusterSize, me: ShareIndex, all: &[Round1]) -> BTreeMap<Identifier<S>, round1::Package<S>> {
    assert!(all.len() == size.operators(), "one round-1 package for each operator");
    size.others(me).map(|index| (identifier(index.get()), all[index.position()].0.clone())).collect()
}

fn wrong_proofs(size: ClusterSize, me: ShareIndex, all: &[Round1]) -> Vec<ShareIndex> {
    size.others(me).filter(|author| all[author.position()].check(size, *author).is_err()).collect()
}

fn public_key(bytes: &[u8]) -> Option<PublicKey> {
    bytes.try_into().ok().map(PublicKey)
}

#[cfg(test)]
mod tests;
