//! What two operators say over the streams of a connection: greeting, frames, farewell.
//!
//! ```text
//! leader                                follower
//!   HELLO (16 bytes) ------------------->           same words, same version
//!   <------------------- HELLO, wish (16 bytes)     the follower's wish for a link
//!   GO (1 byte) ------------------------>           or the connection closes: that wish is fulfilled already
//!   length (u32, big endian), bytes <--->           frames, both ways, until one side ends its half
//! ```
//!
//! The lane for bulk is a second stream of the same connection, opened by the leader, without a greeting: it carries
//! frames of the same form as soon as the link stands, and ends with it. A side that leaves ends its half of the bulk
//! lane first; one that hears the other leave takes what the bulk lane still brings.
//!
//! The leader is the operator with the lower position. The follower makes a new wish when it has lost the link
//! that it got. So a leader that sees the wish of its standing link again knows the connection to be a surplus
//! one, and a leader that sees a later wish, or that of another life, knows that its link is dead though nobody
//! told it.

use crate::config::Limits;
use crate::events::{DownReason, Heard, Room, Route};
use crate::handle::{Entrance, Outbox, PeerState, Queued, Traffic, count};
use crate::lane::{Lane, Lanes};
use crate::pace::Pace;
use bytes::Bytes;
use futures::io::{BufReader, BufWriter, ReadHalf, WriteHalf};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::Stream;
use libp2p::swarm::ConnectionId;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The first words on every stream. The number is this file's: framing and greeting.
pub(crate) const HELLO: &[u8; 16] = b"SYMBOLON-WIRE-1\n";
/// The leader's word that this stream is the link.
pub(crate) const GO: u8 = b'!';
/// Buffers of a stream, and the step in which a long frame is read: what an announced length alone can cost us.
const CHUNK: usize = 64 << 10;
/// How long a side waits for a connection that may be stuck: when it ends its half, until the other has read it.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);

/// A follower's wish for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Drawn at random when the follower started.
    pub(crate) life: u64,
    /// How many links it has lost since.
    pub(crate) lost: u64,
}

impl Wish {
    /// Whether this wish shows that the link granted to `granted` is dead.
    pub(crate) fn supersedes(self, granted: Self) -> bool {
        self.life != granted.life || self.lost > granted.lost
    }

    fn bytes(self) -> [u8; 16] {
        (u128::from(self.life) << 64 | u128::from(self.lost)).to_be_bytes()
    }

    fn of(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self { life: (both >> 64) as u64, lost: both as u64 }
    }
}

/// The leader's part of the greeting, but for GO. Returns the follower's wish.
pub(crate) async fn greet(stream: &mut Stream) -> io::Result<Wish> {
    stream.write_all(HELLO).await?;
    stream.flush().await?;
    expect_hello(stream).await?;
    let mut wish = [0; 16];
    stream.read_exact(&mut wish).await?;
    Ok(Wish::of(wish))
}

/// The follower's part of the greeting. Returns when the leader has said GO.
pub(crate) async fn answer(stream: &mut Stream, wish: Wish) -> io::Result<()> {
    expect_hello(stream).await?;
    stream.write_all(HELLO).await?;
    stream.write_all(&wish.bytes()).await?;
    stream.flush().await?;
    let mut go = [0];
    stream.read_exact(&mut go).await?;
    if go[0] == GO { Ok(()) } else { Err(io::Error::other("not the word that opens a link")) }
}

async fn expect_hello(stream: &mut Stream) -> io::Result<()> {
    let mut words = [0; 16];
    stream.read_exact(&mut words).await?;
    if words == *HELLO { Ok(()) } else { Err(io::Error::other("not the words of this version")) }
}

/// Where the stream of a bulk lane goes when it has opened. Dropped when the peer has no such lane.
pub(crate) struct BulkDoor {
    reader: oneshot::Sender<ReadHalf<Stream>>,
    writer: oneshot::Sender<WriteHalf<Stream>>,
}

/// The bulk lane of a connection, open now, later or never.
pub(crate) struct BulkLane {
    reader: oneshot::Receiver<ReadHalf<Stream>>,
    writer: oneshot::Receiver<WriteHalf<Stream>>,
}

/// A lane that waits for its stream.
pub(crate) fn bulk_lane() -> (BulkDoor, BulkLane) {
    let ((reader, read), (writer, write)) = (oneshot::channel(), oneshot::channel());
    (BulkDoor { reader, writer }, BulkLane { reader: read, writer: write })
}

impl BulkDoor {
    pub(crate) fn open(self, stream: Stream) {
        let (reader, writer) = stream.split();
        // A link that is over needs neither.
        let _ = self.reader.send(reader);
        let _ = self.writer.send(writer);
    }
}

/// All that a link needs.
pub(crate) struct Link {
    pub(crate) connection: ConnectionId,
    pub(crate) route: Route,
    pub(crate) stream: Stream,
    pub(crate) bulk: BulkLane,
    /// Whether GO is ours to say.
    pub(crate) leads: bool,
    pub(crate) peer: Arc<PeerState>,
    pub(crate) heard: mpsc::Sender<Heard>,
    pub(crate) rooms_in: Lanes<Room>,
    pub(crate) limits: Limits,
    /// The hub's verdict over this link.
    pub(crate) verdict: oneshot::Receiver<DownReason>,
    /// Set when this node shuts down.
    pub(crate) goodbye: CancellationToken,
}

/// What waits to be written.
pub(crate) type Waiting = Lanes<mpsc::Receiver<Queued>>;

impl Link {
    /// Says GO where that is ours, and opens the peer's outbox. `None` if the stream is gone already.
    pub(crate) async fn begin(&mut self) -> Option<Waiting> {
        if self.leads {
            // One byte on a fresh stream: only a connection that is stuck takes long.
            tokio::time::timeout(FAREWELL, self.say_go()).await.ok()?.ok()?;
        }
        let (frames_in, frames) = self.queue(Lane::Frames);
        let (bulk_in, bulk) = self.queue(Lane::Bulk);
        let lanes = Lanes { frames: frames_in, bulk: bulk_in };
        self.peer.open(Outbox { connection: self.connection, route: self.route, lanes });
        if self.goodbye.is_cancelled() {
            self.peer.shut(self.connection);
        }
        count(&self.peer.counts.links, 1);
        Some(Lanes { frames, bulk })
    }

    fn queue(&self, lane: Lane) -> (Entrance, mpsc::Receiver<Queued>) {
        let limits = self.limits.lane(lane);
        let (queue, waiting) = mpsc::channel(limits.frames_max);
        (Entrance { queue, room: Room::new(limits.bytes_max) }, waiting)
    }

    async fn say_go(&mut self) -> io::Result<()> {
        self.stream.write_all(&[GO]).await?;
        self.stream.flush().await
    }

    /// Carries frames both ways until the link falls. `None` if it was this node that said farewell.
    pub(crate) async fn carry(self, waiting: Waiting) -> Option<DownReason> {
        let Self { stream, bulk, peer, heard, rooms_in, limits, verdict, goodbye, .. } = self;
        let traffic = &peer.counts.traffic;
        let inlet = |lane: Lane| Inlet {
            lane,
            heard: &heard,
            room: rooms_in.of(lane),
            pace: &peer.pace,
            len_max: limits.lane(lane).len_max,
            traffic: traffic.of(lane),
        };
        let (reader, writer) = stream.split();
        let mut reader = BufReader::with_capacity(CHUNK, reader);
        let ended = {
            let mut reading = pin!(read_frames(&mut reader, inlet(Lane::Frames)));
            let mut bulk_reading = pin!(read_bulk(bulk.reader, inlet(Lane::Bulk)));
            let mut writing = pin!(write_lanes(writer, bulk.writer, waiting, traffic));
            let mut verdict = pin!(spoken(verdict));
            let (mut written, mut bulk_read) = (false, false);
            loop {
                tokio::select! {
                    biased;
                    reason = &mut verdict => break Some(reason),
                    reason = &mut reading => {
                        if reason == DownReason::Closed && !bulk_read {
                            take_the_rest(bulk_reading).await;
                        }
                        break Some(reason)
                    }
                    reason = &mut bulk_reading, if !bulk_read => match reason {
                        // The peer has ended its half; it ends the other after this one.
                        DownReason::Closed => bulk_read = true,
                        broken => break Some(broken),
                    },
                    result = &mut writing, if !written => match result {
                        Err(e) => break Some(DownReason::Broken(e.to_string())),
                        Ok(()) if goodbye.is_cancelled() => break None,
                        // The connection is gone; what it brought is still read.
                        Ok(()) => written = true,
                    },
                }
            }
        };
        if ended.is_none() {
            // The peer ends its half when it has read everything of ours.
            let _ = tokio::time::timeout(FAREWELL, futures::io::copy(&mut reader, &mut futures::io::sink()))
                .await;
        }
        ended
    }
}

/// The peer has left: what its bulk lane still brings is read, within a bound.
async fn take_the_rest(bulk_reading: Pin<&mut impl Future<Output = DownReason>>) {
    let _ = tokio::time::timeout(FAREWELL, bulk_reading).await;
}

/// The verdict, if ever there is one.
async fn spoken(verdict: oneshot::Receiver<DownReason>) -> DownReason {
    match verdict.await {
        Ok(reason) => reason,
        Err(_) => std::future::pending().await,
    }
}

/// Where the frames of a lane go that are read.
struct Inlet<'a> {
    lane: Lane,
    heard: &'a mpsc::Sender<Heard>,
    room: &'a Room,
    pace: &'a Pace,
    len_max: usize,
    traffic: &'a Traffic,
}

/// Reads frames until it cannot. A frame is paid for, and room for it is taken, before its bytes are read, so that a peer that
/// floods us, and a consumer that does not keep up, stop the peer and not this node.
async fn read_frames(reader: &mut (impl AsyncRead + Unpin), inlet: Inlet<'_>) -> DownReason {
    let Inlet { lane, heard, room, pace, len_max: max, traffic } = inlet;
    loop {
        let mut head = [0; 4];
        if let Err(e) = reader.read_exact(&mut head).await {
            return if e.kind() == io::ErrorKind::UnexpectedEof {
                DownReason::Closed
            } else {
                DownReason::Broken(e.to_string())
            };
        }
        let announced = u32::from_be_bytes(head);
        let Some(len) = usize::try_from(announced).ok().filter(|len| *len <= max) else {
            return DownReason::Oversize { len: announced, max };
        };
        pace.admit(len).await;
        let Some(room) = room.take(len).await else { return DownReason::Closed };
        let frame = match read_body(reader, len).await {
            Ok(frame) => frame,
            Err(e) => return DownReason::Broken(e.to_string()),
        };
        count(&traffic.frames_in, 1);
        count(&traffic.bytes_in, len);
        if heard.send(Heard::Frame { lane, frame, _room: room }).await.is_err() {
            return DownReason::Closed;
        }
    }
}

/// Reads the bulk lane when it has opened. A lane that never will counts as ended.
async fn read_bulk(reader: oneshot::Receiver<ReadHalf<Stream>>, inlet: Inlet<'_>) -> DownReason {
    let Ok(reader) = reader.await else { return DownReason::Closed };
    read_frames(&mut BufReader::with_capacity(CHUNK, reader), inlet).await
}

/// Reads `len` bytes. Memory grows with what has arrived: by no more than doubling, from [`CHUNK`].
async fn read_body(reader: &mut (impl AsyncRead + Unpin), len: usize) -> io::Result<Bytes> {
    let mut body = Vec::new();
    while body.len() < len {
        let have = body.len();
        let step = (len - have).min(have.max(CHUNK));
        body.reserve_exact(step);
        body.resize(have + step, 0);
        reader.read_exact(&mut body[have..]).await?;
    }
    Ok(body.into())
}

/// Writes both lanes until the outbox is shut and empty, then ends this half of the link: the bulk lane first.
async fn write_lanes(
    writer: impl AsyncWrite + Unpin,
    bulk: oneshot::Receiver<WriteHalf<Stream>>,
    waiting: Waiting,
    traffic: &Lanes<Traffic>,
) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(CHUNK, writer);
    let frames = write_frames(&mut writer, None, waiting.frames, &traffic.frames);
    tokio::try_join!(frames, write_bulk(bulk, waiting.bulk, &traffic.bulk))?;
    // If the connection is gone there is nobody left to tell.
    let _ = writer.close().await;
    Ok(())
}

/// Writes the bulk lane when it has opened, and ends it.
async fn write_bulk(
    writer: oneshot::Receiver<WriteHalf<Stream>>,
    mut waiting: mpsc::Receiver<Queued>,
    traffic: &Traffic,
) -> io::Result<()> {
    let mut opening = pin!(writer);
    let (writer, first) = tokio::select! {
        biased;
        writer = &mut opening => (writer, None),
        first = waiting.recv() => match first {
            Some(first) => (opening.await, Some(first)),
            None => return Ok(()),
        },
    };
    // The peer has no such lane: nothing more is taken for it.
    let Ok(writer) = writer else { return Ok(()) };
    let mut writer = BufWriter::with_capacity(CHUNK, writer);
    write_frames(&mut writer, first, waiting, traffic).await?;
    let _ = writer.close().await;
    Ok(())
}

/// Writes `first`, then what waits, until the queue is shut and empty.
async fn write_frames(
    writer: &mut BufWriter<impl AsyncWrite + Unpin>,
    mut first: Option<Queued>,
    mut waiting: mpsc::Receiver<Queued>,
    traffic: &Traffic,
) -> io::Result<()> {
    loop {
        let mut next = match first.take() {
            None => waiting.recv().await,
            first => first,
        };
        if next.is_none() {
            return Ok(());
        }
        // What waits goes together; nothing waits for more to come.
        while let Some(queued) = next {
            let len = u32::try_from(queued.frame.len()).map_err(io::Error::other)?;
            writer.write_all(&len.to_be_bytes()).await?;
            writer.write_all(&queued.frame).await?;
            count(&traffic.frames_out, 1);
            count(&traffic.bytes_out, queued.frame.len());
            next = waiting.try_recv().ok();
        }
        writer.flush().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::executor::block_on;
    use futures::io::Cursor;
    use proptest::prelude::*;

    const MAX: usize = 300;

    fn fast() -> Pace {
        Pace::new(u32::MAX, u32::MAX)
    }

    fn inlet<'a>(
        heard: &'a mpsc::Sender<Heard>,
        (room, pace): (&'a Room, &'a Pace),
        traffic: &'a Traffic,
    ) -> Inlet<'a> {
        Inlet { lane: Lane::Frames, heard, room, pace, len_max: MAX, traffic }
    }

    /// What is heard of these bytes, and how the stream ended.
    fn heard(bytes: Vec<u8>) -> (Vec<Bytes>, DownReason) {
        let (sender, mut receiver) = mpsc::channel(1 << 12);
        let (room, pace, traffic) = (Room::new(1 << 24), fast(), Traffic::default());
        let inlet = inlet(&sender, (&room, &pace), &traffic);
        let reason = block_on(read_frames(&mut Cursor::new(bytes), inlet));
        let mut frames = Vec::new();
        while let Ok(Heard::Frame { frame, .. }) = receiver.try_recv() {
            frames.push(frame);
        }
        (frames, reason)
    }

    /// The bytes that carry these frames.
    fn written(frames: &[Bytes]) -> Vec<u8> {
        let (sender, receiver) = mpsc::channel(frames.len().max(1));
        let (room, traffic) = (Room::new(1 << 24), Traffic::default());
        for frame in frames {
            let queued = Queued { frame: frame.clone(), _room: room.try_take(frame.len()).unwrap() };
            sender.try_send(queued).unwrap();
        }
        drop(sender);
        let mut writer = BufWriter::new(Vec::new());
        block_on(write_frames(&mut writer, None, receiver, &traffic)).unwrap();
        writer.into_inner()
    }

    /// The slow obvious reader.
    fn expected(bytes: &[u8]) -> (Vec<Bytes>, &'static str) {
        let (mut frames, mut rest) = (Vec::new(), bytes);
        loop {
            let Some((head, body)) = rest.split_first_chunk::<4>() else { return (frames, "closed") };
            let len = u32::from_be_bytes(*head) as usize;
            if len > MAX {
                return (frames, "oversize");
            }
            if body.len() < len {
                return (frames, "broken");
            }
            frames.push(Bytes::copy_from_slice(&body[..len]));
            rest = &body[len..];
        }
    }

    #[test]
    fn a_frame_is_its_length_and_its_bytes() {
        let frames = [Bytes::from_static(b"abc"), Bytes::new()];
        assert_eq!(written(&frames), *b"\0\0\0\x03abc\0\0\0\0");
    }

    #[test]
    fn an_announced_length_is_not_believed() {
        let mut bytes = written(&[Bytes::from_static(b"good")]);
        bytes.extend(u32::MAX.to_be_bytes());
        let (frames, reason) = heard(bytes);
        assert_eq!(frames, [Bytes::from_static(b"good")]);
        assert_eq!(reason, DownReason::Oversize { len: u32::MAX, max: MAX });
    }

    #[test]
    fn memory_grows_with_what_has_arrived() {
        // A stream that hands out what it has and then ends, and remembers the largest buffer it was asked to fill.
        struct Meter(usize, usize);
        impl AsyncRead for Meter {
            fn poll_read(
                mut self: Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<io::Result<usize>> {
                self.1 = self.1.max(buf.len());
                let len = buf.len().min(self.0);
                self.0 -= len;
                std::task::Poll::Ready(Ok(len))
            }
        }
        for has in [10, CHUNK, 5 * CHUNK] {
            let mut meter = Meter(has, 0);
            assert!(block_on(read_body(&mut meter, 16 << 20)).is_err());
            assert!(meter.1 <= has.max(CHUNK), "{} bytes asked for, {has} had arrived", meter.1);
        }
        let body = block_on(read_body(&mut Meter(1 << 20, 0), 1 << 20)).unwrap();
        assert_eq!(body.len(), 1 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_floods_is_read_at_the_rate_and_loses_nothing() {
        let mut stream = Cursor::new(written(&vec![Bytes::from(vec![1; 100]); 50]));
        let (sender, mut receiver) = mpsc::channel(1 << 12);
        let (room, pace, traffic) = (Room::new(1 << 24), Pace::new(10, 20), Traffic::default());
        let begun = tokio::time::Instant::now();
        let inlet = inlet(&sender, (&room, &pace), &traffic);
        assert_eq!(read_frames(&mut stream, inlet).await, DownReason::Closed);
        assert_eq!(std::iter::from_fn(|| receiver.try_recv().ok()).count(), 50);
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }

    #[test]
    fn a_consumer_that_reads_nothing_stops_the_reader() {
        let frames = vec![Bytes::from(vec![1; 100]); 50];
        let mut stream = Cursor::new(written(&frames));
        let (sender, mut receiver) = mpsc::channel(1 << 12);
        let traffic = Traffic::default();
        let room = Room::new(7 * (100 + crate::config::FRAME_OVERHEAD));
        let mut total = 0;
        for _ in 0..3 {
            // Pending: it waits for room, though the bytes are there.
            let pace = fast();
            let inlet = inlet(&sender, (&room, &pace), &traffic);
            let ended = read_frames(&mut stream, inlet).now_or_never();
            assert_eq!(ended, None);
            let heard = std::iter::from_fn(|| receiver.try_recv().ok()).count();
            assert_eq!(heard, 7, "as many as fit");
            total += heard;
            // The length of the next frame was read by the future that was dropped.
            stream.set_position(stream.position() - 4);
        }
        assert_eq!(total, 21);
    }

    #[test]
    fn only_a_later_wish_or_another_life_supersedes() {
        let wish = |life, lost| Wish { life, lost };
        assert!(!wish(1, 5).supersedes(wish(1, 5)), "the same wish: a surplus connection");
        assert!(!wish(1, 4).supersedes(wish(1, 5)), "an older wish that was long on its way");
        assert!(wish(1, 6).supersedes(wish(1, 5)), "the link was lost over there");
        assert!(wish(2, 0).supersedes(wish(1, 5)), "the peer started anew");
        let all = wish(u64::MAX - 1, 7);
        assert_eq!(Wish::of(all.bytes()), all);
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=MAX), 0..40),
        ) {
            let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
            let (out, reason) = heard(written(&frames));
            prop_assert_eq!(out, frames);
            prop_assert_eq!(reason, DownReason::Closed);
        }

        #[test]
        fn any_bytes_are_read_as_the_obvious_reader_reads_them(
            heads in prop::collection::vec((0_u32..400, prop::collection::vec(any::<u8>(), 0..400)), 0..8),
        ) {
            let mut bytes = Vec::new();
            for (len, body) in heads {
                bytes.extend(len.to_be_bytes());
                bytes.extend(body);
            }
            let (frames, end) = expected(&bytes);
            let (out, reason) = heard(bytes);
            prop_assert_eq!(out, frames);
            let ended = match reason {
                DownReason::Closed => "closed",
                DownReason::Oversize { .. } => "oversize",
                DownReason::Broken(_) => "broken",
                DownReason::Silent | DownReason::Replaced => "otherwise",
            };
            prop_assert_eq!(ended, end);
        }
    }
}
