//! What governance can do, and nothing else.

use crate::ledger::calls::Chosen;
use crate::ledger::operators::{Kind, OperatorId, Reason};
use crate::ledger::policy::Policy;
use crate::ledger::quorum::Quorum;
use serde::{Deserialize, Serialize};
use types::spec::ForkEpoch;
use types::{Address, ClusterId, Gwei, PublicKey};

/// An act: what `m` of the `n` keys of governance agree on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// Another policy, whole.
    ChangePolicy(Box<Policy>),
    /// An operator that has applied is one of the pool.
    VetOperator {
        /// Which.
        operator: OperatorId,
    },
    /// Another limit on an operator's stake, at most the policy's.
    SetStakeCap {
        /// Whose.
        operator: OperatorId,
        /// The limit.
        stake: Gwei,
    },
    /// An operator gets no new stake and takes nothing out. At once.
    PauseOperator {
        /// Which.
        operator: OperatorId,
        /// Why, for everybody to read.
        reason: Reason,
    },
    /// A paused operator is what it was before.
    UnpauseOperator {
        /// Which.
        operator: OperatorId,
    },
    /// An operator is to leave, also against its will.
    DismissOperator {
        /// Which.
        operator: OperatorId,
    },
    /// Another manager for an operator whose manager's key is stolen or lost.
    ReplaceManager {
        /// Whose.
        operator: OperatorId,
        /// The new one.
        manager: Address,
    },
    /// What was announced in an operator's name does not come. At once.
    CallOff {
        /// Whose.
        operator: OperatorId,
        /// What.
        what: Kind,
    },
    /// A cluster is chosen, without a lot: its operators are asked.
    ChooseCluster(Chosen),
    /// A cluster gets no more stake, and its validators are to exit. At once.
    WindDownCluster {
        /// Which.
        cluster: ClusterId,
    },
    /// A validator's alarms are over: it gets stake again.
    ReleaseValidator {
        /// Which.
        pubkey: PublicKey,
    },
    /// A guarantee has paid for what was lost to a key.
    CompensateValidator {
        /// Which.
        pubkey: PublicKey,
    },
    /// The network gets a fork that was not known before: what validators sign after it has its version.
    AddFork(ForkEpoch),
    /// Other keys of governance.
    RotateGovernance(Quorum),
    /// Other guardians.
    RotateGuardians(Quorum),
    /// Another key of the coordinator.
    RotateCoordinator {
        /// The new one.
        coordinator: Address,
    },
    /// Deposits go on that a guardian has stopped.
    ResumeDeposits,
}

impl Act {
    /// Whether it waits after its adoption, so that whoever dislikes it can leave before. What only stops something
    /// does not wait: it harms nobody's money, and waiting may.
    pub fn waits(&self) -> bool {
        match self {
            Self::PauseOperator { .. } | Self::CallOff { .. } | Self::WindDownCluster { .. } => false,
            Self::ChangePolicy(_)
            | Self::VetOperator { .. }
            | Self::SetStakeCap { .. }
            | Self::UnpauseOperator { .. }
            | Self::DismissOperator { .. }
            | Self::ChooseCluster(_)
            | Self::ReleaseValidator { .. }
            | Self::CompensateValidator { .. }
            | Self::ReplaceManager { .. }
            | Self::AddFork(_)
            | Self::RotateGovernance(_)
            | Self::RotateGuardians(_)
            | Self::RotateCoordinator { .. }
            | Self::ResumeDeposits => true,
        }
    }
}
