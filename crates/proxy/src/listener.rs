//! Accepting the connections of a place, in a loop that waits rather than fails.

use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::arrival;
use crate::connection::Connection;
use crate::door::{Client, Door};
use crate::place::Place;
use crate::room::{Entry, Room};
use crate::shortage;
use crate::sockets::BACKLOG;
use crate::worker::{Vital, Worker};

/// How long accepting rests when the process has no descriptor or memory left for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Serves connections that come in by `door` until `place` closes; then what the kernel has already accepted, and
/// no more.
pub(crate) async fn accept(door: Door, place: Rc<Place>) {
    let _vital = Vital(Rc::clone(&place.worker));
    let mut waiting = None;
    {
        let mut room = place.room();
        let changed = place.changed.notified();
        tokio::pin!(changed);
        loop {
            tokio::select! {
                biased;
                () = &mut changed => {
                    if place.closing() {
                        break;
                    }
                    room = place.room();
                    changed.set(place.changed.notified());
                }
                Some((client, entry)) = accept_one(&door, (&room, &place.worker), &mut waiting) => {
                    let connection = Connection::new(client, &place, entry);
                    arrival::spawn(connection);
                }
            }
        }
    }
    if let Some(client) = waiting {
        serve_when_there_is_room(client, &place);
    }
    accept_waiting(door, &place);
}

/// Serves what waits in the kernel's queue when the end comes. The queue itself is asked: the runtime hears of a
/// connection only when it next looks at events, and the socket would be closed before that.
fn accept_waiting(door: Door, place: &Rc<Place>) {
    let Ok(queue) = door.into_queue() else { return };
    // No more than the queue holds, or a flood of new ones would keep us here.
    for _ in 0..BACKLOG {
        match queue.accept() {
            Ok(client) => serve_when_there_is_room(client, place),
            Err(error) if is_connection_error(&error) => {}
            Err(_) => return,
        }
    }
}

/// Waits for a connection, then for room to serve it; those behind it stay with the kernel meanwhile.
///
/// In this order, because the room is for all workers: one that waited for a client with room in its hands would
/// keep it from the clients of another. A client that waits for room stays in `waiting` when this is cancelled.
async fn accept_one(
    door: &Door,
    (room, worker): (&Arc<Room>, &Worker),
    waiting: &mut Option<Client>,
) -> Option<(Client, Entry)> {
    let mut noted = false;
    while waiting.is_none() {
        rest(room, worker).await;
        match door.accept().await {
            Ok(client) => *waiting = Some(client),
            Err(error) if is_connection_error(&error) => {}
            Err(_) => {
                if !std::mem::replace(&mut noted, true) {
                    worker.shortage.note();
                }
                *waiting = Box::pin(accept_in_turn(door, (room, worker))).await;
            }
        }
    }
    let mut entering = std::pin::pin!(room.enter());
    let mut called = false;
    let entry = poll_fn(|cx| {
        let entered = entering.as_mut().poll(cx);
        if entered.is_pending() && !std::mem::replace(&mut called, true) {
            // Who is idle here leaves at once; the other workers see to it with their next tick.
            worker.parked.borrow_mut().call();
        }
        entered
    })
    .await;
    Some((waiting.take()?, entry))
}

/// Accepts nobody while those who are in lack descriptors that they need to be served, unless the limit leaves room for more.
async fn rest(room: &Room, worker: &Worker) {
    let shortage = &worker.shortage;
    while !shortage.is_over() && !shortage.has_room_beside(room.in_house()) {
        worker.make_way();
        shortage.recover();
        tokio::time::sleep(EXHAUSTED_PAUSE).await;
    }
}

/// Accepts a client for which there was no descriptor, once it is its turn to have one; `None` when that is not now.
async fn accept_in_turn(door: &Door, (room, worker): (&Room, &Worker)) -> Option<Client> {
    let shortage = &worker.shortage;
    if !shortage.has_room_beside(room.in_house()) {
        worker.make_way();
        // One who is idle may leave for it.
        let _outsider = room.stand_outside();
        tokio::time::sleep(EXHAUSTED_PAUSE).await;
        return None;
    }
    let turn = shortage.turn().await;
    while shortage.has_room_beside(room.in_house()) {
        let mut accept = std::pin::pin!(door.accept());
        match poll_fn(|cx| Poll::Ready(accept.as_mut().poll(cx))).await {
            Poll::Ready(Ok(client)) => return Some(client),
            Poll::Ready(Err(error)) if !is_connection_error(&error) => {}
            // It has left.
            _ => break,
        }
        if !worker.make_way() && !shortage.give_out(&turn) {
            tokio::time::sleep(shortage::PAUSE).await;
        }
    }
    None
}

/// For the time after a place has closed: a client that was accepted is served if others make room for it. It counts from
/// now on, so that a stop waits for it too.
fn serve_when_there_is_room(client: Client, place: &Rc<Place>) {
    let (place, count) = (Rc::clone(place), place.worker.client());
    tokio::task::spawn_local(async move {
        let entry = place.room().enter().await;
        let connection = Connection::new(client, &place, entry);
        drop(count);
        arrival::spawn(connection);
    });
}

/// The client gave up before it was accepted; the next one may be fine.
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
