//! A cluster that is made up for a measurement, and what reaches one of its nodes in a slot.
//!
//! # Security
//! Its keys come from a seed that everybody knows, and their scalars go through arithmetic that is not constant-time. They
//! are nobody's.

use crypto::plain::hash_bytes;
use crypto::{G1, PublicKeyPoint, Scalar, hash_to_g2};
use keys::{NodeHalf, SecretShare, split};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use types::{
    AttestationData, ChainSpec, Checkpoint, ClusterSize, DomainType, Epoch, Root, ShareIndex, Signature,
    SigningRoot, Slot, Threshold,
};

/// The slot that is measured: any will do.
const SLOT: Slot = Slot(10_000_000);

/// One validator that attests in the slot.
#[derive(Debug)]
pub(super) struct Validator {
    /// Of the shared polynomial, the key first.
    pub(super) coefficients: Vec<Scalar>,
    pub(super) group_key: PublicKeyPoint,
    /// Of operators `1..=n`.
    pub(super) public_shares: Vec<PublicKeyPoint>,
    /// Under which this operator's client signs.
    pub(super) client_key: PublicKeyPoint,
    /// What this operator's client has signed with its half.
    pub(super) half: Signature,
    /// This operator's other half.
    pub(super) node_half: Scalar,
}

/// Partial signatures of the other operators, as they reached this node: a list for each validator.
pub(super) type Arrived = Vec<Vec<(ShareIndex, Signature)>>;

/// The cluster, as its first operator sees it.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) size: ClusterSize,
    pub(super) spec: ChainSpec,
    pub(super) data: AttestationData,
    pub(super) root: SigningRoot,
    /// The root's hash, compressed.
    pub(super) hash: [u8; 96],
    pub(super) validators: Vec<Validator>,
    /// The others, in the order in which what they sent arrives.
    pub(super) peers: Vec<ShareIndex>,
    random: ChaCha20Rng,
}

/// This operator.
pub(super) fn me() -> ShareIndex {
    ShareIndex::new(1).expect("1 is the first operator")
}

impl Made {
    /// A cluster with as many validators as attest in one slot. The same seed makes the same.
    pub(super) fn new(
        size: ClusterSize,
        attesters: usize,
        seed: u64,
    ) -> anyhow::Result<(Self, Vec<NodeHalf>)> {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let spec = ChainSpec::builtin("mainnet").expect("mainnet is built in");
        let data = vote(&spec, &mut random);
        let root = attestation_root(&spec, &data);
        let made = (0..attesters).map(|_| validator(size, &root, &mut random));
        let (validators, halves) = made.collect::<anyhow::Result<Vec<_>>>()?.into_iter().unzip();
        let mut peers: Vec<_> = size.indices().filter(|index| *index != me()).collect();
        shuffle(&mut peers, &mut random);
        let hash = hash_bytes(&root.root().0);
        Ok((Self { size, spec, data, root, hash, validators, peers, random }, halves))
    }

    pub(super) fn threshold(&self) -> usize {
        self.size.threshold()
    }

    pub(super) fn message(&self) -> &[u8] {
        self.root.as_ref()
    }

    pub(super) fn threshold_byte(&self) -> Threshold {
        Threshold(u8::try_from(self.size.threshold()).expect("a cluster has at most 22 operators"))
    }

    /// Good partials of these operators, in this order.
    pub(super) fn arrived_of(&self, operators: &[ShareIndex]) -> Arrived {
        let of = |validator: &Validator| {
            operators.iter().map(|index| (*index, validator.partial(*index, &self.root))).collect()
        };
        self.validators.iter().map(of).collect()
    }

    /// Partials of all others, of which a share is bad: as dear as bad ones can be, for they are signatures by the right
    /// share over another vote, which only a pairing can tell.
    ///
    /// - `bad`: from 0 to 1; which ones, is drawn.
    pub(super) fn arrived(&mut self, bad: f64) -> Arrived {
        let mut arrived = self.arrived_of(&self.peers);
        let mut places: Vec<_> =
            (0..arrived.len()).flat_map(|v| (0..self.peers.len()).map(move |p| (v, p))).collect();
        shuffle(&mut places, &mut self.random);
        // The share of a list that fits in memory is far below 2^52.
        places.truncate((bad * places.len() as f64).round() as usize);
        for (v, p) in places {
            self.spoil(&mut arrived, v, p);
        }
        arrived
    }

    /// Partials of all others, those of one operator all bad.
    pub(super) fn arrived_with_garbage(&self, of: ShareIndex) -> Arrived {
        let mut arrived = self.arrived_of(&self.peers);
        let position = self.peers.iter().position(|index| *index == of).expect("it is a peer");
        (0..arrived.len()).for_each(|v| self.spoil(&mut arrived, v, position));
        arrived
    }

    fn spoil(&self, arrived: &mut Arrived, v: usize, p: usize) {
        let (index, partial) = &mut arrived[v][p];
        let mut data = self.data;
        data.beacon_block_root = Root([0xbd; 32]);
        *partial = self.validators[v].partial(*index, &attestation_root(&self.spec, &data));
    }
}

impl Validator {
    fn partial(&self, index: ShareIndex, root: &SigningRoot) -> Signature {
        Signature((hash_to_g2(&root.root().0) * evaluate(&self.coefficients, index)).compress())
    }
}

fn vote(spec: &ChainSpec, random: &mut ChaCha20Rng) -> AttestationData {
    let target = spec.epoch_of(SLOT);
    let mut root = || {
        let mut bytes = [0; 32];
        random.fill_bytes(&mut bytes);
        Root(bytes)
    };
    AttestationData {
        slot: SLOT,
        index: 0,
        beacon_block_root: root(),
        source: Checkpoint { epoch: Epoch(target.0 - 1), root: root() },
        target: Checkpoint { epoch: target, root: root() },
    }
}

fn attestation_root(spec: &ChainSpec, data: &AttestationData) -> SigningRoot {
    SigningRoot::of(spec, DomainType::BeaconAttester, data.target.epoch, Root::of(data))
}

fn validator(
    size: ClusterSize,
    root: &SigningRoot,
    random: &mut ChaCha20Rng,
) -> anyhow::Result<(Validator, NodeHalf)> {
    let coefficients: Vec<_> = (0..size.threshold()).map(|_| scalar(random)).collect();
    let key = |secret: Scalar| PublicKeyPoint::new(G1::generator() * secret);
    let share = evaluate(&coefficients, me());
    let (client, node) = split(SecretShare::from_be_bytes(&share.to_be_bytes())?, random);
    let client_bytes: [u8; 32] = client.to_be_bytes().as_ref().try_into()?;
    let client_scalar = Scalar::from_be_bytes(&client_bytes).expect("halves are below the order");
    let validator = Validator {
        group_key: key(coefficients[0])?,
        public_shares: size
            .indices()
            .map(|index| key(evaluate(&coefficients, index)))
            .collect::<Result<_, _>>()?,
        client_key: PublicKeyPoint::parse(&client.public())?,
        half: client.sign(root),
        node_half: share - client_scalar,
        coefficients,
    };
    Ok((validator, node))
}

fn evaluate(coefficients: &[Scalar], index: ShareIndex) -> Scalar {
    let x = Scalar::from(u64::from(index.get()));
    coefficients.iter().rev().fold(Scalar::ZERO, |sum, coefficient| sum * x + *coefficient)
}

/// A scalar below `2^252`.
fn scalar(random: &mut ChaCha20Rng) -> Scalar {
    let mut bytes = [0; 32];
    random.fill_bytes(&mut bytes);
    bytes[0] &= 0x0f;
    Scalar::from_be_bytes(&bytes).expect("2^252 is below the order")
}

/// Fisher and Yates; the remainder's bias is of no matter here.
fn shuffle<T>(list: &mut [T], random: &mut ChaCha20Rng) {
    for last in (1..list.len()).rev() {
        let other = random.next_u64() % (last as u64 + 1);
        list.swap(last, usize::try_from(other).expect("it is at most `last`"));
    }
}
