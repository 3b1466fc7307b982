//! Who an operator is and what it runs; how a node vouches for its operator.

use crate::request::Message;
use crate::text::{Country, Entity, Label};
use cluster::{Enr, EnrError, NodeKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use thiserror::Error;
use types::{Address, NodeSignature, Root, bytes::hex_array};

/// What an operator runs, and where. It says so itself; what is compared is written as labels, so that one client has one
/// spelling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Where the node stands.
    pub country: Country,
    /// The number of the autonomous system that hosts it.
    pub hosting_as: u32,
    /// Software of the execution layer.
    pub execution_client: Label,
    /// Software of the consensus layer.
    pub consensus_client: Label,
    /// The validator client.
    pub validator_client: Label,
}

/// What somebody who wishes to be an operator says. Its manager signs it as a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Who is behind it: two operators of one entity say the same here.
    pub entity: Entity,
    /// What it runs.
    pub setup: Setup,
    /// Which of the policy's operator types it wishes to be.
    pub operator_type: Label,
    /// Where rewards and bond are paid to: another address than the manager's.
    pub reward: Address,
    /// The node's record.
    pub enr: Record,
    /// By the node's key, over [`Message::NodeBinding`] of this pool, manager and record: the node's word that it works
    /// for this manager. Without it anybody could apply with another's record.
    pub node_signature: NodeSignature,
}

impl Application {
    /// Whether the node says that it works for this manager.
    pub fn node_agrees(&self, pool: Root, chain_id: u64, manager: Address) -> bool {
        let enr = self.enr.as_str();
        let digest = Message::NodeBinding { pool, manager, enr }.digest(chain_id);
        self.enr.key().0.verifies(digest, &self.node_signature)
    }
}

/// A node's record, read and verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Record(Enr);

impl Record {
    /// Errors: no record, or its signature does not verify.
    pub fn new(text: &str) -> Result<Self, EnrError> {
        Enr::parse(text).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The record itself.
    pub fn enr(&self) -> &Enr {
        &self.0
    }

    /// The node's key.
    pub fn key(&self) -> Key {
        Key(self.0.key())
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A node's key, as text in the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub NodeKey);

/// Not a node's key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not a compressed key of secp256k1 as hex")]
pub struct NoKey;

impl std::str::FromStr for Key {
    type Err = NoKey;
    fn from_str(text: &str) -> Result<Self, NoKey> {
        hex_array(text).ok().and_then(|bytes| NodeKey::new(bytes).ok()).map(Self).ok_or(NoKey)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
