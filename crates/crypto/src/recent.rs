//! What was computed lately, kept for whoever needs it next, by whatever thread.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Values by key, at most so many: the oldest goes first.
#[derive(Debug)]
pub struct Recent<K, V> {
    most: usize,
    kept: Mutex<Kept<K, V>>,
}

#[derive(Debug)]
struct Kept<K, V> {
    values: BTreeMap<K, V>,
    /// Oldest first.
    order: VecDeque<K>,
}

impl<K: Ord + Copy, V: Copy> Recent<K, V> {
    /// Keeps nothing yet.
    pub const fn new(most: usize) -> Self {
        Self { most, kept: Mutex::new(Kept { values: BTreeMap::new(), order: VecDeque::new() }) }
    }

    /// What is kept under a key.
    pub fn get(&self, key: &K) -> Option<V> {
        self.lock().values.get(key).copied()
    }

    /// Keeps a value; one that replaces another is as old as that one.
    pub fn keep(&self, key: K, value: V) {
        let mut kept = self.lock();
        if kept.values.insert(key, value).is_some() {
            return;
        }
        kept.order.push_back(key);
        if kept.order.len() > self.most
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.values.remove(&oldest);
        }
    }

    /// Keeps nothing any more.
    pub fn forget(&self) {
        let mut kept = self.lock();
        kept.values.clear();
        kept.order.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Kept<K, V>> {
        // Nothing that can panic half way runs under the lock.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept() {
        let recent = Recent::new(3);
        (0..3).for_each(|key| recent.keep(key, 10 * key));
        recent.keep(0, 7);
        assert_eq!([0, 1, 2, 3].map(|key| recent.get(&key)), [Some(7), Some(10), Some(20), None]);
        recent.keep(3, 30);
        assert_eq!([0, 1, 2, 3].map(|key| recent.get(&key)), [None, Some(10), Some(20), Some(30)]);
        recent.forget();
        assert_eq!(recent.get(&3), None);
    }
}
