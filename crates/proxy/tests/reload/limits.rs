//! `max_connections` that grows and shrinks while connections are open and others wait.

use crate::clients::{Client, from};
use crate::kit::{Live, Origin, PATIENCE, listen, pool, until};

const ANY: &str = "127.0.0.1:0";

#[test]
fn a_limit_is_exact_while_it_shrinks_and_grows() {
    let origin = Origin::start("a");
    let app = pool("app", &[&origin], "");
    let web = |limit: usize| listen("web", ANY, &format!("pool = 'app'\nmax_connections = {limit}")) + &app;
    let live = Live::start(&web(4));
    let address = live.address("web");
    let held = |count: usize| (0..count).for_each(|_| origin.held.recv_timeout(PATIENCE).unwrap());
    let busy = || {
        let mut client = Client::connect(address);
        client.request(&["/hold"]);
        client
    };
    let mut inside: Vec<_> = (0..4).map(|_| busy()).collect();
    held(4);
    let mut waiting: Vec<_> = (0..4).map(|_| busy()).collect();
    live.follow(&web(2)).unwrap();
    assert_eq!((live.listener("web").open, live.listener("web").limit), (4, 2));
    // Nobody inside has to leave, and nobody enters for the first two who do.
    assert!(inside.iter().all(Client::is_quiet));
    inside.truncate(2);
    until("two have left", || live.listener("web").open == 2);
    inside.truncate(1);
    until("one was let in for the third", || live.listener("web").accepted == 5);
    assert_eq!(live.listener("web").open, 2);
    held(1);
    live.follow(&web(5)).unwrap();
    held(3);
    assert_eq!((live.listener("web").open, live.listener("web").accepted), (5, 8));
    (0..8).for_each(|_| origin.release.send(()).unwrap());
    assert!(inside.iter_mut().chain(&mut waiting).all(|client| client.answer() == from("a")));
    drop((inside, waiting));
    until("all have left", || live.listener("web").open == 0);
    live.end();
}

#[test]
fn who_waits_is_let_in_by_the_room_of_the_listener_that_takes_the_address_over() {
    let origin = Origin::start("a");
    let app = pool("app", &[&origin], "");
    let live = Live::start(
        &(listen("web", ANY, "pool = 'app'\nmax_connections = 1")
            + &listen("other", "127.0.0.81:0", "pool = 'app'")
            + &app),
    );
    let address = live.address("web");
    let mut first = Client::connect(address);
    first.request(&["/hold"]);
    origin.held.recv_timeout(PATIENCE).unwrap();
    let mut second = Client::connect(address);
    second.request(&["/"]);
    // `web` goes on elsewhere with its room, so its old address is now under the limit of another.
    let moved = listen("web", "127.0.0.81:0", "pool = 'app'\nmax_connections = 1");
    live.follow(&(moved + &listen("front", ANY, "pool = 'app'\nmax_connections = 1") + &app)).unwrap();
    assert_eq!(live.address("front"), address);
    assert_eq!(second.answer(), from("a"));
    assert_eq!((live.listener("web").open, live.listener("front").open), (1, 1));
    origin.release.send(()).unwrap();
    assert_eq!(first.answer(), from("a"));
    live.end();
}
