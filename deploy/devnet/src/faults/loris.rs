//! Slow loris: many requests that never end, so that a server runs out of patience, memory or connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Connections to one validator API: a client needs a handful.
pub const CONNECTIONS: usize = 300;
/// Between two bytes, and before a connection that was closed is opened again.
const PAUSE: Duration = Duration::from_millis(500);
/// Half of them never finish the head of a request, the other half its body.
const HEAD: &str = "GET /eth/v1/node/version HTTP/1.1\r\nhost: node\r\nx-slow: ";
const BODY: &str = "POST /eth/v2/beacon/pool/attestations HTTP/1.1\r\nhost: node\r\ncontent-type: application/json\r\n\
                    eth-consensus-version: electra\r\ncontent-length: 1000000\r\n\r\n[";

/// Such requests at one address, until this is dropped.
#[derive(Debug)]
pub struct Loris {
    opened: Arc<AtomicUsize>,
    _requests: JoinSet<()>,
}

impl Loris {
    /// Begins, at a port of this machine.
    pub fn start(port: u16) -> Self {
        let (mut requests, opened) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
        for number in 0..CONNECTIONS {
            let beginning = if number % 2 == 0 { HEAD } else { BODY };
            let opened = Arc::clone(&opened);
            requests.spawn(async move {
                loop {
                    // However the server ends it, the next one is on its way.
                    let _ = drip(port, beginning, &opened).await;
                    sleep(PAUSE).await;
                }
            });
        }
        Self { opened, _requests: requests }
    }

    /// How many were begun so far.
    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

/// One request, byte by byte, until the server has enough of it.
async fn drip(port: u16, beginning: &str, opened: &AtomicUsize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(beginning.as_bytes()).await?;
    opened.fetch_add(1, Ordering::Relaxed);
    let mut answer = [0; 256];
    loop {
        tokio::select! {
            read = stream.read(&mut answer) => if read? == 0 { return Ok(()) },
            () = sleep(PAUSE) => stream.write_all(b"1").await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn requests_come_and_come_again_when_they_are_closed() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let _loris = Loris::start(listener.local_addr().unwrap().port());
        let mut heads = 0;
        for _ in 0..CONNECTIONS + 10 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut first = [0; 3];
            stream.read_exact(&mut first).await.unwrap();
            heads += usize::from(&first == b"GET");
        }
        assert!((100..CONNECTIONS).contains(&heads));
    }
}
