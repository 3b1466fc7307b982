//! The pool's books: each one a state, commands that are decided, and events that are all that changes it.
//!
//! `decide` is pure and changes nothing; `apply` is total. What a book needs of the world or of another book is told to
//! it: time, policy, facts.
//!
//! - [`deposits`]: the pool's validators, and the money that goes to them.
//! - [`pool`]: whose the pool's ETH is, and where it lies.

pub mod deposits;
pub mod pool;
