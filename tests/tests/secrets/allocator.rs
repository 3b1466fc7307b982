//! The allocator of the program that this process plays: `dvt-dkg` wipes what it frees, `dvt-node` does not.
#![allow(unsafe_code)]

use keys::frost::WipingAllocator;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

static WIPES: AtomicBool = AtomicBool::new(false);

/// From here on, freed memory is wiped by the product's own allocator.
pub(crate) fn wipe_from_now_on() {
    WIPES.store(true, Ordering::SeqCst);
}

/// The system's allocator, wrapped as in `dvt-dkg` once that is asked for.
pub(crate) struct OfTheRole;

fn wipes() -> bool {
    WIPES.load(Ordering::Relaxed)
}

// SAFETY: every call goes with its own arguments to the system's allocator, or to the wiping one around it, which
// allocates from the same: a block of either may be freed by the other.
unsafe impl GlobalAlloc for OfTheRole {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe {
            if wipes() {
                WipingAllocator(System).dealloc(block, layout)
            } else {
                System.dealloc(block, layout)
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        unsafe {
            if wipes() { WipingAllocator(System).alloc_zeroed(layout) } else { System.alloc_zeroed(layout) }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        unsafe {
            if wipes() {
                WipingAllocator(System).realloc(block, layout, new_size)
            } else {
                System.realloc(block, layout, new_size)
            }
        }
    }
}
