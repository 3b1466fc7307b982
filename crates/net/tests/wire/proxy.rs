//! A line that can go dead: it keeps its connections open and carries nothing more.

use crate::cluster::Over;
use net::Multiaddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Carries TCP connections to one address until it is frozen.
pub(crate) struct Proxy {
    pub(crate) address: Multiaddr,
    frozen: CancellationToken,
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
