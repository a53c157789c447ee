//! Request ids: kept or made, passed on, told, logged.

use crate::access_log::LogFile;
use crate::kit::{Config, Program, Server, fields, get, ok};

const NAME: &str = "x-request-id";

fn with(server: &Server, settings: &str) -> Program {
    Config::to(&[server.address()]).listen(&format!("request_id = {settings}")).start()
}

/// A GET with these field lines.
fn asking(lines: &str) -> String {
    get("/").replace("\r\n\r\n", &format!("\r\n{lines}\r\n"))
}

#[track_caller]
fn assert_made(id: &str) {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    assert!(id.len() == 32 && id.bytes().all(hex), "{id}");
}

#[test]
fn an_id_is_made_and_everybody_is_told_it() {
    // The server tells it as well, in its own way.
    let server = Server::answering(|_| "HTTP/1.1 200 OK\r\nX-Request-ID: other\r\nContent-Length: 0\r\n\r\n");
    let log = LogFile::new();
    let config = Config::to(&[server.address()]).listen("request_id = {}").listen("max_body = \"3B\"");
    let program = config.top(&log.settings("")).start();
    let mut client = program.client();
    let response = client.ask(get("/"));
    let told = response.field(NAME).unwrap();
    assert_made(told);
    assert_eq!(server.request().fields(NAME), [told]);
    let again = client.ask(get("/"));
    assert_ne!(again.field(NAME).unwrap(), told);
    let refused = program.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(refused.status, 413);
    let lines = log.json(3);
    assert_eq!(lines[0]["request_id"], told);
    assert_eq!(lines[2]["request_id"], refused.field(NAME).unwrap());
}

#[test]
fn a_valid_id_of_the_client_is_kept_and_any_other_replaced() {
    let server = Server::saying("hello");
    let program = with(&server, "{ header = \"X-Request-Id\" }");
    let longest = "i".repeat(128);
    for id in ["a", "7f-\"quoted\"-\\", &longest] {
        let response = program.ask(asking(&format!("X-REQUEST-ID: {id}\r\n")));
        assert_eq!(response.field(NAME), Some(id));
        let head = server.requests().pop().unwrap().head;
        assert!(head.contains(&format!("\r\nX-REQUEST-ID: {id}\r\n")), "{head}");
        assert_eq!(fields(&head, NAME), [id]);
    }
    let too_long = format!("X-Request-Id: {longest}i\r\n");
    for lines in [
        "X-Request-Id: two words\r\n",
        "X-Request-Id:\r\n",
        "X-Request-Id: caf\u{e9}\r\n",
        "X-Request-Id: a\r\nX-Request-Id: b\r\n",
        "X-Request-Id: a\r\nX_Request_Id: b\r\n",
        &too_long,
    ] {
        let response = program.ask(asking(lines));
        let told = response.field(NAME).unwrap();
        assert_made(told);
        let request = server.requests().pop().unwrap();
        assert_eq!(request.fields(NAME), [told], "{lines}");
        assert!(request.fields("x_request_id").is_empty(), "{lines}");
    }
}

#[test]
fn what_clients_say_can_be_replaced_and_what_they_are_told_left_out() {
    let server = Server::answering(|_| ok(""));
    let program = with(&server, "{ header = \"X-Trace\", from_client = \"replace\", to_client = false }");
    let response = program.ask(asking("X-Trace: theirs\r\nX-Request-Id: untouched\r\n"));
    assert_eq!(response.field("x-trace"), None);
    let request = server.request();
    assert_made(request.field("x-trace").unwrap());
    assert_eq!(request.fields(NAME), ["untouched"]);
}

#[test]
fn without_the_setting_an_id_passes_through() {
    let server = Server::saying("hello");
    let program = Config::to(&[server.address()]).start();
    let response = program.ask(asking("X-Request-Id: any thing\r\n"));
    assert_eq!((response.field(NAME), server.request().fields(NAME)), (None, vec!["any thing"]));
}
