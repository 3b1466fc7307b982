//! The curve work of a step, for all validators: in batches of some, on all cores.
//!
//! What a batch gives, and whom it blames, depends on what was said alone: neither on the number of cores nor on who is
//! faster. A batch that does not hold says so, and no more; whose fault it is, [`super::work`] finds item by item.

use super::inbox::Whole;
use super::plan::Plan;
use super::seal::{SealedValidator, Sealing};
use super::work::{Heard, Wrong, check_seed, share_at, signature_at};
use crypto::hashed::{HashedClaims, HashedRoot, all_hold, combine_checked};
use crypto::{PointError, PublicKeyPoint, SignaturePoint, cores, verify_hashed};
use keys::SecretShare;
use keys::frost::{CeremonySeed, Dealer, PrivateShare, Purpose, Round1, deal, finish};
use std::collections::BTreeMap;
use types::{ShareIndex, Signature, Threshold, ValidatorNo};
use zeroize::Zeroizing;

/// A new key, and this operator's share of it.
pub(super) struct Key {
    pub(super) group: PublicKeyPoint,
    /// Everybody's, in order of operator.
    pub(super) public_shares: Vec<PublicKeyPoint>,
    pub(super) share: SecretShare,
    /// What it signs.
    pub(super) roots: Vec<HashedRoot>,
}

/// One result a batch, in order.
fn batches<T: Sync, R: Send>(plan: &Plan, items: &[T], work: impl Fn(usize, &[T]) -> R + Sync) -> Vec<R> {
    plan.effort.begin(items.len());
    cores::map_chunks(items, plan.batch_len, |start, batch| {
        let result = work(start, batch);
        plan.effort.advance(batch.len());
        result
    })
}

/// The results of all batches, one after another, unless one is wrong.
fn joined<T>(batches: Vec<Result<Vec<T>, Wrong>>) -> Result<Vec<T>, Wrong> {
    let mut all = Vec::new();
    for batch in batches {
        all.extend(batch?);
    }
    Ok(all)
}

/// This operator as the dealer of each validator.
pub(super) fn dealers(plan: &Plan, seed: &CeremonySeed) -> Vec<Dealer> {
    let numbers: Vec<_> = plan.validators().collect();
    let dealer = |validator: &ValidatorNo| {
        Dealer::new(plan.size(), plan.me(), seed.stream(&plan.ceremony, *validator, Purpose::Dkg))
    };
    let all = batches(plan, &numbers, |_, batch| batch.iter().map(dealer).collect::<Vec<_>>());
    all.into_iter().flatten().collect()
}

/// Everybody's round 1 by validator, then by operator; and what this operator deals to each, all validators' shares
/// one after another.
pub(super) type Dealt = (Vec<Vec<Round1>>, Vec<Zeroizing<Vec<u8>>>);

/// Reads everybody's round 1, checks its proofs, and deals.
///
/// - `said`: everybody's contents in order of operator.
pub(super) fn read_and_deal(
    plan: &Plan,
    seed: &CeremonySeed,
    dealers: &[Dealer],
    said: &[&Whole],
) -> Result<Dealt, Wrong> {
    let check = check_seed(plan, seed);
    let row = |(validator, dealer): (usize, &Dealer)| -> Result<Vec<Round1>, Wrong> {
        let read = |operator: ShareIndex| {
            if operator == plan.me() {
                return Ok(dealer.round1().clone());
            }
            Round1::from_bytes(plan.size(), said[operator.position()].item(validator)).map_err(|_| Wrong)
        };
        plan.size().indices().map(read).collect()
    };
    let dealt = batches(plan, dealers, |start, batch| {
        let rows = (start..).zip(batch).map(row).collect::<Result<Vec<_>, _>>()?;
        let shares = deal(batch, &rows, &check).map_err(|_| Wrong)?;
        Ok(rows.into_iter().zip(shares).collect::<Vec<_>>())
    });
    let (rows, shares): (Vec<_>, Vec<_>) = joined(dealt)?.into_iter().unzip();
    let content = |to: ShareIndex| {
        let mut content = Zeroizing::new(Vec::with_capacity(PrivateShare::LEN * shares.len()));
        shares.iter().for_each(|to_each: &Vec<PrivateShare>| {
            content.extend_from_slice(to_each[to.position()].expose());
        });
        content
    };
    let contents = plan.size().indices().map(content).collect();
    Ok((rows, contents))
}

/// The keys that everybody's shares make, this operator's own among them.
///
/// - `own`: what this operator has dealt to itself.
pub(super) fn keys(
    plan: &Plan,
    sealing: &impl Sealing,
    round1: &[Vec<Round1>],
    own: &[u8],
    heard: &Heard<'_>,
) -> Result<Vec<Key>, Wrong> {
    let made = batches(plan, round1, |start, batch| {
        let key = |(at, row): (usize, &Vec<Round1>)| {
            let share = |dealer: ShareIndex| match heard.get(&dealer) {
                Some(whole) => share_at(whole.item(at)),
                None => share_at(&own[at * PrivateShare::LEN..]),
            };
            let shares: Vec<_> = plan.size().indices().map(share).collect();
            let key = finish(plan.size(), plan.me(), row, &shares).map_err(|_| Wrong)?;
            let validator = ValidatorNo(u32::try_from(at).expect("a setup counts validators in a u32"));
            let roots = sealing.signing_roots(validator, &key.group.bytes());
            assert!(roots.len() == plan.messages, "a definition has as many messages for each validator");
            Ok(Key {
                group: key.group,
                public_shares: key.public_shares,
                share: SecretShare::from_be_bytes(key.share.expose()).map_err(|_| Wrong)?,
                roots: roots.iter().map(HashedRoot::of).collect(),
            })
        };
        (start..).zip(batch).map(key).collect()
    });
    joined(made)
}

/// This operator's partial signatures: all messages of the first validator, then of the next.
pub(super) fn partials(plan: &Plan, keys: &[Key]) -> Vec<u8> {
    let signed = batches(plan, keys, |_, batch| {
        let sign = |key: &Key| -> Vec<Signature> {
            key.roots.iter().map(|root| key.share.sign_hashed(root)).collect()
        };
        batch.iter().flat_map(sign).flat_map(|signature| signature.0).collect::<Vec<u8>>()
    });
    signed.concat()
}

/// Combines everybody's partial signatures, and checks them with what they make.
///
/// A batch holds if every partial signature verifies under its author's share and every combined one under the new key.
///
/// - `said`: everybody's contents in order of operator.
pub(super) fn seal(
    plan: &Plan,
    seed: &CeremonySeed,
    keys: &[Key],
    said: &[&Whole],
) -> Result<Vec<SealedValidator>, Wrong> {
    let check = check_seed(plan, seed);
    let sealed = batches(plan, keys, |start, batch| {
        let mut claims = Vec::with_capacity(batch.len() * plan.messages);
        let mut sealed = Vec::with_capacity(batch.len());
        for (validator, key) in (start..).zip(batch) {
            let mut signatures = Vec::with_capacity(plan.messages);
            for (message, root) in key.roots.iter().enumerate() {
                let (combined, partials) = combined(plan, said, validator * plan.messages + message)?;
                signatures.push(combined.bytes());
                claims.push(HashedClaims { root, signatures: under_keys(key, combined, partials) });
            }
            let public_shares = key.public_shares.iter().map(PublicKeyPoint::bytes).collect();
            sealed.push(SealedValidator { group: key.group.bytes(), public_shares, signatures });
        }
        if all_hold(&claims, check) { Ok(sealed) } else { Err(Wrong) }
    });
    joined(sealed)
}

/// What everybody's partial signatures at a place make, and they themselves.
fn combined(
    plan: &Plan,
    said: &[&Whole],
    item: usize,
) -> Result<(SignaturePoint, Vec<(ShareIndex, SignaturePoint)>), Wrong> {
    let read = |operator: ShareIndex| {
        let partial = SignaturePoint::parse(&signature_at(said[operator.position()].item(item)));
        partial.map(|partial| (operator, partial)).map_err(|_| Wrong)
    };
    let partials = plan.size().indices().map(read).collect::<Result<Vec<_>, _>>()?;
    let threshold = Threshold(u8::try_from(plan.size().threshold()).expect("a threshold is a share index"));
    let combined =
        combine_checked(&partials, threshold).expect("n distinct partials, and t of them are enough");
    Ok((combined, partials))
}

fn under_keys(
    key: &Key,
    combined: SignaturePoint,
    partials: Vec<(ShareIndex, SignaturePoint)>,
) -> Vec<(&PublicKeyPoint, SignaturePoint)> {
    let of_shares =
        partials.into_iter().map(|(author, partial)| (&key.public_shares[author.position()], partial));
    of_shares.chain([(&key.group, combined)]).collect()
}

/// The first partial signature of each of those heard that does not verify alone, by its place.
///
/// - Cost: as of [`seal`] where all are good; in a batch where one is not, a verification for each up to that.
pub(super) fn bad_partials(
    plan: &Plan,
    seed: &CeremonySeed,
    keys: &[Key],
    heard: &Heard<'_>,
) -> BTreeMap<ShareIndex, usize> {
    let check = check_seed(plan, seed);
    let found = batches(plan, keys, |start, batch| {
        if heard_hold(plan, check, start, batch, heard) {
            return Vec::new();
        }
        let first_bad = |(author, whole): (&ShareIndex, &&Whole)| {
            let bad = |(item, (key, root)): &(usize, (&Key, &HashedRoot))| {
                let key = &key.public_shares[author.position()];
                let signature = SignaturePoint::parse(&signature_at(whole.item(*item)));
                !signature.is_ok_and(|s| !s.is_infinity() && verify_hashed(key, root.point(), &s))
            };
            let found = (start * plan.messages..).zip(roots_of(batch)).find(bad);
            found.map(|(item, _)| (*author, item))
        };
        heard.iter().filter_map(first_bad).collect()
    });
    let mut first = BTreeMap::new();
    for (author, item) in found.into_iter().flatten() {
        first.entry(author).or_insert(item);
    }
    first
}

fn heard_hold(plan: &Plan, check: [u8; 32], start: usize, batch: &[Key], heard: &Heard<'_>) -> bool {
    let claims = (start * plan.messages..).zip(roots_of(batch)).map(|(item, (key, root))| {
        let signature = |(author, whole): (&ShareIndex, &&Whole)| {
            let signature = SignaturePoint::parse(&signature_at(whole.item(item)));
            signature.map(|signature| (&key.public_shares[author.position()], signature))
        };
        let signatures = heard.iter().map(signature).collect::<Result<_, _>>()?;
        Ok(HashedClaims { root, signatures })
    });
    claims.collect::<Result<Vec<_>, PointError>>().is_ok_and(|claims| all_hold(&claims, check))
}

fn roots_of(batch: &[Key]) -> impl Iterator<Item = (&Key, &HashedRoot)> {
    batch.iter().flat_map(|key| key.roots.iter().map(move |root| (key, root)))
}
