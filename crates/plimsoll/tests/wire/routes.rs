//! Routes: which pool a request comes to, what its server is asked for, and what is answered without one.

use crate::kit::{Config, Program, Server, fields, get, ok};

/// A server that says its name, the target it was asked for and the host.
fn server(name: &'static str) -> Server {
    Server::answering(move |request| {
        let host = request.field("host").unwrap_or_default().to_owned();
        ok(&format!("{name} {} {host}", request.target()))
    })
}

/// Two servers, a pool each: `app`, which serves what no route is for, and `other`.
struct Two {
    app: Server,
    other: Server,
}

impl Two {
    fn new() -> Self {
        Self { app: server("app"), other: server("other") }
    }

    fn config(&self, routes: &str) -> Config {
        let other = format!("servers = [\"{}\"]", self.other.address());
        Config::to(&[self.app.address()]).another_pool("other", &other).listen(&format!("route = [\n{routes}\n]"))
    }
}

/// What the program answers to a plain GET.
#[track_caller]
fn said(program: &Program, target: &str) -> String {
    let response = program.ask(get(target));
    assert_eq!(response.status, 200, "{target}: {}", response.text());
    response.text()
}

#[test]
fn a_request_comes_to_the_pool_of_the_first_route_that_it_meets() {
    let two = Two::new();
    let program = two
        .config(
            "{ host = \"*.shop.example\", path = \"/api\", method = \"GET\", pool = \"other\" },
             { header = { x-beta = \"yes\" }, pool = \"other\" },
             { query = { v = { regex = \"^2\" } }, client = \"127.0.0.0/8\", pool = \"other\" },",
        )
        .start();
    let ask = |line: &str, fields: &str| {
        let response = program.ask(format!("{line} HTTP/1.1\r\n{fields}\r\n"));
        response.text().split(' ').next().unwrap_or_default().to_owned()
    };
    assert_eq!(ask("GET /api/x", "Host: A.Shop.example.:8080\r\n"), "other");
    assert_eq!(ask("GET http://a.shop.example/api", "Host: a.shop.example\r\n"), "other");
    assert_eq!(ask("DELETE /api/x", "Host: a.shop.example\r\n"), "app");
    assert_eq!(ask("GET /apis", "Host: a.shop.example\r\n"), "app");
    assert_eq!(ask("GET /api", "Host: shop.example\r\n"), "app");
    assert_eq!(ask("GET /", "Host: a\r\nX-BETA: yes\r\n"), "other");
    assert_eq!(ask("GET /?w&v=2", "Host: a\r\n"), "other");
    assert_eq!(ask("OPTIONS *", "Host: a\r\n"), "app");
}

#[test]
fn a_thousand_routes_for_other_values_are_told_apart_in_the_order_of_the_file() {
    let two = Two::new();
    let route = |number: usize| match number % 3 {
        0 => format!("{{ header = {{ x-t = \"t{number}\" }}, respond = {{ body = \"{number}\" }} }},\n"),
        1 => format!("{{ query = {{ \"a b\" = \"q {number}\" }}, respond = {{ body = \"{number}\" }} }},\n"),
        _ => format!(
            "{{ path = \"/p\", header = {{ x-t = \"t0\", x-u = \"u{number}\" }}, query = {{ k = \"+\" }}, respond = {{ body = \"{number}\" }} }},\n"
        ),
    };
    let routes: String = (1..=1000).map(route).collect();
    let last = "{ query = { k = { regex = \"^last$\" } }, respond = { body = \"regex\" } },\n\
                { query = { k = false }, pool = \"other\" },\n";
    let program = two.config(&format!("{routes}{last}")).start();
    let mut client = program.client();
    let mut said = |target: &str, fields: &str| {
        let response = client.ask(format!("GET {target} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
        assert_eq!(response.status, 200, "{target}: {}", response.text());
        response.text().split(' ').next().unwrap_or_default().to_owned()
    };
    assert_eq!(said("/", "X-T: t999\r\n"), "999");
    assert_eq!(said("/", "x-T: none\r\nX-t: t999\r\nX-T: t30\r\n"), "30");
    assert_eq!(said("/?x=1&a+b=q%201000", ""), "1000");
    assert_eq!(said("/?a%20b=q+400&a+b=q+7", "X-T: t300\r\n"), "7", "the first in the file, not in the request");
    assert_eq!(said("/p?k=%2B", "X-T: t0\r\nX-U: u500\r\n"), "500");
    assert_eq!(said("/p?k=+", "X-T: t0\r\nX-U: u500\r\n"), "app", "a space is no plus sign");
    assert_eq!(said("/x?k=%2B", "X-T: t0\r\nX-U: u500\r\n"), "app");
    assert_eq!(said("/?a%20b=q400", "X-T: t 300\r\n"), "other");
    // As many parameters as a request may have, all of the name that routes ask for.
    let other: Vec<_> = (0..900).map(|number| format!("k=v{number}&")).collect();
    for many in ["k=+&".repeat(1900), other.concat()] {
        assert_eq!(said(&format!("/?{many}"), ""), "app");
        assert_eq!(said(&format!("/?{many}k=last"), ""), "regex");
        assert_eq!(said(&format!("/p?{many}k=%2b"), "X-T: t0\r\nX-U: u500\r\n"), "500");
    }
}

#[test]
fn no_way_of_writing_a_path_dodges_a_route_and_its_server_gets_the_one_that_was_matched() {
    let two = Two::new();
    let program = two.config("{ path = \"/admin\", pool = \"other\" },").start();
    for path in [
        "/admin",
        "//admin",
        "/./admin",
        "/x/../admin",
        "/%61dmin",
        "/%61%64%6d%69%6E",
        "/x/%2e%2E/admin",
        "/../../admin",
        "http://test/x/../admin",
    ] {
        assert_eq!(said(&program, path), "other /admin test", "{path}");
    }
    assert_eq!(said(&program, "/x/../admin/%7euser//?q=/../"), "other /admin/~user/?q=/../ test");
    for path in ["/x%2f..%2fadmin", "/x%2F../admin%2fy/..\\..\\admin", "/\\admin", "/%5cadmin", "/..%2Fadmin", "/a%zz"]
    {
        let response = program.ask(get(path));
        assert_eq!(response.status, 400, "{path}: {}", response.text());
    }
    // An encoded slash that changes nothing stays what it is.
    assert_eq!(said(&program, "/admin/a%2fb"), "other /admin/a%2Fb test");
    assert_eq!(said(&program, "/x/a%2fb"), "app /x/a%2Fb test");
}

#[test]
fn curl_cannot_dodge_a_route_either() {
    let two = Two::new();
    let program = two.config("{ path = \"/admin\", pool = \"other\" },").start();
    for (path, version) in [("/x/../admin", "--http1.1"), ("//%61dmin", "--http2-prior-knowledge")] {
        let url = format!("http://{}{path}", program.address());
        let arguments =
            ["--silent", "--show-error", "--max-time", "30", "--noproxy", "*", "--path-as-is", version, &url];
        let output = std::process::Command::new("curl").args(arguments).output().expect("curl is installed");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, format!("other /admin {}", program.address()), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn without_a_route_that_looks_at_paths_they_are_forwarded_as_they_came() {
    let two = Two::new();
    let program = two.config("{ host = \"b.example\", pool = \"other\" },").start();
    assert_eq!(said(&program, "/a/../b//%7e%2f\\"), "app /a/../b//%7e%2f\\ test");
}

#[test]
fn a_prefix_is_cut_off_and_another_put_before_the_path() {
    let two = Two::new();
    let program = two
        .config(
            "{ path = \"/app\", strip_prefix = \"/app\", pool = \"other\" },
             { path = \"/old\", strip_prefix = \"/old\", add_prefix = \"/new/v2\", pool = \"other\" },
             { path = \"/x\", add_prefix = \"/y\", pool = \"other\" },",
        )
        .start();
    for (path, asked) in [
        ("/app", "/"),
        ("/app/", "/"),
        ("/app/a?b=c", "/a?b=c"),
        ("/app?q", "/?q"),
        ("/app//a/./b", "/a/b"),
        ("/old", "/new/v2"),
        ("/old/z", "/new/v2/z"),
        ("/x/z?", "/y/x/z?"),
    ] {
        assert_eq!(said(&program, path), format!("other {asked} test"), "{path}");
    }
    assert_eq!(said(&program, "/apple"), "app /apple test");
}

#[test]
fn redirects_are_made_of_the_request_and_lead_nowhere_else() {
    let two = Two::new();
    let program = two
        .config(
            "{ path = \"/old\", redirect = { to = \"https://new.example$path?$query\", status = 301 } },
             { path = \"/moved\", strip_prefix = \"/moved\", redirect = { to = \"https://new.example/new$target\", status = 301 } },
             { path = \"/put\", strip_prefix = \"/put\", add_prefix = \"/under\", redirect = \"https://$host$path\" },
             { path = \"/far\", strip_prefix = \"/far\", redirect = \"https\" },
             { path = \"/here\", redirect = { to = \"/there$path\", status = 302 } },
             { path = { regex = \"evil\" }, redirect = { to = \"/safe$path\", status = 307 } },
             { path = \"/tls\", redirect = { to = \"https://$host$target\" } },
             { path = \"/other\", pool = \"other\" },",
        )
        .start();
    let mut client = program.client();
    let mut sent_to = |target: &str| {
        let response = client.ask(get(target));
        (response.status, response.field("location").unwrap_or_default().to_owned())
    };
    assert_eq!(sent_to("/old/a?b=c"), (301, "https://new.example/old/a?b=c".into()));
    assert_eq!(sent_to("/here"), (302, "/there/here".into()));
    assert_eq!(sent_to("//evil.example/x"), (307, "/safe//evil.example/x".into()));
    assert_eq!(sent_to("/tls?x"), (308, "https://test/tls?x".into()));
    assert_eq!(sent_to("/moved/a?b=c"), (301, "https://new.example/new/a?b=c".into()));
    assert_eq!(sent_to("/moved"), (301, "https://new.example/new/".into()));
    assert_eq!(sent_to("/moved/../moved//evil.example/%61"), (301, "https://new.example/new/evil.example/a".into()));
    assert_eq!(sent_to("/put/a?b"), (308, "https://test/under/a".into()));
    assert_eq!(sent_to("/far//a?b"), (308, "https://test/a?b".into()));
    client.send("HEAD /here HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response_to_head();
    assert_eq!((response.status, response.field("cache-control")), (302, None));
    assert_eq!(client.ask(get("/old")).field("cache-control"), None, "browsers remember a 301");
    let response = client.ask("GET /tls HTTP/1.0\r\n\r\n");
    assert_eq!((response.status, response.field("location")), (400, None), "{}", response.text());
    assert_eq!(two.app.count() + two.other.count(), 0);
}

#[test]
fn answers_without_a_server_keep_the_connection_and_the_rules_of_their_status() {
    let two = Two::new();
    let program = two
        .config(
            "{ path = \"/health\", respond = { status = 200, body = \"ok\\n\" } },
             { path = \"/none\", respond = { status = 204 } },
             { path = \"/gone\", respond = { status = 410 } },
             { path = \"/quiet\", respond = { status = 200 } },
             { path = \"/other\", pool = \"other\" },",
        )
        .start();
    let mut client = program.client();
    let response = client.ask(get("/health"));
    assert_eq!((response.status, response.text().as_str()), (200, "ok\n"));
    assert_eq!(response.field("cache-control"), None);
    assert_eq!(response.field("content-type"), Some("text/plain; charset=utf-8"));
    let response = client.ask(get("/none"));
    assert_eq!((response.status, response.field("content-length")), (204, None));
    let response = client.ask(get("/gone"));
    assert_eq!((response.status, response.text().contains("410 Gone")), (410, true));
    assert_eq!(response.field("cache-control"), Some("no-store"));
    let response = client.ask(get("/quiet"));
    assert_eq!((response.field("content-length"), response.field("content-type")), (Some("0"), None));
    client.send("HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to_head().field("content-length"), Some("3"));
    // What is not read of a body cannot be taken for a request.
    let response = client.ask("POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    assert_eq!((response.status, response.field("connection")), (200, Some("close")));
    assert_eq!(two.app.count() + two.other.count(), 0);
}

#[test]
fn a_split_draws_pools_by_weight() {
    let two = Two::new();
    let program = two.config("{ path = \"/\", split = { app = 3, other = 1 } },").only_routes().start();
    let mut client = program.client();
    let others = (0..400).filter(|_| client.ask(get("/")).text().starts_with("other")).count();
    // Five standard deviations, of 8.7 each, on either side.
    assert!((56..=144).contains(&others), "{others} of 400");
}

#[test]
fn what_no_route_is_for_gets_404_and_the_connection_goes_on() {
    let two = Two::new();
    let program =
        two.config("{ path = \"/a\", pool = \"app\" },\n{ path = \"/b\", pool = \"other\" },").only_routes().start();
    let mut client = program.client();
    let response = client.ask(get("/c"));
    assert_eq!((response.status, response.field("connection")), (404, None));
    assert_eq!(client.ask(get("/b")).text(), "other /b test");
}

#[test]
fn who_may_not_ask_gets_403() {
    let two = Two::new();
    let program = two
        .config("{ path = \"/inside\", allow = \"10.0.0.0/8\", pool = \"other\" },\n{ path = \"/most\", deny = \"10.0.0.0/8\", pool = \"other\" },")
        .top("access_log = { to = \"stdout\" }")
        .start();
    let mut client = program.client();
    assert_eq!(client.ask(get("/inside")).status, 403);
    assert_eq!(client.ask(get("/most")).status, 200);
    assert_eq!(two.other.count(), 1);
    let closed = Config::to(&[two.app.address()]).listen("deny = \"127.0.0.1\"").start();
    assert_eq!(closed.ask(get("/")).status, 403);
    let tcp = Config::to(&[two.app.address()]).listen("protocol = \"tcp\"\ndeny = \"127.0.0.1\"").start();
    let mut client = tcp.client();
    // It may be gone before it is heard.
    client.try_send(get("/"));
    assert!(client.try_response(false).is_err());
    assert_eq!(two.app.count(), 0);
}

#[test]
fn a_route_has_timeouts_and_retries_of_its_own() {
    let fails = Server::answering(|request| match request.target() {
        "/slow" => String::new(),
        _ => "HTTP/1.1 503 So\r\nContent-Length: 0\r\n\r\n".to_owned(),
    });
    let good = Server::saying("good");
    let program = Config::to(&[fails.address()])
        .pool("policy = \"round-robin\"\neject = \"off\"\nretry = { on = [503], tries = 2 }")
        .pool("unavailable = { fallback = \"more\" }")
        .another_pool("more", &format!("servers = [\"{}\"]", good.address()))
        .listen(
            "route = [ { path = \"/slow\", timeout = { first_byte = \"20ms\" }, retry = \"off\", pool = \"app\" } ]",
        )
        .start();
    assert_eq!(program.ask(get("/slow")).status, 504);
    assert_eq!(fails.count(), 1);
}

#[test]
fn pages_for_errors_come_from_the_route_then_from_the_pool() {
    let folder = std::env::temp_dir().join(format!("plimsoll-wire-pages-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let page = |name: &str, content: &str| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let (route, pool) = (page("route.html", "<p>route"), page("pool.html", "<p>pool"));
    let app = Server::saying("app");
    let program = Config::to(&[])
        .server(app.address(), "state = \"down\"")
        .pool(&format!("unavailable = {{ page = \"{pool}\" }}"))
        .listen(&format!(
            "route = [ {{ path = \"/a\", errors = {{ 5xx = \"{route}\", 403 = \"{route}\" }}, deny = \"10.0.0.0/8\", pool = \"app\" }} ]"
        ))
        .start();
    let response = program.ask(get("/a"));
    assert_eq!((response.status, response.text().as_str()), (503, "<p>route"));
    assert_eq!(response.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(response.field("retry-after").is_some());
    assert_eq!(program.ask(get("/b")).text(), "<p>pool");
    let mut client = program.client();
    client.send("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response_to_head();
    assert_eq!((response.status, response.field("content-length")), (503, Some("8")));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_log_names_the_route() {
    let two = Two::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut program = two
        .config("{ name = \"login\", path = \"/login\", pool = \"other\" },")
        .top("access_log = { to = \"stdout\", format = \"$route $target $pool\" }")
        .start_with_stdout(writer);
    let mut client = program.client();
    for path in ["/login/x", "/"] {
        client.ask(get(path));
    }
    client.send("none\r\n\r\n");
    client.response();
    program.terminate();
    assert!(program.ended().success());
    let log = std::io::read_to_string(reader).unwrap();
    assert_eq!(log, "login /login/x other\ndefault / app\n- none -\n");
}

#[test]
fn hosts_are_kept_as_they_came() {
    let two = Two::new();
    let program = two.config("{ host = \"a.example\", path = \"/x\", pool = \"other\" },").start();
    let response = program.ask("GET /y/../x HTTP/1.1\r\nHost: A.Example.:80\r\nX-One: 1\r\n\r\n");
    assert_eq!(response.text(), "other /x A.Example.:80");
    assert_eq!(fields(&two.other.request().head, "x-one"), ["1"]);
}
