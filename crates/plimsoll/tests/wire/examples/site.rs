//! A web site over TLS, as curl sees it.

use std::net::SocketAddr;

use crate::kit::{Example, Mortal, Program, Talk, get, ok, run, until};

/// A server that answers with its name, and its health page.
fn mortal(name: &'static str) -> Mortal {
    Mortal::start(move |talk: &mut Talk| {
        while let Some(request) = talk.request() {
            if !talk.send(ok(if request.target() == "/health" { "well" } else { name })) {
                return;
            }
        }
    })
}

/// A browser's worth of curl: it trusts the certificate of the example and keeps cookies.
struct Browser<'a> {
    example: &'a Example,
    secured: SocketAddr,
    jar: &'a str,
}

impl Browser<'_> {
    /// What curl prints for this path.
    fn open(&self, path: &str, more: &[&str]) -> String {
        let (certificate, jar) = (self.example.path("localhost.pem"), self.example.path(self.jar));
        let port = self.secured.port();
        let always = ["--silent", "--show-error", "--max-time", "30", "--noproxy", "*", "--cacert", &certificate];
        let (resolve, url) = (format!("localhost:{port}:127.0.0.1"), format!("https://localhost:{port}{path}"));
        let cookies = ["--cookie", &jar, "--cookie-jar", &jar, "--resolve", &resolve, &url];
        String::from_utf8(run("curl", &[&always, more, &cookies].concat(), b"").printed).unwrap()
    }
}

#[track_caller]
fn start(servers: &[Mortal; 3]) -> (Example, Program) {
    let mut example = Example::of("site.toml").certificate("localhost").file("sticky.key", &"k".repeat(64));
    for (port, server) in (9001..).zip(servers) {
        example = example.server(port, server.address());
    }
    let program = example.start();
    (example, program)
}

#[test]
fn plain_http_is_sent_to_https_and_clients_stay_with_their_server() {
    let mut servers = ["one", "two", "spare"].map(mortal);
    let (example, program) = start(&servers);
    let [plain, secured] = program.addresses();
    let sent = crate::kit::Client::connect(plain).ask("GET /cart?item=7 HTTP/1.1\r\nHost: localhost:8080\r\n\r\n");
    assert_eq!((sent.status, sent.field("location")), (308, Some("https://localhost:8443/cart?item=7")));
    let browser = |jar| Browser { example: &example, secured, jar };
    assert_eq!(browser("none").open("/healthz", &[]), "ok\n");
    let first = browser("a").open("/", &["--include"]).to_ascii_lowercase();
    for part in ["set-cookie: srv=", "httponly", "secure", "samesite=lax", "max-age=28800", "path=/"] {
        assert!(first.contains(part), "no {part} in {first}");
    }
    let mine = first.lines().last().unwrap().to_owned();
    assert!(["one", "two"].contains(&mine.as_str()), "{mine}");
    for _ in 0..5 {
        assert_eq!(browser("a").open("/", &[]), mine);
        browser("others").open("/", &[]);
    }
    let place = usize::from(mine == "two");
    servers[place].kill();
    let other = browser("a").open("/", &[]);
    assert_eq!(other, ["two", "one"][place], "the other one serves, and keeps him");
    servers[1 - place].kill();
    until("the backup serves", || browser("a").open("/", &[]) == "spare");
}

#[test]
fn the_page_of_statistics_counts_what_was_served() {
    let servers = ["one", "two", "spare"].map(mortal);
    let (example, program) = start(&servers);
    let [_, secured] = program.addresses();
    for _ in 0..4 {
        Browser { example: &example, secured, jar: "none" }.open("/", &["--http1.1", "--junk-session-cookies"]);
    }
    let admin = program.admin();
    let page = crate::kit::Client::connect(admin).ask(format!("GET / HTTP/1.1\r\nHost: {admin}\r\n\r\n"));
    assert!(page.status == 200 && page.text().contains("<html"), "{}", page.head);
    let metrics = crate::kit::Client::connect(admin).ask(format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\n\r\n"));
    let served: u64 = metrics
        .text()
        .lines()
        .filter(|line| line.starts_with("plimsoll_server_picks_total{pool=\"app\""))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(served, 4, "{}", metrics.text());
    assert_eq!(program.ask(get("/")).status, 308);
}
