//! One kind of work on many items, on all cores.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// One result per item, in order, computed by as many threads as there are cores.
///
/// - The results do not depend on how many cores there are.
/// - Panics as `work` does.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    map_on(usize::MAX, items, work)
}

/// One result per chunk of `len` items, the last one shorter, in order: for work that is cheaper together.
///
/// - `work`: is told at which item its chunk begins.
pub fn map_chunks<T: Sync, R: Send>(
    items: &[T],
    len: usize,
    work: impl Fn(usize, &[T]) -> R + Sync,
) -> Vec<R> {
    let chunks: Vec<_> = items.chunks(len.max(1)).enumerate().collect();
    map(&chunks, |(number, chunk)| work(number * len.max(1), chunk))
}

/// As [`map`], by at most so many threads: for work that takes memory.
pub fn map_on<T: Sync, R: Send>(most: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(most.max(1)).min(items.len());
    if threads <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<R>>> = Mutex::new(items.iter().map(|_| None).collect());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, item)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    items.get(at).map(|item| (at, item))
                } {
                    let result = work(item);
                    results.lock().expect("nobody panics with the lock")[at] = Some(result);
                }
            });
        }
    });
    let results = results.into_inner().expect("nobody panics with the lock");
    results.into_iter().map(|result| result.expect("every item was taken once")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_has_its_result_at_its_place_whatever_the_number_of_threads() {
        for count in [0, 1, 2, 7, 500] {
            let items: Vec<usize> = (0..count).collect();
            let squares: Vec<usize> = items.iter().map(|item| item * item).collect();
            for most in [0, 1, 2, usize::MAX] {
                assert_eq!(map_on(most, &items, |item| item * item), squares);
            }
        }
    }

    #[test]
    fn chunks_are_all_items_in_order_and_know_where_they_begin() {
        for len in [0, 1, 3, 10, 11] {
            let items: Vec<usize> = (0..10).collect();
            let chunks = map_chunks(&items, len, |start, chunk| (start, chunk.to_vec()));
            assert!(chunks.iter().all(|(start, chunk)| chunk[0] == *start && chunk.len() <= len.max(1)));
            assert_eq!(chunks.into_iter().flat_map(|(_, chunk)| chunk).collect::<Vec<_>>(), items);
        }
    }
}
