//! Which faults begin and end when, which slots are owed all the same, and in which nothing can be signed.
//!
//! ```text
//! able      the most operators that can work together: not faulty, and reaching each other
//! owed      able >= n - f, in the slot and in the next, whose block carries its attestations
//! silent    able < t
//! ```
//!
//! After a fault's end its operators count as faulty for [`RECOVERY_SLOTS`] more: by then everything is owed again.

use super::{Fault, Strike};
use crate::pool::Kill;
use types::ClusterSize;

/// A node that comes back follows in the slot of its start and in the next (rule 11).
pub const RECOVERY_SLOTS: u64 = 2;

/// What happens in a run, and to how many.
#[derive(Clone, Debug)]
pub struct Schedule {
    size: ClusterSize,
    strikes: Vec<Strike>,
    kills: Vec<Kill>,
}

impl Schedule {
    /// Of faults that end, and of operators that are killed for good when a slot begins.
    pub const fn new(size: ClusterSize, strikes: Vec<Strike>, kills: Vec<Kill>) -> Self {
        Self { size, strikes, kills }
    }

    /// What begins with a slot.
    pub fn beginning(&self, slot: u64) -> Vec<Fault> {
        self.strikes.iter().filter(|one| one.span.from == slot).map(|one| one.fault.clone()).collect()
    }

    /// What is over when a slot begins.
    pub fn ending(&self, slot: u64) -> Vec<Fault> {
        self.strikes.iter().filter(|one| one.span.to == slot).map(|one| one.fault.clone()).collect()
    }

    /// Whether nothing may be missed in a slot.
    pub fn owed(&self, slot: u64) -> bool {
        let needed = self.size.operators() - usize::from(self.size.faults());
        let able = |slot| self.able(slot, RECOVERY_SLOTS, |kill| kill.slot <= slot);
        able(slot) >= needed && able(slot + 1) >= needed
    }

    /// Whether nothing can be signed in a slot, from its beginning to its end.
    pub fn silent(&self, slot: u64) -> bool {
        // A kill falls into its slot's beginning, when something may be signed already.
        self.able(slot, 0, |kill| kill.slot < slot) < self.size.threshold()
    }

    /// The most operators that can work together in a slot.
    ///
    /// - `after`: how many slots behind its span a fault counts.
    fn able(&self, slot: u64, after: u64, is_killed: impl Fn(&Kill) -> bool) -> usize {
        let active: Vec<_> = self.strikes.iter().filter(|one| one.span.has(slot, after)).collect();
        let dead = |who: &usize| self.kills.iter().any(|kill| kill.operator == *who && is_killed(kill));
        let faulty = |who: &usize| active.iter().any(|one| one.fault.impaired().contains(who));
        let able = (1..=self.size.operators()).filter(|who| !dead(who) && !faulty(who));
        let mut groups: Vec<Vec<usize>> = vec![able.collect()];
        for strike in &active {
            if let Fault::Partition(sides) = &strike.fault {
                groups = groups.iter().flat_map(|group| divide(group, sides)).collect();
            }
        }
        groups.iter().map(Vec::len).max().unwrap_or(0)
    }
}

/// A group, divided by the sides of a partition. Who is on no side reaches nobody.
fn divide(group: &[usize], sides: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let on = |side: &Vec<usize>| group.iter().copied().filter(|who| side.contains(who)).collect();
    sides.iter().map(on).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(strikes: &[Result<Strike, String>], kills: &[&str]) -> Schedule {
        let kills = kills.iter().map(|kill| kill.parse().unwrap()).collect();
        Schedule::new(
            ClusterSize::new_safe(4, 3).unwrap(),
            strikes.iter().flatten().cloned().collect(),
            kills,
        )
    }

    /// Slots of the first twenty that are not owed, and those that are silent.
    fn told(schedule: &Schedule) -> (Vec<u64>, Vec<u64>) {
        let not_owed = (1..20).filter(|slot| !schedule.owed(*slot)).collect();
        (not_owed, (1..20).filter(|slot| schedule.silent(*slot)).collect())
    }

    #[test]
    fn with_f_faults_everything_is_owed() {
        let nothing = (vec![], vec![]);
        for one in [
            Strike::down("4@8..12"),
            Strike::partition("1,2,3/4@8..12"),
            Strike::flood("2@8..12"),
            Strike::full_disk("2@8..12"),
            Strike::broken_journal("2@8..12"),
            Strike::loris("1,2,3,4@8..12"),
        ] {
            assert_eq!(told(&schedule(&[one], &[])), nothing);
        }
        assert_eq!(told(&schedule(&[], &["2@8"])), nothing);
    }

    #[test]
    fn with_one_more_nothing_can_be_signed_and_two_slots_after_everything_is_owed_again() {
        let silence = (vec![7, 8, 9, 10, 11, 12, 13], vec![8, 9, 10, 11]);
        for one in [Strike::down("3,4@8..12"), Strike::partition("1,2/3,4@8..12")] {
            assert_eq!(told(&schedule(&[one], &[])), silence);
        }
        let both = [Strike::down("4@8..12"), Strike::partition("1,2,4/3@8..12")];
        assert_eq!(told(&schedule(&both, &[])), silence);
    }

    #[test]
    fn who_has_just_come_back_counts_as_faulty() {
        let rolling = [Strike::down("1@4..6"), Strike::down("2@6..8")];
        assert_eq!(told(&schedule(&rolling, &[])), (vec![5, 6, 7], vec![]));
    }

    #[test]
    fn a_kill_is_for_good_and_silences_from_the_slot_after_it() {
        let (not_owed, silent) = told(&schedule(&[], &["2@8", "3@10"]));
        assert_eq!((not_owed[0], silent[0]), (9, 11));
        assert_eq!((not_owed.len(), silent.len()), (11, 9));
    }
}
