//! One duty of one slot: from the value at hand to the validator's signature at the beacon node.
//!
//! - [`attest`]: one vote for all attesters of a slot.
//! - [`propose`]: one block, and the RANDAO reveal it needs.
//! - [`signing`]: what both share: guard, journal, sign, send, collect, in this order.

pub(crate) mod attest;
pub(crate) mod propose;
pub(crate) mod signing;

use crate::journal::Journal;
use crate::node::Setup;
use crate::{Input, Output, RequestId, Ticket};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::wire::Instance;
use types::{Checkpoint, Millis, Root, ShareIndex, Slot, ValidatorNo};

/// How many recent block roots a node remembers as known to its beacon nodes.
const KNOWN_BLOCKS_MAX: usize = 64;

/// What a node knows of the chain, whatever the duty.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The finalized checkpoint, once told.
    pub(crate) finalized: Option<Checkpoint>,
    /// Highest head slot seen, and its root.
    pub(crate) head: Option<(Slot, Root)>,
    /// Operators whose connection is up, this one included.
    pub(crate) present: BTreeSet<ShareIndex>,
    known: VecDeque<Root>,
}

impl View {
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

/// What the result of a wish is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// Rows of the agreed value.
    Journal,
    /// Halves of these validators, for a request of the validator client.
    Sign { validators: Vec<ValidatorNo>, request: SignRequest },
    /// Signatures of these validators, over the value of this hash.
    Combine { validators: Vec<ValidatorNo>, hash: Root },
    /// The RANDAO reveal in the block of this root.
    Verify { block: Root },
    /// The signatures handed in.
    Submit,
}

/// A request of the validator client, part of which is being signed.
#[derive(Clone, Debug)]
pub(crate) struct SignRequest {
    /// Whom to answer; nobody for a RANDAO half, whose answer is the block.
    pub(crate) request: Option<RequestId>,
    /// Positions in the request of what is being signed.
    pub(crate) positions: Vec<usize>,
    /// What of the request was refused already.
    pub(crate) refused: Vec<(usize, crate::Refusal)>,
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

    /// A ticket comes back, once.
    pub(crate) fn redeem(&mut self, ticket: Ticket) -> Option<(Instance, Purpose)> {
        self.out.remove(&ticket)
    }
}

/// What a duty works with: the node's own things, lent for the time of one event.
pub(crate) struct Desk<'a> {
    pub(crate) now: Millis,
    pub(crate) setup: &'a Setup,
    pub(crate) view: &'a View,
    pub(crate) journal: &'a mut Journal,
    pub(crate) tickets: &'a mut Tickets,
    pub(crate) out: &'a mut VecDeque<Output>,
}

impl Desk<'_> {
    pub(crate) fn wish(&mut self, output: Output) {
        self.out.push_back(output);
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
    /// Anything else, as the node got it.
    Input(Input),
    /// The result of a wish.
    Result(Purpose, Input),
}
