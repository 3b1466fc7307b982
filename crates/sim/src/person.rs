//! A node in the jar, with its disk and its validator client. An honest operator is one person, an equivocator two.

use crate::client::Client;
use crate::clock::Clock;
use crate::disk::Disk;
use crate::fault::What;
use crate::villains::Mischief;
use sha2::{Digest, Sha512};
use std::collections::BTreeMap;
use symbolon_core::node::Node;
use types::wire::{Sign, Verify};
use types::{Millis, NodeSignature, ShareIndex};

/// A node key in the jar: a hash of operator and digest stands for a signature.
#[derive(Clone, Copy, Debug)]
pub struct NodeKey(pub ShareIndex);

fn node_signature(author: ShareIndex, digest: &[u8; 32]) -> NodeSignature {
    let mut hasher = Sha512::new();
    hasher.update(b"node key");
    hasher.update([author.get()]);
    hasher.update(digest);
    NodeSignature(hasher.finalize().into())
}

impl Verify for NodeKey {
    fn verify(&self, author: ShareIndex, digest: &[u8; 32], signature: &NodeSignature) -> bool {
        node_signature(author, digest) == *signature
    }
}

impl Sign for NodeKey {
    fn author(&self) -> ShareIndex {
        self.0
    }

    fn sign(&self, digest: &[u8; 32]) -> NodeSignature {
        node_signature(self.0, digest)
    }
}

/// Which side of a split a person belongs to; honest people hear both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Hears and is heard by everybody.
    Both,
    /// An equivocator's face towards one half of the others.
    Left,
    /// An equivocator's face towards the other half.
    Right,
}

/// One node with what belongs to it.
#[derive(Debug)]
pub struct Person {
    /// Whose keys it holds.
    pub operator: ShareIndex,
    /// Which side it shows its face to.
    pub side: Side,
    /// Which side it stands on, as others with two faces see it: `Left` or `Right`.
    pub stands: Side,
    /// Whether it follows the protocol.
    pub honest: bool,
    /// The machine; `None` while it is down.
    pub node: Option<Node>,
    /// Its journal's disk.
    pub disk: Disk,
    /// Its validator client.
    pub client: Client,
    /// How long its beacon node takes to learn of a block.
    pub head_delay: Millis,
    /// Counts starts, so that results of an earlier life are not delivered.
    pub life: u64,
    /// When its next tick is due in the queue.
    pub wake: Option<Millis>,
    /// Its machine's clock.
    pub clock: Clock,
    /// What is wrong with it, and until when.
    pub troubles: BTreeMap<What, Millis>,
    /// Whether its operator's record says that another process runs with its key.
    pub stopped: bool,
    /// How often it has handed something to its beacon node.
    pub submissions: u64,
    /// What it makes of its node's messages.
    pub(crate) mischief: Option<Box<dyn Mischief>>,
}

impl Person {
    /// An honest one that is not up yet.
    pub fn new(operator: ShareIndex, client: Client) -> Self {
        Self {
            operator,
            side: Side::Both,
            stands: Side::Left,
            honest: true,
            node: None,
            disk: Disk::default(),
            client,
            head_delay: Millis(0),
            life: 0,
            wake: None,
            clock: Clock::default(),
            troubles: BTreeMap::new(),
            stopped: false,
            submissions: 0,
            mischief: None,
        }
    }

    /// Its node key.
    pub const fn key(&self) -> NodeKey {
        NodeKey(self.operator)
    }

    /// Whether something is wrong with it now.
    pub fn suffers(&self, what: What, now: Millis) -> bool {
        self.troubles.get(&what).is_some_and(|until| now < *until)
    }

    /// Whether `other` is one of those it talks with.
    pub fn talks_with(&self, other: &Self) -> bool {
        let faces = |one: &Self, two: &Self| match one.side {
            Side::Both => true,
            side => two.stands == side,
        };
        faces(self, other) && faces(other, self)
    }
}
