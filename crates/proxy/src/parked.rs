//! Client connections that are idle, and which of them make room when others wait for it: the oldest, between two requests
//! and never within one or before the first, which may be on its way.
//!
//! Each is a task that waits for its next byte, or for the next stream of HTTP/2. It is called, and then looks itself whether
//! it has to leave: by then it may have something to do, or others have left.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Waker};

use crate::room::{Entry, Room};

/// The idle connections of a worker, those of each room in the order in which they became so.
#[derive(Default)]
pub(crate) struct Parked {
    rooms: Vec<(Arc<Room>, BTreeMap<u64, Waker>)>,
    /// The number of the next one.
    next: u64,
}

impl Parked {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn put(&mut self, room: &Arc<Room>, number: u64, waker: Waker) {
        let position = self.position(room).unwrap_or_else(|| {
            self.rooms.push((Arc::clone(room), BTreeMap::new()));
            self.rooms.len() - 1
        });
        self.rooms[position].1.insert(number, waker);
    }

    /// Whether one that was put in has not been called since.
    fn holds(&self, room: &Arc<Room>, number: u64) -> bool {
        self.position(room).is_some_and(|position| self.rooms[position].1.contains_key(&number))
    }

    fn remove(&mut self, room: &Arc<Room>, number: u64) {
        if let Some(position) = self.position(room) {
            self.rooms[position].1.remove(&number);
            if self.rooms[position].1.is_empty() {
                self.rooms.swap_remove(position);
            }
        }
    }

    /// There are few rooms.
    fn position(&self, room: &Arc<Room>) -> Option<usize> {
        self.rooms.iter().position(|(known, _)| Arc::ptr_eq(known, room))
    }

    /// Calls the oldest of each room, as many as lack a place there.
    pub(crate) fn call(&mut self) {
        for (room, parked) in &mut self.rooms {
            for _ in 0..room.lacking().min(parked.len()) {
                if let Some((_, waker)) = parked.pop_first() {
                    waker.wake();
                }
            }
        }
    }
}

/// Whose turn it is to leave among those that are idle: the number that a connection has in their order; 0 is none.
#[derive(Default)]
pub(crate) struct Turn(u64);

impl Turn {
    /// Whether an idle connection has to leave its `place`, because it was called and somebody waits for that: it is given
    /// back then.
    pub(crate) fn makes_room(&mut self, parked: &RefCell<Parked>, place: &mut Option<Entry>, cx: &Context<'_>) -> bool {
        let Some(entry) = place else { return false };
        let mut parked = parked.borrow_mut();
        if self.0 == 0 {
            self.0 = parked.number();
        } else if parked.holds(entry.room(), self.0) {
            return false;
        } else if entry.makes_room() {
            parked.remove(entry.room(), self.0);
            drop(parked);
            *place = None;
            return true;
        }
        parked.put(entry.room(), self.0, cx.waker().clone());
        false
    }

    /// The connection is idle no more.
    pub(crate) fn end(&mut self, parked: &RefCell<Parked>, place: Option<&Entry>) {
        if let Some(entry) = place.filter(|_| self.0 != 0) {
            parked.borrow_mut().remove(entry.room(), self.0);
        }
        self.0 = 0;
    }
}
