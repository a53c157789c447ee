//! What `plimsoll route` says is what the program does.

use std::process::{Command, Output};

use crate::kit::{Config, Server, get};

const ROUTES: &str = "route = [
  { host = \"a.example\", path = \"/x\", respond = { status = 201 } },
  { host = \"*.example\", method = \"PUT\", respond = { status = 202 } },
  { path = [{ regex = '^/u/\\d+$' }, { exact = \"/Who\", ignore_case = true }], respond = { status = 203 } },
  { name = \"beta\", header = { x-beta = \"yes\" }, path = \"/b\", respond = { status = 206 } },
  { query = { v = \"2\" }, client = \"127.0.0.0/8\", respond = { status = 207 } },
  { path = \"/deny\", deny = \"127.0.0.1\", respond = { status = 208 } },
]";

fn route(file: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_plimsoll")).arg("route").arg(file).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A file with a configuration, removed when dropped.
struct File(String);

impl File {
    fn new(config: &Config) -> Self {
        let name = format!("plimsoll-route-{}-{}.toml", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, config.text()).unwrap();
        Self(path.display().to_string())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // Nothing depends on it.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_command_and_the_program_choose_the_same_route() {
    let server = Server::saying("default");
    let config = Config::to(&[server.address()]).listen(ROUTES);
    let (file, program) = (File::new(&config), config.start());
    let hosts = ["a.example", "B.EXAMPLE.", "c"];
    let paths = ["/x", "/x/../u/7", "/who", "//b", "/?v=2", "/deny/..", "/deny", "/x%2fy", "/..%2fx", "/u/x"];
    let kinds = [("GET", "yes"), ("PUT", "no")];
    let mut seen = Vec::new();
    for number in 0..hosts.len() * paths.len() * kinds.len() {
        let (host, rest) = (hosts[number % hosts.len()], number / hosts.len());
        let (path, (method, beta)) = (paths[rest % paths.len()], kinds[rest / paths.len()]);
        let url = format!("http://{host}{path}");
        let said = route(&file.0, &[method, &url, "-H", &format!("X-Beta: {beta}"), "--json"]);
        let told = text(&said.stdout);
        let expected =
            match program.ask(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Beta: {beta}\r\n\r\n")).status {
                200 => "pool app".to_owned(),
                403 => "answer 403: this client may not ask".to_owned(),
                400 => {
                    assert_eq!(said.status.code(), Some(1), "{method} {url}: {told}");
                    assert!(text(&said.stderr).contains("gets 400"), "{}", text(&said.stderr));
                    continue;
                }
                status => format!("answer {status}"),
            };
        assert!(told.contains(&format!("\"comes_to\": \"{expected}\"")), "{method} {url}: {expected}: {told}");
        assert_eq!(said.status.code(), Some(0));
        seen.push(expected);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 7, "each route is taken: {seen:?}");
}

#[test]
fn it_says_why_the_routes_before_are_not_for_the_request() {
    let server = Server::saying("default");
    let file = File::new(&Config::to(&[server.address()]).listen(ROUTES));
    let output = route(&file.0, &["GET", "http://b.example/b/x?y", "-H", "X-Beta: yes"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said} {}", text(&output.stderr));
    for part in ["listener web", "the host is not a.example", "the method is not PUT", ">  beta", "answer 206"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let output = route(&file.0, &["GET", "/none?z"]);
    assert!(text(&output.stdout).contains("servers are asked for /none?z"), "{}", text(&output.stdout));
}

#[test]
fn nothing_and_nonsense_have_codes_and_words_of_their_own() {
    let server = Server::saying("default");
    let config = Config::to(&[server.address()]).listen("route = [ { path = \"/a\", pool = \"app\" } ]").only_routes();
    let file = File::new(&config);
    for (arguments, code, part) in [
        (&["GET", "/b"][..], 1, "it gets 404"),
        (&["GET", "/a%zz"], 1, "gets 400"),
        (&["GET", "ftp://a/"], 2, "is no URL"),
        (&["GET", "/a", "-H", "nonsense"], 2, "-H 'Name: value'"),
        (&["GET", "/a", "--listener", "wbe"], 2, "there are: web"),
        (&["GET", "/a", "--client", "me"], 2, "--client"),
        (&["G T", "/a"], 1, "gets 400"),
        (&["GET", "http://a.example/ö"], 1, "must be percent-encoded"),
    ] {
        let output = route(&file.0, arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
    assert_eq!(config.start().ask(get("/b")).status, 404);
}
