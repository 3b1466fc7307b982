//! The one place where the daemon reads the time.

use std::time::{SystemTime, UNIX_EPOCH};
use types::Millis;

/// Unix time in milliseconds; zero if the clock stands before 1970.
pub fn now() -> Millis {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}
