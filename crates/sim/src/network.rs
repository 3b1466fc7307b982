//! A network in the jar: links with seeded delays that break and come back, and partitions that heal.
//!
//! A link is a stream, as the daemon's are: in order and without loss as long as it holds. A lost packet costs a
//! retransmission, which holds up what follows. What is under way when a link breaks is lost. For rules that must not
//! lean on streams, messages may also come twice, or overtake each other ([`Weather`]).

use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;
use std::collections::BTreeMap;
use types::Millis;

/// What a lost packet costs: the least time-out for a retransmission that TCP stacks have.
const RETRANSMISSION_MS: u64 = 200;

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

/// What else befalls messages, each of a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// So many lose a packet.
    pub lost: u64,
    /// So many come twice.
    pub doubled: u64,
    /// So many may overtake those before them.
    pub overtaking: u64,
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

/// One direction between two endpoints.
#[derive(Debug, Default)]
struct Link {
    /// When its last message arrives: the next one comes no earlier.
    last: Millis,
    /// How often it broke.
    breaks: u64,
    /// Until when it stays broken.
    down_until: Millis,
}

/// When a message arrives, if its link holds until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Millis,
    /// Which life of the link it travels in.
    life: u64,
}

/// The links between all endpoints.
#[derive(Debug)]
pub struct Network {
    delay: Delay,
    weather: Weather,
    rng: ChaCha8Rng,
    /// Partitions, which may overlap.
    pub partitions: Vec<Partition>,
    links: BTreeMap<(usize, usize), Link>,
}

impl Network {
    /// Links with these delays, drawn from this stream.
    pub const fn new(delay: Delay, weather: Weather, rng: ChaCha8Rng) -> Self {
        Self { delay, weather, rng, partitions: Vec::new(), links: BTreeMap::new() }
    }

    /// A draw below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.rng.next_u64() % end
    }

    /// What is drawn for nothing would change every run, so no chance draws nothing.
    fn happens(&mut self, per_mille: u64) -> bool {
        per_mille > 0 && self.below(1000) < per_mille
    }

    /// When a message sent now arrives: once, or more often.
    pub fn arrivals(&mut self, now: Millis, from: usize, to: usize) -> Vec<Arrival> {
        let mut arrivals = vec![self.arrival(now, from, to)];
        if self.happens(self.weather.doubled) {
            arrivals.push(self.arrival(now, from, to));
        }
        arrivals
    }

    fn arrival(&mut self, now: Millis, from: usize, to: usize) -> Arrival {
        let mut delay = self.delay.min_ms + self.below(self.delay.max_ms - self.delay.min_ms + 1);
        if self.happens(self.weather.lost) {
            delay += RETRANSMISSION_MS;
        }
        let overtakes = self.happens(self.weather.overtaking);
        let parted = |partition: &&Partition| {
            (partition.from <= now && now < partition.until)
                && partition.side.contains(&from) != partition.side.contains(&to)
        };
        let healed = self.partitions.iter().filter(parted).map(|partition| partition.until).max();
        let mut at = healed.unwrap_or(now).after(Millis(delay));
        let link = self.links.entry((from, to)).or_default();
        if !overtakes {
            at = at.max(link.last);
            link.last = at;
        }
        Arrival { at, life: link.breaks }
    }

    /// Whether a message that arrives now does: its link has not broken meanwhile.
    pub fn delivers(&self, from: usize, to: usize, arrival: Arrival) -> bool {
        self.links.get(&(from, to)).is_none_or(|link| link.breaks == arrival.life)
    }

    /// A link breaks in both directions, and cannot be made again before `until`.
    pub fn cut(&mut self, [one, other]: [usize; 2], until: Millis) {
        for ends in [(one, other), (other, one)] {
            let link = self.links.entry(ends).or_default();
            link.breaks += 1;
            link.last = Millis(0);
            link.down_until = link.down_until.max(until);
        }
    }

    /// Whether a link can be made.
    pub fn is_up(&self, now: Millis, from: usize, to: usize) -> bool {
        self.links.get(&(from, to)).is_none_or(|link| link.down_until <= now)
    }
}
