//! A route is told of only where no request could have it.

use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::probe::Pattern;
use crate::route::{Asked, Parameters};

fn when(text: &str) -> When {
    routes(&[text]).remove(0).when
}

/// Routes whose conditions are these, in front of one pool; without any report about them.
fn routes(conditions: &[&str]) -> Vec<Route> {
    let routes: Vec<_> = conditions.iter().map(|text| format!("{{ {text} }}")).collect();
    // Each alone, so that none is told to be covered by another.
    let read = |route: &String| {
        let route = route.replacen("{ ", "{ respond = {}, ", 1);
        let text = format!("[listen.web]\nbind = \"8080\"\nroute = [{route}]\n");
        let config = crate::parse("routes.toml", &text).unwrap_or_else(|problems| panic!("{problems}"));
        config.listeners[0].target.routes()[0].clone()
    };
    routes.iter().map(read).collect()
}

#[test]
fn an_earlier_route_covers_a_later_one_when_each_condition_follows() {
    let covered = [
        ("method = \"GET\"", "method = \"GET\", path = \"/a\""),
        ("host = \"*.example.com\"", "host = [\"a.example.com\", \"*.b.example.com\"]"),
        ("path = \"/\"", "path = { regex = '^/a' }"),
        ("path = \"/\"", "method = \"GET\", path = [\"/a\", { exact = \"/b\" }]"),
        ("path = \"/v1/\"", "path = [\"/v1/users\", { exact = \"/v1\" }]"),
        ("path = { prefix = \"/A\", ignore_case = true }", "path = \"/a/b\""),
        ("path = \"/1\"", "path = { prefix = \"/1/a\", ignore_case = true }"),
        ("path = { regex = '^/u' }", "path = [{ exact = \"/u\" }, { exact = \"/user\" }]"),
        ("method = [\"GET\", \"POST\"]", "method = \"POST\""),
        ("header = { x-a = true }", "header = { X-A = \"1\", x-b = false }"),
        ("query = { v = { regex = '^2' } }", "query = { v = \"21\" }"),
        ("client = [\"10.0.0.0/8\", \"unix\"]", "client = [\"10.1.0.0/16\", \"unix\"]"),
        ("client = \"::/0\"", "client = \"2001:db8::1\""),
    ];
    for (one, other) in covered {
        assert!(covers(&when(one), &when(other)), "{one} covers {other}");
        assert!(!covers(&when(other), &when(one)), "{other} does not cover {one}");
    }
    let apart = [
        ("path = \"/a\"", "path = \"/ab\""),
        ("path = \"/a\"", "path = { prefix = \"/a\", ignore_case = true }"),
        ("host = \"*.a.example\"", "host = \"a.example\""),
        ("path = { exact = \"/a\" }", "path = \"/a\""),
        ("path = { regex = 'a' }", "path = { regex = 'aa' }"),
        ("path = { regex = 'a' }", "path = { exact = \"/a\", ignore_case = true }"),
        ("header = { x-a = false }", "header = { x-a = true }"),
        ("client = \"0.0.0.0/0\"", "client = \"::1\""),
        ("query = { v = \"1\" }", "header = { v = \"1\" }"),
    ];
    for (one, other) in apart {
        assert!(!covers(&when(one), &when(other)), "{one} does not cover {other}");
    }
}

#[test]
fn a_thousand_routes_are_looked_through_at_once() {
    let one = when("host = \"a.example\", path = \"/a\"");
    let route = |number: usize| {
        let mut when = one.clone();
        // The longer part in common comes first, as it is slow to compare.
        when.paths =
            vec![PathPattern::Prefix { path: format!("/a/long/beginning/of/a/path/{number}"), ignore_case: false }];
        Route { line: number + 1, when, ..Route::to_pool("app") }
    };
    let routes: Vec<_> = (0..1000).map(route).collect();
    let mut reader = Reader::default();
    let begin = Instant::now();
    check(&routes, &vec![0..1; routes.len()], false, &mut reader);
    let took = begin.elapsed();
    assert_eq!(reader.reported(), 0);
    // Ten times what it should take at most in a build without optimisation on a machine that is busy.
    assert!(took.as_millis() < 500, "{took:?}");
}

/// Few words, so that chance makes them meet.
fn any_path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&["/a", "/A", "/b", "/ab", "/1"][..]), 0..3)
        .prop_map(|segments| segments.concat())
}

fn any_when() -> impl Strategy<Value = When> {
    let host = prop::sample::select(&["a", "x.a", "y.x.a", "b"][..]).prop_map(str::to_owned);
    let hosts = prop_oneof![host.clone().prop_map(HostPattern::Exact), host.prop_map(HostPattern::Below)];
    let regex = prop::sample::select(&["a", "^/a", "b$", "(?i)a"][..])
        .prop_map(|text| Pattern(regex::bytes::Regex::new(text).unwrap()));
    let paths = prop_oneof![
        (any_path(), any::<bool>()).prop_map(|(path, ignore_case)| PathPattern::Prefix { path, ignore_case }),
        (any_path(), any::<bool>())
            .prop_map(|(path, ignore_case)| PathPattern::Exact { path: format!("{path}/a"), ignore_case }),
        regex.clone().prop_map(PathPattern::Regex),
    ];
    let value = prop_oneof![
        Just(ValuePattern::Present),
        Just(ValuePattern::Absent),
        prop::sample::select(&["a", "b", "aa"][..]).prop_map(|text| ValuePattern::Exact(text.to_owned())),
        regex.prop_map(ValuePattern::Regex),
    ];
    let values = || {
        let name = prop::sample::select(&["p", "q"][..]).prop_map(str::to_owned);
        prop::collection::vec((name, value.clone()), 0..2)
    };
    let methods = prop::collection::vec(prop::sample::select(&["GET", "PUT"][..]).prop_map(str::to_owned), 0..2);
    let network = |address: u8, bits: u8| {
        let address = u32::from(address) << 24 & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        Network::Ip { address: std::net::Ipv4Addr::from(address).into(), bits }
    };
    let clients = prop_oneof![
        (any::<u8>(), 0_u8..9).prop_map(move |(address, bits)| network(address, bits)),
        Just(Network::Unix),
    ];
    (
        prop::collection::vec(hosts, 0..3),
        prop::collection::vec(paths, 0..3),
        methods,
        values(),
        values(),
        prop::collection::vec(clients, 0..2),
    )
        .prop_map(|(hosts, paths, methods, headers, query, clients)| When {
            hosts,
            paths,
            methods,
            headers,
            query,
            clients,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn what_covers_a_route_meets_whatever_meets_that(
        (earlier, later) in (any_when(), any_when()),
        asked in prop::collection::vec((
            prop::option::of(prop::sample::select(&["a", "x.a", "y.x.a", "b", "c.b"][..])),
            (any_path(), prop::sample::select(&["", "/", "/a"][..])),
            prop::sample::select(&["GET", "PUT", "HEAD"][..]),
            prop::collection::vec((prop::sample::select(&["p", "q"][..]), prop::sample::select(&["a", "b", "aa", ""][..])), 0..3),
            prop::sample::select(&["", "p=a", "p=b&q=aa", "p", "q=a"][..]),
            prop::option::of(any::<[u8; 4]>()),
        ), 32),
    ) {
        let covered = covers(&earlier, &later);
        for (host, (path, end), method, fields, query, client) in asked {
            let fields: Vec<_> =
                fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let path = format!("{path}{end}");
            let path = if path.is_empty() { "/" } else { &*path };
            let query = &Parameters::of(query);
            let asked = Asked { method, host, path, query, fields: &fields, client: client.map(Into::into) };
            if covered && later.refusal(&asked).is_none() {
                prop_assert_eq!(earlier.refusal(&asked), None);
            }
        }
    }

    #[test]
    fn every_route_covers_itself_and_all_covers_everything(one in any_when()) {
        prop_assert!(covers(&one, &one));
        prop_assert!(covers(&When::default(), &one));
    }
}
