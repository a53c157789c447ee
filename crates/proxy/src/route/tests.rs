//! Which route a request has, and what its servers are asked for.

use std::net::Ipv4Addr;

use plimsoll_config::{
    Access, HostPattern, Network, NetworkSet, Parameters, PathPattern, Pattern, Route as Rule, StatusSet, ValuePattern,
};
use proptest::prelude::*;

use super::*;
use crate::http1::request::HeadRules;

fn host(host: &str) -> HostPattern {
    match host.strip_prefix("*.") {
        Some(parent) => HostPattern::Below(parent.to_owned()),
        None => HostPattern::Exact(host.to_owned()),
    }
}

fn exact(path: &str) -> PathPattern {
    PathPattern::Exact { path: path.to_owned(), ignore_case: false }
}

fn prefix(path: &str) -> PathPattern {
    PathPattern::Prefix { path: path.trim_end_matches('/').to_owned(), ignore_case: false }
}

fn in_any_case(path: PathPattern) -> PathPattern {
    match path {
        PathPattern::Exact { path, .. } => PathPattern::Exact { path, ignore_case: true },
        PathPattern::Prefix { path, .. } => PathPattern::Prefix { path, ignore_case: true },
        regex @ PathPattern::Regex(_) => regex,
    }
}

/// Only the configuration makes expressions, wherever they stand in it.
fn pattern(regex: &str) -> Pattern {
    let text = format!(
        "[listen.a]\nbind = '127.0.0.1:1'\npool = 'p'\n[pool.p]\nservers = ['127.0.0.1:2']\nprobe = {{ http = '/', body = '{regex}' }}\n"
    );
    let config = plimsoll_config::parse("test", &text).unwrap();
    let Some(plimsoll_config::Check::Http(http)) = config.pools[0].probe.clone().map(|probe| probe.check) else {
        panic!("the probe asks by HTTP")
    };
    http.body.unwrap()
}

fn answering(when: When, rules: RouteRules) -> Rule {
    let respond = Action::Respond(Respond { status: 200, page: None });
    Rule { name: String::new(), line: 1, when, action: respond, rules }
}

fn routes(all: &[Rule]) -> Routes {
    let named = |(place, rule): (usize, &Rule)| Rule { name: place.to_string(), ..rule.clone() };
    let all: Vec<_> = all.iter().enumerate().map(named).collect();
    Routes::new(&all, &mut Catalog::default(), &mut RouteCounts::new(1)).unwrap()
}

fn to(paths: &[PathPattern]) -> Rule {
    answering(When { paths: paths.to_vec(), ..When::default() }, RouteRules::default())
}

/// The place of the route, and what its server is asked for where that is something else.
fn found(routes: &Routes, head: &str) -> Result<(Option<u32>, String), u16> {
    let mut request = RequestHead::default();
    request.parse(head.as_bytes(), HeadRules { max_target: 8000, bare_lf: false }).unwrap();
    let (mut target, client) = (Vec::new(), Some(Ipv4Addr::new(10, 0, 0, 7).into()));
    let found = routes.find((head.as_bytes(), &request), client, &mut target, &mut Scratch::default());
    let id = found.map_err(|reject| reject.status)?;
    Ok((id.map(|id| id.0), String::from_utf8(target).unwrap()))
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}

fn place(routes: &Routes, head: &str) -> Option<u32> {
    found(routes, head).unwrap().0
}

#[test]
fn the_first_route_that_fits_is_taken() {
    let all =
        routes(&[to(&[exact("/a")]), to(&[prefix("/a")]), to(&[prefix("/a/b"), exact("/c")]), to(&[prefix("/c")])]);
    let places = ["/a", "/a/x", "/a/b", "/ab", "/c", "/c/", "/c/d", "/"].map(|path| place(&all, &get(path)));
    assert_eq!(places, [Some(0), Some(1), Some(1), None, Some(2), Some(3), Some(3), None]);
}

#[test]
fn hosts_are_the_same_in_any_case_with_any_port_and_with_a_last_dot() {
    let of = |name| answering(When { hosts: vec![host(name)], ..When::default() }, RouteRules::default());
    let all = routes(&[of("a.example"), of("*.example"), of("[::1]")]);
    let asked = |host: &str| place(&all, &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    for host in ["a.example", "A.Example:8080", "a.example.", "a.EXAMPLE.:80"] {
        assert_eq!(asked(host), Some(0), "{host}");
    }
    for host in ["b.example", "x.y.example", "b.a.example", "X.A.EXAMPLE."] {
        assert_eq!(asked(host), Some(1), "{host}");
    }
    assert_eq!((asked("[::1]:80"), asked("example"), asked("aexample")), (Some(2), None, None));
    assert_eq!(place(&all, "GET http://A.example:80/x HTTP/1.0\r\n\r\n"), Some(0));
    assert_eq!(place(&all, "GET / HTTP/1.0\r\n\r\n"), None);
}

#[test]
fn what_else_a_route_asks_for_must_be_met() {
    let conditions = [
        When { methods: vec!["PUT".into()], ..When::default() },
        When { headers: vec![("x-beta".into(), ValuePattern::Exact("yes".into()))], ..When::default() },
        When { query: vec![("v".into(), ValuePattern::Regex(pattern("^2")))], ..When::default() },
        When { clients: vec!["10.0.0.8/32".parse_network()], ..When::default() },
        When { clients: vec!["10.0.0.0/8".parse_network()], ..When::default() },
    ];
    let all = routes(&conditions.map(|when| answering(when, RouteRules::default())));
    let with = |line: &str, fields: &str| place(&all, &format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    assert_eq!(with("PUT /", ""), Some(0));
    assert_eq!(with("GET /", "X-Beta: no\r\nX-BETA: yes\r\n"), Some(1));
    assert_eq!(with("GET /?w=1&v=2.1", ""), Some(2));
    assert_eq!(with("GET /?v=1", "X-Beta: no\r\n"), Some(4));
}

trait ParseNetwork {
    fn parse_network(&self) -> Network;
}

impl ParseNetwork for str {
    fn parse_network(&self) -> Network {
        let (address, bits) = self.split_once('/').unwrap();
        Network::Ip { address: address.parse().unwrap(), bits: bits.parse().unwrap() }
    }
}

#[test]
fn no_way_of_writing_a_path_dodges_its_route() {
    let all = routes(&[to(&[prefix("/admin")]), to(&[in_any_case(prefix("/Secret"))]), to(&[prefix("/")])]);
    for path in
        ["/admin", "//admin", "/./admin/x", "/x/../admin", "/%61dmin", "/x/%2e%2E/%61dmin/", "http://a.example/admin"]
    {
        assert_eq!(place(&all, &get(path)), Some(0), "{path}");
    }
    for path in ["/SECRET", "/secret/x", "/%53ecret"] {
        assert_eq!(place(&all, &get(path)), Some(1), "{path}");
    }
    for path in ["/x/..%2fadmin", "/x%2F..%2Fadmin", "/x/..\\admin", "/%2e%2e%5Cadmin", "/%2Fadmin"] {
        assert_eq!(found(&all, &get(path)), Err(400), "{path}");
    }
    // Both readings come to the same here.
    assert_eq!(place(&all, &get("/admin/a%2Fb")), Some(0));
    assert_eq!(place(&all, &get("/Admin/x")), Some(2), "another name to servers too");
    assert_eq!(found(&all, &get("/x%zz")), Err(400));
}

#[test]
fn servers_are_asked_for_the_path_that_was_matched() {
    let strips = RouteRules { strip_prefix: "/app".into(), add_prefix: "/v2".into(), ..RouteRules::default() };
    let all = routes(&[
        answering(When { paths: vec![in_any_case(prefix("/app"))], ..When::default() }, strips),
        to(&[prefix("/")]),
    ]);
    let target = |path: &str| found(&all, &get(path)).unwrap().1;
    assert_eq!(target("/APP/x/../y?z=/../"), "/v2/y?z=/../");
    assert_eq!(target("/app"), "/v2");
    assert_eq!(target("/x//y/%7e?q"), "/x/y/~?q");
    assert_eq!(target("/a%2fb"), "/a%2Fb");
    for path in ["/x", "/x?y//z", "/", "http://a.example", "http://a.example?q"] {
        assert_eq!(target(path), "", "{path}");
    }
    let star = "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n";
    assert_eq!(found(&all, star), Ok((Some(1), String::new())));
}

#[test]
fn where_no_route_looks_at_paths_they_are_forwarded_as_they_came() {
    let put = When { methods: vec!["PUT".into()], ..When::default() };
    let all = routes(&[answering(put, RouteRules::default()), to(&[])]);
    assert_eq!(found(&all, &get("/a/../%zz\\")), Ok((Some(1), String::new())));
}

#[test]
fn every_access_rule_must_let_a_client_in() {
    let set = |network: &str| Some(Arc::new(std::iter::once(network.parse_network()).collect::<NetworkSet>()));
    let allow = Access { allow: set("10.0.0.0/8"), deny: None };
    let deny = Access { allow: None, deny: set("10.6.0.0/16") };
    let all = routes(&[answering(When::default(), RouteRules { access: vec![allow, deny], ..RouteRules::default() })]);
    let lets = |address: &str| all.get(RouteId(0)).lets(Some(address.parse().unwrap()));
    assert!(lets("10.1.1.1") && lets("::ffff:10.1.1.1"));
    assert!(!lets("10.6.1.1") && !lets("11.0.0.1") && !lets("::ffff:10.6.1.1"));
    assert!(!all.get(RouteId(0)).lets(None));
}

#[test]
fn the_first_page_for_a_status_is_taken() {
    let statuses = |text: &str| {
        let pool = format!("probe = {{ http = '/', status = [{text}] }}");
        let text =
            format!("[listen.a]\nbind = '127.0.0.1:1'\npool = 'p'\n[pool.p]\nservers = ['127.0.0.1:2']\n{pool}\n");
        let config = plimsoll_config::parse("test", &text).unwrap();
        match config.pools[0].probe.clone().map(|probe| probe.check) {
            Some(plimsoll_config::Check::Http(http)) => http.status,
            _ => StatusSet::default(),
        }
    };
    let page = |content: &[u8]| Page { content_type: "text/html", content: content.into() };
    let errors = vec![(statuses("502"), page(b"gateway")), (statuses("'5xx'"), page(b"any"))];
    let all = routes(&[answering(When::default(), RouteRules { errors, ..RouteRules::default() })]);
    let content = |status| error_page(&all.get(RouteId(0)).rules.errors, status).map(|page| page.content.to_vec());
    assert_eq!(content(502), Some(b"gateway".to_vec()));
    assert_eq!((content(503), content(404)), (Some(b"any".to_vec()), None));
}

#[test]
fn pools_are_drawn_by_weight() {
    let shares = [('a', 95), ('b', 5)];
    let drawn = |random: u64| *draw(&shares, || random).unwrap();
    let b = (0..1000_u64).filter(|step| drawn(u64::MAX / 1000 * step) == 'b').count();
    assert!((49..=51).contains(&b), "{b} of 1000");
    assert_eq!((drawn(0), drawn(u64::MAX)), ('a', 'b'));
    assert_eq!(draw(&[('a', 1)], || panic!("there is nothing to draw")), Some(&'a'));
}

#[test]
fn a_request_is_counted_for_its_route() {
    let mut counts = RouteCounts::new(2);
    let all = [Rule { name: "a".into(), ..to(&[exact("/a")]) }, Rule { name: "b".into(), ..to(&[]) }];
    let routes = Routes::new(&all, &mut Catalog::default(), &mut counts).unwrap();
    routes.count(RouteId(1), 0);
    routes.count(RouteId(1), 1);
    let read: Vec<_> = counts.read().into_iter().map(|route| (route.name, route.requests)).collect();
    assert_eq!(read, [("a".to_owned(), 0), ("b".to_owned(), 2)]);
}

const HOSTS: [&str; 7] = ["a.b", "b", "x.a.b", "*.b", "*.a.b", "y.b", "c"];
const SEGMENTS: [&str; 6] = ["/a", "/b", "/A", "/ab", "/x1", "/"];

fn any_path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&SEGMENTS[..5]), 0..4).prop_map(|segments| segments.concat())
}

fn any_pattern(regexes: Vec<Pattern>) -> impl Strategy<Value = PathPattern> {
    let plain = (any_path(), any::<(bool, bool)>()).prop_map(|(path, (is_exact, ignore_case))| {
        let root = if path.is_empty() { "/" } else { &path };
        let path = if is_exact { exact(root) } else { prefix(&path) };
        if ignore_case { in_any_case(path) } else { path }
    });
    prop_oneof![6 => plain, 1 => prop::sample::select(regexes).prop_map(PathPattern::Regex)]
}

/// Conditions for fields, or for parameters.
fn any_values(regexes: Vec<Pattern>) -> impl Strategy<Value = Vec<(String, ValuePattern)>> {
    let value = prop_oneof![
        8 => prop::sample::select(&VALUES[..]).prop_map(|value| ValuePattern::Exact(value.to_owned())),
        1 => Just(ValuePattern::Present),
        1 => Just(ValuePattern::Absent),
        1 => prop::sample::select(regexes).prop_map(ValuePattern::Regex),
    ];
    let name = prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
    prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec((name, value), 1..3)]
}

fn any_when(regexes: Vec<Pattern>) -> impl Strategy<Value = When> {
    let hosts = prop::collection::vec(prop::sample::select(&HOSTS[..]).prop_map(host), 0..3);
    let paths = prop::collection::vec(any_pattern(regexes.clone()), 0..3);
    let methods = prop_oneof![3 => Just(vec![]), 1 => Just(vec!["GET".to_owned()])];
    let network = |network: &&str| network.parse_network();
    let networks: Vec<_> = NETWORKS.iter().map(network).chain([Network::Unix]).collect();
    let clients = prop_oneof![
        3 => Just(vec![]),
        1 => prop::collection::vec(prop::sample::select(networks.clone()), 1..4),
        1 => Just(networks.repeat(3)),
    ];
    (hosts, paths, methods, any_values(regexes.clone()), any_values(regexes), clients).prop_map(
        |(hosts, paths, methods, headers, query, clients)| When { hosts, paths, methods, headers, query, clients },
    )
}

const NETWORKS: [&str; 6] =
    ["10.0.0.0/8", "10.1.0.0/16", "10.1.1.1/32", "0.0.0.0/0", "2001:db8::/32", "::ffff:10.0.0.0/104"];
const CLIENTS: [Option<&str>; 6] =
    [None, Some("10.1.1.1"), Some("10.2.1.1"), Some("192.0.2.1"), Some("2001:db8::1"), Some("::ffff:10.1.1.1")];

const NAMES: [&str; 4] = ["k", "x-t", "v", "kk"];
const VALUES: [&str; 5] = ["1", "2", "a", "/a", ""];

/// Fields of a head and a query, with names in any case of which only the fields' are the same.
fn any_said() -> impl Strategy<Value = (Vec<(String, String)>, String)> {
    let name = || prop::sample::select(&["k", "K", "x-t", "X-T", "v", "kk"][..]);
    let pairs = || prop::collection::vec((name(), prop::sample::select(&VALUES[..])), 0..6);
    (pairs(), pairs()).prop_map(|(fields, parameters)| {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let parameters: Vec<_> =
            parameters.into_iter().map(|(name, value)| format!("{name}={}", value.replace('/', "%2f"))).collect();
        (fields, parameters.join("&"))
    })
}

proptest! {
    #[test]
    fn the_index_finds_what_a_look_at_each_route_finds(
        mut all in prop::collection::vec(any_when(["1$", "^/a", "/b/"].map(pattern).to_vec()), 1..40),
        many in any::<bool>(),
        asked in prop::collection::vec(
            (prop::sample::select(&HOSTS[..]), any_path(), any::<bool>(), any_said(), prop::sample::select(&CLIENTS[..])),
            1..40,
        ),
    ) {
        if many {
            // More pairs of hosts and paths than an index holds of one route.
            let when = &mut all[0];
            when.hosts = (0..20).map(|number| host(&format!("h{number}.b"))).chain([host("a.b")]).collect();
            when.paths = (0..20).map(|number| exact(&format!("/p{number}"))).chain([prefix("/a")]).collect();
        }
        let index = Index::new(&all);
        let mut needs = Vec::new();
        for (host, path, is_get, (fields, query), client) in asked {
            let path = if path.is_empty() { "/" } else { &path };
            let host = host.strip_prefix("*.").unwrap_or(host);
            let asked = Asked {
                method: if is_get { "GET" } else { "PUT" },
                host: (host != "c").then_some(host),
                path,
                query: &Parameters::of(&query),
                fields: &fields,
                client: client.map(|client| client.parse().unwrap()),
            };
            let plain = all.iter().position(|when| when.refusal(&asked).is_none());
            let found = index.first(&asked, &mut needs, |number| all[number].refusal(&asked).is_none());
            prop_assert_eq!(found.map(|number| number as usize), plain, "{:?} {} {:?} {}", host, path, fields, query);
        }
    }
}

/// How many of these routes are looked at for a request with these fields and parameters, and which is its own.
fn looked_at(all: &[When], fields: &[(&str, &str)], query: &str) -> (usize, Option<u32>) {
    let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let query = &Parameters::of(query);
    let asked = Asked { method: "GET", host: None, path: "/x", query, fields: &fields, client: Some(CLIENT.into()) };
    let looks = std::cell::Cell::new(0);
    let found = Index::new(all).first(&asked, &mut Vec::new(), |number| {
        looks.set(looks.get() + 1);
        all[number].refusal(&asked).is_none()
    });
    (looks.get(), found)
}

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);

#[test]
fn routes_for_other_clients_and_for_what_is_not_there_are_not_looked_at() {
    let network = |number: usize| format!("10.1.{}.0/24", number % 256).parse_network();
    let kind = |number: usize| match number % 3 {
        0 => When { clients: vec![network(number), "192.0.2.0/24".parse_network()], ..When::default() },
        1 => When { query: vec![("k".to_owned(), ValuePattern::Regex(pattern("^v")))], ..When::default() },
        _ => When { headers: vec![(format!("x-{number}"), ValuePattern::Present)], ..When::default() },
    };
    let all: Vec<_> = (3..250).map(kind).collect();
    assert_eq!(looked_at(&all, &[("Host", "a")], "z=1"), (0, None));
    assert_eq!(looked_at(&all, &[("X-200", "a")], ""), (1, Some(197)));
    assert_eq!(looked_at(&all, &[("X-200", "a")], "k=v"), (1, Some(1)));
    let own = When { clients: vec![network(2)], ..When::default() };
    assert_eq!(looked_at(&[all, vec![own]].concat(), &[], ""), (1, Some(247)));
}

#[test]
fn routes_for_other_values_are_not_looked_at() {
    let value = |number: u32| ValuePattern::Exact(format!("v{number}"));
    let of = |name: &str, number: u32| vec![(name.to_owned(), value(number))];
    let paths = [vec![], vec![exact("/x")], vec![prefix("/")], vec![PathPattern::Regex(pattern("^/x"))]];
    for paths in paths {
        let kind = |number: u32| match number % 3 {
            // What all others ask for too is not what a route is looked for by.
            0 => When { headers: [of("x-a", 0), of("x-t", number)].concat(), ..When::default() },
            1 => When { query: of("k", number), ..When::default() },
            _ => When { query: of(&format!("k{number}"), 1), headers: of("x-a", 0), ..When::default() },
        };
        let all: Vec<_> = (0..1000).map(|number| When { paths: paths.clone(), ..kind(number) }).collect();
        let said = [("X-A", "v0"), ("X-T", "v1000"), ("Host", "a")];
        assert_eq!(looked_at(&all, &said, "k=v1000&k=x&z=1"), (0, None));
        assert_eq!(looked_at(&all, &[("X-A", "v0"), ("X-T", "v999")], ""), (1, Some(999)));
        assert_eq!(looked_at(&all, &[("X-A", "v1"), ("X-T", "v999")], ""), (1, None));
        assert_eq!(looked_at(&all, &said, "k=v7&k=v7&k=v4&k998=v1").1, Some(4));
        assert_eq!(looked_at(&all, &said, "k998=v1"), (1, Some(998)));
    }
}

#[test]
fn routes_for_values_like_other_expressions_are_not_looked_at() {
    for many in [8, 1000] {
        let like = |number: usize| ValuePattern::Regex(pattern(&format!("^v{number}(-|$)")));
        let kind = |number: usize| match number % 2 {
            0 => When { headers: vec![("x-t".to_owned(), like(number))], ..When::default() },
            _ => When { query: vec![("k".to_owned(), like(number))], ..When::default() },
        };
        let all: Vec<_> = (0..many).map(kind).collect();
        assert_eq!(looked_at(&all, &[("X-T", "w6"), ("Host", "v6")], "k=w7&z=v7"), (0, None));
        assert_eq!(looked_at(&all, &[("X-T", "v7")], "k=v6"), (0, None), "each has its own");
        assert_eq!(looked_at(&all, &[("X-T", "w"), ("X-T", "v6-x")], "k=v7"), (1, Some(6)));
        assert_eq!(looked_at(&all, &[], "k=v7-&k=v5").1, Some(5));
    }
}

#[test]
fn many_expressions_are_looked_at_at_once() {
    let all: Vec<_> =
        (0..100).map(|number| to(&[PathPattern::Regex(pattern(&format!("^/u{number}/[a-z]+$")))])).collect();
    let all = routes(&all);
    assert_eq!(place(&all, &get("/u42/name")), Some(42));
    assert_eq!(place(&all, &get("/u42/7")), None);
}
