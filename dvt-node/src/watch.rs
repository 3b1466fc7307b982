//! Watches the beacon nodes: once a slot they are asked how they are, and what time it is.

use crate::clock::now;
use beacon::{Beacon, Probe};
use std::sync::Arc;
use std::time::Duration;
use types::{ChainSpec, Millis, Slot};

/// How many slots the own clock may differ from the beacon nodes'. One is a late answer, or a second around the end of
/// a slot; with more, whatever is signed is for another time than the chain's.
const SKEW_SLOTS_MAX: u64 = 1;

/// Asks at every slot's start, for ever: then a head is a slot old, and its distance tells the node's clock.
///
/// What the nodes answer orders them in [`Beacon`]; a clock that differs from theirs is an error in the log, once.
pub async fn watch(beacon: Beacon, spec: Arc<ChainSpec>) {
    let mut was_off = false;
    loop {
        match beacon.probe(|| spec.slot_at(now()).unwrap_or_default()).await {
            Ok(probe) => was_off = compare_clocks(&probe, was_off),
            Err(error) => tracing::warn!(%error, "no beacon node says how far it is"),
        }
        tokio::time::sleep(until_next_slot(&spec, now())).await;
    }
}

/// Whether the own clock is off; logs when that changes. A probe that does not tell changes nothing.
fn compare_clocks(probe: &Probe, was_off: bool) -> bool {
    let Some(skew_slots) = probe.clock_skew_slots else { return was_off };
    let is_off = skew_slots.unsigned_abs() > SKEW_SLOTS_MAX;
    if is_off && !was_off {
        tracing::error!(skew_slots, "the beacon nodes' clocks are so many slots ahead of this machine's");
    } else if was_off && !is_off {
        tracing::info!("this machine's clock and the beacon nodes' agree again");
    }
    is_off
}

/// The time to the next slot's start; before genesis a slot at most, so that nodes are known before they are needed.
fn until_next_slot(spec: &ChainSpec, now: Millis) -> Duration {
    let next = spec.slot_at(now).map_or(Slot(0), Slot::next);
    Duration::from_millis(spec.slot_start(next).since(now).0.clamp(1, spec.slot_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use beacon::SyncStatus;

    #[test]
    fn a_clock_is_off_by_more_than_a_slot_until_it_is_told_otherwise() {
        let best = SyncStatus {
            head_slot: Slot(9),
            sync_distance: 0,
            is_syncing: false,
            is_optimistic: false,
            el_offline: false,
        };
        let off = |clock_skew_slots, was| compare_clocks(&Probe { best, clock_skew_slots }, was);
        for (skew, is_off) in [(0, false), (1, false), (-1, false), (2, true), (-2, true), (i64::MIN, true)] {
            assert_eq!((off(Some(skew), false), off(Some(skew), true)), (is_off, is_off), "{skew}");
        }
        assert_eq!((off(None, false), off(None, true)), (false, true));
    }

    #[test]
    fn the_next_question_is_at_the_next_slots_start() {
        let spec = ChainSpec::builtin("hoodi").unwrap();
        let at = |now| until_next_slot(&spec, Millis(now)).as_millis();
        let genesis = spec.genesis_time_ms;
        assert_eq!((at(genesis), at(genesis + 1), at(genesis + 11_999)), (12_000, 11_999, 1));
        assert_eq!((at(genesis - 1), at(0)), (1, 12_000), "before genesis a slot at most");
    }
}
