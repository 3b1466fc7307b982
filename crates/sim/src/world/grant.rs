//! What nodes wish for is granted: by beacon nodes, peers, the disk and the curve.

use super::{Event, World};
use crate::curve::{Curve as _, Symbolic};
use crate::fault::{Step, What};
use crate::judges::{Alarm, Sight};
use crate::setup::Flaw;
use symbolon_core::journal::Row;
use symbolon_core::{Answer, CombineJob, Combined, Fault, Input, Output, SignJob, Ticket};
use types::wire::Message;
use types::{Millis, ShareIndex, Signature};

/// How long a slow disk takes for a write: longer than a round.
const DISK_SLOW: Millis = Millis(1_500);

/// The step of a duty that a wish is, if it is one.
fn step_of(output: &Output) -> Option<Step> {
    match output {
        Output::FetchVote { .. } | Output::FetchBlock { .. } | Output::FetchAggregates { .. } => {
            Some(Step::Fetch)
        }
        Output::Send { message, .. } => match message {
            Message::Proposal(_) => Some(Step::Propose),
            Message::Vote(_) => Some(Step::Vote),
            Message::Commit(_) => Some(Step::Commit),
            Message::Partial(_) => Some(Step::Partial),
            Message::Cert(_)
            | Message::Decided(_)
            | Message::NewRound(_)
            | Message::Fetch(_)
            | Message::Value(_)
            | Message::Contents(_)
            | Message::Challenge(_)
            | Message::Boot(_)
            | Message::Overlap(_)
            | Message::Held(_)
            | Message::FetchContents(_) => None,
        },
        Output::Journal { .. } => Some(Step::Journal),
        Output::Reply { answer, .. } => match answer {
            Answer::Vote(_)
            | Answer::Block(_)
            | Answer::HeadRoot(_)
            | Answer::Selections(_)
            | Answer::Aggregate(_) => Some(Step::Answer),
            Answer::Approvals(_) | Answer::Accepted | Answer::PartlyRefused(_) | Answer::Refused(_) => None,
        },
        Output::Sign { .. } => Some(Step::Sign),
        Output::Combine { .. } => Some(Step::Combine),
        Output::Submit { .. } => Some(Step::Submit),
        Output::FetchDuties { .. }
        | Output::Subscribe { .. }
        | Output::SendContents { .. }
        | Output::FetchHeader { .. }
        | Output::VerifyGroup { .. }
        | Output::Evidence { .. }
        | Output::Fault { .. }
        | Output::Outcome(_)
        | Output::Closed(_)
        | Output::FetchLiveness { .. }
        | Output::Doppelgangers { .. }
        | Output::SecondInstance { .. }
        | Output::TwoProcesses { .. }
        | Output::RolledBack { .. }
        | Output::Keep(_) => None,
    }
}

impl World {
    /// Grants a wish, if what strikes at this step leaves anybody to grant it to.
    pub(super) fn grant(&mut self, person: usize, output: Output) {
        if let Some(step) = step_of(&output) {
            self.reach(person, step);
        }
        if self.persons[person].node.is_some() {
            self.granted(person, output);
        }
    }

    fn granted(&mut self, person: usize, output: Output) {
        match output {
            Output::FetchDuties { epoch } => self.fetch_duties(person, epoch),
            Output::FetchVote { slot } => self.fetch_vote(person, slot),
            Output::FetchBlock { slot, randao } => self.make_block(person, slot, randao),
            Output::SendContents { to, instance, root } => {
                self.send_contents(person, to, instance.slot, root)
            }
            Output::FetchAggregates { kind, slot, wanted } => {
                let pooled = |wanted| self.pooled(person, kind, slot, wanted);
                let aggregates = wanted.into_iter().filter_map(pooled).collect();
                self.soon(person, Input::Aggregates { kind, slot, aggregates });
            }
            // What approvals leave on a disk is not given back after a restart here: other operators say it again.
            Output::Subscribe { .. } | Output::Closed(_) | Output::Keep(_) => {}
            Output::FetchHeader { root } => {
                let known = self.chain.block(&root).is_some() && !self.is_dead(person);
                self.soon(person, Input::Header { root, known });
            }
            Output::Send { to, message } => self.send(person, to, message),
            Output::Journal { ticket, rows } => self.write(person, ticket, rows),
            Output::Sign { ticket, jobs } => {
                let operator = self.persons[person].operator;
                let results = jobs.into_iter().map(|job| complete(operator, job)).collect();
                self.soon(person, Input::Signed { ticket, results });
            }
            Output::Combine { ticket, jobs } => {
                let blind = self.setup.has(Flaw::CombinesBlindly);
                let threshold = self.setup.size.threshold();
                let results = jobs.iter().map(|job| combine(threshold, blind, job)).collect();
                self.soon(person, Input::Combined { ticket, results });
            }
            Output::VerifyGroup { ticket, key, root, signature } => {
                let valid = Symbolic.verify(&key, &root, &signature);
                self.soon(person, Input::GroupVerified { ticket, valid });
            }
            Output::Submit { ticket, submission } => self.submit(person, ticket, submission),
            Output::Reply { request, answer } => self.reply(person, request, &answer),
            Output::Evidence { author: peer, first, second } => {
                *self.evidence.entry(peer).or_default() += 1;
                self.tell(person, || format!("has evidence against #{peer}"));
                let blameless = self.is_honest(peer);
                self.alarmed(person, Alarm::Evidence { peer, blameless, first: &first, second: &second });
            }
            Output::Fault { peer, fault, .. } => self.blame(person, peer, fault),
            Output::FetchLiveness { epoch } => {
                let live = (!self.is_dead(person)).then(|| self.chain.live(epoch, self.setup.validators));
                self.soon(person, Input::Liveness { epoch, live });
            }
            Output::Doppelgangers { epoch, validators } => {
                self.alarmed(person, Alarm::Doppelgangers(&validators));
                self.false_alarms.push((self.persons[person].operator, epoch, validators));
            }
            Output::SecondInstance { .. } => self.second_instance(person),
            Output::TwoProcesses { peer, .. } => {
                let blameless = self.is_honest(peer);
                self.alarmed(person, Alarm::TwoProcesses { peer, blameless });
            }
            Output::RolledBack { shown_by, until, .. } => {
                self.tell(person, || {
                    format!("is shown by #{shown_by} that its journal is too old: silent up to {until}")
                });
                self.alarmed(person, Alarm::RolledBack);
            }
            Output::Outcome(outcome) => {
                assert!(!self.setup.has(Flaw::Panics), "a duty has ended, and a test wants a panic");
                let who = self.persons[person].operator;
                self.tell(person, || format!("{}: {:?}", outcome.instance, outcome.ending));
                self.outcomes.push((who, outcome));
            }
        }
    }

    /// A node tells its operator that something is wrong.
    pub(super) fn alarmed(&mut self, person: usize, alarm: Alarm<'_>) {
        let (author, honest) = (self.persons[person].operator, self.persons[person].honest);
        self.saw(Sight::Alarmed { at: self.now, author, honest, alarm });
    }

    /// A node reports a peer's mistake.
    fn blame(&mut self, person: usize, peer: ShareIndex, fault: Fault) {
        self.tell(person, || format!("blames #{peer}: {fault:?}"));
        // Whose beacon node was astray has put its values forward.
        let astray = |what| matches!(what, What::BeaconStray | What::BeaconFork);
        let misled = self.struck.iter().any(|(one, _)| one.who == peer && astray(one.what));
        let blameless = self.is_honest(peer) && !(misled && fault == Fault::BadValue);
        self.alarmed(person, Alarm::Fault { peer, blameless, fault });
    }

    /// Whether an operator follows the protocol, with one process.
    fn is_honest(&self, operator: ShareIndex) -> bool {
        self.persons.iter().all(|person| person.operator != operator || person.honest)
    }

    fn write(&mut self, person: usize, ticket: Ticket, rows: Vec<Row>) {
        self.persons[person].disk.write(ticket, rows);
        let slow = self.persons[person].suffers(What::DiskSlow, self.now);
        let takes = if slow { DISK_SLOW } else { self.setup.sync };
        let life = self.persons[person].life;
        self.push(self.now.after(takes), person, Event::Synced { life, ticket });
        if self.setup.has(Flaw::AcksBeforeSync) {
            self.soon(person, Input::Journaled { ticket, durable: true });
        }
    }

    /// A write is on the disk, or has failed.
    pub(super) fn synced(&mut self, person: usize, ticket: Ticket) {
        if self.persons[person].suffers(What::DiskFails, self.now) {
            self.persons[person].disk.fail(ticket);
            return self.input(person, Input::Journaled { ticket, durable: false });
        }
        let Some(rows) = self.persons[person].disk.sync(ticket) else { return };
        self.durable(person, &rows);
        self.reach(person, Step::Synced);
        if !self.setup.has(Flaw::AcksBeforeSync) {
            self.input(person, Input::Journaled { ticket, durable: true });
        }
    }

    /// Rows are on a disk.
    pub(super) fn durable(&mut self, person: usize, rows: &[Row]) {
        let (operator, honest) = (self.persons[person].operator, self.persons[person].honest);
        if honest && !rows.is_empty() {
            self.saw(Sight::Durable { at: self.now, operator, rows });
        }
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

/// `blind`: the first partials are taken as they are, as by a combiner that does not check what comes out.
fn combine(threshold: usize, blind: bool, job: &CombineJob) -> Combined {
    let good = |(index, signature): &&(ShareIndex, Signature)| {
        Symbolic.verify(&Symbolic.share_key(job.validator, *index), &job.root, signature)
    };
    let count = job.partials.iter().filter(good).count();
    let culprits = job.partials.iter().filter(|partial| !good(partial)).map(|(index, _)| *index).collect();
    let key = Symbolic.group_key(job.validator);
    if blind {
        let sound = job.partials.iter().take(threshold).all(|partial| good(&partial));
        let signature = if sound { Symbolic.sign(&key, &job.root) } else { Signature([0xbb; 96]) };
        return Combined { signature: Some(signature), culprits: Vec::new() };
    }
    Combined { signature: (count >= threshold).then(|| Symbolic.sign(&key, &job.root)), culprits }
}
