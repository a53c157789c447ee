//! A server over TLS for the tests: HTTP/1.1 goes on to an origin, HTTP/2 is answered as the test wants it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{Request, Response};
use rcgen::{CertifiedKey, KeyPair};
use rustls::HandshakeKind;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificate::{self, Trust};
use crate::load::Target;

/// What requests of HTTP/2 get.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// As many bytes as the path says; the first requests of a connection only when that many have come.
    Asked { together: usize },
    /// This status and length for that many bytes.
    Other { status: u16, length: Option<u64>, body: &'static [u8] },
}

/// A server on a thread of its own; ends when dropped.
pub(super) struct Server {
    pub(super) target: Target,
    pub(super) seen: Arc<Seen>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What came.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) handshakes: Mutex<Vec<Option<HandshakeKind>>>,
    pub(super) requests: AtomicU64,
}

impl Server {
    /// Sends what comes in HTTP/1.1 to that origin.
    pub(super) fn before(origin: SocketAddr) -> Self {
        Self::start(Some(origin), Answer::Asked { together: 1 })
    }

    /// Answers what comes in HTTP/2.
    pub(super) fn answering(answer: Answer) -> Self {
        Self::start(None, answer)
    }

    fn start(origin: Option<SocketAddr>, answer: Answer) -> Self {
        let pair = certificate::self_signed().expect("a certificate");
        let trust = Trust::in_one(pair.cert.der()).expect("a certificate to trust in");
        let acceptor = TlsAcceptor::from(Arc::new(config(&pair)));
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("its address");
        let (stop, stopped) = oneshot::channel();
        let seen = Arc::new(Seen::default());
        let told = Arc::clone(&seen);
        let thread = thread::spawn(move || {
            let runtime = super::http2::runtime().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = serve(listener, acceptor, origin, (told, answer)) => {}
                    _ = stopped => {}
                }
            });
        });
        let target = Target { address, trust: Some(trust) };
        Self { target, seen, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends by this going away, and all its connections with it.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server's thread");
        }
    }
}

/// With tickets and a store of sessions, so that a client could resume.
fn config(pair: &CertifiedKey<KeyPair>) -> rustls::ServerConfig {
    let key = PrivatePkcs8KeyDer::from(pair.signing_key.serialize_der());
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![pair.cert.der().clone()], key.into()))
        .expect("a configuration");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    origin: Option<SocketAddr>,
    (seen, answer): (Arc<Seen>, Answer),
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            // A client that refuses the certificate ends here.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let session = stream.get_ref().1;
            seen.handshakes.lock().expect("nobody panicked").push(session.handshake_kind());
            if session.alpn_protocol() == Some(b"h2") {
                serve_http2(stream, answer, &seen).await;
            } else if let Some(origin) = origin {
                pass_on(stream, origin).await;
            }
        });
    }
}

/// How it ends is what the client's tally tells.
async fn pass_on(mut client: TlsStream<TcpStream>, origin: SocketAddr) {
    let mut origin = TcpStream::connect(origin).await.expect("an origin");
    tokio::io::copy_bidirectional(&mut client, &mut origin).await.ok();
}

async fn serve_http2(stream: TlsStream<TcpStream>, answer: Answer, seen: &Seen) {
    let mut connection = h2::server::handshake(stream).await.expect("a handshake");
    let mut held = Vec::new();
    let mut hold = if let Answer::Asked { together } = answer { together } else { 1 };
    // An error is the client going away.
    while let Some(Ok(request)) = connection.accept().await {
        seen.requests.fetch_add(1, Ordering::Relaxed);
        held.push(request);
        if held.len() >= hold {
            hold = 1;
            held.drain(..).for_each(|(request, respond)| respond_to(&request, respond, answer));
        }
    }
}

fn respond_to<T>(request: &Request<T>, mut respond: SendResponse<Bytes>, answer: Answer) {
    let (status, length, body) = match answer {
        Answer::Asked { .. } => {
            let length = request.uri().path()[1..].parse().expect("a length");
            (200, Some(length), Bytes::from(vec![b'x'; length as usize]))
        }
        Answer::Other { status, length, body } => (status, length, Bytes::from_static(body)),
    };
    let mut head = Response::builder().status(status);
    if let Some(length) = length {
        head = head.header("content-length", length);
    }
    let head = head.body(()).expect("a head");
    // A client that has stopped listening is told nothing more.
    if let Ok(mut stream) = respond.send_response(head, false) {
        stream.send_data(body, true).ok();
    }
}
