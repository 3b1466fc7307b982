//! A machine's clock in the jar: off by some, and drifting.

use types::Millis;

/// A clock, against the world's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// How far ahead it is, in milliseconds, at the world's beginning.
    pub ahead_ms: i64,
    /// How much it gains, in milliseconds per million.
    pub drift_ppm: i64,
    /// The world's beginning.
    pub since: Millis,
}

impl Clock {
    /// What it shows at a time of the world.
    pub fn shows(&self, world: Millis) -> Millis {
        Millis(world.0.saturating_add_signed(self.error_at(world)))
    }

    /// When it shows this: late by at most the drift over its own error, never early.
    pub fn time_of(&self, shown: Millis) -> Millis {
        let mut guess = Millis(shown.0.saturating_add_signed(-self.error_at(shown)));
        // Never early: whoever waits for a time is not woken before it, or it would wait again.
        loop {
            match shown.0.saturating_sub(self.shows(guess).0) {
                0 => return guess,
                short => guess = guess.after(Millis(short)),
            }
        }
    }

    fn error_at(&self, world: Millis) -> i64 {
        let run = i64::try_from(world.since(self.since).0).unwrap_or(i64::MAX);
        self.ahead_ms.saturating_add(run.saturating_mul(self.drift_ppm) / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_for_a_time_is_woken_then_and_not_before() {
        for ahead_ms in [-40_000, -5_000, -3, 0, 7, 4_000] {
            for drift_ppm in [-900, -1, 0, 1, 900] {
                let clock = Clock { ahead_ms, drift_ppm, since: Millis(1_000_000) };
                for shown in (1_050_000..1_400_000).step_by(37).map(Millis) {
                    let shows = clock.shows(clock.time_of(shown)).0;
                    let late = shows.checked_sub(shown.0).expect("not early");
                    assert!(late <= 40, "{clock:?} {shown}: {late}");
                }
            }
        }
    }
}
