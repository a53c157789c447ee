//! The settings of the webhook.

use super::admin::Token;
use super::bounds::{DAY, MILLISECOND};
use crate::http::{ByField, FieldValue};
use crate::quantity::Lasts;
use crate::setting::{Place, settings};
use crate::value::{List, Whole, Word};
use crate::webhook::{Occasion, Url};

/// With pauses that double, more tries than this take longer than an outage is news.
const MOST_TRIES: u64 = 20;
/// What the journal remembers.
const MOST_WAITING: u64 = 10_000;

settings! {
    /// Tells of events by HTTP: a POST of JSON with `program`, `version`, `host`, `dropped` and `events`, up to a hundred of
    /// them as the admin API tells them. Without this table nobody is told.
    struct Webhook, called Place::nested {
        /// Where to. A status from 200 to 299 takes the events; 408, 429 and from 500 are tried again, and others are not.
        url: Url, required "`url = \"https://example.com/hook\"`";
        /// What is told.
        events: List<Word<Occasion>>, default ["health", "reload-refused", "warning"];
        /// How long one try may take.
        timeout: Lasts<MILLISECOND, DAY>, default "5s";
        /// Tries before events are given up.
        tries: Whole<1, MOST_TRIES>, default 5;
        /// From the first try to the second; twice as long from each to the next, up to a minute or what `Retry-After` asks for.
        pause: Lasts<MILLISECOND, DAY>, default "1s";
        /// Events that wait to be told. Beyond it the oldest are dropped and counted.
        queue: Whole<1, MOST_WAITING>, default 1000;
        /// Fields to send along.
        header: ByField<FieldValue>, optional "none";
        /// What is sent as `Authorization: Bearer TOKEN`.
        token: Token, optional "none";
    }
}
