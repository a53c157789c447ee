//! What is told of limits for clients, by the program that counts them.

use std::net::{SocketAddr, TcpListener};

use super::super::kit::{Client, Origin, stderr};
use super::Served;

/// A program that listens here too and lets each client ask twice, and in one connection at a time if that is wanted.
fn limited(bind: &str, more: &str) -> Served {
    let origin = Origin::quick("one");
    Served::of_file(&format!(
        "workers = 1\n[admin]\nsocket = 'admin.sock'\n[limit.each]\nrequest_rate = '2/h'\n{more}\n\
         [limit.keys]\nkey = {{ header = 'X-Key' }}\nrequests = 5\nover = 'close'\n\
         [listen.app]\nbind = ['127.0.0.1:0'{bind}]\npool = 'app'\nlimit = ['each', 'keys']\n\
         [pool.app]\nservers = ['{}']\n",
        origin.address
    ))
}

/// The statuses of three requests in a connection from the machine itself.
fn three(address: SocketAddr) -> [u16; 3] {
    let mut client = Client::connect(address).expect("it listens");
    [0; 3].map(|_| client.ask().status)
}

#[test]
fn limits_are_told_with_what_they_did_and_with_their_clients() {
    let served = limited("", "connections = 1");
    assert_eq!(three(served.address), [200, 200, 429]);
    let told = served.prints(&["clients"]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[0],
        "limit each (client): 1 connection at once, requests 2/h, more connections are closed, more requests are rejected",
        "{told}"
    );
    assert_eq!(lines[1..3], ["1 client of 100000", "refused: 1 by request_rate"], "{told}");
    assert!(lines[4].starts_with("127.0.0.1 "), "{told}");
    assert!(
        told.contains("limit keys (header x-key): 5 requests at once, more are closed\n0 clients of 100000\n"),
        "{told}"
    );
    let alone = served.prints(&["clients", "each"]);
    assert!(alone.starts_with("limit each ") && !alone.contains("limit keys"), "{alone}");
    let unknown = served.run(&["clients", "eech"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("did you mean `each`?"), "{}", stderr(&unknown));
}

#[test]
fn a_network_of_ipv6_is_a_client_over_sockets_too() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("not tested: this machine has no address of IPv6");
        return;
    }
    let served = limited(", '[::1]:0'", "ipv6_prefix = 56");
    let status = served.json(&["status", "--json"]);
    let addresses = status["listeners"][0]["addresses"].as_array().expect("it has addresses");
    let of_ipv6 = addresses.iter().filter_map(|address| address.as_str()).find(|address| address.starts_with("[::1]:"));
    assert_eq!(three(of_ipv6.expect("it listens there").parse().expect("an address")), [200, 200, 429]);
    assert_eq!(three(served.address), [200, 200, 429]);
    let told = served.prints(&["clients", "each"]);
    assert!(told.contains("2 clients of 100000") && told.contains("\n::/56 "), "{told}");
    assert!(told.contains("\n127.0.0.1 ") && told.contains("refused: 2 by request_rate"), "{told}");
}
