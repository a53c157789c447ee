//! A proxy in front sends the requests of many clients over one connection, each a stream.

use super::frames::{Conn, END_STREAM, Fate, headers, request};
use crate::kit::{Config, Server};

#[test]
fn each_stream_has_a_client_of_its_own() {
    let server = Server::saying("fine");
    let program =
        Config::to(&[server.address()]).listen("trusted_proxies = \"127.0.0.1\"\ndeny = \"192.0.2.6\"").start();
    let mut conn = Conn::connect(program.address());
    let clients = [Some("192.0.2.7"), None, Some("6.6.6.6, 192.0.2.8"), Some("192.0.2.6"), Some("192.0.2.7")];
    for (number, client) in clients.iter().enumerate() {
        let told = client.map(|client| ("x-forwarded-for", client));
        let fields: Vec<_> = request("GET", "/").into_iter().chain(told).collect();
        let stream = 2 * number as u32 + 1;
        conn.send(headers(stream, END_STREAM, &fields));
        let status = if *client == Some("192.0.2.6") { 403 } else { 200 };
        assert_eq!(conn.fate(stream), Fate::Status(status), "{client:?}");
    }
    let told: Vec<_> = server.requests().iter().map(|request| request.fields("x-forwarded-for").join("|")).collect();
    assert_eq!(told, ["192.0.2.7", "127.0.0.1", "192.0.2.8", "192.0.2.7"]);
}
