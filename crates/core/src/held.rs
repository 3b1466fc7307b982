//! What operators signed last, kept for them: it tells a node that its journal is older than its signatures.
//!
//! ```text
//! PARTIAL of operator 2 -> kept by the others ... the link to operator 2 comes up -> HELD, before anything else is sent
//!      -> operator 2: no row for it? then the journal was rolled back -> watermarks rise, and its operator is told
//! ```
//!
//! A journal that comes from a backup, or a machine from a snapshot, is consistent and too old, and nothing on its own disk
//! says so. But whoever signs sends the signature to everybody, under its node key, and its row was durable before. So a
//! statement of the own key for a slot above every own row proves that rows are missing. What it proves is taken at its worst:
//! each validator may have signed anything up to now. Nobody can show what this node did not sign, so no peer
//! can make a whole journal rise; and a journal that has risen covers all that is older, so nothing rises twice.
//!
//! Bound: one statement of each operator and kind.

use crate::journal::{History, Journal};
use std::collections::BTreeMap;
use types::wire::{Instance, Kind, Message, Signed};
use types::{ChainSpec, ShareIndex, Slot};

/// The kinds of what a validator can be slashed for.
const KINDS: [Kind; 2] = [Kind::Attest, Kind::Propose];

/// The newest statements of others, and what the own journal knew of the past.
#[derive(Debug)]
pub(crate) struct Held {
    me: ShareIndex,
    /// When this process started: what is older was signed by one before it.
    started: Slot,
    /// What the disk gave to this process.
    at_start: Vec<History>,
    newest: BTreeMap<(ShareIndex, Kind), Signed>,
}

impl Held {
    /// Nothing of others yet.
    ///
    /// - `journal`: as the disk gave it.
    pub(crate) fn new(me: ShareIndex, started: Slot, journal: &Journal) -> Self {
        Self { me, started, at_start: journal.histories().to_vec(), newest: BTreeMap::new() }
    }

    /// Keeps what a peer signed, if it is newer than what is kept of it.
    pub(crate) fn keep(&mut self, from: ShareIndex, message: &Message) {
        let Message::Partial(partials) = message else { return };
        let signed = partials.signed;
        let Instance { kind, slot, .. } = signed.statement.instance;
        if from == self.me || !kind.is_slashable() {
            return;
        }
        let kept = self.newest.entry((from, kind)).or_insert(signed);
        if slot > kept.statement.instance.slot {
            *kept = signed;
        }
    }

    /// What is kept of a peer, to be shown to it.
    pub(crate) fn of(&self, peer: ShareIndex) -> impl Iterator<Item = Message> {
        let kept = move |kind| self.newest.get(&(peer, kind)).copied().map(Message::Held);
        KINDS.into_iter().filter_map(kept)
    }

    /// Whether a statement, if it is this node's, proves that the journal lacks rows which it needs.
    ///
    /// - A slot from before the start is compared with what the disk gave: what this process has promised since then says
    ///   nothing of it.
    pub(crate) fn proves_loss(&self, spec: &ChainSpec, journal: &Journal, signed: &Signed) -> bool {
        let Instance { kind, slot, .. } = signed.statement.instance;
        if signed.author != self.me || !kind.is_slashable() {
            return false;
        }
        let known = if slot < self.started { &self.at_start[..] } else { journal.histories() };
        let newest = known.iter().filter_map(|history| history.newest(kind)).max();
        let target = spec.epoch_of(slot);
        let has_risen = journal.lost_until().is_some_and(|until| slot <= until);
        !has_risen
            && slot > newest.unwrap_or_default()
            && known.iter().any(|history| history.is_below(kind, slot, target))
    }
}
