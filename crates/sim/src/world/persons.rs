//! Persons come up, meet, die, and hear of what happens to them.

use super::{Event, FEE_RECIPIENT, World};
use crate::client::Client;
use crate::curve::Symbolic;
use crate::disk::Disk;
use crate::person::{Person, Side};
use crate::setup::Setup;
use crate::villains::{Habit, equivocator, mute};
use symbolon_core::Input;
use symbolon_core::agree::Timers;
use symbolon_core::mutants::Rules;
use symbolon_core::node::{Node, Setup as NodeSetup, Validator};
use types::{Generation, Machine as _, Millis, PublicKey, ValidatorNo};

impl World {
    pub(super) fn start(&mut self, person: usize) {
        let keys: Vec<PublicKey> =
            (0..self.setup.validators).map(|number| Symbolic.group_key(ValidatorNo(number))).collect();
        let validators =
            keys.iter().map(|key| Validator { group_key: *key, fee_recipient: FEE_RECIPIENT }).collect();
        let setup = NodeSetup {
            size: self.setup.size,
            me: self.persons[person].operator,
            generation: Generation(0),
            spec: self.spec.clone(),
            validators,
            relays: std::collections::BTreeSet::new(),
            timers: Timers::default(),
            rules: Rules::default(),
            started: self.now,
        };
        let histories = self.persons[person].disk.histories(&keys);
        self.persons[person].node = Some(Node::new(setup, histories));
        self.persons[person].life += 1;
        self.meet(person);
        self.input(person, Input::Tick);
        if let Some(slot) = self.spec.slot_at(self.now) {
            self.client_selects(person, slot);
        }
    }

    /// Connections between a person who has come up and all others who are.
    fn meet(&mut self, person: usize) {
        for other in self.audience(person) {
            let (me, them) = (self.persons[person].operator, self.persons[other].operator);
            self.input(person, Input::Presence { peer: them, up: true });
            self.input(other, Input::Presence { peer: me, up: true });
        }
    }

    pub(super) fn crash(&mut self, person: usize) {
        let others = self.audience(person);
        let me = self.persons[person].operator;
        self.persons[person].node = None;
        self.persons[person].disk.crash();
        self.persons[person].client.disconnected();
        self.tell(person, || "dies".into());
        for other in others {
            self.input(other, Input::Presence { peer: me, up: false });
        }
    }

    pub(super) fn audience(&self, person: usize) -> Vec<usize> {
        let me = &self.persons[person];
        let listens = |(number, other): (usize, &Person)| {
            let hears = number != person && other.node.is_some() && me.talks_with(other);
            (hears && other.operator != me.operator).then_some(number)
        };
        self.persons.iter().enumerate().filter_map(listens).collect()
    }

    pub(super) fn input(&mut self, person: usize, input: Input) {
        let now = self.now;
        let Some(node) = self.persons[person].node.as_mut() else { return };
        node.handle(now, input);
        while let Some(output) = self.persons[person].node.as_mut().and_then(types::Machine::poll) {
            self.grant(person, output);
        }
        let wake = self.persons[person].node.as_ref().and_then(types::Machine::wake_at);
        let planned = self.persons[person].wake;
        if let Some(at) = wake.map(|at| at.max(now))
            && planned.is_none_or(|planned| at < planned || planned < now)
        {
            self.persons[person].wake = Some(at);
            self.push(at, person, Event::Wake);
        }
    }

    pub(super) fn soon(&mut self, person: usize, input: Input) {
        let life = self.persons[person].life;
        self.push(self.now, person, Event::Input { life, input });
    }
}

/// One person per honest operator, two per equivocator, one without a node per mute.
pub(super) fn people(setup: &Setup) -> Vec<Person> {
    let mut people = Vec::new();
    for (operator, habit) in setup.size.indices().zip(&setup.habits) {
        let stands = if setup.right.contains(&operator) { Side::Right } else { Side::Left };
        let selecting = setup.selecting.get(operator.position()).copied().unwrap_or_default();
        let head_delay = setup.head_delays.get(operator.position()).copied().unwrap_or_default();
        let mut person = Person {
            operator,
            side: Side::Both,
            stands,
            honest: true,
            node: None,
            disk: Disk::default(),
            client: Client::new(operator, selecting),
            head_delay,
            life: 0,
            wake: None,
        };
        match habit {
            Habit::Honest => people.push(person),
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
