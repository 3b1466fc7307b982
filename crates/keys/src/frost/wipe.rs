//! An allocator that forgets: memory is zeroed before it goes back.
//!
//! frost-core wipes its packages, but not the vectors of coefficients that it copies on the way, nor what a
//! growing vector leaves behind. No caller can reach those. A ceremony's program installs this allocator, and
//! whatever any library frees is gone. (Registers and the stack stay out of reach.)
#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    mem::MaybeUninit,
    slice,
};
use zeroize::Zeroize;

/// Zeroes every block before it is freed; otherwise the allocator it wraps.
///
/// - Use: `#[global_allocator] static MEMORY: WipingAllocator = WipingAllocator(System);`
/// - Cost: one pass over freed memory. A growing vector is copied and its old block zeroed, never grown in place.
#[derive(Clone, Copy, Debug, Default)]
pub struct WipingAllocator<A = System>(pub A);

// SAFETY: `alloc` and `dealloc` hand the caller's own arguments to an allocator that keeps the contract.
// `dealloc` writes within the block only, which by contract is the caller's, whole and unaliased, until it
// returns. `realloc` and `alloc_zeroed` are the trait's own, which are made of these two.
unsafe impl<A: GlobalAlloc> GlobalAlloc for WipingAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` was allocated with `layout`, so it has that many bytes, which nobody else uses any
        // more; they may be uninitialized, as the type says. The caller keeps the contract of `dealloc`.
        unsafe {
            slice::from_raw_parts_mut(block.cast::<MaybeUninit<u8>>(), layout.size()).zeroize();
            self.0.dealloc(block, layout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Counts the blocks and the bytes other than zero that come back to it.
    #[derive(Default)]
    struct Inspector {
        blocks: Cell<usize>,
        dirty: Cell<usize>,
    }

    // SAFETY: hands everything to the system's allocator, and reads blocks before they are freed.
    unsafe impl GlobalAlloc for Inspector {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller keeps the contract.
            unsafe { System.alloc_zeroed(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: the block is whole, was zeroed when it was made, and is not freed yet.
            let dirty = unsafe { slice::from_raw_parts(block, layout.size()) }.iter().filter(|b| **b != 0);
            self.dirty.set(self.dirty.get() + dirty.count());
            self.blocks.set(self.blocks.get() + 1);
            // SAFETY: the caller keeps the contract.
            unsafe { System.dealloc(block, layout) }
        }
    }

    #[test]
    fn freed_and_outgrown_blocks_are_zero() {
        let allocator = WipingAllocator(Inspector::default());
        let (small, large) = (Layout::array::<u8>(48).unwrap(), Layout::array::<u8>(4096).unwrap());
        // SAFETY: blocks are written within their length and freed once, with their layout.
        unsafe {
            let block = allocator.alloc(small);
            block.write_bytes(0x5a, small.size());
            let block = allocator.realloc(block, small, large.size());
            assert_eq!(*block, 0x5a, "growing keeps the content");
            block.write_bytes(0x5a, large.size());
            allocator.dealloc(block, large);
        }
        assert_eq!((allocator.0.blocks.get(), allocator.0.dirty.get()), (2, 0));
    }
}
