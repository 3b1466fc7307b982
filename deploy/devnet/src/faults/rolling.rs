//! Rolling restarts: each node in turn is killed and started again at once, the next when the one before has done a duty.
//!
//! Done means in full: it has voted and its partials were there, not only followed. Kills fall into all parts of a slot.

use std::collections::BTreeMap;

/// Where in a slot nodes are killed, in basis points, in turn: before the block, while it is agreed on, while
/// attestations are, and before and after aggregates.
const PHASES_BP: [u64; 6] = [300, 1_500, 3_400, 5_000, 6_700, 8_500];

/// The first kill: by then every node has worked.
const FIRST_SLOT: u64 = 3;

/// A node that was started again has done a duty within so many slots, or something is wrong: it follows in two, and
/// has a duty in the next.
const BACK_SLOTS_MAX: u64 = 6;

/// Whose turn it is.
#[derive(Clone, Debug)]
pub struct Rolling {
    operators: usize,
    kills: BTreeMap<usize, u64>,
    /// Who was killed last, and in which slot.
    last: Option<(usize, u64)>,
    /// Slots in which somebody was killed, in a row with the longest wait.
    slowest: u64,
}

impl Rolling {
    /// For a pool of so many operators.
    pub const fn new(operators: usize) -> Self {
        Self { operators, kills: BTreeMap::new(), last: None, slowest: 0 }
    }

    /// Where in a slot the next kill falls, in basis points.
    pub fn phase_bp(&self) -> u64 {
        let kills = self.kills.values().sum::<u64>();
        PHASES_BP[usize::try_from(kills).unwrap_or(0) % PHASES_BP.len()]
    }

    /// Who was killed last and has to do a duty now, and from which slot on.
    pub const fn awaited(&self) -> Option<(usize, u64)> {
        self.last
    }

    /// Who is killed in this slot. `is_back`: whether the last one has done a duty since.
    pub fn turn(&mut self, slot: u64, is_back: bool) -> Option<usize> {
        let next = match self.last {
            None if slot >= FIRST_SLOT => 1,
            Some((last, since)) if is_back => {
                self.slowest = self.slowest.max(slot - since);
                last % self.operators + 1
            }
            None | Some(_) => return None,
        };
        *self.kills.entry(next).or_default() += 1;
        self.last = Some((next, slot));
        Some(next)
    }

    /// How often each operator's node was restarted.
    pub const fn kills(&self) -> &BTreeMap<usize, u64> {
        &self.kills
    }

    /// The most slots from one kill to the next.
    pub const fn slowest(&self) -> u64 {
        self.slowest
    }

    /// What is wrong at the end of a run of so many slots.
    pub fn wrong(&self, slots: u64) -> Option<String> {
        if let Some((operator, since)) = self.last
            && slots.saturating_sub(since) > BACK_SLOTS_MAX
        {
            return Some(format!(
                "operator {operator} has done no duty since it was restarted in slot {since}"
            ));
        }
        let restarted = self.kills.len();
        let all = self.operators;
        (restarted < all).then(|| format!("{restarted} of {all} nodes were restarted in {slots} slots"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_is_killed_when_the_one_before_has_done_a_duty() {
        let mut rolling = Rolling::new(4);
        let backs = [(2, false), (3, false), (4, false), (5, true), (6, false), (7, true)];
        let killed: Vec<_> = backs.iter().map(|(slot, is_back)| rolling.turn(*slot, *is_back)).collect();
        assert_eq!(killed, [None, Some(1), None, Some(2), None, Some(3)]);
        assert_eq!(rolling.awaited(), Some((3, 7)));
        assert_eq!(rolling.slowest(), 2);
        assert_eq!(rolling.wrong(8).unwrap(), "3 of 4 nodes were restarted in 8 slots");
        rolling.turn(8, true);
        assert_eq!(rolling.wrong(9), None);
        assert_eq!(rolling.turn(9, true), Some(1), "round and round");
    }

    #[test]
    fn a_node_that_does_not_come_back_is_named() {
        let mut rolling = Rolling::new(4);
        rolling.turn(3, false);
        assert!(rolling.wrong(10).unwrap().starts_with("operator 1 has done no duty"));
    }

    #[test]
    fn kills_fall_into_every_part_of_a_slot() {
        let mut rolling = Rolling::new(4);
        let mut phases = Vec::new();
        for slot in 0..6 {
            phases.push(rolling.phase_bp());
            rolling.turn(FIRST_SLOT + slot, true);
        }
        assert_eq!(phases, PHASES_BP);
    }
}
