//! A wire with a listener in the middle: forwards TCP, and keeps a copy of every byte of both directions.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Longest piece that is read at a time.
const PIECE_LEN: usize = 64 << 10;

/// One direction of one connection.
type Stream = Arc<Mutex<Vec<u8>>>;

/// What went over one operator's listening address.
pub(crate) struct Tap {
    /// Where others connect.
    pub(crate) address: SocketAddr,
    streams: Arc<Mutex<Vec<Stream>>>,
}

impl Tap {
    /// Stands before `behind`, for as long as the test runs.
    pub(crate) fn before(behind: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let streams = Arc::<Mutex<Vec<Stream>>>::default();
        let kept = streams.clone();
        std::thread::spawn(move || {
            for near in listener.incoming() {
                // Who is not up yet refuses; the dialling side sees its connection closed and comes again.
                let (Ok(near), Ok(far)) = (near, TcpStream::connect(behind)) else { continue };
                let reverse = (far.try_clone().unwrap(), near.try_clone().unwrap());
                copy(near, far, &kept);
                copy(reverse.0, reverse.1, &kept);
            }
        });
        Self { address, streams }
    }

    /// All bytes, a direction of a connection each.
    pub(crate) fn heard(&self) -> Vec<Vec<u8>> {
        self.streams.lock().unwrap().iter().map(|stream| stream.lock().unwrap().clone()).collect()
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, kept: &Mutex<Vec<Stream>>) {
    let stream = Stream::default();
    kept.lock().unwrap().push(stream.clone());
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE_LEN];
        while let Ok(len @ 1..) = from.read(&mut piece) {
            stream.lock().unwrap().extend_from_slice(&piece[..len]);
            if to.write_all(&piece[..len]).is_err() {
                break;
            }
        }
        // Either side may have gone first.
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
