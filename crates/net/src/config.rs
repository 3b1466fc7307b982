//! Who is on the wire, under which name it runs, and every limit of it.

use crate::lane::Lanes;
use libp2p::identity::{self, secp256k1};
use libp2p::multiaddr::{Multiaddr, Protocol as Part};
use libp2p::{PeerId, StreamProtocol};
use std::fmt;
use thiserror::Error;
use types::operators::OPERATORS_MAX;
use types::{Root, ShareIndex};
use zeroize::Zeroizing;

/// No configuration may take longer frames: a peer can make us hold one unfinished frame for each link.
pub const FRAME_LEN_LIMIT: usize = 16 << 20;
/// Addresses of one peer. A node has a handful (two families, two transports, a name); all are dialed at once.
pub const ADDRESSES_MAX: usize = 16;
/// Addresses that one node listens on, for the same reason.
pub const LISTEN_MAX: usize = 16;
/// Length of the word that names a wire's kind.
pub const KIND_LEN_MAX: usize = 32;

/// Why bytes are no identity.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum IdentityError {
    /// Zero, or not below the order of secp256k1.
    #[error("not a secp256k1 secret key")]
    Secret,
    /// Not a compressed point of secp256k1.
    #[error("not a compressed secp256k1 public key")]
    Public,
}

/// This node's secp256k1 key: the one in its ENR.
///
/// # Security
/// The copy that the transports hold is wiped when it is dropped; `Debug` prints no bytes of it.
#[derive(Clone)]
pub struct Identity {
    keypair: identity::Keypair,
    public_key: [u8; 33],
}

impl Identity {
    /// The identity of a secret key.
    ///
    /// - `secret`: 32 bytes, big endian; wiped before this returns.
    /// - Errors: [`IdentityError::Secret`].
    pub fn from_secret(mut secret: Zeroizing<[u8; 32]>) -> Result<Self, IdentityError> {
        let key = secp256k1::SecretKey::try_from_bytes(&mut secret[..]).map_err(|_| IdentityError::Secret)?;
        let pair = secp256k1::Keypair::from(key);
        let public_key = pair.public().to_bytes();
        Ok(Self { keypair: pair.into(), public_key })
    }

    /// The compressed public key: 33 bytes, as in the ENR.
    pub const fn public_key(&self) -> [u8; 33] {
        self.public_key
    }

    /// What libp2p calls this node.
    pub fn peer_id(&self) -> PeerId {
        self.keypair.public().to_peer_id()
    }

    pub(crate) fn keypair(&self) -> identity::Keypair {
        self.keypair.clone()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, <redacted>)", self.peer_id())
    }
}

/// What libp2p calls the holder of a public key.
///
/// - `public_key`: compressed secp256k1, 33 bytes.
/// - Errors: [`IdentityError::Public`].
pub fn peer_id(public_key: &[u8; 33]) -> Result<PeerId, IdentityError> {
    let key = secp256k1::PublicKey::try_from_bytes(public_key).map_err(|_| IdentityError::Public)?;
    Ok(identity::PublicKey::from(key).to_peer_id())
}

/// One operator of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSpec {
    /// Compressed secp256k1, from the operator's ENR.
    pub public_key: [u8; 33],
    /// Where to dial it, at most [`ADDRESSES_MAX`]. Empty: it has to dial us.
    pub addresses: Vec<Multiaddr>,
}

/// Why a wire cannot be named so.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("a wire's kind is 1 to {KIND_LEN_MAX} of a-z, 0-9 and '-', not {kind:?}")]
pub struct ProtocolError {
    kind: String,
}

/// The name of a wire. Nodes whose names differ in anything never exchange a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol(pub(crate) StreamProtocol);

impl Protocol {
    /// `/symbolon/<kind>/<version>/<scope>`.
    ///
    /// - `kind`: what is spoken, `node` or `ceremony`; 1 to [`KIND_LEN_MAX`] of `a-z`, `0-9` and `-`.
    /// - `version`: of what is spoken; peers of another version are told apart before the first frame.
    /// - `scope`: the cluster's id, or the ceremony's.
    pub fn new(kind: &str, version: u32, scope: Root) -> Result<Self, ProtocolError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if kind.is_empty() || kind.len() > KIND_LEN_MAX || !kind.bytes().all(allowed) {
            return Err(ProtocolError { kind: kind.chars().take(KIND_LEN_MAX).collect() });
        }
        let name = format!("/symbolon/{kind}/{version}/{scope}");
        // The name starts with a slash, which is all that libp2p asks for.
        StreamProtocol::try_from_owned(name).map(Self).map_err(|_| ProtocolError { kind: kind.to_owned() })
    }
}

impl Protocol {
    /// What the streams of a connection are called; the bulk lane's name is the wire's with a word more.
    pub(crate) fn lanes(&self) -> Lanes<StreamProtocol> {
        let bulk = StreamProtocol::try_from_owned(format!("{}/bulk", self.0));
        Lanes { frames: self.0.clone(), bulk: bulk.expect("the name of the wire starts with a slash") }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The numbers of a wire. `Default` is right for a cluster over the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest frame in bytes, either way; at most [`FRAME_LEN_LIMIT`].
    pub frame_len_max: usize,
    /// Frames waiting for one peer, and frames of one peer waiting for us.
    pub queue_frames_max: usize,
    /// Bytes waiting for one peer, and bytes of one peer waiting for us; at least one longest frame.
    pub queue_bytes_max: usize,
    /// Longest bulk frame in bytes, either way; at most [`FRAME_LEN_LIMIT`].
    pub bulk_len_max: usize,
    /// Bulk frames waiting for one peer. How many of one peer wait for us, their bytes bound.
    pub bulk_frames_max: usize,
    /// Bytes of bulk waiting for one peer, and of one peer waiting for us; at least one longest bulk frame.
    pub bulk_bytes_max: usize,
    /// Frames of one peer that are read each second; more of them wait on its side. Long ones count for more.
    pub frames_per_second: u32,
    /// Frames of one peer that are read at once, after it was quiet.
    pub burst_frames: u32,
    /// A connection that answers no ping for so long is dead.
    pub silence_ms_max: u64,
    /// First wait before dialing again.
    pub redial_ms_min: u64,
    /// Longest wait before dialing again.
    pub redial_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_len_max: types::wire::FRAME_LEN_MAX,
            // A slot is some 20 frames of each peer; 1024 is most of an epoch.
            queue_frames_max: 1024,
            // Two of the longest frames and change; times 21 peers still fits a small machine.
            queue_bytes_max: 32 << 20,
            // 12 MiB of blobs, and what stands around them.
            bulk_len_max: FRAME_LEN_LIMIT,
            // A slot has one block; a second payload is that of another round.
            bulk_frames_max: 4,
            // One of the longest, or several of the usual; times 21 peers still fits a small machine.
            bulk_bytes_max: FRAME_LEN_LIMIT + FRAME_OVERHEAD,
            // A slot of two seconds, some 20 frames, ten times over and more.
            frames_per_second: 256,
            // Whatever a peer has waiting for us when a link is made anew.
            burst_frames: 1024,
            // A dead peer is noticed within half a slot; a busy one is not taken for dead.
            silence_ms_max: 5_000,
            redial_ms_min: 100,
            redial_ms_max: 5_000,
        }
    }
}

/// What every frame costs in a queue beside its bytes, so that empty frames are bounded too.
pub(crate) const FRAME_OVERHEAD: usize = 64;

/// All that a wire needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's key.
    pub identity: Identity,
    /// The cluster's operators in their order, this one included.
    pub peers: Vec<PeerSpec>,
    /// Which of them this node is.
    pub me: ShareIndex,
    /// Where to listen, at most [`LISTEN_MAX`]. Port 0 lets the system choose. Empty: this node only dials.
    pub listen: Vec<Multiaddr>,
    /// Relays to be reached through, and to reach peers through that have no address that works; each with its
    /// `/p2p/`, at most [`RELAYS_MAX`](crate::RELAYS_MAX).
    pub relays: Vec<Multiaddr>,
    /// The name of the wire.
    pub protocol: Protocol,
    /// Its limits.
    pub limits: Limits,
}

/// Why a wire does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// More operators than any cluster has, or none beside this one.
    #[error("{have} operators, a wire joins 2 to {OPERATORS_MAX}")]
    Operators {
        /// Operators given.
        have: usize,
    },
    /// The same key twice.
    #[error("operators {first} and {second} have the same public key")]
    Twice {
        /// Who has it first.
        first: ShareIndex,
        /// Who has it again.
        second: ShareIndex,
    },
    /// An operator's public key is none.
    #[error("operator {peer}: {source}")]
    PublicKey {
        /// Whose.
        peer: ShareIndex,
        /// Why.
        source: IdentityError,
    },
    /// The operator at our position has another key.
    #[error("the secret key is not that of operator {me}")]
    NotMe {
        /// Our position.
        me: ShareIndex,
    },
    /// An address cannot be dialed.
    #[error("operator {peer}: {source}")]
    Address {
        /// Whose.
        peer: ShareIndex,
        /// Why.
        source: AddressError,
    },
    /// Too many addresses.
    #[error("{have} addresses to listen on, at most {LISTEN_MAX}")]
    ListenMany {
        /// Addresses given.
        have: usize,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Which.
        address: Multiaddr,
        /// What the system says.
        reason: String,
    },
    /// A relay cannot be used.
    #[error("relay {address}: {source}")]
    Relay {
        /// Its address as it was given.
        address: Multiaddr,
        /// Why.
        source: crate::RelayError,
    },
    /// A limit contradicts another.
    #[error("{0}")]
    Limit(&'static str),
    /// A transport could not be set up.
    #[error("cannot set up the transport: {0}")]
    Transport(String),
}

/// Why an address is of no use.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// Neither TCP nor QUIC.
    #[error(
        "{0} is no address of this wire: use /ip4/../tcp/PORT or /ip4/../udp/PORT/quic-v1 (also ip6, dns)"
    )]
    Form(Multiaddr),
    /// It names another peer.
    #[error("{address} names a peer other than {expected}")]
    OtherPeer {
        /// The address.
        address: Multiaddr,
        /// Whose it should be.
        expected: Box<PeerId>,
    },
    /// Too many.
    #[error("more than {ADDRESSES_MAX} addresses")]
    Many,
}

/// Whether an address can be dialed: a host, then `tcp` or `udp` and `quic-v1`, then perhaps `p2p`.
///
/// - Returns the peer it names, if it names one.
/// - Errors: [`AddressError::Form`].
pub fn check_address(address: &Multiaddr) -> Result<Option<PeerId>, AddressError> {
    let form = || AddressError::Form(address.clone());
    let mut parts = address.iter();
    match parts.next() {
        Some(Part::Ip4(_) | Part::Ip6(_) | Part::Dns(_) | Part::Dns4(_) | Part::Dns6(_)) => {}
        _ => return Err(form()),
    }
    match parts.next() {
        Some(Part::Tcp(_)) => {}
        Some(Part::Udp(_)) if parts.next() == Some(Part::QuicV1) => {}
        _ => return Err(form()),
    }
    match (parts.next(), parts.next()) {
        (None, None) => Ok(None),
        (Some(Part::P2p(peer)), None) => Ok(Some(peer)),
        _ => Err(form()),
    }
}

/// Whether an address can be dialed for this peer.
pub(crate) fn check_address_of(address: &Multiaddr, expected: PeerId) -> Result<(), AddressError> {
    match check_address(address)? {
        Some(named) if named != expected => {
            Err(AddressError::OtherPeer { address: address.clone(), expected: expected.into() })
        }
        _ => Ok(()),
    }
}

impl Config {
    /// Checks everything that can be checked without a socket. Returns all operators with their libp2p names.
    pub(crate) fn check(&self) -> Result<Vec<(ShareIndex, PeerId)>, StartError> {
        self.limits.check()?;
        if self.listen.len() > LISTEN_MAX {
            return Err(StartError::ListenMany { have: self.listen.len() });
        }
        let have = self.peers.len();
        if !(2..=usize::from(OPERATORS_MAX)).contains(&have) {
            return Err(StartError::Operators { have });
        }
        let mut named: Vec<(ShareIndex, PeerId)> = Vec::with_capacity(have);
        for (index, spec) in (1..=OPERATORS_MAX).filter_map(ShareIndex::new).zip(&self.peers) {
            let id =
                peer_id(&spec.public_key).map_err(|source| StartError::PublicKey { peer: index, source })?;
            if let Some((first, _)) = named.iter().find(|(_, other)| *other == id) {
                return Err(StartError::Twice { first: *first, second: index });
            }
            spec.check(id).map_err(|source| StartError::Address { peer: index, source })?;
            named.push((index, id));
        }
        if !named.contains(&(self.me, self.identity.peer_id())) {
            return Err(StartError::NotMe { me: self.me });
        }
        Ok(named)
    }
}

impl PeerSpec {
    fn check(&self, id: PeerId) -> Result<(), AddressError> {
        if self.addresses.len() > ADDRESSES_MAX {
            return Err(AddressError::Many);
        }
        self.addresses.iter().try_for_each(|address| check_address_of(address, id))
    }
}

impl Limits {
    fn check(&self) -> Result<(), StartError> {
        let rules = [
            (self.frame_len_max > 0, "frames must be longer than nothing"),
            (self.frame_len_max <= FRAME_LEN_LIMIT, "frames may be at most 16 MiB long"),
            (
                self.queue_bytes_max >= self.frame_len_max + FRAME_OVERHEAD,
                "a queue must hold one longest frame",
            ),
            (self.queue_bytes_max <= 1 << 30, "a queue may hold at most 1 GiB"),
            ((1..=1 << 20).contains(&self.queue_frames_max), "a queue holds 1 to 1048576 frames"),
            (self.bulk_len_max > 0, "bulk frames must be longer than nothing"),
            (self.bulk_len_max <= FRAME_LEN_LIMIT, "bulk frames may be at most 16 MiB long"),
            (
                self.bulk_bytes_max >= self.bulk_len_max + FRAME_OVERHEAD,
                "a queue of bulk must hold one longest bulk frame",
            ),
            (self.bulk_bytes_max <= 1 << 30, "a queue of bulk may hold at most 1 GiB"),
            ((1..=1 << 10).contains(&self.bulk_frames_max), "a queue of bulk holds 1 to 1024 frames"),
            ((200..=600_000).contains(&self.silence_ms_max), "silence must be 200 ms to 10 minutes"),
            (self.redial_ms_min > 0, "the first wait before dialing again must not be 0"),
            (self.redial_ms_max >= self.redial_ms_min, "waits before dialing again must not shrink"),
            (self.redial_ms_max <= 3_600_000, "waits before dialing again may be at most an hour"),
        ];
        rules
            .into_iter()
            .try_for_each(|(kept, rule)| if kept { Ok(()) } else { Err(StartError::Limit(rule)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(byte: u8) -> Identity {
        Identity::from_secret(Zeroizing::new([byte; 32])).unwrap()
    }

    fn config() -> Config {
        let spec = |byte| PeerSpec { public_key: identity(byte).public_key(), addresses: Vec::new() };
        Config {
            identity: identity(2),
            peers: (1..=4).map(spec).collect(),
            me: ShareIndex::new(2).unwrap(),
            listen: Vec::new(),
            relays: Vec::new(),
            protocol: Protocol::new("node", 1, Root([1; 32])).unwrap(),
            limits: Limits::default(),
        }
    }

    fn refused(change: impl FnOnce(&mut Config)) -> StartError {
        let mut config = config();
        change(&mut config);
        config.check().unwrap_err()
    }

    #[test]
    fn a_secret_and_its_public_key_name_the_same_peer() {
        let secret = [0x11; 32];
        let ours = identity(0x11);
        let by_k256 = k256::ecdsa::SigningKey::from_slice(&secret).unwrap();
        let point = by_k256.verifying_key().to_sec1_point(true);
        assert_eq!(ours.public_key()[..], point.as_bytes()[..]);
        assert_eq!(peer_id(&ours.public_key()), Ok(ours.peer_id()));
        // An identity multihash of a secp256k1 key in protobuf: 00 25, 08 02, 12 21, the key.
        let bytes = ours.peer_id().to_bytes();
        assert_eq!(bytes[..6], [0x00, 0x25, 0x08, 0x02, 0x12, 0x21]);
        assert_eq!(bytes[6..], ours.public_key());
    }

    #[test]
    fn bytes_that_are_no_key_are_refused() {
        assert_eq!(Identity::from_secret(Zeroizing::new([0; 32])).unwrap_err(), IdentityError::Secret);
        assert_eq!(Identity::from_secret(Zeroizing::new([0xff; 32])).unwrap_err(), IdentityError::Secret);
        assert_eq!(peer_id(&[0; 33]), Err(IdentityError::Public));
        assert_eq!(peer_id(&[4; 33]), Err(IdentityError::Public));
    }

    #[test]
    fn a_printed_config_shows_no_secret() {
        let text = format!("{:?}", Config { identity: identity(0xab), ..config() });
        assert!(text.contains("<redacted>"));
        let bytes = "171, 171";
        assert!(!text.to_lowercase().contains("abab") && !text.contains(bytes), "{text}");
    }

    #[test]
    fn a_wire_is_named_by_kind_version_and_scope() {
        let name =
            |kind: &str, version, byte| Protocol::new(kind, version, Root([byte; 32])).unwrap().to_string();
        let zeros = "00".repeat(32);
        assert_eq!(name("node", 1, 0), format!("/symbolon/node/1/0x{zeros}"));
        assert_ne!(name("node", 1, 0), name("node", 1, 1));
        assert_ne!(name("node", 1, 0), name("node", 2, 0));
        assert_ne!(name("node", 1, 0), name("ceremony", 1, 0));
        for kind in ["", "a/b", "Node", "a b", &"a".repeat(33)] {
            assert!(Protocol::new(kind, 1, Root([0; 32])).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn a_good_config_names_every_operator_in_order() {
        let named = config().check().unwrap();
        let indices: Vec<u8> = named.iter().map(|(index, _)| index.get()).collect();
        assert_eq!(indices, [1, 2, 3, 4]);
        assert_eq!(named[1].1, identity(2).peer_id());
    }

    #[test]
    fn a_config_that_contradicts_itself_does_not_start() {
        assert!(matches!(refused(|c| c.peers.truncate(1)), StartError::Operators { have: 1 }));
        let many = refused(|c| c.peers = vec![c.peers[0].clone(); 23]);
        assert!(matches!(many, StartError::Operators { have: 23 }));
        assert!(matches!(refused(|c| c.peers[3] = c.peers[0].clone()), StartError::Twice { .. }));
        assert!(matches!(refused(|c| c.identity = identity(9)), StartError::NotMe { .. }));
        assert!(matches!(refused(|c| c.me = ShareIndex::new(1).unwrap()), StartError::NotMe { .. }));
        assert!(matches!(refused(|c| c.me = ShareIndex::new(5).unwrap()), StartError::NotMe { .. }));
        assert!(matches!(refused(|c| c.peers[0].public_key[0] = 9), StartError::PublicKey { .. }));
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let listen = refused(|c| c.listen = vec![address.clone(); LISTEN_MAX + 1]);
        assert!(matches!(listen, StartError::ListenMany { have: 17 }));
        let many = refused(|c| c.peers[0].addresses = vec![address.clone(); ADDRESSES_MAX + 1]);
        assert!(matches!(many, StartError::Address { source: AddressError::Many, .. }));
        let other: Multiaddr = format!("{address}/p2p/{}", identity(3).peer_id()).parse().unwrap();
        let wrong = refused(|c| c.peers[0].addresses = vec![other]);
        assert!(matches!(wrong, StartError::Address { source: AddressError::OtherPeer { .. }, .. }));
    }

    #[test]
    fn limits_that_contradict_each_other_do_not_start() {
        assert!(Limits::default().check().is_ok());
        let wrong: [fn(&mut Limits); 13] = [
            |l| l.bulk_len_max = 0,
            |l| l.bulk_len_max = FRAME_LEN_LIMIT + 1,
            |l| l.bulk_bytes_max = l.bulk_len_max,
            |l| l.bulk_frames_max = 0,
            |l| l.frame_len_max = 0,
            |l| l.frame_len_max = FRAME_LEN_LIMIT + 1,
            |l| l.queue_bytes_max = l.frame_len_max,
            |l| l.queue_bytes_max = (1 << 30) + 1,
            |l| l.queue_frames_max = 0,
            |l| l.silence_ms_max = 0,
            |l| l.redial_ms_min = 0,
            |l| l.redial_ms_max = l.redial_ms_min - 1,
            |l| l.redial_ms_max = 3_600_001,
        ];
        for (no, change) in wrong.into_iter().enumerate() {
            let mut limits = Limits::default();
            change(&mut limits);
            assert!(limits.check().is_err(), "change {no}");
        }
    }

    #[test]
    fn addresses_are_hosts_with_tcp_or_quic() {
        let peer = identity(1).peer_id();
        for text in [
            "/ip4/192.0.2.1/tcp/9000",
            "/ip6/2001:db8::1/udp/9000/quic-v1",
            "/dns4/node.example/tcp/9000",
            "/dns/node.example/udp/9000/quic-v1",
        ] {
            assert_eq!(check_address(&text.parse().unwrap()), Ok(None), "{text}");
            let named: Multiaddr = format!("{text}/p2p/{peer}").parse().unwrap();
            assert_eq!(check_address(&named), Ok(Some(peer)), "{text}");
        }
        for text in [
            "/ip4/192.0.2.1",
            "/tcp/9000",
            "/ip4/192.0.2.1/udp/9000",
            "/ip4/192.0.2.1/udp/9000/quic",
            "/ip4/192.0.2.1/tcp/9000/ws",
            "/memory/7",
        ] {
            assert!(check_address(&text.parse().unwrap()).is_err(), "{text}");
        }
        assert!(check_address(&Multiaddr::empty()).is_err());
    }
}
