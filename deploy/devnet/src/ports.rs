//! Ports for processes that are told where to listen.

use rand_core::{OsRng, RngCore as _};
use std::collections::BTreeSet;
use std::io;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

/// Below the range from which systems take ports for outgoing connections, so that none of those comes in between.
const FIRST: u16 = 12_000;
/// Up to here, exclusively.
const END: u16 = 32_000;
/// Tries until a free one is found; with few listeners one is enough.
const TRIES: usize = 100;

static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A TCP port of 127.0.0.1 that nobody listened on a moment ago, and that was not given out here before.
///
/// - Errors: the system's, when no port can be bound.
pub fn free_port() -> io::Result<u16> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let port = FIRST + (OsRng.next_u32() % u32::from(END - FIRST)) as u16;
        if !GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            continue;
        }
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let ports: BTreeSet<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 50);
    }
}
