//! What a client gets before a route is known: answers of ours with the pages and the fields that the listener says.

use std::path::PathBuf;
use std::process::Command;

use crate::kit::{Config, Response, Server, get};

/// A page in a file, gone with the test.
struct Page(PathBuf);

impl Page {
    fn new(name: &str) -> Self {
        let page = Self(std::env::temp_dir().join(format!("plimsoll-wire-{name}-{}.html", std::process::id())));
        std::fs::write(&page.0, CONTENT).unwrap();
        page
    }

    /// Fields and a page for all that goes wrong.
    fn rules(&self) -> String {
        format!(
            "errors = {{ 4xx = \"{}\" }}
             response_headers = {{ set = {{ X-Node = \"one\", X-Path = \"$path\", X-Route = \"$route\" }}, remove = \"Cache-Control\" }}",
            self.0.display()
        )
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Gone already is fine.
        let _ = std::fs::remove_file(&self.0);
    }
}

const CONTENT: &str = "<p>not here";

/// One route, `/a`, and nothing beside it.
fn only_a(server: &Server, rules: &str) -> Config {
    let routes = "route = [ { path = \"/a\", pool = \"app\" } ]";
    Config::to(&[server.address()]).listen(rules).listen(routes).only_routes()
}

#[track_caller]
fn assert_dressed(response: &Response, status: u16, path: Option<&str>) {
    assert_eq!((response.status, response.text().as_str()), (status, CONTENT), "{}", response.head);
    assert_eq!(response.field("content-type"), Some("text/html; charset=utf-8"));
    let fields = ["x-node", "x-path", "x-route", "cache-control"].map(|name| response.field(name));
    assert_eq!(fields, [Some("one"), path, None, None], "{}", response.head);
}

#[test]
fn what_no_route_is_for_has_the_page_and_the_fields_of_its_listener() {
    let (server, page) = (Server::saying("app"), Page::new("no-route"));
    let program = only_a(&server, &page.rules()).start();
    let mut client = program.client();
    for path in ["/b", "/c?d"] {
        assert_dressed(&client.ask(get(path)), 404, path.split('?').next());
    }
    let response = client.ask(get("/a"));
    assert_eq!((response.text().as_str(), response.field("x-route")), ("app", Some("route 1")));
    assert_eq!(response.field("x-path"), Some("/a"));
}

#[test]
fn so_it_is_in_http_2() {
    let (server, page) = (Server::saying("app"), Page::new("no-route-2"));
    let program = only_a(&server, &page.rules()).start();
    let curl = Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--max-time", "30", "--noproxy", "*"])
        .args(["--http2-prior-knowledge", &format!("http://{}/b", program.address())])
        .output()
        .expect("curl is installed");
    let said = String::from_utf8_lossy(&curl.stdout).into_owned();
    assert!(said.starts_with("HTTP/2 404"), "{said} {}", String::from_utf8_lossy(&curl.stderr));
    for line in ["\r\nx-node: one\r\n", "\r\nx-path: /b\r\n", "\r\ncontent-type: text/html; charset=utf-8\r\n"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.ends_with(CONTENT) && !said.contains("cache-control"), "{said}");
}

#[test]
fn so_has_who_is_refused_before_a_route_is_known() {
    let (server, page) = (Server::saying("app"), Page::new("refused"));
    let denied = only_a(&server, &format!("{}\ndeny = \"127.0.0.1\"", page.rules())).start();
    assert_dressed(&denied.ask(get("/b")), 403, Some("/b"));
    assert_dressed(&denied.ask(get("/a/../b")), 403, Some("/a/../b"));
    let limited = only_a(&server, &format!("{}\nlimit = \"few\"", page.rules()))
        .limit("few", "key = \"client\"\nrequest_rate = \"1/h\"")
        .start();
    assert_dressed(&limited.ask(get("/b")), 404, Some("/b"));
    let response = limited.ask(get("/b"));
    assert!(response.field("retry-after").is_some(), "{}", response.head);
    assert_dressed(&response, 429, Some("/b"));
    let ambiguous = only_a(&server, &page.rules()).start();
    assert_dressed(&ambiguous.ask(get("/x%2f..%2fa")), 400, Some("/x%2f..%2fa"));
}

#[test]
fn so_has_what_is_no_request_as_far_as_it_tells_of_one() {
    let (server, page) = (Server::saying("app"), Page::new("no-request"));
    let rules =
        format!("{}\nmax_head = \"2KiB\"\nmax_target = \"1KiB\"\ntimeout = {{ head = \"100ms\" }}", page.rules());
    let program = only_a(&server, &rules).start();
    let (long, longer) = ("x".repeat(1500), "x".repeat(3000));
    for (sent, status) in [
        ("none\r\n\r\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET /a HTTP/1.1\r\nHost: a\r\nX-A: {longer}\r\n\r\n"), 431),
        ("GET /a HTTP/1.1\r\nHost: a\r\n".to_owned(), 408),
    ] {
        assert_dressed(&program.ask(sent), status, None);
    }
}
