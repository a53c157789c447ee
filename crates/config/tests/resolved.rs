//! What a right file means.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use plimsoll_config::{
    BareLf, ClientTimeouts, Config, FieldMode, Forward, Host, HostMode, KeepAlive, ServerTimeouts, parse,
};
use plimsoll_core::{AdminState, PolicyKind};

fn everything() -> Config {
    parse("everything.toml", include_str!("everything.toml")).expect("the file is right")
}

#[test]
fn each_setting_of_a_listener_reaches_its_field() {
    let config = everything();
    assert_eq!(config.workers, NonZeroUsize::new(3));
    assert_eq!(config.shutdown_timeout, Duration::from_secs(90));
    let listener = &config.listeners[0];
    let binds: Vec<_> = listener.binds.iter().map(ToString::to_string).collect();
    assert_eq!(binds, ["127.0.0.1:8080", "[::1]:8080", "[::]:8443", "127.0.0.1:8081", "127.0.0.1:8082"]);
    assert_eq!((listener.name.as_str(), listener.pool.as_str()), ("web", "app"));
    assert_eq!((listener.max_connections, listener.max_head, listener.max_target), (77, 32_768, 5000));
    assert_eq!((listener.max_body, listener.bare_lf), (Some(10_000_000), BareLf::Accept));
    let timeouts = ClientTimeouts {
        head: Duration::from_millis(250),
        body: Duration::from_secs(7200),
        keep_alive: Duration::from_millis(3_661_001),
    };
    assert_eq!(listener.timeouts, timeouts);
    let forward = Forward {
        x_forwarded_for: FieldMode::Append,
        x_forwarded_proto: FieldMode::Keep,
        x_forwarded_host: FieldMode::Off,
        x_forwarded_port: FieldMode::Set,
        x_real_ip: FieldMode::Set,
        forwarded: FieldMode::Append,
        host: HostMode::Set("app.example:8080".to_owned()),
    };
    assert_eq!(listener.forward, forward);
}

#[test]
fn each_setting_of_a_pool_reaches_its_field() {
    let config = everything();
    let pool = &config.pools[0];
    assert_eq!((pool.name.as_str(), pool.policy), ("app", PolicyKind::ShortestExpectedDelay));
    let timeouts = ServerTimeouts {
        connect: Duration::from_secs(1),
        first_byte: Duration::from_secs(2),
        idle: Duration::from_secs(3),
        tunnel: Duration::from_secs(5),
    };
    assert_eq!(pool.timeouts, timeouts);
    let keep_alive = KeepAlive { connections: 1, timeout: Duration::from_secs(4) };
    assert_eq!(pool.keep_alive, keep_alive);
    assert_eq!(pool.unavailable.retry_after, Duration::from_secs(60));
    let [plain, big, spare] = &pool.servers[..] else { panic!("three servers") };
    assert_eq!((plain.name.as_str(), plain.weight, plain.backup), ("192.168.1.10:8080", 1, false));
    assert_eq!((plain.state, plain.max_connections), (AdminState::Ready, None));
    assert_eq!((big.name.as_str(), &big.host), ("big", &Host::Name("app.internal".to_owned())));
    assert_eq!((big.port, big.weight, big.state), (8080, 4, AdminState::Down));
    assert_eq!(big.max_connections, NonZeroU32::new(750));
    assert_eq!((spare.name.as_str(), spare.authority().as_str()), ("[2001:db8::1]:80", "[2001:db8::1]:80"));
    assert_eq!((spare.backup, spare.weight, spare.state), (true, 0, AdminState::Drain));
}

#[test]
fn what_a_file_leaves_open_has_its_default() {
    let config = Config::quick("8080", &["a:1"]).expect("the arguments are right");
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    assert_eq!((config.workers, config.shutdown_timeout), (None, 30 * second));
    let (listener, pool) = (&config.listeners[0], &config.pools[0]);
    assert_eq!((listener.max_connections, listener.max_body), (20_000, None));
    assert_eq!((listener.max_head, listener.max_target, listener.bare_lf), (16_384, 8192, BareLf::Reject));
    let ClientTimeouts { head, body, keep_alive } = listener.timeouts;
    assert_eq!((head, body, keep_alive), (10 * second, minute, 75 * second));
    let forward = &listener.forward;
    let ours = [forward.x_forwarded_for, forward.x_forwarded_proto, forward.x_forwarded_host];
    assert_eq!(ours, [FieldMode::Set; 3]);
    let removed = [forward.x_forwarded_port, forward.x_real_ip, forward.forwarded];
    assert_eq!((removed, &forward.host), ([FieldMode::Off; 3], &HostMode::Keep));
    assert_eq!((pool.policy, pool.unavailable.retry_after), (PolicyKind::LeastConnections, 5 * second));
    let ServerTimeouts { connect, first_byte, idle, tunnel } = pool.timeouts;
    assert_eq!((connect, first_byte, idle, tunnel), (5 * second, minute, minute, 60 * minute));
    assert_eq!((pool.keep_alive.connections, pool.keep_alive.timeout), (128, minute));
}

#[test]
fn every_policy_can_be_written() {
    for policy in PolicyKind::ALL {
        let text = format!(
            "[listen.web]\nbind = \"8080\"\npool = \"app\"\n[pool.app]\nservers = [\"a:1\"]\npolicy = \"{policy}\""
        );
        assert_eq!(parse("policy.toml", &text).expect("the file is right").pools[0].policy, policy);
    }
}

#[test]
fn listeners_and_pools_keep_the_order_of_the_file() {
    let names = ["zeta", "alpha", "mu"];
    let listener = |(port, name)| format!("[listen.{name}]\nbind = \"{port}\"\npool = \"{name}\"\n");
    let pool = |name| format!("[pool.{name}]\nservers = [\"a:1\"]\n");
    let text: String = (8080..).zip(names).map(listener).chain(names.map(pool)).collect();
    let config = parse("order.toml", &text).expect("the file is right");
    assert_eq!(config.listeners.iter().map(|listener| &listener.name).collect::<Vec<_>>(), names.each_ref());
    assert_eq!(config.pools.iter().map(|pool| &pool.name).collect::<Vec<_>>(), names.each_ref());
}

#[test]
fn every_ipv4_address_leaves_ipv6_to_others() {
    let text = "[listen.web]\nbind = [\"0.0.0.0:80\", \"[::1]:80\"]\npool = \"app\"\n[pool.app]\nservers = [\"a:1\"]";
    assert_eq!(parse("both.toml", text).expect("the file is right").listeners[0].binds.len(), 2);
}

#[test]
fn port_0_may_be_bound_as_often_as_one_likes() {
    let text = "[listen.web]\nbind = [\"0\", \"127.0.0.1:0\"]\npool = \"app\"\n[pool.app]\nservers = [\"a:1\"]";
    assert_eq!(parse("zero.toml", text).expect("the file is right").listeners[0].binds.len(), 2);
}

#[test]
fn tables_left_out_have_the_defaults_of_their_types() {
    let config = Config::quick("8080", &["a:1"]).expect("the arguments are right");
    assert_eq!(config.listeners[0].timeouts, ClientTimeouts::default());
    assert_eq!(config.listeners[0].forward, Forward::default());
    assert_eq!(config.pools[0].timeouts, ServerTimeouts::default());
    assert_eq!(config.pools[0].keep_alive, KeepAlive::default());
}
