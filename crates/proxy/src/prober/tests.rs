//! The prober over real sockets.

mod answers;
mod cost;
mod pace;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;

use plimsoll_config::Probe;
use plimsoll_core::{Initial, Pool, PoolRules, PoolSpec, ProbeRule, ServerSpec};

use super::*;

/// Outer limit of every wait; nothing here takes long.
const LIMIT: Duration = Duration::from_secs(30);

/// The probe that a file asks for with these settings.
pub(super) fn rule(settings: &str) -> Probe {
    let protocol = if settings.contains("grpc") { "protocol = \"http2\"" } else { "" };
    let text = format!(
        "[listen.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n\
         [pool.app]\nservers = [\"127.0.0.1:1\"]\nprobe = {{ {settings} }}\n{protocol}\n"
    );
    let config = plimsoll_config::parse("test", &text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    config.pools[0].probe.clone().unwrap()
}

/// A pool of servers at these addresses, each taken down by its first failure.
fn pool(addresses: impl IntoIterator<Item = SocketAddr>) -> Pool {
    let named = addresses.into_iter().enumerate();
    let servers = named.map(|(number, address)| ServerSpec::new(format!("s{number}"), address)).collect();
    let probe = Some(ProbeRule { fall: NonZeroU32::MIN, rise: NonZeroU32::MIN, initial: Initial::Ready });
    let rules = PoolRules { probe, ..PoolRules::default() };
    Pool::new("app", PoolSpec { servers, rules, ..PoolSpec::default() }, Time::ZERO)
}

/// The servers of such a pool.
fn servers(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<Arc<Server>> {
    pool(addresses).servers()
}

/// All of these, probed like this.
fn targets(servers: &[Arc<Server>], probe: &Probe) -> Vec<Target> {
    let probe = Arc::new(probe.clone());
    let target = |server: &Arc<Server>| Target {
        server: Arc::clone(server),
        host: server.addresses()[0].to_string(),
        probe: Arc::clone(&probe),
        tls: None,
        greeting: None,
        http2: false,
    };
    servers.iter().map(target).collect()
}

/// A server that runs `script` for each connection, on a thread of its own.
fn serve(script: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (script, Ok(stream)) = (Arc::clone(&script), stream) else { return };
            thread::spawn(move || script(stream));
        }
    });
    address
}

/// The head of the request that comes over `stream`; what there was of it when the client has gone.
fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Writes until the client has gone.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

/// Waits until the client has gone.
fn wait_for_end(stream: &mut TcpStream) {
    while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
}

/// A prober and its results, each with the name of the server.
struct Probing {
    prober: Prober,
    results: mpsc::Receiver<(String, ProbeResult)>,
}

impl Probing {
    fn start(targets: Vec<Target>) -> Self {
        let (report, results) = mpsc::channel();
        let judge = move |server: &Server, result| {
            // Whoever has seen enough no longer listens.
            let _ = report.send((server.id().name().to_owned(), result));
        };
        let prober = Prober::start(judge).unwrap();
        prober.replace(targets);
        Self { prober, results }
    }

    fn next(&self) -> (String, ProbeResult) {
        self.results.recv_timeout(LIMIT).unwrap()
    }
}

/// What a probe of the server at `address` finds.
fn first(address: SocketAddr, settings: &str) -> ProbeResult {
    // A busy machine may keep a server of a test waiting for longer than the two seconds of the default.
    let patience = if settings.contains("timeout") { "" } else { ", timeout = \"20s\"" };
    let settings = format!("{settings}, interval = \"100ms\"{patience}");
    let probing = Probing::start(targets(&servers([address]), &rule(&settings)));
    let (_, finding) = probing.next();
    probing.prober.stop();
    finding
}
