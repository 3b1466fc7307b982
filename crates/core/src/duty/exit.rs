//! Voluntary exits: one epoch's, each validator's approved by every operator that wants it.
//!
//! ```text
//! an operator approves: its client's half -> partials, kept and sent again -> t of them -> signature -> Submit
//! ```
//!
//! Nothing is agreed on: an exit is `(validator, epoch)`, and operators that name another epoch approve another exit.
//! An exit cannot be taken back, so nobody but the operator's own client or command makes this node sign one.

use super::signing::Signing;
use super::{Desk, Event, Purpose, SignRequest};
use crate::journal::{Harmless, Permit};
use crate::{Ask, Ending, Input, Outcome, Output, Refusal, RequestId, Submission, Ticket};
use std::collections::{BTreeMap, BTreeSet};
use types::operations::{SignedVoluntaryExit, VoluntaryExit};
use types::wire::{Instance, Item, Message};
use types::{Epoch, Root, ShareIndex, Signature, ValidatorIndex, ValidatorNo};

/// The exits of one epoch.
#[derive(Debug)]
pub(crate) struct Exits {
    epoch: Epoch,
    signing: Signing,
    /// Validators whose index is known: their partials can be combined.
    indices: BTreeMap<ValidatorNo, ValidatorIndex>,
    /// Operators that have sent partials here.
    approved: BTreeMap<ValidatorNo, BTreeSet<ShareIndex>>,
    /// Exits handed to the beacon nodes.
    submitted: BTreeMap<Ticket, ValidatorNo>,
    instance: Instance,
}

impl Exits {
    /// For an epoch. `instance`: its first slot, of kind `Exit`.
    pub(crate) fn new(instance: Instance, epoch: Epoch, threshold: usize) -> Self {
        Self {
            epoch,
            signing: Signing::new(instance, threshold, []),
            indices: BTreeMap::new(),
            approved: BTreeMap::new(),
            submitted: BTreeMap::new(),
            instance,
        }
    }

    /// The epoch.
    pub(crate) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Validators, the operators that approve, and whether the exit is signed.
    pub(crate) fn approvals(&self) -> impl Iterator<Item = (ValidatorNo, &BTreeSet<ShareIndex>, bool)> {
        self.approved.iter().map(|(validator, operators)| {
            (*validator, operators, self.signing.signature(Item::of(*validator)).is_some())
        })
    }

    /// Takes one event. `known`: indices of validators, as the chain tells them.
    pub(crate) fn handle(
        &mut self,
        desk: &mut Desk<'_>,
        known: &BTreeMap<ValidatorNo, ValidatorIndex>,
        event: Event,
    ) {
        match event {
            Event::Reconnected(peer) => self.signing.resend(desk, peer),
            Event::Input(Input::Peer(verified)) => {
                let from = verified.sender();
                if let Message::Partial(partials) = verified.message() {
                    for partial in &partials.partials {
                        let validator = partial.item.validator;
                        if (validator.0 as usize) < desk.setup.validators.len() {
                            self.approved.entry(validator).or_default().insert(from);
                        }
                    }
                    self.signing.partials(desk, from, partials.clone());
                }
            }
            Event::Input(Input::Ask { request, ask: Ask::Exit { validator, index, half, .. } }) => {
                return self.ask(desk, known, request, (validator, index, half));
            }
            Event::Result(_, purpose, input) => self.result(desk, purpose, input),
            Event::Tick | Event::Presence | Event::Board | Event::Stopped | Event::Input(_) => {}
        }
        self.learn(desk, known);
    }

    /// Combines what it can, now that more indices may be known.
    fn learn(&mut self, desk: &mut Desk<'_>, known: &BTreeMap<ValidatorNo, ValidatorIndex>) {
        let validators: Vec<_> = self.approved.keys().copied().collect();
        for validator in validators {
            if let Some(index) = known.get(&validator).filter(|_| !self.indices.contains_key(&validator)) {
                self.admit(desk, validator, *index);
            }
        }
    }

    fn admit(&mut self, desk: &mut Desk<'_>, validator: ValidatorNo, validator_index: ValidatorIndex) {
        self.indices.insert(validator, validator_index);
        let exit = VoluntaryExit { epoch: self.epoch, validator_index };
        let permit = Permit::harmless(&desk.setup.spec, validator, Harmless::Exit(exit));
        if self.signing.hash().is_none() {
            self.signing.decide_harmless(desk, Root::ZERO, []);
        }
        self.signing.admit(desk, Item::of(validator), permit);
    }

    fn ask(
        &mut self,
        desk: &mut Desk<'_>,
        known: &BTreeMap<ValidatorNo, ValidatorIndex>,
        request: RequestId,
        (validator, named, half): (ValidatorNo, ValidatorIndex, Signature),
    ) {
        let chain = known.get(&validator).or_else(|| self.indices.get(&validator)).copied();
        if let Some(index) = chain.filter(|index| *index != named) {
            return desk.refuse(request, Refusal::WrongIndex { validator, known: index, named });
        }
        if !self.indices.contains_key(&validator) {
            self.admit(desk, validator, named);
        }
        self.signing.halves(desk, SignRequest::of(request), vec![(0, Item::of(validator), half)]);
    }

    fn result(&mut self, desk: &mut Desk<'_>, purpose: Purpose, input: Input) {
        match (purpose, input) {
            (Purpose::Sign { items, request }, Input::Signed { results, .. }) => {
                self.signing.signed(desk, &items, request, results);
            }
            (Purpose::Combine { items, .. }, Input::Combined { results, .. }) => {
                let fresh = self.signing.combined(desk, &items, &results);
                for (item, signature) in fresh {
                    self.submit(desk, item.validator, signature);
                }
            }
            (Purpose::Submit, Input::Submitted { ticket, taken })
                if self.submitted.remove(&ticket).is_some() =>
            {
                desk.wish(Output::Outcome(self.outcome(taken)));
            }
            _ => {}
        }
    }

    fn submit(&mut self, desk: &mut Desk<'_>, validator: ValidatorNo, signature: Signature) {
        let Some(&validator_index) = self.indices.get(&validator) else { return };
        let message = VoluntaryExit { epoch: self.epoch, validator_index };
        let ticket = desk.tickets.issue(self.instance, Purpose::Submit);
        self.submitted.insert(ticket, validator);
        let submission = Submission::Exit(SignedVoluntaryExit { message, signature });
        desk.wish(Output::Submit { ticket, submission });
    }

    /// One exit is one duty.
    const fn outcome(&self, taken: bool) -> Outcome {
        let ending = if taken { Ending::Done } else { Ending::NotTaken };
        Outcome { instance: self.instance, due: 1, done: 1, latency_ms: None, round: None, ending }
    }
}
