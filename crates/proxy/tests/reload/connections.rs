//! Connections that go on: what they were served by ends so, and from the next request on the new settings hold.

use crate::clients::{Client, Tunnel, ask, from};
use crate::kit::{Live, Origin, PATIENCE, listen, pool, until};

const ANY: &str = "127.0.0.1:0";

#[test]
fn requests_sent_one_behind_the_other_are_served_by_what_is_in_force_when_each_is_read() {
    let (a, b) = (Origin::start("a"), Origin::start("b"));
    let pools = pool("a", &[&a], "") + &pool("b", &[&b], "");
    let live = Live::start(&(listen("web", ANY, "pool = 'a'") + &listen("other", ANY, "pool = 'b'") + &pools));
    let mut client = Client::connect(live.address("web"));
    client.request(&["/hold", "/", "/"]);
    a.held.recv_timeout(PATIENCE).unwrap();
    live.follow(&(listen("web", ANY, "pool = 'b'") + &listen("other", ANY, "pool = 'a'") + &pools)).unwrap();
    a.release.send(()).unwrap();
    assert_eq!([client.answer(), client.answer(), client.answer()], [from("a"), from("b"), from("b")]);
    assert_eq!((live.pool("a").servers[0].server.picks, live.pool("b").servers[0].server.picks), (1, 2));
    live.end();
}

#[test]
fn a_connection_that_stays_meets_the_settings_of_now() {
    let origin = Origin::start("a");
    let app = pool("app", &[&origin], "");
    let web = |lines: &str| listen("web", ANY, &format!("pool = 'app'\n{lines}")) + &app;
    let live = Live::start(&web(""));
    let mut client = Client::connect(live.address("web"));
    let long = format!("/{}", "x".repeat(100));
    assert_eq!(client.ask(&long), from("a"));
    live.follow(&web("max_target = '64B'")).unwrap();
    assert_eq!(client.ask("/"), from("a"));
    assert_eq!(client.ask(&long).status, 414);
    assert!(client.ended());
    let mut client = Client::connect(live.address("web"));
    assert_eq!(client.ask("/"), from("a"));
    // It is idle by now, or soon: the time until its next request is the one that held when it became so.
    live.follow(&web("timeout = { keep_alive = '100ms' }")).unwrap();
    assert_eq!(client.ask("/"), from("a"));
    assert!(client.ended());
    live.end();
}

#[test]
fn heads_may_become_larger_and_smaller_while_one_is_read() {
    let origin = Origin::start("a");
    let app = pool("app", &[&origin], "");
    let web = |max: &str| listen("web", ANY, &format!("pool = 'app'\nmax_head = '{max}'\nmax_target = '64B'")) + &app;
    let padding = |bytes: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nPadding: {}\r\n\r\n", "x".repeat(bytes));
    let live = Live::start(&web("2KiB"));
    let connect = || Client::connect(live.address("web"));
    let (mut small, mut half) = (connect(), connect());
    assert_eq!((small.ask("/"), half.ask("/")), (from("a"), from("a")));
    // What is read in part is finished by the rules and in the buffer it began with; what comes behind it has more room.
    let (first, second) = (padding(1500), padding(30_000));
    half.send(&first[..1000]);
    until("it is read", || live.sum(|worker| worker.bytes_from_clients) >= 1000);
    live.follow(&web("64KiB")).unwrap();
    small.send(&second);
    half.send(&(first[1000..].to_owned() + &second));
    assert_eq!([small.answer(), half.answer(), half.answer()], [from("a"), from("a"), from("a")]);
    live.follow(&web("4KiB")).unwrap();
    small.send(&padding(3000));
    assert_eq!(small.answer(), from("a"));
    small.send(&padding(5000));
    assert_eq!(small.answer().status, 431);
    half.send(&padding(3000));
    assert_eq!(half.answer(), from("a"));
    live.end();
}

#[test]
fn a_tunnel_outlives_its_server_its_pool_and_its_listener_and_counts_until_it_ends() {
    let (a, b) = (Origin::start("a"), Origin::start("b"));
    let live = Live::start(&(listen("web", ANY, "pool = 'app'") + &pool("app", &[&a], "")));
    let web = live.address("web");
    let mut tunnel = Tunnel::open(web);
    let gone = live.pools.pool("app").unwrap();
    live.follow(&(listen("web", ANY, "pool = 'app'") + &pool("app", &[&b], ""))).unwrap();
    tunnel.works();
    assert_eq!(ask(web), from("b"));
    let in_flight = |address: std::net::SocketAddr| {
        let servers = gone.stats().servers.into_iter().map(|member| member.server);
        let mut known = servers.filter(|server| server.id.name() == address.to_string());
        known.next().map(|server| server.in_flight)
    };
    assert_eq!((in_flight(a.address), in_flight(b.address)), (Some(1), Some(0)));
    live.follow(&(listen("other", "127.0.0.80:0", "pool = 'new'") + &pool("new", &[&b], ""))).unwrap();
    tunnel.works();
    assert!(live.pools.pool("app").is_none());
    assert_eq!((in_flight(a.address), live.sum(|worker| worker.tunnels)), (Some(1), 1));
    drop(tunnel);
    until("the server has nothing in flight", || in_flight(a.address).is_none_or(|count| count == 0));
    until("the tunnel is not counted", || live.sum(|worker| worker.tunnels + worker.open) == 0);
    live.end();
}

#[test]
fn one_who_waits_for_a_server_is_served_though_its_pool_leaves() {
    let (a, b) = (Origin::start("a"), Origin::start("b"));
    let limited = format!(
        "[pool.app]\nservers = [{{ address = '{}', max_connections = 1 }}]\nqueue = {{ limit = 9, timeout = '20s' }}\n",
        a.address
    );
    let live = Live::start(&(listen("web", ANY, "pool = 'app'") + &limited));
    let web = live.address("web");
    let (mut first, mut second) = (Client::connect(web), Client::connect(web));
    first.request(&["/hold"]);
    a.held.recv_timeout(PATIENCE).unwrap();
    second.request(&["/"]);
    until("the second waits", || live.pool("app").queue.waiting == 1);
    live.follow(&(listen("web", ANY, "pool = 'new'") + &pool("new", &[&b], ""))).unwrap();
    a.release.send(()).unwrap();
    assert_eq!([first.answer(), second.answer()], [from("a"), from("a")]);
    assert_eq!([first.ask("/"), second.ask("/")], [from("b"), from("b")]);
    live.end();
}
