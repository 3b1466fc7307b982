//! Guard, journal, sign, send, collect: the order that every signature passes through.
//!
//! ```text
//! decide(candidates) -> Output::Journal -> journaled() -> [open] -> halves() -> Output::Sign -> signed()
//!      -> Output::Send(PARTIAL) -> partials() of everybody -> Output::Combine -> combined() -> signatures
//! ```
//!
//! A half that comes before the rows are durable finds no permit and is refused; no permit is used twice.

use super::{Desk, Purpose, SignRequest};
use crate::collect::Collect;
use crate::guard::Rule;
use crate::journal::{Candidate, Permit};
use crate::{Answer, Combined, Fault, Output, Refusal, SignJob, Ticket, To};
use std::collections::{BTreeMap, BTreeSet};
use types::wire::{Instance, Message, PartialSignature, Partials, Signed, Statement, Step};
use types::{Root, ShareIndex, Signature, SigningRoot, ValidatorNo};

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing agreed yet.
    Waiting,
    /// Rows are on their way to the disk.
    Journaling,
    /// Halves are welcome.
    Open,
    /// The journal could not be written: nothing is signed.
    Failed,
}

/// What an operator has sent of partials.
#[derive(Debug)]
struct Sender {
    signed: Signed,
    partials: BTreeMap<ValidatorNo, Signature>,
}

/// The signatures of one instance.
#[derive(Debug)]
pub(crate) struct Signing {
    instance: Instance,
    stage: Stage,
    hash: Option<Root>,
    permits: BTreeMap<ValidatorNo, Permit>,
    refused: BTreeMap<ValidatorNo, Rule>,
    /// Validators whose half is being completed.
    busy: BTreeSet<ValidatorNo>,
    own: BTreeMap<ValidatorNo, Signature>,
    senders: BTreeMap<ShareIndex, Sender>,
    collect: Collect,
}

impl Signing {
    /// For the validators due in an instance.
    pub(crate) fn new(
        instance: Instance,
        threshold: usize,
        due: impl IntoIterator<Item = ValidatorNo>,
    ) -> Self {
        Self {
            instance,
            stage: Stage::Waiting,
            hash: None,
            permits: BTreeMap::new(),
            refused: BTreeMap::new(),
            busy: BTreeSet::new(),
            own: BTreeMap::new(),
            senders: BTreeMap::new(),
            collect: Collect::new(threshold, due),
        }
    }

    /// What was agreed is promised: guard, then journal. Called once.
    pub(crate) fn decide(&mut self, desk: &mut Desk<'_>, hash: Root, candidates: &[Candidate]) {
        self.adopt(hash, candidates.iter().map(|candidate| (candidate.validator, candidate.root)));
        let ticket = desk.tickets.issue(self.instance, Purpose::Journal);
        let promised = desk.journal.promise(ticket, candidates);
        self.refused.extend(promised.refused);
        self.stage = Stage::Journaling;
        desk.wish(Output::Journal { ticket, rows: promised.rows });
        self.combine(desk);
    }

    /// What everybody can compute, and nobody can be slashed for, needs no journal.
    pub(crate) fn decide_harmless(&mut self, desk: &mut Desk<'_>, permit: Permit) {
        self.adopt(Root::ZERO, [(permit.validator(), permit.root())]);
        self.permits.insert(permit.validator(), permit);
        self.stage = Stage::Open;
        self.combine(desk);
    }

    /// Tells collect what the partials for `hash` are over; those of other hashes no longer count.
    pub(crate) fn adopt(&mut self, hash: Root, roots: impl IntoIterator<Item = (ValidatorNo, SigningRoot)>) {
        if self.hash == Some(hash) {
            return;
        }
        self.hash = Some(hash);
        for (validator, root) in roots {
            self.collect.set_root(validator, root);
        }
        for (from, sender) in &self.senders {
            if sender.signed.statement.hash == hash {
                self.collect.add(*from, &listed(&sender.partials));
            }
        }
    }

    /// The disk has answered.
    pub(crate) fn journaled(&mut self, desk: &mut Desk<'_>, ticket: Ticket, durable: bool) {
        let permits = desk.journal.settle(ticket, durable);
        self.permits.extend(permits.into_iter().map(|permit| (permit.validator(), permit)));
        self.stage = if durable { Stage::Open } else { Stage::Failed };
    }

    /// Whether halves are welcome: agreed, guarded and durable.
    pub(crate) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether the journal could not be written.
    pub(crate) fn has_failed(&self) -> bool {
        self.stage == Stage::Failed
    }

    /// The rule that forbids a validator's signature, if the guard found one.
    pub(crate) fn refusal(&self, validator: ValidatorNo) -> Option<Refusal> {
        self.refused.get(&validator).map(|rule| Refusal::Slashable(*rule))
    }

    /// Whether the guard refused every validator due.
    pub(crate) fn all_refused(&self) -> bool {
        self.refused.len() == self.collect.due()
    }

    /// Takes halves that match what was agreed. `refused` and positions are of the client's request.
    pub(crate) fn halves(
        &mut self,
        desk: &mut Desk<'_>,
        mut request: SignRequest,
        halves: Vec<(usize, ValidatorNo, Signature)>,
    ) {
        let mut validators = Vec::new();
        let mut jobs = Vec::new();
        for (position, validator, half) in halves {
            match self.take_permit(validator) {
                Ok(Some(permit)) => {
                    self.busy.insert(validator);
                    validators.push(validator);
                    request.positions.push(position);
                    jobs.push(SignJob { permit, half });
                }
                Ok(None) => {}
                Err(refusal) => request.refused.push((position, refusal)),
            }
        }
        if jobs.is_empty() {
            return answer(desk, request);
        }
        let ticket = desk.tickets.issue(self.instance, Purpose::Sign { validators, request });
        desk.wish(Output::Sign { ticket, jobs });
    }

    /// A permit; `None` if this validator was signed already and its half comes again.
    fn take_permit(&mut self, validator: ValidatorNo) -> Result<Option<Permit>, Refusal> {
        if self.stage == Stage::Failed {
            return Err(Refusal::JournalFailed);
        }
        if let Some(refusal) = self.refusal(validator) {
            return Err(refusal);
        }
        if let Some(permit) = self.permits.remove(&validator) {
            return Ok(Some(permit));
        }
        if self.own.contains_key(&validator) || self.busy.contains(&validator) {
            return Ok(None);
        }
        Err(Refusal::NothingAgreed(self.instance.slot))
    }

    /// Halves came back completed, or with their permits. Sends what is new to everybody.
    pub(crate) fn signed(
        &mut self,
        desk: &mut Desk<'_>,
        validators: &[ValidatorNo],
        mut request: SignRequest,
        results: Vec<Result<Signature, Permit>>,
    ) {
        let mut fresh = Vec::new();
        let positions = std::mem::take(&mut request.positions);
        for ((validator, position), result) in validators.iter().zip(positions).zip(results) {
            self.busy.remove(validator);
            match result {
                Ok(signature) => {
                    self.own.insert(*validator, signature);
                    fresh.push(PartialSignature { validator: *validator, signature });
                }
                Err(permit) => {
                    self.permits.insert(*validator, permit);
                    request.refused.push((position, Refusal::BadHalf(*validator)));
                }
            }
        }
        if !fresh.is_empty() {
            fresh.sort_by_key(|partial| partial.validator);
            let message = self.partial_message(desk, fresh);
            desk.wish(Output::Send { to: To::All, message });
        }
        answer(desk, request);
    }

    /// All own partials so far, for an operator who asks again.
    pub(crate) fn resend(&self, desk: &mut Desk<'_>, to: ShareIndex) {
        if !self.own.is_empty() {
            let message = self.partial_message(desk, listed(&self.own));
            desk.wish(Output::Send { to: To::One(to), message });
        }
    }

    fn partial_message(&self, desk: &Desk<'_>, partials: Vec<PartialSignature>) -> Message {
        let hash = self.hash.expect("own partials exist only for an agreed hash");
        let extra = Partials::extra(&partials);
        let statement = Statement { instance: self.instance, step: Step::Partial, round: 0, hash, extra };
        Message::Partial(Partials { signed: statement.unsigned(desk.setup.me), partials })
    }

    /// Takes an operator's partials, this one's included. One hash per operator; two are evidence.
    pub(crate) fn partials(&mut self, desk: &mut Desk<'_>, from: ShareIndex, message: Partials) {
        let Partials { signed, partials } = message;
        let sender = self.senders.entry(from).or_insert(Sender { signed, partials: BTreeMap::new() });
        if sender.signed.statement.hash != signed.statement.hash {
            let first = sender.signed;
            return desk.wish(Output::Evidence { author: from, first, second: signed });
        }
        for partial in &partials {
            if (partial.validator.0 as usize) < desk.setup.validators.len() {
                sender.partials.entry(partial.validator).or_insert(partial.signature);
            }
        }
        if self.hash == Some(signed.statement.hash) {
            self.collect.add(from, &partials);
            self.combine(desk);
        }
    }

    /// A hash for which at least `t` operators have sent partials, while nothing is agreed here.
    pub(crate) fn vouched(&self, threshold: usize) -> Option<Root> {
        if self.hash.is_some() {
            return None;
        }
        let mut count: BTreeMap<Root, usize> = BTreeMap::new();
        for sender in self.senders.values() {
            *count.entry(sender.signed.statement.hash).or_default() += 1;
        }
        count.into_iter().find(|(_, senders)| *senders >= threshold).map(|(hash, _)| hash)
    }

    /// Asks for every signature that can be combined now.
    pub(crate) fn combine(&mut self, desk: &mut Desk<'_>) {
        let Some(hash) = self.hash else { return };
        let jobs = self.collect.ready();
        if jobs.is_empty() {
            return;
        }
        let validators = jobs.iter().map(|job| job.validator).collect();
        let ticket = desk.tickets.issue(self.instance, Purpose::Combine { validators, hash });
        desk.wish(Output::Combine { ticket, jobs });
    }

    /// Takes combined signatures; names who sent bad partials. Returns the validators that are new.
    pub(crate) fn combined(
        &mut self,
        desk: &mut Desk<'_>,
        validators: &[ValidatorNo],
        results: &[Combined],
    ) -> Vec<(ValidatorNo, Signature)> {
        let mut fresh = Vec::new();
        for (validator, result) in validators.iter().zip(results) {
            self.collect.combined(*validator, result);
            for peer in &result.culprits {
                let fault = Fault::BadPartial(*validator);
                desk.wish(Output::Fault { peer: *peer, instance: self.instance, fault });
            }
            fresh.extend(result.signature.map(|signature| (*validator, signature)));
        }
        self.combine(desk);
        fresh
    }

    /// A validator's signature, once there is one.
    pub(crate) fn signature(&self, validator: ValidatorNo) -> Option<Signature> {
        self.collect.signature(validator)
    }

    /// Validators that have their signature, and validators due.
    pub(crate) fn progress(&self) -> (usize, usize) {
        (self.collect.done(), self.collect.due())
    }
}

fn listed(partials: &BTreeMap<ValidatorNo, Signature>) -> Vec<PartialSignature> {
    partials.iter().map(|(&validator, &signature)| PartialSignature { validator, signature }).collect()
}

/// Answers the client's request once nothing of it is out any more.
fn answer(desk: &mut Desk<'_>, request: SignRequest) {
    let Some(id) = request.request else { return };
    let mut refused = request.refused;
    refused.sort_by_key(|(position, _)| *position);
    let answer = if refused.is_empty() { Answer::Accepted } else { Answer::PartlyRefused(refused) };
    desk.wish(Output::Reply { request: id, answer });
}
