//! A gentle, steady load: requests at a fixed rate through the balancer, however fast they are answered.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::messages::Head;

/// The most requests under way: past it the machine cannot keep up, and more would only pile up. Each takes two
/// sockets before the balancer and two behind it, all of this process, so that they stay below 1024, the usual limit.
const MOST_UNDER_WAY: usize = 200;

/// How long the requests still under way have at the end. None works longer than a second.
const PATIENCE: Duration = Duration::from_secs(5);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: demo\r\nUser-Agent: plimsoll-demo\r\n\r\n";

/// The load under way.
pub(super) struct Load {
    shared: Arc<Shared>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// How the requests went so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Answered with 200.
    pub(super) answered: u64,
    /// Answered otherwise, or not at all.
    pub(super) failed: u64,
}

#[derive(Default)]
struct Shared {
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Load {
    /// Starts `rate` requests a second to `address`, in a thread of its own.
    pub(super) fn start(address: SocketAddr, rate: u32) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("the load of the demo cannot be started")?;
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::new(Shared::default());
        let counted = Arc::clone(&shared);
        let drive = move || {
            let client = Rc::new(Client { address, shared: counted, idle: RefCell::default() });
            LocalSet::new().block_on(&runtime, drive(&client, rate, stopped));
        };
        let thread = thread::Builder::new().name("load".to_owned()).spawn(drive);
        let thread = thread.context("a thread cannot be started")?;
        Ok(Self { shared, stop, thread })
    }

    /// How the requests went so far.
    pub(super) fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Sends no more, waits for the answers under way and says how all went.
    pub(super) fn stop(self) -> Counts {
        // The thread waits for nothing but this, and has nothing to tell when it ends.
        let _ = self.stop.send(());
        let _ = self.thread.join();
        self.shared.counts()
    }
}

impl Shared {
    fn counts(&self) -> Counts {
        Counts { answered: self.answered.load(Ordering::Relaxed), failed: self.failed.load(Ordering::Relaxed) }
    }
}

/// Sends until told to stop, then waits for what is under way.
async fn drive(client: &Rc<Client>, rate: u32, mut stopped: oneshot::Receiver<()>) {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            _ = ticks.tick() => {}
        }
        while under_way.try_join_next().is_some() {}
        if under_way.len() < MOST_UNDER_WAY {
            under_way.spawn_local(Rc::clone(client).count_one());
        }
    }
    let all = async { while under_way.join_next().await.is_some() {} };
    // What has no answer by then is cut off with the runtime.
    let _ = timeout(PATIENCE, all).await;
}

/// The one client that sends all requests, each on a connection of its own while it lasts.
struct Client {
    address: SocketAddr,
    shared: Arc<Shared>,
    idle: RefCell<Vec<BufReader<TcpStream>>>,
}

impl Client {
    async fn count_one(self: Rc<Self>) {
        let count = match self.request().await {
            Ok(()) => &self.shared.answered,
            Err(_) => &self.shared.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// One request on an idle connection. The balancer may have closed it meanwhile, so that a new one gets a try.
    async fn request(&self) -> io::Result<()> {
        let idle = self.idle.borrow_mut().pop();
        if let Some(stream) = idle
            && self.exchange(stream).await.is_ok()
        {
            return Ok(());
        }
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        self.exchange(BufReader::new(stream)).await
    }

    async fn exchange(&self, mut stream: BufReader<TcpStream>) -> io::Result<()> {
        stream.write_all(REQUEST).await?;
        let head = Head::read(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        head.skip_body(&mut stream).await?;
        if !head.closes() {
            self.idle.borrow_mut().push(stream);
        }
        match head.first_line().split(' ').nth(1) {
            Some("200") => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
