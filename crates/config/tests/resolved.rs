//! What a right file means.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use plimsoll_config::{
    BareLf, Check, ClientTimeouts, Conditions, Config, FieldMode, Forward, GrpcStatusSet, HashOn, Host, HostMode,
    KeepAlive, LearnFrom, Occasion, OnDown, Pool, Process, Retry, Route, SameSite, Secure, ServerTimeouts, StatusSet,
    Sticky, StickyCookie, StickyLearnt, parse,
};
use plimsoll_core::{
    AdminState, Eject, HashBound, Initial, Percent, PolicyKind, PoolRules, ProbeRule, QueueRule, WarmUp, WhenNone,
};

fn everything() -> Config {
    parse("everything.toml", include_str!("everything.toml")).expect("the file is right")
}

#[test]
fn each_setting_of_a_listener_reaches_its_field() {
    let config = everything();
    assert_eq!(config.workers, NonZeroUsize::new(3));
    assert_eq!(config.shutdown_timeout, Duration::from_secs(90));
    let process = Process {
        user: Some("plimsoll".to_owned()),
        group: Some("65534".to_owned()),
        pid_file: Some("tests/plimsoll.pid".into()),
        max_connections: Some(4321),
        pin_workers: true,
    };
    assert_eq!(config.process, process);
    let listener = &config.listeners[0];
    let binds: Vec<_> = listener.binds.iter().map(ToString::to_string).collect();
    assert_eq!(binds, ["127.0.0.1:8080", "[::1]:8080", "[::]:8443", "127.0.0.1:8081", "127.0.0.1:8082"]);
    let mut route = Route::to_pool("app");
    route.rules.max_body = Some(10_000_000);
    assert_eq!((listener.name.as_str(), listener.target.routes()), ("web", &[route][..]));
    assert_eq!((listener.max_connections, listener.max_head, listener.max_target), (77, 32_768, 5000));
    assert_eq!(listener.bare_lf, BareLf::Accept);
    let timeouts = ClientTimeouts {
        head: Duration::from_millis(250),
        body: Duration::from_secs(7200),
        keep_alive: Duration::from_millis(3_661_001),
    };
    assert_eq!(listener.timeouts, timeouts);
    let forward = Forward {
        x_forwarded_for: FieldMode::Append,
        x_forwarded_proto: FieldMode::Keep,
        x_forwarded_host: FieldMode::Off,
        x_forwarded_port: FieldMode::Set,
        x_real_ip: FieldMode::Set,
        forwarded: FieldMode::Append,
        host: HostMode::Set("app.example:8080".to_owned()),
    };
    assert_eq!(listener.forward, forward);
}

#[test]
fn each_setting_of_the_admin_api_reaches_its_field() {
    let admin = everything().admin.expect("there is one");
    let binds: Vec<_> = admin.binds.iter().map(ToString::to_string).collect();
    assert_eq!(binds, ["127.0.0.1:9900", "0.0.0.0:9901"]);
    assert_eq!(admin.socket.as_deref(), Some(Path::new("tests/admin.sock")));
    let token = admin.token.as_ref().expect("there is one");
    assert_eq!(token.bytes(), b"open-sesame-open-sesame", "the line end is no part of it");
    assert_eq!(token.source(), "tests/admin.token");
    let tls = admin.tls.as_ref().expect("there is one");
    assert!(tls.cert.bytes().starts_with(b"The reader"));
    assert!(tls.key.bytes().starts_with(b"Nor into"));
    assert_eq!(admin.hosts, ["lb.example.com", "192.168.1.5", "[2001:db8::5]"]);
    assert_eq!(admin.metrics_servers, 30);
    let shown = format!("{admin:?}");
    assert!(!shown.contains("sesame") && !shown.contains("Nor into"), "{shown}");
}

#[test]
fn each_setting_of_the_webhook_reaches_its_field() {
    let webhook = everything().webhook.expect("there is one");
    assert_eq!(webhook.url, "https://hooks.example.com:8443/secret-path");
    assert_eq!(webhook.host(), "hooks.example.com:8443");
    assert_eq!(webhook.events, [Occasion::Edit, Occasion::Warning]);
    assert_eq!((webhook.timeout, webhook.pause), (Duration::from_secs(31), Duration::from_secs(32)));
    assert_eq!((webhook.tries, webhook.queue), (12, 33));
    assert_eq!(webhook.headers, [("X-Key".to_owned(), "secret-value".to_owned())]);
    assert_eq!(webhook.token.as_ref().expect("there is one").bytes(), b"open-sesame-open-sesame");
    let shown = format!("{webhook:?}");
    assert!(
        shown.contains("hooks.example.com:8443") && !shown.contains("secret-") && !shown.contains("sesame"),
        "{shown}"
    );
}

#[test]
fn each_setting_of_a_pool_reaches_its_field() {
    let config = everything();
    let pool = &config.pools[0];
    assert_eq!((pool.name.as_str(), pool.policy), ("app", PolicyKind::ShortestExpectedDelay));
    let timeouts = ServerTimeouts {
        connect: Duration::from_secs(1),
        first_byte: Duration::from_secs(2),
        idle: Duration::from_secs(3),
        tunnel: Duration::from_secs(5),
    };
    assert_eq!(pool.timeouts, timeouts);
    let keep_alive = KeepAlive { connections: 1, timeout: Duration::from_secs(4) };
    assert_eq!(pool.keep_alive, keep_alive);
    let [plain, big, spare] = &pool.servers[..] else { panic!("three servers") };
    assert_eq!((plain.name.as_str(), plain.weight, plain.backup), ("192.168.1.10:8080", 1, false));
    assert_eq!((plain.state, plain.max_connections), (AdminState::Ready, None));
    assert_eq!((big.name.as_str(), &big.host), ("big", &Host::Name("app.internal".to_owned())));
    assert_eq!((big.port, big.weight, big.state), (8080, 4, AdminState::Down));
    assert_eq!(big.max_connections, NonZeroU32::new(750));
    assert_eq!((spare.name.as_str(), spare.authority().as_str()), ("[2001:db8::1]:80", "[2001:db8::1]:80"));
    assert_eq!((spare.backup, spare.weight, spare.state), (true, 0, AdminState::Drain));
}

#[test]
fn what_a_file_leaves_open_has_its_default() {
    let config = Config::quick("8080", &["a:1"]).expect("the arguments are right");
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    assert_eq!((config.workers, config.shutdown_timeout), (None, 30 * second));
    let (listener, pool) = (&config.listeners[0], &config.pools[0]);
    assert_eq!((listener.max_connections, listener.target.routes()), (20_000, &[Route::to_pool("app")][..]));
    assert_eq!((listener.max_head, listener.max_target, listener.bare_lf), (16_384, 8192, BareLf::Reject));
    let ClientTimeouts { head, body, keep_alive } = listener.timeouts;
    assert_eq!((head, body, keep_alive), (10 * second, minute, 75 * second));
    let forward = &listener.forward;
    let ours = [forward.x_forwarded_for, forward.x_forwarded_proto, forward.x_forwarded_host];
    assert_eq!(ours, [FieldMode::Set; 3]);
    let removed = [forward.x_forwarded_port, forward.x_real_ip, forward.forwarded];
    assert_eq!((removed, &forward.host), ([FieldMode::Off; 3], &HostMode::Keep));
    assert_eq!((pool.policy, pool.unavailable.retry_after), (PolicyKind::LeastConnections, 5 * second));
    let ServerTimeouts { connect, first_byte, idle, tunnel } = pool.timeouts;
    assert_eq!((connect, first_byte, idle, tunnel), (5 * second, minute, minute, 60 * minute));
    assert_eq!((pool.keep_alive.connections, pool.keep_alive.timeout), (128, minute));
}

#[test]
fn every_policy_can_be_written() {
    for policy in PolicyKind::ALL {
        let text = format!(
            "[listen.web]\nbind = \"8080\"\npool = \"app\"\n[pool.app]\nservers = [\"a:1\"]\npolicy = \"{policy}\""
        );
        assert_eq!(parse("policy.toml", &text).expect("the file is right").pools[0].policy, policy);
    }
}

#[test]
fn listeners_and_pools_keep_the_order_of_the_file() {
    let names = ["zeta", "alpha", "mu"];
    let listener = |(port, name)| format!("[listen.{name}]\nbind = \"{port}\"\npool = \"{name}\"\n");
    let pool = |name| format!("[pool.{name}]\nservers = [\"a:1\"]\n");
    let text: String = (8080..).zip(names).map(listener).chain(names.map(pool)).collect();
    let config = parse("order.toml", &text).expect("the file is right");
    assert_eq!(config.listeners.iter().map(|listener| &listener.name).collect::<Vec<_>>(), names.each_ref());
    assert_eq!(config.pools.iter().map(|pool| &pool.name).collect::<Vec<_>>(), names.each_ref());
}

#[test]
fn every_ipv4_address_leaves_ipv6_to_others() {
    let text = "[listen.web]\nbind = [\"0.0.0.0:80\", \"[::1]:80\"]\npool = \"app\"\n[pool.app]\nservers = [\"a:1\"]";
    assert_eq!(parse("both.toml", text).expect("the file is right").listeners[0].binds.len(), 2);
}

#[test]
fn port_0_may_be_bound_as_often_as_one_likes() {
    let text = "[listen.web]\nbind = [\"0\", \"127.0.0.1:0\"]\npool = \"app\"\n[pool.app]\nservers = [\"a:1\"]";
    assert_eq!(parse("zero.toml", text).expect("the file is right").listeners[0].binds.len(), 2);
}

#[test]
fn each_rule_of_a_pool_reaches_its_field() {
    let config = everything();
    let [app, spare, last] = &config.pools[..] else { panic!("three pools") };
    let second = Duration::from_secs;
    assert_eq!((app.on_down, spare.on_down), (OnDown::Close, OnDown::Keep));
    let rules = PoolRules {
        when_none: WhenNone::TryAll,
        black_hole_guard: false,
        warm_up: Some(WarmUp { time: second(7), exponent: count(2), floor: Percent::new(6) }),
        eject: Some(Eject {
            failures: count(17),
            rate: Percent::new(18),
            min_requests: count(19),
            interval: second(20),
            time: second(21),
            max_time: second(22),
            max_share: Percent::new(23),
        }),
        probe: Some(ProbeRule { fall: count(14), rise: count(15), initial: Initial::Down }),
        queue: Some(QueueRule { limit: count(8), timeout: second(9) }),
        retry_budget: Percent::new(25),
        hash_bound: HashBound::default(),
        stick_drain: second(2 * 3600),
        rebalance: None,
    };
    assert_eq!(app.rules, rules);
    let on = Conditions { timeout: true, statuses: statuses(&[(500, 500), (502, 504)]), ..Conditions::default() };
    assert_eq!(app.eject_on, on);
    let on = Conditions {
        connect: true,
        reset: true,
        timeout: false,
        statuses: statuses(&[(500, 599), (429, 429)]),
        ..Conditions::default()
    };
    let retry = Retry { on, tries: 4, within: second(24), non_idempotent: true, buffer: 26 * 1024 };
    assert_eq!(app.retry, retry);
    let time = |pool: &Pool| pool.rules.warm_up.map(|warm_up| warm_up.time);
    assert_eq!((time(spare), time(last)), (Some(second(27)), None));
    assert_eq!((spare.rules.eject, spare.rules.queue), (None, None));
    assert_eq!((spare.retry.tries, last.retry.tries), (1, 1));
    assert_eq!(spare.eject_on, last.eject_on, "the guard goes by it where nobody is ejected");
}

#[test]
fn what_ties_a_client_to_a_server_reaches_its_field() {
    let config = everything();
    let [app, spare, last] = &config.pools[..] else { panic!("three pools") };
    let Some(Sticky::Cookie(cookie)) = &app.sticky else { panic!("a cookie of ours") };
    assert_eq!(cookie.key.as_ref().map(|key| key.bytes().len()), Some(64), "without the line end");
    let expected = StickyCookie {
        name: "__Secure-srv".to_owned(),
        key: cookie.key.clone(),
        max_age: Some(Duration::from_secs(8 * 3600)),
        path: "/shop/".to_owned(),
        domain: Some("example.com".to_owned()),
        same_site: SameSite::None,
        secure: Secure::Always,
        http_only: false,
        no_store: true,
    };
    assert_eq!(*cookie, expected);
    let learnt = |from, entries, expires| {
        Some(Sticky::Learnt(StickyLearnt { from, entries, expires: Duration::from_secs(expires) }))
    };
    assert_eq!(spare.sticky, learnt(LearnFrom::Cookie("JSESSIONID".to_owned()), 28, 29 * 60));
    assert_eq!(last.sticky, learnt(LearnFrom::Header("X-Session".to_owned()), 100_000, 30 * 60));
    assert_eq!((spare.rules.stick_drain, last.rules.stick_drain), (Duration::ZERO, Duration::from_secs(30 * 60)));
    assert_eq!((&spare.hash, &last.hash), (&None, &Some(HashOn::Client { ipv6_prefix: 56 })));
    assert_eq!(last.rules.hash_bound, HashBound::new(130));
    assert!(config.forgetful().is_empty(), "there is a key");
}

#[test]
fn a_name_alone_is_a_cookie_of_ours_that_a_restart_forgets() {
    let text = "[listen.web]\nbind = \"80\"\npool = \"app\"\n[pool.app]\nservers = [\"a:1\"]\n\
                policy = \"hash\"\nsticky = { cookie = \"srv\" }";
    let config = parse("sticky.toml", text).expect("the text is right");
    let app = &config.pools[0];
    assert_eq!(app.sticky.as_ref().map(ToString::to_string).as_deref(), Some("cookie srv"));
    assert_eq!(app.hash, Some(HashOn::Client { ipv6_prefix: 64 }));
    assert_eq!((app.rules.stick_drain, app.rules.hash_bound), (Duration::from_secs(30 * 60), HashBound::new(125)));
    let [warning] = &config.forgetful()[..] else { panic!("one warning") };
    assert!(warning.starts_with("`sticky` of pool `app` has no `key`"), "{warning}");
}

#[test]
fn each_setting_of_a_probe_reaches_its_field() {
    let config = everything();
    let probe = config.pools[0].probe.as_ref().expect("a probe");
    let second = Duration::from_secs;
    assert_eq!((probe.interval, probe.interval_down, probe.timeout), (second(11), second(12), second(13)));
    assert_eq!((probe.port, probe.address), (Some(16), "2001:db8::2".parse().ok()));
    let Check::Http(http) = &probe.check else { panic!("an HTTP probe") };
    assert_eq!((http.method.as_str(), http.path.as_str()), ("OPTIONS", "/health?deep=1"));
    assert_eq!((http.host.as_deref(), http.body_limit), (Some("probe.example:81"), 10 * 1024));
    let headers = [("Accept", "application/json"), ("X-Empty", "")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!(http.headers, headers);
    assert_eq!(http.status, statuses(&[(200, 200), (300, 399), (500, 503)]));
    let expected: Vec<_> =
        http.expect_headers.iter().map(|(name, pattern)| (name.as_str(), pattern.as_str())).collect();
    assert_eq!(expected, [("content-type", "json"), ("etag", "^\"")]);
    let body = http.body.as_ref().expect("a pattern");
    assert!(body.is_match(b"{\"status\": \"healthy\"}") && !body.is_match(b"{\"status\": \"ill\"}"));
}

#[test]
fn a_probe_may_send_and_expect_or_only_connect() {
    let config = everything();
    let checks: Vec<_> = config.pools.iter().filter_map(|pool| Some(&pool.probe.as_ref()?.check)).collect();
    let [_, Check::Exchange { send, expect, limit }, Check::Connect] = &checks[..] else { panic!("{checks:?}") };
    assert_eq!((send.as_slice(), *limit), (&b"PING\r\n"[..], 28));
    assert!(expect.is_match(b"+PONG\r\n\xff") && !expect.is_match(b"-ERR"));
}

#[test]
fn a_server_that_is_down_is_probed_every_second_unless_all_are_probed_more_often() {
    for (interval, down) in [("250ms", 250), ("1s", 1000), ("1m", 1000)] {
        let config = app(&format!("probe = {{ tcp = true, interval = \"{interval}\" }}"));
        let probe = config.pools[0].probe.as_ref().expect("a probe");
        assert_eq!(probe.interval_down, Duration::from_millis(down), "{interval}");
    }
}

#[test]
fn the_answer_without_a_server_is_what_the_file_says() {
    let config = everything();
    let [app, spare, last] = &config.pools[..] else { panic!("three pools") };
    assert_eq!((app.unavailable.status, app.unavailable.retry_after), (529, Duration::from_secs(60)));
    assert!(app.unavailable.reason_header && !spare.unavailable.reason_header);
    let page = app.unavailable.page.as_ref().expect("a page");
    assert_eq!((page.content_type, &page.content[..]), ("text/html; charset=utf-8", &include_bytes!("sorry.html")[..]));
    let fallbacks = [app, spare, last].map(|pool| pool.unavailable.fallback.as_deref());
    assert_eq!(fallbacks, [Some("spare"), Some("last"), None]);
}

#[test]
fn rules_left_out_are_those_of_the_core() {
    let config = Config::quick("8080", &["a:1"]).expect("the arguments are right");
    let pool = &config.pools[0];
    assert_eq!(pool.rules, PoolRules::default());
    assert_eq!((&pool.probe, pool.on_down), (&None, OnDown::Keep));
    let failures = statuses(&[(500, 500), (502, 504)]);
    let grpc = [13, 14, 15].into_iter().fold(GrpcStatusSet::default(), GrpcStatusSet::with);
    let on = Conditions { connect: true, reset: true, timeout: true, statuses: failures, grpc };
    assert_eq!(pool.eject_on, on);
    let retry = Retry {
        on: Conditions { connect: true, ..Conditions::default() },
        tries: 3,
        within: Duration::from_secs(10),
        non_idempotent: false,
        buffer: 64 * 1024,
    };
    assert_eq!(pool.retry, retry);
    let told = &pool.unavailable;
    assert_eq!((told.status, &told.page, &told.fallback, told.reason_header), (503, &None, &None, false));
    let warm_up = app("warm_up = \"10s\"");
    assert_eq!(warm_up.pools[0].rules.warm_up, Some(WarmUp::default()));
    let queue = app("queue = {}").pools[0].rules.queue.expect("a queue");
    assert_eq!((queue.limit, queue.timeout), (count(1000), Duration::from_secs(5)));
    let probed = app("probe = { http = \"/\" }");
    let rule = ProbeRule { fall: count(3), rise: count(2), initial: Initial::Ready };
    assert_eq!(probed.pools[0].rules.probe, Some(rule));
    let probe = probed.pools[0].probe.as_ref().expect("a probe");
    let second = Duration::from_secs(1);
    assert_eq!((probe.interval, probe.interval_down, probe.timeout), (5 * second, second, 2 * second));
    let Check::Http(http) = &probe.check else { panic!("an HTTP probe") };
    assert_eq!((http.method.as_str(), http.status, http.body_limit), ("GET", statuses(&[(200, 399)]), 65_536));
}

/// The pool that DESIGN shows: what a first reader is promised to be able to write.
#[test]
fn a_pool_with_everything_an_operator_wants_is_one_screen() {
    let text = r#"
[listen.web]
bind = "0.0.0.0:8080"
pool = "app"
[pool.app]
policy = "least-connections"
servers = [
  "192.168.1.10:8080",
  { address = "192.168.1.11:8080", name = "big", weight = 4, max_connections = 750 },
  { address = "192.168.1.99:8080", backup = true },
  { address = "192.168.1.13:8080", state = "down" },
]
timeout = { connect = "5s", first_byte = "60s", idle = "60s" }
warm_up = "30s"
probe   = { http = "/health", interval = "3s", timeout = "2s", fall = 3, rise = 2, status = [200], header = { content-type = "json" }, body = '"status":\s*"healthy"' }
eject   = { failures = 5, interval = "10s", max_share = "50%" }
retry   = { on = ["connect", "timeout", 500, 502, 503], tries = 3, within = "10s", budget = "20%" }
queue   = { limit = 1000, timeout = "5s" }
unavailable = { status = 503, retry_after = "5s", page = "tests/sorry.html" }
"#;
    let config = parse("design.toml", text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.pools[0].servers.len(), 4);
}

/// A configuration whose one pool has these settings too.
fn app(settings: &str) -> Config {
    let server = "{ address = \"a:1\", max_connections = 1 }";
    let text = format!("[listen.web]\nbind = \"8080\"\npool = \"app\"\n[pool.app]\nservers = [{server}]\n{settings}\n");
    parse("app.toml", &text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

fn statuses(ranges: &[(u16, u16)]) -> StatusSet {
    ranges.iter().fold(StatusSet::default(), |set, (first, last)| set.with(*first, *last))
}

#[test]
fn tables_left_out_have_the_defaults_of_their_types() {
    let config = Config::quick("8080", &["a:1"]).expect("the arguments are right");
    assert_eq!(config.listeners[0].timeouts, ClientTimeouts::default());
    assert_eq!(config.listeners[0].forward, Forward::default());
    assert_eq!(config.pools[0].timeouts, ServerTimeouts::default());
    assert_eq!(config.pools[0].keep_alive, KeepAlive::default());
}
