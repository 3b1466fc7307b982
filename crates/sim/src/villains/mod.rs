//! Bad habits, one per file. A villain holds its own keys only.

pub mod equivocator;
pub mod mute;

use types::ShareIndex;

/// How an operator behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Follows the protocol.
    Honest,
    /// Says nothing.
    Mute,
    /// Shows each half of the others another face.
    Equivocator,
}

/// The operators with a habit.
pub fn with_habit(habits: &[Habit], habit: Habit) -> Vec<ShareIndex> {
    let numbered = habits.iter().zip(1..);
    numbered.filter(|(one, _)| **one == habit).filter_map(|(_, index)| ShareIndex::new(index)).collect()
}
