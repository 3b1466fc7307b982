//! What nodes and wallets say of themselves: records, addresses, signatures, frames.

use alloy_primitives::keccak256;
use cluster::{Enr, NodeKey, k1};
use k256::ecdsa::{Signature, signature::hazmat::PrehashVerifier};
use keys::{NodeKeys, Operator};
use net::peers_file as peers;
use std::sync::LazyLock;
use types::wire::{
    self, Challenge, Instance, Kind, LastVote, Message, NewRound, Overlap, PartialSignature, Partials,
    Proposal, Question, Quorum, QuorumSignature, Statement, Step, ValueAnswer, ValueId, Vote,
};
use types::{ClusterId, ClusterSize, Generation, NodeSignature, Root, ShareIndex, Slot, ValidatorNo};

/// Longest content of a record whose signed form is still within [`cluster::enr::ENR_LEN_MAX`] letters.
const CONTENT_LEN_MAX: usize = 690;
/// Characters of base64 in the alphabet of URLs.
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// The cluster whose frames are read.
const CLUSTER: ClusterId = Root([0xc1; 32]);

/// A key that everybody may know.
pub(crate) fn node_key(seed: u8) -> keys::NodeKey {
    keys::NodeKey::from_bytes(&[seed; 32]).expect("a small number is a key")
}

/// The record of a key that everybody may know.
pub(crate) fn record(seed: u8) -> Enr {
    Enr::parse(&node_key(seed).enr()).expect("records are written as they are read")
}

pub(crate) fn enr(input: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(input) else { return false };
    let Ok(enr) = Enr::parse(text) else { return false };
    assert_eq!(enr.as_str(), text);
    assert_eq!(NodeKey::new(*enr.key().as_bytes()), Ok(enr.key()));
    let bare = text.trim_end_matches('=');
    assert_eq!(Enr::parse(bare).map(|enr| enr.key()), Ok(enr.key()), "padding changes nobody");
    assert!(bare[4..].bytes().all(|letter| BASE64URL.contains(&letter)), "one alphabet");
    true
}

/// The fuzzer cannot sign, so the rules behind the signature are reached with a record that is signed here.
pub(crate) fn enr_content(input: &[u8]) -> bool {
    if input.len() > CONTENT_LEN_MAX {
        return false;
    }
    let signer = node_key(1);
    let signature = signer.sign_prehash(&keccak256(list(input)));
    let record = [&[0xb8, 64], signature.as_ref(), input].concat();
    let text = format!("enr:{}", base64url(&list(&record)));
    if let Ok(enr) = Enr::parse(&text) {
        assert_eq!(*enr.key().as_bytes(), signer.public(), "signed by another than it names");
    }
    enr(text.as_bytes())
}

/// An RLP list.
fn list(body: &[u8]) -> Vec<u8> {
    let head = match body.len() {
        len @ 0..=55 => vec![0xc0 + len as u8],
        len @ 56..=255 => vec![0xf8, len as u8],
        len => vec![0xf9, (len >> 8) as u8, len as u8],
    };
    [head, body.to_vec()].concat()
}

fn base64url(bytes: &[u8]) -> String {
    let group = |group: &[u8]| {
        let bits =
            group.iter().zip([16, 8, 0]).fold(0_u32, |bits, (byte, shift)| bits | u32::from(*byte) << shift);
        let letter = |shift: u32| char::from(BASE64URL[(bits >> shift & 63) as usize]);
        [18, 12, 6, 0].into_iter().take(group.len() + 1).map(letter).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

pub(crate) fn peers_file(input: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(input) else { return false };
    let file = peers::parse(text);
    if let Ok(entries) = &file {
        assert_eq!(peers::parse(&peers::render(entries)).as_ref(), Ok(entries));
    }
    let Ok((enr, address)) = peers::parse_flag(text) else { return file.is_ok() };
    let mut entries = Vec::new();
    peers::add(&mut entries, enr.clone(), address.clone()).expect("the first address of a peer");
    peers::add(&mut entries, enr, address).expect("the same once more");
    assert_eq!(peers::parse(&peers::render(&entries)).as_ref(), Ok(&entries), "what a flag adds is kept");
    true
}

pub(crate) fn wallet_signature(input: &[u8]) -> bool {
    let Some((digest, signature)) = input.split_first_chunk::<32>() else { return false };
    let digest = Root(*digest);
    let Ok(key) = k1::recover(digest, signature) else { return false };
    let (rs, v) = signature.split_at(k1::SIGNATURE_LEN - 1);
    let made = Signature::from_slice(rs).expect("it was read once").normalize_s();
    key.verify_prehash(&digest.0, &made).expect("the key that is given back made the signature");
    assert!(NodeKey::new(*NodeKey::from(&key).as_bytes()).is_ok());

    let with = |v: u8| k1::recover(digest, &[rs, &[v]].concat());
    let (same, other) = if v[0] < 27 { (v[0] + 27, v[0] ^ 1) } else { (v[0] - 27, (v[0] - 27) ^ 1) };
    assert_eq!(with(same), Ok(key), "wallets write 27 where nodes write 0");
    if let Ok(other) = with(other) {
        assert_ne!(k1::address(&other), k1::address(&key), "a parity that tells nothing");
    }
    true
}

/// The operators of the cluster whose frames are read, and the first of them.
struct Desk {
    size: ClusterSize,
    me: Operator,
}

static DESK: LazyLock<Desk> = LazyLock::new(|| {
    let size = ClusterSize::new(4, 3).expect("3 of 4");
    let publics: Vec<_> = (1..=4).map(|seed| node_key(seed).public()).collect();
    let peers = NodeKeys::new(&publics).expect("distinct keys");
    Desk {
        size,
        me: Operator::new(node_key(1), first(), peers).expect("the first key is the first operator's"),
    }
});

fn first() -> ShareIndex {
    ShareIndex::new(1).expect("1 is an index")
}

pub(crate) fn frame(input: &[u8]) -> bool {
    let Ok(message) = wire::decode(input) else { return false };
    assert_eq!(message.to_frame(), input, "a second frame for one message");
    let Desk { size, me } = &*DESK;
    let instance = message.instance();
    assert!(size.contains(instance.leader(u32::MAX, *size)));
    let verify = |message: Message| wire::verify(message, first(), *size, &CLUSTER, me);
    if let Ok(verified) = verify(message.clone()) {
        assert_eq!((verified.sender(), verified.message()), (first(), &message));
    }
    let simple =
        matches!(message, Message::Vote(_) | Message::Commit(_) | Message::Partial(_) | Message::Boot(_));
    let sealed = wire::seal(message, &CLUSTER, me).into_message();
    assert_eq!(wire::decode(&sealed.to_frame()).as_ref(), Ok(&sealed));
    let verified = verify(sealed);
    assert!(!simple || verified.is_ok(), "what this operator says is its own: {verified:?}");
    true
}

/// A record with padding and one without.
pub(crate) fn enrs() -> Vec<Vec<u8>> {
    let record = record(2);
    vec![record.as_str().into(), format!("{record}=").into_bytes()]
}

/// A record's content with its key, alone and between pairs that nobody here writes.
pub(crate) fn enr_contents() -> Vec<Vec<u8>> {
    let pair = [b"\x89secp256k1\xa1".as_slice(), &node_key(1).public()].concat();
    vec![
        [b"\x80\x82id\x82v4".as_slice(), &pair].concat(),
        [b"\x01\x82id\x82v4\x82ip\x84\xc0\x00\x02\x07".as_slice(), &pair, b"\x83tcp\x82\x23\x28"].concat(),
    ]
}

/// A file of two peers, an empty one, and the value of a flag.
pub(crate) fn peers_files() -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    for (seed, address) in
        [(1, "/ip4/192.0.2.7/tcp/9000"), (1, "/dns4/node.example/udp/9000/quic-v1"), (2, "/ip6/::1/tcp/9000")]
    {
        let (enr, address) = flag(seed, address);
        peers::add(&mut entries, enr, address).expect("two addresses are few");
    }
    let texts =
        [peers::render(&entries), peers::render(&[]), format!("{}=/ip4/192.0.2.7/tcp/9000", record(1))];
    texts.map(String::into_bytes).to_vec()
}

fn flag(seed: u8, address: &str) -> (String, net::Multiaddr) {
    peers::parse_flag(&format!("{}={address}", record(seed))).expect("a record and an address")
}

/// A digest with a node's signature, and the same as a wallet writes it.
pub(crate) fn wallet_signatures() -> Vec<Vec<u8>> {
    let digest = [6; 32];
    let mut signature = node_key(1).sign_prehash_recoverable(&digest);
    let by_node = [digest.as_slice(), &signature].concat();
    signature[64] += 27;
    vec![by_node, [digest.as_slice(), &signature].concat()]
}

/// A frame of each kind, all signatures right.
pub(crate) fn frames() -> Vec<Vec<u8>> {
    let instance = Instance::new(Generation(0), Slot(7), Kind::Attest);
    let value = vec![5; 120];
    let hash = Root([5; 32]);
    let signed = |step, hash, extra| {
        wire::sign(Statement { instance, step, round: 1, hash, extra }, &CLUSTER, &DESK.me)
    };
    let vote = signed(Step::Vote, hash, Root::ZERO);
    let commit = signed(Step::Commit, hash, Root::ZERO);
    let best = vec![quorum(vote.statement)];
    let last = vec![LastVote { round: 1, hash }];
    let answered = vec![signed(Step::Proposal, hash, Proposal::extra(&[]))];
    let extra = NewRound::extra(&best, &last, &answered);
    let new_round = NewRound {
        signed: signed(Step::NewRound, Root::ZERO, extra),
        best: best.clone(),
        last,
        proposal: answered,
    };
    let justification = vec![new_round.clone()];
    let proposal = signed(Step::Proposal, hash, Proposal::extra(&justification));
    let partials =
        vec![PartialSignature { item: ValidatorNo(3).into(), signature: types::Signature([8; 96]) }];
    let partial = signed(Step::Partial, hash, Partials::extra(&partials));
    let id = ValueId { instance, hash };
    let question = Question { asker: Root([1; 32]), count: 9, last: Root([2; 32]) };
    let challenge = Challenge::new(instance.generation, instance.slot, &question);
    let answer = Statement { instance, step: Step::Boot, round: 0, hash, extra: challenge.nonce };
    let boot = wire::sign(answer, &CLUSTER, &DESK.me);
    let messages = [
        Message::Vote(Vote { signed: vote, value: vec![value.clone().into()] }),
        Message::Cert(best[0].clone()),
        Message::Commit(commit),
        Message::Decided(quorum(commit.statement)),
        Message::NewRound(new_round),
        Message::Proposal(Proposal { signed: proposal, value: vec![value.clone().into()], justification }),
        Message::Partial(Partials { signed: partial, partials }),
        Message::Fetch(id),
        Message::FetchContents(id),
        Message::Value(ValueAnswer { id, value: value.clone().into() }),
        Message::Contents(ValueAnswer { id, value: value.into() }),
        Message::Challenge(challenge),
        Message::Boot(boot),
        Message::Overlap(Overlap { question, other: boot }),
        Message::Held(partial),
    ];
    messages.iter().map(Message::to_frame).collect()
}

/// A statement by the first three operators.
fn quorum(statement: Statement) -> Quorum {
    let digest = statement.digest(&CLUSTER);
    let by = |seed: u8| QuorumSignature {
        author: ShareIndex::new(seed).expect("1 to 3 are indices"),
        signature: NodeSignature(node_key(seed).sign_prehash(&digest).0),
    };
    Quorum { statement, signatures: (1..=3).map(by).collect() }
}
