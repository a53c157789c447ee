//! The table of clients: what its limits promise, and what they cost those who keep them.

mod common;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use common::{Random, at, histories};
use plimsoll_core::{
    Admission, ClientHold, ClientKey, ClientLimit, ClientRules, ClientStats, ClientTable, Over, Rate, Time,
};

const SECOND: Duration = Duration::from_secs(1);

fn client(number: u32) -> ClientKey {
    ClientKey::address(IpAddr::V4(Ipv4Addr::from_bits(number)), 64)
}

fn counting(entries: usize) -> ClientRules {
    ClientRules::counting(NonZeroUsize::new(entries).unwrap())
}

fn rate(limit: u32, window: Duration) -> Option<Rate> {
    NonZeroU32::new(limit).map(|limit| Rate { limit, window })
}

fn let_in(admission: Admission) -> ClientHold {
    match admission {
        Admission::In(hold) => hold,
        other => panic!("{other:?}"),
    }
}

fn refused(admission: &Admission) -> Over {
    match admission {
        Admission::Over(over) => *over,
        other => panic!("{other:?}"),
    }
}

fn only(table: &ClientTable, now: Time) -> ClientStats {
    let top = table.top(10, now);
    assert_eq!(top.len(), 1, "{top:?}");
    top[0]
}

#[test]
fn a_client_has_no_more_at_once_than_its_limits_and_others_are_not_touched() {
    let rules = ClientRules { connections: NonZeroU32::new(2), requests: NonZeroU32::new(1), ..counting(10) };
    let table = ClientTable::new(rules, 1);
    let mut connections = vec![let_in(table.connect(client(1), at(0))), let_in(table.connect(client(1), at(0)))];
    let over = Over { limit: ClientLimit::Connections, retry_after: SECOND };
    assert_eq!(refused(&table.connect(client(1), at(0))), over);
    let request = let_in(table.request(client(1), at(0)));
    let over = Over { limit: ClientLimit::Requests, retry_after: SECOND };
    assert_eq!(refused(&table.request_or_wait(client(1), at(0), SECOND)), over, "waiting is for rates");
    drop(let_in(table.connect(client(2), at(0))));

    connections.pop();
    connections.push(let_in(table.connect(client(1), at(0))));
    drop(request);
    drop(let_in(table.request(client(1), at(0))));
    assert_eq!(table.stats().refused.of(ClientLimit::Connections), 1);
    assert_eq!(table.stats().refused.of(ClientLimit::Requests), 1);
    assert_eq!(table.stats().refused.sum(), 2);
}

#[test]
fn whoever_comes_after_the_time_told_is_let_in_and_not_a_nanosecond_before() {
    for kind in [ClientTable::connect, ClientTable::request] {
        let rules = ClientRules { connection_rate: rate(3, SECOND), request_rate: rate(3, SECOND), ..counting(10) };
        let table = ClientTable::new(rules, 1);
        for millis in [5, 100, 900] {
            drop(let_in(kind(&table, client(1), at(millis))));
        }
        let over = refused(&kind(&table, client(1), at(950)));
        assert_eq!(over.retry_after, Duration::from_micros(1_062_500 - 950_000));
        let then = at(950) + over.retry_after;
        let before = Time::from_nanos(then.as_nanos() - 1);
        assert_eq!(refused(&kind(&table, client(1), before)).retry_after, Duration::from_nanos(1));
        drop(let_in(kind(&table, client(1), then)));
    }
}

/// Each history holds the table against a log of everything that began.
#[test]
fn no_window_ever_holds_more_than_the_limit_and_nobody_is_refused_much_too_early() {
    histories(60, |seed| {
        let mut random = Random::new(seed);
        let limit = [1, 2, 7, 40, 300][random.below(5)];
        let window = Duration::from_millis([10, 160, 1000, 60_000][random.below(4)]);
        let table = ClientTable::new(ClientRules { request_rate: rate(limit as u32, window), ..counting(4) }, seed);
        let counted_for = window + window / 16;
        let mut log: Vec<Time> = Vec::new();
        let mut now = at(random.below(100_000) as u64);
        for _ in 0..3000 {
            // Bursts, and pauses of up to a window.
            if random.below(3) == 0 {
                now = now + window.mul_f64(random.below(1000) as f64 / 1000.0 * [0.01, 0.1, 1.0][random.below(3)]);
            }
            let most = window.mul_f64([0.0, 0.0, 0.5, 3.0][random.below(4)]);
            let begins = match table.request_or_wait(client(1), now, most) {
                Admission::In(_) => now,
                Admission::Later { wait, .. } => {
                    assert!(wait <= most);
                    now + wait
                }
                Admission::Over(over) => {
                    assert_eq!(over.limit, ClientLimit::RequestRate);
                    let waiting = log.last().is_some_and(|last| *last > now);
                    let counted = log.iter().filter(|time| now.saturating_since(**time) <= counted_for).count();
                    assert!(waiting || counted >= limit, "{counted} of {limit}");
                    continue;
                }
            };
            assert!(log.last().is_none_or(|last| *last <= begins), "overtaken");
            if let Some(nth) = log.len().checked_sub(limit) {
                assert!(begins.saturating_since(log[nth]) > window, "{limit} and one more within a window");
                // Those who wait come no later than the window and its sixteenth after the one they have to wait for, or
                // their share of the window after the one before them.
                let gap = window / limit as u32;
                let latest = (log[nth] + counted_for).max(log[log.len() - 1] + gap).max(now);
                assert!(begins <= latest + Duration::from_nanos(20), "{begins:?} is after {latest:?}");
            }
            log.push(begins);
        }
    });
}

#[test]
fn a_steady_client_gets_at_least_sixteen_of_seventeen_parts_of_its_limit() {
    let table = ClientTable::new(ClientRules { request_rate: rate(100, SECOND), ..counting(4) }, 1);
    let asked = (0..100_000).step_by(5).map(|millis| table.request(client(1), at(millis)));
    let begun = asked.filter(|admission| matches!(admission, Admission::In(_))).count();
    assert!((9_411..=10_100).contains(&begun), "{begun} in 100 s");
}

#[test]
fn delays_come_in_order_each_at_its_own_time_and_bounded_by_requests_at_once() {
    let rules = ClientRules { requests: NonZeroU32::new(8), request_rate: rate(4, SECOND), ..counting(4) };
    let table = ClientTable::new(rules, 1);
    for _ in 0..4 {
        drop(let_in(table.request(client(1), at(0))));
    }
    let mut holds = Vec::new();
    let mut times = Vec::new();
    for _ in 0..8 {
        match table.request_or_wait(client(1), at(100), 10 * SECOND) {
            Admission::Later { hold, wait } => {
                times.push(at(100) + wait);
                holds.push(hold);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(times.windows(2).all(|pair| pair[1].saturating_since(pair[0]) >= SECOND / 4), "{times:?}");
    assert_eq!(refused(&table.request_or_wait(client(1), at(100), 10 * SECOND)).limit, ClientLimit::Requests);
    assert_eq!(table.stats().delayed, 8);
    assert_eq!(only(&table, at(100)).requests, 8, "those who wait are there");

    holds.clear();
    let last = times[7];
    let early = Time::from_nanos(last.as_nanos() - 1);
    assert_eq!(refused(&table.request(client(1), early)).limit, ClientLimit::RequestRate, "nobody is overtaken");
    let over = refused(&table.request_or_wait(client(1), at(100), SECOND));
    assert!(over.retry_after > last.saturating_since(at(100)), "behind all who wait");
}

#[test]
fn a_dry_run_lets_all_in_and_tells_what_would_have_been() {
    let limits =
        ClientRules { connections: NonZeroU32::new(1), request_rate: rate(10, SECOND), dry_run: true, ..counting(4) };
    let dry = ClientTable::new(limits.clone(), 1);
    let wet = ClientTable::new(ClientRules { dry_run: false, ..limits.clone() }, 1);
    let holds = [let_in(dry.connect(client(1), at(0))), let_in(dry.connect(client(1), at(0)))];
    assert_eq!(only(&dry, at(0)).connections, 2);
    for millis in (0..10_000).step_by(20) {
        drop(let_in(dry.request(client(1), at(millis))));
        let _ = wet.request(client(1), at(millis));
    }
    let (told, came_true) = (dry.stats(), wet.stats());
    assert_eq!(told.refused.sum(), 0);
    assert_eq!(told.would_refuse.of(ClientLimit::Connections), 1);
    let would = told.would_refuse.of(ClientLimit::RequestRate);
    assert!(would > 300, "{would}");
    assert_eq!(would, came_true.refused.of(ClientLimit::RequestRate), "at twice the limit not all is refused");
    assert_eq!(only(&dry, at(10_000)).total_requests, 500);
    drop(let_in(dry.request_or_wait(client(1), at(10_000), 5 * SECOND)));
    assert_eq!(dry.stats().delayed, 1, "it would have waited");

    dry.apply(ClientRules { dry_run: false, ..limits });
    assert_eq!(refused(&dry.connect(client(1), at(10_000))).limit, ClientLimit::Connections);
    drop(holds);
    drop(let_in(dry.connect(client(1), at(10_000))));
}

#[test]
fn a_reload_changes_limits_and_keeps_counts() {
    let limited = |limit, window| ClientRules {
        connections: NonZeroU32::new(5),
        request_rate: rate(limit, window),
        ..counting(1000)
    };
    let table = ClientTable::new(limited(10, SECOND), 1);
    let holds: Vec<_> = (0..3).map(|_| let_in(table.connect(client(1), at(0)))).collect();
    for _ in 0..6 {
        drop(let_in(table.request(client(1), at(500))));
    }
    table.apply(limited(7, SECOND));
    assert_eq!(table.rules(), limited(7, SECOND));
    drop(let_in(table.request(client(1), at(600))));
    assert_eq!(refused(&table.request(client(1), at(600))).limit, ClientLimit::RequestRate);

    // Half as long a window, and one twice as long: what counted still counts, and no longer than it should.
    for window in [SECOND / 2, SECOND] {
        table.apply(limited(7, window));
        let over = refused(&table.request(client(1), at(700)));
        let left = (at(600) + window).saturating_since(at(700));
        assert!(over.retry_after >= left && over.retry_after <= left + window / 16, "{over:?}");
    }
    table.apply(ClientRules { connections: NonZeroU32::new(3), ..limited(7, SECOND) });
    assert_eq!(refused(&table.connect(client(1), at(700))).limit, ClientLimit::Connections);
    assert_eq!(only(&table, at(700)).connections, 3);
    assert_eq!(only(&table, at(700)).total_requests, 7);
    drop(holds);
    assert_eq!(only(&table, at(700)).connections, 0);
}

#[test]
fn a_smaller_table_lets_clients_go_as_they_hold_nothing_and_a_larger_one_finds_all_again() {
    let table = ClientTable::new(ClientRules { request_rate: rate(1, 100 * SECOND), ..counting(3000) }, 1);
    let held: Vec<_> = (0..50).map(|number| let_in(table.connect(client(number), at(0)))).collect();
    for number in 0..2000 {
        drop(let_in(table.request(client(number), at(1))));
    }
    table.apply(ClientRules { request_rate: rate(1, 100 * SECOND), ..counting(40) });
    assert_eq!(table.stats().entries, 2000, "nothing goes at once");
    let mut before = 2000;
    for number in 10_000..14_000 {
        drop(table.request(client(number), at(2)));
        let entries = table.stats().entries;
        assert!(entries <= before && before - entries <= 16, "a little at each call: {before} to {entries}");
        before = entries;
    }
    assert_eq!(table.stats().entries, 50, "those who hold something");
    assert!(table.stats().untracked > 0);
    for number in 0..50 {
        assert!(matches!(table.request(client(number), at(3)), Admission::Over(_)), "{number} is remembered");
    }
    table.apply(ClientRules { request_rate: rate(1, 100 * SECOND), ..counting(20_000) });
    for number in 20_000..39_000 {
        drop(let_in(table.request(client(number), at(3))));
    }
    assert_eq!(table.stats().entries, 19_050);
    let remembered = (20_000..39_000).all(|number| matches!(table.request(client(number), at(4)), Admission::Over(_)));
    assert!(remembered);
    drop(held);
}

#[test]
fn two_hundred_thousand_addresses_within_a_second_stay_within_a_table_of_half_of_them() {
    let rules = ClientRules { connections: NonZeroU32::new(2), request_rate: rate(5, SECOND), ..counting(100_000) };
    let table = ClientTable::new(rules, 42);
    let watched: Vec<_> = (0..1000).map(|number| let_in(table.connect(client(number), at(0)))).collect();
    let mut begun = BTreeMap::new();
    for number in 0..200_000_u32 {
        let now = Time::from_nanos(u64::from(number) * 5_000);
        drop(let_in(table.connect(client(1_000_000 + number), now)));
        let regular = number % 1000;
        if let Admission::In(_) = table.request(client(regular), now) {
            *begun.entry(regular).or_insert(0) += 1;
        }
        assert!(table.stats().entries <= 100_000);
    }
    let stats = table.stats();
    assert_eq!((stats.entries, stats.capacity), (100_000, 100_000));
    assert_eq!(stats.evicted, 101_000, "each newcomer took the place of one");
    assert_eq!(stats.untracked, 0);
    assert!(begun.len() == 1000 && begun.values().all(|begun| *begun == 5), "who stayed is held to the limit");
    for number in 0..1000 {
        drop(let_in(table.connect(client(number), at(1000))));
        let second = let_in(table.connect(client(number), at(1000)));
        assert_eq!(refused(&table.connect(client(number), at(1000))).limit, ClientLimit::Connections);
        drop(second);
    }
    drop(watched);

    // Without newcomers entries are looked at now and then only.
    for _ in 0..8000 {
        (0..1000).for_each(|number| drop(table.request(client(number), at(20_000))));
    }
    let stats = table.stats();
    assert_eq!(stats.entries, 1000, "all others expired");
    assert!(stats.expired >= 99_000, "and some of these, before they came again");
}

#[test]
fn when_nobody_can_go_newcomers_are_let_in_and_told_apart() {
    let table = ClientTable::new(ClientRules { connections: NonZeroU32::new(1), ..counting(3) }, 1);
    let holds: Vec<_> = (0..3).map(|number| let_in(table.connect(client(number), at(0)))).collect();
    for _ in 0..5 {
        let hold = let_in(table.connect(client(9), at(1)));
        assert!(!hold.is_counted());
    }
    assert_eq!((table.stats().untracked, table.stats().entries), (5, 3));
    drop(holds);
    let hold = let_in(table.connect(client(9), at(2)));
    assert!(hold.is_counted());
    assert_eq!(table.stats().evicted, 1);
    assert!(matches!(table.connect(client(9), at(2)), Admission::Over(_)));
}

#[test]
fn a_table_that_became_tiny_counts_newcomers_wherever_they_belong() {
    let table = ClientTable::new(ClientRules { request_rate: rate(1, 100 * SECOND), ..counting(100_000) }, 1);
    (0..20_000).for_each(|number| drop(let_in(table.request(client(number), at(0)))));
    table.apply(ClientRules { request_rate: rate(1, 100 * SECOND), ..counting(100) });
    let newcomers = 100_000..150_000;
    newcomers.for_each(|number| drop(let_in(table.request(client(number), at(1)))));
    let before = table.stats();
    assert_eq!(before.entries, 100);
    (200_000..201_000).for_each(|number| assert!(let_in(table.request(client(number), at(2))).is_counted()));
    assert_eq!(table.stats().untracked, before.untracked);
    assert_eq!(table.stats().entries, 100);
}

#[test]
fn of_those_who_can_go_the_quietest_goes_first() {
    let table = ClientTable::new(ClientRules { request_rate: rate(1, 60 * SECOND), ..counting(4) }, 1);
    for (number, millis) in [(1, 40), (2, 10), (3, 20), (4, 30)] {
        drop(let_in(table.request(client(number), at(millis))));
    }
    // Being refused is not being quiet.
    assert!(matches!(table.request(client(2), at(50)), Admission::Over(_)));
    let mut known: Vec<ClientKey> = Vec::new();
    for number in 5..7 {
        drop(let_in(table.request(client(number), at(100))));
        known = table.top(10, at(100)).iter().map(|stats| stats.key).collect();
    }
    known.sort_unstable();
    assert_eq!(known, [1, 2, 5, 6].map(client));
}

#[test]
fn nothing_that_is_printed_tells_the_seed_or_what_follows_from_it() {
    let printed = |seed| {
        let table = ClientTable::new(counting(1), seed);
        let hold = let_in(table.request(client(1), at(0)));
        format!("{table:?} {hold:?}")
    };
    assert_eq!(printed(1), printed(0x1234_5678_9abc_def0));
}

#[test]
fn holds_outlive_the_table_of_their_maker() {
    let table = ClientTable::new(counting(1), 1);
    let weak = Arc::downgrade(&table);
    let hold = let_in(table.request(client(1), at(0)));
    drop(table);
    assert!(weak.upgrade().is_some_and(|table| only(&table, at(0)).requests == 1));
    drop(hold);
    assert!(weak.upgrade().is_none());
}

#[test]
fn the_addresses_of_one_network_share_a_limit_and_those_of_the_next_do_not() {
    let table = ClientTable::new(ClientRules { connections: NonZeroU32::new(1), ..counting(10) }, 1);
    let key = |address: &str| ClientKey::address(address.parse().unwrap(), 64);
    let _hold = let_in(table.connect(key("2001:db8::1"), at(0)));
    assert!(matches!(table.connect(key("2001:db8::2"), at(0)), Admission::Over(_)));
    let _next = let_in(table.connect(key("2001:db8:0:1::1"), at(0)));
    let _old = let_in(table.connect(key("192.0.2.7"), at(0)));
    assert!(matches!(table.connect(key("::ffff:192.0.2.7"), at(0)), Admission::Over(_)));
    let mut shown: Vec<String> = table.top(10, at(0)).iter().map(|stats| stats.key.shown().to_string()).collect();
    shown.sort_unstable();
    assert_eq!(shown, ["192.0.2.7", "2001:db8:0:1::/64", "2001:db8::/64"]);
}

#[test]
fn top_tells_of_the_busiest_of_late_first_and_of_a_hundred_at_most() {
    let table = ClientTable::new(ClientRules { request_rate: rate(1000, 10 * SECOND), ..counting(5000) }, 1);
    for number in 1..=300 {
        for _ in 0..number {
            drop(let_in(table.request(client(number), at(0))));
        }
    }
    for _ in 0..3 {
        drop(let_in(table.request(client(7), at(60_000))));
    }
    let top = table.top(1000, at(60_000));
    assert_eq!(top.len(), 100);
    assert_eq!(top[0].key, client(7));
    assert_eq!(top[0].total_requests, 10);
    assert!((0.28..=0.31).contains(&top[0].request_rate), "{}", top[0].request_rate);
    assert!(top[1..].iter().zip((202..=300).rev()).all(|(stats, number)| stats.key == client(number)));
    assert!(table.top(0, at(0)).is_empty());
}

#[test]
fn extreme_rules_and_times_do_no_harm() {
    let rules = ClientRules {
        connections: NonZeroU32::new(u32::MAX),
        requests: NonZeroU32::new(1),
        connection_rate: rate(u32::MAX, Duration::MAX),
        request_rate: rate(1, Duration::ZERO),
        ..counting(1)
    };
    let table = ClientTable::new(rules.clone(), u64::MAX);
    for number in 0..100 {
        for now in [Time::LAST, Time::ZERO, at(5)] {
            drop(table.connect(client(number), now));
            drop(table.request_or_wait(client(number), now, Duration::MAX));
            assert!(table.top(usize::MAX, now).len() <= 1);
        }
    }
    table.apply(ClientRules { connection_rate: None, request_rate: rate(1, Duration::MAX), ..rules });
    drop(table.request_or_wait(client(0), Time::LAST, Duration::MAX));
    assert!(table.stats().entries <= 1);
}
