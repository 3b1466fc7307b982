//! One duty of one slot: from the value at hand to the validator's signature at the beacon node.
//!
//! - [`attest`]: one vote for all attesters of a slot; [`sync_message`] for its sync committee members.
//! - [`propose`]: one block, and the RANDAO reveal it needs.
//! - [`select`]: selection proofs, which say who aggregates.
//! - [`gather`]: aggregates and sync contributions.
//! - [`exit`], [`registration`]: what operators approve; [`tally`]: who approves what.
//! - [`deal`]: what agreed duties share; [`signing`]: guard, journal, sign, send, collect, in this order; [`fetch`]:
//!   questions to the own beacon nodes.

pub(crate) mod attest;
pub(crate) mod deal;
pub(crate) mod exit;
pub(crate) mod fetch;
pub(crate) mod gather;
pub(crate) mod propose;
pub(crate) mod registration;
pub(crate) mod select;
pub(crate) mod signing;
pub(crate) mod sync_message;
pub(crate) mod tally;

use crate::journal::Journal;
use crate::node::Setup;
use crate::quarantine::Quarantine;
use crate::registry::Registry;
use crate::{Input, Output, RequestId, Ticket};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::approval::RegistrationStatement;
use types::builder::SignedValidatorRegistrationV1;
use types::wire::{Instance, Item, Kind};
use types::{BeaconVote, Checkpoint, Millis, Root, ShareIndex, Signature, Slot};

/// How many recent block roots a node remembers as known to its beacon nodes.
const KNOWN_BLOCKS_MAX: usize = 64;

/// What a node knows of the chain, whatever the duty.
#[derive(Debug)]
pub(crate) struct View {
    /// The finalized checkpoint, once told.
    pub(crate) finalized: Option<Checkpoint>,
    /// Highest head slot seen, and its root.
    pub(crate) head: Option<(Slot, Root)>,
    /// Operators whose connection is up, this one included.
    pub(crate) present: BTreeSet<ShareIndex>,
    /// Peers that were started again, and up to which slot each only follows.
    following: BTreeMap<ShareIndex, Slot>,
    /// Whom our blocks pay.
    pub(crate) registry: Registry,
    /// Whose partials were bad lately.
    pub(crate) quarantine: Quarantine,
    known: VecDeque<Root>,
}

impl View {
    /// Nothing of the chain yet, and nobody but this operator.
    pub(crate) fn new(me: ShareIndex, registry: Registry) -> Self {
        let present = BTreeSet::from([me]);
        Self {
            finalized: None,
            head: None,
            present,
            following: BTreeMap::new(),
            registry,
            quarantine: Quarantine::default(),
            known: VecDeque::new(),
        }
    }

    /// Notes that a peer was started again and only follows up to a slot.
    pub(crate) fn follows_until(&mut self, peer: ShareIndex, slot: Slot) {
        self.following.insert(peer, slot);
    }

    /// Who can be waited for in a slot: those who are present and do not only follow.
    pub(crate) fn heard(&self, slot: Slot) -> BTreeSet<ShareIndex> {
        let follows = |peer: &ShareIndex| self.following.get(peer).is_some_and(|until| slot <= *until);
        self.present.iter().copied().filter(|peer| !follows(peer)).collect()
    }

    /// Remembers a block that the own beacon nodes know.
    pub(crate) fn know(&mut self, root: Root) {
        if self.knows(&root) {
            return;
        }
        if self.known.len() == KNOWN_BLOCKS_MAX {
            self.known.pop_front();
        }
        self.known.push_back(root);
    }

    /// Whether the own beacon nodes are known to know a block.
    pub(crate) fn knows(&self, root: &Root) -> bool {
        self.known.contains(root)
    }
}

/// What the duties of a slot tell each other.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// The agreed vote of a slot.
    pub(crate) votes: BTreeMap<Slot, BeaconVote>,
    /// Selection proofs of the validators, by [`Kind::Selection`] or [`Kind::SyncSelection`].
    pub(crate) proofs: BTreeMap<(Slot, Kind), BTreeMap<Item, Signature>>,
    /// Slots for which the own client has asked for selection proofs: it is in distributed mode.
    pub(crate) asked: BTreeSet<(Slot, Kind)>,
}

impl Board {
    /// A selection proof, once combined.
    pub(crate) fn proof(&self, slot: Slot, kind: Kind, item: Item) -> Option<Signature> {
        self.proofs.get(&(slot, kind))?.get(&item).copied()
    }

    /// Forgets slots before this one.
    pub(crate) fn forget(&mut self, before: Slot) {
        self.votes = self.votes.split_off(&before);
        self.proofs = self.proofs.split_off(&(before, Kind::Attest));
        self.asked = self.asked.split_off(&(before, Kind::Attest));
    }
}

/// What the result of a wish is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// Rows of the agreed value.
    Journal,
    /// Halves of these items, for a request of the validator client.
    Sign { items: Vec<Item>, request: SignRequest },
    /// Signatures of these items, over the value of this hash.
    Combine { items: Vec<Item>, hash: Root },
    /// The RANDAO reveal in the block of the offer of this hash.
    Reveal { hash: Root },
    /// The relay's signature on the bid in the offer of this hash.
    Bid { hash: Root },
    /// The signatures handed in.
    Submit,
    /// The statement that this operator approves.
    Approve { statement: RegistrationStatement, request: SignRequest },
    /// A registration that this operator says is complete.
    Registered { from: ShareIndex, signed: SignedValidatorRegistrationV1 },
}

/// A request of the validator client, part of which is being signed.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignRequest {
    /// Whom to answer; nobody where the answer is what the halves combine to.
    pub(crate) request: Option<RequestId>,
    /// Positions in the request of what is being signed.
    pub(crate) positions: Vec<usize>,
    /// What of the request was refused already.
    pub(crate) refused: Vec<(usize, crate::Refusal)>,
}

impl SignRequest {
    /// A request that is answered once nothing of it is being signed any more.
    pub(crate) fn of(request: RequestId) -> Self {
        Self { request: Some(request), ..Self::default() }
    }
}

/// Tickets that are out, with their instance and purpose.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    next: u64,
    out: BTreeMap<Ticket, (Instance, Purpose)>,
}

impl Tickets {
    /// A new ticket.
    pub(crate) fn issue(&mut self, instance: Instance, purpose: Purpose) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        self.out.insert(ticket, (instance, purpose));
        ticket
    }

    /// A new ticket whose result nobody waits for.
    pub(crate) fn issue_unawaited(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }

    /// A ticket comes back, once.
    pub(crate) fn redeem(&mut self, ticket: Ticket) -> Option<(Instance, Purpose)> {
        self.out.remove(&ticket)
    }
}

/// What a duty works with: the node's own things, lent for the time of one event.
pub(crate) struct Desk<'a> {
    pub(crate) now: Millis,
    pub(crate) setup: &'a Setup,
    pub(crate) view: &'a mut View,
    pub(crate) board: &'a mut Board,
    pub(crate) journal: &'a mut Journal,
    pub(crate) tickets: &'a mut Tickets,
    pub(crate) out: &'a mut VecDeque<Output>,
}

impl Desk<'_> {
    pub(crate) fn wish(&mut self, output: Output) {
        self.out.push_back(output);
    }

    /// The slot that runs now; the first before genesis.
    pub(crate) fn slot_now(&self) -> Slot {
        self.setup.spec.slot_at(self.now).unwrap_or_default()
    }

    /// Answers the validator client's request once nothing of it is being signed any more.
    pub(crate) fn answer(&mut self, request: SignRequest) {
        let Some(id) = request.request else { return };
        let mut refused = request.refused;
        refused.sort_by_key(|(position, _)| *position);
        let answer =
            if refused.is_empty() { crate::Answer::Accepted } else { crate::Answer::PartlyRefused(refused) };
        self.wish(Output::Reply { request: id, answer });
    }

    /// Says no to the validator client.
    pub(crate) fn refuse(&mut self, request: RequestId, refusal: crate::Refusal) {
        self.wish(Output::Reply { request, answer: crate::Answer::Refused(refusal) });
    }
}

/// What happens to a duty: a node's [`Input`] once it has found its instance.
#[derive(Debug)]
pub(crate) enum Event {
    /// Time has passed, or the view has changed.
    Tick,
    /// Who is present has changed.
    Presence,
    /// This operator's connection came up.
    Reconnected(ShareIndex),
    /// Another duty has written on the board.
    Board,
    /// Nothing is signed from now on, or nothing up to some slot: [`Journal::forbids`].
    Stopped,
    /// Anything else, as the node got it.
    Input(Input),
    /// The result of a wish, of this instance or of one that lives with it.
    Result(Instance, Purpose, Input),
}
