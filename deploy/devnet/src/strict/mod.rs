//! A strict beacon node of current forks: our own Node program over the libraries of a client that is not ours.
//!
//! - [`site`]: the program and its packages in one run's folder.
//! - [`beacon_node`]: its process, with the cluster's keys in its genesis and ordinary validators inside.
//! - [`oracle`]: every route of the beacon API, asked of a node and of the beacon node behind it.
//! - [`judge`]: what it says, from its own blocks and states, about the cluster's duties.
//!
//! The program is `deploy/devnet/strict`; its rules are described where they are kept.

pub mod beacon_node;
pub mod judge;
pub mod oracle;
pub mod relay;
pub mod site;
