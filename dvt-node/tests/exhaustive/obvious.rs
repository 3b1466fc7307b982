//! Slashing protection in its obvious form: whatever was signed or imported is kept, in its order, and the conditions are
//! asked of all of it, one by one. Slow, of unbounded size, and short enough to be compared with the text of EIP-3076.

use symbolon_core::journal::Promise;
use types::Root;

/// Something that was signed: here, or by who wrote a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) promise: Promise,
    /// `None`: the file did not say.
    pub(crate) root: Option<Root>,
    /// Whether it was signed here.
    pub(crate) own: bool,
}

impl Signed {
    /// The same message: known to be so.
    fn is_same(&self, other: &Self) -> bool {
        self.promise == other.promise && self.root.is_some() && self.root == other.root
    }

    /// Whether both together are a slashable offence: the consensus specs' `is_slashable_attestation_data`, and two blocks of
    /// one slot. What is not known to be the same counts as another.
    fn is_slashable_with(&self, other: &Self) -> bool {
        match (self.promise, other.promise) {
            (Promise::Block { slot: mine }, Promise::Block { slot: theirs }) => {
                mine == theirs && !self.is_same(other)
            }
            (
                Promise::Attestation { source: s1, target: t1 },
                Promise::Attestation { source: s2, target: t2 },
            ) => {
                let double = t1 == t2 && !self.is_same(other);
                double || (s1 < s2 && t2 < t1) || (s2 < s1 && t1 < t2)
            }
            (Promise::Block { .. }, Promise::Attestation { .. })
            | (Promise::Attestation { .. }, Promise::Block { .. }) => false,
        }
    }
}

/// Everything that one key has signed, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Obvious(pub(crate) Vec<Signed>);

impl Obvious {
    fn slots(&self) -> impl Iterator<Item = u64> {
        self.0.iter().filter_map(|one| match one.promise {
            Promise::Block { slot } => Some(slot.0),
            Promise::Attestation { .. } => None,
        })
    }

    fn votes(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().filter_map(|one| match one.promise {
            Promise::Attestation { source, target } => Some((source.0, target.0)),
            Promise::Block { .. } => None,
        })
    }

    /// Whether it was signed before: to sign it again gives nobody anything new.
    pub(crate) fn has(&self, wish: &Signed) -> bool {
        self.0.iter().any(|one| one.is_same(wish))
    }

    /// Whether signing it makes an offence that is not there yet.
    pub(crate) fn is_slashable(&self, wish: &Signed) -> bool {
        !self.has(wish) && self.0.iter().any(|one| one.is_slashable_with(wish))
    }

    /// The conditions of EIP-3076 over all records, the complete strategy.
    pub(crate) fn complete_allows(&self, wish: &Signed) -> bool {
        let offends = self.0.iter().any(|one| one.is_slashable_with(wish));
        let too_low = match wish.promise {
            Promise::Block { slot } => self.slots().min().is_some_and(|min| slot.0 <= min) && !self.has(wish),
            Promise::Attestation { source, target } => {
                let low_source = self.votes().map(|vote| vote.0).min().is_some_and(|min| source.0 < min);
                let low_target = self.votes().map(|vote| vote.1).min().is_some_and(|min| target.0 <= min);
                source > target || low_source || (low_target && !self.has(wish))
            }
        };
        !offends && !too_low
    }

    /// The minimal strategy: above the highest of everything.
    pub(crate) fn minimal_allows(&self, wish: &Signed) -> bool {
        match wish.promise {
            Promise::Block { slot } => self.slots().all(|before| slot.0 > before),
            Promise::Attestation { source, target } => {
                source <= target && self.votes().all(|(s, t)| source.0 >= s && target.0 > t)
            }
        }
    }

    /// Whether it is what was signed here last, and no file has raised anything of its kind since.
    pub(crate) fn is_last(&self, wish: &Signed) -> bool {
        let rising = (0..self.0.len()).rev().find(|position| {
            let before = Self(self.0[..*position].to_vec());
            match (self.0[*position].promise, wish.promise) {
                (Promise::Block { slot }, Promise::Block { .. }) => before.slots().all(|old| slot.0 > old),
                (Promise::Attestation { source, target }, Promise::Attestation { .. }) => {
                    before.votes().next().is_none()
                        || before.votes().all(|(old, _)| source.0 > old)
                        || before.votes().all(|(_, old)| target.0 > old)
                }
                (Promise::Block { .. }, Promise::Attestation { .. })
                | (Promise::Attestation { .. }, Promise::Block { .. }) => false,
            }
        });
        rising.is_some_and(|position| self.0[position].own && self.0[position].is_same(wish))
    }
}
