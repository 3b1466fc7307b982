//! Refusals at the node's door: each bad thing beside its unmodified twin; and what the monitoring port tells of a slot.
//!
//! A refused wish leaves no frame, no journal row and no signature behind; its twin is accepted and a partial
//! signature goes out. Sent to the node's own router, decided by its own machine, signed with real halves.

mod approvals;
mod attestations;
mod blocks;
mod bodies;
mod builders;
mod explained;
mod recipients;
mod recorded;
#[allow(dead_code, reason = "the search is shared with a larger test, which needs all of it")]
#[path = "../../../tests/tests/secrets/scan.rs"]
mod scan;
mod selections;
mod stops;
mod world;
