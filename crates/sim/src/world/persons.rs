//! Persons come up, meet, die, and hear of what happens to them.

use super::{Event, FEE_RECIPIENT, World};
use crate::client::Client;
use crate::curve::Symbolic;
use crate::person::{Person, Side};
use crate::setup::{Flaw, Setup};
use crate::villains::{Habit, equivocator, mute, split_brain};
use sha2::{Digest as _, Sha256};
use symbolon_core::Input;
use symbolon_core::agree::Timers;
use symbolon_core::node::{Node, Setup as NodeSetup, Validator};
use symbolon_core::stop::Reason;
use types::{Generation, Machine as _, Millis, PublicKey, Root, ValidatorNo};

/// How late the beacon node of a split brain's second process is.
const SECOND_BEACON: Millis = Millis(300);

impl World {
    /// The validators' keys, in the lock's order.
    pub(super) fn keys(&self) -> Vec<PublicKey> {
        (0..self.setup.validators).map(|number| Symbolic.group_key(ValidatorNo(number))).collect()
    }

    /// A person's process starts, unless it runs.
    pub(super) fn start(&mut self, person: usize) {
        if self.persons[person].node.is_some() {
            return;
        }
        let keys = self.keys();
        let validators =
            keys.iter().map(|key| Validator { group_key: *key, fee_recipient: FEE_RECIPIENT }).collect();
        let one = &mut self.persons[person];
        let setup = NodeSetup {
            size: self.setup.size,
            me: one.operator,
            generation: Generation(0),
            spec: self.spec.clone(),
            validators,
            relays: std::collections::BTreeSet::new(),
            timers: Timers::default(),
            rules: self.setup.rules,
            started: one.clock.shows(self.now),
        };
        let node = Node::new(setup, one.disk.histories(&keys));
        let restarted = one.life > 0;
        one.node = Some(node);
        one.life += 1;
        one.wake = None;
        let (life, stopped) = (one.life, one.stopped);
        if restarted {
            self.tell(person, || "starts again".into());
        }
        if stopped {
            self.input(person, Input::Stop(Reason::SecondInstance));
        }
        if self.setup.born {
            self.input(person, Input::Born { boot: boot_id(person, life) });
        }
        self.meet(person);
        self.input(person, Input::Tick);
        if let Some(slot) = self.spec.slot_at(self.now) {
            self.client_selects(person, slot);
        }
    }

    /// Connections between a person who has come up and all others who are.
    fn meet(&mut self, person: usize) {
        for other in self.audience(person) {
            self.presence(person, other, true);
        }
    }

    /// A person's process ends at once, and what it had under way is lost.
    pub(super) fn crash(&mut self, person: usize) {
        if self.persons[person].node.is_none() {
            return;
        }
        let others = self.audience(person);
        let me = self.persons[person].operator;
        self.persons[person].node = None;
        let kept = self.persons[person].disk.crash(&mut self.whims);
        self.durable(person, &kept);
        self.persons[person].client.disconnected();
        // Payloads are in its memory.
        self.contents.values_mut().for_each(|(_, holders)| {
            holders.remove(&person);
        });
        self.tell(person, || "dies".into());
        for other in others {
            self.network.cut([person, other], self.now);
            self.input(other, Input::Presence { peer: me, up: false });
        }
    }

    /// Who hears a person: whose process runs, is of another operator, and has a link.
    pub(super) fn audience(&self, person: usize) -> Vec<usize> {
        let me = &self.persons[person];
        let listens = |(number, other): (usize, &Person)| {
            let linked = self.network.is_up(self.now, person, number);
            let hears = number != person && other.node.is_some() && me.talks_with(other) && linked;
            (hears && other.operator != me.operator).then_some(number)
        };
        self.persons.iter().enumerate().filter_map(listens).collect()
    }

    /// Something happens to a person's node, by its own clock; all its wishes are granted.
    pub(super) fn input(&mut self, person: usize, input: Input) {
        let one = &mut self.persons[person];
        let Some(node) = one.node.as_mut() else { return };
        node.handle(one.clock.shows(self.now), input);
        while let Some(output) = self.persons[person].node.as_mut().and_then(types::Machine::poll) {
            self.grant(person, output);
        }
        self.plan_wake(person);
    }

    fn plan_wake(&mut self, person: usize) {
        let one = &self.persons[person];
        let Some(at) = one.node.as_ref().and_then(types::Machine::wake_at) else { return };
        let at = one.clock.time_of(at).max(self.now);
        let sooner = |planned| at < planned && !self.setup.has(Flaw::WakesLate);
        if one.wake.is_none_or(|planned| sooner(planned) || planned < self.now) {
            self.persons[person].wake = Some(at);
            self.push(at, person, Event::Wake);
        }
    }

    pub(super) fn soon(&mut self, person: usize, input: Input) {
        let life = self.persons[person].life;
        self.push(self.now, person, Event::Input { life, input: Box::new(input) });
    }
}

/// The id that a process draws when it starts.
fn boot_id(person: usize, life: u64) -> Root {
    Root(Sha256::digest(format!("process {life} of {person}")).into())
}

/// One person per operator, two per equivocator and split brain; a mute's has no node.
pub(super) fn people(setup: &Setup) -> Vec<Person> {
    let mut people = Vec::new();
    for (operator, habit) in setup.size.indices().zip(&setup.habits) {
        let selecting = setup.selecting.get(operator.position()).copied().unwrap_or_default();
        let mut person = Person::new(operator, Client::new(operator, selecting));
        person.stands = if setup.right.contains(&operator) { Side::Right } else { Side::Left };
        person.head_delay = setup.head_delays.get(operator.position()).copied().unwrap_or_default();
        person.clock = setup.clocks.get(operator.position()).copied().unwrap_or_default();
        person.honest = *habit == Habit::Honest;
        person.mischief = habit.mischief();
        match habit {
            Habit::Honest
            | Habit::Laggard
            | Habit::Forger
            | Habit::Replayer
            | Habit::Amnesiac
            | Habit::Withholder
            | Habit::Poisoner
            | Habit::Liar => people.push(person),
            Habit::SplitBrain => {
                let second = split_brain::second_process(&mut person, SECOND_BEACON);
                people.extend([person, second]);
            }
            Habit::Mute => {
                mute::silence(&mut person);
                people.push(person);
            }
            Habit::Equivocator => {
                let late = setup.late.unwrap_or(Millis(setup.slot_ms));
                let second = equivocator::second_face(&mut person, late, setup.loud);
                people.extend([person, second]);
            }
        }
    }
    people
}
