//! Scenarios, end-to-end runs, vectors.
