//! The webhook.

use super::admin::token;
use crate::files::Files;
use crate::raw;
use crate::reader::Reader;
use crate::setting::Field;
use crate::webhook::Webhook;
use crate::wording::quoted;

/// Fields that are ours to send.
const OURS: &[&str] = &["authorization", "connection", "content-length", "content-type", "host", "transfer-encoding"];

/// The webhook.
pub(super) fn resolve(table: &Field<raw::Webhook>, files: &Files<'_>, reader: &mut Reader) -> Webhook {
    let raw = &table.value;
    if raw.events.value.0.is_empty() && !reader.has_problem_in(&raw.events.span) {
        let message = "`events` is an empty list, so that nothing would be told".to_owned();
        reader.report(raw.events.span.clone(), message, "name at least one, or remove `[webhook]`");
    }
    let fields = || raw.header.iter().flat_map(|fields| &fields.value.0);
    for field in fields() {
        let name = field.name.to_ascii_lowercase();
        // With a token of one's own kind, such as `Authorization: Splunk …`, the field is the user's.
        if OURS.contains(&name.as_str()) && (name != "authorization" || raw.token.is_some()) {
            let message = format!("the field {} is set by Plimsoll", quoted(&field.name));
            reader.report(field.span.clone(), message, "remove it");
        }
    }
    Webhook {
        url: raw.url.value.0.clone(),
        events: raw.events.value.0.iter().map(|event| event.value.0).collect(),
        timeout: raw.timeout.value.0,
        tries: raw.tries.value.0 as u32,
        pause: raw.pause.value.0,
        queue: raw.queue.value.0 as usize,
        headers: fields().map(|field| (field.name.clone(), field.field.value.0.clone())).collect(),
        token: raw.token.as_ref().and_then(|setting| token(setting, files, reader)),
    }
}
