//! Public curve work: verify, combine, slot check.
