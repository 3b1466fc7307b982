//! Watches the beacon nodes: once a slot they are asked how they are, and what time it is; once an epoch, of which
//! network they are. Watches the own clock, too.

use crate::clock::{Course, now, running};
use crate::engine::{Door, Event};
use crate::metrics::Metrics;
use beacon::{Beacon, Probe};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use symbolon_core::Input;
use symbolon_core::stop::Reason;
use types::{ChainSpec, Epoch, Millis, Slot};

/// How many slots the own clock may differ from the beacon nodes'. One is a late answer, or a second around the end of
/// a slot; with more, whatever is signed is for another time than the chain's.
const SKEW_SLOTS_MAX: u64 = 1;

/// What the clocks say at one time.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The system's clock.
    pub wall: Millis,
    /// How long this program runs, by a clock that nobody sets.
    pub running: Duration,
}

/// Asks at every slot's start: then a head is a slot old, and its distance tells the node's clock. Ends when this process
/// has to, see [`Watch::round`].
pub async fn watch(beacon: Beacon, spec: Arc<ChainSpec>, door: Door, metrics: Arc<Metrics>) {
    let clock = || Reading { wall: now(), running: running() };
    let mut watch = Watch::new(beacon, spec.clone(), door, metrics, clock);
    while watch.round().await.is_continue() {
        tokio::time::sleep(until_next_slot(&spec, now())).await;
    }
}

/// The watch over beacon nodes and the own clock.
pub struct Watch<C> {
    beacon: Beacon,
    spec: Arc<ChainSpec>,
    door: Door,
    metrics: Arc<Metrics>,
    clock: C,
    course: Course,
    was_off: bool,
    /// When the nodes were asked last of which network they are.
    checked: Epoch,
}

impl<C> fmt::Debug for Watch<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("beacon", &self.beacon).finish_non_exhaustive()
    }
}

impl<C: Fn() -> Reading + Sync> Watch<C> {
    /// Begins at a node's start, when the nodes have just been asked of which network they are.
    pub fn new(beacon: Beacon, spec: Arc<ChainSpec>, door: Door, metrics: Arc<Metrics>, clock: C) -> Self {
        let checked = spec.epoch_of(spec.slot_at(clock().wall).unwrap_or_default());
        Self { beacon, spec, door, metrics, clock, course: Course::default(), was_off: false, checked }
    }

    /// Asks once.
    ///
    /// - What the nodes answer orders them in [`Beacon`]. While the own clock differs from theirs nothing is signed: core
    ///   is told when that begins and when it ends, and so is the log.
    /// - Breaks off if the own clock was set back by more than a slot. Core's time never decreases, so this process would
    ///   stand still until the clock is where it was; a new one starts with the right time. Until then nothing is signed.
    pub async fn round(&mut self) -> ControlFlow<()> {
        let Reading { wall, running } = (self.clock)();
        let set_back = self.course.set_back(wall, running);
        if set_back.0 > self.spec.slot_ms {
            tracing::error!(
                set_back_ms = set_back.0,
                "this machine's clock was set back: nothing is signed, and this process ends to be started anew"
            );
            self.tell(true).await;
            return ControlFlow::Break(());
        }
        match self.beacon.probe(|| self.slot()).await {
            Ok(probe) => {
                if let Some(skew_slots) = probe.clock_skew_slots {
                    self.metrics.clock_skew(skew_slots);
                }
                let is_off = compare_clocks(&probe, self.was_off);
                if is_off != self.was_off {
                    self.tell(is_off).await;
                }
                self.was_off = is_off;
            }
            Err(error) => tracing::warn!(%error, "no beacon node says how far it is"),
        }
        let epoch = self.spec.epoch_of(self.slot());
        if std::mem::replace(&mut self.checked, epoch) != epoch {
            // What changes is in the log, and orders the nodes.
            self.beacon.check_network().await;
        }
        ControlFlow::Continue(())
    }

    fn slot(&self) -> Slot {
        self.spec.slot_at((self.clock)().wall).unwrap_or_default()
    }

    /// Tells core and the metrics that the clock goes wrong, or right again.
    async fn tell(&self, is_off: bool) {
        let reason = Reason::Clock;
        self.metrics.signing_stopped(&reason, is_off);
        let input = if is_off { Input::Stop(reason) } else { Input::Resume(reason) };
        self.door.send(Event::Input(input)).await;
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
