//! Real BLS signatures for the toy chain.

use crypto::{PointError, PublicKeyPoint, aggregate, fast_aggregate_verify, verify};
use sim::curve::Curve;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use types::{PublicKey, Signature, SigningRoot};

/// The keys of a chain's validators, parsed once. More come as deposits do.
#[derive(Debug)]
pub struct Bls {
    keys: RwLock<BTreeMap<PublicKey, PublicKeyPoint>>,
}

impl Bls {
    /// Parses the keys.
    ///
    /// - Errors: what is wrong with the first that is no BLS key.
    /// - Cost: one subgroup check per key.
    pub fn new(keys: &[PublicKey]) -> Result<Self, PointError> {
        let parsed = keys.iter().map(|key| Ok((*key, PublicKeyPoint::parse(key)?)));
        Ok(Self { keys: RwLock::new(parsed.collect::<Result<_, PointError>>()?) })
    }

    /// Takes another key. Errors: it is no BLS key.
    pub fn learn(&self, key: &PublicKey) -> Result<(), PointError> {
        let point = PublicKeyPoint::parse(key)?;
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(*key, point);
        Ok(())
    }

    fn point(&self, key: &PublicKey) -> Option<PublicKeyPoint> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }
}

/// Keys that are not the chain's sign nothing.
impl Curve for Bls {
    fn verify(&self, key: &PublicKey, root: &SigningRoot, signature: &Signature) -> bool {
        self.point(key).is_some_and(|key| verify(&key, root.as_ref(), signature))
    }

    fn aggregate(&self, signatures: &[Signature]) -> Option<Signature> {
        aggregate(signatures).ok()
    }

    fn verify_aggregate(&self, keys: &[PublicKey], root: &SigningRoot, signature: &Signature) -> bool {
        let keys: Option<Vec<_>> = keys.iter().map(|key| self.point(key)).collect();
        keys.is_some_and(|keys| fast_aggregate_verify(&keys, root.as_ref(), signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::derive::derive_master;
    use types::Root;

    #[test]
    fn a_sum_verifies_under_exactly_the_keys_that_signed() {
        let secrets = [1, 2, 3].map(|seed| derive_master(&[seed; 32]).unwrap());
        let keys = [0, 1, 2].map(|at: usize| secrets[at].public());
        let bls = Bls::new(&keys).unwrap();
        let root = SigningRoot::lock_hash(Root([7; 32]));
        let signatures = [0, 1].map(|at: usize| secrets[at].sign(&root));
        assert!(bls.verify(&keys[0], &root, &signatures[0]));
        assert!(!bls.verify(&keys[1], &root, &signatures[0]));
        let sum = bls.aggregate(&signatures).unwrap();
        assert!(bls.verify_aggregate(&keys[..2], &root, &sum));
        assert!(!bls.verify_aggregate(&keys, &root, &sum));
        assert!(!bls.verify_aggregate(&keys[..1], &root, &sum));
        assert_eq!(bls.aggregate(&[]), None);
    }

    #[test]
    fn a_key_that_is_not_the_chains_signs_nothing() {
        let secrets = [1, 2].map(|seed| derive_master(&[seed; 32]).unwrap());
        let bls = Bls::new(&[secrets[0].public()]).unwrap();
        let root = SigningRoot::lock_hash(Root([7; 32]));
        assert!(!bls.verify(&secrets[1].public(), &root, &secrets[1].sign(&root)));
        bls.learn(&secrets[1].public()).unwrap();
        assert!(bls.verify(&secrets[1].public(), &root, &secrets[1].sign(&root)));
        assert!(bls.learn(&PublicKey([1; 48])).is_err() && Bls::new(&[PublicKey([1; 48])]).is_err());
    }
}
