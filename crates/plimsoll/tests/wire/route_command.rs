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

/// A file, removed when dropped.
struct File(String);

impl File {
    fn new(config: &Config) -> Self {
        Self::with(&config.text())
    }

    fn with(text: &str) -> Self {
        let name = format!("plimsoll-route-{}-{}.toml", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
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

/// What decides beside the routes.
fn gated(users: &File) -> Config {
    let rules = format!(
        "deny = [\"192.0.2.0/24\", \"192.0.2.7\"]\nlimit = [\"each\", \"conns\"]\nmax_body = \"1MiB\"
         route = [
           {{ path = \"/staff\", allow = \"10.0.0.0/8\", limit = \"logins\", pool = \"app\",
              basic_auth = {{ users = \"{}\", realm = \"staff\" }} }},
           {{ path = \"/open\", respond = {{ status = 204 }}, max_body = \"off\" }},
         ]",
        users.0
    );
    Config::to(&[([127, 0, 0, 1], 9).into()])
        .listen(&rules)
        .only_routes()
        .limit("each", "requests = 5\nconnections = 9")
        .limit("logins", "request_rate = \"10/min\"\nstatus = 503")
        .limit("conns", "connections = 9")
}

#[test]
fn it_tells_what_else_decides() {
    let users = File::with("amy:$2y$05$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDE\n");
    let file = File::new(&gated(&users));
    let said = |path: &str, client: &str| {
        let output = route(&file.0, &["GET", path, "--client", client]);
        let told = text(&output.stdout);
        let lines = told.lines().skip_while(|line| !line.starts_with('>')).skip(1).map(str::to_owned);
        (output.status.code(), lines.collect::<Vec<_>>())
    };
    let password = format!("needs a password of {} (realm staff)", users.0);
    let staff = [
        "counts in limit each: 5 at once for each client; one too many gets 429",
        "counts in limit logins: 10/min for each client; one too many gets 503",
        "a body of more than 1MiB gets 413",
        &password,
        "servers are asked for /staff/x",
    ];
    assert_eq!(said("/staff/x", "10.1.2.3"), (Some(0), staff.map(str::to_owned).to_vec()));
    let refused = |why: &str| (Some(0), vec![format!("refused with 403: client {why}")]);
    assert_eq!(said("/staff", "11.1.2.3"), refused("11.1.2.3 is none of those that the route allows"));
    let denied = "192.0.2.7 is denied by the listener, as is all of 192.0.2.0/24";
    assert_eq!(said("/staff", "192.0.2.7"), refused(denied));
    assert_eq!(said("/open", "192.0.2.7"), refused(denied));
    assert_eq!(said("/open", "::ffff:10.1.2.3"), (Some(0), vec![staff[0].to_owned()]));
    // What no route is for is judged by the listener.
    for (client, status, line) in [("10.1.2.3", 404, staff[0]), ("192.0.2.7", 403, denied)] {
        let output = route(&file.0, &["GET", "/none", "--client", client]);
        assert_eq!(output.status.code(), Some(1));
        let (said, wrong) = (text(&output.stdout), text(&output.stderr));
        assert!(said.contains(line) && wrong.contains(&format!("it gets {status}")), "{said} {wrong}");
    }
}

#[test]
fn programs_are_told_it_too() {
    let users = File::with("amy:$2y$05$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDE\n");
    let file = File::new(&gated(&users));
    let gates = |client: &str| {
        let output = route(&file.0, &["GET", "/staff", "--json", "--client", client]);
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (told["forbidden"].as_bool().unwrap(), told["gates"].clone())
    };
    let (forbidden, told) = gates("10.1.2.3");
    let limits: Vec<_> = told["limits"].as_array().unwrap().iter().map(|limit| limit["name"].clone()).collect();
    assert_eq!((forbidden, limits), (false, vec!["each".into(), "logins".into()]));
    assert_eq!(told["password"], serde_json::json!({ "users": users.0, "realm": "staff" }));
    assert_eq!((&told["max_body"], &told["denied"]), (&(1 << 20).into(), &serde_json::Value::Null));
    let (forbidden, told) = gates("11.1.2.3");
    assert_eq!(
        (forbidden, told["denied"].as_str()),
        (true, Some("client 11.1.2.3 is none of those that the route allows"))
    );
}
