//! Contender (b): the library threshold_crypto, over the same keys and the same messages.
//!
//! Its own hash to G2 is not Ethereum's, so it is given ours; its points and scalars are the same, and so its signatures are.
//! It counts a polynomial's degree and lays share `i` at `x = i + 1`: both are converted here and nowhere else. Its keys here
//! are made up (ADR 0005).

use super::made::{Arrived, Made, Validator, me};
use super::{Contender, Slot};
use anyhow::Context as _;
use crypto::Scalar;
use threshold_crypto::ff::{PrimeField as _, PrimeFieldRepr as _};
use threshold_crypto::group::{CurveAffine, EncodedPoint as _};
use threshold_crypto::poly::Poly;
use threshold_crypto::{
    Fr, FrRepr, G2Affine, PublicKey, PublicKeySet, PublicKeyShare, SecretKeySet, SecretKeyShare, Signature,
    SignatureShare,
};
use types::ShareIndex;

/// Pairings of one of its verifications.
const PAIRINGS: usize = 2;

/// A validator's keys in the library's types.
struct Seat {
    set: PublicKeySet,
    shares: Vec<PublicKeyShare>,
    client: PublicKey,
    own: SecretKeyShare,
}

/// Verifies the client's half, every partial of the others, and the combination.
pub(super) struct Peer<'a> {
    made: &'a Made,
    seats: Vec<Seat>,
}

impl<'a> Peer<'a> {
    /// Converts the keys.
    pub(super) fn new(made: &'a Made) -> anyhow::Result<Self> {
        let seats = made.validators.iter().map(|validator| Seat::new(made, validator));
        Ok(Self { made, seats: seats.collect::<anyhow::Result<_>>()? })
    }
}

impl Seat {
    fn new(made: &Made, validator: &Validator) -> anyhow::Result<Self> {
        let coefficients: Vec<Fr> =
            validator.coefficients.iter().map(convert).collect::<anyhow::Result<_>>()?;
        let secret = SecretKeySet::from(Poly::from(coefficients));
        let set = secret.public_keys();
        let shares = made.size.indices().map(|index| set.public_key_share(index.position())).collect();
        let client =
            PublicKey::from_bytes(validator.client_key.bytes().0).ok().context("the client's key")?;
        Ok(Self { shares, client, own: secret.secret_key_share(me().position()), set })
    }

    fn slot(
        &self,
        slot: &mut Slot,
        (no, half): (usize, &types::Signature),
        partials: &[(ShareIndex, types::Signature)],
        (hash, threshold): (G2Affine, usize),
    ) -> anyhow::Result<Option<types::Signature>> {
        let half = Signature::from_bytes(half.0).ok().context("the client's half")?;
        slot.pairings += PAIRINGS;
        anyhow::ensure!(self.client.verify_g2(&half, hash), "the client's half does not verify");
        let mut good = vec![(me().position(), self.own.sign_g2(hash))];
        for (index, bytes) in partials {
            let share = SignatureShare::from_bytes(bytes.0).ok();
            slot.pairings += PAIRINGS;
            match share.filter(|share| self.shares[index.position()].verify_g2(share, hash)) {
                Some(share) => good.push((index.position(), share)),
                None => _ = slot.culprits.insert((no, *index)),
            }
        }
        let Some(quorum) = good.get(..threshold) else { return Ok(None) };
        let combined = self.set.combine_signatures(quorum.iter().map(|(i, share)| (*i, share)));
        let combined = combined.ok().context("a quorum of distinct shares")?;
        slot.pairings += PAIRINGS;
        let holds = self.set.public_key().verify_g2(&combined, hash);
        Ok(holds.then(|| types::Signature(combined.to_bytes())))
    }
}

impl Contender for Peer<'_> {
    fn slot(&mut self, arrived: &Arrived) -> anyhow::Result<Slot> {
        let mut slot = Slot::default();
        let common = (hash(&self.made.hash)?, self.made.threshold());
        for (no, seat) in self.seats.iter().enumerate() {
            let half = &self.made.validators[no].half;
            let signature = seat.slot(&mut slot, (no, half), &arrived[no], common)?;
            slot.signatures.push(signature);
        }
        Ok(slot)
    }
}

fn convert(scalar: &Scalar) -> anyhow::Result<Fr> {
    let mut repr = FrRepr::default();
    repr.read_be(&scalar.to_be_bytes()[..])?;
    Fr::from_repr(repr).context("a scalar below the order")
}

fn hash(bytes: &[u8; 96]) -> anyhow::Result<G2Affine> {
    let mut compressed = <G2Affine as CurveAffine>::Compressed::empty();
    compressed.as_mut().copy_from_slice(bytes);
    compressed.into_affine().ok().context("a hash is a point of G2")
}
