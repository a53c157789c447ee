//! The routes of a listener: the requests they are for, what those come to, and that each can match.

use std::collections::HashMap;
use std::ops::Range;

use super::lists::unique;
use super::{coverage, denied, redirect, rules};
use crate::files::Files;
use crate::http::Named;
use crate::page::Page;
use crate::raw;
use crate::reader::Reader;
use crate::route::written::ValueTest;
use crate::route::{Action, PathPattern, Respond, Route, RouteRules, Share, ValuePattern, When, is_below};
use crate::setting::Field;
use crate::value::OneOrMore;
use crate::wording::quoted;

/// The most routes of a listener: to find those that can never match, each is held against all before it.
const MOST_ROUTES: usize = 10_000;

/// The routes of a listener of HTTP, the last of which stands for its own pool or redirect. `rules` are what it says for all
/// of them. `sound` is whether all its settings could be read.
pub(super) fn resolve(
    raw: &raw::Listener,
    rules: &RouteRules,
    sound: bool,
    files: &mut Files<'_>,
    reader: &mut Reader,
) -> Vec<Route> {
    let given: &[Field<raw::Route>] = raw.route.as_ref().map_or(&[], |routes| &routes.value.0);
    if let Some(routes) = raw.route.as_ref().filter(|routes| sound && routes.value.0.is_empty()) {
        let help = "write `[[listen.web.route]]` and below it `path = \"/\"` and `pool = \"app\"`, or remove `route`";
        reader.report(routes.span.clone(), "`route` is an empty list".to_owned(), help);
    }
    if let Some(beyond) = given.get(MOST_ROUTES) {
        let message = format!("a listener has at most {MOST_ROUTES} routes, and this is one more");
        reader.report(beyond.span.clone(), message, "put hosts or paths that go the same way into one route");
    }
    let reported = reader.reported();
    let mut routes: Vec<Route> = Vec::with_capacity(given.len() + 1);
    let mut names = Names::default();
    for (index, field) in given.iter().enumerate() {
        let route = &field.value;
        if sound {
            check_action(field, reader);
            check_strip(route, reader);
            redirect::check(route.redirect.as_ref(), raw.tls.is_some(), reader);
            rules::check(route, raw, reader);
            denied::check(route, raw, reader);
        }
        routes.push(Route {
            name: names.take(route, index + 1, reader),
            line: reader.line(field.span.start),
            when: when(route, reader),
            action: action(route, raw, files, reader),
            rules: rules::of_route(route, raw, rules, files, reader),
        });
    }
    let own = raw.pool.as_ref().map(|pool| &pool.span).or(raw.redirect.as_ref().map(|redirect| &redirect.span));
    // Without any route a listener that names nothing was reported, and gets a pool without a name.
    if own.is_some() || given.is_empty() {
        let action = match (&raw.redirect, &raw.pool) {
            (Some(redirect), _) => Action::Redirect(redirect::resolve(redirect, raw, reader)),
            (None, pool) => alone(pool.as_ref().map(|pool| pool.value.0.clone()).unwrap_or_default()),
        };
        routes.push(Route { rules: rules.clone(), ..Route::for_all(action) });
    }
    if sound && reader.reported() == reported {
        let spans: Vec<_> = given.iter().map(|field| field.span.clone()).chain(own.cloned()).collect();
        coverage::check(&routes, &spans, raw.redirect.is_some(), reader);
    }
    routes
}

/// The names of routes, and at which place each is.
#[derive(Default)]
struct Names(HashMap<String, usize>);

impl Names {
    /// The name of the route at `place`, counted from 1, which must be its own.
    fn take(&mut self, route: &raw::Route, place: usize, reader: &mut Reader) -> String {
        let Some(field) = &route.name else {
            let name = format!("route {place}");
            self.0.insert(name.clone(), place);
            return name;
        };
        let name = &field.value.0;
        if name == Route::OF_LISTENER {
            let what = format!("{} is what the listener's own pool or redirect is called", quoted(name));
            reader.report(field.span.clone(), what, "choose another name");
        }
        let numbered = name.strip_prefix("route ").and_then(|number| number.parse().ok());
        if numbered.is_some_and(|number: usize| number != place) {
            let what = format!("{} is what a route at another place is called", quoted(name));
            reader.report(field.span.clone(), what, "choose another name");
        } else if let Some(other) = self.0.insert(name.clone(), place) {
            let what = format!("route {other} is called {} already", quoted(name));
            reader.report(field.span.clone(), what, "choose another name");
        }
        name.clone()
    }
}

/// The requests that a route is for.
fn when(raw: &raw::Route, reader: &mut Reader) -> When {
    When {
        hosts: each("host", raw.host.as_ref(), Clone::clone, reader),
        paths: each("path", raw.path.as_ref(), |path| path.0.clone(), reader),
        methods: each("method", raw.method.as_ref(), |method| method.0.clone(), reader),
        headers: headers(raw.header.as_ref().map_or(&[], |fields| &fields.value.0), reader),
        query: raw.query.iter().flat_map(|query| &query.value.0).map(condition).collect(),
        clients: each("client", raw.client.as_ref(), |network| *network, reader),
    }
}

fn condition(named: &Named<ValueTest>) -> (String, ValuePattern) {
    (named.name.clone(), named.field.value.0.clone())
}

/// What a list says that may be left out.
fn each<T, U: PartialEq>(
    key: &str,
    list: Option<&Field<OneOrMore<T>>>,
    what: impl Fn(&T) -> U,
    reader: &mut Reader,
) -> Vec<U> {
    list.map_or_else(Vec::new, |list| unique(key, list, what, reader))
}

/// The conditions on fields, by their names in lower case.
fn headers(fields: &[Named<ValueTest>], reader: &mut Reader) -> Vec<(String, ValuePattern)> {
    let mut all = Vec::with_capacity(fields.len());
    for field in fields {
        let (name, value) = condition(field);
        let name = name.to_ascii_lowercase();
        if name == "host" {
            let message = "the field `Host` has a setting of its own".to_owned();
            reader.report(field.span.clone(), message, "write `host = \"www.example.com\"` beside `header`");
        }
        if matches!(&value, ValuePattern::Exact(text) if text.trim_matches([' ', '\t']) != text) {
            let message =
                format!("{} begins or ends with a space, which values of fields never do", quoted(&field.name));
            reader.report(field.field.span.clone(), message, "remove the space");
        }
        all.push((name, value));
    }
    all
}

/// What the requests of a route come to. Where the file does not say it, which was reported, a pool without a name.
fn action(raw: &raw::Route, listener: &raw::Listener, files: &mut Files<'_>, reader: &mut Reader) -> Action {
    if let Some(redirect) = &raw.redirect {
        return Action::Redirect(redirect::resolve(redirect, listener, reader));
    }
    if let Some(respond) = &raw.respond {
        return Action::Respond(self::respond(&respond.value, files, reader));
    }
    match &raw.split {
        Some(split) => {
            let shares = split.value.0.iter();
            Action::Pools(shares.map(|(pool, weight)| Share { pool: pool.value.0.clone(), weight: *weight }).collect())
        }
        None => alone(raw.pool.as_ref().map(|pool| pool.value.0.clone()).unwrap_or_default()),
    }
}

/// All requests to one pool.
fn alone(pool: String) -> Action {
    Action::Pools(vec![Share { pool, weight: 1 }])
}

/// A route has one of four things to do with its requests.
fn check_action(field: &Field<raw::Route>, reader: &mut Reader) {
    let raw = &field.value;
    let given: [(&str, Option<&Range<usize>>); 4] = [
        ("pool", raw.pool.as_ref().map(|field| &field.span)),
        ("split", raw.split.as_ref().map(|field| &field.span)),
        ("redirect", raw.redirect.as_ref().map(|field| &field.span)),
        ("respond", raw.respond.as_ref().map(|field| &field.span)),
    ];
    let mut given = given.into_iter().filter_map(|(key, span)| Some((key, span?)));
    match (given.next(), given.next()) {
        (None, _) => {
            let message = "a route without a target: it does not say what its requests come to".to_owned();
            reader.report(field.span.clone(), message, "add `pool = \"app\"`, or `split`, `redirect` or `respond`");
        }
        (Some((one, _)), Some((other, span))) => {
            let message = format!("`{one}` and `{other}` are two targets, of which a route has one");
            reader.report(span.clone(), message, "remove one of the two");
        }
        _ => {}
    }
    if let Some((split, [(only, _)])) = raw.split.as_ref().map(|split| (split, &split.value.0[..])) {
        let message = "`split` needs two pools to split requests between".to_owned();
        reader.report(split.span.clone(), message, format!("write `pool = \"{}\"`", only.value.0.escape_debug()));
    }
}

/// What is cut off must be there: of every path that the route is for.
fn check_strip(raw: &raw::Route, reader: &mut Reader) {
    let Some(strip) = &raw.strip_prefix else { return };
    for path in raw.path.iter().flat_map(|paths| &paths.value.0) {
        let (whole, ignore_case) = match &path.value.0 {
            PathPattern::Exact { path, ignore_case } | PathPattern::Prefix { path, ignore_case } => {
                (path, *ignore_case)
            }
            PathPattern::Regex(_) => continue,
        };
        if !is_below(whole, &strip.value.0, ignore_case) {
            let whole = if whole.is_empty() { "/" } else { whole };
            let (strip_text, whole) = (quoted(&strip.value.0), quoted(whole));
            let message =
                format!("`strip_prefix` would cut nothing, as {strip_text} is no beginning of the path {whole}");
            reader.report(strip.span.clone(), message, "write what the `path` of this route begins with, or remove it");
            return;
        }
    }
}

/// Answers that have no content (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5).
const NO_CONTENT: [u64; 3] = [204, 205, 304];

fn respond(raw: &raw::Respond, files: &mut Files<'_>, reader: &mut Reader) -> Respond {
    let body = raw.body.as_ref().map(|body| &body.span);
    let page = raw.page.as_ref().map(|page| &page.span);
    let status = raw.status.value.0;
    match (body, page) {
        (Some(_), Some(page)) => {
            let message = "`body` and `page` both say what the answer is".to_owned();
            reader.report(page.clone(), message, "remove one of the two");
        }
        (Some(span), _) | (_, Some(span)) if NO_CONTENT.contains(&status) => {
            let message = format!("an answer with status {status} has no content");
            reader.report(span.clone(), message, "remove it, or choose another status such as 200");
        }
        _ => {}
    }
    let text = |text: &str| Page { content_type: "text/plain; charset=utf-8", content: text.as_bytes().into() };
    let page = raw.page.as_ref().and_then(|page| files.page("page", page, reader));
    Respond { status: status as u16, page: page.or_else(|| raw.body.as_ref().map(|body| text(&body.value.0))) }
}
