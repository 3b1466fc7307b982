//! The pool's web pages: what a state, and what its log has told, as HTML that people read.
//!
//! ```text
//! place     which page a path is                                     Place
//! facts     the state, what the log told, what the chain says, now   Facts, told by the shell
//! page      a title and sections                                     Page
//! document  the sections in the site's frame                         Page::document
//! update    sections that are others than those sent last            Page::changed
//! ```
//!
//! A page decides nothing and asks nothing: the same facts are the same bytes. Whatever comes from the log, from a node or
//! from a path is escaped by the template engine (`maud`); nothing here marks a text as HTML by itself. There is no script
//! in a document and no style, so the [`POLICY`] needs neither: one style sheet and one script are files of the site.
//!
//! Amounts are shown in ETH, rounded, with all of their wei in the title; hashes are short, with all of them in the
//! title; times are UTC, and how long ago.
//!
//! - [`place`]: paths. `frame`: the document. `show`: amounts, times, names. `table`, `chart`: what they say.
//! - [`digest`]: what the log told and the state does not keep. [`sums`]: what is counted once for each state.
//! - [`strip`]: which validators were seen on duty; not in the log.

mod ceremony;
mod chart;
mod cluster;
mod clusters;
mod delegator;
pub mod digest;
mod formed;
mod frame;
mod incidents;
mod operator;
mod operators;
mod overview;
pub mod place;
mod report;
mod reports;
mod show;
pub mod strip;
pub mod sums;
mod table;

pub use digest::Digest;
pub use frame::{Page, Section, failed, missing};
pub use place::Place;
pub use strip::Strips;
pub use sums::Sums;

use crate::board::Notice;
use crate::ledger::{Entry, SignedHead, State};
use std::collections::BTreeSet;
use types::{Address, ClusterId};

/// What a browser may do with a page: take style, script, pictures and updates from this site, and nothing else.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                          form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The style sheet.
pub const STYLE: &str = include_str!("style.css");
/// The script that takes updates. Without it the pages are complete.
pub const SCRIPT: &str = include_str!("live.js");
/// The picture of the site.
pub const ICON: &str = include_str!("icon.svg");

/// Rows of a list, after which it says how many more there are: a page stays below a megabyte.
const ROWS_MAX: usize = 200;

/// What pages are made of.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The state.
    pub state: &'a State,
    /// How many entries lead to it.
    pub entries: u64,
    /// Unix seconds of the last of them.
    pub at: u64,
    /// Unix seconds now.
    pub now: u64,
    /// What the log told. It may be behind the state after a start.
    pub digest: &'a Digest,
    /// Sums of this state.
    pub sums: &'a Sums,
    /// Which validators were seen on duty.
    pub strips: &'a Strips,
    /// The head that was signed last, and who has countersigned it; nothing if none was.
    pub head: Option<(&'a SignedHead, &'a BTreeSet<Address>)>,
    /// An entry of the log, by its number.
    pub entry: &'a dyn Fn(u64) -> Option<Entry>,
    /// How far a cluster's ceremony is.
    pub notice: &'a dyn Fn(ClusterId) -> Option<Notice<'a>>,
}

/// The page of a place. Errors: there is no such thing, in words.
pub fn page(facts: &Facts<'_>, place: &Place) -> Result<Page, String> {
    match place {
        Place::Overview => Ok(overview::page(facts)),
        Place::Clusters => Ok(clusters::page(facts)),
        Place::Cluster(id) => cluster::page(facts, *id),
        Place::Operators => Ok(operators::page(facts)),
        Place::Operator(address) => operator::page(facts, *address),
        Place::Delegator(address) => Ok(delegator::page(facts, *address)),
        Place::Ceremony(id) => ceremony::page(facts, *id),
        Place::Reports => Ok(reports::page(facts)),
        Place::Report(frame) => report::page(facts, *frame),
        Place::Incidents => Ok(incidents::page(facts)),
    }
}

#[cfg(test)]
pub(crate) mod scenes;
#[cfg(test)]
mod tests;
