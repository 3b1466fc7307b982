//! The operator's daemon: one loop around core.
