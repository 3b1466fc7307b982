//! How a node begins the duties of a slot, and what may be ahead of it.

use super::{Duty, Node};
use crate::Input;
use crate::agree::rules::follows;
use crate::duty::Event;
use crate::duty::attest::{Attest, Due};
use crate::duty::gather::{self, Gather};
use crate::duty::propose::Propose;
use crate::duty::select::Select;
use std::collections::BTreeMap;
use types::duty::AttesterDuty;
use types::selection::{subcommittee_len, subcommittee_of};
use types::wire::{Instance, Item, Kind};
use types::{Slot, ValidatorNo};

impl Node {
    /// Begins the duties of a slot that are known and have not begun.
    pub(super) fn begin(&mut self, slot: Slot) {
        let follow_only = follows(self.follow_until, slot) || self.journal.stops().is_silent();
        let attesters = self.schedule.attesters(&self.setup.spec, slot).to_vec();
        let members = self.schedule.members(&self.setup.spec, slot).to_vec();
        let proposer = self.schedule.proposer(&self.setup.spec, slot).cloned();
        let mut fresh = Vec::new();
        let propose = self.instance(slot, Kind::Propose);
        if let Some(due) = proposer
            && !self.duties.contains(&propose)
        {
            let (mut desk, duties) = self.lend();
            let duty = Propose::new(&mut desk, propose, &due, follow_only);
            duties.insert(&desk.setup.spec, propose, Duty::Propose(Box::new(duty)));
            fresh.push(propose);
        }
        let attest = self.instance(slot, Kind::Attest);
        let anybody = !attesters.is_empty() || !members.is_empty();
        if anybody && !self.duties.contains(&attest) {
            let due = Due { attesters: &attesters, members: &members };
            let (desk, duties) = self.lend();
            let duty = Attest::new(&desk, attest, &due, follow_only);
            duties.insert(&desk.setup.spec, attest, Duty::Attest(Box::new(duty)));
            fresh.push(attest);
        }
        for kind in [Kind::Aggregate, Kind::Contribute] {
            fresh.extend(self.begin_gather(slot, kind, follow_only));
        }
        let head = self.view.head;
        for instance in fresh {
            self.with(instance, Event::Presence);
            self.with(instance, Event::Tick);
            if let Some((head_slot, root)) = head.filter(|(head_slot, _)| *head_slot == slot) {
                let head = Input::Head { slot: head_slot, root, dependent: None };
                self.with(instance, Event::Input(head));
            }
        }
    }

    /// Begins the aggregates of a slot, where one of ours may be chosen for them.
    fn begin_gather(&mut self, slot: Slot, kind: Kind, follow_only: bool) -> Option<Instance> {
        let instance = self.instance(slot, kind);
        let candidates = match kind {
            Kind::Contribute => self.contributors(slot),
            _ => {
                let attesters = self.schedule.attesters(&self.setup.spec, slot).iter();
                let candidate = |(validator, duty): &(ValidatorNo, AttesterDuty)| {
                    let (index, place) = (duty.validator_index, duty.committee_index);
                    let length = duty.committee_length;
                    (Item::of(*validator), gather::Candidate { index, place, length })
                };
                attesters.map(candidate).collect()
            }
        };
        if candidates.is_empty() || self.duties.contains(&instance) {
            return None;
        }
        let gather = Gather::new(&self.setup, instance, candidates, follow_only);
        self.duties.insert(&self.setup.spec, instance, Duty::Gather(Box::new(gather)));
        // Proofs may have combined before the slot began.
        self.with(instance, Event::Board);
        Some(instance)
    }

    /// Our sync committee members of a slot, once for each subcommittee that they are in.
    fn contributors(&self, slot: Slot) -> BTreeMap<Item, gather::Candidate> {
        let preset = self.setup.spec.preset;
        let mut candidates = BTreeMap::new();
        for (validator, duty) in self.schedule.members(&self.setup.spec, slot) {
            let positions = duty.validator_sync_committee_indices.iter();
            for part in positions.filter_map(|position| subcommittee_of(preset, *position)) {
                let item = Item { validator: *validator, part };
                let (index, place) = (duty.validator_index, u64::from(part));
                candidates.insert(item, gather::Candidate { index, place, length: subcommittee_len(preset) });
            }
        }
        candidates
    }

    /// Begins the exchange of selection proofs of a slot, which may be ahead; adds what a new shuffling brings.
    pub(super) fn begin_select(&mut self, slot: Slot, kind: Kind) {
        let instance = self.instance(slot, kind);
        let (due, attesters): (Vec<Item>, BTreeMap<Item, AttesterDuty>) = match kind {
            Kind::SyncSelection => (self.contributors(slot).into_keys().collect(), BTreeMap::new()),
            _ => {
                let attesters = self.schedule.attesters(&self.setup.spec, slot).iter();
                let attesters: BTreeMap<_, _> =
                    attesters.map(|(validator, duty)| (Item::of(*validator), duty.clone())).collect();
                (attesters.keys().copied().collect(), attesters)
            }
        };
        // Whether the next committee votes in an epoch's last slot is known only with the next epoch's duties.
        let open = kind == Kind::SyncSelection && !self.schedule.knows(&self.setup.spec, slot.next());
        let (mut desk, duties) = self.lend();
        match duties.get_mut(&instance) {
            Some(Duty::Select(select)) => {
                select.extend(&mut desk, &due, attesters, open);
                duties.set_alarm(&desk.setup.spec, &instance);
            }
            _ if due.is_empty() && !open => {}
            _ => {
                let mut select = Select::new(&mut desk, instance);
                select.extend(&mut desk, &due, attesters, open);
                duties.insert(&desk.setup.spec, instance, Duty::Select(Box::new(select)));
            }
        }
    }
}
