//! The builder-API proxy between a beacon node and relays on real sockets, which do what relays may do.

mod auction;
mod publish;
mod serve;
mod world;
