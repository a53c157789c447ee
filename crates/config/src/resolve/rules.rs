//! The rules of routes: what they say themselves, and what they have from their listener.

use std::ops::Range;
use std::sync::Arc;

use super::failure::retry;
use super::head::{self, Side};
use super::limit;
use super::lists::unique;
use crate::bind;
use crate::files::Files;
use crate::http::Named;
use crate::network::{Network, NetworkSet};
use crate::page::Page;
use crate::probe::StatusSet;
use crate::raw;
use crate::reader::Reader;
use crate::route::{Access, BasicAuth, Compress, HeaderEdit, Mirror, RouteRules, RouteTimeouts};
use crate::secret::FilePath;
use crate::setting::Field;
use crate::template::{Template, Variable};
use crate::users::Users;
use crate::value::{OneOrMore, OrOff};
use crate::wording::quoted;

/// What a listener says for all its routes.
pub(super) fn of_listener(
    raw: &raw::Listener,
    access: &Access,
    files: &mut Files<'_>,
    reader: &mut Reader,
) -> RouteRules {
    let response_headers = head::edits(raw.response_headers.as_ref(), Side::Response, raw, reader);
    let compress = compress(&raw.compress, reader);
    if compress.is_some() {
        check_encoding(raw.response_headers.as_ref(), reader);
    }
    RouteRules {
        request_headers: head::edits(raw.request_headers.as_ref(), Side::Request, raw, reader),
        response_headers,
        max_body: raw.max_body.as_ref().map(|max| max.value.0),
        access: Some(access).filter(|access| **access != Access::default()).cloned().into_iter().collect(),
        limits: limit::names(raw.limit.as_ref()),
        basic_auth: basic_auth(&raw.basic_auth, files, reader),
        errors: errors(raw.errors.as_ref(), files, reader),
        compress,
        ..RouteRules::default()
    }
}

/// What a route says, and from its listener, which has `rules`, what it leaves open.
pub(super) fn of_route(
    raw: &raw::Route,
    listener: &raw::Listener,
    rules: &RouteRules,
    files: &mut Files<'_>,
    reader: &mut Reader,
) -> RouteRules {
    let own_access = access(
        [("allow", raw.allow.as_ref()), ("deny", raw.deny.as_ref())],
        [("allow_file", raw.allow_file.as_ref()), ("deny_file", raw.deny_file.as_ref())],
        by_unix(listener),
        files,
        reader,
    );
    let own_access = Some(own_access).filter(|access| *access != Access::default());
    let segments = |field: Option<&Field<crate::route::written::Segments>>| {
        field.map(|field| field.value.0.clone()).unwrap_or_default()
    };
    let (request, response) = (raw.request_headers.as_ref(), raw.response_headers.as_ref());
    let response_headers = after(&rules.response_headers, head::edits(response, Side::Response, listener, reader));
    let compress = match &raw.compress {
        // Answers of ours are short.
        _ if raw.redirect.is_some() || raw.respond.is_some() => None,
        Some(own) => compress(own, reader),
        None => rules.compress.clone(),
    };
    if compress.is_some() {
        check_encoding(response, reader);
    }
    if let Some(own) = raw.compress.as_ref().filter(|_| compress.is_some() && rules.compress.is_none())
        && says_encoding(&rules.response_headers)
        && says_encoding(&response_headers)
    {
        report_encoding_of_listener(own.span.clone(), reader);
    }
    RouteRules {
        strip_prefix: segments(raw.strip_prefix.as_ref()),
        add_prefix: segments(raw.add_prefix.as_ref()),
        request_headers: after(&rules.request_headers, head::edits(request, Side::Request, listener, reader)),
        response_headers,
        timeouts: raw.timeout.as_ref().map(|field| timeouts(&field.value)).unwrap_or_default(),
        retry: raw.retry.as_ref().map(|field| retry(field, reader).0),
        max_body: raw.max_body.as_ref().map_or(rules.max_body, |max| max.value.0),
        access: rules.access.iter().cloned().chain(own_access).collect(),
        limits: after(&rules.limits, limit::names(raw.limit.as_ref())),
        basic_auth: match &raw.basic_auth {
            Some(own) => basic_auth(own, files, reader),
            None => rules.basic_auth.clone(),
        },
        errors: after(&errors(raw.errors.as_ref(), files, reader), rules.errors.clone()),
        mirror: raw.mirror.as_ref().map(|mirror| self::mirror(&mirror.value)),
        compress,
    }
}

fn after<T: Clone>(first: &[T], then: Vec<T>) -> Vec<T> {
    first.iter().cloned().chain(then).collect()
}

/// Reports what a route of `listener` says that has no effect.
pub(super) fn check(raw: &raw::Route, listener: &raw::Listener, reader: &mut Reader) {
    let why = match (&raw.redirect, &raw.respond) {
        (Some(redirect), _) => {
            check_prefixes(raw, &redirect.value.0, reader);
            "`redirect` forwards nothing"
        }
        (_, Some(respond)) => {
            check_location(raw, &respond.value, listener, reader);
            "`respond` forwards nothing"
        }
        _ => return check_forwarding(raw, reader),
    };
    let strips = raw.redirect.is_none();
    let given: [(&str, Option<Range<usize>>); 7] = [
        ("strip_prefix", place(raw.strip_prefix.as_ref().filter(|_| strips))),
        ("add_prefix", place(raw.add_prefix.as_ref().filter(|_| strips))),
        ("request_headers", place(raw.request_headers.as_ref())),
        ("timeout", place(raw.timeout.as_ref())),
        ("retry", place(raw.retry.as_ref())),
        ("mirror", place(raw.mirror.as_ref())),
        ("compress", place(raw.compress.as_ref())),
    ];
    for (key, span) in given {
        if let Some(span) = span {
            reader.report(span, format!("`{key}` has no effect, as {why}"), format!("remove `{key}`"));
        }
    }
    for field in written(raw.response_headers.as_ref()) {
        let nobody = [Variable::Server, Variable::Pool].into_iter().find(|variable| field.field.value.names(*variable));
        if let Some(variable) = nobody {
            let message = format!("`${}` is always empty here, as {why}", variable.name());
            reader.report(field.field.span.clone(), message, "remove it");
        }
    }
}

/// The fields that edits write.
fn written(edits: Option<&Field<raw::HeaderEdits>>) -> impl Iterator<Item = &Named<Template>> {
    let lists = edits.into_iter().flat_map(|edits| [&edits.value.set, &edits.value.add]);
    lists.flatten().flat_map(|fields| &fields.value.0)
}

/// What is cut off the path or put before it shows only where the redirect tells of the path.
fn check_prefixes(raw: &raw::Route, redirect: &raw::RedirectTable, reader: &mut Reader) {
    let raw::RedirectTo::Address(to) = &redirect.to.value else { return };
    if to.names(Variable::Path) || to.names(Variable::Target) {
        return;
    }
    let given = [("strip_prefix", place(raw.strip_prefix.as_ref())), ("add_prefix", place(raw.add_prefix.as_ref()))];
    for (key, span) in given.into_iter().filter_map(|(key, span)| Some((key, span?))) {
        let message = format!("`{key}` has no effect, as the redirect has neither `$path` nor `$target` in it");
        reader.report(span, message, format!("end `to` with `$target`, or remove `{key}`"));
    }
}

/// What sends a client to the address in `Location` (RFC 9110, section 15.4) sends it nowhere without one.
fn check_location(raw: &raw::Route, respond: &raw::Respond, listener: &raw::Listener, reader: &mut Reader) {
    let status = respond.status.value.0;
    let mut fields = written(raw.response_headers.as_ref()).chain(written(listener.response_headers.as_ref()));
    let says = fields.any(|field| field.name.eq_ignore_ascii_case("location"));
    if raw::REDIRECT_STATUSES.iter().any(|known| u64::from(*known) == status) && !says {
        let message = format!("an answer with status {status} sends clients nowhere, as it has no address");
        let to = format!("redirect = {{ to = \"https://www.example.com$target\", status = {status} }}");
        reader.report(respond.status.span.clone(), message, format!("write `{to}` in place of `respond`"));
    }
}

fn check_forwarding(raw: &raw::Route, reader: &mut Reader) {
    if let Some(field) = raw.timeout.as_ref().filter(|field| timeouts(&field.value) == RouteTimeouts::default()) {
        reader.report(field.span.clone(), "`timeout` sets nothing".to_owned(), "write `{ first_byte = \"5m\" }`");
    }
    let budget = raw.retry.as_ref().and_then(|retry| retry.value.0.as_ref()?.budget.where_given());
    if let Some(span) = budget {
        let message = "`budget` has no effect in a route, as all retries of a pool share one".to_owned();
        reader.report(span, message, "remove it, and write it in `retry` of the pool");
    }
    let Some(mirror) = &raw.mirror else { return };
    let shares = raw.split.iter().flat_map(|split| &split.value.0).map(|(pool, _)| pool);
    if raw.pool.iter().chain(shares).any(|pool| pool.value == mirror.value.pool.value) {
        let name = quoted(&mirror.value.pool.value.0);
        let message = format!("`mirror` would send each request twice to pool {name}, which serves this route");
        reader.report(mirror.value.pool.span.clone(), message, "name another pool, or remove `mirror`");
    }
}

fn place<T>(field: Option<&Field<T>>) -> Option<Range<usize>> {
    field.map(|field| field.span.clone())
}

fn timeouts(raw: &raw::RouteTimeouts) -> RouteTimeouts {
    RouteTimeouts {
        connect: raw.connect.as_ref().map(|field| field.value.0),
        first_byte: raw.first_byte.as_ref().map(|field| field.value.0),
        idle: raw.idle.as_ref().map(|field| field.value.0),
        tunnel: raw.tunnel.as_ref().map(|field| field.value.0),
    }
}

fn mirror(raw: &raw::Mirror) -> Mirror {
    Mirror {
        pool: raw.pool.value.0.clone(),
        sample: raw.sample.value.0,
        max_body: raw.max_body.value.0 as usize,
        limit: raw.limit.value.0 as usize,
    }
}

type Listed<'a> = (&'a str, Option<&'a Field<OneOrMore<Network>>>);
type InFile<'a> = (&'a str, Option<&'a Field<FilePath>>);

/// Who may come: by the networks that are listed, first those allowed, then those denied, and by those in files. `by_unix` is
/// where some may come by a Unix socket.
pub(super) fn access(
    listed: [Listed<'_>; 2],
    in_files: [InFile<'_>; 2],
    by_unix: bool,
    files: &mut Files<'_>,
    reader: &mut Reader,
) -> Access {
    let mut set = |(_, listed): Listed<'_>, (key, file): InFile<'_>| {
        let networks = |field: &Field<OneOrMore<Network>>| field.value.0.iter().map(|one| one.value).collect();
        let here: Option<NetworkSet> = listed.map(networks);
        let there = file.and_then(|path| files.networks(key, path, reader));
        match (here, there) {
            (Some(here), Some(there)) => Some(Arc::new(here.with(&there))),
            (here, there) => here.map(Arc::new).or(there),
        }
    };
    let [allow, deny] = listed;
    let [allow_file, deny_file] = in_files;
    let denies = deny.1.map(|field| ("deny", &field.span)).or(deny_file.1.map(|field| ("deny_file", &field.span)));
    let access = Access { allow: set(allow, allow_file), deny: set(deny, deny_file) };
    if let (Some((key, span)), Some(deny)) = (denies, &access.deny) {
        let message = match &access.allow {
            Some(allow) if deny.covers(allow) => format!("`{key}` leaves nobody of those whom `allow` lets in"),
            None if deny.covers(&NetworkSet::everybody(by_unix)) => format!("`{key}` leaves nobody who could come"),
            _ => return access,
        };
        let help = "write a smaller network; a route that is for nobody says `respond = { status = 403 }`";
        reader.report(span.clone(), message, help);
    }
    access
}

/// Whether clients may come to a listener by a Unix socket.
pub(super) fn by_unix(listener: &raw::Listener) -> bool {
    listener.bind.value.0.iter().any(|bind| matches!(bind.value, bind::Bind::Unix(_)))
}

fn basic_auth(raw: &Field<OrOff<raw::BasicAuth>>, files: &mut Files<'_>, reader: &mut Reader) -> Option<BasicAuth> {
    let raw = raw.value.0.as_ref()?;
    let Users { by_name, file, exposed } = files.users(&raw.users, reader)?;
    Some(BasicAuth { realm: raw.realm.value.0.clone(), users: by_name, file, exposed })
}

fn errors(raw: Option<&Field<raw::ErrorPages>>, files: &mut Files<'_>, reader: &mut Reader) -> Vec<(StatusSet, Page)> {
    let pages = raw.into_iter().flat_map(|pages| &pages.value.0);
    pages
        .filter_map(|one| {
            let statuses = StatusSet::default().with(one.first, one.last);
            Some((statuses, files.page(&one.key, &one.page, reader)?))
        })
        .collect()
}

/// The field that `compress` writes, and by which it knows what is encoded already.
const ENCODING: &str = "Content-Encoding";

/// Reports that a value is given to the field that `compress` writes, which is on.
fn check_encoding(field: Option<&Field<raw::HeaderEdits>>, reader: &mut Reader) {
    let given = field.into_iter().flat_map(|field| [&field.value.set, &field.value.add]).flatten();
    for named in given.flat_map(|values| &values.value.0).filter(|named| named.name.eq_ignore_ascii_case(ENCODING)) {
        let message = "the field `Content-Encoding` is said by `compress`, which is on here".to_owned();
        reader.report(named.span.clone(), message, "remove it, or write `compress = \"off\"`");
    }
}

/// Reports that a route compresses what its listener gives that field.
fn report_encoding_of_listener(span: Range<usize>, reader: &mut Reader) {
    let message = "answers are compressed here, and the listener says `Content-Encoding` of them itself".to_owned();
    let help = "remove that field from `response_headers` of the listener, or name it in `remove` of this route";
    reader.report(span, message, help);
}

/// Whether answers have that field after these edits, whatever their server says.
fn says_encoding(edits: &[HeaderEdit]) -> bool {
    let mut said = edits.iter().filter_map(|edit| match edit {
        HeaderEdit::Set(name, _) | HeaderEdit::Add(name, _) if name.eq_ignore_ascii_case(ENCODING) => Some(true),
        HeaderEdit::Remove(name) if name.eq_ignore_ascii_case(ENCODING) => Some(false),
        _ => None,
    });
    said.next_back().unwrap_or(false)
}

fn compress(raw: &Field<raw::Compress>, reader: &mut Reader) -> Option<Compress> {
    let raw = raw.value.0.as_ref()?;
    Some(Compress {
        algorithms: unique("algorithms", &raw.algorithms, |word| word.0, reader),
        types: unique("types", &raw.types, |media| media.0.clone(), reader),
        min_size: raw.min_size.value.0,
    })
}
