//! The work of each step: what this operator says, and whether what the others said is right.

use super::batch::{self, Key};
use super::evidence::{Conflict, Evidence, Fault, Said, Shown};
use super::inbox::Whole;
use super::judge::{echo_is_bad, round1_is_bad};
use super::plan::{LOCK_SIGNATURE_LEN, Plan};
use super::seal::{
    CeremonyKey, CeremonyPeers, Document, Halves, LockSignature, Outcome, SealedLock, SealedValidator,
    Sealing,
};
use super::wire::{Signed, Statement};
use super::{Step, plan};
use crypto::{aggregate, cores, fast_aggregate_verify};
use keys::frost::{CeremonySeed, Dealer, PrivateShare, Purpose, Round1, round1_len};
use keys::{SecretShare, split};
use rand_core::RngCore as _;
use std::collections::BTreeMap;
use types::{NodeSignature, Root, ShareIndex, Signature, SigningRoot, ValidatorNo};
use zeroize::Zeroizing;

/// A step cannot be completed with what was said. [`Work::faults`] finds out by whom.
#[derive(Debug)]
pub(super) struct Wrong;

/// What was heard in one step, by author, this operator left out.
pub(super) type Heard<'a> = BTreeMap<ShareIndex, &'a Whole>;

/// What follows from the seed and from what was heard, as far as the ceremony has come.
#[derive(Default)]
pub(super) struct Work {
    /// One for each validator, until round 1 is complete.
    dealers: Vec<Dealer>,
    /// By validator, then by operator, from the end of round 1.
    round1: Vec<Vec<Round1>>,
    /// Everybody's round-1 statement, in order of operator.
    statements: Vec<Signed>,
    /// The others' echoes, from the end of that step: what a wrong partial signature is measured by.
    echoes: BTreeMap<ShareIndex, Said>,
    /// Round-2 contents by recipient, from the end of round 1.
    dealt: Vec<Zeroizing<Vec<u8>>>,
    /// From the end of round 2.
    keys: Vec<Key>,
    /// From the end of the seal.
    sealed: Vec<SealedValidator>,
    lock_hash: Option<Root>,
    /// From the end of the lock.
    lock: Option<SealedLock>,
}

impl Work {
    /// What this operator says in a step; in round 2 to one other.
    pub(super) fn content(
        &mut self,
        plan: &Plan,
        seed: &CeremonySeed,
        own: (&impl CeremonyKey, &impl Sealing),
        step: Step,
        to: Option<ShareIndex>,
    ) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match step {
            Step::Gather => plan.hello(),
            Step::Round1 => {
                self.dealers = batch::dealers(plan, seed);
                self.dealers.iter().flat_map(|dealer| dealer.round1().bytes()).copied().collect()
            }
            Step::Echo => self.statements.iter().flat_map(echo_item).collect(),
            Step::Round2 => return self.dealt[to.expect("round 2 goes to one").position()].clone(),
            Step::Seal => batch::partials(plan, &self.keys),
            Step::Lock => self.lock_content(own.0, own.1),
            Step::Done | Step::Farewell => self.lock_hash.expect("the lock comes before its end").0.to_vec(),
            Step::Complaint => unreachable!("accusations are made of faults"),
        })
    }

    fn lock_content(&mut self, node: &impl CeremonyKey, sealing: &impl Sealing) -> Vec<u8> {
        let hash = sealing.lock_hash(&self.sealed);
        self.lock_hash = Some(hash);
        let shares = self.keys.iter().map(|key| &key.share);
        let sum = SecretShare::sign_together(shares, &SigningRoot::lock_hash(hash));
        [hash.0.as_slice(), &sum.0, &node.sign_lock(&hash)].concat()
    }

    /// Takes what everybody said in a step, and computes what follows.
    ///
    /// - `own`: this operator's own message of the step.
    pub(super) fn complete(
        &mut self,
        plan: &Plan,
        seed: &CeremonySeed,
        with: (&impl CeremonyKey, &impl Sealing),
        step: Step,
        own: &Whole,
        heard: &Heard<'_>,
    ) -> Result<(), Wrong> {
        match step {
            Step::Gather | Step::Done => self.nothing_wrong(plan, seed, with.0, step, heard),
            Step::Echo => {
                self.nothing_wrong(plan, seed, with.0, step, heard)?;
                let said = |whole: &Whole| Said { signed: whole.signed, content: whole.content.to_vec() };
                self.echoes = heard.iter().map(|(author, whole)| (*author, said(whole))).collect();
                Ok(())
            }
            Step::Round1 => self.complete_round1(plan, seed, own, heard),
            Step::Round2 => self.complete_round2(plan, with.1, heard),
            Step::Seal => self.complete_seal(plan, seed, own, heard),
            Step::Lock => {
                self.nothing_wrong(plan, seed, with.0, step, heard)?;
                self.complete_lock(plan, own, heard);
                Ok(())
            }
            Step::Farewell | Step::Complaint => Ok(()),
        }
    }

    fn nothing_wrong(
        &self,
        plan: &Plan,
        seed: &CeremonySeed,
        node: &impl CeremonyKey,
        step: Step,
        heard: &Heard<'_>,
    ) -> Result<(), Wrong> {
        if self.faults(plan, seed, node, step, heard).is_empty() { Ok(()) } else { Err(Wrong) }
    }

    fn complete_round1(
        &mut self,
        plan: &Plan,
        seed: &CeremonySeed,
        own: &Whole,
        heard: &Heard<'_>,
    ) -> Result<(), Wrong> {
        let said = said_by_all(plan, own, heard);
        (self.round1, self.dealt) = batch::read_and_deal(plan, seed, &self.dealers, &said)?;
        self.dealers = Vec::new();
        self.statements = said.iter().map(|whole| whole.signed).collect();
        Ok(())
    }

    fn complete_round2(
        &mut self,
        plan: &Plan,
        sealing: &impl Sealing,
        heard: &Heard<'_>,
    ) -> Result<(), Wrong> {
        self.keys = batch::keys(plan, sealing, &self.round1, &self.dealt[plan.me().position()], heard)?;
        Ok(())
    }

    fn complete_seal(
        &mut self,
        plan: &Plan,
        seed: &CeremonySeed,
        own: &Whole,
        heard: &Heard<'_>,
    ) -> Result<(), Wrong> {
        let said = said_by_all(plan, own, heard);
        self.sealed = batch::seal(plan, seed, &self.keys, &said)?;
        Ok(())
    }

    fn complete_lock(&mut self, plan: &Plan, own: &Whole, heard: &Heard<'_>) {
        let items: Vec<_> =
            said_by_all(plan, own, heard).iter().map(|whole| LockItem::parse(whole.item(0))).collect();
        let sums: Vec<_> = items.iter().map(|item| item.sum).collect();
        self.lock = Some(SealedLock {
            lock_hash: self.lock_hash.expect("our own lock message computed it"),
            validators: self.sealed.clone(),
            signature_aggregate: aggregate(&sums).expect("signatures that verify are points"),
            node_signatures: items.iter().map(|item| item.node).collect(),
        });
    }

    /// What must lie on disk. Splits the shares: `None` if that was done before or the lock is not complete.
    pub(super) fn outcome(
        &mut self,
        plan: &Plan,
        seed: &CeremonySeed,
        sealing: &impl Sealing,
    ) -> Option<Outcome> {
        let lock = self.lock.clone()?;
        let documents: Vec<Document> = sealing.documents(&lock);
        let keys = std::mem::take(&mut self.keys);
        let halves = plan.validators().zip(keys).map(|(validator, key)| {
            let (vc, node) = split(key.share, &mut seed.stream(&plan.ceremony, validator, Purpose::Split));
            Halves { vc, node }
        });
        Some(Outcome { lock, documents, halves: halves.collect() })
    }

    /// Who of those heard did wrong in this step: the first bad item of each.
    pub(super) fn faults(
        &self,
        plan: &Plan,
        seed: &CeremonySeed,
        node: &impl CeremonyKey,
        step: Step,
        heard: &Heard<'_>,
    ) -> Vec<Fault> {
        if step == Step::Seal {
            return self.bad_partials(plan, seed, heard);
        }
        let first_bad = |whole: &&Whole| {
            let broken = |(index, item): (usize, &[u8])| self.breaks(plan, node, &whole.signed, index, item);
            whole.items().enumerate().position(broken)
        };
        let wholes: Vec<_> = heard.values().copied().collect();
        let found = wholes.iter().zip(cores::map(&wholes, first_bad));
        let mut faults: Vec<_> =
            found.filter_map(|(whole, index)| Some(self.bad_item(plan, whole, index?))).collect();
        if step == Step::Echo {
            faults.extend(self.contradictions(plan, node, heard));
        }
        faults
    }

    /// Operators that signed another round 1 for somebody else than for us: at most one fault for each.
    fn contradictions(&self, plan: &Plan, node: &impl CeremonyKey, heard: &Heard<'_>) -> Vec<Fault> {
        let mut faults = BTreeMap::new();
        for whole in heard.values() {
            for (ours, item) in self.statements.iter().zip(whole.items()) {
                let theirs = echoed(plan, ours.statement.author, item);
                if theirs.statement.root != ours.statement.root && theirs.is_signed(node) {
                    let culprit = ours.statement.author;
                    let evidence = Evidence::Conflict(Conflict { first: *ours, second: theirs });
                    faults.entry(culprit).or_insert(Fault { culprit, evidence });
                }
            }
        }
        faults.into_values().collect()
    }

    fn bad_partials(&self, plan: &Plan, seed: &CeremonySeed, heard: &Heard<'_>) -> Vec<Fault> {
        let bad = batch::bad_partials(plan, seed, &self.keys, heard);
        bad.into_iter().map(|(author, item)| self.bad_item(plan, heard[&author], item)).collect()
    }

    /// Whether an item of a message of the step under way breaks its rule, by what this operator has computed.
    fn breaks(
        &self,
        plan: &Plan,
        node: &impl CeremonyKey,
        signed: &Signed,
        index: usize,
        item: &[u8],
    ) -> bool {
        let author = signed.statement.author;
        match signed.statement.step {
            Step::Gather => item != plan.hello(),
            Step::Round1 => round1_is_bad(plan.size(), author, item),
            Step::Echo => {
                let as_heard = self.statements.get(index).is_some_and(|ours| item == echo_item(ours));
                !as_heard && echo_is_bad(plan, node, index, item)
            }
            Step::Round2 => !self.round1[index][author.position()].fits(plan.me(), &share_at(item)),
            Step::Seal => unreachable!("partial signatures are checked together"),
            Step::Lock => {
                let item = LockItem::parse(item);
                !item.is_signed(node, author) || self.lock_is_bad(author, &item) == Some(true)
            }
            Step::Done | Step::Farewell => self.lock_hash.is_some_and(|hash| item != hash.0),
            Step::Complaint => unreachable!("accusations are judged, not collected"),
        }
    }

    /// The evidence that an item is bad, with what its rule needs.
    fn bad_item(&self, plan: &Plan, whole: &Whole, index: usize) -> Fault {
        let author = whole.signed.statement.author;
        let (round1, echo) = match whole.signed.statement.step {
            Step::Round2 => (vec![self.shown_round1(plan, author, index)], Vec::new()),
            Step::Seal => {
                let shown = |dealer| self.shown_round1(plan, dealer, index / plan.messages);
                (plan.size().indices().map(shown).collect(), vec![self.echoes[&author].clone()])
            }
            Step::Gather
            | Step::Round1
            | Step::Echo
            | Step::Lock
            | Step::Done
            | Step::Farewell
            | Step::Complaint => (Vec::new(), Vec::new()),
        };
        Fault::item(whole, index, round1, echo)
    }

    /// Somebody's commitments of a validator: the content is put together again from what was read of it.
    fn shown_round1(&self, plan: &Plan, dealer: ShareIndex, validator: usize) -> Shown {
        let bytes = self.round1.iter().flat_map(|row| row[dealer.position()].bytes());
        let content: Vec<u8> = bytes.copied().collect();
        Shown::of(self.statements[dealer.position()], &content, round1_len(plan.size()), validator)
    }

    /// The lock's hash, once this operator has computed it.
    pub(super) const fn lock_hash(&self) -> Option<Root> {
        self.lock_hash
    }

    /// Whether a lock message has another hash, or a sum that is not of its author's shares; `None` if that is not known.
    pub(super) fn lock_is_bad(&self, author: ShareIndex, item: &LockItem) -> Option<bool> {
        let hash = self.lock_hash?;
        if item.hash != hash {
            return Some(true);
        }
        if self.keys.is_empty() {
            return None;
        }
        let shares: Vec<_> = self.keys.iter().map(|key| key.public_shares[author.position()]).collect();
        Some(!fast_aggregate_verify(&shares, &hash.0, &item.sum))
    }
}

/// What somebody says in the lock's step.
pub(super) struct LockItem {
    hash: Root,
    sum: Signature,
    node: LockSignature,
}

impl LockItem {
    pub(super) fn parse(item: &[u8]) -> Self {
        let (hash, rest) = item.split_at(Root::LEN);
        let (sum, node) = rest.split_at(Signature::LEN);
        Self { hash: Root(array(hash)), sum: signature_at(sum), node: array::<LOCK_SIGNATURE_LEN>(node) }
    }

    /// Whether the node's signature is one over the hash beside it, whatever that is.
    pub(super) fn is_signed(&self, peers: &impl CeremonyPeers, author: ShareIndex) -> bool {
        peers.verify_lock(author, &self.hash, &self.node)
    }
}

/// What everybody said in a step, in order of operator.
fn said_by_all<'a>(plan: &Plan, own: &'a Whole, heard: &Heard<'a>) -> Vec<&'a Whole> {
    plan.size().indices().map(|operator| heard.get(&operator).copied().unwrap_or(own)).collect()
}

fn echo_item(signed: &Signed) -> Vec<u8> {
    [signed.statement.root.0.as_slice(), &signed.signature.0].concat()
}

/// The round-1 statement of `author` that an echo's item stands for.
pub(super) fn echoed(plan: &Plan, author: ShareIndex, item: &[u8]) -> Signed {
    let (root, signature) = item.split_at(Root::LEN);
    let length = plan.shape(Step::Round1).map_or(0, plan::Shape::len) as u32;
    let (ceremony, root) = (plan.ceremony, Root(array(root)));
    let statement = Statement { ceremony, author, step: Step::Round1, to: 0, length, root };
    Signed { statement, signature: NodeSignature(array(signature)) }
}

/// The first share of these bytes.
pub(super) fn share_at(bytes: &[u8]) -> PrivateShare {
    PrivateShare::from_bytes(array(&bytes[..PrivateShare::LEN]))
}

pub(super) fn signature_at(item: &[u8]) -> Signature {
    Signature(array(item))
}

/// Items have the length of their step: [`super::wire::shape_of`] is the only door.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("an item of its step's length")
}

/// What coefficients of batch checks are drawn from.
pub(super) fn check_seed(plan: &Plan, seed: &CeremonySeed) -> [u8; 32] {
    let mut bytes = [0; 32];
    seed.stream(&plan.ceremony, ValidatorNo(0), Purpose::Check).fill_bytes(&mut bytes);
    bytes
}
