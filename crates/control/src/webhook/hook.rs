//! One receiver of events, and how it is asked to take them.

use std::error::Error;
use std::fmt::{self, Write};
use std::time::Duration;

use plimsoll_config::Webhook;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde::Serialize;
use tokio::time::sleep;

use crate::api::Event;

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A receiver.
pub(super) struct Hook<'a> {
    webhook: &'a Webhook,
    /// Or why there is none, which is no error of the receiver but has to be told all the same.
    client: Result<Client, reqwest::Error>,
}

/// Why a receiver did not take events.
#[derive(Debug)]
pub(super) enum Failure {
    /// It answered that it will not, and another try would not help.
    Refused(StatusCode),
    /// It answered that it cannot now, and maybe for how long.
    Busy(StatusCode, Option<Duration>),
    /// It could not be reached, or did not answer in time.
    Unreachable(reqwest::Error),
}

/// What is told.
#[derive(Serialize)]
struct Message<'a> {
    program: &'static str,
    version: &'static str,
    /// The name of this machine.
    host: &'a str,
    /// Events lost since the receiver last took something.
    dropped: u64,
    events: &'a [Event],
}

impl<'a> Hook<'a> {
    pub(super) fn new(webhook: &'a Webhook) -> Self {
        Self { webhook, client: client(webhook) }
    }

    /// Asks it to take events, several times if need be; `failed` is called after each try that failed.
    ///
    /// # Errors
    /// The failure of the last try.
    pub(super) async fn tell(&self, events: &[Event], dropped: u64, failed: impl Fn()) -> Result<(), Failure> {
        let mut pause = self.webhook.pause;
        for _ in 1..self.webhook.tries {
            let asked = match self.once(events, dropped).await {
                Ok(()) => return Ok(()),
                Err(refused @ Failure::Refused(_)) => {
                    failed();
                    return Err(refused);
                }
                Err(Failure::Busy(_, asked)) => asked,
                Err(Failure::Unreachable(_)) => None,
            };
            failed();
            sleep(pause.max(asked.unwrap_or_default()).min(LONGEST_PAUSE)).await;
            pause = pause.saturating_mul(2);
        }
        self.once(events, dropped).await.inspect_err(|_| failed())
    }

    /// Asks it once.
    pub(super) async fn once(&self, events: &[Event], dropped: u64) -> Result<(), Failure> {
        let message =
            Message { program: "plimsoll", version: env!("CARGO_PKG_VERSION"), host: &host(), dropped, events };
        // What is written holds nothing that JSON cannot.
        let body = serde_json::to_vec(&message).unwrap_or_default();
        let client = match &self.client {
            Ok(client) => client,
            Err(_) => &client(self.webhook).map_err(Failure::Unreachable)?,
        };
        let sent = client.post(&self.webhook.url).headers(fields(self.webhook)).body(body).send().await;
        judge(&sent.map_err(|error| Failure::Unreachable(error.without_url()))?)
    }
}

/// A client that follows no redirection, since what it has to tell is not for everyone.
fn client(webhook: &Webhook) -> Result<Client, reqwest::Error> {
    let builder = Client::builder()
        .user_agent(concat!("plimsoll/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .timeout(webhook.timeout);
    // Proxies are those of the environment; this machine is reached without.
    let host = webhook.host();
    let here = ["localhost", "127.", "[::1]"].iter().any(|here| host.starts_with(here));
    if here { builder.no_proxy() } else { builder }.build()
}

fn fields(webhook: &Webhook) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in &webhook.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            fields.append(name, value);
        }
    }
    if let Some(token) = &webhook.token {
        let value = [b"Bearer ", token.bytes()].concat();
        if let Ok(mut value) = HeaderValue::try_from(value) {
            value.set_sensitive(true);
            fields.insert(AUTHORIZATION, value);
        }
    }
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields
}

fn judge(answer: &Response) -> Result<(), Failure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let again = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    if !status.is_server_error() && !again.contains(&status) {
        return Err(Failure::Refused(status));
    }
    let after = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    Err(Failure::Busy(status, after.map(Duration::from_secs)))
}

/// The name of this machine; nothing where the system does not tell.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) | Self::Busy(status, _) => write!(f, "it answered {status}"),
            Self::Unreachable(error) => {
                let mut text = error.to_string();
                let mut source = error.source();
                while let Some(cause) = source {
                    let _ = write!(text, ": {cause}");
                    source = cause.source();
                }
                f.write_str(&text)
            }
        }
    }
}
