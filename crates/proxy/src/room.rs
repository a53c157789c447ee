//! Room for the client connections of a listener, all workers together, under a limit that may change at any time; and that
//! of the whole process, which the rooms of all listeners are in.
//!
//! First come, first served: of those who wait, as many as there is room for may enter, and nobody else. So the limit is
//! exact while it grows and while it shrinks; a shrunk one lets nobody in until enough have left.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use plimsoll_core::ClientHold;

use crate::lock::lock;
use crate::proxy_header::Refusal;
use crate::stats::ProxyHeaderStats;

/// A limit and those who are under it.
#[derive(Debug)]
pub(crate) struct Room {
    state: Mutex<State>,
    /// The room that this one is a part of.
    house: Option<Arc<Room>>,
    refused: Refused,
    /// How many were turned away for their address.
    denied: AtomicU64,
}

/// How many who were inside were shown out because of their PROXY header, by reason.
#[derive(Debug, Default)]
struct Refused {
    strangers: AtomicU64,
    no_header: AtomicU64,
    unfinished: AtomicU64,
}

#[derive(Debug)]
struct State {
    limit: usize,
    inside: usize,
    entered: u64,
    /// For how many of those who wait elsewhere somebody should leave.
    outside: usize,
    /// In the order they came, each with a number that only grows.
    waiting: VecDeque<(u64, Waker)>,
    next: u64,
}

/// A place inside a room and the one that it is a part of, given back when dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    room: Inside,
    house: Option<Inside>,
    /// What the client holds of its own limits.
    limits: Box<[ClientHold]>,
}

impl Entry {
    /// The room that it is in.
    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room.0
    }

    /// Whether it is to make room for somebody who waits, in the room or in the house: then it must be given back at once, as
    /// one who waits elsewhere is taken for served by that.
    pub(crate) fn makes_room(&self) -> bool {
        self.room().makes_room() || self.house.as_ref().is_some_and(|house| house.0.makes_room())
    }

    /// Holds these too, as long as the place.
    pub(crate) fn keep(&mut self, limits: Vec<ClientHold>) {
        self.limits = limits.into();
    }
}

/// A place inside one room, given back when dropped.
#[derive(Debug)]
struct Inside(Arc<Room>);

/// One who waits elsewhere until somebody leaves; no more when dropped.
pub(crate) struct Outsider<'a>(&'a Room);

impl Drop for Outsider<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        // Somebody may have left for it.
        state.outside = state.outside.saturating_sub(1);
    }
}

/// What a room says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occupancy {
    pub(crate) limit: usize,
    pub(crate) inside: usize,
    /// All who ever entered.
    pub(crate) entered: u64,
}

impl Room {
    /// An empty room for `limit` in a house that has a limit of its own.
    pub(crate) fn within(house: &Arc<Self>, limit: usize) -> Arc<Self> {
        Arc::new(Self::of(limit, Some(Arc::clone(house))))
    }

    fn of(limit: usize, house: Option<Arc<Self>>) -> Self {
        let state = State { limit, inside: 0, entered: 0, outside: 0, waiting: VecDeque::new(), next: 0 };
        Self { state: Mutex::new(state), house, refused: Refused::default(), denied: AtomicU64::new(0) }
    }

    /// Waits for a place. Whoever stops waiting gives its turn to the next.
    pub(crate) async fn enter(self: &Arc<Self>) -> Entry {
        let room = self.go_inside().await;
        let house = match &self.house {
            Some(house) => Some(house.go_inside().await),
            None => None,
        };
        Entry { room, house, limits: Box::default() }
    }

    async fn go_inside(self: &Arc<Self>) -> Inside {
        let mut turn = Turn { room: self, number: None };
        poll_fn(|cx| turn.poll(cx)).await;
        Inside(Arc::clone(self))
    }

    /// From now on it has room for `limit`. Nobody who is inside has to leave.
    pub(crate) fn set_limit(&self, limit: usize) {
        let mut state = lock(&self.state);
        let before = state.free();
        state.limit = limit;
        let admitted: Vec<Waker> = (before..state.free()).map_while(|position| state.waker(position)).collect();
        drop(state);
        admitted.into_iter().for_each(Waker::wake);
    }

    /// Counts one who is shown out.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        let count = match refusal {
            Refusal::Stranger => &self.refused.strangers,
            Refusal::NoHeader => &self.refused.no_header,
            Refusal::Unfinished => &self.refused.unfinished,
        };
        count.fetch_add(1, Relaxed);
    }

    /// How many were shown out.
    pub(crate) fn refused(&self) -> ProxyHeaderStats {
        let Refused { strangers, no_header, unfinished } = &self.refused;
        let read = |count: &AtomicU64| count.load(Relaxed);
        ProxyHeaderStats { strangers: read(strangers), no_header: read(no_header), unfinished: read(unfinished) }
    }

    /// Counts one who may not come from where it does: a connection, or a request of which no route is known.
    pub(crate) fn deny(&self) {
        self.denied.fetch_add(1, Relaxed);
    }

    /// How many were turned away so.
    pub(crate) fn denied(&self) -> u64 {
        self.denied.load(Relaxed)
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        let State { limit, inside, entered, .. } = *lock(&self.state);
        Occupancy { limit, inside, entered }
    }

    /// Whether one who is inside is to leave for somebody who waits, which takes one of those outside for served.
    fn makes_room(&self) -> bool {
        let mut state = lock(&self.state);
        let wanted = state.lacking() > 0;
        if wanted && state.outside > 0 {
            state.outside -= 1;
        }
        wanted
    }

    /// How many would enter here or the house if as many left.
    pub(crate) fn lacking(&self) -> usize {
        let of_house = self.house.as_ref().map_or(0, |house| lock(&house.state).lacking());
        lock(&self.state).lacking() + of_house
    }

    /// Waits for somebody to leave the house without waiting for his place, as long as the result lives.
    pub(crate) fn stand_outside(&self) -> Outsider<'_> {
        let house = self.house.as_deref().unwrap_or(self);
        lock(&house.state).outside += 1;
        Outsider(house)
    }

    /// How many are in the house that this room is a part of.
    pub(crate) fn in_house(&self) -> usize {
        self.house.as_deref().unwrap_or(self).occupancy().inside
    }

    /// Changes who is inside or waits, and wakes the one who may enter by that.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        change(&mut state);
        let admitted = state.free().checked_sub(1).and_then(|last| state.waker(last));
        drop(state);
        if let Some(waker) = admitted {
            waker.wake();
        }
    }
}

impl State {
    /// How many of those who wait may enter.
    fn free(&self) -> usize {
        self.limit.saturating_sub(self.inside)
    }

    /// How many should leave for those who wait.
    fn lacking(&self) -> usize {
        self.waiting.len().saturating_sub(self.free()) + self.outside
    }

    fn waker(&self, position: usize) -> Option<Waker> {
        self.waiting.get(position).map(|(_, waker)| waker.clone())
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&number, |(number, _)| *number).ok()
    }
}

impl Default for Room {
    /// A room without a limit.
    fn default() -> Self {
        Self::of(usize::MAX, None)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.change(|state| state.inside -= 1);
    }
}

/// One who wants to enter; in the queue once it has a number.
struct Turn<'a> {
    room: &'a Room,
    number: Option<u64>,
}

impl Turn<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.room.state);
        let queued = self.number.and_then(|number| state.position(number));
        if queued.unwrap_or(state.waiting.len()) < state.free() {
            // Those behind move up by one while there is room for one less: who may enter stays the same.
            queued.and_then(|position| state.waiting.remove(position));
            self.number = None;
            state.inside += 1;
            state.entered += 1;
            return Poll::Ready(());
        }
        if let Some(position) = queued {
            state.waiting[position].1.clone_from(cx.waker());
        } else {
            let number = state.next;
            state.next += 1;
            state.waiting.push_back((number, cx.waker().clone()));
            self.number = Some(number);
        }
        Poll::Pending
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        self.room.change(|state| {
            let queued = state.position(number);
            queued.and_then(|position| state.waiting.remove(position));
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Room {
        fn new(limit: usize) -> Arc<Self> {
            Arc::new(Self::of(limit, None))
        }
    }

    /// One who wants in, and how often it was woken.
    struct Comer {
        entering: Pin<Box<dyn Future<Output = Entry>>>,
        wakes: Arc<Wakes>,
    }

    impl Comer {
        fn new(room: &Arc<Room>) -> Self {
            let room = Arc::clone(room);
            Self { entering: Box::pin(async move { room.enter().await }), wakes: Arc::default() }
        }

        fn poll(&mut self) -> Option<Entry> {
            let waker = Waker::from(Arc::clone(&self.wakes));
            match self.entering.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(entry) => Some(entry),
                Poll::Pending => None,
            }
        }

        fn woken(&self) -> bool {
            self.wakes.0.load(Ordering::Relaxed) > 0
        }
    }

    #[test]
    fn as_many_as_the_limit_enter_and_the_others_in_their_order() {
        let room = Room::new(2);
        let mut comers: Vec<Comer> = (0..5).map(|_| Comer::new(&room)).collect();
        let mut inside: Vec<Option<Entry>> = comers.iter_mut().map(Comer::poll).collect();
        assert_eq!(inside.iter().filter(|entry| entry.is_some()).count(), 2);
        inside[0] = None;
        assert!(comers[2].woken() && !comers[3].woken());
        assert!(Comer::new(&room).poll().is_none() && comers[3].poll().is_none(), "somebody overtook");
        let third = comers[2].poll();
        assert!(third.is_some());
        assert_eq!(room.occupancy(), Occupancy { limit: 2, inside: 2, entered: 3 });
    }

    #[test]
    fn a_shrunk_limit_lets_nobody_in_until_enough_have_left_and_a_grown_one_at_once() {
        let room = Room::new(3);
        let mut inside: Vec<Entry> = (0..3).filter_map(|_| Comer::new(&room).poll()).collect();
        let mut waiting: Vec<Comer> = (0..3).map(|_| Comer::new(&room)).collect();
        assert!(waiting.iter_mut().all(|comer| comer.poll().is_none()));
        room.set_limit(1);
        inside.truncate(1);
        assert!(waiting.iter_mut().all(|comer| !comer.woken() && comer.poll().is_none()));
        room.set_limit(3);
        assert!(waiting[0].woken() && waiting[1].woken() && !waiting[2].woken());
        assert!(waiting[2].poll().is_none());
        let entered: Vec<_> = waiting[..2].iter_mut().filter_map(Comer::poll).collect();
        assert_eq!((entered.len(), room.occupancy().inside), (2, 3));
    }

    #[test]
    fn rooms_of_a_house_share_its_limit_and_each_keeps_its_own() {
        let house = Room::new(3);
        let (wide, narrow) = (Room::within(&house, 9), Room::within(&house, 1));
        let mut inside: Vec<Entry> = (0..2).filter_map(|_| Comer::new(&wide).poll()).collect();
        inside.extend(Comer::new(&narrow).poll());
        assert_eq!(inside.len(), 3);
        let (mut third, mut second) = (Comer::new(&wide), Comer::new(&narrow));
        assert!(third.poll().is_none() && second.poll().is_none());
        // That of the narrow room: its next waits behind the one who came to the house before.
        inside.pop();
        assert!(third.woken() && second.woken());
        assert!(second.poll().is_none(), "somebody overtook");
        assert!(third.poll().is_some_and(|entry| {
            drop(entry);
            true
        }));
        assert!(second.poll().is_some());
        drop(inside);
        assert_eq!([&house, &wide, &narrow].map(|room| room.occupancy().inside), [0, 0, 0]);
    }

    #[test]
    fn as_many_make_room_as_wait_for_it() {
        let house = Room::new(3);
        let room = Room::within(&house, 2);
        let mut inside: Vec<Entry> = (0..2).filter_map(|_| Comer::new(&room).poll()).collect();
        assert!(room.lacking() == 0 && !inside[0].makes_room());
        let mut second = Comer::new(&room);
        assert!(second.poll().is_none());
        assert!(room.lacking() == 1 && inside[0].makes_room());
        inside.remove(0);
        assert!(room.lacking() == 0 && !inside[0].makes_room(), "one is enough");
        inside.extend(second.poll());
        let outsider = room.stand_outside();
        assert_eq!(room.lacking(), 1);
        assert!(inside[1].makes_room() && !inside[0].makes_room(), "one is enough");
        drop(outsider);
        assert_eq!(room.lacking(), 0);
        drop(room.stand_outside());
        assert!(!inside[0].makes_room(), "it waits no more");
        inside.clear();
        assert_eq!((room.lacking(), room.occupancy().inside, house.occupancy().inside), (0, 0, 0));
    }

    #[test]
    fn whoever_stops_waiting_for_the_house_leaves_the_room_again() {
        let house = Room::new(1);
        let room = Room::within(&house, 5);
        let first = Comer::new(&room).poll();
        let mut second = Comer::new(&room);
        assert!(second.poll().is_none());
        assert_eq!(room.occupancy().inside, 2);
        drop(second);
        assert_eq!((room.occupancy().inside, house.occupancy().inside), (1, 1));
        drop(first);
        assert_eq!((room.occupancy().inside, house.occupancy().inside), (0, 0));
    }

    #[test]
    fn whoever_stops_waiting_gives_its_turn_to_the_next() {
        let room = Room::new(1);
        let first = Comer::new(&room).poll();
        let (mut second, mut third) = (Comer::new(&room), Comer::new(&room));
        assert!(second.poll().is_none() && third.poll().is_none());
        drop(first);
        assert!(second.woken() && !third.woken());
        drop(second);
        assert!(third.woken() && third.poll().is_some());
        assert_eq!(room.occupancy().inside, 0);
    }
}
