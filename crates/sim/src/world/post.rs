//! What persons say to each other, and how it gets there.

use super::{CLUSTER, Event, World};
use crate::judges::Sight;
use crate::villains::{Parcel, Scene, Words};
use sha2::{Digest as _, Sha256};
use std::rc::Rc;
use symbolon_core::words::describe;
use symbolon_core::{Input, To};
use types::wire::{self, Message, Verified};
use types::{Machine as _, Millis, Root, Slot};

impl World {
    /// A machine wishes to send something: a villain sends what it makes of it.
    pub(super) fn send(&mut self, person: usize, to: To, message: Message) {
        let own = (to == To::All).then(|| message.clone());
        let parcels = self.twisted(person, to, message);
        for parcel in parcels {
            self.post(person, parcel);
        }
        if let Some(message) = own {
            let sealed = wire::seal(message, &CLUSTER, &self.persons[person].key());
            self.hear(person, sealed);
        }
    }

    fn twisted(&mut self, person: usize, to: To, message: Message) -> Vec<Parcel> {
        let one = &mut self.persons[person];
        let mut scene = Scene { size: self.setup.size, me: one.operator, rng: &mut self.whims };
        match one.mischief.as_mut() {
            Some(mischief) => mischief.twist(&mut scene, to, message),
            None => vec![Parcel::plain(to, message)],
        }
    }

    fn post(&mut self, person: usize, Parcel { to, words, late }: Parcel) {
        let me = &self.persons[person];
        let (operator, honest) = (me.operator, me.honest);
        let frame = match words {
            Words::Raw(frame) => frame,
            Words::Own(message) => {
                let sealed = wire::seal(message, &CLUSTER, &me.key());
                self.saw(Sight::Sent { at: self.now, author: operator, honest, message: sealed.message() });
                self.tell(person, || describe(sealed.message(), to));
                sealed.message().to_frame()
            }
        };
        self.trace.update(Sha256::digest(&frame));
        let frame: Rc<[u8]> = frame.into();
        for other in self.audience(person) {
            if to == To::All || to == To::One(self.persons[other].operator) {
                for arrival in self.network.arrivals(self.now.after(late), person, other) {
                    self.push(
                        arrival.at,
                        other,
                        Event::Frame { from: person, arrival, frame: frame.clone() },
                    );
                }
            }
        }
    }

    /// Own messages come back at once, before anything else happens to the machine.
    fn hear(&mut self, person: usize, message: Verified) {
        let now = self.persons[person].clock.shows(self.now);
        if let Some(node) = self.persons[person].node.as_mut() {
            node.handle(now, Input::Peer(message));
        }
    }

    /// A frame arrives. What the door refuses can only be a villain's.
    pub(super) fn frame(&mut self, person: usize, from: usize, frame: &[u8]) {
        let honest = self.persons[from].honest;
        let one = &mut self.persons[person];
        if let Some(mischief) = one.mischief.as_mut() {
            let mut scene = Scene { size: self.setup.size, me: one.operator, rng: &mut self.whims };
            mischief.overhear(&mut scene, frame);
        }
        let Some(node) = one.node.as_ref() else { return };
        let message = match wire::decode(frame) {
            Ok(message) => message,
            Err(error) => {
                assert!(!honest, "honest nodes in the jar speak the wire's language: {error}");
                self.turned_away += 1;
                return;
            }
        };
        if !node.wants(&message) {
            return;
        }
        let sender = self.persons[from].operator;
        let key = self.persons[person].key();
        match wire::verify(message, sender, self.setup.size, &CLUSTER, &key) {
            Ok(verified) => self.input(person, Input::Peer(verified)),
            Err(error) => {
                assert!(!honest, "honest nodes in the jar sign what they send: {error}");
                self.turned_away += 1;
            }
        }
    }

    /// The payload of an own block goes to everybody, that of any block to who asks for it; behind all messages.
    pub(super) fn send_contents(&mut self, person: usize, to: To, slot: Slot, root: Root) {
        let one = &mut self.persons[person];
        let mut scene = Scene { size: self.setup.size, me: one.operator, rng: &mut self.whims };
        let to = match one.mischief.as_mut() {
            Some(mischief) => mischief.confides_contents(&mut scene, to),
            None => Some(to),
        };
        let Some(to) = to else { return };
        self.tell(person, || match to {
            To::All => format!("sends the payload of {}", &root.to_string()[2..10]),
            To::One(peer) => format!("sends the payload of {} to #{peer}", &root.to_string()[2..10]),
        });
        for other in self.audience(person) {
            if to != To::All && to != To::One(self.persons[other].operator) {
                continue;
            }
            for arrival in self.network.arrivals(self.now, person, other) {
                self.push(arrival.at, other, Event::Contents { from: person, arrival, slot, root });
            }
        }
    }

    /// The payload of another operator's block is there.
    pub(super) fn hold(&mut self, person: usize, slot: Slot, root: Root) {
        if let Some((_, holders)) = self.contents.get_mut(&root) {
            holders.insert(person);
        }
        self.input(person, Input::Contents { slot, root });
    }

    /// The links between two persons break, and are made again at `until`.
    pub(super) fn cut(&mut self, one: usize, other: usize, until: Millis) {
        let were_up = self.audience(one).contains(&other);
        self.network.cut([one, other], until);
        if until > self.now {
            self.push(until, one, Event::Reconnect { other });
        }
        if were_up {
            self.presence(one, other, false);
        }
    }

    /// Two persons' processes have a connection again, if both are there and no other fault keeps it down.
    pub(super) fn reconnect(&mut self, one: usize, other: usize) {
        if self.persons[one].node.is_some() && self.audience(one).contains(&other) {
            self.presence(one, other, true);
        }
    }

    /// Two processes learn that their connection came up or went down.
    pub(super) fn presence(&mut self, one: usize, other: usize, up: bool) {
        let [first, second] = [one, other].map(|person| self.persons[person].operator);
        self.input(one, Input::Presence { peer: second, up });
        self.input(other, Input::Presence { peer: first, up });
    }
}
