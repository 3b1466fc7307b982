//! Every secret of a ceremony, from its operators' seeds: by the formulas, not from what the ceremony has written.

use crate::scan::Secret;
use crypto::Scalar;
use dkg::ceremony::Setup;
use keys::frost::{CeremonySeed, Dealer, Purpose, Round1, deal};
use keys::{SecretShare, split};
use sha2::{Digest as _, Sha256};
use types::{ShareIndex, ValidatorNo};
use zeroize::Zeroizing;

/// The seed that an operator's folder is given before the ceremony.
pub(crate) fn seed(me: ShareIndex) -> CeremonySeed {
    let bytes = Sha256::new().chain_update(b"a known seed").chain_update([me.get()]).finalize();
    CeremonySeed::new(Zeroizing::new(bytes.into()))
}

/// The secrets of one validator. By operator, in order.
pub(crate) struct OfValidator {
    /// `k`: nobody ever has it.
    pub(crate) key: Secret,
    /// `f_j(i)`, by dealer `j`, then by recipient `i`.
    pub(crate) dealt: Vec<Vec<Secret>>,
    /// `s_i = f_1(i) + ... + f_n(i)`.
    pub(crate) shares: Vec<Secret>,
    /// `v_i`.
    pub(crate) clients: Vec<Secret>,
    /// `w_i = s_i - v_i`.
    pub(crate) nodes: Vec<Secret>,
}

/// Computes the secrets of one validator of a ceremony.
pub(crate) fn of_validator(setup: &Setup, number: ValidatorNo) -> OfValidator {
    let (size, id) = (setup.size, setup.ceremony_id());
    let dealer = |me| Dealer::new(size, me, seed(me).stream(&id, number, Purpose::Dkg));
    let dealers: Vec<_> = size.indices().map(dealer).collect();
    let round1: Vec<Round1> = dealers.iter().map(|dealer| dealer.round1().clone()).collect();
    let of_one = |dealer: Dealer| deal(&[dealer], std::slice::from_ref(&round1), &[0; 32]).unwrap().remove(0);
    let secrets = |dealer| of_one(dealer).iter().map(|share| *share.expose()).collect();
    let dealt: Vec<Vec<Secret>> = dealers.into_iter().map(secrets).collect();
    let sum = |at: usize| dealt.iter().fold(Scalar::ZERO, |sum, of| sum + scalar(&of[at])).to_be_bytes();
    let shares: Vec<Secret> = (0..size.operators()).map(sum).collect();
    let client = |me: ShareIndex| -> Secret {
        let share = SecretShare::from_be_bytes(&shares[me.position()]).unwrap();
        let (client, _) = split(share, &mut seed(me).stream(&id, number, Purpose::Split));
        client.to_be_bytes()[..].try_into().unwrap()
    };
    let clients: Vec<Secret> = size.indices().map(client).collect();
    let node = |(share, client): (&Secret, &Secret)| (scalar(share) - scalar(client)).to_be_bytes();
    let nodes = shares.iter().zip(&clients).map(node).collect();
    OfValidator { key: at_zero(&shares).to_be_bytes(), dealt, shares, clients, nodes }
}

fn scalar(secret: &Secret) -> Scalar {
    Scalar::from_be_bytes(secret).unwrap()
}

/// The polynomial through all shares, at zero: `sum of s_i * product of x_m / (x_m - x_i)`.
fn at_zero(shares: &[Secret]) -> Scalar {
    let xs: Vec<_> = (1..=shares.len() as u64).map(Scalar::from).collect();
    let term = |(at, share): (usize, &Secret)| {
        let others = xs.iter().enumerate().filter(|(other, _)| *other != at);
        let factor = |product, (_, x): (usize, &Scalar)| product * *x * (*x - xs[at]).inverse().unwrap();
        others.fold(scalar(share), factor)
    };
    shares.iter().enumerate().map(term).fold(Scalar::ZERO, |sum, term| sum + term)
}
