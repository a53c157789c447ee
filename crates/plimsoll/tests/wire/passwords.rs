//! Basic authentication: with the hashes that `htpasswd` and `argon2` write, asked by curl and by clients that write what they
//! like, and without keeping anybody else waiting.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::kit::{Client, Config, Program, Server, get, ok, run, until};

/// A file of users, gone with the test. It may be a page as well.
struct Users(PathBuf);

impl Users {
    fn of(lines: &[String]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let users =
            Self(std::env::temp_dir().join(format!("plimsoll-wire-users-{}-{number}.html", std::process::id())));
        users.write(lines);
        users
    }

    fn write(&self, lines: &[String]) {
        std::fs::write(&self.0, lines.join("\n")).unwrap();
    }

    fn rule(&self) -> String {
        format!("basic_auth = {{ users = \"{}\", realm = \"staff only\" }}", self.0.display())
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        // Gone already is fine.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The line that a program prints.
fn line(command: &str, arguments: &[&str], input: &str) -> String {
    String::from_utf8(run(command, arguments, input.as_bytes()).printed).unwrap().trim().to_owned()
}

/// A line with bcrypt of 2^`cost` rounds.
fn bcrypt(name: &str, password: &str, cost: u32) -> String {
    line("htpasswd", &["-nbB", "-C", &cost.to_string(), name, password], "")
}

/// A line with Argon2id of 4 MiB, two passes and two lanes.
fn argon2(name: &str, password: &str) -> String {
    let hash = line("argon2", &["a pinch of salt", "-id", "-t", "2", "-m", "12", "-p", "2", "-e"], password);
    format!("{name}:{hash}")
}

/// The field for a name and a password.
fn basic(credentials: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(credentials))
}

fn asking(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

/// Says what it got of `Authorization`.
fn server() -> Server {
    Server::answering(|request| ok(&request.fields("authorization").join("|")))
}

fn curl(program: &Program, arguments: &[&str]) -> Output {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--include", "--max-time", "30", "--noproxy", "*"]).args(arguments);
    curl.arg(format!("http://{}/", program.address())).output().expect("curl is installed")
}

#[test]
fn curl_with_a_password_is_let_in_and_the_server_never_sees_it() {
    let users = Users::of(&[bcrypt("amy", "sword:fish", 5), argon2("Zoë", "größe"), bcrypt("bob", "", 4)]);
    let server = server();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut program = Config::to(&[server.address()])
        .listen(&users.rule())
        .top("access_log = { to = \"stdout\", format = \"$user $status $reason\" }")
        .start_with_stdout(writer);
    for (arguments, status) in [
        (&["--user", "amy:sword:fish"][..], "200"),
        (&["--user", "Zoë:größe"], "200"),
        (&["--user", "amy:sword:fish", "--http2-prior-knowledge"], "200"),
        (&["--user", "bob:"], "200"),
        (&["--user", "amy:swordfish"], "401"),
        (&["--user", "Amy:sword:fish"], "401"),
        (&["--user", "nobody:sword:fish"], "401"),
        (&["--user", "Zoë:größ"], "401"),
        (&[], "401"),
        (&["--anyauth", "--user", "amy:sword:fish"], "401"),
    ] {
        let output = curl(&program, arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.split(' ').nth(1), Some(status), "{arguments:?}: {said}");
        let challenge = "www-authenticate: basic realm=\"staff only\", charset=\"utf-8\"\r\n";
        assert_eq!(said.to_lowercase().contains(challenge), status == "401", "{said}");
        // Told what is asked for, curl asks again.
        let then = said.contains("HTTP/1.1 200 OK");
        assert_eq!(
            then,
            arguments.contains(&"--anyauth") || (status == "200" && !arguments.contains(&"--http2-prior-knowledge"))
        );
    }
    assert_eq!(server.count(), 5);
    assert!(server.requests().iter().all(|request| request.fields("authorization").is_empty()));
    program.terminate();
    assert!(program.ended().success());
    let log = std::io::read_to_string(reader).unwrap();
    let none = "- 401 a name and its password are asked for\n";
    assert_eq!(log, format!("amy 200 -\nZo\\xC3\\xAB 200 -\namy 200 -\nbob 200 -\n{}amy 200 -\n", none.repeat(6)));
}

#[test]
fn what_is_no_name_and_password_gets_401_and_the_connection_goes_on() {
    let users = Users::of(&[bcrypt("amy", "swordfish", 4)]);
    let server = server();
    let program = Config::to(&[server.address()]).listen(&users.rule()).start();
    let mut client = program.client();
    let right = basic("amy:swordfish");
    for lines in [
        String::new(),
        "Authorization: Basic\r\n".to_owned(),
        "Authorization: Basic !!!\r\n".to_owned(),
        "Authorization: Basic YW15\r\n".to_owned(),
        "Authorization: Bearer YW15OnN3b3JkZmlzaA==\r\n".to_owned(),
        format!("Authorization: Basic {}\r\n", "A".repeat(8000)),
        basic(":"),
        basic("amy:swordfish\0"),
        right.repeat(2),
        basic("amy:x") + &right,
        right.replace("Authorization", "X-Authorization"),
    ] {
        let response = client.ask(asking("/", &lines));
        assert_eq!((response.status, response.field("connection")), (401, None), "{lines:.60}");
        assert!(response.field("www-authenticate").is_some_and(|value| value.starts_with("Basic realm=")));
    }
    let small = format!("authorization: basic {}", &right["Authorization: Basic ".len()..]);
    assert_eq!(client.ask(asking("/", &small)).status, 200);
    assert_eq!(server.count(), 1);
}

#[test]
fn requests_that_came_behind_one_that_waits_are_served_after_it() {
    let users = Users::of(&[bcrypt("amy", "swordfish", 6)]);
    let server = Server::answering(|request| ok(&format!("{} {}", request.target(), request.body.len())));
    let program = Config::to(&[server.address()]).listen(&users.rule()).start();
    let (right, wrong) = (basic("amy:swordfish"), basic("amy:x"));
    let mut client = program.client();
    let post = format!("POST /1 HTTP/1.1\r\nHost: a\r\n{right}Content-Length: 5\r\n\r\nhello");
    client.send([post, asking("/2", &wrong), asking("/3", &right)].concat());
    let answers: Vec<_> = (0..3).map(|_| client.response()).map(|answer| (answer.status, answer.text())).collect();
    assert_eq!((answers[0].0, &*answers[0].1), (200, "/1 5"));
    assert_eq!(answers[1].0, 401);
    assert_eq!((answers[2].0, &*answers[2].1), (200, "/3 0"));
}

#[test]
fn routes_ask_for_themselves_and_answer_with_their_page() {
    let users = Users::of(&[bcrypt("amy", "swordfish", 4)]);
    let page = Users::of(&["<p>who are you?".to_owned()]);
    let server = server();
    let program = Config::to(&[server.address()])
        .listen(&users.rule())
        .listen(&format!(
            "route = [ {{ path = \"/open\", basic_auth = \"off\", pool = \"app\" }},
             {{ path = \"/away\", errors = {{ 401 = \"{}\" }}, redirect = \"/there\" }},
             {{ path = \"/say\", respond = {{ body = \"secret\" }} }} ]",
            page.0.display()
        ))
        .start();
    let mut client = program.client();
    let theirs = basic("who:ever");
    // What we do not look at is for the server.
    assert_eq!(client.ask(asking("/open", &theirs)).text(), theirs["Authorization: ".len()..].trim());
    let response = client.ask(asking("/away", &theirs));
    assert_eq!((response.status, response.text().as_str()), (401, "<p>who are you?"));
    assert_eq!(client.ask(get("/say")).status, 401);
    let right = basic("amy:swordfish");
    assert_eq!(client.ask(asking("/away", &right)).status, 308);
    assert_eq!(client.ask(asking("/say", &right)).text(), "secret");
    assert_eq!(server.count(), 1);
}

#[test]
fn a_call_of_grpc_ends_unauthenticated() {
    let users = Users::of(&[bcrypt("amy", "swordfish", 4)]);
    let server = server();
    let program = Config::to(&[server.address()]).listen(&users.rule()).start();
    let call = ["--http2-prior-knowledge", "-X", "POST", "-H", "Content-Type: application/grpc", "-H", "TE: trailers"];
    let said = String::from_utf8(curl(&program, &call).stdout).unwrap();
    assert!(said.starts_with("HTTP/2 200") && said.contains("grpc-status: 16\r\n"), "{said}");
    assert_eq!(server.count(), 0);
}

#[test]
fn a_user_who_is_removed_is_not_let_in_any_more() {
    let (amy, zoe) = (bcrypt("amy", "swordfish", 4), bcrypt("zoe", "swordfish", 4));
    let users = Users::of(&[amy.clone(), zoe.clone()]);
    let server = server();
    let config = Config::to(&[server.address()]).listen(&users.rule());
    let program = config.start();
    let mut client = program.client();
    let mut status = |name: &str, password: &str| client.ask(asking("/", &basic(&format!("{name}:{password}")))).status;
    assert_eq!((status("amy", "swordfish"), status("zoe", "swordfish")), (200, 200));
    users.write(&[zoe]);
    program.reload(&config);
    assert_eq!((status("amy", "swordfish"), status("zoe", "swordfish")), (401, 200));
    users.write(&[amy, bcrypt("zoe", "catfish", 4)]);
    program.reload(&config);
    assert_eq!((status("amy", "swordfish"), status("zoe", "swordfish"), status("zoe", "catfish")), (200, 401, 200));
}

#[test]
fn a_mistake_in_the_file_at_a_reload_leaves_the_users_as_they_were() {
    let users = Users::of(&[bcrypt("amy", "swordfish", 4)]);
    let server = server();
    let config = Config::to(&[server.address()]).listen(&users.rule());
    let program = config.start();
    let mut client = program.client();
    let mut status = |name: &str, password: &str| client.ask(asking("/", &basic(&format!("{name}:{password}")))).status;
    let costly = bcrypt("zoe", "swordfish", 4).replace("$04$", "$15$");
    for wrong in [String::new(), "zoe:swordfish".to_owned(), costly] {
        users.write(&[bcrypt("amy", "catfish", 4), wrong.clone()][usize::from(wrong.is_empty())..]);
        program.reload_in_vain(&config);
        assert_eq!((status("amy", "swordfish"), status("amy", "catfish")), (200, 401), "{wrong}");
    }
    assert!(program.said_times("`zoe` has a bcrypt cost of 15, out of bounds") > 0);
}

#[test]
fn passwords_that_are_looked_at_keep_nobody_else_waiting() {
    const GUESSES: usize = 200;
    const OTHERS: usize = 200;
    let users = Users::of(&[bcrypt("amy", "swordfish", 11)]);
    let server = Server::saying("open");
    let program = Config::to(&[server.address()])
        .listen(&users.rule())
        .listen("route = [ { path = \"/open\", basic_auth = \"off\", pool = \"app\" } ]")
        .start();
    let mut other = program.client();
    other.ask(get("/open"));
    let guesses: Vec<Client> = (0..GUESSES)
        .map(|number| {
            let mut client = program.client();
            client.send(asking("/", &basic(&format!("amy:guess {number}"))));
            client
        })
        .collect();
    program.fence();
    for _ in 0..OTHERS {
        assert_eq!(other.ask(get("/open")).status, 200);
    }
    let unanswered = |client: &&Client| {
        client.stream().set_nonblocking(true).unwrap();
        client.stream().peek(&mut [0]).is_err()
    };
    let waiting = guesses.iter().filter(unanswered).count();
    assert!(waiting > 0, "all passwords had been looked at when the others had their answers");
    // What there is no room for is told so.
    assert!(waiting < GUESSES, "{waiting} wait at once");
    let mut turned_away = guesses;
    turned_away.retain(|client| !unanswered(&client));
    let mut last = turned_away.pop().unwrap();
    last.stream().set_nonblocking(false).unwrap();
    let response = last.response();
    assert!(matches!(response.status, 401 | 503), "{}", response.head);
    assert_eq!(response.status == 503, response.field("retry-after") == Some("1"), "{}", response.head);
    drop((turned_away, last));
    // Nobody waits for the guesses any more, so they are passed over.
    until("a user is let in again", || other.ask(asking("/", &basic("amy:swordfish"))).status == 200);
}
