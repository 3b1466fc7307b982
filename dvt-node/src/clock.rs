//! The one place where the daemon reads the time.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use types::Millis;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Unix time in milliseconds; zero if the clock stands before 1970.
pub fn now() -> Millis {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// How long this program runs, by a clock that nobody sets.
pub fn running() -> Duration {
    START.elapsed()
}

/// Notices when the system's clock is set back, beside a clock that nobody sets.
///
/// Core's time never decreases, so after such a step it stands still until the clock is back where it was. Set forward,
/// or stopped with the whole machine, the clock only jumps ahead; core does the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Course {
    /// The most that the system's clock has been ahead of the other one.
    ahead_ms: u64,
}

impl Course {
    /// How far the clock stands behind where it would be if it had not been set back.
    ///
    /// - `wall`, `running`: [`now`] and [`running`], read at one time.
    pub fn set_back(&mut self, wall: Millis, running: Duration) -> Millis {
        let running_ms = u64::try_from(running.as_millis()).unwrap_or(u64::MAX);
        let ahead_ms = wall.0.saturating_sub(running_ms);
        self.ahead_ms = self.ahead_ms.max(ahead_ms);
        Millis(self.ahead_ms - ahead_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_is_noticed_and_one_that_is_set_forward_is_not() {
        let mut course = Course::default();
        let mut back = |wall, running_s| course.set_back(Millis(wall), Duration::from_secs(running_s)).0;
        assert_eq!(back(1_000_000, 10), 0);
        assert_eq!(back(1_012_000, 22), 0);
        assert_eq!(back(1_023_900, 34), 100, "slewed a little");
        assert_eq!(back(9_000_000, 46), 0, "forward");
        assert_eq!(back(1_048_000, 58), 9_012_000 - 1_048_000, "and back to what it should be");
        assert_eq!(back(1_060_000, 70), 9_012_000 - 1_048_000, "where it stays");
    }
}
