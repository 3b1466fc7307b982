//! The validator API against a chain and a core that know nothing of it.

mod aggregate;
mod attest;
mod duties;
mod exit;
mod guarded;
mod keys;
mod lists;
mod objects;
mod posts;
mod prepare;
mod propose;
mod proxy;
mod refusals;
mod robust;
mod select;
mod sync;
mod warned;
mod world;
