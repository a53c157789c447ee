//! The settings of what a pool does about servers that fail and servers that are new.

use serde_json::json;
use toml::de::{DeTable, DeValue};

use super::bounds::{DAY, MIB, MILLISECOND};
use crate::condition::Condition;
use crate::quantity::{Bytes, Lasts, Share};
use crate::reader::Reader;
use crate::setting::{Field, Item, Place, Setting, Shape, settings};
use crate::value::{List, OFF, Whole, off_help};

/// A steeper ramp than this gives a new server nothing for most of its warm-up and everything at its end.
const STEEPEST: u64 = 10;
/// Above it a count of failures or requests is never reached within a window.
const LARGEST_COUNT: u64 = 1_000_000;
/// More tries than this only multiply an outage.
const MOST_TRIES: u64 = 10;

settings! {
    /// How a server that is new or recovered is brought in. At first it gets `floor` of its share of requests, and
    /// ever more until `time` is over.
    struct WarmUpTable, called Place::nested {
        /// How long it lasts.
        time: Lasts<MILLISECOND, DAY>, default "10s";
        /// The shape of the rise: the share is the part of the time that has passed to this power. 1 is a straight
        /// line; more begins slower.
        exponent: Whole<1, STEEPEST>, default 1;
        /// The part of its share that it gets at least.
        floor: Share<1, 99>, default "5%";
    }

    /// When a server that fails requests is left out for a while, or "off" for never.
    struct Eject, called Place::nested {
        /// What counts as a failure: "connect" (no connection could be made), "reset" (the connection broke, or what
        /// came was no answer), "timeout" (no answer in time), statuses, each as a number, as "5xx" or as "500-504", and
        /// those of gRPC, each as a word such as "grpc-unavailable" or "grpc-resource-exhausted".
        on: List<Condition>, default [
            "connect", "reset", "timeout", 500, 502, 503, 504, "grpc-internal", "grpc-unavailable", "grpc-data-loss",
        ];
        /// So many failures in a row eject the server.
        failures: Whole<1, LARGEST_COUNT>, default 5;
        /// So does a share of failures that exceeds that of the pool's other servers by this much within `interval`.
        rate: Share<1, 100>, default "50%";
        /// The fewest requests within `interval` by which a server's share of failures is judged.
        min_requests: Whole<1, LARGEST_COUNT>, default 20;
        /// The time over which shares are counted. So much time without being ejected also takes one doubling of
        /// `time` back.
        interval: Lasts<MILLISECOND, DAY>, default "10s";
        /// How long a server is left out the first time. It doubles with each repetition.
        time: Lasts<MILLISECOND, DAY>, default "10s";
        /// The longest it grows to.
        max_time: Lasts<MILLISECOND, DAY>, default "5m";
        /// The share of the pool's servers that may be out for their health when another is ejected, that one included.
        max_share: Share<1, 100>, default "50%";
    }

    /// When a request that failed is tried again, or "off" for never.
    struct Retry, called Place::nested {
        /// What a try must end in: the same words as in `on` of `eject`. A call of gRPC that ends with a status that is
        /// named here before its client has seen anything of an answer is sent again, though it is a POST; so is one
        /// that would get this status from Plimsoll because its server was not reached or broke off.
        on: List<Condition>, default ["connect"];
        /// Tries in all, the first included.
        tries: Tries, default 3;
        /// No try begins later than this after the first.
        within: Lasts<MILLISECOND, DAY>, default "10s";
        /// The retries of the pool, as a share of the requests it carries: what keeps an outage from being multiplied.
        budget: Share<1, 100>, default "20%";
        /// Whether requests such as POST are sent again too, though a server may have acted on them already.
        non_idempotent: bool, default false;
        /// The largest request body that is kept to be sent again. A request with a larger one is not retried once it
        /// was sent.
        buffer: Bytes<0, MIB>, default "64KiB";
    }
}

/// How a server is brought in; `None` is at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WarmUp(pub(crate) Option<WarmUpTable>);

impl Setting for WarmUp {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            DeValue::Table(_) => WarmUpTable::read(item, place, reader).map(|table| Self(Some(table))),
            DeValue::String(word) if word == OFF => Some(Self(None)),
            DeValue::String(_) | DeValue::Integer(_) => match Lasts::parse(item) {
                Ok(time) => {
                    let mut table = WarmUpTable::read_entries(&DeTable::new(), item.span(), place, reader)?;
                    table.time = Field { value: time, span: item.span(), given: true };
                    Some(Self(Some(table)))
                }
                Err(help) => {
                    let help = off_help(item, place).unwrap_or(help);
                    reader.unfit(item, place, help)
                }
            },
            _ => {
                let help = off_help(item, place).unwrap_or_else(|| "write `warm_up = \"30s\"`".to_owned());
                reader.unfit(item, place, help)
            }
        }
    }

    fn shape() -> Shape {
        let (time, table) = (Lasts::<MILLISECOND, DAY>::shape(), WarmUpTable::shape());
        Shape {
            expects: format!("{}, a table or \"{OFF}\"", time.expects),
            schema: json!({ "anyOf": [time.schema, table.schema, { "enum": [OFF] }] }),
            table: table.table,
        }
    }
}

/// How often a request is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tries(pub(crate) u64);

impl Setting for Tries {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            // Who writes 0 means retries, of which there shall be none.
            DeValue::Integer(number) if number.as_str() == "0" => {
                reader.unfit(item, place, "the first try counts: write `retry = \"off\"` to try only once")
            }
            _ => Whole::<1, MOST_TRIES>::read(item, place, reader).map(|tries| Self(tries.0)),
        }
    }

    fn shape() -> Shape {
        Whole::<1, MOST_TRIES>::shape()
    }
}
