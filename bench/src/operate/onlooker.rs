//! Somebody who watches a proxy: an open dashboard, or what its peers have like that.

use std::io::{BufRead, BufReader};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, bail};

use super::desk::Desk;
use crate::proxies::Name;

/// How often the dashboard asks for its charts: by their step.
const CHARTS_EVERY: Duration = Duration::from_secs(5);

/// How often a page of statistics is fetched, which is how often Plimsoll's stream speaks.
const PAGE_EVERY: Duration = Duration::from_secs(1);

/// Watches from its making until it is closed.
pub(super) struct Onlooker {
    /// Its end ends the fetching.
    end: Sender<()>,
    fetching: JoinHandle<anyhow::Result<()>>,
    listening: Option<Listening>,
    seen: Arc<AtomicU64>,
}

/// The reading of a stream.
struct Listening {
    stream: TcpStream,
    thread: JoinHandle<()>,
}

impl Onlooker {
    /// Opens what there is to be watched of that proxy.
    pub(super) fn open(proxy: Name, desk: Desk) -> anyhow::Result<Self> {
        let seen = Arc::new(AtomicU64::new(0));
        let (page, every) = match proxy {
            Name::Plimsoll => ("/api/v1/pools/app/history?servers=12", CHARTS_EVERY),
            Name::Nginx => ("/status", PAGE_EVERY),
            Name::Haproxy => ("/stats;csv", PAGE_EVERY),
        };
        let listening = (proxy == Name::Plimsoll).then(|| Listening::to(desk, Arc::clone(&seen))).transpose()?;
        let (end, ended) = channel::<()>();
        let counted = listening.is_none().then(|| Arc::clone(&seen));
        let fetching = thread::spawn(move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let status = desk.ask("GET", page, "")?.status;
                if status != 200 {
                    bail!("{page} was answered with {status}");
                }
                if let Some(seen) = &counted {
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        });
        Ok(Self { end, fetching, listening, seen })
    }

    /// Ends it; gives how often it was told of the servers. An error when something could not be had.
    pub(super) fn close(self) -> anyhow::Result<u64> {
        drop(self.end);
        if let Some(Listening { stream, thread }) = self.listening {
            if thread.is_finished() {
                bail!("the stream of the dashboard ended by itself");
            }
            stream.shutdown(Shutdown::Both)?;
            thread.join().ok().context("the reading of the stream panicked")?;
        }
        self.fetching.join().ok().context("the fetching panicked")??;
        Ok(self.seen.load(Ordering::Relaxed))
    }
}

impl Listening {
    /// To the stream of status, pool and events that the dashboard shows; counts what it says of the pool.
    fn to(desk: Desk, seen: Arc<AtomicU64>) -> anyhow::Result<Self> {
        let stream = desk.say("GET", "/api/v1/stream?pool=app", "")?;
        let lines = BufReader::new(stream.try_clone()?).lines();
        let thread = thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                seen.fetch_add(u64::from(line == "event: pool"), Ordering::Relaxed);
            }
        });
        Ok(Self { stream, thread })
    }
}
