//! What runs on the thread of control.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::admin;
use crate::alarm::Alarm;
use crate::api::EventKind;
use crate::certificates;
use crate::file_watch::FileWatch;
use crate::journal::Happened;
use crate::observer::{self, Observer};
use crate::shared::Shared;
use crate::webhook;

/// How often a watched file is looked at.
const FILE_LOOK: Duration = Duration::from_secs(1);

/// How often a sample is taken of what the pools do.
const SAMPLE: Duration = Duration::from_secs(1);

/// Runs until `ended` says so.
pub(crate) async fn run(shared: Arc<Shared>, watch: Option<FileWatch>, mut ended: watch::Receiver<bool>) {
    let observing = tokio::task::spawn_local(observe(Arc::clone(&shared), ended.clone()));
    let serving = tokio::task::spawn_local(admin::serve(Arc::clone(&shared), ended.clone()));
    let (all_told, to_tell) = watch::channel(false);
    let telling = tokio::task::spawn_local(webhook::run(Arc::clone(&shared), to_tell));
    tokio::task::spawn_local(certificates::follow(Arc::clone(&shared)));
    let sampling = tokio::task::spawn_local(sample(Arc::clone(&shared)));
    if let Some(watch) = watch {
        tokio::task::spawn_local(follow(Arc::clone(&shared), watch));
    }
    // An error means that nobody is left who could say so.
    let _ = ended.wait_for(|ended| *ended).await;
    let _ = tokio::join!(observing, serving);
    // Last, since the observer's last look may have found something to tell.
    all_told.send_replace(true);
    let _ = telling.await;
    sampling.abort();
}

async fn sample(shared: Arc<Shared>) {
    let mut samples = interval(SAMPLE);
    samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alarm = Alarm::default();
    loop {
        samples.tick().await;
        let (plane, now) = (shared.plane.stats(), shared.plane.now());
        shared.samples.take(&shared.pools, &plane, now);
        alarm.look(&plane, shared.samples.permits().apart, &shared.journal);
        if let Some(trouble) = shared.plane.trouble() {
            shared.journal.add(Happened::new(EventKind::Warning, trouble));
        }
    }
}

async fn observe(shared: Arc<Shared>, ended: watch::Receiver<bool>) {
    let mut observer = Observer::default();
    let mut looks = interval(observer::LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let last = *ended.borrow();
        observer.look(&shared.pools, &shared.journal, shared.plane.now(), last);
        if last {
            return;
        }
        looks.tick().await;
    }
}

/// Reloads when the file has changed.
async fn follow(shared: Arc<Shared>, mut watch: FileWatch) {
    let mut looks = interval(FILE_LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if watch.has_changed() {
            let shared = Arc::clone(&shared);
            // What came of it is in the journal.
            let _ = tokio::task::spawn_blocking(move || shared.reload()).await;
        }
    }
}
