//! Where a worker takes connections in, and how it follows a change of that.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::door::Door;
use crate::listener;
use crate::place::Place;
use crate::served::Served;
use crate::service::Service;
use crate::sockets::{PlaceId, Socket};
use crate::tls;
use crate::worker::Worker;

/// What a worker is to serve from now on.
pub(crate) struct Change {
    /// Everything there is to be: who is not here any more closes.
    pub(crate) services: Arc<[(PlaceId, Arc<Service>)]>,
    /// This worker's sockets for what is new of it.
    pub(crate) sockets: Vec<(PlaceId, Socket)>,
}

/// The places of a worker.
pub(crate) struct Places {
    worker: Rc<Worker>,
    open: Vec<Open>,
}

struct Open {
    place: Rc<Place>,
    accepting: JoinHandle<()>,
}

impl Places {
    pub(crate) fn new(worker: Rc<Worker>) -> Self {
        Self { worker, open: Vec::new() }
    }

    /// Puts `change` in force. When this returns, the sockets of what is gone are closed.
    ///
    /// # Errors
    /// The runtime could not take a new socket, which is closed; all else is in force.
    pub(crate) async fn follow(&mut self, change: Change) -> io::Result<()> {
        let Change { services, sockets } = change;
        // Before any head is read by the new rules: it must fit.
        let head_bytes = services.iter().map(|(_, service)| service.listener.max_head).max().unwrap_or_default();
        self.worker.buffers.resize(head_bytes);
        for served in services.iter().flat_map(|(_, service)| service.aim.pools()).flat_map(Served::chain) {
            self.worker.tick_pool(&served.pool);
        }
        if services.iter().any(|(_, service)| service.uses_tls()) {
            tls::warm_up();
        }
        let service = |id| services.iter().find(|(known, _)| *known == id).map(|(_, service)| service);
        let (stay, go) = std::mem::take(&mut self.open).into_iter().partition(|open| service(open.place.id).is_some());
        self.open = stay;
        for open in &self.open {
            if let Some(service) = service(open.place.id) {
                open.place.follow(service);
            }
        }
        let mut result = Ok(());
        for (id, socket) in sockets {
            let Some(service) = service(id) else { continue };
            let door = match Door::open(socket) {
                Ok(door) => door,
                Err(error) => {
                    result = Err(error);
                    continue;
                }
            };
            let place = Place::new(id, Arc::clone(service), &self.worker);
            let accepting = tokio::task::spawn_local(listener::accept(door, Rc::clone(&place)));
            self.open.push(Open { place, accepting });
        }
        self.end(go).await;
        result
    }

    /// Closes all.
    pub(crate) async fn close(&mut self) {
        let all = std::mem::take(&mut self.open);
        self.end(all).await;
    }

    async fn end(&self, open: Vec<Open>) {
        if open.is_empty() {
            return;
        }
        for open in &open {
            open.place.close();
        }
        for open in open {
            // It ends by itself once its place closes; one that panicked has told so.
            let _ = open.accepting.await;
        }
        self.worker.timers.wake_all();
    }
}
