//! The slot check: everything that validators of a cluster sign in a slot, combined first and verified once.
//!
//! Validator `v` has group key `P_v`, public shares `P_{v,i}`, partial signatures `S_{v,i}` over its root `m_v`:
//!
//! 1. Combine `t` partials of each validator, unverified: `S_v`. Of more than `t`, those that combine with the least work.
//! 2. Check that each `S_v` is in the subgroup and not infinity.
//! 3. Hash each root once and check all `S_v` under `P_v` at once ([`crate::check`]): `roots + 1` pairings.
//! 4. If all hold, done. Otherwise, for the validators that failed (all of them, when step 3 did): for each
//!    operator, subgroup-check its partials and check all of them under its public shares at once; search inside a
//!    batch that fails for bad ones. After [`EVIDENCE_MAX`] of them enough is proved against the operator: the rest of its
//!    batch is doubted, and looked at only where a validator has too few others.
//! 5. Combine the failed validators again from partials that are good, and check the results as in 2 and 3, with a
//!    search, so that one lock with inconsistent shares costs only its own validator.
//!
//! - **Soundness.** No signature comes out that did not pass step 3 or 5: wrong with probability at most `2^-128` per
//!   check. An operator is named only for bytes that are no point, a point outside the subgroup, infinity, or
//!   a failed equation of its own (after a search whose checks passed with that probability).
//! - **Completeness.** A validator with `t` good partials gets its signature, whatever the others are, if its public
//!   shares belong to its group key. Errors of several operators may cancel; then `S_v` is the right signature,
//!   and is taken.
//! - **Cost.** All honest: per validator `t` uncompressions, one short combination and one subgroup check, then
//!   one check for everything. A slot with a cheat: one check more per operator, a short search in the cheat's batch, one
//!   check at the end. The search is paid once if callers leave out for a while the partials of operators who were
//!   caught. Partials that are not chosen are not looked at unless step 4 needs them.

use crate::check::{Checker, Claim, Cost};
use crate::combine::interpolate_with;
use crate::hashed::RecentRoots;
use crate::lagrange::Quorums;
use crate::point::UncheckedG2;
use crate::signature::{PublicKeyPoint, SignaturePoint, UncheckedSignature};
use std::collections::BTreeSet;
use types::{ShareIndex, Signature, SigningRoot, Threshold};

/// Bad partials of one operator that are searched for in a slot: more evidence says nothing more of it, and each costs a
/// check of its own. With this, an operator that sends only garbage costs its cluster some three honest slots, once.
pub const EVIDENCE_MAX: usize = 4;

/// One validator's partial signatures over one root.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// What is signed. Jobs over one root share a hash and a pairing, in whatever order they come.
    pub root: SigningRoot,
    /// The validator's key.
    pub group_key: &'a PublicKeyPoint,
    /// Public shares of operators `1..=n`, in order.
    pub public_shares: &'a [PublicKeyPoint],
    /// Partials that make a signature.
    pub threshold: Threshold,
    /// In any order; of two by one operator the first counts.
    pub partials: &'a [(ShareIndex, Signature)],
    /// The caller's own partial, as it was made: its bytes among the partials are not read again.
    pub own: Option<SignaturePoint>,
}

/// What came of a [`Job`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The validator's signature, verified; `None` with fewer than `t` good partials.
    pub signature: Option<Signature>,
    /// Operators whose partial is bad, in order; each is proved. Empty does not mean that all are good: partials
    /// that were not needed are not looked at, nor are all of an operator against whom enough is proved.
    pub culprits: Vec<ShareIndex>,
}

/// Combines and verifies the signatures of a slot; names who sent bad partials.
///
/// - Returns one result per job, in order, and what it cost.
/// - `roots`: where a root is looked up that was signed a moment ago, and kept for whoever comes next.
/// - `seed`: fresh randomness that no operator could foresee.
/// - Errors: none; a bad partial is its author's, an operator without a public share is named like one.
/// - Cost, soundness: see the module.
pub fn settle(jobs: &[Job<'_>], roots: &RecentRoots, seed: [u8; 32]) -> (Vec<Settled>, Cost) {
    let mut checker = Checker::with_roots(seed, roots);
    let mut quorums = Quorums::default();
    let mut seats: Vec<_> = jobs.iter().map(Seat::new).collect();
    combine_open(&mut seats, &mut quorums);
    accept_all_or_none(&mut seats, &mut checker);
    if seats.iter().any(Seat::is_open) {
        blame(&mut seats, &mut checker, EVIDENCE_MAX);
        seats.iter_mut().for_each(Seat::trust_if_needed);
        blame(&mut seats, &mut checker, usize::MAX);
        combine_open(&mut seats, &mut quorums);
        accept_each(&mut seats, &mut checker);
    }
    (seats.into_iter().map(Seat::settled).collect(), checker.cost)
}

/// A job and how far it has come.
struct Seat<'a> {
    job: Job<'a>,
    partials: Vec<Partial<'a>>,
    /// Operators of whom there is no public share.
    strangers: BTreeSet<ShareIndex>,
    state: State,
}

enum State {
    /// No signature yet.
    Open,
    /// Combined and in the subgroup, not verified.
    Combined(SignaturePoint),
    /// Verified.
    Accepted(Signature),
    /// Fewer than `t` partials are left, or public shares and group key do not belong together.
    Lost,
}

struct Partial<'a> {
    index: ShareIndex,
    key: &'a PublicKeyPoint,
    bytes: Signature,
    mark: Mark,
}

#[derive(Clone, Copy)]
enum Mark {
    Unread,
    /// On the curve, not infinity.
    Read(UncheckedSignature),
    /// Verified under the operator's public share.
    Good(SignaturePoint),
    /// Not verified, by an operator against whom enough is proved: combined only after a look at it alone.
    Doubted(UncheckedSignature),
    Bad,
}

impl Partial<'_> {
    /// The point, if nothing is known against it; read at the first call.
    fn usable(&mut self) -> Option<UncheckedSignature> {
        if let Mark::Unread = self.mark {
            let parsed =
                UncheckedSignature::parse(&self.bytes).ok().filter(|_| self.bytes != Signature::INFINITY);
            self.mark = parsed.map_or(Mark::Bad, Mark::Read);
        }
        match self.mark {
            Mark::Read(point) => Some(point),
            Mark::Good(point) => Some(point.into()),
            Mark::Unread | Mark::Doubted(_) | Mark::Bad => None,
        }
    }

    /// The point in the subgroup; one outside is bad.
    fn checked(&mut self) -> Option<SignaturePoint> {
        let checked = self.usable()?.check().ok();
        if checked.is_none() {
            self.mark = Mark::Bad;
        }
        checked
    }

    fn is_bad(&self) -> bool {
        matches!(self.mark, Mark::Bad)
    }

    fn is_doubted(&self) -> bool {
        matches!(self.mark, Mark::Doubted(_))
    }
}

impl<'a> Seat<'a> {
    fn new(job: &Job<'a>) -> Self {
        let mut seat =
            Self { job: *job, partials: Vec::new(), strangers: BTreeSet::new(), state: State::Open };
        for (index, bytes) in job.partials {
            if seat.partials.iter().any(|partial| partial.index == *index) {
                continue;
            }
            match job.public_shares.get(index.position()) {
                Some(key) => {
                    let own = job.own.filter(|own| own.bytes() == *bytes && !own.is_infinity());
                    let mark = own.map_or(Mark::Unread, |own| Mark::Read(own.into()));
                    seat.partials.push(Partial { index: *index, key, bytes: *bytes, mark });
                }
                None => _ = seat.strangers.insert(*index),
            }
        }
        seat
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Combines `t` partials that nothing is known against, those that take the least work; `None` if there are fewer.
    fn combine(&mut self, quorums: &mut Quorums) -> Option<UncheckedG2> {
        // A threshold of 0 would make a signature of nothing.
        let need = usize::from(self.job.threshold.0).max(1);
        loop {
            let left = self.partials.iter().filter(|partial| !partial.is_bad() && !partial.is_doubted());
            let chosen = quorums.choose(left.map(|partial| partial.index).collect(), need)?;
            let partials = &mut self.partials;
            let read = |index: &ShareIndex| partials.iter_mut().find(|one| one.index == *index)?.usable();
            let points: Option<Vec<_>> = chosen.indices.iter().map(read).collect();
            // Otherwise one of them is bad, which leaves fewer to choose from.
            if let Some(points) = points {
                return Some(interpolate_with(
                    &chosen.coefficients,
                    points.iter().map(|point| *point.point()),
                ));
            }
        }
    }

    /// Has doubted partials looked at again, where without them there are too few.
    fn trust_if_needed(&mut self) {
        let need = usize::from(self.job.threshold.0);
        let good = self.partials.iter().filter(|partial| matches!(partial.mark, Mark::Good(_))).count();
        if !self.is_open() || good >= need {
            return;
        }
        for partial in &mut self.partials {
            if let Mark::Doubted(point) = partial.mark {
                partial.mark = Mark::Read(point);
            }
        }
    }

    fn settled(self) -> Settled {
        let bad = self.partials.iter().filter(|partial| partial.is_bad()).map(|partial| partial.index);
        let culprits: BTreeSet<_> = bad.chain(self.strangers).collect();
        let signature = if let State::Accepted(signature) = self.state { Some(signature) } else { None };
        Settled { signature, culprits: culprits.into_iter().collect() }
    }
}

/// Steps 1 and 2 for all open seats: combined, lost for want of partials, or still open when the combination is
/// no point that could be a signature.
fn combine_open(seats: &mut [Seat<'_>], quorums: &mut Quorums) {
    let mut numbers = Vec::new();
    let mut combined = Vec::new();
    for (no, seat) in seats.iter_mut().enumerate().filter(|(_, seat)| seat.is_open()) {
        match seat.combine(quorums) {
            Some(point) => {
                numbers.push(no);
                combined.push(point);
            }
            None => seat.state = State::Lost,
        }
    }
    for (no, point) in numbers.into_iter().zip(UncheckedG2::all_to_affine(&combined)) {
        let checked = UncheckedSignature::new(point).check();
        if let Some(signature) = checked.ok().filter(|signature| !signature.is_infinity()) {
            seats[no].state = State::Combined(signature);
        }
    }
}

/// Step 3: one check of all that is combined; if it fails, all of it is open again.
fn accept_all_or_none(seats: &mut [Seat<'_>], checker: &mut Checker<'_>) {
    let (_, claims) = combined_claims(seats, checker);
    let hold = checker.all_hold(&claims);
    for seat in seats {
        if let State::Combined(signature) = &seat.state {
            seat.state = if hold { State::Accepted(signature.bytes()) } else { State::Open };
        }
    }
}

/// Step 5: accepts what holds; what does not is lost, since it is made of good partials.
fn accept_each(seats: &mut [Seat<'_>], checker: &mut Checker<'_>) {
    let (numbers, claims) = combined_claims(seats, checker);
    let wrong: BTreeSet<_> = checker.find_false(&claims).into_iter().map(|found| numbers[found]).collect();
    for (no, seat) in seats.iter_mut().enumerate() {
        seat.state = match &seat.state {
            State::Combined(signature) if !wrong.contains(&no) => State::Accepted(signature.bytes()),
            State::Accepted(signature) => State::Accepted(*signature),
            State::Combined(_) | State::Open | State::Lost => State::Lost,
        };
    }
}

/// A claim for each combined signature, with the number of its seat.
fn combined_claims<'s>(seats: &'s [Seat<'_>], checker: &mut Checker<'_>) -> (Vec<usize>, Vec<Claim<'s>>) {
    let combined = seats.iter().enumerate().filter_map(|(no, seat)| match &seat.state {
        State::Combined(signature) => Some((no, seat, signature)),
        State::Open | State::Accepted(_) | State::Lost => None,
    });
    combined
        .map(|(no, seat, signature)| {
            (no, Claim { message: checker.root(&seat.job.root), key: seat.job.group_key, signature })
        })
        .unzip()
}

/// Step 4: marks every partial of the open seats good, bad, or doubted, operator by operator; what is known already is
/// not looked at again. `most`: bad ones to find of each operator.
fn blame(seats: &mut [Seat<'_>], checker: &mut Checker<'_>, most: usize) {
    let open = seats.iter().filter(|seat| seat.is_open());
    let operators: BTreeSet<_> = open.flat_map(|seat| seat.partials.iter().map(|one| one.index)).collect();
    for operator in operators {
        blame_one(seats, operator, checker, most);
    }
}

fn blame_one(seats: &mut [Seat<'_>], operator: ShareIndex, checker: &mut Checker<'_>, most: usize) {
    let mut batch = Vec::new();
    for seat in seats.iter_mut().filter(|seat| seat.is_open()) {
        let message = checker.root(&seat.job.root);
        let Some(partial) = seat.partials.iter_mut().find(|one| one.index == operator) else { continue };
        if matches!(partial.mark, Mark::Good(_)) {
            continue;
        }
        if let Some(signature) = partial.checked() {
            batch.push((message, signature, partial));
        }
    }
    let claims: Vec<_> = batch
        .iter()
        .map(|(message, signature, partial)| Claim { message: *message, key: partial.key, signature })
        .collect();
    let (wrong, seen) = checker.find_some_false(&claims, most);
    for (position, (_, signature, partial)) in batch.into_iter().enumerate() {
        partial.mark = match position {
            _ if wrong.contains(&position) => Mark::Bad,
            _ if position < seen => Mark::Good(signature),
            _ => Mark::Doubted(signature.into()),
        };
    }
}
