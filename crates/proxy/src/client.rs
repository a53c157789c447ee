//! Who a request comes from: the other end of its connection or, where that is a proxy that the listener believes, the one
//! whom the proxy serves.
//!
//! Each proxy on the way adds whom it serves at the end of a list (`X-Forwarded-For`, or `Forwarded`, RFC 7239). What stands
//! before the first entry of a proxy that is believed was sent by who is not, so the list is read from its end.

mod list;

use std::net::IpAddr;

use plimsoll_config::{ClientField, TrustedProxies};

use crate::http1::fields::{Field, Kind};
use crate::http1::request::RequestHead;
use list::{Element, backwards, node};

/// Whom a request comes from, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// `None` is a client on a Unix socket.
    pub(crate) address: Option<IpAddr>,
    /// It spoke TLS.
    pub(crate) https: bool,
}

impl Client {
    /// `http` or `https`.
    pub(crate) fn scheme(self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
}

/// Entries that are looked at: no chain of proxies is so long, and a list that is was written to keep us busy.
const MOST_PROXIES: usize = 64;

/// The client of a request that came as `head` from `hop`, which is among the `trusted`: the last whom the field names that
/// is not among them itself. Where an entry is none, the one before it on the way counts; where all are trusted, the first.
pub(crate) fn believed(trusted: &TrustedProxies, hop: Client, (head, request): (&[u8], &RequestHead)) -> Client {
    let (kind, name) = match trusted.field {
        ClientField::XForwardedFor => (Kind::XForwardedFor, "x-forwarded-for"),
        ClientField::Forwarded => (Kind::Forwarded, "forwarded"),
    };
    let mut client = hop;
    for member in members(head, &request.fields, (kind, name)).take(MOST_PROXIES) {
        let Element { node, https } = match trusted.field {
            ClientField::XForwardedFor => Element { node: node(member), https: None },
            ClientField::Forwarded => Element::read(member),
        };
        // Who wrote this entry is believed, whomever it names.
        client.https = https.unwrap_or(hop.https);
        let Some(address) = node else { break };
        client.address = Some(address);
        if !trusted.from.contains(client.address) {
            break;
        }
    }
    if trusted.field == ClientField::XForwardedFor {
        let of_last = members(head, &request.fields, (Kind::XForwardedProto, "x-forwarded-proto")).next();
        client.https = of_last.and_then(list::is_https).unwrap_or(client.https);
    }
    client
}

/// The members of a field that is a list, of all its lines, the last first. A line whose name only looks like that of the
/// field to some servers was written by nobody who is believed.
fn members<'a>(
    head: &'a [u8],
    fields: &'a [Field],
    (kind, name): (Kind, &'static str),
) -> impl Iterator<Item = &'a [u8]> {
    let named =
        move |field: &&Field| field.kind == kind && field.name.slice(head).eq_ignore_ascii_case(name.as_bytes());
    fields.iter().rev().filter(named).flat_map(|field| backwards(field.value.slice(head), b','))
}

#[cfg(test)]
mod tests;
