//! The thread that asks the admin API: each second how things are, and in between what keys want.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_control::api::{Changed, Event, Explanation, Pool, ServerPatch, Status};
use reqwest::Method;

use crate::remote::client::Client;
use crate::remote::text::visible;
use crate::remote::trouble::Trouble;

/// How often things are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The most that keys may want before the first of it is done.
const MOST_ASKS: usize = 16;

/// The most events that are asked for at once: more than are shown.
const EVENTS: &str = "50";

/// What keys want.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ask {
    /// To see this pool from now on.
    Pool(String),
    /// New settings of a server.
    Set { pool: String, server: String, patch: ServerPatch },
    /// Why that server?
    Explain(String),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Told {
    /// How things are.
    Look(Box<Look>),
    /// Nobody answers, and why.
    Lost(String),
    /// What was asked for is done.
    Done(String),
    /// What was asked for cannot be.
    Failed(String),
    /// Why that server.
    Explained(Box<Explanation>),
}

/// How things are.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) status: Status,
    /// The pool that is shown, with its servers.
    pub(super) pool: Option<Pool>,
    /// What happened since the last look.
    pub(super) events: Vec<Event>,
}

/// The thread, and the ways to it.
#[derive(Debug)]
pub(super) struct Feed {
    asks: SyncSender<Ask>,
    told: Receiver<Told>,
}

impl Feed {
    /// Starts asking about `pool`, or about the first there is. It ends when this is dropped, or with the process.
    pub(super) fn start(client: Client, pool: Option<String>) -> io::Result<Self> {
        let (asks, asked) = sync_channel(MOST_ASKS);
        // A screen that is held up, by Ctrl-S say, holds up the looks too: none are heaped up for it.
        let (tell, told) = sync_channel(1);
        let mut asker = Asker { client, pool, process: String::new(), seen: 0 };
        thread::Builder::new().name("feed".to_owned()).spawn(move || asker.run(&asked, &tell))?;
        Ok(Self { asks, told })
    }

    /// Asks for something; what comes of it is told later. False when too much has been asked for already.
    pub(super) fn ask(&self, ask: Ask) -> bool {
        self.asks.try_send(ask).is_ok()
    }

    /// What is new; `None` when nothing is.
    ///
    /// # Errors
    /// The thread has ended.
    pub(super) fn told(&self) -> Result<Option<Told>, TryRecvError> {
        match self.told.try_recv() {
            Ok(told) => Ok(Some(told)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

struct Asker {
    client: Client,
    pool: Option<String>,
    /// When the process that answers was started, which tells one from the next.
    process: String,
    /// The number of the last event that was told.
    seen: u64,
}

impl Asker {
    fn run(&mut self, asked: &Receiver<Ask>, tell: &SyncSender<Told>) {
        loop {
            let started = Instant::now();
            let told = match self.look() {
                Ok(look) => Told::Look(Box::new(look)),
                Err(trouble) => Told::Lost(first_line(&trouble)),
            };
            if tell.send(told).is_err() {
                return;
            }
            match asked.recv_timeout(LOOK.saturating_sub(started.elapsed())) {
                Ok(ask) => {
                    if self.answer(ask).is_some_and(|told| tell.send(told).is_err()) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&mut self) -> Result<Look, Trouble> {
        let status = self.client.status()?;
        if status.started != self.process {
            self.process.clone_from(&status.started);
            self.seen = 0;
        }
        let known = self.pool.as_ref().filter(|wanted| status.pools.iter().any(|pool| pool.name == **wanted));
        let wanted = known.or(status.pools.first().map(|pool| &pool.name)).cloned();
        let pool = match &wanted {
            Some(pool) => Some(self.client.get(self.client.at(["pools", pool]))?),
            None => None,
        };
        self.pool = wanted;
        let mut url = self.client.at(["events"]);
        url.query_pairs_mut().append_pair("after", &self.seen.to_string()).append_pair("limit", EVENTS);
        let events: Vec<Event> = self.client.get(url)?;
        self.seen = events.iter().map(|event| event.number).fold(self.seen, u64::max);
        Ok(Look { status, pool, events })
    }

    fn answer(&mut self, ask: Ask) -> Option<Told> {
        match ask {
            Ask::Pool(pool) => {
                self.pool = Some(pool);
                None
            }
            Ask::Set { pool, server, patch } => {
                let url = self.client.at(["pools", &pool, "servers", &server]);
                let title = visible(&format!("{pool}/{server}"));
                Some(match self.client.ask::<Changed>(Method::PATCH, url, Some(&patch)) {
                    Ok(changed) => Told::Done(format!("{title}: done, as configuration {}", changed.generation)),
                    Err(trouble) => Told::Failed(format!("{title}: {}", first_line(&trouble))),
                })
            }
            Ask::Explain(pool) => {
                let explained = self.client.get(self.client.at(["pools", &pool, "explain"]));
                Some(match explained {
                    Ok(explanation) => Told::Explained(Box::new(explanation)),
                    Err(trouble) => Told::Failed(first_line(&trouble)),
                })
            }
        }
    }
}

/// What fits a line of the screen.
fn first_line(trouble: &Trouble) -> String {
    trouble.to_string().lines().next().unwrap_or_default().to_owned()
}
