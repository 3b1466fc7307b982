//! How a duty ended: the facts that its story gathers, and the closed list of endings.

use crate::{Account, Ending, Heard, Outcome};
use std::collections::BTreeMap;
use types::wire::{Instance, Message};
use types::{Millis, ShareIndex};

/// What a duty remembers of itself, for its outcome and for operators who ask.
#[derive(Debug)]
pub(crate) struct Story {
    instance: Instance,
    value_at: Option<Millis>,
    decided_at: Option<Millis>,
    asked_at: Option<Millis>,
    half_at: Option<Millis>,
    signed_at: Option<Millis>,
    round: Option<u32>,
    refused: bool,
    not_distributed: bool,
    taken: Option<bool>,
    done: usize,
    due: usize,
    heard: BTreeMap<ShareIndex, Heard>,
    told: Option<Outcome>,
}

impl Story {
    pub(crate) fn new(instance: Instance) -> Self {
        Self {
            instance,
            value_at: None,
            decided_at: None,
            asked_at: None,
            half_at: None,
            signed_at: None,
            round: None,
            refused: false,
            not_distributed: false,
            taken: None,
            done: 0,
            due: 0,
            heard: BTreeMap::new(),
            told: None,
        }
    }

    pub(crate) const fn instance(&self) -> Instance {
        self.instance
    }

    /// The value to agree on was first at hand here.
    pub(crate) fn value_at(&mut self, now: Millis) {
        self.value_at.get_or_insert(now);
    }

    /// The own validator client asked for the value.
    pub(crate) fn asked_at(&mut self, now: Millis) {
        self.asked_at.get_or_insert(now);
    }

    /// The own validator client handed in a half that fits.
    pub(crate) fn half_at(&mut self, now: Millis) {
        self.half_at.get_or_insert(now);
    }

    /// A signature was combined.
    pub(crate) fn signed_at(&mut self, now: Millis) {
        self.signed_at = Some(now);
    }

    pub(crate) fn decided(&mut self, now: Millis, round: u32) {
        self.decided_at.get_or_insert(now);
        self.round = Some(round);
    }

    /// The guard refused every validator.
    pub(crate) fn refused(&mut self) {
        self.refused = true;
    }

    /// The own validator client aggregates outside distributed mode.
    pub(crate) fn not_distributed(&mut self) {
        self.not_distributed = true;
    }

    /// A beacon node took a submission, or none did.
    pub(crate) fn submitted(&mut self, taken: bool) {
        self.taken = Some(self.taken.unwrap_or(true) && taken);
    }

    pub(crate) fn progress(&mut self, (done, due): (usize, usize)) {
        (self.done, self.due) = (done, due);
    }

    /// An operator said something, this one included.
    pub(crate) fn heard(&mut self, now: Millis, from: ShareIndex, message: &Message) {
        let heard = self.heard.entry(from).or_default();
        match message {
            Message::Vote(vote) => {
                let statement = vote.signed.statement;
                heard.vote.get_or_insert((now, statement.round, statement.hash));
            }
            Message::Commit(signed) => {
                heard.commit.get_or_insert((now, signed.statement.hash));
            }
            Message::NewRound(new_round) => heard.new_round = Some((now, new_round.signed.statement.round)),
            Message::Proposal(proposal) => {
                let statement = proposal.signed.statement;
                heard.proposal = Some((now, statement.round, statement.hash));
            }
            Message::Partial(partials) => {
                let (_, count) = heard.partial.get_or_insert((now, 0));
                *count += partials.partials.len();
            }
            Message::Cert(_)
            | Message::Decided(_)
            | Message::Fetch(_)
            | Message::Value(_)
            | Message::Contents(_)
            | Message::Challenge(_)
            | Message::Boot(_)
            | Message::Overlap(_) => {}
        }
    }

    /// The outcome, once: when everything is done and taken, or when time is `over`.
    pub(crate) fn outcome(&mut self, over: bool) -> Option<Outcome> {
        let complete = self.done == self.due && self.taken == Some(true);
        let nothing = self.due == 0 && !self.not_distributed;
        if self.told.is_some() || nothing || !(complete || over) {
            return None;
        }
        self.told = Some(Outcome {
            instance: self.instance,
            due: self.due,
            done: self.done,
            latency_ms: self.value_at.zip(self.signed_at).map(|(from, to)| to.since(from).0),
            round: self.round,
            ending: self.ending(),
        });
        self.told.clone()
    }

    /// What is known so far.
    pub(crate) fn account(&self) -> Account {
        Account {
            instance: self.instance,
            due: self.due,
            done: self.done,
            value_at: self.value_at,
            decided_at: self.decided_at,
            round: self.round,
            asked_at: self.asked_at,
            half_at: self.half_at,
            signed_at: self.signed_at,
            taken: self.taken,
            operators: self.heard.clone(),
            ending: self.told.as_ref().map(|outcome| outcome.ending),
        }
    }

    fn ending(&self) -> Ending {
        if self.done > 0 && self.taken != Some(true) {
            Ending::NotTaken
        } else if self.not_distributed && self.done == 0 {
            Ending::NotDistributed
        } else if self.done == self.due {
            Ending::Done
        } else if self.done > 0 {
            Ending::Partly
        } else if self.refused {
            Ending::Refused
        } else if self.round.is_some() && self.half_at.is_none() {
            Ending::ClientSilent
        } else if self.round.is_some() {
            Ending::TooFewPartials
        } else if self.value_at.is_some() {
            Ending::NotAgreed
        } else {
            Ending::NoValue
        }
    }
}
