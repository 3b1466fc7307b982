//! A pool of twice the size costs about twice as much: nothing on the paths of looks, reports and plans is a square of
//! validators, clusters or delegators.

#[path = "../../benches/pool/mod.rs"]
mod pool;

use coordinator::ledger::deposits::Seen as Deposits;
use coordinator::ledger::exits::Seen as Exits;
use coordinator::ledger::{Event, Sighting, State, pool as money};
use pool::large::{self, Frame, Size};
use pool::{address, charter};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use types::Wei;

/// A pool in which everybody wishes to leave.
fn state(size: Size) -> State {
    let mut state = large::reported(State::founded(charter(address(0x99, 0))), size);
    for no in 0..size.delegators {
        let (owner, eth) = (address(0x22, no), Wei::from_eth("20").unwrap());
        let (request, shares) = (no.into(), state.money.rate().shares_of(eth).unwrap());
        let event = money::Event::Requested { request, owner, shares, eth, at: pool::FOUNDED };
        state.apply(&Event::Money(Box::new(event))).unwrap();
    }
    state
}

/// Processor time of this thread: others that want the same core do not count.
fn spent(work: impl Fn()) -> i128 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
    };
    let once = || {
        let began = now();
        work();
        now() - began
    };
    (0..5).map(|_| once()).min().unwrap()
}

/// What each path costs, in nanoseconds.
fn costs(size: Size) -> BTreeMap<&'static str, i128> {
    let state = state(size);
    let Frame { at, look, report, .. } = Frame::next(&state, size);
    let far = at + 1_000_000;
    let finalized =
        coordinator::ledger::chain::Finalized { epoch: types::Epoch(160_000), root: types::Root([7; 32]) };
    let mut after = state.clone();
    let take = |state: &mut State, sighting: &Sighting| {
        state.see(at + 40_000_000, sighting).unwrap().iter().for_each(|event| state.apply(event).unwrap());
    };
    take(&mut after, &Sighting::Finalized(finalized));
    let look = Sighting::Look(Box::new(serde_json::from_str(&look).unwrap()));
    let report = Sighting::Report(Box::new(serde_json::from_str(&report).unwrap()));
    let looking = after.clone();
    take(&mut after, &look);
    let see =
        |state: &State, sighting: &Sighting| spent(|| drop(state.see(far + 40_000_000, sighting).unwrap()));
    [
        ("look", see(&looking, &look)),
        ("report", see(&after, &report)),
        ("exits plan", see(&after, &Sighting::Exits(Exits::Plan))),
        ("deposits plan", spent(|| drop(after.see(far, &Sighting::Deposits(Deposits::Plan))))),
        ("head", spent(|| _ = after.root())),
    ]
    .into()
}

#[test]
fn four_times_the_pool_costs_about_four_times_as_much() {
    let size = |times: u32| Size {
        validators: 2_000 * times,
        delegators: 2_500 * times,
        clusters: 100 * times,
        operators: 25 * times,
    };
    let (small, large) = (costs(size(1)), costs(size(4)));
    // A square would be sixteen times; logarithms and caches are some of the rest.
    for (path, cost) in &small {
        let times = large[path] as f64 / *cost as f64;
        assert!(times < 8.0, "{path}: {cost} ns, and {times} times as much with four times the pool");
    }
}
