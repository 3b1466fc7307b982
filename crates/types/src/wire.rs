//! What the operators of a cluster say to each other: statements, quorums, messages, frames.
//!
//! A [`Statement`] is the only thing a node key ever signs on the wire: fixed length, SSZ, bound to cluster,
//! generation, instance and type. Whatever else a message carries is bound by its `extra` hash, or proves itself.
//! A message that reached a machine is a [`Verified`]: [`decode`] and [`verify`] are its only doors, and check every
//! signature inside.
//!
//! Bytes: one version byte, then the SSZ of [`Message`]. A reader of version `k` takes `k` and, from the first release
//! on, `k - 1`. Version 1 was never released.

use crate::bytes::{NodeSignature, Root, Signature};
use crate::operators::{ClusterId, ClusterSize, Generation, OPERATORS_MAX, ShareIndex};
use crate::units::{Slot, ValidatorNo};
use sha2::{Digest, Sha256};
use ssz::{Decode as _, Encode as _};
use ssz_derive::{Decode, Encode};
use std::{fmt, sync::Arc};
use thiserror::Error;

mod boot;
mod shape;

pub use boot::{Challenge, Overlap, Question};

/// Version of the frames written here.
pub const WIRE_VERSION: u8 = 2;

/// No frame is longer: a full block of 10 MiB (the gossip limit), and 21 blobs with the cell proofs of Fulu, 2.9 MB.
pub const FRAME_LEN_MAX: usize = 16 << 20;

/// No agreed value but a block is longer: a [`crate::BeaconVote`] is 120 bytes.
pub const VOTE_VALUE_LEN_MAX: usize = 256;

/// What is agreed on, or exchanged, once per slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[ssz(enum_behaviour = "tag")]
pub enum Kind {
    /// A [`crate::BeaconVote`]. First round 0, open.
    Attest,
    /// A block. First round 1, led.
    Propose,
    /// Aggregates. First round 1, led.
    Aggregate,
    /// Sync contributions. First round 1, led.
    Contribute,
    /// RANDAO reveals: everybody can compute them, so partials only.
    Randao,
    /// Votes of sync committee members for the head in the slot's [`crate::BeaconVote`]: partials only.
    SyncMessage,
    /// Selection proofs of a slot's attesters: everybody can compute them, so partials only.
    Selection,
    /// Selection proofs of sync committee members, one for each subcommittee: partials only.
    SyncSelection,
    /// Voluntary exits from an epoch on, whose first slot names it: partials only, each an operator's approval.
    Exit,
    /// Registrations of a [`crate::approval::RegistrationStatement`], in the slot in which it was stated: partials only,
    /// each an operator's approval. The hash is the statement's, which travels as a value.
    Registration,
}

impl Kind {
    /// All of them, in the order of their numbers on the wire.
    pub const ALL: [Self; 10] = [
        Self::Attest,
        Self::Propose,
        Self::Aggregate,
        Self::Contribute,
        Self::Randao,
        Self::SyncMessage,
        Self::Selection,
        Self::SyncSelection,
        Self::Exit,
        Self::Registration,
    ];

    /// The first round: 0 where everybody votes at once, 1 where a leader proposes; of no meaning for partials only.
    pub const fn first_round(self) -> u32 {
        match self {
            Self::Attest => 0,
            Self::Propose
            | Self::Aggregate
            | Self::Contribute
            | Self::Randao
            | Self::SyncMessage
            | Self::Selection
            | Self::SyncSelection
            | Self::Exit
            | Self::Registration => 1,
        }
    }

    /// Whether a validator can be slashed for what is signed.
    pub const fn is_slashable(self) -> bool {
        matches!(self, Self::Attest | Self::Propose)
    }

    /// In a word, for logs, metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attest => "attest",
            Self::Propose => "propose",
            Self::Aggregate => "aggregate",
            Self::Contribute => "contribute",
            Self::Randao => "randao",
            Self::SyncMessage => "sync_message",
            Self::Selection => "selection",
            Self::SyncSelection => "sync_selection",
            Self::Exit => "exit",
            Self::Registration => "registration",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One agreement, whatever the number of validators: a slot's duties of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Instance {
    /// Slot. First, so that instances sort by time.
    pub slot: Slot,
    /// Kind.
    pub kind: Kind,
    /// Which sharing of the keys.
    pub generation: Generation,
}

impl Instance {
    /// The instance of a slot and kind.
    pub fn new(generation: Generation, slot: Slot, kind: Kind) -> Self {
        Self { slot, kind, generation }
    }

    /// The leader of a round: `(slot + r) mod n`, as a share index.
    pub fn leader(&self, round: u32, size: ClusterSize) -> ShareIndex {
        let n = size.operators() as u64;
        ShareIndex::new(((self.slot.0 % n + u64::from(round) % n) % n) as u8 + 1)
            .expect("an index is one above its position")
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.kind, self.slot)
    }
}

/// What a statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[ssz(enum_behaviour = "tag")]
pub enum Step {
    /// `VOTE(r, hash)`.
    Vote,
    /// `COMMIT(r, hash)`.
    Commit,
    /// `NEWROUND(r)`; `hash` is zero, `extra` binds certificate and last vote.
    NewRound,
    /// `PROPOSAL(r, hash)`; `extra` binds the justification.
    Proposal,
    /// `PARTIAL(hash)`; `extra` binds the partial signatures.
    Partial,
    /// `BOOT`: of no agreement. `hash` is the id of the process that speaks, `extra` what it was asked to repeat; the
    /// instance is the question's: [`Challenge::instance`].
    Boot,
}

/// The only thing a node key signs on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Statement {
    /// Which agreement.
    pub instance: Instance,
    /// Which message.
    pub step: Step,
    /// Which round; 0 for partials.
    pub round: u32,
    /// Hash of the value.
    pub hash: Root,
    /// Hash of what else the message carries; zero for votes and commits.
    pub extra: Root,
}

impl Statement {
    /// What is signed: SHA-256 of a label, the cluster and the statement's SSZ, which has a fixed length.
    pub fn digest(&self, cluster: &ClusterId) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"symbolon wire 1");
        hasher.update(cluster.0);
        hasher.update(self.as_ssz_bytes());
        hasher.finalize().into()
    }
}

impl Statement {
    /// The statement as `author`'s, its signature still to come: [`seal`] adds it.
    pub fn unsigned(self, author: ShareIndex) -> Signed {
        Signed { author, statement: self, signature: NodeSignature::ZERO }
    }
}

/// A statement with its author's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Signed {
    /// Who says it.
    pub author: ShareIndex,
    /// What.
    pub statement: Statement,
    /// ECDSA over [`Statement::digest`].
    pub signature: NodeSignature,
}

/// One signature of a [`Quorum`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct QuorumSignature {
    /// Whose.
    pub author: ShareIndex,
    /// Over the quorum's statement.
    pub signature: NodeSignature,
}

/// Many signatures over one statement: a certificate (votes) or a decision (commits, or all `n` first votes).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Quorum {
    /// What all of them said. Its step is `Vote` or `Commit`, its `extra` zero.
    pub statement: Statement,
    /// By whom, in order of index, each once.
    pub signatures: Vec<QuorumSignature>,
}

/// The last vote of a `NEWROUND`'s author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LastVote {
    /// Round voted in.
    pub round: u32,
    /// For what.
    pub hash: Root,
}

/// `NEWROUND(r)`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NewRound {
    /// The author's statement; its `extra` is [`NewRound::extra`].
    pub signed: Signed,
    /// Best certificate: none or one.
    pub best: Vec<Quorum>,
    /// Last vote: none or one.
    pub last: Vec<LastVote>,
    /// For a last vote in a round >= 1, the leader's signed `PROPOSAL` that it answered: none or one.
    pub proposal: Vec<Signed>,
}

impl NewRound {
    /// Binds certificate, last vote and proposal to the signed statement.
    pub fn extra(best: &[Quorum], last: &[LastVote], proposal: &[Signed]) -> Root {
        hash_parts(&[
            &best.to_vec().as_ssz_bytes(),
            &last.to_vec().as_ssz_bytes(),
            &proposal.to_vec().as_ssz_bytes(),
        ])
    }
}

/// A value on its way: shared, because a block may be megabytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(pub Arc<[u8]>);

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl ssz::Encode for Value {
    fn is_ssz_fixed_len() -> bool {
        false
    }
    fn ssz_bytes_len(&self) -> usize {
        self.0.len()
    }
    fn ssz_append(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.0);
    }
}

impl ssz::Decode for Value {
    fn is_ssz_fixed_len() -> bool {
        false
    }
    fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, ssz::DecodeError> {
        Ok(Self(bytes.into()))
    }
}

/// `VOTE(r, hash)`, with the value where it is small.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Vote {
    /// The author's statement.
    pub signed: Signed,
    /// The value: none or one (attest only).
    pub value: Vec<Value>,
}

/// `PROPOSAL(r, hash)`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Proposal {
    /// The leader's statement; its `extra` is [`Proposal::extra`].
    pub signed: Signed,
    /// The value, or none: fetch it by hash.
    pub value: Vec<Value>,
    /// At least `q` `NEWROUND(r)` of distinct authors; none in a led first round.
    pub justification: Vec<NewRound>,
}

impl Proposal {
    /// Binds the justification to the signed statement.
    pub fn extra(justification: &[NewRound]) -> Root {
        hash_parts(&[&justification.to_vec().as_ssz_bytes()])
    }
}

/// One signature of an instance: whose, and over which of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Item {
    /// Whose.
    pub validator: ValidatorNo,
    /// The subcommittee, for sync selections and contributions; 0 for everything else.
    pub part: u8,
}

impl Item {
    /// The one signature of a validator in an instance that has one of each.
    pub const fn of(validator: ValidatorNo) -> Self {
        Self { validator, part: 0 }
    }
}

impl From<ValidatorNo> for Item {
    fn from(validator: ValidatorNo) -> Self {
        Self::of(validator)
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.validator)?;
        if self.part > 0 { write!(f, "/{}", self.part) } else { Ok(()) }
    }
}

/// One partial signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PartialSignature {
    /// Whose share, over what.
    pub item: Item,
    /// By the author's share, over the signing root that everybody computes from the agreed value.
    pub signature: Signature,
}

/// `PARTIAL(hash)`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Partials {
    /// The author's statement; its `extra` is [`Partials::extra`].
    pub signed: Signed,
    /// At most one per item, in order.
    pub partials: Vec<PartialSignature>,
}

impl Partials {
    /// Binds the partial signatures to the signed statement.
    pub fn extra(partials: &[PartialSignature]) -> Root {
        hash_parts(&[&partials.to_vec().as_ssz_bytes()])
    }
}

/// A request for a value, or its answer's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct ValueId {
    /// Which agreement.
    pub instance: Instance,
    /// Hash of the value.
    pub hash: Root,
}

/// An answer to a request for a value. Proves itself: the value hashes to `id.hash`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ValueAnswer {
    /// What was asked for.
    pub id: ValueId,
    /// The bytes.
    pub value: Value,
}

/// Everything operators say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[ssz(enum_behaviour = "union")]
pub enum Message {
    /// `VOTE`.
    Vote(Vote),
    /// `CERT`: `q` equal votes of a round; whoever relays it need not sign.
    Cert(Quorum),
    /// `COMMIT`.
    Commit(Signed),
    /// `DECIDED`: `q` equal commits of a round, or `n` equal votes of the first round.
    Decided(Quorum),
    /// `NEWROUND`.
    NewRound(NewRound),
    /// `PROPOSAL`.
    Proposal(Proposal),
    /// `PARTIAL`.
    Partial(Partials),
    /// `FETCH`.
    Fetch(ValueId),
    /// `VALUE`.
    Value(ValueAnswer),
    /// `CONTENTS`: payload and blobs behind a blinded block ([`crate::block::BlockContents`]). Proves itself, like `VALUE`.
    Contents(ValueAnswer),
    /// `CHALLENGE`: which process is there?
    Challenge(Challenge),
    /// `BOOT`, the answer.
    Boot(Signed),
    /// `OVERLAP`: another process holds the node key of whom this is sent to. Proves itself to that one.
    Overlap(Overlap),
    /// `HELD`: the newest statement of a kind's partials that the sender holds of whom this is sent to. It is that one's own
    /// signature that makes it true.
    Held(Signed),
    /// Asks for `CONTENTS`: the hash is the block's root.
    FetchContents(ValueId),
}

impl Message {
    /// Which agreement it belongs to.
    pub fn instance(&self) -> Instance {
        match self {
            Self::Vote(vote) => vote.signed.statement.instance,
            Self::Cert(quorum) | Self::Decided(quorum) => quorum.statement.instance,
            Self::Commit(signed) => signed.statement.instance,
            Self::NewRound(new_round) => new_round.signed.statement.instance,
            Self::Proposal(proposal) => proposal.signed.statement.instance,
            Self::Partial(partials) => partials.signed.statement.instance,
            Self::Fetch(id) | Self::FetchContents(id) => id.instance,
            Self::Value(answer) | Self::Contents(answer) => answer.id.instance,
            Self::Challenge(challenge) => challenge.instance,
            Self::Boot(signed) | Self::Held(signed) => signed.statement.instance,
            Self::Overlap(overlap) => overlap.other.statement.instance,
        }
    }

    /// Whether it is about the processes behind node keys, and so of no agreement.
    pub const fn is_of_processes(&self) -> bool {
        matches!(self, Self::Challenge(_) | Self::Boot(_) | Self::Overlap(_))
    }

    /// A word for logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Vote(_) => "vote",
            Self::Cert(_) => "cert",
            Self::Commit(_) => "commit",
            Self::Decided(_) => "decided",
            Self::NewRound(_) => "newround",
            Self::Proposal(_) => "proposal",
            Self::Partial(_) => "partial",
            Self::Fetch(_) => "fetch",
            Self::Value(_) => "value",
            Self::Contents(_) => "contents",
            Self::Challenge(_) => "challenge",
            Self::Boot(_) => "boot",
            Self::Overlap(_) => "overlap",
            Self::Held(_) => "held",
            Self::FetchContents(_) => "fetch_contents",
        }
    }

    /// The frame: version and SSZ.
    pub fn to_frame(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(1 + self.ssz_bytes_len());
        frame.push(WIRE_VERSION);
        self.ssz_append(&mut frame);
        frame
    }
}

/// Says whether a node signature over a digest is by this operator. Pure: same question, same answer.
pub trait Verify {
    /// `true` if `signature` over `digest` is by `author`'s node key.
    fn verify(&self, author: ShareIndex, digest: &[u8; 32], signature: &NodeSignature) -> bool;
}

/// Signs digests with this operator's node key.
pub trait Sign: Verify {
    /// The operator whose key it is.
    fn author(&self) -> ShareIndex;
    /// Deterministic (RFC 6979), low `s`.
    fn sign(&self, digest: &[u8; 32]) -> NodeSignature;
}

/// Why a frame is refused. All of these are the sender's faults.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// Longer than [`FRAME_LEN_MAX`].
    #[error("frame of {len} bytes, at most {FRAME_LEN_MAX} are taken")]
    Length {
        /// Its length.
        len: usize,
    },
    /// Another wire version.
    #[error("wire version {version}, this node speaks {WIRE_VERSION}")]
    Version {
        /// Its version; 0 for an empty frame.
        version: u8,
    },
    /// Not SSZ of a message.
    #[error("not a message: {0}")]
    Ssz(String),
    /// A list is longer than there are operators, not in order, or an option holds more than one.
    #[error("{0}")]
    Shape(&'static str),
    /// Not the cluster's operator.
    #[error("operator {0} is not in the cluster")]
    Stranger(ShareIndex),
    /// The direct author is not the peer who sent it.
    #[error("operator {author} signed what operator {sender} sent as its own")]
    Author {
        /// Who signed.
        author: ShareIndex,
        /// Who sent.
        sender: ShareIndex,
    },
    /// A signature does not verify.
    #[error("signature of operator {0} does not verify")]
    Signature(ShareIndex),
}

/// A message all of whose signatures are right, with the peer who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    sender: ShareIndex,
    message: Message,
}

impl Verified {
    /// Who sent it: the author, except for relayed quorums and values.
    pub const fn sender(&self) -> ShareIndex {
        self.sender
    }

    /// What was said.
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// What was said, by value.
    pub fn into_message(self) -> Message {
        self.message
    }
}

/// Decodes a frame and checks its shape; signatures come later, in [`verify`].
pub fn decode(frame: &[u8]) -> Result<Message, FrameError> {
    if frame.len() > FRAME_LEN_MAX {
        return Err(FrameError::Length { len: frame.len() });
    }
    let Some((version, body)) = frame.split_first() else { return Err(FrameError::Version { version: 0 }) };
    if *version != WIRE_VERSION {
        return Err(FrameError::Version { version: *version });
    }
    let message = Message::from_ssz_bytes(body).map_err(|error| FrameError::Ssz(format!("{error:?}")))?;
    shape::check(&message)?;
    Ok(message)
}

/// Checks every signature in a message that `sender` sent over its authenticated stream.
///
/// - Cost: one ECDSA verification per signature in the message.
pub fn verify(
    message: Message,
    sender: ShareIndex,
    size: ClusterSize,
    cluster: &ClusterId,
    node_keys: &impl Verify,
) -> Result<Verified, FrameError> {
    let door = Door { size, cluster, node_keys };
    match &message {
        Message::Vote(vote) => door.own(sender, &vote.signed)?,
        Message::Commit(signed) | Message::Boot(signed) => door.own(sender, signed)?,
        Message::Overlap(overlap) => door.signed(&overlap.other)?,
        Message::Held(signed) => door.signed(signed)?,
        Message::Partial(partials) => door.own(sender, &partials.signed)?,
        Message::Cert(quorum) | Message::Decided(quorum) => door.quorum(quorum)?,
        Message::NewRound(new_round) => {
            door.own(sender, &new_round.signed)?;
            door.new_round(new_round)?;
        }
        Message::Proposal(proposal) => {
            door.own(sender, &proposal.signed)?;
            proposal.justification.iter().try_for_each(|new_round| door.new_round(new_round))?;
        }
        Message::Fetch(_)
        | Message::FetchContents(_)
        | Message::Value(_)
        | Message::Contents(_)
        | Message::Challenge(_) => {}
    }
    Ok(Verified { sender, message })
}

/// Signs a statement.
pub fn sign(statement: Statement, cluster: &ClusterId, node_key: &impl Sign) -> Signed {
    Signed { author: node_key.author(), statement, signature: node_key.sign(&statement.digest(cluster)) }
}

/// Signs the author's own statement in a message that a machine wishes to send; what has none passes unchanged.
pub fn seal(mut message: Message, cluster: &ClusterId, node_key: &impl Sign) -> Verified {
    let own = match &mut message {
        Message::Vote(vote) => Some(&mut vote.signed),
        Message::Commit(signed) | Message::Boot(signed) => Some(signed),
        Message::NewRound(new_round) => Some(&mut new_round.signed),
        Message::Proposal(proposal) => Some(&mut proposal.signed),
        Message::Partial(partials) => Some(&mut partials.signed),
        Message::Cert(_)
        | Message::Decided(_)
        | Message::Fetch(_)
        | Message::Value(_)
        | Message::Contents(_)
        | Message::Challenge(_)
        | Message::Overlap(_)
        | Message::Held(_)
        | Message::FetchContents(_) => None,
    };
    if let Some(signed) = own {
        *signed = sign(signed.statement, cluster, node_key);
    }
    Verified { sender: node_key.author(), message }
}

struct Door<'a, V> {
    size: ClusterSize,
    cluster: &'a ClusterId,
    node_keys: &'a V,
}

impl<V: Verify> Door<'_, V> {
    fn own(&self, sender: ShareIndex, signed: &Signed) -> Result<(), FrameError> {
        if signed.author != sender {
            return Err(FrameError::Author { author: signed.author, sender });
        }
        self.signed(signed)
    }

    fn signed(&self, signed: &Signed) -> Result<(), FrameError> {
        self.signature(signed.author, &signed.statement, &signed.signature)
    }

    fn signature(
        &self,
        author: ShareIndex,
        statement: &Statement,
        signature: &NodeSignature,
    ) -> Result<(), FrameError> {
        if !self.size.contains(author) {
            return Err(FrameError::Stranger(author));
        }
        if !self.node_keys.verify(author, &statement.digest(self.cluster), signature) {
            return Err(FrameError::Signature(author));
        }
        Ok(())
    }

    fn quorum(&self, quorum: &Quorum) -> Result<(), FrameError> {
        quorum
            .signatures
            .iter()
            .try_for_each(|one| self.signature(one.author, &quorum.statement, &one.signature))
    }

    fn new_round(&self, new_round: &NewRound) -> Result<(), FrameError> {
        self.signed(&new_round.signed)?;
        new_round.best.iter().try_for_each(|quorum| self.quorum(quorum))?;
        new_round.proposal.iter().try_for_each(|signed| self.signed(signed))
    }
}

fn hash_parts(parts: &[&[u8]]) -> Root {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Root(hasher.finalize().into())
}

const _: () = assert!(OPERATORS_MAX < u8::MAX, "indices fit a byte");
