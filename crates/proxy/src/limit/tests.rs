//! Limits without sockets: which tables go on, and what a request counts in.

use std::num::NonZeroUsize;

use plimsoll_config::parse;
use plimsoll_core::ClientTableStats;

use super::*;
use crate::http1::request::{HeadRules, RequestHead};

fn config(limits: &str, listen: &str) -> Config {
    let text = format!(
        "{limits}\n[listen.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n{listen}\n[pool.app]\nservers = [\"127.0.0.1:1\"]"
    );
    parse("plimsoll.toml", &text).unwrap()
}

fn first(config: &Config) -> (Limits, OfListener) {
    let limits = Limits::default().next(config);
    let of_listener = limits.of_listener(&config.listeners[0]);
    (limits, of_listener)
}

/// What becomes of a request with this field from this address.
fn ask(limited: &mut Limited, counted: &[Counted], address: &str, field: &str) -> Result<(), ClientLimit> {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n");
    let mut request = RequestHead::default();
    request.parse(head.as_bytes(), HeadRules { max_target: 100, bare_lf: false }).unwrap();
    let asker = Asker { address: address.parse().ok(), head: head.as_bytes(), fields: &request.fields };
    limited.admit(counted, &asker, Time::ZERO).map_err(|denial| match denial {
        Denial::Over { rule, .. } => rule,
        Denial::Ambiguous(reject) => panic!("{}", reject.reason),
    })
}

#[test]
fn networks_of_ipv6_are_one_client_by_their_prefix_and_who_has_no_address_is_not_limited() {
    let config = config("[limit.each]\nrequest_rate = \"1/s\"\nipv6_prefix = 56", "limit = \"each\"");
    let (_limits, of_listener) = first(&config);
    let (counted, mut limited) = (of_listener.of_route(None), Limited::default());
    let mut comes = |address| ask(&mut limited, counted, address, "");
    assert_eq!(comes("2001:db8:0:1::1"), Ok(()));
    assert_eq!(comes("2001:db8:0:ff::2"), Err(ClientLimit::RequestRate));
    assert_eq!((comes("2001:db8:0:100::1"), comes("192.0.2.1"), comes("192.0.2.2")), (Ok(()), Ok(()), Ok(())));
    assert_eq!(comes("::ffff:192.0.2.1"), Err(ClientLimit::RequestRate));
    assert_eq!((comes("none"), comes("none")), (Ok(()), Ok(())));
}

#[test]
fn a_refusal_says_when_to_come_again_and_holds_nothing() {
    let limits = "[limit.all]\nrequests = 5\n[limit.keys]\nkey = { header = \"X-Key\" }\nrequest_rate = \"1/10s\"";
    let config = config(limits, "limit = [\"all\", \"keys\"]");
    let (limits, of_listener) = first(&config);
    let (counted, mut limited) = (of_listener.of_route(None), Limited::default());
    assert_eq!(ask(&mut limited, counted, "192.0.2.1", "X-Key: a\r\n"), Ok(()));
    let top = |limits: &Limits| limits.find("all").unwrap().top(1, Time::ZERO)[0].1;
    assert_eq!((limited.holds.len(), top(&limits).requests), (2, 1));
    let mut another = Limited::default();
    assert_eq!(ask(&mut another, counted, "192.0.2.1", "x-key: a\r\n"), Err(ClientLimit::RequestRate));
    assert!(another.again_after().unwrap() > Duration::from_secs(10));
    assert_eq!((another.holds.len(), top(&limits).requests), (0, 1));
    limited.clear();
    assert_eq!(top(&limits).requests, 0);
}

#[test]
fn a_request_that_waits_does_so_until_the_last_of_its_places_in_time() {
    let limits = "[limit.slow]\nrequest_rate = \"1/10s\"\nover = { delay = \"30s\" }\n\
                  [limit.fast]\nrequest_rate = \"1/2s\"\nover = { delay = \"30s\" }";
    let config = config(limits, "limit = [\"slow\", \"fast\"]");
    let (_limits, of_listener) = first(&config);
    let counted = of_listener.of_route(None);
    let mut limited = [Limited::default(), Limited::default()];
    for one in &mut limited {
        assert_eq!(ask(one, counted, "192.0.2.1", ""), Ok(()));
    }
    assert_eq!(limited[0].take_wait(), None);
    let until = limited[1].take_wait().unwrap();
    assert!(until > Time::ZERO + Duration::from_secs(10) && until < Time::ZERO + Duration::from_secs(11));
    assert_eq!(limited[1].take_wait(), None, "it waits once");
}

#[test]
fn tables_go_on_by_their_names_and_follow_their_rules() {
    let one = config("[limit.each]\nrequests = 1", "limit = \"each\"");
    let (limits, of_listener) = first(&one);
    let mut limited = Limited::default();
    assert_eq!(ask(&mut limited, of_listener.of_route(None), "192.0.2.1", ""), Ok(()));
    let more =
        config("[limit.each]\nrequests = 2\nentries = 7\n[limit.new]\nrequests = 1", "limit = [\"each\", \"new\"]");
    let next = limits.next(&more);
    assert_eq!(next.find("each").unwrap().table.rules().requests, one.limits[0].rules.requests, "not in force yet");
    next.apply();
    assert_eq!(next.find("each").unwrap().table.rules().entries, NonZeroUsize::new(7).unwrap());
    let stats: Vec<ClientTableStats> = next.stats().into_iter().map(|limit| limit.table).collect();
    assert_eq!(stats.iter().map(|table| table.entries).collect::<Vec<_>>(), [1, 0]);
    let (mut second, mut third) = (Limited::default(), Limited::default());
    let counted = next.of_listener(&more.listeners[0]);
    assert_eq!(ask(&mut second, counted.of_route(None), "192.0.2.1", ""), Ok(()));
    assert_eq!(ask(&mut third, counted.of_route(None), "192.0.2.1", ""), Err(ClientLimit::Requests));
}

#[test]
fn routes_are_shown_by_their_names_and_values_by_what_does_not_tell_them() {
    let limits =
        "[limit.routes]\nkey = \"route\"\nrequests = 9\n[limit.keys]\nkey = { cookie = \"sid\" }\nrequests = 9";
    let config =
        config(limits, "limit = [\"routes\", \"keys\"]\nroute = [{ path = \"/a\", name = \"a\", pool = \"app\" }]");
    let (limits, of_listener) = first(&config);
    let mut limited = Limited::default();
    for counted in [&of_listener.routes[0], &of_listener.routes[1], &of_listener.unrouted] {
        assert_eq!(ask(&mut limited, counted, "192.0.2.1", "Cookie: sid=secret\r\n"), Ok(()));
    }
    let shown = |limit: &str| {
        let mut names: Vec<_> =
            limits.find(limit).unwrap().top(9, Time::ZERO).into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(shown("routes"), ["web: (no route)", "web: a", "web: default"]);
    let values = shown("keys");
    assert!(matches!(&values[..], [one] if one.starts_with('#') && !one.contains("secret")), "{values:?}");
}
