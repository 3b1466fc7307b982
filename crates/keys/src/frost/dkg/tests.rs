use super::super::curve::{Point, Scalar};
use super::super::stream::{CeremonySeed, Purpose};
use super::*;
use blst::{BLST_ERROR, MultiPoint, min_pk};
use frost_core::Group;
use types::{PublicKey, Root, ValidatorNo};

/// Ethereum's.
const DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
const MESSAGE: &[u8] = b"joined";

struct Run {
    size: ClusterSize,
    round1: Vec<Round1>,
    /// By recipient, then by dealer.
    shares: Vec<Vec<PrivateShare>>,
}

fn index(number: u8) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

fn dealer(size: ClusterSize, me: ShareIndex) -> Dealer {
    let seed = CeremonySeed::new(Zeroizing::new([me.get(); 32]));
    Dealer::new(size, me, seed.stream(&Root([9; 32]), ValidatorNo(0), Purpose::Dkg))
}

fn deal_one(dealer: Dealer, round1: &[Round1]) -> Result<Vec<PrivateShare>, Vec<WrongProof>> {
    deal(&[dealer], &[round1.to_vec()], &[3; 32]).map(|mut dealt| dealt.remove(0))
}

fn run(n: usize, t: usize) -> Run {
    let size = ClusterSize::new(n, t).unwrap();
    let dealers: Vec<_> = size.indices().map(|me| dealer(size, me)).collect();
    let round1: Vec<_> =
        dealers.iter().map(|dealer| Round1::from_bytes(size, dealer.round1().bytes()).unwrap()).collect();
    let dealt: Vec<_> = dealers.into_iter().map(|dealer| deal_one(dealer, &round1).unwrap()).collect();
    let shares = (0..n).map(|to| dealt.iter().map(|shares| shares[to].clone()).collect()).collect();
    Run { size, round1, shares }
}

impl Run {
    fn finish(&self, me: ShareIndex) -> Result<DistributedKey, FinishError> {
        finish(self.size, me, &self.round1, &self.shares[me.position()])
    }

    fn keys(&self) -> Vec<DistributedKey> {
        self.size.indices().map(|me| self.finish(me).unwrap()).collect()
    }
}

fn lagrange_at_zero(quorum: &[u8]) -> Vec<u8> {
    let x = |i: u8| Scalar::from_u64(u64::from(i));
    quorum
        .iter()
        .flat_map(|i| {
            let others = quorum.iter().filter(|j| *j != i);
            let product = others.fold(x(1), |product, j| product * x(*j) * (x(*j) - x(*i)).invert().unwrap());
            let mut bytes = product.to_be_bytes();
            bytes.reverse();
            bytes
        })
        .collect()
}

fn combined(keys: &[DistributedKey], quorum: &[u8]) -> min_pk::Signature {
    let partials: Vec<_> = quorum
        .iter()
        .map(|i| {
            let share = keys[usize::from(*i) - 1].share.expose();
            min_pk::SecretKey::from_bytes(share).unwrap().sign(MESSAGE, DST, &[])
        })
        .collect();
    partials.as_slice().mult(&lagrange_at_zero(quorum), 255).to_signature()
}

fn verifies(signature: &min_pk::Signature, key: &PublicKey) -> bool {
    let key = min_pk::PublicKey::key_validate(&key.0).unwrap();
    signature.verify(true, MESSAGE, DST, &[], &key, true) == BLST_ERROR::BLST_SUCCESS
}

fn subsets(n: u8, size: usize) -> Vec<Vec<u8>> {
    (0_u32..1 << n)
        .filter(|set| set.count_ones() as usize == size)
        .map(|set| (1..=n).filter(|i| set >> (i - 1) & 1 == 1).collect())
        .collect()
}

fn assert_all_agree(keys: &[DistributedKey]) {
    for (me, key) in keys.iter().enumerate() {
        assert_eq!((key.group, &key.public_shares), (keys[0].group, &keys[0].public_shares));
        let own = min_pk::SecretKey::from_bytes(key.share.expose()).unwrap().sk_to_pk();
        assert_eq!(key.public_shares[me].bytes().0, own.to_bytes());
    }
}

#[test]
fn whoever_holds_no_share_computes_the_same_keys_from_the_commitments() {
    for (n, t) in [(3, 2), (4, 3), (7, 5)] {
        let run = run(n, t);
        let (group, shares) = public_keys(run.size, &run.round1).unwrap();
        for me in run.size.indices() {
            let key = run.finish(me).unwrap();
            assert_eq!((key.group, &key.public_shares), (group, &shares));
        }
    }
}

#[test]
fn every_quorum_signs_for_ethereum_and_fewer_cannot() {
    for (n, t) in [(3, 2), (3, 3), (4, 2), (4, 3), (5, 4), (6, 4), (7, 5)] {
        let keys = run(n, t).keys();
        assert_all_agree(&keys);
        for quorum in subsets(n as u8, t) {
            assert!(verifies(&combined(&keys, &quorum), &keys[0].group.bytes()), "{t} of {n}: {quorum:?}");
        }
        for few in subsets(n as u8, t - 1) {
            assert!(!verifies(&combined(&keys, &few), &keys[0].group.bytes()), "{t} of {n}: {few:?}");
        }
    }
}

#[test]
fn clusters_of_every_size_make_a_key() {
    for n in 8..=22_u8 {
        let t = (2 * usize::from(n)).div_ceil(3);
        let keys = run(n.into(), t).keys();
        assert_all_agree(&keys);
        let first: Vec<u8> = (1..=t as u8).collect();
        let last: Vec<u8> = (n - t as u8 + 1..=n).collect();
        for quorum in [&first, &last] {
            assert!(verifies(&combined(&keys, quorum), &keys[0].group.bytes()), "{t} of {n}: {quorum:?}");
            assert!(
                !verifies(&combined(&keys, &quorum[1..]), &keys[0].group.bytes()),
                "{t} of {n} without one"
            );
        }
    }
}

#[test]
fn the_same_stream_gives_the_same_dealer_and_another_ceremony_another() {
    let size = ClusterSize::new(4, 3).unwrap();
    let seed = CeremonySeed::new(Zeroizing::new([1; 32]));
    let round1 = |ceremony, validator| {
        let stream = seed.stream(&Root([ceremony; 32]), ValidatorNo(validator), Purpose::Dkg);
        Dealer::new(size, index(1), stream).round1().bytes().to_vec()
    };
    assert_eq!(round1(1, 0), round1(1, 0));
    assert_ne!(round1(1, 0), round1(2, 0));
    assert_ne!(round1(1, 0), round1(1, 1));
}

#[test]
fn a_bad_share_names_its_dealer() {
    let mut run = run(4, 3);
    let me = index(2);
    run.shares[1][2] = PrivateShare::from_bytes([1; 32]);
    assert_eq!(run.finish(me).unwrap_err(), FinishError::Shares { dealers: vec![index(3)] });
    run.shares[1][0] = PrivateShare::from_bytes([0xff; 32]);
    assert_eq!(run.finish(me).unwrap_err(), FinishError::Shares { dealers: vec![index(1), index(3)] });
    assert!(run.finish(index(1)).is_ok(), "others are not affected");
    assert!(run.round1[3].fits(me, &run.shares[1][3]));
    assert!(!run.round1[3].fits(index(1), &run.shares[1][3]), "a share fits its recipient only");
    assert!(!run.round1[2].fits(me, &run.shares[1][2]));
}

#[test]
fn commitments_of_another_degree_are_refused() {
    let size = ClusterSize::new(4, 3).unwrap();
    for t in [2, 4] {
        let other = dealer(ClusterSize::new(4, t).unwrap(), index(1)).round1().bytes().to_vec();
        let want = round1_len(size);
        assert_eq!(Round1::from_bytes(size, &other), Err(Round1Error::Length { have: other.len(), want }));
    }
}

#[test]
fn points_that_are_no_commitments_are_refused() {
    let size = ClusterSize::new(4, 3).unwrap();
    let good = dealer(size, index(1)).round1().bytes().to_vec();
    let mut identity = [0; 48];
    identity[0] = 0xc0;
    for coefficient in 0..3 {
        for bad in [identity, [0xff; 48], [0; 48]] {
            let mut bytes = good.clone();
            bytes[coefficient * 48..][..48].copy_from_slice(&bad);
            assert_eq!(Round1::from_bytes(size, &bytes), Err(Round1Error::Commitment { coefficient }));
        }
    }
    let mut bytes = good.clone();
    bytes[3 * 48..][..48].copy_from_slice(&identity);
    assert_eq!(Round1::from_bytes(size, &bytes), Err(Round1Error::ProofForm));
    bytes = good;
    bytes[4 * 48..].fill(0xff);
    assert_eq!(Round1::from_bytes(size, &bytes), Err(Round1Error::ProofForm));
}

#[test]
fn a_wrong_proof_and_a_proof_of_another_author_name_their_senders() {
    let size = ClusterSize::new(4, 3).unwrap();
    let mut all: Vec<_> = size.indices().map(|me| dealer(size, me).round1().clone()).collect();
    let mut bytes = all[3].bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    all[3] = Round1::from_bytes(size, &bytes).unwrap();
    all[1] = all[0].clone();
    assert_eq!(all[0].check(size, index(1)), Ok(()));
    assert_eq!(all[0].check(size, index(2)), Err(Round1Error::Proof));
    let wrong = [2, 4].map(|author| WrongProof { place: 0, author: index(author) });
    assert_eq!(deal_one(dealer(size, index(3)), &all).unwrap_err(), wrong);
    assert_eq!(deal_one(dealer(size, index(1)), &all).unwrap_err(), wrong);
}

/// Everybody's dealers and round 1 of some validators: by operator, and by validator.
fn many(size: ClusterSize, validators: u32) -> (Vec<Vec<Dealer>>, Vec<Vec<Round1>>) {
    let dealers: Vec<Vec<_>> = size
        .indices()
        .map(|me| {
            let seed = CeremonySeed::new(Zeroizing::new([me.get(); 32]));
            let stream = |validator| seed.stream(&Root([9; 32]), ValidatorNo(validator), Purpose::Dkg);
            (0..validators).map(|validator| Dealer::new(size, me, stream(validator))).collect()
        })
        .collect();
    let row = |validator: usize| dealers.iter().map(|own| own[validator].round1().clone()).collect();
    let rows = (0..validators as usize).map(row).collect();
    (dealers, rows)
}

#[test]
fn proofs_of_many_validators_hold_together_and_each_wrong_one_is_named() {
    let size = ClusterSize::new(4, 3).unwrap();
    let (dealers, rows) = many(size, 9);
    let dealt = deal(&dealers[0], &rows, &[5; 32]).unwrap();
    for (place, shares) in dealt.iter().enumerate() {
        let fits = |to: ShareIndex| dealers[0][place].round1().fits(to, &shares[to.position()]);
        assert!(size.indices().all(fits), "the shares of validator {place}");
    }
    let broken = |place: usize, author: usize, byte: usize| {
        let mut bytes = rows[place][author].bytes().to_vec();
        bytes[byte] ^= 1;
        Round1::from_bytes(size, &bytes).unwrap()
    };
    let last = round1_len(size) - 1;
    for wrong in [vec![(0, 1)], vec![(8, 3)], vec![(2, 1), (2, 2), (7, 3)]] {
        let mut bad = rows.clone();
        wrong.iter().for_each(|(place, author)| bad[*place][*author] = broken(*place, *author, last));
        let named: Vec<_> = deal(&dealers[0], &bad, &[5; 32])
            .unwrap_err()
            .iter()
            .map(|wrong| (wrong.place, wrong.author.position()))
            .collect();
        assert_eq!(named, wrong);
    }
}

#[test]
fn wrong_proofs_whose_errors_cancel_do_not_hold_together() {
    let size = ClusterSize::new(4, 3).unwrap();
    let (dealers, mut rows) = many(size, 2);
    // mu is the last number: one more here, one less there.
    let shift = |round1: &Round1, error: Scalar| {
        let mut bytes = round1.bytes().to_vec();
        let at = bytes.len() - SCALAR_LEN;
        let mu = Scalar::from_be_bytes(bytes[at..].try_into().unwrap()).unwrap() + error;
        bytes[at..].copy_from_slice(&mu.to_be_bytes());
        Round1::from_bytes(size, &bytes).unwrap()
    };
    let one = Scalar::from_u64(1);
    rows[0][1] = shift(&rows[0][1], one);
    rows[1][2] = shift(&rows[1][2], Scalar::ZERO - one);
    for seed in 0..8 {
        let named = deal(&dealers[0], &rows, &[seed; 32]).unwrap_err();
        let wrong = [(0, 2), (1, 3)].map(|(place, author)| WrongProof { place, author: index(author) });
        assert_eq!(named, wrong);
    }
}

#[test]
fn shares_whose_errors_cancel_leave_everybody_the_right_share() {
    let mut run = run(4, 3);
    let right = run.keys();
    let value = |run: &Run, dealer: usize| Scalar::from_be_bytes(run.shares[1][dealer].expose()).unwrap();
    let error = Scalar::from_u64(77);
    let (more, less) = (value(&run, 0) + error, value(&run, 2) - error);
    run.shares[1][0] = PrivateShare::from_bytes(more.to_be_bytes());
    run.shares[1][2] = PrivateShare::from_bytes(less.to_be_bytes());
    assert!(!run.round1[0].fits(index(2), &run.shares[1][0]));
    let key = run.finish(index(2)).unwrap();
    assert_eq!(key.share.expose(), right[1].share.expose());
    assert_eq!((key.group, key.public_shares), (right[1].group, right[1].public_shares.clone()));
    run.shares[1][2] = PrivateShare::from_bytes((less + Scalar::from_u64(1)).to_be_bytes());
    let dealers = vec![index(1), index(3)];
    assert_eq!(run.finish(index(2)).unwrap_err(), FinishError::Shares { dealers });
}

#[test]
fn dealers_that_cancel_out_make_no_key() {
    // Only somebody who knows all polynomials can do this; the sum of commitments must be checked all the same.
    let size = ClusterSize::new(3, 2).unwrap();
    let run = run(3, 2);
    let constant = |round1: &Round1| round1.package.commitment().serialize().unwrap();
    let point = |bytes: &[u8]| Point::from_bytes(bytes.try_into().unwrap()).unwrap();
    let (first, second) = (constant(&run.round1[0]), constant(&run.round1[1]));
    let minus = |k: usize| (Point::identity() - (point(&first[k]) + point(&second[k]))).to_bytes();
    let mut bytes = run.round1[2].bytes().to_vec();
    bytes[..48].copy_from_slice(&minus(0));
    let third = Round1::from_bytes(size, &bytes).unwrap();
    let all = vec![run.round1[0].clone(), run.round1[1].clone(), third];
    // The third dealer's share at 1: minus the others' constant terms plus its own slope.
    let value = |dealer: usize, to: usize| Scalar::from_be_bytes(run.shares[to][dealer].expose()).unwrap();
    let slope = value(2, 1) - value(2, 0);
    let constants = (0..2).fold(Scalar::ZERO, |sum, d| sum + value(d, 0) + value(d, 0) - value(d, 1));
    let share = PrivateShare::from_bytes((Scalar::ZERO - constants + slope).to_be_bytes());
    assert!(all[2].fits(index(1), &share));
    let shares = vec![run.shares[0][0].clone(), run.shares[0][1].clone(), share];
    assert_eq!(finish(size, index(1), &all, &shares).unwrap_err(), FinishError::Zero);
}

#[test]
fn secrets_do_not_print() {
    let run = run(3, 2);
    let key = run.finish(index(1)).unwrap();
    let dealer = dealer(run.size, index(1));
    let printed = format!("{key:?} {dealer:?} {:?}", run.shares[0]);
    for secret in run.shares[0].iter().chain([&key.share]) {
        assert!(!printed.contains(&hex::encode(&secret.expose()[..8])));
    }
    assert!(printed.contains("<redacted>"));
}

#[test]
fn the_generator_is_ethereums() {
    let one = super::super::suite::G1::serialize(&Point::generator()).unwrap();
    assert_eq!(hex::encode(&one[..4]), "97f1d3a7");
}
