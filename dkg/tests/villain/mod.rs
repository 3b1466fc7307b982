//! An operator that keeps to the ceremony but for what it says: every message is changed, and signed again, on its way out.

use crate::pool::Pool;
use cluster::{Definition, Networks};
use dkg::ceremony::wire::{Signed, Statement};
use dkg::ceremony::{CEREMONY_VERSION, Ceremony, Frame, Input, Output, ReadyDefinition, Setup, Step};
use keys::frost::{CeremonySeed, Dealer, PrivateShare, Purpose, round1_len};
use keys::identity::{KEY_FILE, NodeKey, NodeKeys, Operator};
use net::{Identity, PeerSpec, Protocol};
use sha2::{Digest as _, Sha256};
use ssz::{Decode as _, Encode as _};
use std::path::Path;
use types::wire::Sign as _;
use types::{Machine as _, Millis, Root, ShareIndex, Signature, ValidatorNo};
use zeroize::Zeroizing;

/// What a villain does to the content of a message: its step, and to whom it goes. Without content it is not sent.
pub(crate) type Lie = fn(&Mask, Step, ShareIndex, &mut Vec<u8>);

/// Who the villain is.
pub(crate) struct Mask {
    pub(crate) setup: Setup,
    operator: Operator,
}

impl Mask {
    /// A valid round 1 of the same operator under another seed.
    pub(crate) fn other_round1(&self) -> Vec<u8> {
        let seed = CeremonySeed::new(Zeroizing::new([0x51; 32]));
        let commitments = |validator| {
            let stream = seed.stream(&self.setup.ceremony_id(), ValidatorNo(validator), Purpose::Dkg);
            Dealer::new(self.setup.size, self.setup.me, stream).round1().bytes().to_vec()
        };
        (0..self.setup.validators).flat_map(commitments).collect()
    }

    /// `None` if nothing is sent.
    fn changed(&self, lie: Lie, to: ShareIndex, frame: &Frame) -> Option<Vec<u8>> {
        let (header, content) = frame.0.split_at(1 + Signed::LEN + 2);
        let signed = Signed::from_ssz_bytes(&header[1..=Signed::LEN]).unwrap();
        let mut content = content.to_vec();
        let before = content.clone();
        lie(self, signed.statement.step, to, &mut content);
        if content == before {
            return Some(frame.0.to_vec());
        }
        if content.is_empty() {
            return None;
        }
        let item_len = match signed.statement.step {
            Step::Round1 => round1_len(self.setup.size),
            Step::Round2 => PrivateShare::LEN,
            Step::Seal => Signature::LEN,
            Step::Gather | Step::Echo | Step::Lock | Step::Done | Step::Farewell | Step::Complaint => {
                content.len()
            }
        };
        let length = u32::try_from(content.len()).unwrap();
        let statement = Statement { root: root(&content, item_len), length, ..signed.statement };
        let signed = Signed { statement, signature: self.operator.sign(&statement.digest()) };
        Some([&[CEREMONY_VERSION], signed.as_ssz_bytes().as_slice(), &[0, 0], &content].concat())
    }
}

/// As the ceremony's statements have it: leaves and nodes with their own prefixes, an odd node rises.
fn root(content: &[u8], item_len: usize) -> Root {
    let hash = |prefix: u8, parts: &[&[u8]]| -> [u8; 32] {
        let hasher = Sha256::new().chain_update([prefix]);
        parts.iter().fold(hasher, |hasher, part| hasher.chain_update(part)).finalize().into()
    };
    let mut level: Vec<[u8; 32]> = content.chunks(item_len).map(|item| hash(0, &[item])).collect();
    while level.len() > 1 {
        let above = |pair: &[[u8; 32]]| if let [a, b] = pair { hash(1, &[a, b]) } else { pair[0] };
        level = level.chunks(2).map(above).collect();
    }
    Root(level[0])
}

/// Takes part in a ceremony until it is aborted by whoever started it.
pub(crate) async fn run(pool: &Pool, at: usize, definition: &Path, attempt: u32, lie: Lie) {
    let definition = Definition::parse(&std::fs::read(definition).unwrap()).unwrap();
    let ready = ReadyDefinition::new(definition, &Networks::public()).unwrap();
    let key = NodeKey::load(&pool.dirs[at].join(KEY_FILE)).unwrap();
    let publics = ready.node_keys();
    let me = NodeKeys::new(&publics).unwrap().index_of(&key.public()).unwrap();
    let setup = ready.setup(me, attempt, Millis(u64::MAX));
    let peers = publics.iter().zip(&pool.addresses);
    let config = net::Config {
        identity: Identity::from_secret(key.secret_bytes()).unwrap(),
        peers: peers.map(|(key, at)| PeerSpec { public_key: *key, addresses: vec![at.clone()] }).collect(),
        me,
        listen: vec![pool.addresses[at].clone()],
        relays: Vec::new(),
        protocol: Protocol::new("dkg", u32::from(CEREMONY_VERSION), Root::ZERO).unwrap(),
        limits: net::Limits::default(),
    };
    let (wire, mut events) = net::start(config).unwrap();
    let operator = |key| Operator::new(key, me, NodeKeys::new(&publics).unwrap()).unwrap();
    let own = operator(NodeKey::load(&pool.dirs[at].join(KEY_FILE)).unwrap());
    let seed = CeremonySeed::new(Zeroizing::new([u8::try_from(attempt).unwrap() + 1; 32]));
    let mut machine = Ceremony::begin(setup.clone(), seed, operator(key), ready).unwrap();
    let mask = Mask { setup, operator: own };
    let mut inputs = vec![Input::Tick];
    loop {
        while let Some(input) = inputs.pop() {
            machine.handle(Millis(1), input);
            while let Some(output) = machine.poll() {
                match output {
                    Output::Send { to, frame } => {
                        // A link that broke in between is up again before long, and everything is said again.
                        let _ = mask.changed(lie, to, &frame).map(|bytes| wire.send(to, bytes.into()));
                    }
                    Output::Persist { durable, .. } => inputs.push(Input::Stored(durable)),
                    // Who lies last has heard everything that makes the keys: it never says that it has them.
                    Output::Files(_) => {}
                    Output::Finished { .. } => panic!("nobody can have confirmed"),
                    Output::Progress { .. } | Output::Rejected { .. } | Output::Abort { .. } => {}
                }
            }
        }
        inputs.push(match events.next().await {
            Some(net::Event::Up { peer, .. }) => Input::PeerUp(peer),
            Some(net::Event::Down { peer, .. }) => Input::PeerDown(peer),
            Some(net::Event::Frame { peer, frame }) => {
                Input::Message { from: peer, frame: Frame::from(frame.to_vec()) }
            }
            Some(_) => Input::Tick,
            None => return,
        });
    }
}
