//! `plimsoll route`: which route would a request have, why not one before it, and what else decides about it?
//!
//! Nothing is asked but the configuration: the data plane's own code looks for the route, in the head that a client would send.

use std::fmt::Write;
use std::net::IpAddr;

use plimsoll_config::{Config, Listener, ListenerProtocol, Route};
use plimsoll_proxy::{Choice, choose_route};
use serde_json::json;

use crate::arguments::RouteOf;
use crate::failure::Failure;
use crate::remote::table::{Cell, Column, Sheet, Table, Tint};
use crate::remote::text::visible;
use crate::{console, source};
use gates::Gates;

mod gates;

/// What a request is asked at: a URL taken apart, nothing in it changed.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    /// `None` is a path alone.
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    /// Path and query; may be empty.
    target: &'a str,
}

/// Says which route a request would have.
pub(crate) fn run(arguments: &RouteOf) -> Result<(), Failure> {
    let config = source::from_file(Some(&arguments.file), "")?;
    let url = Url::parse(&arguments.url)?;
    let listener = listener(&config, arguments.listener.as_deref(), &url)?;
    let head = head(arguments, &url)?;
    let client = arguments.client.map_or(IpAddr::from([127, 0, 0, 1]), |client| client.to_canonical());
    let routes = listener.target.routes();
    let choice = choose_route(routes, &head, Some(client));
    let choice = choice.map_err(|wrong| {
        let (status, reason) = (wrong.status, wrong.reason);
        Failure::Running(anyhow::anyhow!("no route is looked for: such a request gets {status}, {reason}"))
    })?;
    let found = routes.get(choice.refusals.len());
    let gates = Gates::new(&config, listener, found, client);
    let told = Told { listener: &listener.name, routes, choice: &choice, found, gates: &gates };
    console::print(&if arguments.json { told.as_json() } else { told.as_text(Sheet::stdout()) })?;
    match (found, &gates.denied) {
        (Some(_), _) => Ok(()),
        (None, denied) => {
            let status = if denied.is_some() { 403 } else { 404 };
            Err(Failure::Running(anyhow::anyhow!("no route is for this request: it gets {status}")))
        }
    }
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> Result<Self, Failure> {
        let url = url.split('#').next().unwrap_or_default();
        if url.starts_with('/') || url == "*" {
            return Ok(Self { scheme: None, authority: None, target: url });
        }
        let wrong = || format!("{url:?} is no URL; write http://app.example/path, or /path alone");
        let (scheme, rest) = url.split_once("://").ok_or_else(|| Failure::Arguments(wrong()))?;
        let scheme = ["http", "https"].into_iter().find(|known| known.eq_ignore_ascii_case(scheme));
        let scheme = scheme.ok_or_else(|| Failure::Arguments(wrong()))?;
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return Err(Failure::Arguments(wrong()));
        }
        Ok(Self { scheme: Some(scheme), authority: Some(authority), target })
    }

    /// The port that it says or means.
    fn port(&self) -> Option<u16> {
        let behind_host = self.authority?.rsplit_once(']').map_or(self.authority?, |(_, behind)| behind);
        let usual = if self.scheme == Some("https") { 443 } else { 80 };
        behind_host.rsplit_once(':').map_or(Some(usual), |(_, port)| port.parse().ok())
    }
}

/// The listener that was named, the one that the URL leads to, or the only one there is.
fn listener<'a>(config: &'a Config, named: Option<&str>, url: &Url<'_>) -> Result<&'a Listener, Failure> {
    let all = || config.listeners.iter().filter(|listener| listener.protocol == ListenerProtocol::Http);
    let names = |among: &[&Listener]| among.iter().map(|listener| &*listener.name).collect::<Vec<_>>().join(", ");
    if let Some(named) = named {
        let known = names(&all().collect::<Vec<_>>());
        let wrong = || format!("there is no listener of HTTP called {named:?}; there are: {known}");
        return all().find(|listener| listener.name == *named).ok_or_else(|| Failure::Arguments(wrong()));
    }
    let speaks = |listener: &&Listener| url.scheme.is_none_or(|scheme| scheme == listener.scheme());
    let is_at = |listener: &&Listener| {
        listener.binds.iter().filter_map(plimsoll_config::Bind::ip).any(|at| Some(at.port()) == url.port())
    };
    let narrowed: [Vec<&Listener>; 3] =
        [all().filter(speaks).filter(is_at).collect(), all().filter(speaks).collect(), all().collect()];
    if let Some([only]) = narrowed.iter().find(|found| !found.is_empty()).map(Vec::as_slice) {
        return Ok(only);
    }
    let known = names(&narrowed[2]);
    Err(Failure::Arguments(if known.is_empty() {
        "no listener of this configuration speaks HTTP, so there are no routes".to_owned()
    } else {
        format!("the URL leads to no single listener; name one with --listener: {known}")
    }))
}

/// The head that a client would send. One that names no host speaks the version that needs none.
fn head(arguments: &RouteOf, url: &Url<'_>) -> Result<String, Failure> {
    let mut fields = String::new();
    let mut names_host = false;
    for field in &arguments.header {
        let (name, value) = field
            .split_once(':')
            .filter(|(name, _)| !name.trim().is_empty())
            .ok_or_else(|| Failure::Arguments(format!("{field:?} is no field of a head; write -H 'Name: value'")))?;
        if field.contains(['\r', '\n']) {
            return Err(Failure::Arguments(format!(
                "{field:?} has a line end in it; write each field with its own -H"
            )));
        }
        names_host |= name.eq_ignore_ascii_case("host");
        let _ = write!(fields, "{name}: {}\r\n", value.trim());
    }
    let host = url.authority.filter(|_| !names_host);
    let version = if host.is_some() || names_host { "1.1" } else { "1.0" };
    let host = host.map_or_else(String::new, |host| format!("Host: {host}\r\n"));
    let target = match url.target {
        query if query.is_empty() || query.starts_with('?') => format!("/{query}"),
        target => target.to_owned(),
    };
    Ok(format!("{} {target} HTTP/{version}\r\n{host}{fields}\r\n", arguments.method))
}

/// What became of the look for a route.
struct Told<'a> {
    /// The name of the listener.
    listener: &'a str,
    routes: &'a [Route],
    choice: &'a Choice<'a>,
    found: Option<&'a Route>,
    gates: &'a Gates<'a>,
}

const COLUMNS: [Column; 4] =
    [Column::text("", 0), Column::text("route", 0), Column::number("line", 1), Column::text("verdict", 0)];

impl Told<'_> {
    fn as_text(&self, sheet: Sheet) -> String {
        let mut text = format!("listener {}\n", visible(self.listener));
        let mut table = Table::new(&COLUMNS);
        // The route that stands for the listener itself stands in no line of its own.
        let line = |route: &Route| if route.line == 0 { String::new() } else { route.line.to_string() };
        for (route, refusal) in self.routes.iter().zip(&self.choice.refusals) {
            let why = visible(&refusal.to_string());
            table.push(vec!["".into(), visible(&route.name).into(), line(route).into(), why.into()]);
        }
        if let Some(route) = self.found {
            let verdict = Cell::new(visible(&self.comes_to(route)), Tint::Good);
            let name = Cell::new(visible(&route.name), Tint::Good);
            table.push(vec![Cell::new(">", Tint::Good), name, line(route).into(), verdict]);
        }
        text.push_str(&table.render(sheet));
        for gate in self.gates.lines() {
            let _ = writeln!(text, "{}", visible(&gate));
        }
        if self.found.is_some_and(|route| route.pools().next().is_some()) && self.gates.denied.is_none() {
            let _ = writeln!(text, "servers are asked for {}", visible(&self.choice.target));
        }
        text
    }

    fn as_json(&self) -> String {
        let route = |route: &Route| json!({ "name": route.name, "line": (route.line > 0).then_some(route.line) });
        let earlier = self.routes.iter().zip(&self.choice.refusals).map(|(route, refusal)| {
            json!({ "name": route.name, "line": (route.line > 0).then_some(route.line), "why_not": refusal.to_string() })
        });
        let told = json!({
            "listener": self.listener,
            "route": self.found.map(route),
            "comes_to": self.found.map(|route| self.comes_to(route)),
            "target": self.found.map(|_| &self.choice.target),
            "forbidden": self.gates.denied.is_some(),
            "gates": self.gates.as_json(),
            "earlier": earlier.collect::<Vec<_>>(),
        });
        format!("{told:#}\n")
    }

    fn comes_to(&self, route: &Route) -> String {
        let denied = self.gates.denied.is_some();
        if denied { "answer 403: this client may not ask".to_owned() } else { route.action.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_nothing_in_it_is_changed() {
        let parsed = |url| Url::parse(url).unwrap();
        let url = parsed("HTTPS://A.example:8443/a/../b?c#d");
        let expected = Url { scheme: Some("https"), authority: Some("A.example:8443"), target: "/a/../b?c" };
        assert_eq!((url.port(), url), (Some(8443), expected));
        assert_eq!((parsed("http://[::1]?q").port(), parsed("http://[::1]?q").target), (Some(80), "?q"));
        assert_eq!((parsed("https://[::1]:1/").port(), parsed("https://a").port()), (Some(1), Some(443)));
        assert_eq!((parsed("/x").scheme, parsed("/x").port()), (None, None));
        for wrong in ["x", "ftp://a/", "http://", "http:///x", ""] {
            assert!(matches!(Url::parse(wrong), Err(Failure::Arguments(_))), "{wrong}");
        }
    }
}
