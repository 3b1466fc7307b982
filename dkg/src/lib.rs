//! The key ceremony: a pure machine and its thin shell, dvt-dkg.

pub mod ceremony;
