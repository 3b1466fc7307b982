//! Wires of real sockets on the loopback. Nothing here waits for time to pass: a test waits for events, and the
//! bound of a wait only turns a hang into a failure.

mod boaster;
mod bulk;
mod cluster;
mod limits;
mod mesh;
mod proxy;
mod relayed;
mod restart;
mod stranger;
mod wrong_door;
