//! A network in the jar: reliable, ordered links with seeded delays, and partitions that heal.

use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;
use std::collections::BTreeMap;
use types::Millis;

/// One-way delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// At least, in milliseconds.
    pub min_ms: u64,
    /// At most, in milliseconds.
    pub max_ms: u64,
}

impl Delay {
    /// Always the same.
    pub const fn fixed(ms: u64) -> Self {
        Self { min_ms: ms, max_ms: ms }
    }
}

/// Endpoints that cannot hear each other for a while.
#[derive(Clone, Debug)]
pub struct Partition {
    /// One side; the other is everybody else.
    pub side: Vec<usize>,
    /// From when.
    pub from: Millis,
    /// Until when; what was sent meanwhile arrives afterwards.
    pub until: Millis,
}

/// The links between all endpoints.
#[derive(Debug)]
pub struct Network {
    delay: Delay,
    rng: ChaCha8Rng,
    /// Partitions, which may overlap.
    pub partitions: Vec<Partition>,
    /// When the last message on a link arrives: the next one comes no earlier.
    last: BTreeMap<(usize, usize), Millis>,
}

impl Network {
    /// Links with these delays, drawn from this stream.
    pub fn new(delay: Delay, rng: ChaCha8Rng) -> Self {
        Self { delay, rng, partitions: Vec::new(), last: BTreeMap::new() }
    }

    /// When a message sent now arrives.
    pub fn arrival(&mut self, now: Millis, from: usize, to: usize) -> Millis {
        let span = self.delay.max_ms - self.delay.min_ms + 1;
        let delay = self.delay.min_ms + self.rng.next_u64() % span;
        let parted = |partition: &&Partition| {
            (partition.from <= now && now < partition.until)
                && partition.side.contains(&from) != partition.side.contains(&to)
        };
        let healed = self.partitions.iter().filter(parted).map(|partition| partition.until).max();
        let arrival = healed.unwrap_or(now).after(Millis(delay));
        let last = self.last.entry((from, to)).or_default();
        *last = arrival.max(*last);
        *last
    }
}
