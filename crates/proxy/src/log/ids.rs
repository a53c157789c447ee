//! Request ids: kept as the client sent them, or made.

use std::io::Write as _;

use plimsoll_config::{FromClient, RequestId};

use super::marks::Marks;
use crate::http1::fields::{Field, same_variable};

/// The longest id that is kept, in bytes: twice that of what others make.
const LONGEST: usize = 128;

/// Puts the id of a request whose head is `head` into `id` and, where it has to be told, into `marks`. Fields of the client
/// that are not to reach the server are taken out of `fields`.
pub(super) fn settle(rule: &RequestId, (head, fields): (&[u8], &mut Vec<Field>), id: &mut Vec<u8>, marks: &mut Marks) {
    let named = |field: &Field| same_variable(field.name.slice(head), rule.header.as_bytes());
    let mut sent = fields.iter().filter(|field| named(field));
    let kept = match (sent.next(), sent.next()) {
        (Some(only), None) => {
            Some(only.value.slice(head)).filter(|id| rule.from_client == FromClient::Accept && valid(id))
        }
        _ => None,
    };
    if let Some(kept) = kept {
        id.extend_from_slice(kept);
    } else {
        fields.retain(|field| !named(field));
        // Writing to a Vec cannot fail. Ids are no secrets, so that a fast generator will do.
        let _ = write!(id, "{:032x}", fastrand::u128(..));
        line(&mut marks.to_server, &rule.header, id);
    }
    if rule.to_client {
        line(&mut marks.to_client, &rule.header, id);
    }
}

fn valid(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}
