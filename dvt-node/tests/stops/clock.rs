//! What the watch over clocks and networks tells core, at times that the test sets.

use crate::beacon_node::BeaconNode;
use crate::operator::Operator;
use beacon::{Aside, Beacon};
use dvt_node::engine::{Door, Event};
use dvt_node::metrics::Metrics;
use dvt_node::watch::{Reading, Watch};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use symbolon_core::Input;
use symbolon_core::stop::Reason;
use tokio::sync::mpsc;
use types::{ChainSpec, Epoch, Millis, Root, Slot};

/// A node's surroundings: its beacon node, its clocks, and what its core hears.
struct Room {
    spec: Arc<ChainSpec>,
    node: BeaconNode,
    beacon: Beacon,
    reading: Mutex<Reading>,
    door: Door,
    events: Mutex<mpsc::Receiver<Event>>,
}

impl Room {
    async fn new() -> Self {
        let operator = Operator::new();
        let spec = Arc::new(operator.spec());
        let node = BeaconNode::start(&[]).await;
        let beacon = Beacon::new([node.url()], spec.clone(), beacon::Limits::default()).unwrap();
        let reading = Mutex::new(Reading { wall: Millis(0), running: Duration::ZERO });
        let (door, events) = Door::new();
        let room = Self { spec, node, beacon, reading, door, events: Mutex::new(events) };
        room.genesis(room.spec.genesis_validators_root);
        room.at(Slot(0), 0);
        room
    }

    /// A slot has begun, by the own clock and the beacon node's; the program runs for so many slots.
    fn at(&self, slot: Slot, running_slots: u64) {
        let running = Duration::from_millis(running_slots * self.spec.slot_ms);
        *self.reading.lock().unwrap() = Reading { wall: self.spec.slot_start(slot), running };
        self.node.say(
            "/eth/v1/node/syncing",
            &json!({ "head_slot": slot, "sync_distance": "0", "is_syncing": false, "is_optimistic": false }),
        );
    }

    fn genesis(&self, root: Root) {
        self.node.say(
            "/eth/v1/beacon/genesis",
            &json!({
                "genesis_time": (self.spec.genesis_time_ms / 1000).to_string(),
                "genesis_validators_root": root,
                "genesis_fork_version": self.spec.genesis_fork_version,
            }),
        );
    }

    fn watch(&self) -> Watch<impl Fn() -> Reading + Sync> {
        let clock = || *self.reading.lock().unwrap();
        Watch::new(
            self.beacon.clone(),
            self.spec.clone(),
            self.door.clone(),
            Arc::new(Metrics::default()),
            clock,
        )
    }

    /// What core was told and has not taken yet.
    fn told(&self) -> Option<Input> {
        match self.events.lock().unwrap().try_recv().ok()? {
            Event::Input(input) => Some(input),
            other => panic!("{other:?}"),
        }
    }

    fn aside(&self) -> Option<Aside> {
        self.beacon.health()[0].aside
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_stops_signing_and_ends_the_process() {
    let room = Room::new().await;
    room.at(Slot(900), 0);
    let mut watch = room.watch();
    assert!(watch.round().await.is_continue());
    // Half a slot, and a whole one: the next slots come later, and that is all.
    room.at(Slot(900), 1);
    assert!(watch.round().await.is_continue());
    assert!(room.told().is_none());
    // Two slots, in whose course the beacon node's clock and the own one agree.
    room.at(Slot(900), 2);
    assert!(watch.round().await.is_break());
    assert!(matches!(room.told(), Some(Input::Stop(Reason::Clock))));
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_with_the_machine_ends_nothing() {
    let room = Room::new().await;
    let mut watch = room.watch();
    assert!(watch.round().await.is_continue());
    room.at(Slot(5_000), 1);
    assert!(watch.round().await.is_continue());
    assert!(room.told().is_none());
}

#[tokio::test]
async fn a_beacon_node_that_is_swapped_unseen_is_found_in_the_next_epoch() {
    let room = Room::new().await;
    let mut watch = room.watch();
    let last = Slot(room.spec.epoch_start(Epoch(1)).0 - 1);
    assert!(watch.round().await.is_continue());
    room.genesis(Root([9; 32]));
    room.at(last, last.0);
    assert!(watch.round().await.is_continue());
    assert_eq!(room.aside(), None, "it is not asked in every slot");
    room.at(last.next(), last.0 + 1);
    assert!(watch.round().await.is_continue());
    assert_eq!(room.aside(), Some(Aside::Foreign));
    // And back.
    room.genesis(room.spec.genesis_validators_root);
    let later = room.spec.epoch_start(Epoch(2));
    room.at(later, later.0);
    assert!(watch.round().await.is_continue());
    assert_eq!(room.aside(), None);
}
