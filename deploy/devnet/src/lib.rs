//! A whole pool on one machine: a ceremony, nodes, validator clients and a chain, each in processes of their own.
//!
//! - [`cli`]: the command line; this program runs itself again for every process.
//! - [`operators`]: folders, ports and node keys of the operators, and their ceremony.
//! - [`pool`]: nodes and who is killed when.
//! - [`sim_chain`]: the pool on the toy chain. [`network`], [`curve`], [`beacon_api`], [`client`], [`clock`]: its
//!   parameters, its signatures, its beacon node over HTTP, a plain validator client, and the time.
//! - [`life`]: a pool with its coordinator on the toy chain, from its founding to its last check.
//! - [`exits`]: a validator that leaves. [`front`]: what stands before a beacon node for one operator, and can fail.
//! - [`faults`]: what happens to nodes and the lines between them, and what may be missed because of it.
//! - [`lodestar_chain`]: the pool on a real Lodestar chain, with [`lodestar`] for everything around it.
//! - [`strict_chain`]: the pool on a strict chain of current forks, with [`strict`] for its beacon node.
//! - [`npm`]: what a chain's Node programs import, installed once per machine.
//! - [`outcomes`], [`report`]: how long duties took, and what a run came to.
//! - [`process`], [`ports`]: how a process is started, awaited and ended, and where it may listen.

pub mod beacon_api;
pub mod cli;
pub mod client;
pub mod clock;
pub mod curve;
pub mod exits;
pub mod faults;
pub mod front;
pub mod life;
pub mod lodestar;
pub mod lodestar_chain;
pub mod moving;
pub mod network;
pub mod npm;
pub mod operators;
pub mod outcomes;
pub mod pool;
pub mod ports;
pub mod process;
pub mod report;
pub mod sim_chain;
pub mod strict;
pub mod strict_chain;
