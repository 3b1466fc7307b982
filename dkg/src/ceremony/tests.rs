//! Ceremonies in memory: messages in any order, nodes killed anywhere, one villain at a time.

mod batches;
mod framing;
mod real;
mod resume;
mod runs;
mod villains;
mod world;
