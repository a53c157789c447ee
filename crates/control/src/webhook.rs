//! Tells of events by HTTP, for those without Prometheus.
//!
//! Events wait in the journal's order; up to a hundred go at once. Each is told at least once: again when the answer got lost,
//! or when another receiver was configured while one was asked. What cannot be told after several tries is given up, and
//! so is the oldest when too many wait: both are counted, and the next that arrives says how many were lost. `hook` is
//! one receiver and how it is asked, `counts` what became of the events.

pub(crate) mod counts;
mod hook;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plimsoll_config::{Occasion, Webhook};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::api::{Event, EventKind};
use crate::journal::Happened;
use crate::shared::{Published, Shared};
use hook::{Failure, Hook};

/// Events told at once: some tens of kilobytes.
const AT_ONCE: usize = 100;

/// At the end there is one more try, which may take so long: a stop must not wait for a receiver that is gone.
const LAST_TRY: Duration = Duration::from_secs(1);

/// Tells of events as the configuration in force wants it, until `ended` says so.
pub(crate) async fn run(shared: Arc<Shared>, mut ended: watch::Receiver<bool>) {
    let mut configured = shared.subscribe();
    let mut teller = Teller::new(&shared);
    loop {
        let webhook = configured.borrow_and_update().config.webhook.clone();
        let follow = async {
            match &webhook {
                Some(webhook) => teller.tell(webhook).await,
                None => teller.tell_nobody().await,
            }
        };
        let other = |published: &Arc<Published>| published.config.webhook != webhook;
        tokio::select! {
            // In this order: an event that comes after a configuration is told as that wants it.
            biased;
            // An error means that nobody is left who could say so.
            _ = configured.wait_for(other) => {}
            _ = ended.wait_for(|ended| *ended) => {
                if let Some(webhook) = &webhook {
                    teller.tell_the_rest(webhook).await;
                }
                return;
            }
            () = follow => {}
        }
    }
}

/// Who tells.
struct Teller<'a> {
    shared: &'a Shared,
    waiting: VecDeque<Event>,
    /// The number of the last event that was looked at.
    seen: u64,
    /// Our own events, which are about the receiver: it is not told of them, or an outage would feed itself.
    own: Vec<u64>,
    /// Lost since the receiver last took something.
    lost: u64,
    /// Whether it was told that the receiver takes nothing.
    troubled: bool,
}

impl<'a> Teller<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self { shared, waiting: VecDeque::new(), seen: 0, own: Vec::new(), lost: 0, troubled: false }
    }

    /// Lets events pass.
    async fn tell_nobody(&mut self) {
        let mut last = self.shared.journal.last();
        self.waiting.clear();
        self.note_waiting();
        loop {
            self.seen = *last.borrow_and_update();
            self.own.clear();
            if last.changed().await.is_err() {
                return;
            }
        }
    }

    /// Tells one receiver, for as long as that is polled. What was under way when it is dropped waits on.
    async fn tell(&mut self, webhook: &Webhook) {
        let hook = Hook::new(webhook);
        let mut last = self.shared.journal.last();
        loop {
            last.borrow_and_update();
            self.collect(webhook);
            if self.waiting.is_empty() {
                if last.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let count = self.waiting.len().min(AT_ONCE);
            let batch: Vec<Event> = self.waiting.iter().take(count).cloned().collect();
            let counts = &self.shared.webhook;
            let told = hook.tell(&batch, self.lost, || {
                counts.failures.fetch_add(1, Ordering::Relaxed);
            });
            match told.await {
                Ok(()) => self.delivered(webhook, count),
                Err(failure) => self.gave_up(webhook, count, &failure),
            }
        }
    }

    /// One last try for what waits.
    async fn tell_the_rest(&mut self, webhook: &Webhook) {
        self.collect(webhook);
        let batch: Vec<Event> = self.waiting.iter().take(AT_ONCE).cloned().collect();
        if !batch.is_empty() {
            let hook = Hook::new(webhook);
            if let Ok(Ok(())) = timeout(LAST_TRY, hook.once(&batch, self.lost)).await {
                self.delivered(webhook, batch.len());
            }
        }
    }

    /// Takes up what happened since the last time, and drops the oldest of what is too much.
    fn collect(&mut self, webhook: &Webhook) {
        for event in self.shared.journal.since(self.seen, usize::MAX) {
            self.seen = event.number;
            let own = self.own.contains(&event.number);
            if !own && webhook.events.contains(&occasion(event.kind)) {
                self.waiting.push_back(event);
            }
        }
        self.own.retain(|number| *number > self.seen);
        let excess = self.waiting.len().saturating_sub(webhook.queue);
        self.drop_first(excess);
        self.note_waiting();
    }

    fn delivered(&mut self, webhook: &Webhook, count: usize) {
        self.waiting.drain(..count);
        self.note_waiting();
        self.shared.webhook.delivered.fetch_add(count as u64, Ordering::Relaxed);
        let lost = std::mem::take(&mut self.lost);
        if std::mem::take(&mut self.troubled) {
            let host = webhook.host();
            self.note(format!("webhook: {host} takes events again; {lost} were lost"));
        }
    }

    fn gave_up(&mut self, webhook: &Webhook, count: usize, failure: &Failure) {
        self.drop_first(count);
        self.note_waiting();
        if !std::mem::replace(&mut self.troubled, true) {
            let host = webhook.host();
            let counted = if count == 1 { "an event".to_owned() } else { format!("{count} events") };
            self.note(format!("webhook: {host} could not be told of {counted}: {failure}"));
        }
    }

    fn drop_first(&mut self, count: usize) {
        self.waiting.drain(..count);
        self.lost += count as u64;
        self.shared.webhook.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn note(&mut self, message: String) {
        self.own.push(self.shared.journal.add(Happened::new(EventKind::Warning, message)));
    }

    fn note_waiting(&self) {
        self.shared.webhook.waiting.store(self.waiting.len() as u64, Ordering::Relaxed);
    }
}

/// What the configuration calls it.
fn occasion(kind: EventKind) -> Occasion {
    match kind {
        EventKind::Health => Occasion::Health,
        EventKind::Refused => Occasion::Refused,
        EventKind::Edit => Occasion::Edit,
        EventKind::Reload => Occasion::Reload,
        EventKind::ReloadRefused => Occasion::ReloadRefused,
        EventKind::Rebalance => Occasion::Rebalance,
        EventKind::Warning => Occasion::Warning,
    }
}
