//! The ledger: a log that is appended to, and can be replayed by anybody.
//!
//! Replaying decides every command anew, with the signatures that came with it, and compares what followed. So the
//! coordinator can invent nothing, leave out nothing in the middle, and change nothing afterwards; what it can do is cut the
//! end off, or tell two people two stories, and that is what heads are for ([`super::head`]).

use super::charter::{Charter, CharterError};
use super::entry::{Cause, Entry, Observation, Position, SEEN_LEN_MAX, Sealed};
use super::head::Head;
use super::routes::{self, RouteError, Seen};
use super::state::{Event, Misfit, Refusal, Sighting, State};
use crate::canonical::CanonicalError;
use crate::merkle::log_tree::LogTree;
use crate::request::{BODY_LEN_MAX, Incoming, Request, RequestRefusal, SignatureError};
use thiserror::Error;
use types::{Address, Root};

/// Why nothing is appended.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AppendError {
    /// What is wished, or seen, is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A charter that founds no pool.
    #[error(transparent)]
    Charter(#[from] CharterError),
    /// A clock that goes back.
    #[error("it was {last} already, {at} is earlier")]
    ClockFell {
        /// Unix seconds now.
        at: u64,
        /// Unix seconds of the last entry.
        last: u64,
    },
    /// A pool is founded once.
    #[error("a charter that is not the first entry")]
    SecondCharter,
    /// An observation that the coordinator did not sign, or signed for another place.
    #[error(
        "the observation is signed by {recovered}, or for another place; the coordinator is {coordinator}"
    )]
    NotTheCoordinator {
        /// Whose signature it would be.
        recovered: Address,
        /// Whose it must be.
        coordinator: Address,
    },
    /// More than an entry holds.
    #[error("an observation of {have} bytes, at most {SEEN_LEN_MAX}")]
    SeenTooMuch {
        /// Bytes found.
        have: usize,
    },
    /// No signature at all.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl From<AppendError> for Why {
    fn from(refused: AppendError) -> Self {
        Self::Refused(Box::new(refused))
    }
}

impl From<RequestRefusal> for AppendError {
    fn from(refusal: RequestRefusal) -> Self {
        Self::Refused(refusal.into())
    }
}

/// Which entry of a log is not what it should be, and why.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("entry {seq}: {why}")]
pub struct Corrupt {
    /// Its place in the log, from 0, whatever it says itself.
    pub seq: u64,
    /// Why.
    pub why: Why,
}

/// What is wrong with an entry.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Why {
    /// It is not there, and must be.
    #[error("a log begins with a charter")]
    NoCharter,
    /// Not an entry.
    #[error(transparent)]
    Bytes(#[from] CanonicalError),
    /// Its hash is another.
    #[error("its hash is {want}, stored is {have}")]
    Hash {
        /// Stored.
        have: Root,
        /// Computed.
        want: Root,
    },
    /// It stands in another place.
    #[error("it says that it is entry {have}")]
    Seq {
        /// What it says.
        have: u64,
    },
    /// It follows something else.
    #[error("it follows {have}, the entry before is {want}")]
    Prev {
        /// What it says.
        have: Root,
        /// What is there.
        want: Root,
    },
    /// It could not have been appended.
    #[error("it could not have been appended: {0}")]
    Refused(#[source] Box<AppendError>),
    /// Something else follows.
    #[error("what followed differs from event {at} on")]
    Events {
        /// The first event that differs, from 0.
        at: usize,
    },
    /// What follows does not fit.
    #[error(transparent)]
    Misfit(#[from] Misfit),
}

/// A pool's log, without its entries: what is needed to append the next, and to prove what is in it.
#[derive(Clone, Debug)]
pub struct Ledger {
    state: State,
    tree: LogTree,
    last: Root,
    at: u64,
}

impl Ledger {
    /// Founds a pool, at a time in Unix seconds: the ledger, and its first entry. Errors: the charter's.
    pub fn found(charter: Charter, at: u64) -> Result<(Self, Sealed), AppendError> {
        charter.check()?;
        let cause = Cause::Charter(Box::new(charter.clone()));
        let entry = Entry { seq: 0, prev: Root::ZERO, at, cause, events: Vec::new() }.seal();
        let ledger = Self { state: State::founded(charter), tree: LogTree::default(), last: Root::ZERO, at };
        Ok((ledger.with(&entry), entry))
    }

    /// What somebody has checked to belong together.
    pub(super) fn of(state: State, tree: LogTree, last: Root, at: u64) -> Self {
        Self { state, tree, last, at }
    }

    fn with(mut self, sealed: &Sealed) -> Self {
        self.tree.append(&sealed.hash.0);
        self.last = sealed.hash;
        self.at = sealed.entry.at;
        self
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The tree over the hashes of all entries: inclusion and consistency are proved with it.
    pub fn tree(&self) -> &LogTree {
        &self.tree
    }

    /// Unix seconds of the last entry. No entry is earlier than the one before.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// What is so now, to be signed. Cost: all of the state is written.
    pub fn head(&self) -> Head {
        self.head_with(self.state.root())
    }

    /// The same, of who knows the state's hash.
    pub fn head_with(&self, state: Root) -> Head {
        let (size, root) = (self.tree.size(), self.tree.root());
        Head { pool: self.state.pool, size, root, last: self.last, state, at: self.at }
    }

    /// Where the next entry goes. An observation is signed for it.
    pub fn position(&self, at: u64) -> Position {
        let chain_id = self.state.charter.network.chain_id;
        Position { pool: self.state.pool, chain_id, seq: self.tree.size(), prev: self.last, at }
    }

    /// Appends what somebody wishes, at a time in Unix seconds. Errors: it is refused, and nothing has changed.
    pub fn request(&mut self, at: u64, incoming: &Incoming) -> Result<Sealed, AppendError> {
        let signer = incoming.claims(self.state.pool, self.state.charter.network.chain_id)?;
        let cause = Cause::Request(incoming.request.clone());
        let word = Word::of(&cause, Ok(signer));
        self.append(at, cause, word)
    }

    /// Appends what the coordinator has seen. Errors: it is refused, and nothing has changed.
    ///
    /// - `observation`: signed for [`Self::position`] at the same time.
    pub fn observe(&mut self, at: u64, observation: Observation) -> Result<Sealed, AppendError> {
        let signer = observation.recover(&self.position(at));
        let cause = Cause::Observation(observation);
        let word = Word::of(&cause, signer);
        self.append(at, cause, word)
    }

    fn append(&mut self, at: u64, cause: Cause, word: Word) -> Result<Sealed, AppendError> {
        let Position { seq, prev, .. } = self.position(at);
        let events = match self.advance(at, &cause, word) {
            Ok(events) => events,
            Err(Why::Refused(refused)) => return Err(*refused),
            // The state is half of something. Whoever restarts replays the log, which does not have this entry.
            Err(why) => panic!("what was decided fits the state it was decided on: {why}"),
        };
        let sealed = Entry { seq, prev, at, cause, events }.seal();
        self.count(&sealed);
        Ok(sealed)
    }

    /// Decides what follows from a cause, and applies it to the state. Errors: [`Why::Refused`], and nothing has changed;
    /// any other, after which the state is worth nothing.
    ///
    /// - `word`: of this cause.
    fn advance(&mut self, at: u64, cause: &Cause, word: Word) -> Result<Vec<Event>, Why> {
        if at < self.at {
            return Err(AppendError::ClockFell { at, last: self.at }.into());
        }
        let events = match cause {
            Cause::Charter(_) => return Err(AppendError::SecondCharter.into()),
            Cause::Request(request) => self.wished(at, request, word.signer).map_err(AppendError::from)?,
            Cause::Observation(observation) => match self.seen(observation, word)? {
                Seen::One(sighting) => self.state.see(at, &sighting).map_err(AppendError::from)?,
                Seen::Many(sightings) => return Ok(self.many(at, &sightings)?),
            },
        };
        for event in &events {
            self.state.apply(event)?;
        }
        Ok(events)
    }

    /// Many sightings, each decided on what those before it have left. One that is refused is passed over.
    fn many(&mut self, at: u64, sightings: &[Sighting]) -> Result<Vec<Event>, Misfit> {
        let mut all = Vec::with_capacity(sightings.len());
        for (item, sighting) in (0..).zip(sightings) {
            match self.state.see(at, sighting) {
                Ok(events) => {
                    for event in events {
                        self.state.apply(&event)?;
                        all.push(event);
                    }
                }
                Err(_) => all.push(Event::PassedOver { item }),
            }
        }
        Ok(all)
    }

    fn wished(&self, at: u64, request: &Request, signer: Signer) -> Result<Vec<Event>, Refusal> {
        let state = &self.state;
        let last = |signer| state.nonces.get(&signer).copied();
        let found = routes::find(&request.method, &request.path);
        let most = found.as_ref().map_or(BODY_LEN_MAX, |(route, _)| route.body_len_max);
        let signer = request.valid(signer, at, most, last)?;
        let (route, places) = found?;
        if !route.admits(state, &places, signer) {
            return Err(Refusal::Role { signer, seat: state.seat(signer), wanted: route.roles });
        }
        let command = route.command(&places, &request.body)?;
        let mut events = vec![Event::Accepted { signer, nonce: request.nonce }];
        events.extend(state.decide(at, signer, &command)?);
        Ok(events)
    }

    fn seen(&self, observation: &Observation, word: Word) -> Result<Seen, AppendError> {
        let Some(seen) = word.seen else {
            return Err(AppendError::SeenTooMuch { have: observation.body.len() });
        };
        let recovered = word.signer?;
        let coordinator = self.state.governance.coordinator;
        if recovered != coordinator {
            return Err(AppendError::NotTheCoordinator { recovered, coordinator });
        }
        Ok(seen.map_err(Refusal::from)?)
    }

    fn count(&mut self, sealed: &Sealed) {
        self.tree.append(&sealed.hash.0);
        self.last = sealed.hash;
        self.at = sealed.entry.at;
    }

    /// Replays a log from its stored bytes. Errors: the first entry that is not what it should be.
    ///
    /// Cost: one signature for each entry, and the decision. Memory: the state, two hashes for each entry.
    pub fn replay<B: AsRef<[u8]>>(log: impl IntoIterator<Item = B>) -> Result<Self, Corrupt> {
        let mut replay = Replay::default();
        for stored in log {
            replay.next(stored.as_ref())?;
        }
        replay.done()
    }
}

/// Whose signature a cause has; of a charter, nobody's matters.
type Signer = Result<Address, SignatureError>;

/// What a cause says by itself, whatever the state is.
#[derive(Clone, Debug)]
struct Word {
    signer: Signer,
    /// Of an observation: what it says; nothing if it is longer than any may be.
    seen: Option<Result<Seen, RouteError>>,
}

impl Word {
    /// Reads a cause that has this signature. Cost: its body is read.
    fn of(cause: &Cause, signer: Signer) -> Self {
        let seen = match cause {
            Cause::Observation(Observation { kind, body, .. }) if body.len() <= SEEN_LEN_MAX => {
                Some(routes::seen(kind, body))
            }
            Cause::Charter(_) | Cause::Request(_) | Cause::Observation(_) => None,
        };
        Self { signer, seen }
    }
}

/// A stored entry, read, with everything that can be found out without those before it: the costly part of replaying, which
/// may be done for many at once.
#[derive(Clone, Debug)]
pub struct Prepared {
    sealed: Sealed,
    /// Its hash, computed.
    hash: Root,
    word: Word,
}

impl Prepared {
    /// Reads a stored entry.
    ///
    /// - `pool`, `chain_id`: of the log's first entry; for that one itself, anything.
    /// - Errors: not an entry. Cost: it is read, written again and hashed twice, and has a signature.
    pub fn read(stored: &[u8], pool: Root, chain_id: u64) -> Result<Self, Why> {
        let (sealed, hash) = Sealed::read_hashed(stored)?;
        let Entry { seq, prev, at, .. } = sealed.entry;
        let signer = match &sealed.entry.cause {
            Cause::Charter(_) => Ok(Address::ZERO),
            Cause::Request(request) => request.recover(pool, chain_id),
            Cause::Observation(seen) => seen.recover(&Position { pool, chain_id, seq, prev, at }),
        };
        Ok(Self { hash, word: Word::of(&sealed.entry.cause, signer), sealed })
    }

    /// The entry.
    pub fn sealed(&self) -> &Sealed {
        &self.sealed
    }
}

/// A replay on its way, for whoever reads a log piece by piece.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    ledger: Option<Ledger>,
}

impl From<Ledger> for Replay {
    /// Goes on where a ledger is.
    fn from(ledger: Ledger) -> Self {
        Self { ledger: Some(ledger) }
    }
}

impl Replay {
    /// The ledger so far.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// Replays the next entry. After an error there is nothing more to learn from this log.
    pub fn next(&mut self, stored: &[u8]) -> Result<(), Corrupt> {
        let of =
            self.ledger.as_ref().map(|ledger| (ledger.state.pool, ledger.state.charter.network.chain_id));
        let (pool, chain_id) = of.unwrap_or_default();
        self.take(Prepared::read(stored, pool, chain_id))
    }

    /// The same with an entry that was read, or could not be.
    pub fn take(&mut self, prepared: Result<Prepared, Why>) -> Result<(), Corrupt> {
        let seq = self.ledger.as_ref().map_or(0, |ledger| ledger.tree.size());
        prepared.and_then(|prepared| self.entry(seq, prepared)).map_err(|why| Corrupt { seq, why })
    }

    fn entry(&mut self, seq: u64, prepared: Prepared) -> Result<(), Why> {
        let Prepared { sealed, hash: want, word } = prepared;
        let have = sealed.hash;
        if have != want {
            return Err(Why::Hash { have, want });
        }
        if sealed.entry.seq != seq {
            return Err(Why::Seq { have: sealed.entry.seq });
        }
        let want = self.ledger.as_ref().map_or(Root::ZERO, |ledger| ledger.last);
        if sealed.entry.prev != want {
            return Err(Why::Prev { have: sealed.entry.prev, want });
        }
        let Some(ledger) = &mut self.ledger else {
            let Cause::Charter(charter) = &sealed.entry.cause else { return Err(Why::NoCharter) };
            let (ledger, again) = Ledger::found((**charter).clone(), sealed.entry.at)?;
            same(&sealed.entry.events, &again.entry.events)?;
            self.ledger = Some(ledger);
            return Ok(());
        };
        same(&sealed.entry.events, &ledger.advance(sealed.entry.at, &sealed.entry.cause, word)?)?;
        ledger.count(&sealed);
        Ok(())
    }

    /// The ledger. Errors: there was no entry.
    pub fn done(self) -> Result<Ledger, Corrupt> {
        self.ledger.ok_or(Corrupt { seq: 0, why: Why::NoCharter })
    }
}

fn same(have: &[Event], want: &[Event]) -> Result<(), Why> {
    if have == want {
        return Ok(());
    }
    let at = have.iter().zip(want).position(|(one, other)| one != other);
    Err(Why::Events { at: at.unwrap_or(have.len().min(want.len())) })
}

#[cfg(test)]
mod histories;
#[cfg(test)]
pub(crate) mod tests;
