//! A whole pool on one machine.
