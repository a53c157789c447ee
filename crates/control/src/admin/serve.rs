//! Accepts connections at every open door, serves them, and ends them in good order.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};

use super::desk::Desk;
use super::door::{Door, Listener};
use super::guard::Via;
use super::patience::Patient;
use super::routes;
use crate::api::EventKind;
use crate::journal::Happened;
use crate::shared::Shared;

/// Connections at once at one door. Each door has its own, so that nobody on the network can keep an operator out who
/// comes by the socket.
const CONNECTIONS: usize = 128;

/// For the head of a request, and between two requests.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// For a TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// The largest head: what browsers send with many cookies for `localhost` fits.
const LARGEST_HEAD: usize = 64 * 1024;

/// The most fields of a head.
const MOST_FIELDS: usize = 100;

/// How long answers under way may take once a door closes.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long to wait when the system has no descriptor left for another connection.
const BREATH: Duration = Duration::from_millis(200);

/// A door with somebody at it, who leaves when this is dropped.
struct Attended {
    door: Arc<Door>,
    _leave: watch::Sender<()>,
}

/// What a connection needs beside itself.
#[derive(Clone)]
struct Hall {
    router: Router,
    shared: Arc<Shared>,
    closing: watch::Receiver<()>,
    /// Tells who waits for the last connection that this one is still there.
    present: mpsc::Sender<()>,
}

/// Serves every door there is, as the configuration says, until `ended` does; then closes all of them.
pub(crate) async fn serve(shared: Arc<Shared>, mut ended: watch::Receiver<bool>) {
    let router = routes::router(Desk::new(Arc::clone(&shared), ended.clone()));
    let (present, mut all_gone) = mpsc::channel::<()>(1);
    let mut setups = shared.gate.subscribe();
    let mut attended: Vec<Attended> = Vec::new();
    loop {
        let doors = setups.borrow_and_update().doors.clone();
        attended.retain(|one| doors.iter().any(|door| Arc::ptr_eq(door, &one.door)));
        for door in doors {
            if !attended.iter().any(|one| Arc::ptr_eq(&door, &one.door)) {
                let (leave, closing) = watch::channel(());
                let (router, shared) = (router.clone(), Arc::clone(&shared));
                let hall = Hall { router, shared, closing, present: present.clone() };
                tokio::task::spawn_local(attend(Arc::clone(&door), hall));
                attended.push(Attended { door, _leave: leave });
            }
        }
        tokio::select! {
            changed = setups.changed() => if changed.is_err() { break },
            _ = ended.wait_for(|ended| *ended) => break,
        }
    }
    drop((attended, present));
    shared.gate.close();
    // Nothing is ever sent: it ends when the last connection has.
    let _ = timeout(LAST_WORDS, all_gone.recv()).await;
}

/// Accepts connections until the door closes.
async fn attend(door: Arc<Door>, hall: Hall) {
    let mut closing = hall.closing.clone();
    let accepting = async {
        let failed = match &door.listener {
            Listener::Tcp(listener) => accept_tcp(listener.try_clone(), &door, &hall).await,
            Listener::Unix { listener, .. } => accept_unix(listener.try_clone(), &hall).await,
        };
        if let Err(error) = failed {
            let message = format!("the admin API is not served at {}: {error}", door.bound);
            hall.shared.journal.add(Happened::new(EventKind::Warning, message));
        }
    };
    tokio::select! {
        () = accepting => {}
        // It never changes: an error means that the door closes.
        _ = closing.changed() => {}
    }
}

async fn accept_tcp(listener: io::Result<std::net::TcpListener>, door: &Door, hall: &Hall) -> io::Result<()> {
    let listener = TcpListener::from_std(listener?)?;
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // Never closed, so there is always a permit to come.
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let Ok((stream, peer)) = listener.accept().await else {
            sleep(BREATH).await;
            continue;
        };
        let Ok(local) = stream.local_addr() else { continue };
        let setup = hall.shared.gate.setup();
        let via =
            Via { address: Some(canonical(local.ip())), peer: Some(canonical(peer.ip())), open: !door.is_local() };
        // An answer is small and waited for.
        let _ = stream.set_nodelay(true);
        let hall = hall.clone();
        tokio::task::spawn_local(async move {
            match &setup.tls {
                None => talk(stream, via, hall).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
                        talk(stream, via, hall).await;
                    }
                }
            }
            drop(place);
        });
    }
    Ok(())
}

async fn accept_unix(listener: io::Result<std::os::unix::net::UnixListener>, hall: &Hall) -> io::Result<()> {
    let listener = UnixListener::from_std(listener?)?;
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(BREATH).await;
            continue;
        };
        let hall = hall.clone();
        tokio::task::spawn_local(async move {
            talk(stream, Via { address: None, peer: None, open: false }, hall).await;
            drop(place);
        });
    }
    Ok(())
}

/// IPv4 that came by a socket for both is IPv4.
fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Serves one connection until it ends, or until the door closes and its answer is given.
async fn talk<S>(stream: S, via: Via, hall: Hall)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Hall { router, mut closing, present, .. } = hall;
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(via.clone());
        router.call(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(LARGEST_HEAD)
        .max_headers(MOST_FIELDS)
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    let mut connection = pin!(connection);
    let over = tokio::select! {
        // How it ended is of no use to anybody: who asked is gone.
        _ = connection.as_mut() => true,
        _ = closing.changed() => false,
    };
    if !over {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(LAST_WORDS, connection).await;
    }
    drop(present);
}
