//! Who aggregates: the lottery that a selection proof decides.
//!
//! Source: consensus-specs phase0 `is_aggregator`, Altair `is_sync_committee_aggregator`.

use crate::sizes::{Gnosis, Mainnet, Minimal, Sizes};
use crate::{Preset, Signature};
use sha2::{Digest, Sha256};
use typenum::Unsigned as _;

/// `TARGET_AGGREGATORS_PER_COMMITTEE`.
const AGGREGATORS_PER_COMMITTEE: u64 = 16;
/// `TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE`.
const AGGREGATORS_PER_SUBCOMMITTEE: u64 = 16;
/// `SYNC_COMMITTEE_SUBNET_COUNT`: subcommittees of a sync committee.
pub const SUBCOMMITTEES: u64 = 4;

/// Whether this proof makes its attester an aggregator of its committee.
pub fn is_aggregator(committee_length: u64, proof: &Signature) -> bool {
    wins(committee_length / AGGREGATORS_PER_COMMITTEE, proof)
}

/// Whether this proof makes a sync committee member an aggregator of the subcommittee it was made for.
pub fn is_sync_aggregator(preset: Preset, proof: &Signature) -> bool {
    wins(subcommittee_len(preset) / AGGREGATORS_PER_SUBCOMMITTEE, proof)
}

/// Whether a committee or subcommittee is so small that every member aggregates, whatever its proof.
pub fn all_aggregate(members: u64) -> bool {
    members / AGGREGATORS_PER_COMMITTEE.max(AGGREGATORS_PER_SUBCOMMITTEE) <= 1
}

/// The subcommittee of a place in the sync committee; `None` for a place that the committee does not have.
pub fn subcommittee_of(preset: Preset, position: u64) -> Option<u8> {
    let index = position / subcommittee_len(preset);
    u8::try_from(index).ok().filter(|index| u64::from(*index) < SUBCOMMITTEES)
}

/// Members of a subcommittee.
pub fn subcommittee_len(preset: Preset) -> u64 {
    match preset {
        Preset::Mainnet => <Mainnet as Sizes>::SyncSubcommittee::U64,
        Preset::Minimal => <Minimal as Sizes>::SyncSubcommittee::U64,
        Preset::Gnosis => <Gnosis as Sizes>::SyncSubcommittee::U64,
    }
}

/// One in `one_in` proofs wins; all of them where that is 0.
fn wins(one_in: u64, proof: &Signature) -> bool {
    let digest = Sha256::digest(proof.0);
    let number = u64::from_le_bytes(digest[..8].try_into().expect("8 of 32 bytes"));
    number.is_multiple_of(one_in.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_aggregates_in_a_small_committee_and_one_in_many_in_a_large_one() {
        let proofs: Vec<_> = (0..=255).map(|byte| Signature([byte; 96])).collect();
        let winners = |length| proofs.iter().filter(|proof| is_aggregator(length, proof)).count();
        assert_eq!((winners(0), winners(31)), (256, 256));
        assert!(all_aggregate(31) && !all_aggregate(32));
        // Of 256 with one in eight chances: 32, give or take.
        assert!((12..60).contains(&winners(128)), "{}", winners(128));
        let sync = proofs.iter().filter(|proof| is_sync_aggregator(Preset::Minimal, proof)).count();
        assert_eq!(sync, 256, "eight members are fewer than sixteen aggregators");
    }

    #[test]
    fn places_fall_into_four_subcommittees() {
        let of = |preset, position| subcommittee_of(preset, position);
        assert_eq!([0, 7, 8, 31].map(|at| of(Preset::Minimal, at)), [Some(0), Some(0), Some(1), Some(3)]);
        assert_eq!(of(Preset::Minimal, 32), None);
        assert_eq!(of(Preset::Mainnet, 511), Some(3));
        assert_eq!(of(Preset::Mainnet, u64::MAX), None);
    }
}
