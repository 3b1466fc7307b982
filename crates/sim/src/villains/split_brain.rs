//! Runs two processes with one node key, each with a disk, a client and clocks of its own: a standby that was started while
//! the first still ran. Both are honest software, and everybody hears both.

use crate::person::Person;
use types::Millis;

/// The second process, whose beacon node is late by as much.
pub fn second_process(first: &mut Person, late: Millis) -> Person {
    super::equivocator::second_face(first, late, true)
}
