//! Listeners that come, go, move, and are called something else.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use plimsoll_config::Bind;
use plimsoll_proxy::{Proxy, StartError};

use crate::clients::{Client, Tunnel, ask, from, is_refused, last_from};
use crate::kit::{Live, Origin, PATIENCE, listen, parse, pool, until};

const APP: &str = "pool = 'app'";
const ANY: &str = "127.0.0.1:0";

#[test]
fn it_is_led_from_any_thread() {
    fn shared<T: Send + Sync>() {}
    shared::<Proxy>();
}

#[test]
fn a_listener_that_is_added_serves_and_one_that_is_removed_listens_no_more() {
    let origin = Origin::start("a");
    let app = pool("app", &[&origin], "");
    let live = Live::start(&(listen("web", ANY, APP) + &app));
    let web = live.address("web");
    live.follow(&(listen("web", ANY, APP) + &listen("api", ANY, APP) + &app)).unwrap();
    let api = live.address("api");
    assert_eq!((live.address("web"), ask(web), ask(api)), (web, from("a"), from("a")));
    assert_eq!(live.proxy.addresses(), [("web".to_owned(), Bind::Ip(web)), ("api".to_owned(), Bind::Ip(api))]);
    live.follow(&(listen("api", ANY, APP) + &app)).unwrap();
    assert!(is_refused(web));
    assert_eq!((live.address("api"), ask(api)), (api, from("a")));
    live.end();
}

#[test]
fn a_listener_that_is_renamed_keeps_its_socket_its_connections_and_its_count() {
    let origin = Origin::start("a");
    let app = pool("app", &[&origin], "");
    let live = Live::start(&(listen("web", ANY, APP) + &app));
    let web = live.address("web");
    let mut client = Client::connect(web);
    assert_eq!(client.ask("/"), from("a"));
    live.follow(&(listen("front", ANY, "pool = 'app'\nmax_connections = 7") + &app)).unwrap();
    assert_eq!((live.address("front"), client.ask("/"), ask(web)), (web, from("a"), from("a")));
    until("the second connection has ended", || live.listener("front").open == 1);
    let front = live.listener("front");
    assert_eq!((front.limit, front.accepted), (7, 2));
    live.end();
}

#[test]
fn a_port_that_the_system_chose_may_be_named_later() {
    let origin = Origin::start("a");
    let app = pool("app", &[&origin], "");
    let live = Live::start(&(listen("web", ANY, APP) + &app));
    let web = live.address("web");
    let mut client = Client::connect(web);
    assert_eq!(client.ask("/"), from("a"));
    live.follow(&(listen("web", web, APP) + &app)).unwrap();
    assert_eq!((client.ask("/"), ask(web)), (from("a"), from("a")));
    live.end();
}

#[test]
fn a_listener_may_move_to_all_addresses_of_its_port_and_back() {
    let origin = Origin::start("a");
    let app = pool("app", &[&origin], "");
    let live = Live::start(&(listen("web", "127.0.0.1:0", APP) + &app));
    let narrow = live.address("web");
    let other = SocketAddr::new("127.0.0.2".parse().unwrap(), narrow.port());
    let wide = SocketAddr::new("0.0.0.0".parse().unwrap(), narrow.port());
    let mut client = Client::connect(narrow);
    assert_eq!(client.ask("/"), from("a"));
    live.follow(&(listen("web", wide, APP) + &app)).unwrap();
    assert_eq!((ask(narrow), ask(other)), (from("a"), from("a")));
    assert!(client.ended(), "the listener of this connection is gone");
    live.follow(&(listen("web", narrow, APP) + &app)).unwrap();
    assert_eq!(ask(narrow), from("a"));
    assert!(is_refused(other));
    live.end();
}

#[test]
fn a_bind_that_fails_changes_nothing() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let live = Live::start(&(listen("web", ANY, APP) + &pool("app", &[&old], "")));
    let web = live.address("web");
    let mut client = Client::connect(web);
    assert_eq!(client.ask("/"), from("old"));
    let holder = TcpListener::bind(ANY).unwrap();
    let taken = holder.local_addr().unwrap();
    // An address that nobody else uses, bound before the one that cannot be.
    let free = SocketAddr::new("127.0.0.77".parse().unwrap(), web.port());
    let wanted = listen("web", ANY, APP) + &listen("free", free, APP) + &listen("taken", taken, APP);
    let error = live.follow(&(wanted + &pool("app", &[&new], ""))).unwrap_err();
    let StartError::Bind { listener, address, source } = error else { panic!("{error}") };
    assert_eq!((&*listener, address, source.kind()), ("taken", Bind::Ip(taken), ErrorKind::AddrInUse));
    assert!(is_refused(free));
    assert_eq!((client.ask("/"), ask(web), live.proxy.addresses().len()), (from("old"), from("old"), 1));
    live.end();
}

#[test]
fn a_prepared_configuration_that_is_dropped_or_wants_an_unknown_pool_changes_nothing() {
    let origin = Origin::start("a");
    let app = pool("app", &[&origin], "");
    let live = Live::start(&(listen("web", ANY, APP) + &app));
    let free = SocketAddr::new("127.0.0.79".parse().unwrap(), live.address("web").port());
    let more =
        parse(&(listen("web", ANY, APP) + &listen("free", free, "pool = 'b'") + &app + &pool("b", &[&origin], "")));
    drop(live.proxy.prepare(&more).unwrap());
    assert!(is_refused(free));
    let prepared = live.proxy.prepare(&more).unwrap();
    let error = live.proxy.commit(prepared, &live.pools).unwrap_err();
    assert!(matches!(&error, StartError::NoPool { listener, pool } if listener == "free" && pool == "b"), "{error}");
    assert!(is_refused(free));
    assert_eq!((ask(live.address("web")), live.proxy.addresses().len()), (from("a"), 1));
    live.end();
}

#[test]
fn connections_of_a_listener_that_is_gone_end_when_they_have_nothing_under_way() {
    let origin = Origin::start("a");
    let app = pool("app", &[&origin], "");
    let live = Live::start(&(listen("web", ANY, APP) + &listen("api", ANY, APP) + &app));
    let (web, api) = (live.address("web"), live.address("api"));
    let (mut idle, mut busy, mut other) = (Client::connect(web), Client::connect(web), Client::connect(api));
    assert_eq!((idle.ask("/"), other.ask("/")), (from("a"), from("a")));
    let mut tunnel = Tunnel::open(web);
    // Two were received before the listener went: both are answered.
    busy.request(&["/hold", "/"]);
    origin.held.recv_timeout(PATIENCE).unwrap();
    live.follow(&(listen("api", ANY, APP) + &app)).unwrap();
    assert!(idle.ended());
    origin.release.send(()).unwrap();
    assert_eq!((busy.answer(), busy.answer()), (from("a"), last_from("a")));
    assert!(busy.ended());
    tunnel.works();
    assert_eq!((other.ask("/"), live.sum(|worker| worker.tunnels)), (from("a"), 1));
    until("only the tunnel is left", || live.listener("web").open == 1);
    let left = live.listener("web");
    assert_eq!((left.addresses.len(), &*left.pools[0], left.accepted), (0, "app", 3));
    live.follow(&(listen("web", ANY, APP) + &listen("api", ANY, APP) + &app)).unwrap();
    assert_eq!((live.listener("web").open, live.proxy.stats().listeners.len()), (1, 2));
    drop(tunnel);
    until("nobody is left", || live.listener("web").open == 0);
    live.follow(&(listen("api", ANY, APP) + &app)).unwrap();
    assert_eq!(live.proxy.stats().listeners.len(), 1);
    assert!(!live.proxy.stats().stopping);
    live.end();
}

#[test]
fn who_waits_in_the_kernel_for_a_listener_that_goes_is_served() {
    let origin = Origin::start("a");
    let app = pool("app", &[&origin], "");
    let live =
        Live::start(&(listen("web", ANY, "pool = 'app'\nmax_connections = 1") + &listen("api", ANY, APP) + &app));
    let web = live.address("web");
    let mut first = Client::connect(web);
    first.request(&["/hold"]);
    origin.held.recv_timeout(PATIENCE).unwrap();
    let mut waiting: Vec<_> = (0..5).map(|_| Client::connect(web)).collect();
    for client in &mut waiting {
        client.request(&["/"]);
    }
    live.follow(&(listen("api", ANY, APP) + &app)).unwrap();
    assert!(is_refused(web));
    origin.release.send(()).unwrap();
    for client in [first].iter_mut().chain(&mut waiting) {
        assert_eq!(client.answer(), last_from("a"));
    }
    live.end();
}

#[test]
fn a_commit_after_a_stop_does_nothing() {
    let origin = Origin::start("a");
    let app = pool("app", &[&origin], "");
    let live = Live::start(&(listen("web", ANY, APP) + &app));
    let mut busy = Client::connect(live.address("web"));
    busy.request(&["/hold"]);
    origin.held.recv_timeout(PATIENCE).unwrap();
    let more = parse(&(listen("web", ANY, APP) + &listen("more", ANY, APP) + &app));
    let prepared = live.proxy.prepare(&more).unwrap();
    live.proxy.stop();
    live.proxy.commit(prepared, &live.pools).unwrap();
    assert_eq!(live.proxy.addresses().len(), 1);
    origin.release.send(()).unwrap();
    assert_eq!(busy.answer(), last_from("a"));
    live.end();
}
