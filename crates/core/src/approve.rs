//! What operators approve beside duties, as this node knows it: exits, and changes of registration.
//!
//! An approval is this operator's partial signature. It cannot be taken back: whoever has heard it may combine it. A later
//! one for the same validator takes its place here, and at every honest node.

use std::collections::{BTreeMap, BTreeSet};
use types::approval::{RegistrationStatement, Standing, StatementError};
use types::{Epoch, Millis, Root, ShareIndex, ValidatorNo};

/// How far ahead of this node's clock a statement may be: clocks differ by seconds, and people say things minutes before.
pub const STATED_AHEAD: Millis = Millis(5 * 60 * 1000);

/// Statements that one operator approves at a time; of more, the newest. Each is some 40 KB for 10,000 validators, and an
/// operator that needs more than a few has not waited for any.
pub const STATEMENTS_MAX: usize = 8;

/// For how many epochs blocks may still pay the fee recipient before the one that counts, from when this node learned it:
/// an honest leader may have learned it later, and beacon nodes are told once an epoch at worst.
pub const PREVIOUS_EPOCHS: u64 = 2;

/// An exit that operators approve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitApproval {
    /// Who leaves.
    pub validator: ValidatorNo,
    /// Not before this epoch.
    pub epoch: Epoch,
    /// Operators that approve, as far as this node has heard.
    pub operators: BTreeSet<ShareIndex>,
    /// Whether it is signed.
    pub signed: bool,
    /// Whether a beacon node has taken it.
    pub taken: bool,
}

/// A statement that is not complete for all of its validators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementApproval {
    /// Its hash.
    pub id: Root,
    /// What it says.
    pub statement: RegistrationStatement,
    /// Operators that approve, as far as this node has heard, and for how many of its validators that wait.
    pub operators: BTreeMap<ShareIndex, usize>,
}

/// Everything that is approved or waits for approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approvals {
    /// This operator.
    pub me: ShareIndex,
    /// Operators in all.
    pub operators: usize,
    /// How many of them must approve.
    pub threshold: usize,
    /// Exits.
    pub exits: Vec<ExitApproval>,
    /// Statements that wait.
    pub statements: Vec<StatementApproval>,
    /// Registrations that count.
    pub registered: Vec<(ValidatorNo, Standing)>,
}

/// Why this operator's own approval is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    /// A later epoch is approved already.
    #[error(
        "this operator has approved the exit of validator {validator} from epoch {approved} on, which is not taken \
         back; only a later epoch takes its place"
    )]
    LaterExit {
        /// Who leaves.
        validator: ValidatorNo,
        /// From when.
        approved: Epoch,
    },
    /// Not a statement that anybody approves.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// From the future.
    #[error("the statement is of second {timestamp_s}, more than five minutes ahead of this node's clock")]
    Ahead {
        /// When it says that it was stated.
        timestamp_s: u64,
    },
    /// Not newer than what counts.
    #[error(
        "validator {validator} has a registration of second {current}, and the statement of second {timestamp_s} is not \
         newer"
    )]
    NotNewer {
        /// Whose.
        validator: ValidatorNo,
        /// When the one that counts was stated.
        current: u64,
        /// When this one was.
        timestamp_s: u64,
    },
    /// A newer one is approved already.
    #[error(
        "this operator has approved a newer statement for validator {validator}, of second {approved}, which is not \
         taken back"
    )]
    NewerStatement {
        /// Whose.
        validator: ValidatorNo,
        /// When the newer one was stated.
        approved: u64,
    },
    /// Not one half for each validator.
    #[error("{have} half signatures for the statement's {want} validators")]
    Halves {
        /// Half signatures.
        have: usize,
        /// Validators.
        want: usize,
    },
}
