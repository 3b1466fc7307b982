//! Contender (a): every signature verified alone by blst, as a node does that takes the library's documentation at its word.

use super::made::{Arrived, Made, Validator, me};
use super::{Contender, Slot};
use crypto::plain::{self, PAIRINGS};
use crypto::{PublicKeyPoint, SignaturePoint};
use types::{ShareIndex, Signature};

/// Verifies the client's half, every partial of the others, and the combination; combines with full multiplications.
pub(super) struct Plain<'a> {
    pub(super) made: &'a Made,
    /// What verifications have taken.
    pub(super) verifying: super::clock::Stopwatch,
}

impl Contender for Plain<'_> {
    fn slot(&mut self, arrived: &Arrived) -> anyhow::Result<Slot> {
        let mut slot = Slot::default();
        for (no, (validator, partials)) in self.made.validators.iter().zip(arrived).enumerate() {
            let signature = self.validator(&mut slot, no, validator, partials);
            slot.signatures.push(signature);
        }
        Ok(slot)
    }
}

impl Plain<'_> {
    fn validator(
        &mut self,
        slot: &mut Slot,
        no: usize,
        validator: &Validator,
        partials: &[(ShareIndex, Signature)],
    ) -> Option<Signature> {
        let half = self.verify(slot, &validator.client_key, &validator.half)?;
        let own = plain::add_public_half(&half, validator.node_half, self.made.message());
        let mut good = vec![(me(), own)];
        for (index, partial) in partials {
            match self.verify(slot, &validator.public_shares[index.position()], partial) {
                Some(point) => good.push((*index, point)),
                None => _ = slot.culprits.insert((no, *index)),
            }
        }
        let combined = plain::combine(good.get(..self.made.threshold())?);
        self.verify(slot, &validator.group_key, &combined).map(|_| combined)
    }

    fn verify(
        &mut self,
        slot: &mut Slot,
        key: &PublicKeyPoint,
        signature: &Signature,
    ) -> Option<SignaturePoint> {
        slot.pairings += PAIRINGS;
        let message = self.made.message();
        self.verifying.run(|| plain::verify(key, message, signature))
    }
}
