//! What becomes of the fields of requests and answers, and which of them nobody may touch.

use std::collections::HashSet;
use std::ops::Range;

use super::lists::report_repeated;
use crate::raw;
use crate::reader::Reader;
use crate::route::HeaderEdit;
use crate::setting::Field;
use crate::template::{Template, Variable};
use crate::wording::quoted;

/// Whose fields they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// The edits that a listener, or one of its routes, makes to the heads of one side.
pub(super) fn edits(
    field: Option<&Field<raw::HeaderEdits>>,
    side: Side,
    listener: &raw::Listener,
    reader: &mut Reader,
) -> Vec<HeaderEdit> {
    let Some(field) = field else { return Vec::new() };
    let raw = &field.value;
    let set = raw.set.as_ref().map_or(&[][..], |set| &set.value.0);
    let add = raw.add.as_ref().map_or(&[][..], |add| &add.value.0);
    let removed = raw.remove.as_ref().map_or(&[][..], |remove| &remove.value.0);
    if set.is_empty() && add.is_empty() && removed.is_empty() && !reader.has_problem_in(&field.span) {
        let help = "write `{ set = { X-Env = \"prod\" } }`, or remove it";
        reader.report(field.span.clone(), "this changes no field".to_owned(), help);
    }
    let mut gone = HashSet::new();
    for name in removed {
        check_name(&name.value.0, name.span.clone(), (side, false), listener, reader);
        if !gone.insert(name.value.0.to_ascii_lowercase()) {
            report_repeated("remove", name.span.clone(), reader);
        }
    }
    for named in set.iter().chain(add) {
        check_id(&named.field.value, &named.field.span, listener, reader);
        check_name(&named.name, named.span.clone(), (side, true), listener, reader);
        if gone.contains(&named.name.to_ascii_lowercase()) {
            let message = format!("the field {} is removed here too", quoted(&named.name));
            let help = "remove it from `remove`; to leave nothing of what was there, `set` it";
            reader.report(named.span.clone(), message, help);
        }
    }
    let removed = removed.iter().map(|name| HeaderEdit::Remove(name.value.0.clone()));
    let set = set.iter().map(|named| HeaderEdit::Set(named.name.clone(), named.field.value.clone()));
    let add = add.iter().map(|named| HeaderEdit::Add(named.name.clone(), named.field.value.clone()));
    removed.chain(set).chain(add).collect()
}

/// Reports the id of a request in a text where requests have none.
pub(super) fn check_id(text: &Template, span: &Range<usize>, listener: &raw::Listener, reader: &mut Reader) {
    if listener.request_id.value.0.is_none() && text.names(Variable::RequestId) {
        let message = "`$request_id` is always empty, as the listener has no `request_id`".to_owned();
        reader.report(span.clone(), message, "write `request_id = {}` in the listener, or remove it");
    }
}

/// Fields that frame a message or belong to one connection (RFC 9110, section 7.6.1).
const FRAMING: [&str; 9] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// Fields of requests that `forward` is for.
const FORWARDING: [&str; 6] =
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip", "forwarded"];

/// Reports a field that is no matter of edits. `gives` is whether it would get a value.
fn check_name(
    name: &str,
    span: Range<usize>,
    (side, gives): (Side, bool),
    listener: &raw::Listener,
    reader: &mut Reader,
) {
    // Servers that hand fields on as variables make no difference between the two.
    let lower = name.to_ascii_lowercase().replace('_', "-");
    let request = side == Side::Request;
    let id = listener.request_id.value.0.as_ref().filter(|id| request || id.to_client.value);
    let (why, help) = if FRAMING.contains(&&*lower) {
        ("says how the message is framed or what becomes of the connection, which Plimsoll writes itself", "remove it")
    } else if lower == "host" && request {
        ("has a setting of its own", "write `forward = { host = \"app.example.com\" }` in the listener")
    } else if lower == "host" {
        ("is a field of requests", "remove it")
    } else if request && FORWARDING.contains(&&*lower) {
        ("tells of the client, which is a matter of `forward`", "write it as a setting of `forward` in the listener")
    } else if request && lower.starts_with("x-client-cert-") {
        ("tells of the client's certificate, which Plimsoll alone may say", "remove it")
    } else if !request && gives && lower == "strict-transport-security" {
        ("has a setting of its own", "write `hsts = \"365d\"` in the listener")
    } else if id.is_some_and(|id| id.header.value.0.eq_ignore_ascii_case(name)) {
        ("carries the request's id", "remove it here, or change `request_id` of the listener")
    } else {
        return;
    };
    reader.report(span, format!("the field {} {why}", quoted(name)), help);
}
