//! A client that speaks TLS, until hands are shaken with it.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use crate::connection::{Connection, shorten_for_stop};
use crate::http1::Reject;
use crate::serve;
use crate::tls::{self, Failed, HandshakeFailure};

/// Shakes hands with the client of `connection`. `None` when that fails; the client has been told then, if it listens.
pub(super) async fn shake_hands(connection: Connection) -> Option<Connection> {
    let service = Arc::clone(&connection.place.service());
    let side = service.tls.as_ref()?;
    let Connection { wire, mut peer, place, deadline, worker, count, room, known } = connection;
    deadline.set(worker.now() + side.settings.timeout);
    let mut shaking = pin!(tls::shake_hands(wire, side));
    let mut stopping = false;
    let shaken = poll_fn(|cx| {
        if let Poll::Ready(shaken) = shaking.as_mut().poll(cx) {
            return Poll::Ready(shaken);
        }
        shorten_for_stop(&place, &worker, &deadline, &mut stopping);
        deadline.poll(cx).map(|()| Err(Failed::Timeout))
    })
    .await;
    let (wire, failure) = match shaken {
        Ok((wire, facts)) => {
            service.handshakes.note(Ok(()));
            // Tickets are sent at once, and acknowledge the end of the handshake on their way.
            if !side.settings.session_tickets {
                wire.acknowledge();
            }
            Rc::make_mut(&mut peer).tls = Some(Rc::new(facts));
            return Some(Connection { wire, peer, place, deadline, worker, count, room, known });
        }
        Err(Failed::Timeout) => {
            service.handshakes.note(Err(HandshakeFailure::Timeout));
            return None;
        }
        Err(Failed::Silent) => return None,
        Err(Failed::With(wire, failure)) => (wire, failure),
    };
    service.handshakes.note(Err(failure));
    let connection = Connection { wire, peer, place, deadline, worker, count, room, known };
    let reject = Reject { status: 400, reason: "this port speaks TLS: use https://" };
    serve::refuse(connection, (failure == HandshakeFailure::PlainHttp).then_some(reject)).await;
    None
}
