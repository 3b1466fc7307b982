//! The accept loop over real sockets: who asks is answered, whatever others hold.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use bytes::Bytes;
use dvt_node::server::{Served, serve};
use futures::channel::mpsc;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Turns a hang into a failure.
const HANG: Duration = Duration::from_secs(600);

/// What the routes below work with.
#[derive(Clone)]
struct Hall {
    /// A request that waits has come.
    come: Arc<Semaphore>,
    /// It may go on.
    gate: Arc<Semaphore>,
}

async fn wait(State(hall): State<Hall>) -> &'static str {
    hall.come.add_permits(1);
    hall.gate.acquire().await.unwrap().forget();
    "it is time"
}

/// A server with routes that answer at once, late, in pieces, and what they were sent.
struct House {
    address: SocketAddr,
    hall: Hall,
    events: mpsc::UnboundedSender<Result<Bytes, Infallible>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl House {
    async fn open(connections_max: usize) -> Self {
        let hall = Hall { come: Arc::new(Semaphore::new(0)), gate: Arc::new(Semaphore::new(0)) };
        let (events, source) = mpsc::unbounded();
        let source = Arc::new(std::sync::Mutex::new(Some(source)));
        let stream = async move || Body::from_stream(source.lock().unwrap().take().unwrap());
        let routes = Router::new()
            .route("/now", get(async || "here"))
            .route("/wait", get(wait))
            .route("/events", get(stream))
            .route("/echo", post(async |body: Bytes| body))
            .with_state(hall.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let served = Served { connections_max, ..Served::to_few("test", routes) };
        let task = tokio::spawn(serve(listener, served, stop.clone()));
        Self { address, hall, events, stop, task }
    }

    async fn send(&self, bytes: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream
    }

    async fn waiting(&self) -> TcpStream {
        let stream = self.send(&ask("/wait")).await;
        within(self.hall.come.acquire()).await.unwrap().forget();
        stream
    }
}

fn ask(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, work).await.expect("it hangs")
}

/// Reads until these words have come.
async fn read_until(stream: &mut TcpStream, words: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(words) {
        let byte = within(stream.read_u8()).await;
        read.push(byte.unwrap_or_else(|error| panic!("no {words}: {error}, after {read:?}")));
    }
    String::from_utf8(read).unwrap()
}

/// What comes until the connection ends, by a reset too.
async fn rest(mut stream: TcpStream) -> String {
    let mut read = Vec::new();
    let _ = within(stream.read_to_end(&mut read)).await;
    String::from_utf8_lossy(&read).into_owned()
}

/// Everything that a client may begin and not end.
const HALVES: [&str; 4] = [
    "",
    "GET /now HTTP/1.1\r\nhost: x\r\n",
    "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

#[tokio::test]
async fn who_asks_is_answered_however_many_hold_connections_without_a_request() {
    let house = House::open(8).await;
    let mut waits = house.waiting().await;
    let mut stream = house.send(&ask("/events")).await;
    house.events.unbounded_send(Ok(Bytes::from("first event"))).unwrap();
    read_until(&mut stream, "first event").await;

    let mut held = Vec::new();
    for half in HALVES.into_iter().cycle().take(40) {
        held.push(house.send(half).await);
    }
    let mut asks = house.send(&ask("/now")).await;
    read_until(&mut asks, "here").await;
    // A connection that is kept open is one that is held: it gives way later than those before it.
    asks.write_all(ask("/now").as_bytes()).await.unwrap();
    read_until(&mut asks, "here").await;
    let mut sends = house.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n").await;
    sends.write_all(b"all of it").await.unwrap();
    read_until(&mut sends, "all of it").await;

    // Those that came first were closed for those that came later.
    for closed in held.into_iter().take(40 - 8) {
        rest(closed).await;
    }
    house.hall.gate.add_permits(1);
    read_until(&mut waits, "it is time").await;
    house.events.unbounded_send(Ok(Bytes::from("second event"))).unwrap();
    read_until(&mut stream, "second event").await;
}

#[tokio::test]
async fn requests_that_wait_are_not_closed_for_others() {
    let house = House::open(2).await;
    let waits = [house.waiting().await, house.waiting().await];
    assert_eq!(rest(house.send(&ask("/now")).await).await, "", "there is no place for it");
    house.hall.gate.add_permits(2);
    for mut one in waits {
        read_until(&mut one, "it is time").await;
    }
    // Both have their answers now, and give way.
    read_until(&mut house.send(&ask("/now")).await, "here").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_client_begins_it_ends_in_time() {
    for half in ["", "GET /now HTTP/1.1\r\nhost: x\r\n", "PRI * HTTP/2.0\r\n"] {
        let house = House::open(8).await;
        let begun = Instant::now();
        assert_eq!(rest(house.send(half).await).await, "", "{half}");
        assert_eq!(begun.elapsed().as_secs(), 10, "{half}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_longer_than_clients_keep_theirs() {
    let house = House::open(8).await;
    let mut stream = house.send(&ask("/now")).await;
    read_until(&mut stream, "here").await;
    let answered = Instant::now();
    tokio::time::advance(Duration::from_secs(91)).await;
    stream.write_all(ask("/now").as_bytes()).await.unwrap();
    read_until(&mut stream, "here").await;
    rest(stream).await;
    assert_eq!(answered.elapsed().as_secs(), 91 + 120);
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_have_a_moment_when_the_server_is_stopped() {
    let house = House::open(8).await;
    let (mut waits, silent) = (house.waiting().await, house.send("").await);
    let mut stream = house.send(&ask("/events")).await;
    house.events.unbounded_send(Ok(Bytes::from("an event"))).unwrap();
    read_until(&mut stream, "an event").await;
    house.stop.cancel();
    house.hall.gate.add_permits(1);
    read_until(&mut waits, "it is time").await;
    within(house.task).await.unwrap();
    assert_eq!(rest(silent).await, "");
    assert!(TcpStream::connect(house.address).await.is_err(), "the port is free");
}
