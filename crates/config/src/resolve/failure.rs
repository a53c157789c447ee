//! What a pool does about servers that fail and servers that are new.

use std::ops::Range;

use plimsoll_core::{Eject, Percent, WarmUp};

use super::lists::report_repeated;
use crate::condition::{Condition, Statuses};
use crate::entries::untouched;
use crate::pool::Retry;
use crate::probe::Conditions;
use crate::quantity::show_duration;
use crate::raw;
use crate::reader::Reader;
use crate::setting::Field;
use crate::value::{List, OrOff};

pub(super) fn warm_up(raw: &raw::WarmUp) -> Option<WarmUp> {
    let raw = raw.0.as_ref()?;
    Some(WarmUp { time: raw.time.value.0, exponent: raw.exponent.value.count(), floor: raw.floor.value.0 })
}

/// When servers are ejected, and what counts as a failure. The latter also where none is ejected, as the black-hole
/// guard goes by it too.
pub(super) fn eject(raw: &Field<OrOff<raw::Eject>>, reader: &mut Reader) -> (Option<Eject>, Conditions) {
    let Some(raw) = &raw.value.0 else {
        return (None, conditions(&untouched::<raw::Eject>().on, "eject", reader));
    };
    let (time, max_time) = (raw.time.value.0, raw.max_time.value.0);
    if time > max_time {
        let span = if raw.time.given { &raw.time.span } else { &raw.max_time.span };
        let (short, long) = (show_duration(max_time), show_duration(time));
        let message = format!("`time` ({long}) is longer than `max_time` ({short}), to which it grows");
        let help = format!("write a `max_time` of \"{long}\" or more, or a shorter `time`");
        reader.report(span.clone(), message, help);
    }
    let eject = Eject {
        failures: raw.failures.value.count(),
        rate: raw.rate.value.0,
        min_requests: raw.min_requests.value.count(),
        interval: raw.interval.value.0,
        time,
        max_time,
        max_share: raw.max_share.value.0,
    };
    (Some(eject), conditions(&raw.on, "eject", reader))
}

/// When requests are tried again, and the share of the pool's requests that this may come to.
pub(super) fn retry(raw: &Field<OrOff<raw::Retry>>, reader: &mut Reader) -> (Retry, Percent) {
    let Some(raw) = &raw.value.0 else {
        let raw = untouched::<raw::Retry>();
        let off = Retry { on: Conditions::default(), tries: 1, buffer: 0, ..retry_of(&raw, Conditions::default()) };
        return (off, raw.budget.value.0);
    };
    let on = conditions(&raw.on, "retry", reader);
    if raw.tries.value.0 == 1 {
        check_single_try(raw, reader);
    } else if raw.non_idempotent.value && on == (Conditions { connect: on.connect, ..Conditions::default() }) {
        // Not told where `on` has entries that could not be read.
        if !reader.has_problem_in(&raw.on.span) {
            reader.report(
                raw.non_idempotent.span.clone(),
                "`non_idempotent` has no effect, as nothing was sent where only `connect` is retried".to_owned(),
                "remove it, or add \"reset\", \"timeout\" or statuses to `on`",
            );
        }
    }
    (retry_of(raw, on), raw.budget.value.0)
}

fn retry_of(raw: &raw::Retry, on: Conditions) -> Retry {
    Retry {
        on,
        tries: raw.tries.value.0 as u32,
        within: raw.within.value.0,
        non_idempotent: raw.non_idempotent.value,
        buffer: raw.buffer.value.0 as usize,
    }
}

/// Where there is one try, nothing about others has an effect.
fn check_single_try(raw: &raw::Retry, reader: &mut Reader) {
    let others: [(&str, Option<Range<usize>>); 5] = [
        ("on", raw.on.where_given()),
        ("within", raw.within.where_given()),
        ("budget", raw.budget.where_given()),
        ("non_idempotent", raw.non_idempotent.where_given()),
        ("buffer", raw.buffer.where_given()),
    ];
    for (key, span) in others {
        if let Some(span) = span {
            let message = format!("`{key}` has no effect, as `tries = 1` never tries again");
            reader.report(span, message, format!("remove `{key}`, or write `tries = 2`"));
        }
    }
}

/// The conditions of `on` in the table `table`.
fn conditions(on: &Field<List<Condition>>, table: &str, reader: &mut Reader) -> Conditions {
    let mut all = Conditions::default();
    if on.value.0.is_empty() && !reader.has_problem_in(&on.span) {
        let message = format!("`on` is empty, so that `{table}` has no effect");
        reader.report(on.span.clone(), message, format!("write `{table} = \"off\"`"));
    }
    for condition in &on.value.0 {
        let before = all;
        match condition.value {
            Condition::Connect => all.connect = true,
            Condition::Reset => all.reset = true,
            Condition::Timeout => all.timeout = true,
            Condition::Grpc(status) => all.grpc = all.grpc.with(status),
            Condition::Statuses(Statuses { first, last }) => all.statuses = all.statuses.with(first, last),
        }
        if all == before {
            report_repeated("on", condition.span.clone(), reader);
        }
    }
    all
}
