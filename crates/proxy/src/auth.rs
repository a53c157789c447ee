//! Who may ask, by name and password (basic authentication, RFC 7617).
//!
//! A password is hashed so that guessing it is slow, and so is looking whether one is right. No worker does that itself:
//! threads beside them do (`checks`), as many as they can keep up with, while the workers serve on. What was found is
//! remembered for a while (`memory`), so that not each request pays for it.

mod checks;
mod credentials;
mod memory;
mod password;

use std::sync::Arc;
use std::time::Duration;

use plimsoll_config::BasicAuth;
use tokio::sync::oneshot::Receiver;

use crate::http1::Reject;
use crate::http1::fields::Kind;
use crate::http1::request::RequestHead;
use crate::serve::Busy;
use crate::wait::Missed;
use crate::worker::Desk;
use checks::{Found, Job};
use credentials::Credentials;
use memory::Version;

pub(crate) use checks::Checks;

/// What a client gets that has not shown a name and its password.
pub(crate) const UNKNOWN: Reject = Reject { status: 401, reason: "a name and its password are asked for" };

/// What one gets whose password cannot be looked at now.
pub(crate) const BUSY: Reject = Reject { status: 503, reason: "too many passwords are being looked at" };

/// After this time those that are waited for have been looked at.
pub(crate) const BUSY_PASSES: Duration = Duration::from_secs(1);

/// How long a client waits for that at most.
const PATIENCE: Duration = Duration::from_secs(10);

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

    /// Whether who asks with the `head` is somebody, and who, as far as that is known at once.
    fn ask(&self, head: &[u8], desk: &mut Desk) -> Asked {
        let Some(shown) = authorization(head, &desk.request) else { return Asked::Now(Verdict::Unknown) };
        let Some(credentials) = Credentials::read(shown) else { return Asked::Now(Verdict::Unknown) };
        let (name, password) = credentials.parts();
        desk.entry.is_of(name);
        let job = || Job::new(&self.users, name, password);
        match self.checks.ask(self.checks.key(self.version, credentials.whole()), job) {
            Found::Right => Asked::Now(Verdict::Admitted),
            Found::Wrong => Asked::Now(Verdict::Unknown),
            Found::Busy => Asked::Now(Verdict::Busy),
            Found::Later(answer) => Asked::Later(answer),
        }
    }
}

/// The value of `Authorization`, if there is one and no more.
fn authorization<'a>(head: &'a [u8], request: &RequestHead) -> Option<&'a [u8]> {
    let mut all = request.fields.iter().filter(|field| field.kind == Kind::Authorization);
    all.next().filter(|_| all.next().is_none()).map(|field| field.value.slice(head))
}

impl Busy<'_> {
    /// Looks at the password that the request on the desk shows.
    pub(crate) fn ask_password(&self, auth: &Auth, desk: &mut Desk, head_length: usize) -> Asked {
        auth.ask(&self.input.filled()[..head_length], desk)
    }

    /// Waits until the password has been looked at; `None` when the client has left.
    pub(crate) async fn await_password(&mut self, answer: Receiver<bool>, desk: &Desk) -> Option<Verdict> {
        let patience = self.connection.worker.now() + PATIENCE;
        let until = desk.call.and_then(|call| call.deadline()).map_or(patience, |deadline| deadline.min(patience));
        match self.waiter().wait_for(answer, until).await {
            Ok(Ok(true)) => Some(Verdict::Admitted),
            Ok(Ok(false)) => Some(Verdict::Unknown),
            // Nobody looks any more, or nobody has come to it.
            Ok(Err(_)) | Err(Missed::Late) => Some(Verdict::Busy),
            Err(Missed::ClientLeft) => None,
        }
    }
}

impl Desk {
    /// The request is let on, or refused. No server gets the password of a client that we have looked at.
    pub(crate) fn take_verdict(&mut self, verdict: Verdict) -> Result<(), Reject> {
        let refused = match verdict {
            Verdict::Admitted => {
                self.request.fields.retain(|field| field.kind != Kind::Authorization);
                return Ok(());
            }
            Verdict::Unknown => UNKNOWN,
            Verdict::Busy => BUSY,
        };
        self.entry.is_of("");
        Err(refused)
    }
}
