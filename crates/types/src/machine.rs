//! The one trait of all pure machines.

use crate::Millis;

/// A deterministic machine: same construction, same calls, same outputs.
///
/// Daemon, ceremony and simulator drive every machine with one loop: `handle` an event, `poll` until
/// `None`, sleep until `wake_at` or the next event. Fetching, verifying, journaling, signing, combining
/// and submitting are outputs; their results come back as inputs. A machine never waits and never asks.
pub trait Machine {
    /// What can happen to it.
    type Input;
    /// What it can wish for.
    type Output;

    /// Takes one event. `now` never decreases. Never fails: bad input becomes an output naming its author.
    fn handle(&mut self, now: Millis, input: Self::Input);

    /// Next wish, oldest first; call until `None` after every `handle`.
    fn poll(&mut self) -> Option<Self::Output>;

    /// When to call `handle` with a tick though nothing happened.
    fn wake_at(&self) -> Option<Millis>;
}
