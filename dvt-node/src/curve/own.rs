//! This operator's own partial signatures of a moment ago, as points: reading one from its bytes takes a square root, and a slot's
//! combinations begin with the own partials.
//!
//! Bound: [`PARTIALS_MAX`], the oldest goes first.

use crypto::SignaturePoint;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use types::{SigningRoot, ValidatorNo};

/// Partials that are kept: more than a slot of ten thousand validators has, and less than two megabytes.
const PARTIALS_MAX: usize = 4096;

type What = (ValidatorNo, SigningRoot);

/// By validator and root.
#[derive(Debug, Default)]
pub(super) struct OwnPartials(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    points: BTreeMap<What, SignaturePoint>,
    /// Oldest first.
    order: VecDeque<What>,
}

impl OwnPartials {
    /// Keeps partials that were just made.
    pub(super) fn keep(&self, made: impl Iterator<Item = (What, SignaturePoint)>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (what, point) in made {
            kept.keep(what, point);
        }
    }

    /// The partial of each, where it is still kept.
    pub(super) fn of(&self, asked: impl Iterator<Item = What>) -> Vec<Option<SignaturePoint>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.map(|what| kept.points.get(&what).copied()).collect()
    }
}

impl Kept {
    fn keep(&mut self, what: What, point: SignaturePoint) {
        if self.points.insert(what, point).is_some() {
            return;
        }
        self.order.push_back(what);
        if self.order.len() > PARTIALS_MAX {
            self.order.pop_front().map(|oldest| self.points.remove(&oldest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto::{G2, hash_to_g2};
    use types::Root;

    #[test]
    fn the_latest_are_kept() {
        let root = |number: u8| SigningRoot::lock_hash(Root([number; 32]));
        let points =
            [G2::generator(), hash_to_g2(b"another")].map(|point| SignaturePoint::new(point.to_affine()));
        let own = OwnPartials::default();
        let ask = |number, of| own.of([(ValidatorNo(number), root(of))].into_iter())[0];
        own.keep(
            [((ValidatorNo(0), root(1)), points[0]), ((ValidatorNo(1), root(1)), points[1])].into_iter(),
        );
        assert_eq!((ask(0, 1), ask(1, 1), ask(0, 2)), (Some(points[0]), Some(points[1]), None));
        let count = u32::try_from(PARTIALS_MAX).unwrap();
        own.keep((1..count).map(|number| ((ValidatorNo(number), root(3)), points[0])));
        assert_eq!((ask(0, 1), ask(1, 1)), (None, Some(points[1])), "the oldest has gone, and nothing else");
        own.keep([((ValidatorNo(1), root(1)), points[0])].into_iter());
        assert_eq!(ask(1, 1), Some(points[0]), "made again");
    }
}
