//! Faults strike: when a person's node is about to take a step.

use super::{Event, World};
use crate::fault::{Fault, Step, What};
use crate::judges::Alarm;
use symbolon_core::Input;
use symbolon_core::journal::{Promise, Row};
use symbolon_core::stop::Reason;
use types::{Epoch, PublicKey, Slot};

/// So many epochs ahead reaches a record from elsewhere.
const RECORD_EPOCHS: u64 = 2;

impl World {
    /// Something shall go wrong.
    pub fn expect(&mut self, fault: Fault) {
        self.coming.push(fault);
    }

    /// What has not gone wrong so far will not.
    pub fn call_off(&mut self) {
        self.coming.clear();
    }

    /// A person's node is about to take a step: what has waited for that strikes.
    pub(super) fn reach(&mut self, person: usize, step: Step) {
        let operator = self.persons[person].operator;
        let slot = self.spec.slot_at(self.now).unwrap_or_default();
        let due = |fault: &Fault| fault.who == operator && fault.step == step && fault.from <= slot;
        while let Some(place) = self.coming.iter().position(due) {
            if self.persons[person].node.is_none() {
                return;
            }
            let fault = self.coming.remove(place);
            self.struck.push((fault, slot));
            self.tell(person, || format!("suffers {fault}"));
            self.strike(person, fault);
        }
    }

    fn strike(&mut self, person: usize, Fault { what, lasts, .. }: Fault) {
        let until = self.now.after(lasts);
        match what {
            What::Crash => {
                self.crash(person);
                self.push(until, person, Event::Start);
            }
            What::Record => {
                self.crash(person);
                self.import_record(person);
                self.push(until, person, Event::Start);
            }
            What::Reset => {
                let other = (person + 1) % self.persons.len();
                self.cut(person, other, until);
            }
            What::Cut => {
                for other in (0..self.persons.len()).filter(|other| *other != person) {
                    self.cut(person, other, until);
                }
            }
            What::Stall => {
                let partition = crate::network::Partition { side: vec![person], from: self.now, until };
                self.network.partitions.push(partition);
            }
            What::Ahead => self.persons[person].clock.ahead_ms += lasts.0 as i64,
            What::Behind => self.persons[person].clock.ahead_ms -= lasts.0 as i64,
            What::Stop => {
                self.soon(person, Input::Stop(Reason::Clock));
                let life = self.persons[person].life;
                self.push(
                    until,
                    person,
                    Event::Input { life, input: Box::new(Input::Resume(Reason::Clock)) },
                );
            }
            What::BeaconDead
            | What::BeaconLate
            | What::BeaconFork
            | What::BeaconStray
            | What::BeaconPicky
            | What::DiskFails
            | What::DiskSlow
            | What::ClientSilent
            | What::ClientLate
            | What::ClientAsleep
            | What::ClientIdle
            | What::ClientBad
            | What::ClientHalf => {
                self.persons[person].troubles.insert(what, until);
            }
        }
    }

    /// Rows without roots, as another system's record has them.
    fn import_record(&mut self, person: usize) {
        let now = self.spec.slot_at(self.now).unwrap_or_default();
        let target = Epoch(self.spec.epoch_of(now).0 + RECORD_EPOCHS);
        let slot = self.spec.epoch_start(target);
        let promises = [Promise::Block { slot }, Promise::Attestation { source: Epoch(0), target }];
        let keys = self.keys();
        let row = |key: PublicKey| promises.map(|promise| Row { key, slot, promise, root: None });
        self.persons[person].disk.import(keys.into_iter().flat_map(row));
    }

    /// A node has learned that another process runs with its key, and has stopped: for good, its shell sees to that.
    pub(super) fn second_instance(&mut self, person: usize) {
        self.persons[person].stopped = true;
        self.alarmed(person, Alarm::SecondInstance);
    }

    /// An amnesiac's slot begins: it may die and come back with an old disk.
    pub(super) fn whim(&mut self, person: usize) {
        let slot_ms = self.setup.slot_ms;
        let whim = crate::villains::amnesiac::whim(&mut self.persons[person], &mut self.whims, slot_ms);
        if let Some((after, away)) = whim {
            self.push(self.now.after(after), person, Event::Relapse);
            self.push(self.now.after(after).after(away), person, Event::Start);
        }
    }

    /// It dies, and its old disk is restored.
    pub(super) fn relapse(&mut self, person: usize) {
        self.crash(person);
        self.persons[person].disk.roll_back();
    }

    /// What has struck so far, with the slot in which it did.
    pub fn struck(&self) -> &[(Fault, Slot)] {
        &self.struck
    }
}
