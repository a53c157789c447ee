//! Fields that routes set, add and remove, on their way to servers and clients of both versions.

use crate::kit::{Client, Config, Program, Server, get, ok};

const EDITS: &str = "route = [ {
    path = \"/\", pool = \"app\",
    request_headers = { set = { X-Env = \"$route/$server\", X-User = \"$client_ip\" }, add = { X-Via = \"one\" }, remove = \"X-Debug\" },
    response_headers = { set = { X-Served-By = \"$server of $pool for $method $host$path\" }, add = { Vary = \"Accept\" }, remove = \"Server\" },
} ]";

const ASKED: &str = "GET /x?y HTTP/1.1\r\nHost: a.example:80\r\nx-env: forged\r\nX_User: forged\r\nX-Via: zero\r\n\
                     x-debug: 1\r\nX-Kept: 1\r\n\r\n";

const ANSWER: &str =
    "HTTP/1.1 200 OK\r\nServer: y\r\nx-served-by: forged\r\nVary: Cookie\r\nContent-Length: 2\r\n\r\nhi";

fn program(server: &Server) -> Program {
    let address = server.address();
    Config::to(&[]).server(address, "name = \"one\"").listen(EDITS).only_routes().start()
}

#[test]
fn heads_of_requests_and_answers_are_edited() {
    let server = Server::answering(|_| ANSWER);
    let program = program(&server);
    let response = program.ask(ASKED);
    let got = server.request();
    assert_eq!(got.fields("x-env"), ["route 1/one"]);
    assert_eq!((got.fields("x-user"), got.fields("x_user")), (vec!["127.0.0.1"], vec![]));
    assert_eq!(got.fields("x-via"), ["zero", "one"]);
    assert_eq!((got.field("x-debug"), got.field("x-kept")), (None, Some("1")));
    assert_eq!(response.fields("x-served-by"), ["one of app for GET a.example/x"]);
    assert_eq!((response.fields("vary"), response.field("server")), (vec!["Cookie", "Accept"], None));
    assert_eq!((response.text().as_str(), response.field("content-length")), ("hi", Some("2")));
}

#[test]
fn heads_of_http_2_are_edited_too() {
    let server = Server::answering(|_| ANSWER);
    let last = program(&server);
    // The one in front speaks HTTP/2 with a client and with its server, which is Plimsoll.
    let edits = EDITS.replace("X-", "Y-");
    let first = Config::to(&[])
        .server(last.address(), "name = \"last\"")
        .pool("protocol = \"http2\"")
        .listen(&edits)
        .only_routes()
        .start();
    let url = format!("http://{}/x", first.address());
    let arguments = ["--silent", "--show-error", "--include", "--max-time", "30", "--noproxy", "*"];
    let curl = std::process::Command::new("curl")
        .args(arguments)
        .args(["--http2-prior-knowledge", "--header", "Y-Debug: 1", "--header", "y-env: forged", &url])
        .output()
        .expect("curl is installed");
    let said = String::from_utf8_lossy(&curl.stdout).to_ascii_lowercase();
    assert!(said.starts_with("http/2 200"), "{said} {}", String::from_utf8_lossy(&curl.stderr));
    assert!(said.contains("\r\nx-served-by: one of app for get 127.0.0.1/x\r\n"), "{said}");
    assert!(said.contains("\r\ny-served-by: last of app for get 127.0.0.1/x\r\n"), "{said}");
    assert!(!said.contains("\r\nserver:"), "{said}");
    let got = server.request();
    assert_eq!((got.field("y-env"), got.field("x-env")), (Some("route 1/last"), Some("route 1/one")));
    assert_eq!(got.field("y-debug"), None);
}

#[test]
fn answers_of_ours_are_edited_too_and_keep_their_framing() {
    let server = Server::saying("hi");
    let program = Config::to(&[])
        .server(server.address(), "state = \"down\"")
        .listen(
            "request_id = {}\nresponse_headers = { set = { X-Where = \"$path of $route\", Cache-Control = \"max-age=60\" }, remove = \"Retry-After\" }
             route = [ { path = \"/health\", respond = { status = 200, body = \"ok\" }, response_headers = { add = { X-More = \"$request_id\" } } } ]",
        )
        .start();
    let mut client: Client = program.client();
    let response = client.ask(get("/health?x"));
    assert_eq!(
        (response.field("x-where"), response.field("cache-control")),
        (Some("/health of route 1"), Some("max-age=60"))
    );
    assert_eq!(response.field("x-more").map(str::len), Some(32));
    assert_eq!((response.text().as_str(), response.fields("date").len()), ("ok", 1));
    let response = client.ask(get("/"));
    assert_eq!((response.status, response.field("retry-after")), (503, None));
    assert_eq!(response.field("x-where"), Some("/ of default"));
}

#[test]
fn interim_answers_and_trailers_are_left_alone() {
    let server = Server::answering(|_| {
        "HTTP/1.1 103 Early Hints\r\nServer: y\r\n\r\nHTTP/1.1 200 OK\r\nServer: y\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nServer: y\r\n\r\n"
    });
    let program = program(&server);
    let mut client = program.client();
    let interim = client.ask(get("/"));
    assert_eq!((interim.status, interim.field("server"), interim.field("x-served-by")), (103, Some("y"), None));
    let response = client.response();
    assert_eq!((response.field("server"), response.trailers.as_str()), (None, "Server: y\r\n"));
}

#[test]
fn another_try_tells_of_another_server() {
    let bad = Server::answering(|_| "HTTP/1.1 503 So\r\nContent-Length: 0\r\n\r\n");
    let good = Server::answering(|request| ok(request.field("x-env").unwrap_or_default()));
    let program = Config::to(&[])
        .server(bad.address(), "name = \"bad\"")
        .server(good.address(), "name = \"good\"")
        .pool("policy = \"round-robin\"\nretry = { on = [503], tries = 2 }\neject = \"off\"")
        .listen(EDITS)
        .only_routes()
        .start();
    let mut client = program.client();
    for _ in 0..4 {
        let response = client.ask(get("/"));
        assert_eq!(response.text(), "route 1/good");
        assert_eq!(response.field("x-served-by"), Some("good of app for GET test/"));
    }
    assert!(bad.count() > 0);
    assert!(bad.requests().iter().all(|request| request.field("x-env") == Some("route 1/bad")));
}
