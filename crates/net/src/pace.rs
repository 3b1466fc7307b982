//! How fast a peer is listened to: a bucket of tokens, so that one that floods us costs a bounded part of a core.
//!
//! - Every frame costs a token, and one for each [`BYTES_PER_TOKEN`]; tokens come back at a steady rate, up to a burst.
//! - A frame that the consumer refuses costs [`REFUSED_COST`] more ([`Handle::refused`](crate::Handle::refused)): it was work for
//!   nothing. So a peer that sends only garbage is soon heard some times a second, and one that does not is never slowed.
//! - Whoever has none left is not read from; its frames wait on its own side. A debt is never longer than
//!   [`DEBT_MAX`]: a node that comes back in the place of a flooding one is heard at once, nearly.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Bytes that cost as much as a frame more: reading a payload of four megabytes is work like that of a hundred frames.
const BYTES_PER_TOKEN: usize = 32 << 10;
/// Tokens of a refused frame. With those of [`Limits`](crate::Limits) that is eight refused frames a second.
const REFUSED_COST: i64 = 32;
/// The longest debt that refused frames can make.
const DEBT_MAX: Duration = Duration::from_secs(1);

/// Thousandths of a token.
const THOUSANDTHS: i64 = 1000;

/// One peer's.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<Bucket>);

impl Pace {
    /// `per_second`, `burst`: of [`Limits`](crate::Limits).
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        Self(Mutex::new(Bucket::new(per_second, burst, Instant::now())))
    }

    /// Pays for a frame of so many bytes, and waits until there was enough for it.
    pub(crate) async fn admit(&self, len: usize) {
        let wait = self.lock().take(cost_of(len), Instant::now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// Makes a frame dearer that was refused.
    pub(crate) fn refused(&self) {
        self.lock().punish(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost_of(len: usize) -> i64 {
    i64::try_from(1 + len / BYTES_PER_TOKEN).unwrap_or(i64::MAX / THOUSANDTHS)
}

/// Tokens, in thousandths; less than none is a debt.
#[derive(Debug)]
struct Bucket {
    tokens: i64,
    at: Instant,
    per_second: i64,
    burst: i64,
}

impl Bucket {
    fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let (per_second, burst) = (i64::from(per_second.max(1)), i64::from(burst) * THOUSANDTHS);
        Self { tokens: burst, at: now, per_second, burst }
    }

    /// How long to wait until what was taken is there.
    fn take(&mut self, cost: i64, now: Instant) -> Duration {
        self.refill(now);
        self.tokens = self.tokens.saturating_sub(cost.saturating_mul(THOUSANDTHS));
        let missing = u64::try_from(-self.tokens).unwrap_or(0);
        Duration::from_millis(missing.div_ceil(self.per_second.unsigned_abs()))
    }

    fn punish(&mut self, now: Instant) {
        self.refill(now);
        let deepest = -i64::try_from(DEBT_MAX.as_millis()).unwrap_or(i64::MAX) * self.per_second;
        self.tokens = (self.tokens - REFUSED_COST * THOUSANDTHS).max(deepest.min(self.tokens));
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        // Whole milliseconds only: what is left of one is counted the next time.
        let passed_ms = passed.as_millis();
        self.at += Duration::from_millis(u64::try_from(passed_ms).unwrap_or(u64::MAX));
        let back = i64::try_from(passed_ms).unwrap_or(i64::MAX).saturating_mul(self.per_second);
        self.tokens = self.tokens.saturating_add(back).min(self.burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_is_free_and_then_frames_come_at_the_rate() {
        let mut now = Instant::now();
        let mut bucket = Bucket::new(100, 5, now);
        assert!((0..5).all(|_| bucket.take(1, now).is_zero()));
        for _ in 0..20 {
            let wait = bucket.take(1, now);
            assert_eq!(wait, 10 * MS);
            now += wait;
        }
        now += 1000 * MS;
        assert!((0..5).all(|_| bucket.take(1, now).is_zero()), "full again, and no more than that");
        assert_eq!(bucket.take(1, now), 10 * MS);
    }

    #[test]
    fn long_frames_cost_more() {
        assert_eq!([0, 1, BYTES_PER_TOKEN - 1, BYTES_PER_TOKEN, 4 << 20].map(cost_of), [1, 1, 1, 2, 129]);
    }

    #[test]
    fn refused_frames_slow_a_peer_down_to_some_a_second_and_no_debt_outlasts_a_second() {
        let mut now = Instant::now();
        let mut bucket = Bucket::new(256, 1024, now);
        (0..10_000).for_each(|_| bucket.punish(now));
        let wait = bucket.take(1, now);
        assert!(wait >= DEBT_MAX && wait < DEBT_MAX + 10 * MS, "{wait:?}");
        let begun = now;
        for _ in 0..80 {
            now += bucket.take(1, now);
            bucket.punish(now);
        }
        let took = now - begun;
        assert!(took > 9 * DEBT_MAX && took < 12 * DEBT_MAX, "eight a second: {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_tokens_waits_for_nothing() {
        let (pace, begun) = (Pace::new(10, 3), Instant::now());
        for _ in 0..3 {
            pace.admit(100).await;
        }
        assert_eq!(Instant::now(), begun);
        pace.admit(100).await;
        assert_eq!(Instant::now() - begun, 100 * MS);
    }

    proptest! {
        #[test]
        fn in_no_stretch_of_time_is_more_heard_than_the_burst_and_the_rate(
            gaps in prop::collection::vec((0u64..200, 0usize..200_000), 1..200),
        ) {
            let start = Instant::now();
            let mut bucket = Bucket::new(50, 20, start);
            let (mut now, mut heard) = (start, 0);
            for (gap_ms, len) in gaps {
                now += Duration::from_millis(gap_ms);
                now += bucket.take(cost_of(len), now);
                heard += cost_of(len);
                let passed = i64::try_from((now - start).as_millis()).unwrap();
                prop_assert!(heard <= 20 + passed * 50 / 1000 + 1);
            }
        }
    }
}
