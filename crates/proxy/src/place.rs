//! A place where connections come in, and what is served there at the moment.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::room::Room;
use crate::service::Service;
use crate::sockets::PlaceId;
use crate::worker::Worker;

/// What the connections of one socket have in common.
pub(crate) struct Place {
    pub(crate) id: PlaceId,
    service: RefCell<Arc<Service>>,
    closing: Cell<bool>,
    /// The accept loop has to look: the place closes, or its room is another.
    pub(crate) changed: Notify,
    pub(crate) worker: Rc<Worker>,
}

impl Place {
    pub(crate) fn new(id: PlaceId, service: Arc<Service>, worker: &Rc<Worker>) -> Rc<Self> {
        Rc::new(Self {
            id,
            service: RefCell::new(service),
            closing: Cell::new(false),
            changed: Notify::new(),
            worker: Rc::clone(worker),
        })
    }

    /// What is served here now.
    pub(crate) fn service(&self) -> Ref<'_, Arc<Service>> {
        self.service.borrow()
    }

    /// What is served here now, if that is not `known`.
    pub(crate) fn service_after(&self, known: &Arc<Service>) -> Option<Arc<Service>> {
        let service = self.service.borrow();
        (!Arc::ptr_eq(&service, known)).then(|| Arc::clone(&service))
    }

    /// From the next request on `service` is served here.
    pub(crate) fn follow(&self, service: &Arc<Service>) {
        let before = self.service.replace(Arc::clone(service));
        if !Arc::ptr_eq(&before.room, &service.room) {
            self.changed.notify_one();
        }
    }

    /// Takes in nothing more; connections end as soon as they have nothing under way.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.changed.notify_one();
    }

    pub(crate) fn closing(&self) -> bool {
        self.closing.get()
    }

    /// Where its connections find room now.
    pub(crate) fn room(&self) -> Arc<Room> {
        Arc::clone(&self.service.borrow().room)
    }
}
