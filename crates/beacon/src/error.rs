//! What can go wrong between us and the beacon nodes.

use thiserror::Error;

/// Why a set of beacon nodes cannot be used. Addresses are named by position only: they may hold secrets.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SetupError {
    /// No addresses.
    #[error("no beacon node given: at least one is needed")]
    NoNodes,
    /// More nodes than submissions should go to.
    #[error("{have} beacon nodes, at most {max}")]
    TooMany {
        /// How many were given.
        have: usize,
        /// How many may be.
        max: usize,
    },
    /// Not an address of a beacon API.
    #[error("beacon node {position}: {reason}")]
    Url {
        /// Which, from 1.
        position: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client could not be made: usually no root certificates for `https`.
    #[error("no HTTP client: {0}")]
    Client(String),
}

/// Why a beacon node, or all of them, gave no good answer.
///
/// Texts are at most [`crate::limits::MESSAGE_LEN_MAX`] characters long, free of control characters, and scrubbed of
/// the secrets in the node's address.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ApiError {
    /// The node says no.
    #[error("status {code}: {message}")]
    Status {
        /// HTTP status.
        code: u16,
        /// The node's own words, and those about single items if it said any.
        message: String,
    },
    /// No answer, or only part of one, in time.
    #[error("no answer in time")]
    Timeout,
    /// No connection, or it broke.
    #[error("not reachable: {0}")]
    Connect(String),
    /// The answer breaks a rule: its shape, or what was asked for.
    #[error("wrong answer: {0}")]
    Body(String),
    /// The answer is longer than any right one.
    #[error("answer longer than {max} bytes")]
    TooLong {
        /// Most bytes that are read.
        max: usize,
    },
    /// Of a list that was published every node refused these items. The others were taken, by one node or another.
    #[error("{} of {count} items refused: {message}", items.len())]
    Partly {
        /// Their places in the list, from 0, ascending.
        items: Vec<u64>,
        /// How many there were.
        count: usize,
        /// A node's own words about the first.
        message: String,
    },
    /// What was to be forwarded is no path of the beacon API.
    #[error("not to be forwarded: {0}")]
    Request(String),
    /// All nodes are of another network.
    #[error("no beacon node to ask")]
    NoNode,
}

impl ApiError {
    /// Whether the node says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { code: 404, .. })
    }

    /// Whether the node is unwell, rather than our question wrong or its subject unknown.
    pub(crate) fn blames_node(&self) -> bool {
        match self {
            Self::Status { code, .. } => matches!(code, 429 | 500 | 502 | 503 | 504),
            Self::Timeout | Self::Connect(_) | Self::Body(_) | Self::TooLong { .. } => true,
            Self::Partly { .. } | Self::Request(_) | Self::NoNode => false,
        }
    }

    /// How much it tells, to choose what to report of several nodes' errors.
    pub(crate) fn weight(&self) -> u8 {
        match self {
            Self::NoNode => 0,
            Self::Connect(_) => 1,
            Self::Timeout => 2,
            Self::TooLong { .. } => 3,
            Self::Body(_) => 4,
            Self::Status { .. } => 5,
            Self::Request(_) => 6,
            Self::Partly { .. } => 7,
        }
    }

    /// The more telling of two; the earlier one of equals.
    pub(crate) fn or(self, later: Self) -> Self {
        if later.weight() > self.weight() { later } else { self }
    }
}
