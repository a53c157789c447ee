//! A request that is to show a password, and its wait until that has been looked at.

use std::time::Duration;

use tokio::sync::oneshot::Receiver;

use super::checks::{Found, Job};
use super::credentials::Credentials;
use super::{Asked, Auth, BUSY, UNKNOWN, Verdict};
use crate::http1::Reject;
use crate::http1::fields::Kind;
use crate::http1::request::RequestHead;
use crate::serve::Busy;
use crate::wait::Missed;
use crate::worker::Desk;

/// How long a client waits for that at most.
const PATIENCE: Duration = Duration::from_secs(10);

impl Auth {
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
