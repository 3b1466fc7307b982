//! What operators say in a ceremony: statements, signed, and their content in parts.
//!
//! A [`Statement`] is what a node key signs here: fixed length, SSZ, bound to ceremony, author, step, recipient and
//! the content's length and root. Content travels in parts, each behind its statement:
//!
//! ```text
//! frame = version (1) || SSZ of Signed (135) || part (u16, from 0, little-endian) || bytes of that part
//! ```
//!
//! Its length follows from the step, so everything is bounded before it is stored.

use super::Step;
use super::merkle;
use super::plan::{COMPLAINT_LEN_MAX, Plan, Shape};
use sha2::{Digest, Sha256};
use ssz::{Decode as _, Encode as _};
use ssz_derive::{Decode, Encode};
use std::{fmt, sync::Arc};
use thiserror::Error;
use types::wire::{Sign, Verify};
use types::{NodeSignature, Root, ShareIndex};
use zeroize::Zeroizing;

/// Version of the frames written and read here. From 2 on evidence shows what it is judged by, from 3 on parts are of 1 MiB.
pub const CEREMONY_VERSION: u8 = 3;

/// What a node key signs in a ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Statement {
    /// Which ceremony.
    pub ceremony: Root,
    /// Who says it.
    pub author: ShareIndex,
    /// Which message.
    pub step: Step,
    /// For whom: a share index, or 0 for everybody.
    pub to: u8,
    /// Bytes of content.
    pub length: u32,
    /// Root of the content.
    pub root: Root,
}

impl Statement {
    /// What is signed: SHA-256 of a label and the statement's SSZ.
    pub fn digest(&self) -> [u8; 32] {
        let hasher = Sha256::new().chain_update(b"symbolon ceremony statement 1");
        hasher.chain_update(self.as_ssz_bytes()).finalize().into()
    }
}

/// A statement with its author's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Signed {
    /// What is said.
    pub statement: Statement,
    /// ECDSA over [`Statement::digest`].
    pub signature: NodeSignature,
}

impl Signed {
    /// Bytes of its SSZ.
    pub const LEN: usize = Root::LEN + 1 + 1 + 1 + 4 + Root::LEN + NodeSignature::LEN;

    pub(super) fn is_signed(&self, node: &impl Verify) -> bool {
        node.verify(self.statement.author, &self.statement.digest(), &self.signature)
    }
}

/// A frame on its way, or the content of one: shared, because round 1 may be megabytes.
///
/// # Security
/// May hold private shares. Wiped when the last holder drops it; prints its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(pub Arc<Zeroizing<Vec<u8>>>);

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// Why a frame is put aside. The link says whose it is; nothing here can be proved to others.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// Too short, too long, or not of the form.
    #[error("a frame that is {0}")]
    Malformed(&'static str),
    /// The peer runs another version of the ceremony.
    #[error("version {theirs} of the ceremony, this is version {CEREMONY_VERSION}")]
    Version {
        /// The peer's.
        theirs: u8,
    },
    /// The peer has another definition file.
    #[error("another definition: theirs has the hash {theirs}, ours {ours}")]
    OtherDefinition {
        /// The peer's.
        theirs: Root,
        /// Ours.
        ours: Root,
    },
    /// The peer is at another attempt.
    #[error("another attempt: theirs is {theirs}, ours {ours}")]
    OtherAttempt {
        /// The peer's.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
    /// A later message of another ceremony.
    #[error("a message of another ceremony, {theirs}")]
    OtherCeremony {
        /// The peer's.
        theirs: Root,
    },
    /// A peer speaks for another operator, or says what is for somebody else.
    #[error("a message by operator {author} for {to}")]
    Misdirected {
        /// Who is said to speak.
        author: ShareIndex,
        /// To whom; 0 is everybody.
        to: u8,
    },
    /// The signature is not the author's.
    #[error("a signature that is not the author's")]
    Signature,
    /// The content is not what the author signed.
    #[error("content that its author did not sign")]
    Content,
}

/// A frame that was taken apart.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) signed: Signed,
    pub(super) number: usize,
    pub(super) bytes: &'a [u8],
}

const HEADER_LEN: usize = 1 + Signed::LEN + 2;

impl<'a> Part<'a> {
    pub(super) fn parse(frame: &'a [u8]) -> Result<Self, Rejection> {
        let Some((&version, _)) = frame.split_first() else { return Err(Rejection::Malformed("empty")) };
        if version != CEREMONY_VERSION {
            return Err(Rejection::Version { theirs: version });
        }
        let Some((header, bytes)) = frame.split_at_checked(HEADER_LEN) else {
            return Err(Rejection::Malformed("too short"));
        };
        let (signed, number) = header[1..].split_at(Signed::LEN);
        let signed = Signed::from_ssz_bytes(signed).map_err(|_| Rejection::Malformed("no statement"))?;
        let number = usize::from(u16::from_le_bytes([number[0], number[1]]));
        Ok(Self { signed, number, bytes })
    }
}

/// Cuts content into frames.
pub(super) fn frames(plan: &Plan, signed: &Signed, content: &[u8]) -> Vec<Frame> {
    let parts = content.chunks(plan.part_len).enumerate();
    parts
        .map(|(number, bytes)| {
            let number = u16::try_from(number).expect("the longest content has a few dozen parts");
            let mut frame = Vec::with_capacity(HEADER_LEN + bytes.len());
            frame.push(CEREMONY_VERSION);
            signed.ssz_append(&mut frame);
            frame.extend(number.to_le_bytes());
            frame.extend(bytes);
            frame.into()
        })
        .collect()
}

/// Signs content.
pub(super) fn sign(plan: &Plan, node: &impl Sign, step: Step, to: u8, content: &[u8]) -> Signed {
    let length = u32::try_from(content.len()).expect("the longest content is some megabytes");
    let item_len = plan.shape(step).map_or(content.len(), |shape| shape.item_len);
    let root = merkle::root(content, item_len);
    let statement = Statement { ceremony: plan.ceremony, author: plan.me(), step, to, length, root };
    Signed { statement, signature: node.sign(&statement.digest()) }
}

/// How a statement's content is cut; `None` if its length is not one its step can have.
pub(super) fn shape_of(plan: &Plan, statement: &Statement) -> Option<Shape> {
    let length = statement.length as usize;
    match plan.shape(statement.step) {
        Some(shape) => (shape.len() == length).then_some(shape),
        None => (1..=COMPLAINT_LEN_MAX).contains(&length).then_some(Shape { items: 1, item_len: length }),
    }
}
