//! A hundred connections for each client, and a maximum for each server.

use super::{counts, named, who};
use crate::kit::{Client, Example, Gate, Server, get, until};

#[test]
fn the_hundred_and_first_connection_of_a_client_is_closed_and_another_client_is_served() {
    let (large, small) = (named("large"), named("small"));
    let mut example = Example::of("client-limits.toml").server(9001, large.address()).server(9002, small.address());
    let program = example.start();
    let mut hundred: Vec<Client> = (0..100).map(|_| Client::connect_from([127, 0, 0, 2], program.address())).collect();
    for client in &mut hundred {
        assert_eq!(client.ask(get("/")).status, 200);
    }
    let mut one_more = Client::connect_from([127, 0, 0, 2], program.address());
    one_more.try_send(get("/"));
    one_more.assert_closed();
    assert_eq!(who(&program, 20), counts(&[("large", 10), ("small", 10)]), "others are not concerned");
    drop(hundred.pop());
    until("there is room for him again", || {
        let mut client = Client::connect_from([127, 0, 0, 2], program.address());
        client.try_send(get("/")) && client.try_response(false).is_ok_and(|response| response.status == 200)
    });
}

#[test]
fn no_server_gets_more_than_its_maximum_and_who_comes_then_waits() {
    let gate = Gate::default();
    let (large, small) = (Server::holding(&gate), Server::holding(&gate));
    let mut example = Example::of("client-limits.toml").server(9001, large.address()).server(9002, small.address());
    let program = example.start();
    let mut clients: Vec<Client> = (0..70).map(|_| program.client()).collect();
    for client in &mut clients {
        client.send(get("/held"));
    }
    until("both are full", || (large.count(), small.count()) == (40, 20));
    program.fence();
    assert_eq!((large.count(), small.count()), (40, 20));
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().text(), "/held");
    }
    assert_eq!(large.count() + small.count(), 70);
}
