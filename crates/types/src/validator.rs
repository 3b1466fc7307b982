//! Where a validator is in its life, in the words of the beacon API.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a validator is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidatorStatus {
    /// Its deposit is known, but too small yet or not final.
    PendingInitialized,
    /// Waits for its activation.
    PendingQueued,
    /// Attests.
    ActiveOngoing,
    /// Attests, and will leave.
    ActiveExiting,
    /// Attests, and will leave because it was slashed.
    ActiveSlashed,
    /// Has left.
    ExitedUnslashed,
    /// Has left, slashed.
    ExitedSlashed,
    /// Its money can be withdrawn.
    WithdrawalPossible,
    /// Its money is withdrawn.
    WithdrawalDone,
}

impl ValidatorStatus {
    /// Whether it has duties.
    pub fn is_active(self) -> bool {
        matches!(self, Self::ActiveOngoing | Self::ActiveExiting | Self::ActiveSlashed)
    }

    /// Whether it says that the validator was slashed; later statuses do not say.
    pub const fn is_slashed(self) -> bool {
        matches!(self, Self::ActiveSlashed | Self::ExitedSlashed)
    }

    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PendingInitialized => "pending_initialized",
            Self::PendingQueued => "pending_queued",
            Self::ActiveOngoing => "active_ongoing",
            Self::ActiveExiting => "active_exiting",
            Self::ActiveSlashed => "active_slashed",
            Self::ExitedUnslashed => "exited_unslashed",
            Self::ExitedSlashed => "exited_slashed",
            Self::WithdrawalPossible => "withdrawal_possible",
            Self::WithdrawalDone => "withdrawal_done",
        }
    }
}

impl fmt::Display for ValidatorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_status_is_written_as_it_is_read() {
        let names = [
            "pending_initialized",
            "pending_queued",
            "active_ongoing",
            "active_exiting",
            "active_slashed",
            "exited_unslashed",
            "exited_slashed",
            "withdrawal_possible",
            "withdrawal_done",
        ];
        for name in names {
            let status: ValidatorStatus = serde_json::from_value(json!(name)).unwrap();
            assert_eq!(status.as_str(), name);
            assert_eq!(serde_json::to_value(status).unwrap(), json!(name));
            assert_eq!(status.is_active(), name.starts_with("active"));
            assert_eq!(status.is_slashed(), name.ends_with("_slashed"));
        }
        assert!(serde_json::from_value::<ValidatorStatus>(json!("active")).is_err());
    }
}
