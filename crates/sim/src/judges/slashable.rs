//! The group never signs two things that could be slashed.
//!
//! It counts partial signatures, not submissions: `t` valid partials over one root exist somewhere, so the
//! signature can be made by whoever saw them.

use super::{Sight, Violation};
use crate::curve::{Curve as _, Symbolic};
use ssz::Decode as _;
use std::collections::{BTreeMap, BTreeSet};
use types::wire::{Kind, Message, Partials};
use types::{
    BeaconVote, ChainSpec, DomainType, Epoch, Millis, Root, ShareIndex, Signature, SigningRoot, Slot,
    ValidatorNo,
};

/// Something a group has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Block { slot: Slot, root: Root },
    Vote { source: Epoch, target: Epoch, root: Root },
}

impl Deed {
    /// The specification's slashing conditions.
    fn slashable_with(self, other: Self) -> bool {
        match (self, other) {
            (Self::Block { slot: a, root: x }, Self::Block { slot: b, root: y }) => a == b && x != y,
            (
                Self::Vote { source: s1, target: t1, root: x },
                Self::Vote { source: s2, target: t2, root: y },
            ) => (t1 == t2 && x != y) || (s1 < s2 && t2 < t1) || (s2 < s1 && t1 < t2),
            _ => false,
        }
    }
}

/// The judge.
#[derive(Debug)]
pub struct Slashable {
    spec: ChainSpec,
    threshold: usize,
    votes: BTreeMap<Root, BeaconVote>,
    /// Partials over votes that nobody has shown yet.
    unread: Vec<(Millis, ShareIndex, Partials)>,
    signers: BTreeMap<(ValidatorNo, Root), BTreeSet<ShareIndex>>,
    deeds: BTreeMap<ValidatorNo, Vec<Deed>>,
    /// What it found.
    pub violations: Vec<Violation>,
}

impl Slashable {
    /// For a network and threshold.
    pub fn new(spec: ChainSpec, threshold: usize) -> Self {
        Self {
            spec,
            threshold,
            votes: BTreeMap::new(),
            unread: Vec::new(),
            signers: BTreeMap::new(),
            deeds: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// Watches.
    pub fn see(&mut self, sight: Sight<'_>) {
        let Sight::Sent { at, author, message, .. } = sight else { return };
        match message {
            Message::Vote(vote) => vote.value.iter().for_each(|value| self.read_vote(&value.0)),
            Message::Proposal(proposal) => proposal.value.iter().for_each(|value| self.read_vote(&value.0)),
            Message::Value(answer) => self.read_vote(&answer.value.0),
            Message::Partial(partials) => self.count(at, author, partials.clone()),
            _ => {}
        }
    }

    fn read_vote(&mut self, bytes: &[u8]) {
        let Ok(vote) = BeaconVote::from_ssz_bytes(bytes) else { return };
        if self.votes.insert(Root::of(&vote), vote).is_none() {
            for (at, author, partials) in std::mem::take(&mut self.unread) {
                self.count(at, author, partials);
            }
        }
    }

    fn count(&mut self, at: Millis, author: ShareIndex, partials: Partials) {
        let statement = partials.signed.statement;
        let (deed, root) = match statement.instance.kind {
            Kind::Propose => self.block(statement.instance.slot, statement.hash),
            Kind::Attest => {
                let Some(vote) = self.votes.get(&statement.hash) else {
                    return self.unread.push((at, author, partials));
                };
                self.vote(*vote)
            }
            Kind::Aggregate
            | Kind::Contribute
            | Kind::Randao
            | Kind::SyncMessage
            | Kind::Selection
            | Kind::SyncSelection
            | Kind::Exit
            | Kind::Registration => return,
        };
        for partial in &partials.partials {
            self.count_one(at, author, partial.item.validator, &partial.signature, deed, root);
        }
    }

    fn block(&self, slot: Slot, root: Root) -> (Deed, SigningRoot) {
        let epoch = self.spec.epoch_of(slot);
        (Deed::Block { slot, root }, SigningRoot::of(&self.spec, DomainType::BeaconProposer, epoch, root))
    }

    fn vote(&self, vote: BeaconVote) -> (Deed, SigningRoot) {
        let root = Root::of(&vote.data(0));
        let deed = Deed::Vote { source: vote.source.epoch, target: vote.target.epoch, root };
        (deed, SigningRoot::of(&self.spec, DomainType::BeaconAttester, vote.target.epoch, root))
    }

    fn count_one(
        &mut self,
        at: Millis,
        author: ShareIndex,
        validator: ValidatorNo,
        signature: &Signature,
        deed: Deed,
        root: SigningRoot,
    ) {
        if !Symbolic.verify(&Symbolic.share_key(validator, author), &root, signature) {
            return;
        }
        let signers = self.signers.entry((validator, root.root())).or_default();
        if !signers.insert(author) || signers.len() != self.threshold {
            return;
        }
        let deeds = self.deeds.entry(validator).or_default();
        for earlier in deeds.iter().filter(|earlier| earlier.slashable_with(deed)) {
            let what = format!("validator {validator} can be slashed for {earlier:?} and {deed:?}");
            self.violations.push(Violation { at: Some(at), what });
        }
        deeds.push(deed);
    }
}
