//! Whom to tell of what happens, by HTTP.

use std::fmt;
use std::time::Duration;

use serde_json::json;

use crate::reader::Reader;
use crate::secret::Secret;
use crate::setting::{Item, Place, Setting, Shape};
use crate::value::Choice;

/// Whom to tell of what happens, and how. Its `Debug` shows neither the path of the URL nor the fields, which are often
/// secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where to: `http` or `https`, without a fragment.
    pub url: String,
    /// What is told; never empty.
    pub events: Vec<Occasion>,
    /// How long one try may take.
    pub timeout: Duration,
    /// Tries before what is to be told is given up.
    pub tries: u32,
    /// From the first try to the second; twice as long from each to the next.
    pub pause: Duration,
    /// Events that wait to be told.
    pub queue: usize,
    /// Fields sent with them, beside those that are always there.
    pub headers: Vec<(String, String)>,
    /// Sent as `Authorization: Bearer TOKEN`.
    pub token: Option<Secret>,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Occasion {
    /// The health of a server changed.
    Health,
    /// Requests found no server.
    Refused,
    /// A setting was changed by the API.
    Edit,
    /// A configuration was put in force.
    Reload,
    /// A configuration was refused.
    ReloadRefused,
    /// Long-lived connections are being spread anew, or have been.
    Rebalance,
    /// Something else to be known.
    Warning,
}

impl Webhook {
    /// The host of the URL with its port where there is one, for messages.
    pub fn host(&self) -> &str {
        authority(&self.url).unwrap_or_default()
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, timeout, tries, pause, queue, .. } = self;
        let mut debug = f.debug_struct("Webhook");
        debug.field("host", &self.host()).field("events", events).field("timeout", timeout).field("tries", tries);
        debug.field("pause", pause).field("queue", queue).finish_non_exhaustive()
    }
}

impl Choice for Occasion {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("health", Self::Health),
            ("refused", Self::Refused),
            ("edit", Self::Edit),
            ("reload", Self::Reload),
            ("reload-refused", Self::ReloadRefused),
            ("rebalance", Self::Rebalance),
            ("warning", Self::Warning),
        ]
    }
}

/// Where something is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url(pub(crate) String);

/// The longest URL, in bytes.
const LONGEST_URL: usize = 2048;

/// What stands between the scheme and the path.
fn authority(url: &str) -> Option<&str> {
    let behind = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    behind.split(['/', '?']).next()
}

impl Setting for Url {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        const HELP: &str = "write \"https://example.com/hook\"";
        let Some(url) = item.get_ref().as_str() else {
            return reader.unfit(item, place, HELP);
        };
        let Some(host) = authority(url) else {
            return reader.wrong(item, place, "begins with neither https:// nor http://", HELP);
        };
        let fault = if host.contains('@') {
            "has a name or password in it; write `token` or `header`"
        } else if host.is_empty() || host.starts_with(':') {
            "has no host"
        } else if url.len() > LONGEST_URL || url.contains('#') || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            "is no URL that can be asked"
        } else {
            return Some(Self(url.to_owned()));
        };
        reader.wrong(item, place, fault, HELP)
    }

    fn shape() -> Shape {
        Shape {
            expects: "a URL".to_owned(),
            schema: json!({ "type": "string", "pattern": "^https?://[^/?@#\\s]+[^#\\s]*$", "maxLength": LONGEST_URL }),
            table: None,
        }
    }
}
