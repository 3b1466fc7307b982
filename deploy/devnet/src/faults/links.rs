//! Lines between operators that can be slow, cut, or reset: one for each direction of dialing, in this process.
//!
//! ```text
//! node 1 --dials--> line 1->3 --dials--> node 3        bytes of both directions wait here for half a round trip
//! ```
//!
//! Every node knows the others by these lines only. A cut line carries nothing and tells nobody, as a route that is gone:
//! connections stand, new ones are taken and get no answer. What was on its way arrives when the line is whole again.

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Bytes taken at a time.
const CHUNK_LEN: usize = 64 << 10;
/// Chunks on their way in one direction: 16 MiB, more than a node lets wait for a round trip of seconds.
const CHUNKS_MAX: usize = 256;

/// What is to happen to the lines of a pool, beside partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// From one operator to another and back.
    pub rtt: Duration,
    /// How many percent of the lines are reset in a slot.
    pub resets_percent: u8,
}

/// The state of one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    cut: bool,
    resets: u64,
}

/// One line.
#[derive(Debug)]
struct Line {
    port: u16,
    state: watch::Sender<State>,
    listening: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// All lines of a pool, by who dials whom.
#[derive(Debug)]
pub struct Links {
    lines: BTreeMap<(usize, usize), Line>,
    resets_percent: u8,
}

impl Links {
    /// Starts a line from each operator to each other. `ports`: where their nodes listen, operator 1 first.
    pub async fn start(ports: &[u16], weather: Weather) -> io::Result<Self> {
        let mut lines = BTreeMap::new();
        for from in 1..=ports.len() {
            for (to, target) in (1..).zip(ports).filter(|(to, _)| *to != from) {
                lines.insert((from, to), Line::start(*target, weather.rtt / 2).await?);
            }
        }
        Ok(Self { lines, resets_percent: weather.resets_percent })
    }

    /// By which port an operator dials another.
    pub fn port(&self, from: usize, to: usize) -> anyhow::Result<u16> {
        let line = self.lines.get(&(from, to));
        Ok(line.with_context(|| format!("no line from operator {from} to operator {to}"))?.port)
    }

    /// Cuts every line between different sides; who is on none is alone. No sides: all lines are whole.
    pub fn divide(&self, sides: &[Vec<usize>]) {
        let side = |who: usize| sides.iter().position(|side| side.contains(&who));
        for ((from, to), line) in &self.lines {
            let together = sides.is_empty() || side(*from).is_some_and(|at| side(*to) == Some(at));
            line.state.send_modify(|state| state.cut = !together);
        }
    }

    /// Resets those lines whose lot it is in a slot; returns how many.
    pub fn reset_some(&self, slot: u64) -> usize {
        let drawn = |pair: &(usize, usize)| lot(slot, *pair) < self.resets_percent;
        let drawn: Vec<_> = self.lines.iter().filter(|(pair, _)| drawn(pair)).collect();
        for (_, line) in &drawn {
            line.state.send_modify(|state| state.resets += 1);
        }
        drawn.len()
    }
}

/// From 0 to 99, the same for one slot and line in every run.
fn lot(slot: u64, (from, to): (usize, usize)) -> u8 {
    let digest = Sha256::digest(format!("{slot} {from} {to}"));
    let number = u64::from_le_bytes(digest[..8].try_into().expect("8 of 32 bytes"));
    (number % 100) as u8
}

impl Line {
    async fn start(target: u16, delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let state = watch::Sender::new(State::default());
        let there = state.clone();
        let listening = tokio::spawn(async move {
            // A connection that could not be taken is the dialer's to try again.
            loop {
                if let Ok((near, _)) = listener.accept().await {
                    tokio::spawn(connection(near, target, delay, there.subscribe()));
                }
            }
        });
        Ok(Self { port, state, listening })
    }
}

/// Carries one connection until either end is gone, or the line is reset.
async fn connection(near: TcpStream, target: u16, delay: Duration, mut state: watch::Receiver<State>) {
    let resets = state.borrow().resets;
    let mut reset = state.clone();
    let carried = async {
        whole(&mut state).await;
        let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else { return };
        // What is small and urgent must not wait for more.
        let _ = near.set_nodelay(true).and(far.set_nodelay(true));
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::join!(carry(near_in, far_out, delay, &state), carry(far_in, near_out, delay, &state));
    };
    tokio::select! {
        () = carried => {}
        _ = reset.wait_for(|state| state.resets != resets) => {}
    }
}

/// Waits until a line carries.
async fn whole(state: &mut watch::Receiver<State>) {
    // Fails only when the line is no more, and then its connections end too.
    let _ = state.wait_for(|state| !state.cut).await;
}

/// One direction: read, wait for the time of arrival, written.
async fn carry(from: OwnedReadHalf, to: OwnedWriteHalf, delay: Duration, state: &watch::Receiver<State>) {
    let (on_its_way, arriving) = mpsc::channel(CHUNKS_MAX);
    tokio::join!(take(from, on_its_way, delay, state.clone()), give(to, arriving, state.clone()));
}

async fn take(
    mut from: OwnedReadHalf,
    on_its_way: mpsc::Sender<(Instant, Vec<u8>)>,
    delay: Duration,
    mut state: watch::Receiver<State>,
) {
    let mut buffer = vec![0; CHUNK_LEN];
    loop {
        whole(&mut state).await;
        let Ok(len @ 1..) = from.read(&mut buffer).await else { return };
        let chunk = (Instant::now() + delay, buffer[..len].to_vec());
        if on_its_way.send(chunk).await.is_err() {
            return;
        }
    }
}

async fn give(
    mut to: OwnedWriteHalf,
    mut arriving: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut state: watch::Receiver<State>,
) {
    while let Some((at, chunk)) = arriving.recv().await {
        sleep_until(at).await;
        whole(&mut state).await;
        if to.write_all(&chunk).await.is_err() {
            return;
        }
    }
    // The other end has gone in good order; an end that is gone itself hears nothing.
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    /// Turns a hang into a failure.
    const HANG: Duration = Duration::from_secs(60);

    /// Two operators; what reaches the first's line to the second comes back.
    async fn pair(weather: Weather) -> Links {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        Links::start(&[port, port], weather).await.unwrap()
    }

    async fn dial(links: &Links) -> TcpStream {
        TcpStream::connect(("127.0.0.1", links.port(1, 2).unwrap())).await.unwrap()
    }

    async fn echo(stream: &mut TcpStream, word: &[u8]) -> io::Result<Vec<u8>> {
        let mut back = vec![0; word.len()];
        stream.write_all(word).await?;
        timeout(HANG, stream.read_exact(&mut back)).await.expect("no hang")?;
        Ok(back)
    }

    #[tokio::test]
    async fn a_line_that_was_cut_gives_late_what_it_was_given() {
        let links = pair(Weather::default()).await;
        let mut stream = dial(&links).await;
        assert_eq!(echo(&mut stream, b"before").await.unwrap(), b"before");
        links.divide(&[vec![1], vec![2]]);
        stream.write_all(b"during").await.unwrap();
        let mut new = dial(&links).await;
        new.write_all(b"new").await.unwrap();
        let mut back = [0; 6];
        let silent = timeout(Duration::from_millis(50), stream.read_exact(&mut back));
        assert!(silent.await.is_err(), "nothing passes");
        assert!(timeout(Duration::from_millis(50), new.read(&mut [0; 3])).await.is_err());
        links.divide(&[]);
        timeout(HANG, stream.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(&back, b"during");
        timeout(HANG, new.read_exact(&mut back[..3])).await.unwrap().unwrap();
        assert_eq!(&back[..3], b"new");
    }

    #[tokio::test]
    async fn who_is_on_one_side_reaches_each_other_and_who_is_on_none_nobody() {
        let links = pair(Weather::default()).await;
        links.divide(&[vec![1, 2]]);
        assert_eq!(echo(&mut dial(&links).await, b"here").await.unwrap(), b"here");
        links.divide(&[vec![1]]);
        let mut stream = dial(&links).await;
        stream.write_all(b"there").await.unwrap();
        assert!(timeout(Duration::from_millis(50), stream.read(&mut [0; 5])).await.is_err());
    }

    #[tokio::test]
    async fn a_round_trip_takes_its_time() {
        let rtt = Duration::from_millis(100);
        let links = pair(Weather { rtt, ..Weather::default() }).await;
        let mut stream = dial(&links).await;
        let sent = Instant::now();
        assert_eq!(echo(&mut stream, b"far").await.unwrap(), b"far");
        assert!(sent.elapsed() >= rtt);
    }

    #[tokio::test]
    async fn a_reset_ends_connections_and_new_ones_are_carried() {
        let links = pair(Weather { resets_percent: 100, ..Weather::default() }).await;
        let mut stream = dial(&links).await;
        assert_eq!(echo(&mut stream, b"one").await.unwrap(), b"one");
        assert_eq!(links.reset_some(8), 2);
        let ended = timeout(HANG, stream.read(&mut [0; 1])).await.unwrap();
        assert!(matches!(ended, Ok(0) | Err(_)));
        assert_eq!(echo(&mut dial(&links).await, b"two").await.unwrap(), b"two");
    }

    #[test]
    fn lots_are_the_same_in_every_run_and_spread_over_lines_and_slots() {
        let below = |percent| (0..1000).filter(|slot| lot(*slot, (1, 2)) < percent).count();
        assert_eq!((below(0), below(100)), (0, 1000));
        assert!((200..300).contains(&below(25)), "{}", below(25));
        assert!((0..100).any(|slot| lot(slot, (1, 2)) != lot(slot, (2, 1))));
    }
}
