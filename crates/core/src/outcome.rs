//! How a duty ended, and the story that gathers what is told of it.

use crate::account::{Account, Heard, Obstacle};
use crate::node::Setup;
use crate::{Combined, Ending, Fault, Refusal};
use std::collections::BTreeSet;
use types::wire::{Instance, Item, Kind, Message};
use types::{ChainSpec, Millis, ShareIndex};

/// How a duty of one slot and kind ended at this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which duty.
    pub instance: Instance,
    /// Validators due.
    pub due: usize,
    /// Validators whose signature was combined.
    pub done: usize,
    /// From the value at hand to the last group signature, in milliseconds, where both were seen.
    pub latency_ms: Option<u64>,
    /// The round in which it was decided, where it was.
    pub round: Option<u32>,
    /// In one word of a closed list.
    pub ending: Ending,
}

/// What a duty remembers of itself, for its outcome and for operators who ask.
#[derive(Debug)]
pub(crate) struct Story {
    account: Account,
    /// From then on nothing that is signed helps.
    hopeless_at: Millis,
}

/// When a signature of a kind helps nobody any more: blocks, and what is about one block, are taken in the slot after
/// theirs at the latest; attestations and their aggregates for an epoch, as long as a duty is kept.
fn hopeless_at(spec: &ChainSpec, instance: Instance) -> Millis {
    match instance.kind {
        Kind::Propose | Kind::Randao | Kind::SyncMessage | Kind::Contribute | Kind::SyncSelection => {
            spec.slot_start(instance.slot.next().next())
        }
        Kind::Attest | Kind::Aggregate | Kind::Selection | Kind::Exit | Kind::Registration => {
            Millis(u64::MAX)
        }
    }
}

impl Story {
    pub(crate) fn new(setup: &Setup, instance: Instance) -> Self {
        let over_at = setup.spec.slot_start(instance.slot.next());
        Self {
            account: Account::new(instance, setup.size, setup.me, over_at),
            hopeless_at: hopeless_at(&setup.spec, instance),
        }
    }

    pub(crate) const fn instance(&self) -> Instance {
        self.account.instance
    }

    /// The facts so far.
    pub(crate) const fn account(&self) -> &Account {
        &self.account
    }

    /// Something stands in the way here.
    pub(crate) fn blocked(&mut self, obstacle: Obstacle) {
        self.account.obstacles.insert(obstacle);
    }

    /// It does not any more.
    pub(crate) fn cleared(&mut self, obstacle: Obstacle) {
        self.account.obstacles.remove(&obstacle);
    }

    /// These operators are connected. Later than in the slot itself that is of no interest.
    pub(crate) fn met(&mut self, now: Millis, present: &BTreeSet<ShareIndex>) {
        if now < self.account.over_at {
            self.account.present.extend(present);
        }
    }

    /// The own beacon nodes are asked for a value.
    pub(crate) fn wanted_at(&mut self, now: Millis) {
        self.account.wanted_at.get_or_insert(now);
    }

    /// The own beacon nodes gave a value.
    pub(crate) fn own_at(&mut self, now: Millis) {
        self.account.own_at.get_or_insert(now);
        self.value_at(now);
    }

    /// A value to agree on is at hand here.
    pub(crate) fn value_at(&mut self, now: Millis) {
        self.account.value_at.get_or_insert(now);
    }

    /// The own validator client asked for the value.
    pub(crate) fn asked_at(&mut self, now: Millis) {
        self.account.asked_at.get_or_insert(now);
    }

    /// The own validator client handed in a half that fits.
    pub(crate) fn half_at(&mut self, now: Millis) {
        self.account.half_at.get_or_insert(now);
    }

    /// Something that the own validator client handed in was refused.
    pub(crate) fn half_refused(&mut self, refusal: &Refusal) {
        if matches!(refusal, Refusal::NotAgreed { .. } | Refusal::BadHalf(_) | Refusal::WrongProof(_)) {
            self.blocked(Obstacle::BadHalf);
        }
        if *refusal == Refusal::NotDistributed {
            self.blocked(Obstacle::NotDistributed);
        }
    }

    /// Whether the own validator client aggregates in distributed mode, as far as what it last did shows.
    pub(crate) fn distributed(&mut self, distributed: bool) {
        match distributed {
            true => self.cleared(Obstacle::NotDistributed),
            false => self.blocked(Obstacle::NotDistributed),
        }
    }

    /// Halves came back: whether some of them were not by this operator's key.
    pub(crate) fn completed<T, E>(&mut self, results: &[Result<T, E>]) {
        if results.iter().any(Result::is_err) {
            self.blocked(Obstacle::BadHalf);
        }
    }

    /// A signature was combined.
    pub(crate) fn signed_at(&mut self, now: Millis) {
        self.account.signed_at = Some(now);
    }

    /// Agreed; `round`: where this duty had an agreement of its own.
    pub(crate) fn decided(&mut self, now: Millis, round: Option<u32>) {
        self.account.decided_at.get_or_insert(now);
        self.account.round = round;
    }

    /// So many of the signatures due are forbidden by the journal.
    pub(crate) fn refused(&mut self, count: usize) {
        self.account.refused = count;
    }

    /// A beacon node took a submission, or none did.
    pub(crate) fn submitted(&mut self, taken: bool) {
        self.account.submitted += 1;
        self.account.taken += usize::from(taken);
    }

    pub(crate) fn progress(&mut self, (done, due): (usize, usize)) {
        (self.account.done, self.account.due) = (done, due);
    }

    /// An operator made a mistake.
    pub(crate) fn fault(&mut self, peer: ShareIndex, fault: Fault) {
        self.account.operators.entry(peer).or_default().fault = Some(fault);
    }

    /// Partials were combined: who sent bad ones?
    pub(crate) fn combined(&mut self, items: &[Item], results: &[Combined]) {
        for (item, result) in items.iter().zip(results) {
            for culprit in &result.culprits {
                self.fault(*culprit, Fault::BadPartial(item.validator));
            }
        }
    }

    /// So many of the signatures due an operator has sent its partials for.
    pub(crate) fn partials(&mut self, now: Millis, from: ShareIndex, count: usize) {
        let heard = self.account.operators.entry(from).or_default();
        heard.partial.get_or_insert((now, count)).1 = count;
    }

    /// An operator said something, this one included. Its partials are told by [`Story::partials`].
    pub(crate) fn heard(&mut self, now: Millis, from: ShareIndex, message: &Message) {
        let heard: &mut Heard = self.account.operators.entry(from).or_default();
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
            Message::Partial(_)
            | Message::Cert(_)
            | Message::Decided(_)
            | Message::Fetch(_)
            | Message::Value(_)
            | Message::Contents(_)
            | Message::Challenge(_)
            | Message::Boot(_)
            | Message::Overlap(_)
            | Message::Held(_)
            | Message::FetchContents(_) => {}
        }
    }

    /// Whether time has shown that nothing more will come of it.
    pub(crate) fn is_hopeless(&self, now: Millis) -> bool {
        now >= self.hopeless_at
    }

    /// The outcome, once: when everything is done and taken, or when time is `over`. Steps on the way to a duty have none.
    pub(crate) fn outcome(&mut self, over: bool) -> Option<Outcome> {
        let account = &mut self.account;
        let complete =
            account.done == account.due && account.submitted > 0 && account.taken == account.submitted;
        if account.is_step() || account.is_told || !account.is_due() || !(complete || over) {
            return None;
        }
        account.is_told = true;
        Some(Outcome {
            instance: account.instance,
            due: account.due,
            done: account.done,
            latency_ms: account.value_at.zip(account.signed_at).map(|(from, to)| to.since(from).0),
            round: account.round,
            ending: Ending::of(account),
        })
    }

    /// Nothing is added any more.
    pub(crate) fn close(&mut self) -> Account {
        self.account.is_told = true;
        self.account.clone()
    }
}

#[cfg(test)]
mod tests;
