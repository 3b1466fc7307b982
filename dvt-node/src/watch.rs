//! Watches the beacon nodes: once a slot they are asked how they are, and what time it is.

use crate::clock::now;
use crate::engine::{Door, Event};
use crate::metrics::Metrics;
use beacon::{Beacon, Probe};
use std::sync::Arc;
use std::time::Duration;
use symbolon_core::Input;
use symbolon_core::stop::Reason;
use types::{ChainSpec, Millis, Slot};

/// How many slots the own clock may differ from the beacon nodes'. One is a late answer, or a second around the end of
/// a slot; with more, whatever is signed is for another time than the chain's.
const SKEW_SLOTS_MAX: u64 = 1;

/// Asks at every slot's start, for ever: then a head is a slot old, and its distance tells the node's clock.
///
/// What the nodes answer orders them in [`Beacon`]. While the own clock differs from theirs nothing is signed: core is
/// told when that begins and when it ends, and so is the log.
pub async fn watch(beacon: Beacon, spec: Arc<ChainSpec>, door: Door, metrics: Arc<Metrics>) {
    let mut was_off = false;
    loop {
        match beacon.probe(|| spec.slot_at(now()).unwrap_or_default()).await {
            Ok(probe) => {
                if let Some(skew_slots) = probe.clock_skew_slots {
                    metrics.clock_skew(skew_slots);
                }
                let is_off = compare_clocks(&probe, was_off);
                if let Some(input) = turn(was_off, is_off) {
                    metrics.signing_stopped(&Reason::Clock, is_off);
                    door.send(Event::Input(input)).await;
                }
                was_off = is_off;
            }
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
        tracing::error!(
            skew_slots,
            "the beacon nodes' clocks are so many slots ahead of this machine's: nothing is signed"
        );
    } else if was_off && !is_off {
        tracing::info!("this machine's clock and the beacon nodes' agree again");
    }
    is_off
}

/// What core is told when the clock goes wrong or right.
fn turn(was_off: bool, is_off: bool) -> Option<Input> {
    match (was_off, is_off) {
        (false, true) => Some(Input::Stop(Reason::Clock)),
        (true, false) => Some(Input::Resume(Reason::Clock)),
        (true, true) | (false, false) => None,
    }
}

/// The time to the next slot's start; before genesis a slot at most, so that nodes are known before they are needed.
pub(crate) fn until_next_slot(spec: &ChainSpec, now: Millis) -> Duration {
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
