//! The validator API against a chain and a core that know nothing of it.

mod attest;
mod duties;
mod keys;
mod propose;
mod proxy;
mod robust;
mod world;
