//! Changes of whom blocks pay: statements, each approved by every operator that wants it.
//!
//! ```text
//! an operator approves: its client's halves -> the statement and partials to all, kept and sent again
//!      -> t partials of a validator -> its registration, signed -> counts here, kept, and to all: it proves itself
//! ```
//!
//! Fewer than `t` operators change nothing. A statement is looked at only behind an operator that approves it, and each
//! operator stands behind [`STATEMENTS_MAX`] at most. Of two statements for a validator the later counts.

use super::exit::partial_message;
use super::tally::Tally;
use super::{Desk, Event, Purpose, SignRequest};
use crate::approve::{NotApproved, STATED_AHEAD, STATEMENTS_MAX, StatementApproval};
use crate::journal::{Harmless, Permit};
use crate::node::Setup;
use crate::registry::Registry;
use crate::{Ask, CombineJob, Combined, Fault, Input, Output, Refusal, RequestId, SignJob, To};
use std::collections::{BTreeMap, BTreeSet};
use types::approval::{
    Kept, KeptOf, KeptPartial, KeptStatement, Notice, RegistrationStatement, registration_root,
};
use types::builder::SignedValidatorRegistrationV1;
use types::wire::{Instance, Item, Kind, Message, PartialSignature, Partials, ValueAnswer, ValueId};
use types::{Millis, Root, ShareIndex, Signature, SigningRoot, Slot, ValidatorNo};

/// What is approved: of two the later, and of two of one second the one with the greater hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    timestamp_s: u64,
    hash: Root,
}

/// All statements of the cluster.
#[derive(Debug)]
pub(crate) struct Registrations {
    tally: Tally<Version>,
    /// Those that somebody approves.
    statements: BTreeMap<Root, RegistrationStatement>,
    /// What each operator has said last, before it has said that it approves it.
    announced: BTreeMap<ShareIndex, (Root, RegistrationStatement)>,
    /// Whose registration of which operator is being checked.
    checking: BTreeSet<(ShareIndex, ValidatorNo)>,
    /// Operators that have shown a registration that its group has not signed: theirs are not looked at any more, for
    /// each costs a pairing, and an honest node shows what it has checked.
    forgers: BTreeSet<ShareIndex>,
}

impl Registrations {
    pub(crate) const fn new(threshold: usize) -> Self {
        Self {
            tally: Tally::new(threshold),
            statements: BTreeMap::new(),
            announced: BTreeMap::new(),
            checking: BTreeSet::new(),
            forgers: BTreeSet::new(),
        }
    }

    /// Statements that are not complete.
    pub(crate) fn approvals(&self) -> Vec<StatementApproval> {
        let mut operators: BTreeMap<Root, BTreeMap<ShareIndex, usize>> = BTreeMap::new();
        for (_, version, who, _) in self.tally.listed() {
            let of_statement = operators.entry(version.hash).or_default();
            for operator in who {
                *of_statement.entry(operator).or_default() += 1;
            }
        }
        let approval = |(id, operators)| {
            let statement = self.statements.get(&id)?.clone();
            Some(StatementApproval { id, statement, operators })
        };
        operators.into_iter().filter_map(approval).collect()
    }

    /// Takes what the disk remembers, after the registrations that count.
    pub(crate) fn recall(&mut self, setup: &Setup, registry: &Registry, kept: KeptOf<KeptStatement>) {
        for KeptStatement { statement, mut partials } in kept.approvals {
            if statement.check(setup.validators.len()).is_ok() {
                partials.retain(|one| statement.validators.binary_search(&one.validator).is_ok());
                self.add(registry, kept.operator, &statement, partials);
            }
        }
    }

    /// Takes one event.
    pub(crate) fn handle(&mut self, desk: &mut Desk<'_>, event: Event) {
        match event {
            Event::Reconnected(peer) => self.resend(desk, peer),
            Event::Input(Input::Peer(verified)) => {
                let from = verified.sender();
                match verified.into_message() {
                    Message::Partial(partials) => self.partials(desk, from, &partials),
                    Message::Value(answer) => self.notice(desk, from, &answer),
                    Message::Fetch(id) => self.tell(desk, To::One(from), id.hash),
                    _ => {}
                }
            }
            Event::Input(Input::Ask { request, ask: Ask::Register { statement, halves } }) => {
                self.ask(desk, request, statement, halves);
            }
            Event::Result(_, purpose, input) => self.result(desk, purpose, input),
            Event::Tick => self.combine(desk, self.tally.validators()),
            Event::Presence | Event::Board | Event::Stopped | Event::Input(_) => {}
        }
    }

    /// Why this operator does not approve a statement, if so.
    fn refuse(&self, desk: &Desk<'_>, statement: &RegistrationStatement) -> Result<(), NotApproved> {
        let timestamp_s = statement.timestamp_s;
        statement.check(desk.setup.validators.len())?;
        if is_ahead(desk.now, statement.stated()) {
            return Err(NotApproved::Ahead { timestamp_s });
        }
        let version = version(statement);
        for &validator in &statement.validators {
            let current = desk.view.registry.stated_s(validator);
            if let Some(current) = current.filter(|current| *current >= timestamp_s) {
                return Err(NotApproved::NotNewer { validator, current, timestamp_s });
            }
            let approved = self.tally.topic(desk.setup.me, validator);
            if let Some(newer) = approved.filter(|approved| *approved > version) {
                return Err(NotApproved::NewerStatement { validator, approved: newer.timestamp_s });
            }
        }
        Ok(())
    }

    /// This operator approves: all halves or none.
    fn ask(
        &self,
        desk: &mut Desk<'_>,
        request: RequestId,
        statement: RegistrationStatement,
        halves: Vec<Signature>,
    ) {
        let (have, want) = (halves.len(), statement.validators.len());
        let verdict = match self.refuse(desk, &statement) {
            Ok(()) if have != want => Err(NotApproved::Halves { have, want }),
            verdict => verdict,
        };
        if let Err(refusal) = verdict {
            return desk.refuse(request, Refusal::NotApproved(refusal));
        }
        let job = |(validator, half): (&ValidatorNo, Signature)| {
            let key = desk.setup.validators[validator.0 as usize].group_key;
            let what = Harmless::Registration(statement.registration(key));
            SignJob { permit: Permit::harmless(&desk.setup.spec, *validator, what), half }
        };
        let jobs = statement.validators.iter().zip(halves).map(job).collect();
        let instance = instance(desk.setup, statement.stated());
        let request = SignRequest::of(request);
        let ticket = desk.tickets.issue(instance, Purpose::Approve { statement, request });
        desk.wish(Output::Sign { ticket, jobs });
    }

    fn result(&mut self, desk: &mut Desk<'_>, purpose: Purpose, input: Input) {
        match (purpose, input) {
            (Purpose::Approve { statement, request }, Input::Signed { results, .. }) => {
                self.signed(desk, &statement, request, results);
            }
            (Purpose::Combine { items, hash }, Input::Combined { results, .. }) => {
                self.combined(desk, &items, hash, &results);
            }
            (Purpose::Registered { from, signed }, Input::GroupVerified { valid, .. }) => {
                self.checked(desk, from, signed, valid);
            }
            _ => {}
        }
    }

    /// The halves were completed: everybody is told what is approved, and that it is.
    fn signed(
        &mut self,
        desk: &mut Desk<'_>,
        statement: &RegistrationStatement,
        mut request: SignRequest,
        results: Vec<Result<Signature, Permit>>,
    ) {
        let mut partials = Vec::new();
        for (position, (&validator, result)) in statement.validators.iter().zip(results).enumerate() {
            match result {
                Ok(signature) => partials.push(PartialSignature { item: validator.into(), signature }),
                Err(_) => request.refused.push((position, Refusal::BadHalf(validator))),
            }
        }
        if request.refused.is_empty() {
            let instance = instance(desk.setup, statement.stated());
            let notice = Notice::Statement(statement.clone());
            say(desk, To::All, instance, &notice);
            let message = partial_message(desk.setup, instance, notice.hash(), partials);
            desk.wish(Output::Send { to: To::All, message });
        }
        desk.answer(request);
    }

    /// A statement, or registrations that are complete.
    fn notice(&mut self, desk: &mut Desk<'_>, from: ShareIndex, answer: &ValueAnswer) {
        let instance = answer.id.instance;
        match Notice::from_value(&answer.id.hash, &answer.value) {
            Some(Notice::Statement(statement)) => {
                if statement.check(desk.setup.validators.len()).is_ok() {
                    self.announced.insert(from, (answer.id.hash, statement));
                } else {
                    desk.wish(Output::Fault { peer: from, instance, fault: Fault::BadValue });
                }
            }
            Some(Notice::Complete(complete)) => self.check(desk, from, complete),
            None => desk.wish(Output::Fault { peer: from, instance, fault: Fault::BadValue }),
        }
    }

    /// An operator approves a statement, which it has told before; if not, it is asked for it and says both again.
    fn partials(&mut self, desk: &mut Desk<'_>, from: ShareIndex, message: &Partials) {
        let said = message.signed.statement;
        let announced = self.announced.get(&from).filter(|(hash, _)| *hash == said.hash);
        let statement =
            self.statements.get(&said.hash).or(announced.map(|(_, statement)| statement)).cloned();
        let Some(statement) = statement else {
            let id = ValueId { instance: said.instance, hash: said.hash };
            return desk.wish(Output::Send { to: To::One(from), message: Message::Fetch(id) });
        };
        if is_ahead(desk.now, statement.stated()) {
            return;
        }
        let listed =
            |item: Item| item.part == 0 && statement.validators.binary_search(&item.validator).is_ok();
        let proper = said.instance == instance(desk.setup, statement.stated())
            && message.partials.iter().all(|partial| listed(partial.item));
        if !proper {
            return desk.wish(Output::Fault { peer: from, instance: said.instance, fault: Fault::BadValue });
        }
        let kept = |partial: &PartialSignature| KeptPartial {
            validator: partial.item.validator,
            partial: partial.signature,
        };
        let fresh = self.add(&desk.view.registry, from, &statement, message.partials.iter().map(kept));
        if !fresh.is_empty() {
            self.announced.remove(&from);
            desk.wish(Output::Keep(Kept::Statements(self.kept(desk.setup, from))));
            self.combine(desk, fresh);
        }
    }

    /// Counts an operator's approval for validators whose registration it would change. Returns those for which it is new.
    fn add(
        &mut self,
        registry: &Registry,
        from: ShareIndex,
        statement: &RegistrationStatement,
        partials: impl IntoIterator<Item = KeptPartial>,
    ) -> Vec<ValidatorNo> {
        let version = version(statement);
        let mut fresh = Vec::new();
        for KeptPartial { validator, partial } in partials {
            let newer = registry.is_newer(validator, version.timestamp_s);
            if newer && self.tally.add(from, validator, version, partial) {
                fresh.push(validator);
            }
        }
        if !fresh.is_empty() {
            self.statements.insert(version.hash, statement.clone());
            self.tally.keep_newest(from, STATEMENTS_MAX);
            self.tidy();
        }
        fresh
    }

    /// Forgets statements that nobody approves any more.
    fn tidy(&mut self) {
        let approved: BTreeSet<Root> = self.tally.topics().into_iter().map(|version| version.hash).collect();
        self.statements.retain(|hash, _| approved.contains(hash));
    }

    fn kept(&self, setup: &Setup, operator: ShareIndex) -> KeptOf<KeptStatement> {
        let mut by_hash: BTreeMap<Root, Vec<KeptPartial>> = BTreeMap::new();
        for (validator, version, partial) in self.tally.of(operator) {
            by_hash.entry(version.hash).or_default().push(KeptPartial { validator, partial });
        }
        let kept = |(hash, partials)| {
            let statement = self.statements.get(&hash)?.clone();
            Some(KeptStatement { statement, partials })
        };
        let approvals = by_hash.into_iter().filter_map(kept).collect();
        KeptOf { generation: setup.generation, operator, approvals }
    }

    fn combine(&mut self, desk: &mut Desk<'_>, validators: Vec<ValidatorNo>) {
        let (setup, statements) = (desk.setup, &self.statements);
        let root = |validator: ValidatorNo, version: Version| -> Option<SigningRoot> {
            let key = setup.validators[validator.0 as usize].group_key;
            let registration = statements.get(&version.hash)?.registration(key);
            Some(registration_root(&setup.spec, &registration))
        };
        let mut by_version: BTreeMap<Version, Vec<CombineJob>> = BTreeMap::new();
        for (version, job) in self.tally.ready(validators, root) {
            by_version.entry(version).or_default().push(job);
        }
        for (version, jobs) in by_version {
            let items = jobs.iter().map(|job| job.validator.into()).collect();
            let instance = instance(desk.setup, Millis(version.timestamp_s.saturating_mul(1000)));
            let ticket = desk.tickets.issue(instance, Purpose::Combine { items, hash: version.hash });
            desk.wish(Output::Combine { ticket, jobs });
        }
    }

    fn combined(&mut self, desk: &mut Desk<'_>, items: &[Item], hash: Root, results: &[Combined]) {
        let validators = items.iter().map(|item| item.validator);
        let Some(statement) = self.statements.get(&hash).cloned() else {
            // Others have shown the same, or something later, meanwhile.
            validators.clone().for_each(|validator| self.tally.abandon(validator));
            return self.combine(desk, validators.collect());
        };
        let (version, instance) = (version(&statement), instance(desk.setup, statement.stated()));
        let mut complete = Vec::new();
        for (item, result) in items.iter().zip(results) {
            let validator = item.validator;
            for peer in &result.culprits {
                let fault = Fault::BadPartial(validator);
                desk.wish(Output::Fault { peer: *peer, instance, fault });
            }
            if let Some(signature) = self.tally.combined(validator, version, result) {
                let key = desk.setup.validators[validator.0 as usize].group_key;
                let message = statement.registration(key);
                complete.push(SignedValidatorRegistrationV1 { message, signature });
            }
        }
        if !complete.is_empty() {
            self.learn(desk, &complete);
            // Somebody's partial may have reached this node only.
            say(desk, To::All, instance, &Notice::Complete(complete));
        }
        self.combine(desk, validators.collect());
    }

    /// Registrations with good signatures count from now on, if they are newer.
    fn learn(&mut self, desk: &mut Desk<'_>, complete: &[SignedValidatorRegistrationV1]) {
        let mut standing = Vec::new();
        for signed in complete {
            let Some(learned) = desk.view.registry.learn(&desk.setup.spec, *signed, desk.now) else {
                continue;
            };
            standing.push(learned);
            if let Some(validator) = desk.view.registry.number(&signed.message.pubkey) {
                let over = signed.message.timestamp;
                self.tally.forget(validator, |version| version.timestamp_s <= over);
            }
        }
        if !standing.is_empty() {
            self.tidy();
            desk.wish(Output::Keep(Kept::Registered(standing)));
        }
    }

    /// Registrations that another operator says are complete: those that would count are checked, one of each validator
    /// and operator at a time.
    fn check(&mut self, desk: &mut Desk<'_>, from: ShareIndex, complete: Vec<SignedValidatorRegistrationV1>) {
        if self.forgers.contains(&from) {
            return;
        }
        for signed in complete {
            let SignedValidatorRegistrationV1 { message, signature } = signed;
            let Some(validator) = desk.view.registry.number(&message.pubkey) else { continue };
            let newer = desk.view.registry.is_newer(validator, message.timestamp);
            let stated = Millis(message.timestamp.saturating_mul(1000));
            if !newer || is_ahead(desk.now, stated) || !self.checking.insert((from, validator)) {
                continue;
            }
            let instance = instance(desk.setup, stated);
            let ticket = desk.tickets.issue(instance, Purpose::Registered { from, signed });
            let (key, root) = (message.pubkey, registration_root(&desk.setup.spec, &message));
            desk.wish(Output::VerifyGroup { ticket, key, root, signature });
        }
    }

    fn checked(
        &mut self,
        desk: &mut Desk<'_>,
        from: ShareIndex,
        signed: SignedValidatorRegistrationV1,
        valid: bool,
    ) {
        if let Some(validator) = desk.view.registry.number(&signed.message.pubkey) {
            self.checking.remove(&(from, validator));
        }
        if valid {
            return self.learn(desk, &[signed]);
        }
        self.forgers.insert(from);
        let instance = instance(desk.setup, Millis(signed.message.timestamp.saturating_mul(1000)));
        desk.wish(Output::Fault { peer: from, instance, fault: Fault::Unjustified });
    }

    /// A statement that this operator approves, and that it does.
    fn tell(&self, desk: &mut Desk<'_>, to: To, hash: Root) {
        let Some(statement) = self.statements.get(&hash) else { return };
        let of_statement = self.tally.of(desk.setup.me).filter(|(_, version, _)| version.hash == hash);
        let partial = |(validator, _, signature)| PartialSignature { item: Item::of(validator), signature };
        let partials: Vec<_> = of_statement.map(partial).collect();
        if partials.is_empty() {
            return;
        }
        let instance = instance(desk.setup, statement.stated());
        say(desk, to, instance, &Notice::Statement(statement.clone()));
        let message = partial_message(desk.setup, instance, hash, partials);
        desk.wish(Output::Send { to, message });
    }

    /// What an operator may not have heard: what counts since the ceremony, and what this one approves.
    fn resend(&self, desk: &mut Desk<'_>, to: ShareIndex) {
        let later = desk.view.registry.all().filter(|(_, standing)| standing.learned > Millis(0));
        let complete: Vec<_> = later.map(|(_, standing)| standing.newest).collect();
        if let Some(newest) = complete.iter().map(|signed| signed.message.timestamp).max() {
            let instance = instance(desk.setup, Millis(newest.saturating_mul(1000)));
            say(desk, To::One(to), instance, &Notice::Complete(complete));
        }
        for hash in self.statements.keys().copied() {
            self.tell(desk, To::One(to), hash);
        }
    }
}

fn version(statement: &RegistrationStatement) -> Version {
    Version { timestamp_s: statement.timestamp_s, hash: statement.hash() }
}

/// The slot in which something was stated, or the first one.
fn instance(setup: &Setup, stated: Millis) -> Instance {
    let slot = setup.spec.slot_at(stated).unwrap_or(Slot(0));
    Instance::new(setup.generation, slot, Kind::Registration)
}

fn is_ahead(now: Millis, stated: Millis) -> bool {
    stated > now.after(STATED_AHEAD)
}

fn say(desk: &mut Desk<'_>, to: To, instance: Instance, notice: &Notice) {
    let id = ValueId { instance, hash: notice.hash() };
    let message = Message::Value(ValueAnswer { id, value: notice.to_value() });
    desk.wish(Output::Send { to, message });
}
