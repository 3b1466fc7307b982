//! What nodes wish for is granted: by the chain, the network, the disk and the curve.

use super::words::describe;
use super::{CLUSTER, Event, FEE_RECIPIENT, World};
use crate::chain::Rejection;
use crate::curve::{Curve as _, Symbolic};
use crate::judges::Sight;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use symbolon_core::{CombineJob, Combined, Input, Output, SignJob, Submission, Ticket, To};
use types::aggregate::{Aggregate, AggregateShape};
use types::attestation::SingleAttestation;
use types::block::ProposedBlock;
use types::offer::Offer;
use types::wire::{self, Instance, Kind, Message, Verified};
use types::{Generation, Machine as _, Millis, Root, ShareIndex, Signature, Slot};

impl World {
    pub(super) fn grant(&mut self, person: usize, output: Output) {
        match output {
            Output::FetchDuties { epoch } => {
                let roster = self.roster();
                let attesters = Some(roster.epoch_attesters(epoch));
                let proposers = Some(self.chain.proposers(epoch));
                let sync = Some(roster.epoch_members(epoch));
                self.soon(person, Input::Duties { epoch, attesters, proposers, sync });
            }
            Output::FetchVote { slot } => {
                let head = self.head_of(person);
                let votes = vec![self.chain.vote(slot, head)];
                self.soon(person, Input::BeaconVote { slot, votes });
            }
            Output::FetchBlock { slot, randao } => self.make_block(person, slot, randao),
            Output::SendContents { instance, root } => self.send_contents(person, instance.slot, root),
            Output::FetchAggregates { kind, slot, wanted } => {
                let pooled = |wanted| self.pooled(person, kind, slot, wanted);
                let aggregates = wanted.into_iter().filter_map(pooled).collect();
                self.soon(person, Input::Aggregates { kind, slot, aggregates });
            }
            // What approvals leave on a disk is not given back after a restart here: other operators say it again.
            Output::Subscribe { .. } | Output::Closed(_) | Output::Keep(_) => {}
            Output::FetchHeader { root } => {
                let known = self.chain.block(&root).is_some();
                self.soon(person, Input::Header { root, known });
            }
            Output::Send { to, message } => self.send(person, to, message),
            Output::Journal { ticket, rows } => {
                self.persons[person].disk.write(ticket, rows);
                let life = self.persons[person].life;
                self.push(self.now.after(self.setup.sync), person, Event::Synced { life, ticket });
            }
            Output::Sign { ticket, jobs } => {
                let operator = self.persons[person].operator;
                let results = jobs.into_iter().map(|job| complete(operator, job)).collect();
                self.soon(person, Input::Signed { ticket, results });
            }
            Output::Combine { ticket, jobs } => {
                let results = jobs.iter().map(|job| combine(self.setup.size.threshold(), job)).collect();
                self.soon(person, Input::Combined { ticket, results });
            }
            Output::VerifyGroup { ticket, key, root, signature } => {
                let valid = Symbolic.verify(&key, &root, &signature);
                self.soon(person, Input::GroupVerified { ticket, valid });
            }
            Output::Submit { ticket, submission } => self.submit(person, ticket, submission),
            Output::Reply { request, answer } => self.reply(person, request, &answer),
            Output::Evidence { author, .. } => {
                *self.evidence.entry(author).or_default() += 1;
                self.tell(person, || format!("has evidence against #{author}"));
            }
            Output::Fault { peer, fault, .. } => self.tell(person, || format!("blames #{peer}: {fault:?}")),
            Output::FetchLiveness { epoch } => {
                let live = Some(self.chain.live(epoch, self.setup.validators));
                self.soon(person, Input::Liveness { epoch, live });
            }
            Output::Doppelgangers { epoch, validators } => {
                self.false_alarms.push((self.persons[person].operator, epoch, validators));
            }
            // No process in the jar draws an id, so none is asked for it.
            Output::SecondInstance { .. } | Output::TwoProcesses { .. } => {}
            Output::RolledBack { shown_by, until, .. } => {
                self.tell(person, || {
                    format!("is shown by #{shown_by} that its journal is too old: silent up to {until}")
                });
            }
            Output::Outcome(outcome) => {
                let who = self.persons[person].operator;
                self.tell(person, || format!("{}: {:?}", outcome.instance, outcome.ending));
                self.outcomes.push((who, outcome));
            }
        }
    }

    /// The aggregate that a person's beacon node makes: its pool lags behind as its head does.
    pub(super) fn pooled(
        &self,
        person: usize,
        kind: Kind,
        slot: Slot,
        (place, subject): (u64, Root),
    ) -> Option<Aggregate> {
        let seen = self.now.since(self.persons[person].head_delay);
        if kind == Kind::Contribute {
            return self.chain.contribution(&Symbolic, (slot, place), subject, seen);
        }
        self.chain.aggregate(&Symbolic, slot, subject, seen)
    }

    /// The branch that a person's beacon node knows: blocks that are older than its delay.
    pub(super) fn head_of(&self, person: usize) -> Root {
        let delay = self.persons[person].head_delay;
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

    fn imported_at(&self, slot: Slot) -> Millis {
        self.arrivals.get(&slot).copied().unwrap_or(Millis(0))
    }

    /// The person's beacon node makes a block: its payload stays there until it is sent.
    fn make_block(&mut self, person: usize, slot: Slot, randao: Signature) {
        let block = self.produce(person, slot, randao);
        let blinded = block.blind(self.spec.preset).expect("a block that was just made");
        self.contents.insert(block.root, (block, BTreeSet::from([person])));
        let offer = Offer::new(blinded, None).ok();
        self.soon(person, Input::Block { slot, offer });
    }

    /// The payload of an own block goes to everybody, behind all messages.
    fn send_contents(&mut self, person: usize, slot: Slot, root: Root) {
        for other in self.audience(person) {
            let at = self.network.arrival(self.now, person, other);
            self.push(at, other, Event::Contents { slot, root });
        }
    }

    /// The payload of another operator's block is there.
    pub(super) fn hold(&mut self, person: usize, slot: Slot, root: Root) {
        if let Some((_, holders)) = self.contents.get_mut(&root) {
            holders.insert(person);
        }
        self.input(person, Input::Contents { slot, root });
    }

    fn produce(&mut self, person: usize, slot: Slot, randao: Signature) -> ProposedBlock {
        let head = self.head_of(person);
        let me = &self.persons[person];
        let mut graffiti = [0; 32];
        graffiti[0] = me.operator.get();
        graffiti[1] = me.side as u8;
        self.chain.produce(&Symbolic, slot, head, randao, Root(graffiti), FEE_RECIPIENT)
    }

    pub(super) fn send(&mut self, person: usize, to: To, message: Message) {
        let me = &self.persons[person];
        let (operator, honest) = (me.operator, me.honest);
        let sealed = wire::seal(message, &CLUSTER, &me.key());
        let sight = Sight::Sent { at: self.now, author: operator, honest, message: sealed.message() };
        self.slashable.see(sight);
        self.journal.see(sight);
        self.exits.see(sight);
        let frame = sealed.message().to_frame();
        self.trace.update(Sha256::digest(&frame));
        self.tell(person, || describe(sealed.message(), to));
        for other in self.audience(person) {
            if to == To::All || to == To::One(self.persons[other].operator) {
                let arrival = self.network.arrival(self.now, person, other);
                self.push(arrival, other, Event::Frame { from: person, frame: frame.clone() });
            }
        }
        if to == To::All {
            self.hear(person, sealed);
        }
    }

    /// Own messages come back at once, before anything else happens to the machine.
    fn hear(&mut self, person: usize, message: Verified) {
        let now = self.now;
        if let Some(node) = self.persons[person].node.as_mut() {
            node.handle(now, Input::Peer(message));
        }
    }

    pub(super) fn frame(&mut self, person: usize, from: usize, frame: &[u8]) {
        let sender = self.persons[from].operator;
        let Some(node) = self.persons[person].node.as_ref() else { return };
        let message = wire::decode(frame).expect("nodes in the jar speak the wire's language");
        if !node.wants(&message) {
            return;
        }
        let key = self.persons[person].key();
        let verified = wire::verify(message, sender, self.setup.size, &CLUSTER, &key);
        let verified = verified.expect("nodes in the jar sign what they send");
        self.input(person, Input::Peer(verified));
    }

    pub(super) fn synced(&mut self, person: usize, ticket: Ticket) {
        let Some(rows) = self.persons[person].disk.sync(ticket) else { return };
        if self.persons[person].honest {
            let operator = self.persons[person].operator;
            self.journal.see(Sight::Durable { at: self.now, operator, rows: &rows });
        }
        self.input(person, Input::Journaled { ticket, durable: true });
    }

    fn submit(&mut self, person: usize, ticket: Ticket, submission: Submission) {
        let now = self.now;
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
                    taken &= self.chain.attest(&Symbolic, now, &single).is_ok();
                }
            }
            Submission::SyncMessages(messages) => {
                for message in &messages {
                    slots.insert(message.slot);
                    taken &= self.chain.take_sync_message(&Symbolic, now, message).is_ok();
                }
            }
            Submission::Aggregates(aggregates) => {
                for signed in &aggregates {
                    slots.insert(signed.aggregate.slot);
                    taken &= self.chain.take_aggregate(&Symbolic, now, signed).is_ok();
                }
            }
            Submission::Exit(exit) => {
                slots.insert(self.spec.epoch_start(exit.message.epoch));
                let result = self.chain.take_exit(&Symbolic, now, &exit);
                taken = matches!(result, Ok(()) | Err(Rejection::Known));
            }
            Submission::Block { offer, signature } => {
                let (slot, root) = (offer.block().slot, offer.block().root);
                slots.insert(slot);
                // Who holds the payload publishes it; to the others' beacon nodes it comes from there.
                let held = self.contents.get(&root).filter(|(_, holders)| holders.contains(&person));
                taken = match held.map(|(block, _)| block.clone()) {
                    Some(block) => self.import(&block, &signature),
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

    pub(super) fn import(&mut self, block: &ProposedBlock, signature: &Signature) -> bool {
        match self.chain.propose(&Symbolic, self.now, block, signature) {
            Ok(()) => {}
            Err(Rejection::Known) => return true,
            Err(_) => return false,
        }
        self.arrivals.insert(block.slot, self.now);
        for person in 0..self.persons.len() {
            let at = self.now.after(self.persons[person].head_delay);
            self.push(at, person, Event::Head { slot: block.slot, root: block.root });
        }
        true
    }
}

fn complete(operator: ShareIndex, job: SignJob) -> Result<Signature, symbolon_core::journal::Permit> {
    let SignJob { permit, half } = job;
    let validator = permit.validator();
    if !Symbolic.verify(&Symbolic.half_key(validator, operator), &permit.root(), &half) {
        return Err(permit);
    }
    Ok(Symbolic.sign(&Symbolic.share_key(validator, operator), &permit.root()))
}

fn combine(threshold: usize, job: &CombineJob) -> Combined {
    let good = |(index, signature): &&(ShareIndex, Signature)| {
        Symbolic.verify(&Symbolic.share_key(job.validator, *index), &job.root, signature)
    };
    let count = job.partials.iter().filter(good).count();
    let culprits = job.partials.iter().filter(|partial| !good(partial)).map(|(index, _)| *index).collect();
    let key = Symbolic.group_key(job.validator);
    Combined { signature: (count >= threshold).then(|| Symbolic.sign(&key, &job.root)), culprits }
}
