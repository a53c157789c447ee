//! Three tiny HTTP/1.1 servers of unequal speed and weight, in a thread of their own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::messages::Head;

/// What a server is like.
#[derive(Clone, Copy)]
struct Character {
    name: &'static str,
    weight: u16,
    /// How long it works on a request, on average.
    mean: Duration,
}

/// Each works half as fast as the one before it, and its weight says so. Slow enough that a hundred requests a
/// second leave a handful in flight to look at.
const CHARACTERS: [Character; 3] = [
    Character { name: "fast", weight: 4, mean: Duration::from_millis(60) },
    Character { name: "middle", weight: 2, mean: Duration::from_millis(120) },
    Character { name: "slow", weight: 1, mean: Duration::from_millis(240) },
];

/// The longest work, in means: one draw in fifty would be longer.
const LONGEST: f64 = 4.0;

/// How long accepting rests when the process has no descriptors left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// The servers; they end when this is dropped.
pub(super) struct Servers {
    addresses: Vec<(Character, SocketAddr)>,
    _alive: oneshot::Sender<()>,
}

impl Servers {
    /// Starts all of them, each on a free port of this machine.
    pub(super) fn start() -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("the servers of the demo cannot be started")?;
        let addresses = bind(&runtime).context("the servers of the demo cannot listen")?;
        let (alive, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("servers".to_owned())
            .spawn(move || runtime.block_on(ended))
            .context("a thread cannot be started")?;
        Ok(Self { addresses, _alive: alive })
    }

    /// The servers as `serve --to` takes them.
    pub(super) fn as_arguments(&self) -> Vec<String> {
        let argument = |(server, address): &(Character, SocketAddr)| {
            format!("{address},name={},weight={}", server.name, server.weight)
        };
        self.addresses.iter().map(argument).collect()
    }
}

fn bind(runtime: &Runtime) -> io::Result<Vec<(Character, SocketAddr)>> {
    let one = |server: Character| {
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        runtime.spawn(accept(listener, server));
        Ok((server, address))
    };
    CHARACTERS.into_iter().map(one).collect()
}

async fn accept(listener: TcpListener, server: Character) {
    loop {
        match listener.accept().await {
            // A connection that fails is the balancer's to notice.
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, server))),
            Err(_) => sleep(EXHAUSTED_PAUSE).await,
        }
    }
}

async fn serve(stream: TcpStream, server: Character) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(head) = Head::read(&mut stream).await? {
        let began = Instant::now();
        let body_read = head.skip_body(&mut stream).await;
        let last = body_read.is_err() || head.closes();
        sleep(work(server.mean)).await;
        let answer = match body_read {
            Ok(()) => answer(&head, server, began.elapsed()),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => LENGTH_REQUIRED.to_owned(),
            Err(error) => return Err(error),
        };
        stream.write_all(answer.as_bytes()).await?;
        if last {
            break;
        }
    }
    stream.shutdown().await
}

const LENGTH_REQUIRED: &str = "HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// How long the next request takes: exponentially distributed, as the work of real servers is nearer to that than to
/// a constant.
fn work(mean: Duration) -> Duration {
    let uniform = fastrand::f64();
    mean.mul_f64((-(1.0 - uniform).ln()).min(LONGEST))
}

fn answer(head: &Head, server: Character, took: Duration) -> String {
    let body = format!(
        "Hello from `{}`, which has weight {} and worked {} ms on this.\n",
        server.name,
        server.weight,
        took.as_millis()
    );
    let sent = if head.first_line().starts_with("HEAD ") { "" } else { &body };
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{sent}", body.len())
}
