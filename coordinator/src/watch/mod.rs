//! What the coordinator asks of the chain, and what it makes of the answers: observations for the ledger.
//!
//! ```text
//! state of the ledger, time, answers so far -> next -> questions | an observation | nothing
//! question, bytes of an answer              -> read -> what was said, or the rule that the answer breaks
//! ```
//!
//! The state asks: what was observed last is in it, and what is due follows from it. So there is nothing to keep beside the
//! log, a restart goes on where the log ends, and whoever has the log and a beacon node can ask and say the same.
//!
//! - [`question`]: what can be asked. [`said`]: what was answered. [`list`]: long answers, read as they come.
//! - [`due`]: which state is to be looked at next, and when. [`frame`]: what a report is made of; [`tally`]: what of it the
//!   log says.
//! - [`contracts`]: what the pool's contracts say; [`heard`]: what of it is to be observed.
//! - `exits`: exits that are asked for, late, or to be published. `slashed`: slashings, and what they cost.
//! - [`step`]: what to do next. [`recount`]: reports of a log, to be made again.
//!
//! Nothing here asks a clock or opens a socket: that is [`crate::lookout`]'s.

pub mod contracts;
pub mod due;
mod exits;
pub mod frame;
pub mod heard;
pub mod list;
pub mod question;
pub mod recount;
pub mod said;
mod slashed;
pub mod step;
pub mod tally;

pub use frame::{Frame, FrameError};
pub use question::{Question, Scope};
pub use said::{Said, Wrong};
pub use step::{Known, Step, Task, next};
pub use tally::Tally;

#[cfg(test)]
mod tests;
