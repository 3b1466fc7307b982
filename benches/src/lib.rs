//! One file per question asked of the stopwatch; `README.md` beside it keeps the figures and the ratios that must hold.
//!
//! ```text
//! cargo bench -p benches --bench slot_check
//! ```
