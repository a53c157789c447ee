//! Certificates come to their end, and new ones are put in their files: both are looked at while all goes on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::api::EventKind;
use crate::file_watch::FilesWatch;
use crate::journal::Happened;
use crate::shared::Shared;

/// How often the files are looked at. A change is taken up after two looks at most.
const LOOK: Duration = Duration::from_secs(2);

/// How often it is looked whether a certificate comes to its end.
const WARN: Duration = Duration::from_secs(3600);

/// Takes up new certificates, and warns of old ones, as long as control runs.
pub(crate) async fn follow(shared: Arc<Shared>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watched = (0, FilesWatch::new(Vec::new()));
    let mut warned = Instant::now();
    // What holds at the start has been told then.
    let mut told: HashSet<String> = warnings(&shared).await.into_iter().collect();
    loop {
        looks.tick().await;
        let published = shared.published();
        if watched.0 != published.generation {
            watched = (published.generation, FilesWatch::new(published.config.certificate_files()));
        }
        if watched.1.has_changed() {
            let shared = Arc::clone(&shared);
            // What came of it is in the journal.
            let _ = tokio::task::spawn_blocking(move || shared.renew_certificates()).await;
        }
        if warned.elapsed() >= WARN {
            warned = Instant::now();
            let now = warnings(&shared).await;
            for new in now.iter().filter(|warning| !told.contains(*warning)) {
                shared.journal.add(Happened::new(EventKind::Warning, new));
            }
            told = now.into_iter().collect();
        }
    }
}

/// What there is to warn of.
async fn warnings(shared: &Arc<Shared>) -> Vec<String> {
    let shared = Arc::clone(shared);
    let look = move || shared.plane.warnings(&shared.published().config);
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}
