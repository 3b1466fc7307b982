//! Paths of pages, and back.

use std::fmt;
use types::{Address, ClusterId};

/// Which page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The pool.
    Overview,
    /// All clusters.
    Clusters,
    /// A cluster.
    Cluster(ClusterId),
    /// All operators.
    Operators,
    /// An operator: by its name, or by who manages it now.
    Operator(Address),
    /// Somebody who has, or had, shares.
    Delegator(Address),
    /// A cluster's ceremony.
    Ceremony(ClusterId),
    /// All reports.
    Reports,
    /// A report, by its number.
    Report(u64),
    /// What went wrong.
    Incidents,
}

impl Place {
    /// The page of a path; nothing if it is none.
    pub fn of(path: &str) -> Option<Self> {
        let (list, rest) = path.strip_prefix('/')?.split_once('/').unwrap_or((&path[1..], ""));
        if path.ends_with('/') && path.len() > 1 {
            return None;
        }
        match (list, rest) {
            ("", "") => Some(Self::Overview),
            ("clusters", "") => Some(Self::Clusters),
            ("clusters", id) => id.parse().ok().map(Self::Cluster),
            ("operators", "") => Some(Self::Operators),
            ("operators", address) => address.parse().ok().map(Self::Operator),
            ("delegators", address) => address.parse().ok().map(Self::Delegator),
            ("ceremonies", id) => id.parse().ok().map(Self::Ceremony),
            ("reports", "") => Some(Self::Reports),
            ("reports", frame) => number(frame).map(Self::Report),
            ("incidents", "") => Some(Self::Incidents),
            _ => None,
        }
    }

    /// Where something that somebody looks for may be: an address, a cluster's id, or a report's number.
    ///
    /// - `is_operator`: whether an address is an operator's; `is_cluster`: whether an id is a cluster's.
    pub fn find(
        what: &str,
        is_operator: impl Fn(Address) -> bool,
        is_cluster: impl Fn(ClusterId) -> bool,
    ) -> Option<Self> {
        let what = what.trim();
        if let Ok(address) = what.parse() {
            return Some(if is_operator(address) {
                Self::Operator(address)
            } else {
                Self::Delegator(address)
            });
        }
        if let Ok(id) = what.parse() {
            return Some(if is_cluster(id) { Self::Cluster(id) } else { Self::Ceremony(id) });
        }
        number(what).map(Self::Report)
    }
}

/// A number as [`Place`] writes it, so that one page has one path.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overview => f.write_str("/"),
            Self::Clusters => f.write_str("/clusters"),
            Self::Cluster(id) => write!(f, "/clusters/{id}"),
            Self::Operators => f.write_str("/operators"),
            Self::Operator(address) => write!(f, "/operators/{address}"),
            Self::Delegator(address) => write!(f, "/delegators/{address}"),
            Self::Ceremony(id) => write!(f, "/ceremonies/{id}"),
            Self::Reports => f.write_str("/reports"),
            Self::Report(frame) => write!(f, "/reports/{frame}"),
            Self::Incidents => f.write_str("/incidents"),
        }
    }
}
