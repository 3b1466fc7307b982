//! A line that can go dead, keeping its connections open and carrying nothing more; or one that is slow.

use crate::cluster::Over;
use net::Multiaddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Carries TCP connections to one address until it is frozen.
pub(crate) struct Proxy {
    pub(crate) address: Multiaddr,
    frozen: CancellationToken,
}

/// Bytes that a slow line takes at a time, as a router with a short queue does.
const SLOW_STEP: usize = 16 << 10;

/// Carries one TCP connection to one address, and only as many bytes as it is let: whoever sends finds a line that is
/// stuck, with little room in front of it.
pub(crate) struct SlowLine {
    pub(crate) address: Multiaddr,
    allowance: Arc<Semaphore>,
}

impl SlowLine {
    pub(crate) async fn to(target: &Multiaddr) -> Self {
        // Small buffers in the sockets too, set before the connection stands: they are inherited by what is accepted.
        let near = TcpSocket::new_v4().unwrap();
        near.set_recv_buffer_size(u32::try_from(SLOW_STEP).unwrap()).unwrap();
        near.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = near.listen(8).unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = format!("127.0.0.1:{}", port_of(target));
        let allowance = Arc::new(Semaphore::new(0));
        let there = allowance.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&target).await.unwrap();
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(carry_slowly(near_read, far_write, there.clone()));
                tokio::spawn(carry(far_read, near_write, CancellationToken::new()));
            }
        });
        Self { address: with_port(Over::Tcp, port), allowance }
    }

    /// Lets so many more bytes pass, in the direction of the dial.
    pub(crate) fn let_through(&self, bytes: usize) {
        self.allowance.add_permits(bytes);
    }

    /// Whether everything that was let through is gone through.
    pub(crate) fn is_stuck(&self) -> bool {
        self.allowance.available_permits() == 0
    }
}

async fn carry_slowly(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    allowance: Arc<Semaphore>,
) {
    let mut buffer = vec![0; SLOW_STEP];
    loop {
        // One byte must be allowed before any is read; then as many as are there and allowed.
        allowance.acquire().await.unwrap().forget();
        let more = allowance.available_permits().min(SLOW_STEP - 1);
        allowance.acquire_many(u32::try_from(more).unwrap()).await.unwrap().forget();
        match from.read(&mut buffer[..=more]).await {
            Ok(len) if len > 0 && to.write_all(&buffer[..len]).await.is_ok() => {
                allowance.add_permits(more + 1 - len);
            }
            _ => return,
        }
    }
}

impl Proxy {
    pub(crate) async fn to(target: &Multiaddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = format!("127.0.0.1:{}", port_of(target));
        let frozen = CancellationToken::new();
        let state = frozen.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&target).await.unwrap();
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(carry(near_read, far_write, state.clone()));
                tokio::spawn(carry(far_read, near_write, state.clone()));
            }
        });
        Self { address: with_port(Over::Tcp, port), frozen }
    }

    /// From now on nothing passes, and nobody is told.
    pub(crate) fn freeze(&self) {
        self.frozen.cancel();
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    frozen: CancellationToken,
) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = tokio::select! {
            biased;
            // Holds both halves for ever.
            () = frozen.cancelled() => std::future::pending().await,
            read = from.read(&mut buffer) => read,
        };
        match read {
            Ok(len) if len > 0 && to.write_all(&buffer[..len]).await.is_ok() => {}
            _ => return,
        }
    }
}

/// The port of an address of this wire.
pub(crate) fn port_of(address: &Multiaddr) -> u16 {
    use libp2p::multiaddr::Protocol;
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    });
    port.unwrap()
}

/// This port of the loopback.
pub(crate) fn with_port(over: Over, port: u16) -> Multiaddr {
    let text = match over {
        Over::Tcp => format!("/ip4/127.0.0.1/tcp/{port}"),
        Over::Quic => format!("/ip4/127.0.0.1/udp/{port}/quic-v1"),
    };
    text.parse().unwrap()
}
