//! Many clients that ask again and again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Client, Program, Response, get, until};

/// Clients under way, each of which sends its next request once it has the answer to the one before.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Vec<Seen>>>,
}

#[derive(Default)]
struct Shared {
    answered: AtomicUsize,
    stop: AtomicBool,
}

/// What became of one request.
#[derive(Debug)]
pub(crate) struct Seen {
    /// 0 where no whole response came.
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) retry_after: bool,
    pub(crate) took: Duration,
}

impl Load {
    /// So many clients that send GETs on connections of their own, one of them broken off giving way to the next.
    pub(crate) fn start(program: &Program, clients: usize) -> Self {
        let (shared, address) = (Arc::<Shared>::default(), program.address());
        let client = |_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || ask_on(address, &shared))
        };
        let clients = (0..clients).map(client).collect();
        Self { shared, clients }
    }

    /// Waits for so many more answers.
    #[track_caller]
    pub(crate) fn await_more(&self, count: usize) {
        let goal = self.answered() + count;
        until("there are so many more answers", || self.answered() >= goal);
    }

    /// How many answers there have been.
    pub(crate) fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// Ends the load once what is under way is answered. Returns what became of all requests, client by client.
    pub(crate) fn stop(self) -> Vec<Seen> {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    }
}

fn ask_on(address: SocketAddr, shared: &Shared) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut client = None;
    while !shared.stop.load(Ordering::SeqCst) {
        let since = Instant::now();
        let asked: &mut Client = client.get_or_insert_with(|| Client::connect(address));
        let sent = asked.try_send(get("/"));
        let response = if sent { asked.try_response(false).ok() } else { None };
        let goes_on = response.as_ref().is_some_and(|response| response.field("connection") != Some("close"));
        seen.push(Seen::new(response.as_ref(), since.elapsed()));
        shared.answered.fetch_add(1, Ordering::SeqCst);
        if !goes_on {
            client = None;
        }
    }
    seen
}

impl Seen {
    fn new(response: Option<&Response>, took: Duration) -> Self {
        Self {
            status: response.map_or(0, |response| response.status),
            body: response.map_or_else(String::new, Response::text),
            retry_after: response.is_some_and(|response| response.field("retry-after").is_some()),
            took,
        }
    }
}

/// How many of these have this status.
pub(crate) fn with_status(seen: &[Seen], status: u16) -> usize {
    seen.iter().filter(|seen| seen.status == status).count()
}
