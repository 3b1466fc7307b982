//! The persons' beacon nodes: what they tell, and what they take.

use super::{Event, FEE_RECIPIENT, World};
use crate::chain::Rejection;
use crate::curve::Symbolic;
use crate::fault::What;
use crate::judges::Sight;
use std::collections::BTreeSet;
use symbolon_core::{Input, Submission, Ticket};
use types::aggregate::{Aggregate, AggregateShape};
use types::attestation::SingleAttestation;
use types::block::ProposedBlock;
use types::offer::Offer;
use types::wire::{Instance, Kind};
use types::{Address, Epoch, Generation, Millis, Root, Signature, Slot};

/// Whom a stray beacon node's blocks pay.
const STRANGER: Address = Address([0x5e; 20]);
/// How long a late beacon node takes to learn of things, on top of its usual.
const BEACON_LATE: Millis = Millis(3_000);

impl World {
    /// The aggregate that a person's beacon node makes: its pool lags behind as its head does.
    pub(super) fn pooled(
        &self,
        person: usize,
        kind: Kind,
        slot: Slot,
        (place, subject): (u64, Root),
    ) -> Option<Aggregate> {
        if self.is_dead(person) {
            return None;
        }
        let seen = self.now.since(self.lag_of(person));
        if kind == Kind::Contribute {
            return self.chain.contribution(&Symbolic, (slot, place), subject, seen);
        }
        self.chain.aggregate(&Symbolic, slot, subject, seen)
    }

    /// The branch that a person's beacon node knows: blocks that are older than its delay.
    pub(super) fn head_of(&self, person: usize) -> Root {
        let delay = self.lag_of(person);
        let mut root = self.chain.head();
        while root != self.chain.origin() {
            let record = self.chain.block(&root).expect("a branch ends at genesis");
            if self.imported_at(record.slot).after(delay) <= self.now {
                break;
            }
            root = record.parent;
        }
        root
    }

    /// How long a person's beacon node takes to learn of things.
    fn lag_of(&self, person: usize) -> Millis {
        let one = &self.persons[person];
        let late = if one.suffers(What::BeaconLate, self.now) { BEACON_LATE } else { Millis(0) };
        one.head_delay.after(late)
    }

    /// Whether a person's beacon node does nothing.
    pub(super) fn is_dead(&self, person: usize) -> bool {
        self.persons[person].suffers(What::BeaconDead, self.now)
    }

    pub(super) fn fetch_duties(&mut self, person: usize, epoch: Epoch) {
        if self.is_dead(person) {
            let nothing = Input::Duties { epoch, attesters: None, proposers: None, sync: None };
            return self.soon(person, nothing);
        }
        let roster = self.roster();
        let attesters = Some(roster.epoch_attesters(epoch));
        let sync = Some(roster.epoch_members(epoch));
        let proposers = Some(self.chain.proposers(epoch));
        self.soon(person, Input::Duties { epoch, attesters, proposers, sync });
    }

    /// What to attest. On another branch nothing was justified for two epochs, and the last block is unknown.
    pub(super) fn fetch_vote(&mut self, person: usize, slot: Slot) {
        let mut votes = Vec::new();
        if !self.is_dead(person) {
            let mut head = self.head_of(person);
            let forked = self.persons[person].suffers(What::BeaconFork, self.now);
            if forked && head != self.chain.origin() {
                head = self.chain.block(&head).expect("a branch ends at genesis").parent;
            }
            let mut vote = self.chain.vote(slot, head);
            if forked {
                let before = vote.target.epoch.0.saturating_sub(2);
                vote.source = self.chain.source(Epoch(before));
            }
            votes.push(vote);
        }
        self.soon(person, Input::BeaconVote { slot, votes });
    }

    fn imported_at(&self, slot: Slot) -> Millis {
        self.arrivals.get(&slot).copied().unwrap_or(Millis(0))
    }

    /// The person's beacon node makes a block: its payload stays there until it is sent. For a slot at or below its head's,
    /// which a clock that lags may ask for, there is none.
    pub(super) fn make_block(&mut self, person: usize, slot: Slot, randao: Signature) {
        let head = self.chain.block(&self.head_of(person)).map_or(Slot(0), |head| head.slot);
        if self.is_dead(person) || head >= slot {
            return self.soon(person, Input::Block { slot, offer: None });
        }
        let block = self.produce(person, slot, randao);
        let blinded = block.blind(self.spec.preset).expect("a block that was just made");
        self.contents.insert(block.root, (block, BTreeSet::from([person])));
        let offer = Offer::new(blinded, None).ok();
        self.soon(person, Input::Block { slot, offer });
    }

    fn produce(&mut self, person: usize, slot: Slot, randao: Signature) -> ProposedBlock {
        let head = self.head_of(person);
        let me = &self.persons[person];
        let payee = if me.suffers(What::BeaconStray, self.now) { STRANGER } else { FEE_RECIPIENT };
        let mut graffiti = [0; 32];
        graffiti[0] = me.operator.get();
        graffiti[1] = me.side as u8;
        self.chain.produce(&Symbolic, slot, head, randao, Root(graffiti), payee)
    }

    pub(super) fn submit(&mut self, person: usize, ticket: Ticket, submission: Submission) {
        let now = self.now;
        self.persons[person].submissions += 1;
        let picky = self.persons[person].suffers(What::BeaconPicky, now);
        if self.is_dead(person) || (picky && self.persons[person].submissions.is_multiple_of(2)) {
            return self.soon(person, Input::Submitted { ticket, taken: false });
        }
        let kind = match &submission {
            Submission::Attestations(_) => Kind::Attest,
            Submission::SyncMessages(_) => Kind::SyncMessage,
            Submission::Aggregates(list) => match list.first().map(|one| one.aggregate.shape) {
                Some(AggregateShape::Contribution { .. }) => Kind::Contribute,
                Some(AggregateShape::Attestation { .. }) | None => Kind::Aggregate,
            },
            Submission::Exit(_) => Kind::Exit,
            Submission::Block { .. } => Kind::Propose,
        };
        let mut slots = BTreeSet::new();
        let mut taken = true;
        match submission {
            Submission::Attestations(attestations) => {
                for signed in attestations {
                    slots.insert(signed.data.slot);
                    let single = SingleAttestation {
                        committee_index: signed.duty.committee_index,
                        attester_index: signed.duty.validator_index,
                        data: signed.data,
                        signature: signed.signature,
                    };
                    let result = self.chain.attest(&Symbolic, now, &single);
                    taken &= self.judged(person, result);
                }
            }
            Submission::SyncMessages(messages) => {
                for message in &messages {
                    slots.insert(message.slot);
                    let result = self.chain.take_sync_message(&Symbolic, now, message);
                    taken &= self.judged(person, result);
                }
            }
            Submission::Aggregates(aggregates) => {
                for signed in &aggregates {
                    slots.insert(signed.aggregate.slot);
                    let result = self.chain.take_aggregate(&Symbolic, now, signed);
                    taken &= self.judged(person, result);
                }
            }
            Submission::Exit(exit) => {
                slots.insert(self.spec.epoch_start(exit.message.epoch));
                let result = self.chain.take_exit(&Symbolic, now, &exit);
                taken = result == Err(Rejection::Known) || self.judged(person, result);
            }
            Submission::Block { offer, signature } => {
                let (slot, root) = (offer.block().slot, offer.block().root);
                slots.insert(slot);
                // Who holds the payload publishes it; to the others' beacon nodes it comes from there.
                let held = self.contents.get(&root).filter(|(_, holders)| holders.contains(&person));
                taken = match held.map(|(block, _)| block.clone()) {
                    Some(block) => {
                        let result = self.import(&block, &signature);
                        self.judged(person, result)
                    }
                    None => self.chain.block(&root).is_some(),
                };
            }
        }
        for slot in slots {
            self.submits(person, Instance::new(Generation(0), slot, kind));
        }
        self.soon(person, Input::Submitted { ticket, taken });
    }

    fn submits(&mut self, person: usize, instance: Instance) {
        let operator = self.persons[person].operator;
        self.signed.entry((instance, operator)).or_insert(self.now);
        let what = if instance.kind == Kind::Propose { "block" } else { "signature" };
        self.tell(person, || format!("{instance}: submits the {what}"));
    }

    /// The judge sees what a beacon node says to a submission. Gives whether it was taken.
    fn judged(&mut self, person: usize, result: Result<(), Rejection>) -> bool {
        let (author, honest) = (self.persons[person].operator, self.persons[person].honest);
        self.saw(Sight::Submitted { at: self.now, author, honest, result: &result });
        result.is_ok()
    }

    /// A block comes to the chain. One that is there already is as good as taken.
    pub(super) fn import(&mut self, block: &ProposedBlock, signature: &Signature) -> Result<(), Rejection> {
        match self.chain.propose(&Symbolic, self.now, block, signature) {
            Err(Rejection::Known) => return Ok(()),
            result => result?,
        }
        self.arrivals.insert(block.slot, self.now);
        for person in 0..self.persons.len() {
            let at = self.now.after(self.lag_of(person));
            self.push(at, person, Event::Head { slot: block.slot, root: block.root });
        }
        Ok(())
    }
}
