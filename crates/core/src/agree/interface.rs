//! What goes into an agreement and what comes out of it.

use super::timers::Timers;
use crate::mutants::Rules;
use crate::{Fault, To};
use std::collections::BTreeSet;
use types::wire::{Instance, Message, Quorum, Signed, Value, Verified};
use types::{ClusterSize, Millis, Root, ShareIndex};

/// What an instance starts with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which agreement.
    pub instance: Instance,
    /// How many operators.
    pub size: ClusterSize,
    /// This operator.
    pub me: ShareIndex,
    /// When the instance starts: a led first round is timed from here.
    pub start: Millis,
    /// Open first round only: until when the own beacon nodes are waited for (rule 2).
    pub deadline: Millis,
    /// Whether the instance may have begun before this node started (rule 11).
    pub follow_only: bool,
    /// How long to wait for what.
    pub timers: Timers,
    /// All, but in tests of tests.
    pub rules: Rules,
}

/// What the checks on a value say (`H1` to `H5` hard, `S1` to `S4` soft).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The bytes do not hash to the hash, whatever else they are: whoever gave them lied, and others are asked.
    WrongBytes,
    /// A hard check fails: never voted for, never handed out as decided.
    Refused,
    /// The own journal forbids it, which is a hard check too, and not the mistake of whoever put it forward.
    Forbidden,
    /// The hard checks hold, a soft one does not: voted for once `f+1` other nodes have.
    OnlyHard,
    /// As [`Verdict::OnlyHard`], and all that fails is that what belongs to the value without being in it (the payload of
    /// a block) is not at hand: once the first round is over, those who voted for the value are asked for it.
    NoContents,
    /// All checks hold.
    Good,
}

/// What can happen to an instance.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// An own value. Attest: what the own beacon nodes answered, asked for or not; it may be replaced until it
    /// was voted for. Led kinds: the own block, in answer to [`Output::NeedOwn`].
    Own {
        /// Its hash.
        hash: Root,
        /// Its bytes. They are checked like anybody's: [`Output::Check`].
        value: Value,
    },
    /// A message of this instance, with right signatures. Own messages too: handed back by the shell at once
    /// after [`Output::Send`] to [`To::All`], so that own votes count and carry their signature.
    Message(Verified),
    /// The answer to [`Output::Check`], or a new one to an old question.
    Checked {
        /// Hash of the value.
        hash: Root,
        /// What the checks say of the bytes that were last asked about.
        verdict: Verdict,
    },
    /// Which operators were heard from lately. Until the first of these, everybody. Who sends a message of this
    /// instance is added.
    Heard(BTreeSet<ShareIndex>),
    /// `t` partials over this value combined and verified: it is decided, and this node's part is over but
    /// for answering `NEWROUND` and `FETCH`.
    Combined {
        /// Hash of the value.
        hash: Root,
    },
    /// A peer is connected again: it may have missed anything.
    Reconnected(ShareIndex),
    /// From now on this node only follows, as after a restart (rule 11). There is no way back in this instance.
    Follow,
}

/// What an instance can wish for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Seal and send; what goes to all is handed back as [`Input::Message`].
    Send {
        /// To whom.
        to: To,
        /// Own statements in it are not signed yet.
        message: Message,
    },
    /// Run the checks on a value and answer with [`Input::Checked`]. Does it hash to `hash`? Then hard and soft
    /// checks. Asked when the bytes come in, and again after the decision; one question per hash at a time.
    Check {
        /// What the bytes are said to hash to.
        hash: Root,
        /// The bytes, from whomever.
        value: Value,
    },
    /// This node leads a round and needs a value of its own; once per round.
    NeedOwn {
        /// Which round.
        round: u32,
    },
    /// Ask a peer for what belongs to a value without being in it, and answer with [`Input::Checked`] when it has come.
    FetchContents {
        /// Hash of the value.
        hash: Root,
        /// Whom to ask: it voted for the value, or comes after those who did.
        from: ShareIndex,
    },
    /// The deadline of round 0 has passed without a value to vote for: ask the beacon nodes now. Once.
    NeedVote,
    /// The decision, with the value in hand and its hard checks passed after the decision. Once.
    Decided {
        /// Hash of the value.
        hash: Root,
        /// The value.
        value: Value,
        /// The proof, which this machine has sent to all already; `None` if partials decided.
        proof: Option<Quorum>,
        /// The round it was decided in; for partials, the one this node was in.
        round: u32,
    },
    /// Send the own partials to a peer again, if there are any: it asks for a round, or is connected again.
    ResendPartial {
        /// To whom.
        to: ShareIndex,
    },
    /// Rule 12: an operator said two different things in one place.
    Evidence {
        /// Who.
        author: ShareIndex,
        /// What was counted.
        first: Signed,
        /// What it said besides.
        second: Signed,
    },
    /// A peer's mistake that is no proof against it.
    Fault {
        /// Who.
        peer: ShareIndex,
        /// What.
        fault: Fault,
    },
}
