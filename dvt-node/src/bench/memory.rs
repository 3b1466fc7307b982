//! How much memory some work takes: an allocator that counts while it is asked to, and otherwise only hands on.
//!
//! The kernel's high-water mark is of a whole process and forgets nothing, so it cannot tell one contender's memory from the
//! last one's. This counts the bytes of the heap between two moments. The stack is not counted.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering::Relaxed};

static COUNTS: AtomicBool = AtomicBool::new(false);
/// Bytes since the count began: negative when more was freed that was there before.
static NOW: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

/// The system's allocator; counts during `peak_of`.
///
/// - Use: `#[global_allocator] static MEMORY: CountingAllocator = CountingAllocator;`
/// - Cost while it does not count: reading one flag for each call.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

fn note(change: isize) {
    if COUNTS.load(Relaxed) {
        let now = NOW.fetch_add(change, Relaxed) + change;
        PEAK.fetch_max(now, Relaxed);
    }
}

/// A block is at most `isize::MAX` bytes, says [`Layout`].
const fn signed(size: usize) -> isize {
    size.cast_signed()
}

// SAFETY: every call hands the caller's own arguments to the system's allocator, which keeps the contract, and returns what
// it returns; counting touches no block.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(signed(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(signed(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(signed(size) - signed(layout.size()));
        // SAFETY: the caller keeps the contract of `realloc`; the block came from the system's allocator.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(-signed(layout.size()));
        // SAFETY: the caller keeps the contract of `dealloc`; the block came from the system's allocator.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Runs some work; also says by how many bytes the heap grew at most, if this program's allocator counts.
///
/// - One measurement at a time; other threads' allocations are counted as well.
pub(super) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, Option<u64>) {
    let counts = is_installed();
    NOW.store(0, Relaxed);
    PEAK.store(0, Relaxed);
    COUNTS.store(true, Relaxed);
    let result = work();
    COUNTS.store(false, Relaxed);
    (result, counts.then(|| PEAK.load(Relaxed).cast_unsigned() as u64))
}

fn is_installed() -> bool {
    NOW.store(0, Relaxed);
    COUNTS.store(true, Relaxed);
    let probe = std::hint::black_box(Vec::<u64>::with_capacity(64));
    COUNTS.store(false, Relaxed);
    drop(probe);
    NOW.load(Relaxed) > 0
}
