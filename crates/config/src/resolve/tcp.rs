//! Where connections are balanced and not requests, nothing about requests has an effect.

use std::ops::Range;

use plimsoll_core::PolicyKind;

use crate::condition::Condition;
use crate::raw::{self, HashBy};
use crate::reader::Reader;
use crate::setting::Field;
use crate::value::List;

/// Where the file gives a setting, by its name.
type Given<'a> = (&'a str, Option<Range<usize>>);

/// Reports settings of requests on a listener of `protocol = "tcp"`.
pub(super) fn check_listener(raw: &raw::Listener, reader: &mut Reader) {
    let timeout = &raw.timeout.value;
    let given: [Given<'_>; 19] = [
        ("redirect", place(raw.redirect.as_ref())),
        ("route", place(raw.route.as_ref())),
        ("request_headers", place(raw.request_headers.as_ref())),
        ("response_headers", place(raw.response_headers.as_ref())),
        ("errors", place(raw.errors.as_ref())),
        ("max_head", raw.max_head.where_given()),
        ("max_target", raw.max_target.where_given()),
        ("max_body", place(raw.max_body.as_ref())),
        ("head", timeout.head.where_given()),
        ("body", timeout.body.where_given()),
        ("keep_alive", timeout.keep_alive.where_given()),
        ("http1", raw.http1.where_given()),
        ("forward", raw.forward.where_given()),
        ("trusted_proxies", place(raw.trusted_proxies.as_ref())),
        // Switched off they are no slip: that is what holds.
        ("http2", raw.http2.where_given().filter(|_| raw.http2.value.0.is_some())),
        ("hsts", raw.hsts.where_given().filter(|_| raw.hsts.value.0.is_some())),
        ("compress", raw.compress.where_given().filter(|_| raw.compress.value.0.is_some())),
        ("basic_auth", raw.basic_auth.where_given().filter(|_| raw.basic_auth.value.0.is_some())),
        ("request_id", raw.request_id.where_given().filter(|_| raw.request_id.value.0.is_some())),
    ];
    report(given, "`protocol = \"tcp\"` knows no requests", reader);
}

/// Reports settings of requests in a pool to which only connections come.
pub(super) fn check_pool(raw: &raw::Pool, reader: &mut Reader) {
    const WHY: &str = "only listeners with `protocol = \"tcp\"` use this pool, which know no requests";
    // A probe may speak HTTP all the same.
    let asks = raw.probe.value.0.as_ref().is_some_and(|probe| probe.http.is_some() || probe.grpc.is_some());
    let unavailable = &raw.unavailable.value;
    let given: [Given<'_>; 10] = [
        ("sticky", raw.sticky.where_given().filter(|_| raw.sticky.value.0.is_some())),
        ("protocol", raw.protocol.where_given().filter(|_| !asks)),
        ("http2", raw.http2.where_given()),
        ("first_byte", raw.timeout.value.first_byte.where_given()),
        ("idle", raw.timeout.value.idle.where_given()),
        ("keep_alive", raw.keep_alive.where_given()),
        ("status", unavailable.status.where_given()),
        ("retry_after", unavailable.retry_after.where_given()),
        ("page", place(unavailable.page.as_ref())),
        ("reason_header", unavailable.reason_header.where_given()),
    ];
    report(given, WHY, reader);
    let on = raw.hash.as_ref().filter(|_| raw.policy.value.0 == PolicyKind::Hash).map(|hash| &hash.value.on);
    if let Some(on) = on.filter(|on| on.value != HashBy::Client) {
        let message = format!("`on` has nothing to go by, as {WHY}");
        reader.report(on.span.clone(), message, "write `on = \"client\"`, or remove it");
    }
    if let Some(retry) = &raw.retry.value.0 {
        let given = [("non_idempotent", retry.non_idempotent.where_given()), ("buffer", retry.buffer.where_given())];
        report(given, WHY, reader);
        let tried = |condition| matches!(condition, Condition::Connect | Condition::Timeout);
        check_conditions(&retry.on, tried, "a connection that was made is not made again", reader);
    }
    if let Some(eject) = &raw.eject.value.0 {
        let judged = |condition| !matches!(condition, Condition::Statuses(_) | Condition::Grpc(_));
        check_conditions(&eject.on, judged, WHY, reader);
    }
}

fn check_conditions(on: &Field<List<Condition>>, known: impl Fn(Condition) -> bool, why: &str, reader: &mut Reader) {
    if !on.given {
        return;
    }
    for condition in on.value.0.iter().filter(|condition| !known(condition.value)) {
        let message = format!("this has no effect, as {why}");
        reader.report(condition.span.clone(), message, "remove it from `on`");
    }
}

fn place<T>(field: Option<&Field<T>>) -> Option<Range<usize>> {
    field.map(|field| field.span.clone())
}

fn report<const N: usize>(given: [Given<'_>; N], why: &str, reader: &mut Reader) {
    for (key, span) in given {
        if let Some(span) = span {
            reader.report(span, format!("`{key}` has no effect, as {why}"), format!("remove `{key}`"));
        }
    }
}
