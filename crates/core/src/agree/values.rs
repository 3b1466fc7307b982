//! Values by their hash: whose bytes, what the checks said, whom to ask for missing ones.
//!
//! Bytes and hash are opaque here, and a peer's word that they belong together is worth nothing. So bytes are
//! *offered*, and count only when the node's checks answered anything but [`Verdict::WrongBytes`]. At most one
//! check per hash is under way; other bytes for the same hash wait beside it and take their turn if it fails,
//! so that one peer's wrong bytes never keep out another's right ones.

use super::Verdict;
use super::authors::Authors;
use std::collections::BTreeMap;
use types::wire::Value;
use types::{Millis, Root, ShareIndex};

/// Full circles through all peers before a value is given up: a live voter answers the first question. A peer
/// that comes back starts the circles again.
const FETCH_CIRCLES_MAX: u32 = 4;

#[derive(Debug)]
struct Held {
    value: Value,
    from: ShareIndex,
    verdict: Option<Verdict>,
    checking: bool,
    /// Other bytes that peers offered for the same hash; one per peer.
    spare: BTreeMap<ShareIndex, Value>,
}

#[derive(Debug, Default)]
struct Fetch {
    /// Asked in this circle.
    tried: Authors,
    /// Asked ever: only their answers are taken.
    asked: Authors,
    circles: u32,
    /// The peer whose turn it is, and until when.
    turn: Option<(ShareIndex, Millis)>,
}

/// All values of one instance.
#[derive(Debug, Default)]
pub(super) struct Values {
    held: BTreeMap<Root, Held>,
    fetches: BTreeMap<Root, Fetch>,
}

/// What an answered check leads to.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// Whose bytes did not hash to the hash.
    pub(super) liar: Option<ShareIndex>,
    /// Whose value was refused for the first time.
    pub(super) refused: Option<ShareIndex>,
    /// The next bytes to check.
    pub(super) next: Option<Value>,
}

impl Values {
    /// Takes bytes that are said to hash to `hash`. Returns them if they are to be checked now.
    pub(super) fn offer(&mut self, hash: Root, value: Value, from: ShareIndex) -> Option<Value> {
        match self.held.get_mut(&hash) {
            None => {
                let check = value.clone();
                let held = Held { value, from, verdict: None, checking: true, spare: BTreeMap::new() };
                self.held.insert(hash, held);
                Some(check)
            }
            Some(held) => {
                if held.verdict.is_none() && held.value != value {
                    held.spare.insert(from, value);
                }
                None
            }
        }
    }

    /// Whether the bytes for `hash` are in hand and really its own.
    pub(super) fn get(&self, hash: &Root) -> Option<&Value> {
        self.held.get(hash).filter(|held| held.verdict.is_some()).map(|held| &held.value)
    }

    /// Whether bytes are in hand or under check.
    pub(super) fn is_offered(&self, hash: &Root) -> bool {
        self.held.contains_key(hash)
    }

    /// What the checks last said of a value in hand.
    pub(super) fn verdict(&self, hash: &Root) -> Option<Verdict> {
        self.held.get(hash).and_then(|held| held.verdict)
    }

    /// Asks for the checks again; `None` if one is under way or there are no bytes.
    pub(super) fn check_again(&mut self, hash: &Root) -> Option<Value> {
        let held = self.held.get_mut(hash).filter(|held| !held.checking)?;
        held.checking = true;
        Some(held.value.clone())
    }

    /// Takes the checks' answer.
    pub(super) fn answer(&mut self, hash: Root, verdict: Verdict) -> Answered {
        let mut answered = Answered::default();
        let Some(held) = self.held.get_mut(&hash) else { return answered };
        held.checking = false;
        if verdict != Verdict::WrongBytes {
            let first = held.verdict.replace(verdict) != Some(verdict);
            answered.refused = (verdict == Verdict::Refused && first).then_some(held.from);
            held.spare.clear();
            // What was fetched is there; what belongs to it is fetched from the first voter on.
            if first {
                self.fetches.remove(&hash);
            }
            return answered;
        }
        answered.liar = Some(held.from);
        match held.spare.pop_first() {
            Some((from, value)) => {
                answered.next = Some(value.clone());
                let spare = std::mem::take(&mut held.spare);
                *held = Held { value, from, verdict: None, checking: true, spare };
            }
            None => {
                self.held.remove(&hash);
                if let Some(fetch) = self.fetches.get_mut(&hash) {
                    fetch.turn = None;
                }
            }
        }
        answered
    }

    /// Values in hand without what belongs to them.
    pub(super) fn without_contents(&self) -> impl Iterator<Item = Root> {
        let lacks = |held: &Held| held.verdict == Some(Verdict::NoContents);
        self.held.iter().filter(move |(_, held)| lacks(held)).map(|(hash, _)| *hash)
    }

    /// Keeps fetching a wanted value that is missing, or what belongs to one in hand. Returns the peer to ask now, if it
    /// is time for one.
    ///
    /// - `voters`: they held the value, so they are asked first, those `heard` before the others; then all of
    ///   `others`.
    pub(super) fn fetch(
        &mut self,
        hash: Root,
        now: Millis,
        retry: Millis,
        peers: Peers,
    ) -> Option<ShareIndex> {
        let fetch = self.fetches.entry(hash).or_default();
        if fetch.circles >= FETCH_CIRCLES_MAX || fetch.turn.is_some_and(|(_, until)| until > now) {
            return None;
        }
        let next = peers.next(fetch.tried).or_else(|| {
            fetch.tried = Authors::default();
            fetch.circles += 1;
            peers.next(fetch.tried).filter(|_| fetch.circles < FETCH_CIRCLES_MAX)
        });
        fetch.turn = next.map(|peer| (peer, now.after(retry)));
        if let Some(peer) = next {
            fetch.tried.insert(peer);
            fetch.asked.insert(peer);
        }
        next
    }

    /// Whether all `voters` were asked in vain: what a leader "cannot fetch" (rule 9).
    pub(super) fn is_in_vain(&self, hash: &Root, voters: Authors) -> bool {
        let vain = |fetch: &Fetch| {
            let waited = fetch.turn.map(|(peer, _)| peer).filter(|peer| voters.contains(*peer));
            fetch.circles > 0 || (voters.within(fetch.tried) && waited.is_none())
        };
        !self.is_offered(hash) && self.fetches.get(hash).is_some_and(vain)
    }

    /// Whether this peer was asked for this value, which is still missing.
    pub(super) fn is_asked(&self, hash: &Root, peer: ShareIndex) -> bool {
        self.fetches.get(hash).is_some_and(|fetch| fetch.asked.contains(peer))
    }

    /// When the next peer is to be asked for one of these.
    pub(super) fn next_retry(&self, wanted: &[Root]) -> Option<Millis> {
        wanted.iter().filter_map(|hash| self.fetches.get(hash)?.turn).map(|(_, until)| until).min()
    }

    /// Starts every fetch again: a peer is back.
    pub(super) fn fetch_afresh(&mut self) {
        self.fetches.values_mut().for_each(|fetch| {
            (fetch.tried, fetch.circles, fetch.turn) = (Authors::default(), 0, None);
        });
    }

    /// Forgets values and fetches that nothing names any more.
    pub(super) fn retain(&mut self, named: impl Fn(&Root) -> bool) {
        self.held.retain(|hash, _| named(hash));
        self.fetches.retain(|hash, _| named(hash));
    }
}

/// Whom to ask for a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peers {
    pub(super) voters: Authors,
    pub(super) heard: Authors,
    pub(super) others: Authors,
}

impl Peers {
    fn next(&self, tried: Authors) -> Option<ShareIndex> {
        let rank = |peer: &ShareIndex| (!self.voters.contains(*peer), !self.heard.contains(*peer));
        self.others.iter().filter(|peer| !tried.contains(*peer)).min_by_key(rank)
    }
}
