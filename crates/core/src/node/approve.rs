//! The node's part in approvals: to whom an event of an exit or a registration goes, and what the disk remembers.

use super::Node;
use crate::approve::{Approvals, ExitApproval};
use crate::duty::{Desk, Event};
use crate::{Answer, Ask, Input, Output, Refusal, RequestId};
use types::approval::Kept;
use types::wire::Kind;

/// Whether nothing is agreed on in this kind of instance, at no time: operators approve it when they want.
pub(super) const fn is_approved(kind: Kind) -> bool {
    matches!(kind, Kind::Exit | Kind::Registration)
}

impl Node {
    /// Exits that operators approve.
    pub fn exits(&self) -> Vec<ExitApproval> {
        self.exits.approvals()
    }

    /// What is approved, or waits for it.
    pub fn approvals(&self) -> Approvals {
        Approvals {
            me: self.setup.me,
            operators: self.setup.size.operators(),
            threshold: self.setup.size.threshold(),
            exits: self.exits(),
            statements: self.registrations.approvals(),
            registered: self
                .view
                .registry
                .all()
                .map(|(validator, standing)| (validator, *standing))
                .collect(),
        }
    }

    pub(super) fn with_approvals(&mut self, kind: Kind, event: Event) {
        let mut desk = Desk {
            now: self.now,
            setup: &self.setup,
            view: &mut self.view,
            board: &mut self.board,
            journal: &mut self.journal,
            tickets: &mut self.tickets,
            out: &mut self.out,
        };
        match kind {
            Kind::Registration => self.registrations.handle(&mut desk, event),
            Kind::Exit => self.exits.handle(&mut desk, self.schedule.indices(), event),
            // Agreed on or due in a slot: duties'.
            Kind::Attest
            | Kind::Propose
            | Kind::Aggregate
            | Kind::Contribute
            | Kind::Randao
            | Kind::SyncMessage
            | Kind::Selection
            | Kind::SyncSelection => {}
        }
    }

    pub(super) fn ask_approval(&mut self, request: RequestId, ask: Ask) {
        let kind = match &ask {
            Ask::Approvals => {
                let answer = Answer::Approvals(Box::new(self.approvals()));
                return self.out.push_back(Output::Reply { request, answer });
            }
            Ask::Exit { epoch, .. } => {
                let slot = self.setup.spec.epoch_start(*epoch);
                if !self.in_window(slot, Kind::Exit) {
                    let answer = Answer::Refused(Refusal::NoDuty(slot));
                    return self.out.push_back(Output::Reply { request, answer });
                }
                Kind::Exit
            }
            Ask::Register { .. } => Kind::Registration,
            // These have a slot, and a duty that answers them.
            Ask::Vote { .. }
            | Ask::Attestations { .. }
            | Ask::Block { .. }
            | Ask::SignedBlock { .. }
            | Ask::HeadRoot { .. }
            | Ask::SyncMessages { .. }
            | Ask::Selections { .. }
            | Ask::Aggregate { .. }
            | Ask::SignedAggregates { .. } => return,
        };
        self.with_approvals(kind, Event::Input(Input::Ask { request, ask }));
    }

    /// Takes what the disk remembers; what is of another generation of the keys cannot be combined any more.
    pub(super) fn recall(&mut self, kept: Kept) {
        let generation = self.setup.generation;
        let is_ours = |validator: types::ValidatorNo| (validator.0 as usize) < self.setup.validators.len();
        match kept {
            Kept::Exits(mut kept) if kept.generation == generation => {
                kept.approvals.retain(|one| is_ours(one.validator));
                self.exits.recall(kept);
            }
            Kept::Statements(kept) if kept.generation == generation => {
                self.registrations.recall(&self.setup, &self.view.registry, kept);
            }
            Kept::Exits(_) | Kept::Statements(_) => {}
            Kept::Taken(taken) => self.exits.recall_taken(taken),
            Kept::Registered(standing) => {
                for one in standing {
                    self.view.registry.recall(one);
                }
            }
        }
        for kind in [Kind::Exit, Kind::Registration] {
            self.with_approvals(kind, Event::Tick);
        }
    }
}
