//! The persons' validator clients: when they ask, and what they do with answers.

use super::{Event, World};
use crate::client;
use crate::fault::{Step, What};
use crate::judges::Sight;
use crate::roster::Roster;
use crate::setup::Flaw;
use crate::villains::Habit;
use symbolon_core::{Answer, Ask, Input, Refusal, RequestId};
use types::{Epoch, Millis, Slot, ValidatorNo};

impl World {
    /// The cluster's part of the chain's duties.
    pub(super) const fn roster(&self) -> Roster<'_> {
        Roster { chain: &self.chain, validators: self.setup.validators, plain: self.setup.plain }
    }

    /// A slot begins at a person's client, whether its node is up or not.
    pub(super) fn slot_start(&mut self, person: usize, slot: Slot) {
        let next = slot.next();
        // By its own clock, which may have jumped: what it shows as past comes at once.
        let at = |world: &Self, shown| world.persons[person].clock.time_of(shown).max(world.now);
        self.push(at(self, self.spec.slot_start(next)), person, Event::SlotStart(next));
        self.push(at(self, self.spec.attestation_due(slot)), person, Event::AttestDeadline(slot));
        self.push(at(self, self.spec.aggregate_due(slot)), person, Event::AggregateDue(slot));
        self.reach(person, Step::Begin);
        if self.setup.habits[self.persons[person].operator.position()] == Habit::Amnesiac {
            self.whim(person);
        }
        // The machine's own tick for this slot comes first, as it would from a punctual clock.
        self.input(person, Input::Tick);
        self.client_selects(person, slot);
        let proposer = self.chain.proposer(slot);
        if let Some(validator) = self.roster().number(proposer).filter(|_| slot > Slot(0)) {
            self.client(person, |client, roster| vec![client.propose(roster.chain.spec(), slot, validator)]);
        }
    }

    /// Lets a person's client speak, if there is a node to speak to.
    fn client(
        &mut self,
        person: usize,
        speak: impl FnOnce(&mut client::Client, &Roster<'_>) -> Vec<(RequestId, Ask)>,
    ) {
        let (now, late) = (self.now, Millis(self.setup.slot_ms));
        let one = &mut self.persons[person];
        if one.node.is_none() || one.suffers(What::ClientSilent, now) {
            return;
        }
        let (validators, plain) = (self.setup.validators, self.setup.plain);
        let asks = speak(&mut one.client, &Roster { chain: &self.chain, validators, plain });
        let one = &self.persons[person];
        let is_late = one.suffers(What::ClientLate, now) || one.suffers(What::ClientAsleep, now);
        for (request, ask) in asks {
            let input = Input::Ask { request, ask };
            match is_late {
                true => {
                    let life = self.persons[person].life;
                    self.push(now.after(late), person, Event::Input { life, input: Box::new(input) });
                }
                false => self.input(person, input),
            }
        }
    }

    pub(super) fn client_selects(&mut self, person: usize, slot: Slot) {
        self.client(person, |client, roster| client.select(roster, slot));
    }

    /// The head is there, or a third of the slot is over: attestations, and votes of the sync committee.
    pub(super) fn client_attests(&mut self, person: usize, slot: Slot) {
        if self.persons[person].node.is_none() || !self.asked.insert((person, slot)) {
            return;
        }
        if !self.roster().attesters(slot).is_empty() {
            self.client(person, |client, _| vec![client.attest(slot)]);
        }
        if !self.roster().members(slot).is_empty() {
            let (eager, head) = (self.setup.eager, self.head_of(person));
            self.client(person, |client, roster| match eager {
                true => vec![client.vote_at_once(roster, slot, head)],
                false => vec![client.vote_for_head(slot)],
            });
        }
    }

    /// Two thirds of the slot are over.
    pub(super) fn client_aggregates(&mut self, person: usize, slot: Slot) {
        self.client(person, |client, roster| client.aggregate(roster, slot));
    }

    /// An operator wants a validator to leave.
    pub(super) fn client_exits(&mut self, person: usize, validator: ValidatorNo, epoch: Epoch) {
        let operator = self.persons[person].operator;
        self.saw(Sight::Approved { operator, validator, epoch });
        let exit = |client: &mut client::Client, roster: &Roster<'_>| {
            vec![client.exit(roster.chain.spec(), validator, epoch)]
        };
        self.client(person, exit);
        if self.setup.has(Flaw::ApprovesUnasked) {
            (0..self.persons.len())
                .filter(|other| *other != person)
                .for_each(|other| self.client(other, exit));
        }
    }

    /// The node answers.
    pub(super) fn reply(&mut self, person: usize, request: RequestId, answer: &Answer) {
        if let Answer::Refused(refusal) = answer {
            let words = refusal.to_string();
            self.tell(person, || format!("refuses its client: {words}"));
        }
        let passed_on = self.passed_on(person, request, answer);
        let (validators, plain) = (self.setup.validators, self.setup.plain);
        let roster = Roster { chain: &self.chain, validators, plain };
        let one = &mut self.persons[person];
        let next = one.client.answer(&roster, request, passed_on.as_ref().unwrap_or(answer));
        if one.suffers(What::ClientIdle, self.now) || one.suffers(What::ClientAsleep, self.now) {
            return;
        }
        let (bad, half) = (one.suffers(What::ClientBad, self.now), one.suffers(What::ClientHalf, self.now));
        for (request, mut ask) in next {
            if bad {
                client::spoil(&mut ask);
            }
            if half {
                client::halve(&mut ask);
            }
            self.soon(person, Input::Ask { request, ask });
        }
    }

    /// The question of a client that is not in distributed mode goes on to the beacon node: what that answers.
    fn passed_on(&self, person: usize, request: RequestId, answer: &Answer) -> Option<Answer> {
        let Answer::Refused(Refusal::NotDistributed) = answer else { return None };
        let question = self.persons[person].client.question(request)?;
        self.pooled(person, question.kind, question.slot, (question.place, question.subject))
            .map(Answer::Aggregate)
    }

    /// Duties of an epoch change, as a reorganisation changes them: every beacon node tells with its head, and clients
    /// read them anew.
    pub(super) fn reshuffled(&mut self, epoch: Epoch) {
        let slot = self.spec.slot_at(self.now).unwrap_or_default();
        self.chain.reshuffle(slot, epoch);
        for person in 0..self.persons.len() {
            self.persons[person].client.duties_changed(&self.spec, epoch);
            let root = self.head_of(person);
            let slot = self.chain.block(&root).map_or(Slot(0), |record| record.slot);
            self.push(self.now, person, Event::Head { slot, root });
        }
    }
}
