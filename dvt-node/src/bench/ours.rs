//! Contender (c): what a node does. The machine's own choice of partials, the shell's own curve work.

use super::made::{Arrived, Made, me};
use super::{Contender, Slot};
use crate::curve::{Curve, ValidatorKeys};
use anyhow::{Context as _, ensure};
use keys::{NodeHalf, NodeSigner};
use std::collections::BTreeSet;
use std::sync::Arc;
use symbolon_core::collect::{Collect, Doubt};
use symbolon_core::journal::{Candidate, History, Journal, Permit, Promise};
use symbolon_core::quarantine::Quarantine;
use symbolon_core::{SignJob, Ticket};
use types::wire::{Item, PartialSignature};
use types::{PublicKey, ShareIndex, Signature, ValidatorNo};

/// Pairings of the one check of a request's halves, if all are good.
const HALVES_PAIRINGS: usize = 2;

/// A node's signer, journal and curve work.
pub(super) struct Ours<'a> {
    made: &'a Made,
    curve: Arc<Curve>,
    journal: Journal,
    tickets: u64,
    /// The right to sign the next slot: guard and journal come before the curve, and are measured elsewhere.
    jobs: Vec<SignJob>,
    quarantine: Quarantine,
    /// Slots since the beginning.
    slots: u64,
}

impl<'a> Ours<'a> {
    /// Parses the keys, as a node does when it starts.
    pub(super) fn new(made: &'a Made, halves: Vec<NodeHalf>) -> anyhow::Result<Self> {
        let shares = made.validators.iter().map(|one| one.public_shares[me().position()].bytes());
        let signer = NodeSigner::new(halves.into_iter().zip(shares))?;
        let keys = |one: &super::made::Validator| ValidatorKeys {
            group: one.group_key,
            shares: one.public_shares.clone(),
        };
        let keys = made.validators.iter().map(keys).collect();
        let curve = Curve::new(signer, keys, made.threshold_byte())?;
        let group: Vec<PublicKey> = made.validators.iter().map(|one| one.group_key.bytes()).collect();
        let histories = vec![History::default(); group.len()];
        let mut ours = Self {
            made,
            curve,
            journal: Journal::new(group, histories),
            tickets: 0,
            jobs: Vec::new(),
            quarantine: Quarantine::default(),
            slots: 0,
        };
        ours.prepare();
        Ok(ours)
    }

    /// Has permits for the next slot, whose root is new, and forgets nothing of who was caught.
    pub(super) fn prepare(&mut self) {
        self.curve.roots().forget();
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let data = &self.made.data;
        let candidate = |no: u32| Candidate {
            validator: ValidatorNo(no),
            slot: data.slot,
            promise: Promise::Attestation { source: data.source.epoch, target: data.target.epoch },
            root: self.made.root,
        };
        let candidates: Vec<_> = (0..).map(candidate).take(self.made.validators.len()).collect();
        self.journal.promise(ticket, &candidates);
        let halves = self.made.validators.iter().map(|validator| validator.half);
        let permits = self.journal.settle(ticket, true);
        self.jobs = permits.into_iter().zip(halves).map(|(permit, half)| SignJob { permit, half }).collect();
    }

    /// Nobody was ever caught.
    pub(super) fn forgive(&mut self) {
        self.quarantine = Quarantine::default();
    }

    fn doubt(&self) -> Doubt {
        let awaited: BTreeSet<ShareIndex> = self.made.size.indices().collect();
        self.quarantine.doubt(types::Slot(self.slots), awaited, types::Millis(1000))
    }

    /// Own partials in the order of the validators.
    fn sign(&mut self) -> anyhow::Result<Vec<Signature>> {
        let jobs = std::mem::take(&mut self.jobs);
        ensure!(jobs.len() == self.made.validators.len(), "one permit for each validator");
        let signed: Result<Vec<_>, Permit> = self.curve.sign(jobs).into_iter().collect();
        signed.ok().context("a half of the own client is bad")
    }

    /// Everything that has arrived, by operator, as frames bring it.
    fn collect(&self, own: &[Signature], arrived: &Arrived) -> Collect {
        let item = |no: usize| Item::of(ValidatorNo(u32::try_from(no).expect("fewer than 2^32 validators")));
        let mut collect = Collect::new(self.made.threshold(), (0..own.len()).map(item));
        (0..own.len()).for_each(|no| collect.set_root(item(no), self.made.root));
        let listed = |signatures: &mut dyn Iterator<Item = (usize, Signature)>| -> Vec<PartialSignature> {
            signatures.map(|(no, signature)| PartialSignature { item: item(no), signature }).collect()
        };
        let peers = arrived.first().map_or(0, Vec::len);
        for place in 0..peers {
            let from = arrived[0][place].0;
            collect.add(from, &listed(&mut arrived.iter().map(|list| list[place].1).enumerate()));
        }
        collect.add(me(), &listed(&mut own.iter().copied().enumerate()));
        collect
    }
}

impl Contender for Ours<'_> {
    fn slot(&mut self, arrived: &Arrived) -> anyhow::Result<Slot> {
        let own = self.sign()?;
        let mut slot = Slot { pairings: HALVES_PAIRINGS, ..Slot::default() };
        let mut collect = self.collect(&own, arrived);
        let mut caught = BTreeSet::new();
        let doubt = self.doubt();
        loop {
            let ready = collect.ready(types::Millis(0), &doubt);
            if ready.is_empty() {
                break;
            }
            let (items, jobs): (Vec<_>, Vec<_>) = ready.into_iter().unzip();
            let (results, cost) = self.curve.settle(&jobs);
            slot.pairings += cost.pairings;
            for (item, result) in items.iter().zip(&results) {
                collect.combined(*item, result);
                let no = item.validator.0 as usize;
                slot.culprits.extend(result.culprits.iter().map(|operator| (no, *operator)));
                caught.extend(result.culprits.iter().copied());
            }
        }
        slot.signatures = collect.items().map(|item| collect.signature(item)).collect();
        caught.into_iter().for_each(|operator| self.quarantine.caught(operator, types::Slot(self.slots)));
        self.slots += 1;
        Ok(slot)
    }
}
