//! Who may ask, by name and password (basic authentication, RFC 7617).
//!
//! A password is hashed so that guessing it is slow, and so is looking whether one is right. No worker does that itself:
//! threads beside them do (`checks`), as many as they can keep up with, while the workers serve on. What was found is
//! remembered for a while (`memory`), so that not each request pays for it. `request` is who asks.

mod checks;
mod credentials;
mod memory;
mod password;
mod request;

use std::sync::Arc;
use std::time::Duration;

use plimsoll_config::BasicAuth;
use tokio::sync::oneshot::Receiver;

use crate::http1::Reject;
use memory::Version;

pub(crate) use checks::Checks;

/// What a client gets that has not shown a name and its password.
pub(crate) const UNKNOWN: Reject = Reject { status: 401, reason: "a name and its password are asked for" };

/// What one gets whose password cannot be looked at now.
pub(crate) const BUSY: Reject = Reject { status: 503, reason: "too many passwords are being looked at" };

/// After this time those that are waited for have been looked at.
pub(crate) const BUSY_PASSES: Duration = Duration::from_secs(1);

/// Who may ask on a route.
pub(crate) struct Auth {
    pub(crate) realm: String,
    users: Arc<[(String, String)]>,
    /// What is remembered of other users does not count.
    version: Version,
    checks: Arc<Checks>,
}

/// Whether a client may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Admitted,
    Unknown,
    Busy,
}

/// What becomes of a request that is to show a password.
pub(crate) enum Asked {
    Now(Verdict),
    Later(Receiver<bool>),
}

impl Auth {
    /// What `rules` say, looked at by `checks`.
    pub(crate) fn new(rules: &BasicAuth, checks: &Arc<Checks>) -> Self {
        let users = Arc::clone(&rules.users);
        Self { realm: rules.realm.clone(), version: checks.version(&users), users, checks: Arc::clone(checks) }
    }
}
