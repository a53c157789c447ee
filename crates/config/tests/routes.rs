//! What a right file says of routes, and what they have from their listener.

use std::net::IpAddr;
use std::time::Duration;

use plimsoll_config::{
    Access, Action, Algorithm, Asked, Conditions, Config, HeaderEdit, HostPattern, Mirror, Network, Parameters,
    PathPattern, Piece, Redirect, Respond, Retry, Route, RouteRules, RouteTimeouts, Share, StatusSet, Template,
    ValuePattern, Variable, load, parse,
};
use plimsoll_core::Percent;

const ROUTES: &str = include_str!("routes.toml");

fn config() -> Config {
    parse("routes.toml", ROUTES).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The routes of a listener with these settings, in front of the pools `app` and `other`.
fn routes(settings: &str) -> Vec<Route> {
    let pools = "[pool.app]\nservers = [\"a:1\"]\n[pool.other]\nservers = [\"b:1\"]\n";
    let text = format!("[listen.web]\nbind = \"8080\"\n{settings}\n{pools}");
    let config = parse("web.toml", &text).unwrap_or_else(|problems| panic!("{problems}"));
    config.listeners[0].target.routes().to_vec()
}

fn literal(text: &str) -> Piece {
    Piece::Literal(text.to_owned())
}

fn text(text: &str) -> Template {
    Template(vec![literal(text)])
}

fn variable(variable: Variable) -> Piece {
    Piece::Variable(variable)
}

fn prefix(path: &str, ignore_case: bool) -> PathPattern {
    PathPattern::Prefix { path: path.to_owned(), ignore_case }
}

#[test]
fn routes_have_names_and_lines_and_the_last_is_the_listener_itself() {
    let config = config();
    let routes = config.listeners[0].target.routes();
    let told: Vec<_> = routes.iter().map(|route| (route.name.as_str(), route.line)).collect();
    let line = |place: usize| {
        let at = ROUTES.match_indices("[[listen.web.route]]").nth(place - 1).expect("a route").0;
        ROUTES[..at].matches('\n').count() + 1
    };
    let expected = [
        ("api", line(1)),
        ("route 2", line(2)),
        ("route 3", line(3)),
        ("route 4", line(4)),
        ("route 5", line(5)),
        ("route 6", line(6)),
        ("route 7", line(7)),
        ("default", 0),
    ];
    assert_eq!(told, expected);
    assert!(routes[7].when.is_any());
    assert_eq!(routes[7].action, Route::to_pool("app").action);
    let alone = config.listeners[1].target.routes();
    assert_eq!(alone.len(), 1, "without a pool of the listener other requests have no route");
}

#[test]
fn what_a_listener_says_of_answers_holds_where_no_route_is_known() {
    let text = "[listen.web]\nbind = \"8080\"\nerrors = { 404 = \"tests/sorry.html\" }\n\
                response_headers = { set = { X-Node = \"one\" } }\n\
                route = [{ path = \"/a\", respond = { status = 200 }, response_headers = { remove = \"X-A\" } }]";
    let listener = parse("web.toml", text).unwrap_or_else(|problems| panic!("{problems}")).listeners.remove(0);
    assert_eq!(listener.response_headers, [HeaderEdit::Set("X-Node".to_owned(), self::text("one"))]);
    assert_eq!(listener.errors.len(), 1);
    assert_eq!(listener.target.routes()[0].rules.errors, listener.errors);
}

#[test]
fn each_condition_reaches_its_field() {
    let config = config();
    let when = &config.listeners[0].target.routes()[0].when;
    let hosts = [
        HostPattern::Exact("api.example.com".to_owned()),
        HostPattern::Below("api.example.com".to_owned()),
        HostPattern::Exact("[2001:db8::1]".to_owned()),
    ];
    assert_eq!(when.hosts, hosts);
    let [first, exact, ignoring, PathPattern::Regex(regex)] = &when.paths[..] else { panic!("four paths") };
    assert_eq!((first, ignoring), (&prefix("/v1", false), &prefix("/V1/Docs", true)));
    assert_eq!(exact, &PathPattern::Exact { path: "/login".to_owned(), ignore_case: false });
    assert_eq!(regex.as_str(), r"^/v1/u/\d+$");
    assert_eq!(when.methods, ["GET", "POST"]);
    let shown = |values: &[(String, ValuePattern)]| -> Vec<String> {
        let value = |value: &ValuePattern| match value {
            ValuePattern::Regex(pattern) => format!("like {}", pattern.as_str()),
            value => format!("{value:?}"),
        };
        values.iter().map(|(name, test)| format!("{name}: {}", value(test))).collect()
    };
    let expected = ["x-beta: Exact(\"yes\")", "x-any: Present", "x-none: Absent", "x-like: like ^2"];
    assert_eq!(shown(&when.headers), expected);
    assert_eq!(shown(&when.query), ["v: Exact(\"1\")", "a b: Present", "c: Absent", "d: like ."]);
    let network = |address: &str, bits| Network::Ip { address: address.parse().expect("an address"), bits };
    assert_eq!(when.clients, [network("10.0.0.0", 8), network("::1", 128)]);
}

#[test]
fn each_target_reaches_its_field() {
    let config = config();
    let actions: Vec<_> = config.listeners[0].target.routes().iter().map(|route| &route.action).collect();
    let share = |pool: &str, weight| Share { pool: pool.to_owned(), weight };
    assert_eq!(actions[2], &Action::Pools(vec![share("app", 95), share("canary", 5)]));
    let to =
        vec![literal("https://new.example.com/new"), variable(Variable::Path), literal("?"), variable(Variable::Query)];
    assert_eq!(actions[3], &Action::Redirect(Redirect { status: 302, to: Template(to) }));
    let Action::Respond(Respond { status: 202, page: Some(page) }) = actions[4] else { panic!("{:?}", actions[4]) };
    assert_eq!((page.content_type, &page.content[..]), ("text/plain; charset=utf-8", &b"ok\n"[..]));
    let to = vec![literal("https://"), variable(Variable::Host), variable(Variable::Target)];
    assert_eq!(actions[5], &Action::Redirect(Redirect { status: 308, to: Template(to) }));
    let Action::Respond(Respond { status: 503, page: Some(page) }) = actions[6] else { panic!("{:?}", actions[6]) };
    assert_eq!(page.content_type, "text/html; charset=utf-8");
    let alone = &config.listeners[1].target.routes()[0].action;
    assert_eq!(alone, &Action::Respond(Respond { status: 200, page: None }));
}

#[test]
fn each_rule_of_a_route_reaches_its_field() {
    let config = config();
    let [api, app, split, ..] = config.listeners[0].target.routes() else { panic!("routes") };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let rules = &api.rules;
    assert_eq!((rules.strip_prefix.as_str(), rules.add_prefix.as_str()), ("", "/x"));
    assert_eq!((app.rules.strip_prefix.as_str(), app.rules.add_prefix.as_str()), ("/app", ""));
    let timeouts =
        RouteTimeouts { connect: seconds(1), first_byte: seconds(300), idle: seconds(3), tunnel: seconds(4) };
    assert_eq!(rules.timeouts, timeouts);
    assert_eq!(split.rules.timeouts, RouteTimeouts::default());
    let retry = Retry {
        on: Conditions { connect: true, statuses: StatusSet::default().with(500, 599), ..Conditions::default() },
        tries: 2,
        within: Duration::from_secs(6),
        non_idempotent: true,
        buffer: 7 << 10,
    };
    assert_eq!(rules.retry, Some(retry));
    assert_eq!(app.rules.retry.as_ref().map(|retry| retry.tries), Some(1));
    assert_eq!(split.rules.retry, None);
    let mirror = Mirror { pool: "shadow".to_owned(), sample: Percent::new(10), max_body: 8 << 10, limit: 9 };
    assert_eq!(rules.mirror, Some(mirror));
}

#[test]
fn what_a_route_leaves_open_it_has_from_its_listener() {
    let config = config();
    let [api, app, split, .., default] = config.listeners[0].target.routes() else { panic!("routes") };
    let max = [api, app, split, default].map(|route| route.rules.max_body);
    assert_eq!(max, [Some(1 << 30), None, Some(1 << 20), Some(1 << 20)]);
    let auth = [api, app, default].map(|route| route.rules.basic_auth.as_ref().map(|auth| auth.realm.as_str()));
    assert_eq!(auth, [None, Some("staff only"), Some("staff only")]);
    let compress = [api, app, default].map(|route| route.rules.compress.as_ref().map(|how| how.min_size));
    assert_eq!(compress, [None, Some(1 << 10), Some(2 << 10)]);
    let usual = app.rules.compress.as_ref().expect("the usual");
    assert_eq!(usual.algorithms, [Algorithm::Zstd, Algorithm::Brotli, Algorithm::Gzip]);
    let own = default.rules.compress.as_ref().expect("the listener's");
    assert_eq!(own.algorithms, [Algorithm::Gzip, Algorithm::Brotli]);
    assert_eq!(own.types, ["text/*", "application/json"]);
}

#[test]
fn the_fields_of_the_listener_are_changed_before_those_of_the_route() {
    let config = config();
    let [api, app, ..] = config.listeners[0].target.routes() else { panic!("routes") };
    let (set, add) = (HeaderEdit::Set, HeaderEdit::Add);
    let listener = [
        HeaderEdit::Remove("X-Debug".to_owned()),
        set("X-Env".to_owned(), text("prod")),
        add("X-Via".to_owned(), text("plimsoll ${host}")),
    ];
    assert_eq!(app.rules.request_headers, listener);
    let own = [
        set("X-Route".to_owned(), Template(vec![variable(Variable::Route)])),
        set("X-Id".to_owned(), Template(vec![variable(Variable::RequestId), literal("!")])),
    ];
    assert_eq!(api.rules.request_headers, listener.iter().chain(&own).cloned().collect::<Vec<_>>());
    let answers = [
        HeaderEdit::Remove("Server".to_owned()),
        HeaderEdit::Remove("X-Powered-By".to_owned()),
        set("X-Served-By".to_owned(), Template(vec![variable(Variable::Server)])),
        add("X-Pool".to_owned(), Template(vec![variable(Variable::Pool)])),
    ];
    assert_eq!(api.rules.response_headers, answers);
}

#[test]
fn the_page_of_one_status_comes_before_that_of_its_kind_and_the_route_before_its_listener() {
    let config = config();
    let [api, app, ..] = config.listeners[0].target.routes() else { panic!("routes") };
    let page = |rules: &RouteRules, status| {
        rules.errors.iter().find(|(statuses, _)| statuses.contains(status)).map(|(_, page)| page.content_type)
    };
    let (html, plain) = (Some("text/html; charset=utf-8"), Some("text/plain; charset=utf-8"));
    assert_eq!([404, 500, 502].map(|status| page(&api.rules, status)), [html, html, plain]);
    assert_eq!([404, 500, 502].map(|status| page(&app.rules, status)), [None, html, plain]);
}

#[test]
fn clients_must_be_let_in_by_the_listener_and_by_the_route() {
    let config = config();
    let [web, _, db] = &config.listeners[..] else { panic!("three listeners") };
    let [api, app, ..] = web.target.routes() else { panic!("routes") };
    let lets = |access: &[Access], client: Option<&str>| {
        let client: Option<IpAddr> = client.map(|client| client.parse().expect("an address"));
        access.iter().all(|access| access.lets(client))
    };
    assert_eq!(app.rules.access, std::slice::from_ref(&web.access));
    assert_eq!(api.rules.access.len(), 2);
    for (client, by_listener, by_route) in [
        (Some("10.1.0.1"), true, true),
        (Some("10.2.0.1"), true, false),
        (Some("10.6.6.6"), false, false),
        (Some("10.6.0.1"), false, false),
        (Some("11.0.0.1"), false, false),
        (None, true, false),
    ] {
        assert_eq!(lets(&app.rules.access, client), by_listener, "{client:?}");
        assert_eq!(lets(&api.rules.access, client), by_route, "{client:?}");
    }
    assert!(!lets(std::slice::from_ref(&db.access), Some("10.0.0.1")));
    assert!(lets(std::slice::from_ref(&db.access), Some("11.0.0.1")));
}

#[test]
fn users_come_from_their_file_and_no_hash_is_shown() {
    let config = config();
    let routes = config.listeners[0].target.routes();
    let auth = routes[1].rules.basic_auth.as_ref().expect("there is some");
    assert!(auth.file.ends_with("users.htpasswd"), "{}", auth.file);
    let names: Vec<_> = auth.users.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["amy", "zoe"]);
    assert!(auth.users[0].1.starts_with("$argon2id$"));
    let shown = format!("{config:?}");
    assert!(!shown.contains("argon2id") && !shown.contains("$2y$"), "{shown}");
}

#[test]
fn routes_may_stand_in_one_line() {
    let routes = routes("route = [\n  { path = \"/a\", pool = \"app\" },\n  { pool = \"other\" },\n]");
    assert_eq!(routes.iter().map(|route| route.line).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(routes[0].when.paths, [prefix("/a", false)]);
    assert!(routes[1].when.is_any());
}

#[test]
fn the_redirect_of_a_listener_may_stand_behind_its_routes() {
    let routes = routes(
        "redirect = \"$scheme://www.$host$target\"\nroute = [{ path = \"/a\", split = { app = 1, other = 1 } }]",
    );
    let Action::Redirect(redirect) = &routes[1].action else { panic!("a redirect") };
    assert_eq!(
        (routes[1].name.as_str(), redirect.to.to_string().as_str()),
        ("default", "${scheme}://www.${host}${target}")
    );
}

#[test]
fn a_pool_of_a_split_may_take_nobody_new() {
    let routes = routes("route = [{ path = \"/a\", split = { app = 50, other = 0 } }]");
    assert_eq!(routes[0].action.to_string(), "100% pool app, 0% pool other");
}

#[test]
fn the_path_of_the_root_is_every_path() {
    let routes = routes("route = [{ path = \"/\", split = { app = 1, other = 1 } }]");
    let fields: Vec<(String, String)> = Vec::new();
    for path in ["/", "/a", "*"] {
        let query = &Parameters::of("");
        let asked = Asked { method: "OPTIONS", host: None, path, query, fields: &fields, client: None };
        assert_eq!(routes[0].when.refusal(&asked), None, "{path}");
    }
}

#[test]
fn a_listener_has_ten_thousand_routes_and_no_more() {
    let lines = |count: usize| -> String {
        let routes: Vec<_> = (0..count).map(|number| format!("{{ path = \"/{number}\", respond = {{}} }},")).collect();
        format!("[listen.web]\nbind = \"8080\"\nroute = [\n{}\n]\n", routes.join("\n"))
    };
    let config = parse("many.toml", &lines(10_000)).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.listeners[0].target.routes().len(), 10_000);
    let problems = parse("more.toml", &lines(10_001)).expect_err("there are too many");
    let problem = problems.iter().next().expect("one problem");
    assert_eq!(problem.message(), "a listener has at most 10000 routes, and this is one more");
    assert_eq!(problem.line(), Some(10_004));
}

#[test]
fn what_the_readme_shows_of_routes_can_be_written() {
    let readme = include_str!("../../../README.md");
    let (_, section) = readme.split_once("## Choose by request").expect("the section is there");
    let (_, block) = section.split_once("```toml\n").expect("an example");
    let (example, _) = block.split_once("```").expect("the end of the example");
    let folder = std::env::temp_dir().join(format!("plimsoll-{}-readme", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let (users, page) = (include_str!("users.htpasswd"), "<p>sorry");
    let files = [("blocked.txt", ""), ("bad-gateway.html", page), ("error.html", page), ("users.htpasswd", users)];
    for (name, content) in files {
        std::fs::write(folder.join(name), content).expect("the file can be written");
    }
    let pools = ["app", "api", "beta", "auth", "users", "canary", "shadow"];
    let pools: Vec<_> = pools.iter().map(|pool| format!("[pool.{pool}]\nservers = [\"a:1\"]\n")).collect();
    let file = folder.join("plimsoll.toml");
    std::fs::write(&file, format!("{example}{}", pools.concat())).expect("the file can be written");
    let config = load(&file);
    std::fs::remove_dir_all(&folder).expect("the folder can be removed");
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.listeners[0].target.routes().len(), 9);
}

#[test]
fn a_change_of_a_file_is_seen_when_it_is_read_again() {
    let folder = std::env::temp_dir().join(format!("plimsoll-{}-routes", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let file = folder.join("plimsoll.toml");
    let text =
        "[listen.web]\nbind = \"8080\"\npool = \"app\"\ndeny_file = \"deny.txt\"\n[pool.app]\nservers = [\"a:1\"]\n";
    std::fs::write(&file, text).expect("the file can be written");
    let lets = |denied: &str| {
        std::fs::write(folder.join("deny.txt"), denied).expect("the file can be written");
        let config = load(&file).unwrap_or_else(|problems| panic!("{problems}"));
        config.listeners[0].access.lets(Some("192.0.2.1".parse().expect("an address")))
    };
    assert!(lets("# nobody\n"));
    assert!(!lets("192.0.2.0/24\n"));
    std::fs::remove_dir_all(&folder).expect("the folder can be removed");
}
