//! Voluntary exits, each approved by every operator that wants it.
//!
//! ```text
//! an operator approves: its client's half -> partial, kept and sent again -> t of them -> signature -> Submit
//! ```
//!
//! Nothing is agreed on: an exit is `(validator, epoch)`, and operators that name another epoch approve another exit. Of
//! each operator the approval with the latest epoch counts, so whoever named an earlier one can follow.
//! An exit cannot be taken back, so nobody but the operator's own client or command makes this node sign one.

use super::tally::Tally;
use super::{Desk, Event, Purpose, SignRequest};
use crate::approve::{ExitApproval, NotApproved};
use crate::journal::{Harmless, Permit};
use crate::node::Setup;
use crate::{
    Answer, Ask, CombineJob, Combined, Ending, Fault, Input, Outcome, Output, Refusal, RequestId, SignJob,
    Submission, Ticket, To,
};
use std::collections::{BTreeMap, BTreeSet};
use types::approval::{Kept, KeptExit, KeptOf, TakenExit};
use types::operations::{SignedVoluntaryExit, VoluntaryExit};
use types::wire::{Instance, Item, Kind, Message, PartialSignature, Partials, Statement, Step};
use types::{Epoch, Root, ShareIndex, Signature, SigningRoot, ValidatorIndex, ValidatorNo};

/// All exits of the cluster.
#[derive(Debug)]
pub(crate) struct Exits {
    tally: Tally<Epoch>,
    /// Indices that the own client has named, while the chain is not heard of them.
    named: BTreeMap<ValidatorNo, ValidatorIndex>,
    /// Exits handed to the beacon nodes.
    submitted: BTreeMap<Ticket, (ValidatorNo, Epoch)>,
    /// The latest exit of each validator that a beacon node has taken.
    taken: BTreeMap<ValidatorNo, Epoch>,
}

impl Exits {
    pub(crate) const fn new(threshold: usize) -> Self {
        Self {
            tally: Tally::new(threshold),
            named: BTreeMap::new(),
            submitted: BTreeMap::new(),
            taken: BTreeMap::new(),
        }
    }

    /// What is approved.
    pub(crate) fn approvals(&self) -> Vec<ExitApproval> {
        let approval = |(validator, epoch, operators, signed)| {
            let taken = self.taken.get(&validator).is_some_and(|taken| epoch <= *taken);
            ExitApproval { validator, epoch, operators, signed: signed || taken, taken }
        };
        self.tally.listed().into_iter().map(approval).collect()
    }

    /// Takes what the disk remembers.
    pub(crate) fn recall(&mut self, kept: KeptOf<KeptExit>) {
        for KeptExit { validator, epoch, partial } in kept.approvals {
            self.tally.add(kept.operator, validator, epoch, partial);
        }
    }

    /// Takes what the disk remembers of exits that are over.
    pub(crate) fn recall_taken(&mut self, taken: Vec<TakenExit>) {
        self.taken.extend(taken.into_iter().map(|one| (one.validator, one.epoch)));
    }

    /// Takes one event. `known`: indices of validators, as the chain tells them.
    pub(crate) fn handle(
        &mut self,
        desk: &mut Desk<'_>,
        known: &BTreeMap<ValidatorNo, ValidatorIndex>,
        event: Event,
    ) {
        match event {
            Event::Reconnected(peer) => self.resend(desk, peer),
            Event::Input(Input::Peer(verified)) => {
                let from = verified.sender();
                if let Message::Partial(partials) = verified.into_message() {
                    self.partials(desk, known, from, &partials);
                }
            }
            Event::Input(Input::Ask { request, ask: Ask::Exit { validator, index, epoch, half } }) => {
                let exit = VoluntaryExit { epoch, validator_index: index };
                self.ask(desk, known, request, (validator, exit, half));
            }
            Event::Result(instance, purpose, input) => self.result(desk, known, instance, purpose, input),
            Event::Tick => {
                self.submit_again(desk, known);
                self.combine(desk, known, self.tally.validators());
            }
            Event::Presence | Event::Board | Event::Stopped | Event::Input(_) => {}
        }
    }

    fn index(
        &self,
        known: &BTreeMap<ValidatorNo, ValidatorIndex>,
        validator: ValidatorNo,
    ) -> Option<ValidatorIndex> {
        known.get(&validator).or_else(|| self.named.get(&validator)).copied()
    }

    /// Takes an operator's approvals, this one's included.
    fn partials(
        &mut self,
        desk: &mut Desk<'_>,
        known: &BTreeMap<ValidatorNo, ValidatorIndex>,
        from: ShareIndex,
        message: &Partials,
    ) {
        let slot = message.signed.statement.instance.slot;
        let epoch = desk.setup.spec.epoch_of(slot);
        if desk.setup.spec.epoch_start(epoch) != slot {
            return;
        }
        let ours = |partial: &&PartialSignature| {
            partial.item.part == 0 && (partial.item.validator.0 as usize) < desk.setup.validators.len()
        };
        let mut fresh = Vec::new();
        for PartialSignature { item, signature } in message.partials.iter().filter(ours) {
            if self.tally.add(from, item.validator, epoch, *signature) {
                fresh.push(item.validator);
            }
        }
        if fresh.is_empty() {
            return;
        }
        let rows = self.tally.of(from);
        let approvals = rows.map(|(validator, epoch, partial)| KeptExit { validator, epoch, partial });
        let generation = desk.setup.generation;
        let kept = KeptOf { generation, operator: from, approvals: approvals.collect() };
        desk.wish(Output::Keep(Kept::Exits(kept)));
        self.combine(desk, known, fresh);
    }

    fn ask(
        &mut self,
        desk: &mut Desk<'_>,
        known: &BTreeMap<ValidatorNo, ValidatorIndex>,
        request: RequestId,
        (validator, exit, half): (ValidatorNo, VoluntaryExit, Signature),
    ) {
        let named = exit.validator_index;
        if let Some(index) = self.index(known, validator).filter(|index| *index != named) {
            return desk.refuse(request, Refusal::WrongIndex { validator, known: index, named });
        }
        match self.tally.topic(desk.setup.me, validator) {
            Some(approved) if approved > exit.epoch => {
                let refusal = NotApproved::LaterExit { validator, approved };
                return desk.refuse(request, Refusal::NotApproved(refusal));
            }
            Some(approved) if approved == exit.epoch => {
                return desk.wish(Output::Reply { request, answer: Answer::Accepted });
            }
            Some(_) | None => {}
        }
        self.named.insert(validator, named);
        let permit = Permit::harmless(&desk.setup.spec, validator, Harmless::Exit(exit));
        let items = vec![Item::of(validator)];
        let request = SignRequest { positions: vec![0], ..SignRequest::of(request) };
        let ticket = desk.tickets.issue(instance(desk.setup, exit.epoch), Purpose::Sign { items, request });
        desk.wish(Output::Sign { ticket, jobs: vec![SignJob { permit, half }] });
    }

    fn result(
        &mut self,
        desk: &mut Desk<'_>,
        known: &BTreeMap<ValidatorNo, ValidatorIndex>,
        instance: Instance,
        purpose: Purpose,
        input: Input,
    ) {
        let epoch = desk.setup.spec.epoch_of(instance.slot);
        match (purpose, input) {
            (Purpose::Sign { items, request }, Input::Signed { results, .. }) => {
                Self::signed(desk, instance, &items, request, results);
            }
            (Purpose::Combine { items, .. }, Input::Combined { results, .. }) => {
                self.combined(desk, known, epoch, &items, &results);
            }
            (Purpose::Submit, Input::Submitted { ticket, taken }) => {
                if let Some((validator, epoch)) = self.submitted.remove(&ticket) {
                    self.was_submitted(desk, validator, epoch, taken);
                }
            }
            _ => {}
        }
    }

    /// The half was completed: everybody is told.
    fn signed(
        desk: &mut Desk<'_>,
        instance: Instance,
        items: &[Item],
        mut request: SignRequest,
        results: Vec<Result<Signature, Permit>>,
    ) {
        let mut partials = Vec::new();
        let positions = std::mem::take(&mut request.positions);
        for ((&item, position), result) in items.iter().zip(positions).zip(results) {
            match result {
                Ok(signature) => partials.push(PartialSignature { item, signature }),
                Err(_) => request.refused.push((position, Refusal::BadHalf(item.validator))),
            }
        }
        if !partials.is_empty() {
            let message = partial_message(desk.setup, instance, Root::ZERO, partials);
            desk.wish(Output::Send { to: To::All, message });
        }
        desk.answer(request);
    }

    fn combine(
        &mut self,
        desk: &mut Desk<'_>,
        known: &BTreeMap<ValidatorNo, ValidatorIndex>,
        validators: Vec<ValidatorNo>,
    ) {
        let open = |validator: &ValidatorNo| {
            let taken = self.taken.get(validator).copied();
            Some((*validator, (self.index(known, *validator)?, taken)))
        };
        let open: BTreeMap<_, _> = validators.iter().filter_map(open).collect();
        let root = |validator: ValidatorNo, epoch: Epoch| {
            let &(validator_index, taken) = open.get(&validator)?;
            let exit = VoluntaryExit { epoch, validator_index };
            (Some(epoch) > taken).then(|| SigningRoot::voluntary_exit(&desk.setup.spec, &exit))
        };
        let mut by_epoch: BTreeMap<Epoch, Vec<CombineJob>> = BTreeMap::new();
        for (epoch, job) in self.tally.ready(validators, root) {
            by_epoch.entry(epoch).or_default().push(job);
        }
        for (epoch, jobs) in by_epoch {
            let items = jobs.iter().map(|job| Item::of(job.validator)).collect();
            let purpose = Purpose::Combine { items, hash: Root::ZERO };
            let ticket = desk.tickets.issue(instance(desk.setup, epoch), purpose);
            desk.wish(Output::Combine { ticket, jobs });
        }
    }

    fn combined(
        &mut self,
        desk: &mut Desk<'_>,
        known: &BTreeMap<ValidatorNo, ValidatorIndex>,
        epoch: Epoch,
        items: &[Item],
        results: &[Combined],
    ) {
        let instance = instance(desk.setup, epoch);
        for (item, result) in items.iter().zip(results) {
            for peer in &result.culprits {
                let fault = Fault::BadPartial(item.validator);
                desk.wish(Output::Fault { peer: *peer, instance, fault });
            }
            if self.tally.combined(item.validator, epoch, result).is_some() {
                self.submit(desk, known, item.validator);
            }
        }
        self.combine(desk, known, items.iter().map(|item| item.validator).collect());
    }

    fn submit(
        &mut self,
        desk: &mut Desk<'_>,
        known: &BTreeMap<ValidatorNo, ValidatorIndex>,
        validator: ValidatorNo,
    ) {
        let Some(validator_index) = self.index(known, validator) else { return };
        let Some((epoch, signature)) = self.tally.signed(validator) else { return };
        let message = VoluntaryExit { epoch, validator_index };
        let ticket = desk.tickets.issue(instance(desk.setup, epoch), Purpose::Submit);
        self.submitted.insert(ticket, (validator, epoch));
        let submission = Submission::Exit(SignedVoluntaryExit { message, signature });
        desk.wish(Output::Submit { ticket, submission });
    }

    /// Hands in again what no beacon node has taken yet.
    fn submit_again(&mut self, desk: &mut Desk<'_>, known: &BTreeMap<ValidatorNo, ValidatorIndex>) {
        let under_way: BTreeSet<_> = self.submitted.values().map(|(validator, _)| *validator).collect();
        let waiting = self.tally.validators().into_iter().filter(|validator| {
            let signed = self.tally.signed(*validator).map(|(epoch, _)| epoch);
            signed > self.taken.get(validator).copied() && !under_way.contains(validator)
        });
        for validator in waiting.collect::<Vec<_>>() {
            self.submit(desk, known, validator);
        }
    }

    /// One exit is one duty.
    fn was_submitted(&mut self, desk: &mut Desk<'_>, validator: ValidatorNo, epoch: Epoch, taken: bool) {
        let instance = instance(desk.setup, epoch);
        let ending = if taken { Ending::Done } else { Ending::NotTaken };
        let outcome = Outcome { instance, due: 1, done: 1, latency_ms: None, round: None, ending };
        desk.wish(Output::Outcome(outcome));
        if taken {
            self.taken.insert(validator, epoch);
            let all = self.taken.iter().map(|(&validator, &epoch)| TakenExit { validator, epoch });
            desk.wish(Output::Keep(Kept::Taken(all.collect())));
        }
    }

    /// All own approvals, for an operator who may not have heard them.
    fn resend(&self, desk: &mut Desk<'_>, to: ShareIndex) {
        let mut by_epoch: BTreeMap<Epoch, Vec<PartialSignature>> = BTreeMap::new();
        for (validator, epoch, signature) in self.tally.of(desk.setup.me) {
            let item = Item::of(validator);
            by_epoch.entry(epoch).or_default().push(PartialSignature { item, signature });
        }
        for (epoch, partials) in by_epoch {
            let message = partial_message(desk.setup, instance(desk.setup, epoch), Root::ZERO, partials);
            desk.wish(Output::Send { to: To::One(to), message });
        }
    }
}

/// An epoch's first slot names its exits.
fn instance(setup: &Setup, epoch: Epoch) -> Instance {
    Instance::new(setup.generation, setup.spec.epoch_start(epoch), Kind::Exit)
}

/// `PARTIAL` with own partials, in order of their items.
pub(crate) fn partial_message(
    setup: &Setup,
    instance: Instance,
    hash: Root,
    partials: Vec<PartialSignature>,
) -> Message {
    let extra = Partials::extra(&partials);
    let statement = Statement { instance, step: Step::Partial, round: 0, hash, extra };
    Message::Partial(Partials { signed: statement.unsigned(setup.me), partials })
}
