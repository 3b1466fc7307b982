//! A world in a jar: chain, clock, network, disk, validator clients, villains and judges.
//!
//! One seed, one thread: the same setup gives the same events in the same order, and so the same trace hash.
//! The nodes in it are the machines of `symbolon-core` that the daemon runs; everything they wish for is granted by
//! [`world::World`] at a time that the seed decides.
//!
//! - [`chain`]: a toy beacon chain, strict about every signature and root. The devnet serves it over HTTP.
//! - [`curve`]: symbolic signatures, and what a chain needs of any signature scheme.
//! - [`network`], [`disk`], [`clock`], [`client`]: what surrounds a node. [`roster`]: the cluster's part of the chain's duties.
//! - [`fault`]: what can go wrong at one operator. [`villains`]: bad habits, one per file.
//! - [`plan`]: a whole run drawn from a seed, as a text that can be read back. [`seeds`]: many of them. [`report`]: what they covered.
//! - [`judges`]: what must never happen, and what must.
//! - [`scenario`]: runs as checked transcripts.

pub mod chain;
pub mod client;
pub mod clock;
pub mod curve;
pub mod disk;
pub mod fault;
pub mod judges;
pub mod network;
pub mod person;
pub mod plan;
pub mod report;
pub mod roster;
pub mod scenario;
pub mod seeds;
pub mod setup;
pub mod villains;
pub mod world;
