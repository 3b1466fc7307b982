//! The one place where the devnet reads the time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use types::Millis;

/// Unix time in milliseconds; zero if the clock stands before 1970.
pub fn now() -> Millis {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// Waits until a point in time; returns at once if it has passed.
pub async fn wait_until(at: Millis) {
    tokio::time::sleep(Duration::from_millis(at.since(now()).0)).await;
}
