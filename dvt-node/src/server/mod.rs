//! The one accept loop of everything that this program serves over HTTP.
//!
//! - So many connections and no more ([`Seats`]); who comes when all are taken gets the place of one that holds it
//!   without a request. A request that waits for an agreement, and an event stream, keep theirs.
//! - Everything that a client owes has a time: its handshake, its first request, its next one. Bodies have theirs where
//!   they are read.
//! - HTTP/1.1 and HTTP/2, over TLS if there is any.

mod seats;

pub use seats::{Origin, Seat, Seats};

use crate::validator_api::Tls;
use axum::Router;
use axum::body::HttpBody;
use axum::extract::Request;
use axum::response::Response;
use axum::serve::Listener;
use bytes::Bytes;
use futures::future::BoxFuture;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use seats::Turn;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// Connections of validator clients: some ask for each of 64 committees at once, and a few of them may share this node.
/// Half of the 1,024 open files that many systems allow a process.
pub const CLIENT_CONNECTIONS_MAX: usize = 512;
/// Connections where a handful of programs ask now and then: the operator's beacon nodes, or what watches this node.
pub const FEW_CONNECTIONS_MAX: usize = 64;
/// For a TLS handshake: a few round trips on the operator's own network.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
/// For the first request to begin: who connects has something to say.
const FIRST_REQUEST_WAIT: Duration = Duration::from_secs(10);
/// For the next request's head, from the end of the answer before. Longer than the 90 s after which the connection pools
/// of usual clients let go, so that no request meets a connection that is closed at this moment.
const NEXT_REQUEST_WAIT: Duration = Duration::from_secs(120);
/// How often a connection of HTTP/2 is asked whether somebody is there, and how long an answer may take.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));
/// Requests at once on one connection of HTTP/2: each of 64 committees', and those of the same slot's other duties.
const STREAMS_PER_CONNECTION_MAX: u32 = 128;
/// For requests in flight once this program is asked to stop. An event stream never ends by itself.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(500);

/// What is served, and how many may be connected to it.
#[derive(Clone, Debug)]
pub struct Served {
    /// In the words of a log.
    pub what: &'static str,
    /// Connections at once.
    pub connections_max: usize,
    /// Certificate and key, if it is served over TLS.
    pub tls: Option<Tls>,
    /// The routes.
    pub routes: Router,
}

impl Served {
    /// Something that a handful of programs ask, without TLS.
    pub const fn to_few(what: &'static str, routes: Router) -> Self {
        Self { what, connections_max: FEW_CONNECTIONS_MAX, tls: None, routes }
    }
}

/// Serves until `stop`, and until the last connection has ended soon after.
pub async fn serve(mut listener: TcpListener, served: Served, stop: CancellationToken) {
    let seats = Seats::new(served.connections_max);
    let connections = TaskTracker::new();
    loop {
        let (stream, from) = tokio::select! {
            () = stop.cancelled() => break,
            // It bears with a lack of files, and tries again.
            accepted = Listener::accept(&mut listener) => accepted,
        };
        let Some(seat) = seats.take(Origin::of(from.ip())) else {
            tracing::debug!(what = served.what, %from, "turned away: all connections are waiting for answers");
            continue;
        };
        let connection = Connection { served: served.clone(), from, seat, stop: stop.clone() };
        connections.spawn(connection.hold(stream));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// A client that has a place.
struct Connection {
    served: Served,
    from: SocketAddr,
    seat: Seat,
    stop: CancellationToken,
}

impl Connection {
    async fn hold(self, stream: TcpStream) {
        let (what, from) = (self.served.what, self.from);
        // Without it a short answer may wait for the client's acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        tokio::select! {
            () = self.seat.lost() => {
                tracing::debug!(what, %from, "closed without a request: another client came, and there was no place left");
            }
            ended = self.open(stream) => if let Err(why) = ended {
                tracing::debug!(what, %from, why, "a connection ended");
            }
        }
    }

    async fn open(&self, stream: TcpStream) -> Result<(), String> {
        let Some(tls) = &self.served.tls else { return self.speak(stream).await };
        let shaken = tokio::select! {
            shaken = timeout(HANDSHAKE_WAIT, tls.accept(stream)) => shaken,
            () = self.stop.cancelled() => return Ok(()),
        };
        let shaken = shaken.map_err(|_| "the TLS handshake took too long".to_owned())?;
        self.speak(shaken.map_err(|error| format!("no TLS handshake: {error}"))?).await
    }

    async fn speak(&self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<(), String> {
        let heard = CancellationToken::new();
        let routes = self.served.routes.clone();
        let desk = Front {
            routes,
            seat: self.seat.clone(),
            origin: Origin::of(self.from.ip()),
            heard: heard.clone(),
        };
        let builder = protocol();
        let connection = builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(desk));
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended.map_err(|error| error.to_string()),
            () = silence(&heard) => return Err("no request came".to_owned()),
            () = self.stop.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        // What is not said by now is not said.
        let _ = timeout(LAST_WORDS_WAIT, connection).await;
        Ok(())
    }
}

fn protocol() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(NEXT_REQUEST_WAIT);
    let (interval, wait) = PING;
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(interval).keep_alive_timeout(wait);
    http2.max_concurrent_streams(STREAMS_PER_CONNECTION_MAX);
    builder
}

/// Comes if no request begins in time.
async fn silence(heard: &CancellationToken) {
    if timeout(FIRST_REQUEST_WAIT, heard.cancelled()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// Answers the requests of one connection, and says when its place is quiet.
#[derive(Clone)]
struct Front {
    routes: Router,
    seat: Seat,
    origin: Origin,
    heard: CancellationToken,
}

impl<B> tower::Service<axum::http::Request<B>> for Front
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: axum::http::Request<B>) -> Self::Future {
        self.heard.cancel();
        request.extensions_mut().insert(self.origin);
        let turn = self.seat.turn();
        Box::pin(answer(self.routes.clone(), turn.watch(request), turn))
    }
}

async fn answer(routes: Router, request: Request, turn: Turn) -> Result<Response, Infallible> {
    routes.oneshot(request).await.map(|response| turn.answer(response))
}
