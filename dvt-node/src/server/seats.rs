//! Places of which there are so many, and who gives one up when all are taken.
//!
//! A place is *busy* while this node owes its holder an answer, and *quiet* while the holder owes bytes: it has not asked
//! yet, its request is half here, or it reads what it was answered. Who comes when all places are taken gets the one
//! that has been quiet longest, among those of the origin that has most of them quiet. So whoever holds many places
//! without a request loses them first, and who asks is answered, from whatever address. A busy place is not taken away.

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures::Stream;
use std::collections::BTreeMap;
use std::error::Error;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio_util::sync::CancellationToken;

/// Where somebody comes from, as far as an address tells: an IPv4 address, or the 64 bits of an IPv6 network, which
/// are one line of one customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(IpAddr);

impl Origin {
    /// The origin of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            v4 @ IpAddr::V4(_) => Self(v4),
            IpAddr::V6(v6) => Self(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into()),
        }
    }
}

/// Of a request that came over no connection of ours.
impl Default for Origin {
    fn default() -> Self {
        Self(Ipv6Addr::UNSPECIFIED.into())
    }
}

/// A number of places.
#[derive(Clone, Debug)]
pub struct Seats(Arc<Table>);

#[derive(Debug)]
struct Table {
    max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Counts events: the order of time, without a clock.
    ticks: u64,
    /// By the tick at which they were taken.
    places: BTreeMap<u64, Place>,
}

#[derive(Debug)]
struct Place {
    origin: Origin,
    /// Answers that are owed.
    busy: usize,
    /// When it became quiet last.
    quiet_since: u64,
    leave: CancellationToken,
}

impl Taken {
    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    /// The place that goes when one has to: the longest quiet one of the origin with most quiet places.
    fn least_missed(&self) -> Option<u64> {
        let mut origins: BTreeMap<Origin, (usize, u64, u64)> = BTreeMap::new();
        for (number, place) in self.places.iter().filter(|(_, place)| place.busy == 0) {
            let (count, since, oldest) = origins.entry(place.origin).or_insert((0, u64::MAX, 0));
            *count += 1;
            if place.quiet_since < *since {
                (*since, *oldest) = (place.quiet_since, *number);
            }
        }
        let worst = origins.into_values().max_by_key(|(count, since, _)| (*count, std::cmp::Reverse(*since)));
        worst.map(|(_, _, number)| number)
    }
}

impl Table {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Plain numbers: a panic elsewhere leaves nothing half-written.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    /// So many places.
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Table { max, taken: Mutex::default() }))
    }

    /// How many there are.
    pub fn max(&self) -> usize {
        self.0.max
    }

    /// Takes a place, quiet at first; if all are taken, a quiet one away from its holder. `None` if all are busy.
    ///
    /// - Cost: a look at every place if all are taken.
    pub fn take(&self, origin: Origin) -> Option<Seat> {
        let mut taken = self.0.taken();
        if taken.places.len() >= self.0.max {
            let number = taken.least_missed()?;
            if let Some(place) = taken.places.remove(&number) {
                place.leave.cancel();
            }
        }
        let (number, leave) = (taken.tick(), CancellationToken::new());
        let place = Place { origin, busy: 0, quiet_since: number, leave: leave.clone() };
        taken.places.insert(number, place);
        Some(Seat(Arc::new(Holder { table: self.0.clone(), number, leave })))
    }

    /// Lets a request through on a place of its own, which is quiet until the request's body is here.
    ///
    /// - `None` if there is no place for it, or if another one got its place before the body was here.
    pub async fn pass(&self, request: Request, next: Next) -> Option<Response> {
        let origin = request.extensions().get::<Origin>().copied().unwrap_or_default();
        let seat = self.take(origin)?;
        let turn = seat.turn();
        let request = turn.watch(request);
        tokio::select! {
            response = next.run(request) => Some(response),
            () = seat.lost() => None,
        }
    }
}

/// A place that somebody holds. Clones are the same; it is free when the last is dropped.
#[derive(Clone, Debug)]
pub struct Seat(Arc<Holder>);

#[derive(Debug)]
struct Holder {
    table: Arc<Table>,
    number: u64,
    leave: CancellationToken,
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.table.taken().places.remove(&self.number);
    }
}

impl Seat {
    /// Comes when the place was taken away.
    pub async fn lost(&self) {
        self.0.leave.cancelled().await;
    }

    /// A request has begun to arrive.
    pub(super) fn turn(&self) -> Turn {
        Turn(Arc::new(Asked { seat: self.clone(), phase: Mutex::new(Phase::Arriving) }))
    }

    fn change(&self, change: impl FnOnce(&mut Place, u64)) {
        let mut taken = self.0.table.taken();
        let tick = taken.tick();
        // It may have been taken away.
        if let Some(place) = taken.places.get_mut(&self.0.number) {
            change(place, tick);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Arriving,
    Owed,
    Answered,
}

/// One request of a place's holder. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Turn(Arc<Asked>);

#[derive(Debug)]
struct Asked {
    seat: Seat,
    phase: Mutex<Phase>,
}

impl Asked {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self) {
        if std::mem::replace(&mut *self.phase(), Phase::Answered) == Phase::Owed {
            self.seat.change(|place, tick| {
                place.busy = place.busy.saturating_sub(1);
                place.quiet_since = tick;
            });
        }
    }
}

/// Whether it was answered, or its connection has ended.
impl Drop for Asked {
    fn drop(&mut self) {
        self.answered();
    }
}

impl Turn {
    /// All of it is here, or nobody wants the rest.
    fn arrived(&self) {
        let mut phase = self.0.phase();
        if *phase == Phase::Arriving {
            *phase = Phase::Owed;
            self.0.seat.change(|place, _| place.busy += 1);
        }
    }

    /// The answer is made; what is left is the client's, to read it.
    pub(super) fn answered(&self) {
        self.0.answered();
    }

    /// The request, whose body's end is noticed.
    pub(super) fn watch<B>(&self, request: axum::http::Request<B>) -> Request
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        request.map(|body| {
            if body.is_end_stream() {
                self.arrived();
                return Body::new(body);
            }
            let bytes = Box::pin(Body::new(body).into_data_stream());
            Body::from_stream(Arriving { bytes, turn: self.clone() })
        })
    }

    /// The response, whose answer is made when its body ends: at once, unless its length is not known.
    pub(super) fn answer(self, response: Response) -> Response {
        if response.body().size_hint().exact().is_some() {
            self.answered();
            return response;
        }
        response.map(|body| {
            let bytes = Box::pin(body.into_data_stream());
            Body::from_stream(Answering { bytes, turn: self })
        })
    }
}

/// Bytes of a request.
struct Arriving<S> {
    bytes: Pin<Box<S>>,
    turn: Turn,
}

impl<S: Stream<Item = Result<Bytes, E>>, E: Error> Stream for Arriving<S> {
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.bytes.as_mut().poll_next(context));
        if next.is_none() {
            self.turn.arrived();
        }
        Poll::Ready(next)
    }
}

impl<S> Drop for Arriving<S> {
    fn drop(&mut self) {
        self.turn.arrived();
    }
}

/// Bytes of an answer that is made while it is read.
struct Answering<S> {
    bytes: Pin<Box<S>>,
    turn: Turn,
}

impl<S> Drop for Answering<S> {
    fn drop(&mut self) {
        self.turn.answered();
    }
}

impl<S: Stream> Stream for Answering<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.bytes.as_mut().poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(last: u8) -> Origin {
        Origin::of(IpAddr::from([192, 0, 2, last]))
    }

    fn is_lost(seat: &Seat) -> bool {
        seat.0.leave.is_cancelled()
    }

    #[test]
    fn the_longest_quiet_place_of_who_holds_most_goes_first() {
        let seats = Seats::new(4);
        let honest = seats.take(origin(1)).unwrap();
        let held: Vec<_> = (0..3).map(|_| seats.take(origin(2)).unwrap()).collect();
        let newcomer = seats.take(origin(3)).unwrap();
        let lost = |seats: &[Seat]| seats.iter().map(is_lost).collect::<Vec<_>>();
        assert_eq!((is_lost(&honest), lost(&held)), (false, vec![true, false, false]));
        // Of origins that hold as many, the one that has been quiet longest.
        let _another = seats.take(origin(4)).unwrap();
        let _yet_another = seats.take(origin(5)).unwrap();
        assert_eq!((is_lost(&honest), lost(&held)), (true, vec![true, true, false]));
        assert!(!is_lost(&newcomer));
    }

    #[test]
    fn a_place_is_busy_from_the_end_of_a_request_to_its_answer() {
        let seats = Seats::new(1);
        let seat = seats.take(origin(1)).unwrap();
        let turns = [seat.turn(), seat.turn()];
        turns.iter().for_each(Turn::arrived);
        turns[0].answered();
        turns[0].answered();
        turns[0].arrived();
        assert!(seats.take(origin(2)).is_none(), "one of two is not answered");
        turns[1].answered();
        assert!(seats.take(origin(2)).is_some() && is_lost(&seat));
    }

    #[test]
    fn a_request_that_is_dropped_leaves_its_place_quiet() {
        let seats = Seats::new(1);
        let seat = seats.take(origin(1)).unwrap();
        let turn = seat.turn();
        turn.arrived();
        drop(turn);
        assert!(seats.take(origin(2)).is_some() && is_lost(&seat));
    }

    #[test]
    fn a_place_is_free_when_its_holder_goes_and_was_taken_away_once() {
        let seats = Seats::new(1);
        let first = seats.take(origin(1)).unwrap();
        let second = seats.take(origin(1)).unwrap();
        drop(first);
        assert_eq!(seats.0.taken().places.len(), 1, "the second one's");
        drop(second);
        assert!(seats.0.taken().places.is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_origin() {
        let of = |address: &str| Origin::of(address.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::2"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), origin(1));
        assert_ne!(origin(1), origin(2));
    }
}
