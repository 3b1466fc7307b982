//! A set of operators in one word: counted, joined and compared in one instruction.

use types::ShareIndex;
use types::operators::OPERATORS_MAX;

const _: () = assert!((OPERATORS_MAX as u32) < u32::BITS, "every operator has a bit");

/// Distinct operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Authors(u32);

impl Authors {
    pub(super) fn insert(&mut self, author: ShareIndex) {
        self.0 |= 1 << author.get();
    }

    pub(super) fn remove(&mut self, author: ShareIndex) {
        self.0 &= !(1 << author.get());
    }

    pub(super) const fn contains(self, author: ShareIndex) -> bool {
        self.0 & (1 << author.get()) != 0
    }

    pub(super) const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether every one of these is also in `others`.
    pub(super) const fn within(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    pub(super) const fn union(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = ShareIndex> {
        (1..=OPERATORS_MAX).filter_map(ShareIndex::new).filter(move |author| self.contains(*author))
    }

    pub(super) fn without(mut self, author: ShareIndex) -> Self {
        self.remove(author);
        self
    }
}

impl FromIterator<ShareIndex> for Authors {
    fn from_iter<I: IntoIterator<Item = ShareIndex>>(authors: I) -> Self {
        let mut set = Self::default();
        authors.into_iter().for_each(|author| set.insert(author));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(number: u8) -> ShareIndex {
        ShareIndex::new(number).expect("a share index")
    }

    #[test]
    fn an_author_counts_once() {
        let mut set: Authors = [index(1), index(22), index(1)].into_iter().collect();
        assert_eq!(set.len(), 2);
        assert!(set.contains(index(22)) && !set.contains(index(2)));
        assert!(set.without(index(1)).within(set) && !set.within(set.without(index(1))));
        assert_eq!(set.without(index(1)).union(set), set);
        assert_eq!(set.iter().collect::<Vec<_>>(), [index(1), index(22)]);
        set.remove(index(22));
        assert_eq!(set.len(), 1);
    }
}
