//! The persons' validator clients: when they ask, and what they do with answers.

use super::{Event, World};
use symbolon_core::{Ask, Input, RequestId};
use types::duty::AttesterDuty;
use types::{Slot, ValidatorNo};

impl World {
    pub(super) fn slot_start(&mut self, person: usize, slot: Slot) {
        let next = slot.next();
        self.push(self.spec.slot_start(next), person, Event::SlotStart(next));
        if self.persons[person].node.is_none() {
            return;
        }
        // The machine's own tick for this slot comes first, as it would from a punctual clock.
        self.input(person, Input::Tick);
        let due = self.spec.attestation_due(slot);
        self.push(due, person, Event::AttestDeadline(slot));
        let proposer = self.chain.proposer(slot);
        if slot > Slot(0) && proposer.0 < u64::from(self.setup.validators) {
            let validator = ValidatorNo(proposer.0 as u32);
            let (request, ask) = self.persons[person].client.propose(&self.spec, slot, validator);
            self.input(person, Input::Ask { request, ask });
        }
    }

    pub(super) fn client_attests(&mut self, person: usize, slot: Slot) {
        if self.persons[person].node.is_none()
            || self.due(slot).is_empty()
            || !self.asked.insert((person, slot))
        {
            return;
        }
        let (request, ask) = self.persons[person].client.attest(slot);
        self.input(person, Input::Ask { request, ask });
    }

    /// The cluster's attesters of a slot.
    fn due(&self, slot: Slot) -> Vec<(ValidatorNo, AttesterDuty)> {
        let duties = self.chain.attesters(self.spec.epoch_of(slot));
        let ours = |duty: AttesterDuty| {
            let number = u32::try_from(duty.validator_index.0).ok()?;
            (duty.slot == slot && number < self.setup.validators).then_some((ValidatorNo(number), duty))
        };
        duties.into_iter().filter_map(ours).collect()
    }

    pub(super) fn reply(&mut self, person: usize, request: RequestId, answer: &symbolon_core::Answer) {
        let chain = &self.chain;
        let (spec, validators) = (&self.spec, self.setup.validators);
        let due = |slot: Slot| {
            let duties = chain.attesters(spec.epoch_of(slot)).into_iter();
            let ours =
                duties.filter(|duty| duty.slot == slot && duty.validator_index.0 < u64::from(validators));
            ours.map(|duty| (ValidatorNo(duty.validator_index.0 as u32), duty)).collect()
        };
        let next: Option<(RequestId, Ask)> = self.persons[person].client.answer(spec, request, answer, due);
        if let symbolon_core::Answer::Refused(refusal) = answer {
            let words = refusal.to_string();
            self.tell(person, || format!("refuses its client: {words}"));
        }
        if let Some((request, ask)) = next {
            self.soon(person, Input::Ask { request, ask });
        }
    }
}
