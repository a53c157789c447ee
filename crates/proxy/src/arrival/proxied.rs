//! A client whose proxy tells who it is, before anything else.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use crate::connection::Connection;
use crate::proxy_header::{Header, Refusal};

/// Reads the header that `connection` begins with. `None` when there is no right one, or it is from who may not send one.
///
/// Not a byte behind the header is read.
pub(super) async fn read_header(mut connection: Connection) -> Option<Connection> {
    match admit(&mut connection).await {
        Ok(()) => Some(connection),
        Err(refusal) => {
            connection.place.service().room.refuse(refusal);
            // Whoever sends one by mistake, or should and does not, is to notice at once.
            connection.wire.reset_on_close(true);
            None
        }
    }
}

async fn admit(connection: &mut Connection) -> Result<(), Refusal> {
    let Connection { wire, peer, place, deadline, worker, .. } = connection;
    {
        let service = place.service();
        let Some(rule) = &service.listener.proxy_protocol else { return Ok(()) };
        if !rule.from.iter().any(|network| network.contains(peer.ip())) {
            return Err(Refusal::Stranger);
        }
        deadline.set(worker.now() + rule.timeout);
    }
    let mut header = Header::default();
    let named = poll_fn(|cx| match header.poll(wire, cx) {
        Poll::Ready(named) => Poll::Ready(named),
        Poll::Pending => deadline.poll(cx).map(|()| Err(Refusal::Unfinished)),
    });
    named.await?.apply(Rc::make_mut(peer));
    Ok(())
}
