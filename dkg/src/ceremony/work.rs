//! The work of each step: what this operator says, and whether what the others said is right.

use super::evidence::{Conflict, Evidence, Fault, Rules, bad_item};
use super::inbox::Whole;
use super::plan::{LOCK_SIGNATURE_LEN, Plan};
use super::seal::{
    CeremonyKey, Document, Halves, LockSignature, Outcome, SealedLock, SealedValidator, Sealing,
};
use super::wire::{Signed, Statement};
use super::{Step, plan};
use crypto::{PublicKeyPoint, aggregate, check_each, combine, fast_aggregate_verify, verify};
use keys::frost::{CeremonySeed, Dealer, PrivateShare, Purpose, Round1, finish};
use keys::{SecretShare, split};
use rand_core::RngCore as _;
use std::collections::BTreeMap;
use types::{NodeSignature, PublicKey, Root, ShareIndex, Signature, SigningRoot, Threshold, ValidatorNo};
use zeroize::Zeroizing;

/// A step cannot be completed with what was said. [`Work::faults`] finds out by whom.
#[derive(Debug)]
pub(super) struct Wrong;

/// What was heard in one step, by author, this operator left out.
pub(super) type Heard<'a> = BTreeMap<ShareIndex, &'a Whole>;

/// A new key, and this operator's share of it.
struct Key {
    group: PublicKey,
    group_point: PublicKeyPoint,
    public_shares: Vec<PublicKey>,
    points: Vec<PublicKeyPoint>,
    share: SecretShare,
    /// What it signs.
    roots: Vec<SigningRoot>,
}

/// What follows from the seed and from what was heard, as far as the ceremony has come.
#[derive(Default)]
pub(super) struct Work {
    /// One for each validator, until round 1 is complete.
    dealers: Vec<Dealer>,
    /// By validator, then by operator, from the end of round 1.
    round1: Vec<Vec<Round1>>,
    /// Everybody's round-1 statement, in order of operator.
    statements: Vec<Signed>,
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
                let stream = |validator| seed.stream(&plan.ceremony, validator, Purpose::Dkg);
                let dealer = |validator| Dealer::new(plan.size(), plan.me(), stream(validator));
                self.dealers = plan.validators().map(dealer).collect();
                self.dealers.iter().flat_map(|dealer| dealer.round1().to_bytes()).collect()
            }
            Step::Echo => self.statements.iter().flat_map(echo_item).collect(),
            Step::Round2 => return self.dealt[to.expect("round 2 goes to one").position()].clone(),
            Step::Seal => {
                let signed =
                    self.keys.iter().flat_map(|key| key.roots.iter().map(|root| key.share.sign(root)));
                signed.flat_map(|signature| signature.0).collect()
            }
            Step::Lock => self.lock_content(own.0, own.1),
            Step::Done => self.lock_hash.expect("the lock comes before its end").0.to_vec(),
            Step::Complaint => unreachable!("accusations are made of faults"),
        })
    }

    fn lock_content(&mut self, node: &impl CeremonyKey, sealing: &impl Sealing) -> Vec<u8> {
        let hash = sealing.lock_hash(&self.sealed);
        self.lock_hash = Some(hash);
        let root = SigningRoot::lock_hash(hash);
        let signatures: Vec<_> = self.keys.iter().map(|key| key.share.sign(&root)).collect();
        let sum = aggregate(&signatures).expect("there is a validator, and we made its signature");
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
            Step::Echo => self.nothing_wrong(plan, seed, with.0, step, heard),
            Step::Round1 => self.complete_round1(plan, own, heard),
            Step::Round2 => self.complete_round2(plan, with.1, heard),
            Step::Seal => self.complete_seal(plan, seed, own, heard),
            Step::Lock => {
                self.nothing_wrong(plan, seed, with.0, step, heard)?;
                self.complete_lock(plan, own, heard);
                Ok(())
            }
            Step::Complaint => Ok(()),
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

    fn complete_round1(&mut self, plan: &Plan, own: &Whole, heard: &Heard<'_>) -> Result<(), Wrong> {
        let said = |operator: ShareIndex| heard.get(&operator).copied().unwrap_or(own);
        let all: Vec<_> = plan.size().indices().map(said).collect();
        let mut table = Vec::with_capacity(self.dealers.len());
        for validator in 0..self.dealers.len() {
            let row = all.iter().map(|whole| Round1::from_bytes(plan.size(), whole.item(validator)));
            table.push(row.collect::<Result<Vec<_>, _>>().map_err(|_| Wrong)?);
        }
        let share_len = PrivateShare::LEN;
        let empty = || Zeroizing::new(Vec::with_capacity(share_len * table.len()));
        let mut dealt: Vec<_> = all.iter().map(|_| empty()).collect();
        for (dealer, row) in std::mem::take(&mut self.dealers).into_iter().zip(&table) {
            let shares = dealer.deal(row).map_err(|_| Wrong)?;
            for (content, share) in dealt.iter_mut().zip(&shares) {
                content.extend_from_slice(share.expose());
            }
        }
        self.statements = all.iter().map(|whole| whole.signed).collect();
        (self.round1, self.dealt) = (table, dealt);
        Ok(())
    }

    fn complete_round2(
        &mut self,
        plan: &Plan,
        sealing: &impl Sealing,
        heard: &Heard<'_>,
    ) -> Result<(), Wrong> {
        let mut keys = Vec::with_capacity(self.round1.len());
        for (validator, row) in plan.validators().zip(&self.round1) {
            let at = validator.0 as usize;
            let own = share_at(&self.dealt[plan.me().position()][at * PrivateShare::LEN..]);
            let share = |dealer: ShareIndex| heard.get(&dealer).map(|whole| share_at(whole.item(at)));
            let shares: Vec<_> =
                plan.size().indices().map(|dealer| share(dealer).unwrap_or_else(|| own.clone())).collect();
            let key = finish(plan.size(), plan.me(), row, &shares).map_err(|_| Wrong)?;
            let points: Result<Vec<_>, _> = key.public_shares.iter().map(PublicKeyPoint::parse).collect();
            let roots = sealing.signing_roots(validator, &key.group);
            assert!(roots.len() == plan.messages, "a definition has as many messages for each validator");
            keys.push(Key {
                group: key.group,
                group_point: PublicKeyPoint::parse(&key.group).map_err(|_| Wrong)?,
                points: points.map_err(|_| Wrong)?,
                public_shares: key.public_shares,
                share: SecretShare::from_be_bytes(key.share.expose()).map_err(|_| Wrong)?,
                roots,
            });
        }
        self.keys = keys;
        Ok(())
    }

    fn complete_seal(
        &mut self,
        plan: &Plan,
        seed: &CeremonySeed,
        own: &Whole,
        heard: &Heard<'_>,
    ) -> Result<(), Wrong> {
        if !self.bad_partials(plan, seed, heard).is_empty() {
            return Err(Wrong);
        }
        let said = |operator: ShareIndex| heard.get(&operator).copied().unwrap_or(own);
        let threshold = Threshold(plan.size().threshold() as u8);
        let mut sealed = Vec::with_capacity(self.keys.len());
        let mut claims = Vec::with_capacity(self.keys.len() * plan.messages);
        for (validator, key) in self.keys.iter().enumerate() {
            let mut signatures = Vec::with_capacity(plan.messages);
            for (message, root) in key.roots.iter().enumerate() {
                let item = validator * plan.messages + message;
                let partial = |operator| (operator, signature_at(said(operator).item(item)));
                let partials: Vec<_> = plan.size().indices().map(partial).collect();
                let signature = combine(&partials, threshold).expect("n distinct partials that verify");
                claims.push((*root, key.group_point, signature));
                signatures.push(signature);
            }
            let (group, public_shares) = (key.group, key.public_shares.clone());
            sealed.push(SealedValidator { group, public_shares, signatures });
        }
        let works = check_each(&claims, check_seed(plan, seed)).0;
        assert!(
            works.is_ok(),
            "partials that verify under shares of one polynomial combine to its signature"
        );
        self.sealed = sealed;
        Ok(())
    }

    fn complete_lock(&mut self, plan: &Plan, own: &Whole, heard: &Heard<'_>) {
        let said = |operator: ShareIndex| heard.get(&operator).copied().unwrap_or(own);
        let items: Vec<_> =
            plan.size().indices().map(|operator| LockItem::parse(said(operator).item(0))).collect();
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
        let judge = Judge { plan, node, work: self };
        let first_bad = |whole: &Whole| {
            let broken =
                |(index, item): (usize, &[u8])| judge.breaks(&whole.signed, index, item) == Some(true);
            whole.items().enumerate().position(broken).map(|index| bad_item(whole, index))
        };
        let mut faults: Vec<_> = heard.values().filter_map(|whole| first_bad(whole)).collect();
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
        let roots = || self.keys.iter().flat_map(|key| key.roots.iter().map(move |root| (key, root)));
        let claims: Vec<_> = heard
            .iter()
            .flat_map(|(author, whole)| {
                roots()
                    .zip(whole.items())
                    .map(|((key, root), item)| (*root, key.points[author.position()], signature_at(item)))
            })
            .collect();
        let Err(bad) = check_each(&claims, check_seed(plan, seed)).0 else { return Vec::new() };
        let per_author = plan.validators().count() * plan.messages;
        let first_of = |(place, whole): (usize, &&Whole)| {
            let first = bad.iter().find(|position| *position / per_author == place)?;
            Some(bad_item(whole, first % per_author))
        };
        heard.values().enumerate().filter_map(first_of).collect()
    }
}

/// The rules of contents, by what this operator knows.
pub(super) struct Judge<'a, N> {
    pub(super) plan: &'a Plan,
    pub(super) node: &'a N,
    pub(super) work: &'a Work,
}

impl<N: CeremonyKey> Rules for Judge<'_, N> {
    fn breaks(&self, signed: &Signed, index: usize, item: &[u8]) -> Option<bool> {
        let (author, size, work) = (signed.statement.author, self.plan.size(), self.work);
        match signed.statement.step {
            Step::Gather => Some(item != self.plan.hello()),
            Step::Round1 => {
                let right = Round1::from_bytes(size, item).and_then(|round1| round1.check(size, author));
                Some(right.is_err())
            }
            Step::Echo => {
                let of = size.indices().nth(index)?;
                let known = work.statements.get(index).map(|signed| signed.statement.root);
                let echoed = echoed(self.plan, of, item);
                Some(known != Some(echoed.statement.root) && !echoed.is_signed(self.node))
            }
            Step::Round2 => {
                let recipient = ShareIndex::new(signed.statement.to).filter(|to| size.contains(*to));
                let Some(recipient) = recipient else { return Some(true) };
                let round1 = &work.round1.get(index)?[author.position()];
                Some(!round1.fits(recipient, &share_at(item)))
            }
            Step::Seal => {
                let key = work.keys.get(index / self.plan.messages)?;
                let root = &key.roots[index % self.plan.messages];
                Some(!verify(&key.points[author.position()], &root.root().0, &signature_at(item)))
            }
            Step::Lock => self.breaks_lock(author, &LockItem::parse(item)),
            Step::Done => Some(item != work.lock_hash?.0),
            Step::Complaint => None,
        }
    }
}

impl<N: CeremonyKey> Judge<'_, N> {
    fn breaks_lock(&self, author: ShareIndex, item: &LockItem) -> Option<bool> {
        let hash = self.work.lock_hash?;
        if item.hash != hash || !self.node.verify_lock(author, &hash, &item.node) {
            return Some(true);
        }
        if self.work.keys.is_empty() {
            return None;
        }
        let shares: Vec<_> = self.work.keys.iter().map(|key| key.points[author.position()]).collect();
        Some(!fast_aggregate_verify(&shares, &hash.0, &item.sum))
    }
}

struct LockItem {
    hash: Root,
    sum: Signature,
    node: LockSignature,
}

impl LockItem {
    fn parse(item: &[u8]) -> Self {
        let (hash, rest) = item.split_at(Root::LEN);
        let (sum, node) = rest.split_at(Signature::LEN);
        Self { hash: Root(array(hash)), sum: signature_at(sum), node: array::<LOCK_SIGNATURE_LEN>(node) }
    }
}

fn echo_item(signed: &Signed) -> Vec<u8> {
    [signed.statement.root.0.as_slice(), &signed.signature.0].concat()
}

/// The round-1 statement of `author` that an echo's item stands for.
fn echoed(plan: &Plan, author: ShareIndex, item: &[u8]) -> Signed {
    let (root, signature) = item.split_at(Root::LEN);
    let length = plan.shape(Step::Round1).map_or(0, plan::Shape::len) as u32;
    let (ceremony, root) = (plan.ceremony, Root(array(root)));
    let statement = Statement { ceremony, author, step: Step::Round1, to: 0, length, root };
    Signed { statement, signature: NodeSignature(array(signature)) }
}

/// The first share of these bytes.
fn share_at(bytes: &[u8]) -> PrivateShare {
    PrivateShare::from_bytes(array(&bytes[..PrivateShare::LEN]))
}

fn signature_at(item: &[u8]) -> Signature {
    Signature(array(item))
}

/// Items have the length of their step: [`super::wire::shape_of`] is the only door.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("an item of its step's length")
}

fn check_seed(plan: &Plan, seed: &CeremonySeed) -> [u8; 32] {
    let mut bytes = [0; 32];
    seed.stream(&plan.ceremony, ValidatorNo(0), Purpose::Check).fill_bytes(&mut bytes);
    bytes
}
