//! Traced requests on their way to an OpenTelemetry collector: OTLP over HTTP, in protobuf.
//!
//! A thread of its own gathers what the data plane gives out and sends it in batches. A collector that is slow or gone
//! costs traces, which are counted and told of, and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use plimsoll_config::Trace;
use plimsoll_proxy::{Logs, TracedRequest};
use prost::Message;
use reqwest::header::CONTENT_TYPE;
use tokio::runtime::{Builder, Runtime};

use crate::console::say;

mod spans;

/// The most requests in one message: some hundred KiB.
const BATCH: usize = 512;

/// How long a request waits for others to be sent with.
const GATHER: Duration = Duration::from_secs(1);

/// How soon an end is noticed while nothing comes.
const LOOK: Duration = Duration::from_millis(200);

/// How long a collector has to take a batch. What comes meanwhile waits in the bounded queue of the data plane.
const PATIENCE: Duration = Duration::from_secs(5);

/// Failures are told at most this often.
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(10);

/// Sends traces from when they are first wanted: who wants none has no thread and no client for them.
pub(crate) struct Exporter {
    logs: Arc<Logs>,
    running: Mutex<Option<Running>>,
}

/// The thread that sends traces. It ends when this is dropped, after what has come already is sent.
struct Running {
    settings: Arc<Mutex<Option<Trace>>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// For the traces that come out of `logs`.
    pub(crate) fn new(logs: Arc<Logs>) -> Self {
        Self { logs, running: Mutex::default() }
    }

    /// Makes ready for traces, if `settings` want some; sends nothing yet.
    ///
    /// # Errors
    /// A thread that cannot be started, or a system without what TLS needs.
    pub(crate) fn prepare(&self, settings: Option<&Trace>) -> anyhow::Result<()> {
        let mut running = self.running();
        if settings.is_some() && running.is_none() {
            let traces = self.logs.traces().context("somebody else takes the traces")?;
            *running = Some(Running::start(traces)?);
        }
        Ok(())
    }

    /// Takes up other settings, from the next batch on.
    pub(crate) fn follow(&self, settings: Option<Trace>) {
        if let Some(running) = &*self.running() {
            running.follow(settings);
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Begins to take what comes out of `traces`; until there are settings it is thrown away.
    ///
    /// # Errors
    /// A thread that cannot be started, or a system without what TLS needs.
    fn start(traces: Receiver<TracedRequest>) -> anyhow::Result<Self> {
        let (settings, ending): (Arc<Mutex<Option<Trace>>>, _) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
        let sender = Sender {
            traces,
            settings: Arc::clone(&settings),
            ending: Arc::clone(&ending),
            client: client.context("no client for the collector of traces can be made")?,
            runtime: Builder::new_current_thread().enable_all().build().context("no runtime can be made")?,
            complained: None,
            lost: 0,
        };
        let thread = thread::Builder::new().name("traces".to_owned()).spawn(|| sender.run());
        let thread = thread.context("the thread that sends traces cannot be started")?;
        Ok(Self { settings, ending, thread: Some(thread) })
    }

    fn follow(&self, settings: Option<Trace>) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing left to send.
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct Sender {
    traces: Receiver<TracedRequest>,
    settings: Arc<Mutex<Option<Trace>>>,
    ending: Arc<AtomicBool>,
    client: reqwest::Client,
    runtime: Runtime,
    complained: Option<Instant>,
    /// Traced requests that no collector got, and that were not told of yet.
    lost: usize,
}

impl Sender {
    fn run(mut self) {
        loop {
            let ending = self.ending.load(Ordering::Acquire);
            let batch = self.gather(ending);
            if batch.is_empty() && ending {
                return;
            }
            let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (Some(settings), false) = (settings, batch.is_empty()) else { continue };
            if let Err(error) = self.send(&batch, &settings) {
                self.lost += batch.len();
                self.complain(&settings, &error);
                if ending {
                    // The next one would have to wait as long.
                    return;
                }
            }
        }
    }

    /// What comes within a while; at the end, what is there.
    fn gather(&self, ending: bool) -> Vec<TracedRequest> {
        if ending {
            return self.traces.try_iter().take(BATCH).collect();
        }
        let Ok(first) = self.traces.recv_timeout(LOOK) else { return Vec::new() };
        let (mut batch, until) = (vec![first], Instant::now() + GATHER);
        while batch.len() < BATCH && !self.ending.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            match self.traces.recv_timeout(left.min(LOOK)) {
                Ok(next) => batch.push(next),
                Err(_) if left.is_zero() => break,
                Err(_) => {}
            }
        }
        batch
    }

    fn send(&self, batch: &[TracedRequest], settings: &Trace) -> anyhow::Result<()> {
        let body = spans::message(batch, &settings.service_name).encode_to_vec();
        let request = self.client.post(&settings.endpoint).header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let response = self.runtime.block_on(async { request.send().await })?;
        if !response.status().is_success() {
            bail!("it answered {}", response.status());
        }
        Ok(())
    }

    fn complain(&mut self, settings: &Trace, error: &anyhow::Error) {
        if self.complained.is_some_and(|at| at.elapsed() < BETWEEN_COMPLAINTS) {
            return;
        }
        self.complained = Some(Instant::now());
        let lost = std::mem::take(&mut self.lost);
        say(format_args!("traces: {lost} requests could not be told to {}: {error:#}", settings.endpoint));
    }
}
