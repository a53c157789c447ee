//! Limits per client: what each says, and that each is used where it has an effect.

use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::Range;

use plimsoll_core::ClientRules;

use crate::limit::{Limit, LimitKey, Over};
use crate::protocol::ListenerProtocol;
use crate::raw;
use crate::reader::Reader;
use crate::setting::Field;
use crate::value::{Entry, Name, OneOrMore, Whole};
use crate::wording::{listed, nearest, quoted};

type Names = Field<OneOrMore<Name>>;

/// The names in a `limit`.
pub(super) fn names(field: Option<&Names>) -> Vec<String> {
    field.iter().flat_map(|field| &field.value.0).map(|name| name.value.0.clone()).collect()
}

/// The limits of the file, which listeners and routes name.
pub(super) fn resolve(file: &raw::File, reader: &mut Reader) -> Vec<Limit> {
    let entries = file.limit.as_ref().map_or(&[][..], |limits| &limits.value.0);
    let mut uses = vec![Use::default(); entries.len()];
    let mut all_known = true;
    for entry in &file.listen.value.0 {
        let Some(listener) = &entry.table else {
            all_known = false;
            continue;
        };
        // What could not be read may have named any.
        all_known &= entry.sound;
        all_known &= Namer { entries, uses: &mut uses, reader }.listener(listener);
    }
    let mut limits = Vec::with_capacity(entries.len());
    for (entry, used) in entries.iter().zip(&uses) {
        let Some(raw) = &entry.table else { continue };
        if entry.sound {
            check(entry, raw, reader);
            if all_known {
                check_use(entry, raw, *used, reader);
            }
        }
        limits.push(limit(entry, raw));
    }
    limits
}

/// By whom a limit is named.
#[derive(Debug, Default, Clone, Copy)]
struct Use {
    /// By a listener, whose connections it counts.
    connections: bool,
    /// By a route or a listener, whose requests it counts.
    requests: bool,
}

impl Use {
    fn is_any(self) -> bool {
        self.connections || self.requests
    }
}

/// Follows the names of limits to what they name.
struct Namer<'a> {
    entries: &'a [Entry<raw::Limit>],
    uses: &'a mut [Use],
    reader: &'a mut Reader,
}

impl Namer<'_> {
    /// Follows those of a listener and its routes; false when one of them is not there.
    fn listener(&mut self, listener: &raw::Listener) -> bool {
        let http = listener.protocol.value.0 == ListenerProtocol::Http;
        let of_listener = Use { connections: true, requests: http };
        let mut known = self.follow(listener.limit.as_ref(), &[], of_listener);
        let beside: Vec<String> = names(listener.limit.as_ref());
        for route in listener.route.iter().flat_map(|routes| &routes.value.0) {
            let of_route = Use { connections: false, requests: true };
            known &= self.follow(route.value.limit.as_ref(), &beside, of_route);
        }
        known
    }

    /// Follows the names of one setting, beside which the listener has others.
    fn follow(&mut self, named: Option<&Names>, of_listener: &[String], used: Use) -> bool {
        let mut known = true;
        let mut before: Vec<&str> = Vec::new();
        for field in named.iter().flat_map(|named| &named.value.0) {
            let name = &*field.value.0;
            if before.contains(&name) {
                self.reader.report(
                    field.span.clone(),
                    format!("limit {} is named twice", quoted(name)),
                    "remove it here",
                );
            } else if of_listener.iter().any(|other| other == name) {
                let message =
                    format!("limit {} holds for the whole listener, and would count twice here", quoted(name));
                self.reader.report(field.span.clone(), message, "remove it here or there");
            }
            before.push(name);
            if let Some(at) = self.entries.iter().position(|entry| entry.name == name) {
                self.note(at, field, used);
            } else {
                self.report_unknown(field);
                known = false;
            }
        }
        known
    }

    /// Notes that a limit is used, and reports where it has no effect.
    fn note(&mut self, at: usize, field: &Field<Name>, used: Use) {
        self.uses[at].connections |= used.connections;
        self.uses[at].requests |= used.requests;
        let entry = &self.entries[at];
        let Some(raw) = entry.table.as_ref().filter(|_| entry.sound) else { return };
        let name = quoted(&entry.name);
        let (connections, requests) = (has_connections(raw), has_requests(raw));
        if !used.connections && connections && !requests {
            let message = format!("limit {name} has no effect here: connections are counted where they come in");
            self.reader.report(field.span.clone(), message, "name it in `limit` of the listener");
        } else if !used.requests && requests && !connections {
            let message = format!("limit {name} has no effect here: `protocol = \"tcp\"` knows no requests");
            let help = "remove it, or write `connections` or `connection_rate` in it";
            self.reader.report(field.span.clone(), message, help);
        }
    }

    fn report_unknown(&mut self, field: &Field<Name>) {
        if self.reader.is_full() {
            return;
        }
        let name = &field.value.0;
        let known: Vec<&str> = self.entries.iter().map(|entry| &*entry.name).collect();
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if known.is_empty() => "write `[limit.per_address]` and below it `requests = 20`".to_owned(),
            None => format!("the limits are: {}", listed(&known)),
        };
        self.reader.report(field.span.clone(), format!("there is no limit {}", quoted(name)), help);
    }
}

/// Where the file says so, if it does.
fn place<T>(field: Option<&Field<T>>) -> Option<Range<usize>> {
    field.map(|field| field.span.clone())
}

fn has_connections(raw: &raw::Limit) -> bool {
    raw.connections.is_some() || raw.connection_rate.is_some()
}

fn has_requests(raw: &raw::Limit) -> bool {
    raw.requests.is_some() || raw.request_rate.is_some()
}

/// Where a limit of one kind is, with its names.
fn given(raw: &raw::Limit, of_connections: bool) -> impl Iterator<Item = (&'static str, Range<usize>)> + use<> {
    let [at_once, in_time] = if of_connections {
        [("connections", place(raw.connections.as_ref())), ("connection_rate", place(raw.connection_rate.as_ref()))]
    } else {
        [("requests", place(raw.requests.as_ref())), ("request_rate", place(raw.request_rate.as_ref()))]
    };
    [at_once, in_time].into_iter().filter_map(|(key, span)| Some((key, span?)))
}

/// What a limit says that does not go together.
fn check(entry: &Entry<raw::Limit>, raw: &raw::Limit, reader: &mut Reader) {
    let (connections, requests) = (has_connections(raw), has_requests(raw));
    if !connections && !requests {
        let message = format!("limit {} limits nothing", quoted(&entry.name));
        let help =
            "write `connections = 100`, `requests = 20`, `connection_rate = \"50/s\"` or `request_rate = \"100/s\"`";
        reader.report(entry.span.clone(), message, help);
        return;
    }
    if raw.key.value != LimitKey::Client {
        for (key, span) in given(raw, true) {
            let message =
                format!("`{key}` needs `key = \"client\"`: a connection that comes tells nothing but an address");
            reader.report(span, message, format!("remove `{key}`, or make a limit of its own for it"));
        }
        if let Some(span) = raw.ipv6_prefix.where_given() {
            let message = "`ipv6_prefix` has no effect, as clients are not told by their addresses".to_owned();
            reader.report(span, message, "remove `ipv6_prefix`");
        }
    }
    let has_rate = raw.connection_rate.is_some() || raw.request_rate.is_some();
    if matches!(raw.over.value, Over::Delay(_)) && !has_rate {
        let message = "`delay` has no effect without a rate: nobody can tell when one of those at once ends".to_owned();
        reader.report(raw.over.span.clone(), message, "add `request_rate = \"100/s\"`, or write `over = \"reject\"`");
    }
    let why = if raw.over.value == Over::Close {
        "`over = \"close\"` gives no answer"
    } else if !requests {
        "connections that are too many are closed without an answer"
    } else {
        return;
    };
    if let Some(span) = raw.status.where_given() {
        reader.report(span, format!("`status` has no effect, as {why}"), "remove `status`");
    }
}

/// A limit must be named, and each of what it limits by somebody who has such.
fn check_use(entry: &Entry<raw::Limit>, raw: &raw::Limit, used: Use, reader: &mut Reader) {
    let name = quoted(&entry.name);
    if !used.is_any() {
        let message = format!("no listener and no route uses limit {name}");
        let help = format!("name it in a listener, as in `limit = \"{}\"`, or remove it", entry.name.escape_debug());
        reader.report(entry.span.clone(), message, help);
        return;
    }
    // Where that is all there is, it was reported where it is named.
    if !(has_connections(raw) && has_requests(raw)) {
        return;
    }
    let (of_connections, why) = match used {
        Use { connections: false, .. } => {
            (true, "only routes name this limit, and connections are counted by listeners")
        }
        Use { requests: false, .. } => (false, "only listeners with `protocol = \"tcp\"` name this limit"),
        _ => return,
    };
    for (key, span) in given(raw, of_connections) {
        reader.report(span, format!("`{key}` has no effect, as {why}"), format!("remove `{key}`"));
    }
}

fn limit(entry: &Entry<raw::Limit>, raw: &raw::Limit) -> Limit {
    let rules = ClientRules {
        connections: at_once(raw.connections.as_ref()),
        requests: at_once(raw.requests.as_ref()),
        connection_rate: raw.connection_rate.as_ref().map(|field| field.value.0),
        request_rate: raw.request_rate.as_ref().map(|field| field.value.0),
        entries: NonZeroUsize::new(raw.entries.value.0 as usize).unwrap_or(NonZeroUsize::MIN),
        dry_run: raw.dry_run.value,
    };
    Limit {
        name: entry.name.clone(),
        key: raw.key.value.clone(),
        ipv6_prefix: raw.ipv6_prefix.value.0 as u8,
        rules,
        over: raw.over.value,
        status: raw.status.value.0 as u16,
    }
}

fn at_once<const MIN: u64, const MAX: u64>(field: Option<&Field<Whole<MIN, MAX>>>) -> Option<NonZeroU32> {
    field.and_then(|field| NonZeroU32::new(field.value.0 as u32))
}
