//! What protects the validators beside the journal: stops, doppelgangers, second processes, what others hold of us.

use super::Node;
use crate::boot::Said;
use crate::duty::Event;
use crate::mutants::Mutant;
use crate::stop::Reason;
use crate::{Output, To};
use std::collections::BTreeSet;
use types::wire::{Message, Signed, Verified};
use types::{Epoch, ShareIndex, ValidatorNo};

impl Node {
    /// Puts a reason to sign nothing in force, and tells the duties that run.
    pub(super) fn stop(&mut self, reason: &Reason) {
        self.journal.stop(reason);
        self.with_all(|| Event::Stopped);
    }

    /// Takes it out of force. Agreements that have become silent stay so; those that begin from now on do not.
    pub(super) fn resume(&mut self, reason: &Reason) {
        let was_off = self.journal.stops().clock_is_off();
        self.journal.resume(reason);
        if was_off && !self.journal.stops().clock_is_off() {
            self.sightings.begin_anew(self.now);
        }
    }

    /// Asks for what the beacon nodes saw, if it is time and what they say could be judged.
    pub(super) fn watch_liveness(&mut self) {
        if self.journal.stops().clock_is_off() {
            return;
        }
        if let Some(epoch) = self.sightings.ask(self.now, &self.setup.spec) {
            self.out.push_back(Output::FetchLiveness { epoch });
        }
    }

    /// What the beacon nodes saw. An answer that did not come is asked for again in the next slot.
    pub(super) fn liveness(&mut self, epoch: Epoch, live: Option<BTreeSet<ValidatorNo>>) {
        let Some(live) = live.filter(|_| !self.journal.stops().clock_is_off()) else { return };
        let validators = self.sightings.judge(&self.setup.spec, epoch, &live);
        if !validators.is_empty() {
            self.out.push_back(Output::Doppelgangers { epoch, validators });
        }
    }

    /// Asks other operators which process speaks, where that is due.
    pub(super) fn watch_processes(&mut self) {
        let slot = self.setup.spec.slot_at(self.now).unwrap_or_default();
        for (peer, message) in self.boots.ask(self.now, slot) {
            self.out.push_back(Output::Send { to: To::One(peer), message });
        }
    }

    /// `true` if the message is about processes, and so about no duty.
    pub(super) fn hear_of_processes(&mut self, message: &Verified) -> bool {
        let peer = message.sender();
        for said in self.boots.hear(self.now, peer, message.message()) {
            match said {
                Said::Reply(message) => self.out.push_back(Output::Send { to: To::One(peer), message }),
                Said::Restarted => self.peer_was_restarted(peer),
                Said::TwoProcesses { first, second } => {
                    self.out.push_back(Output::TwoProcesses { peer, first, second });
                }
                // It is shown again with every answer; once is enough.
                Said::SecondInstance if self.journal.stops().has_twin() => {}
                Said::SecondInstance => {
                    self.stop(&Reason::SecondInstance);
                    self.out.push_back(Output::SecondInstance { shown_by: peer });
                }
            }
        }
        message.message().is_of_processes()
    }

    /// Shows a peer what it signed last. Before anything else: a decision that it could sign takes words of other operators,
    /// and these come behind this one.
    pub(super) fn show_held(&mut self, peer: ShareIndex) {
        let shown = self.held.of(peer).map(|message| Output::Send { to: To::One(peer), message });
        self.out.extend(shown);
    }

    /// Whether a statement that a peer shows proves that this node's journal is too old.
    pub(super) fn proves_loss(&self, signed: &Signed) -> bool {
        let rules = self.setup.rules;
        let believed = signed.author == self.setup.me && rules.break_with(Mutant::HeldBelieved);
        let proves = || self.held.proves_loss(&self.setup.spec, &self.journal, signed);
        !rules.break_with(Mutant::HeldIgnored) && (believed || proves())
    }

    /// `true` if the message shows what this node signed, and so is about no duty that runs. Without a row for it, every
    /// validator's watermarks rise to now.
    pub(super) fn hear_of_loss(&mut self, message: &Verified) -> bool {
        let Message::Held(proof) = message.message() else { return false };
        if self.proves_loss(proof) {
            let spec = &self.setup.spec;
            // Duties of the next slot may have begun: clocks differ.
            let ahead = spec.slot_at(self.now).unwrap_or_default().next();
            let until = proof.statement.instance.slot.max(ahead);
            let rows = self.journal.roll_forward(spec, until);
            let ticket = self.tickets.issue_unawaited();
            self.out.push_back(Output::Journal { ticket, rows });
            self.out.push_back(Output::RolledBack { shown_by: message.sender(), proof: *proof, until });
            self.with_all(|| Event::Stopped);
        }
        true
    }

    /// Its new process only follows in this slot and the next (rule 11): nobody has to wait for what it would lead.
    fn peer_was_restarted(&mut self, peer: ShareIndex) {
        if let Some(slot) = self.setup.spec.slot_at(self.now) {
            self.view.follows_until(peer, slot.next());
            self.with_all(|| Event::Presence);
        }
    }
}
