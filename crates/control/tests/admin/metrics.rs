//! Metrics over HTTP.

use crate::kit::{LOCAL, Stand};

fn page(stand: &Stand, accept: &str) -> (String, String) {
    let answer = stand.say(&format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{accept}"), "");
    assert_eq!(answer.status, 200, "{answer:?}");
    (answer.field("content-type").expect("there is one").to_owned(), answer.body)
}

#[test]
fn each_client_gets_the_format_it_reads() {
    let stand = Stand::start(LOCAL);
    // What Prometheus 2.42 sends.
    let prometheus = "Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n";
    let (kind, text) = page(&stand, prometheus);
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(text.ends_with("# EOF\n") && text.contains("# TYPE plimsoll_pool_picks counter\n"), "{text}");
    for accept in ["", "Accept: */*\r\n", "Accept: text/plain\r\n"] {
        let (kind, text) = page(&stand, accept);
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        assert!(!text.contains("# EOF") && text.contains("# TYPE plimsoll_pool_picks_total counter\n"), "{text}");
    }
}

#[test]
fn large_pools_have_their_sums_only_and_a_reload_changes_from_where_on() {
    let stand = Stand::start(&format!("{LOCAL}\nmetrics_servers = 1"));
    let (_, text) = page(&stand, "");
    assert!(text.contains("plimsoll_pool_servers_not_shown{pool=\"app\"} 2.0\n"), "{text}");
    assert!(!text.contains("plimsoll_server_"), "{text}");
    stand.write(LOCAL, crate::kit::REST);
    stand.control().reload().expect("the file is good");
    let (_, text) = page(&stand, "");
    assert!(text.contains("plimsoll_pool_servers_not_shown{pool=\"app\"} 0.0\n"), "{text}");
    assert!(text.contains("plimsoll_server_weight{pool=\"app\",server=\"b\"} 3.0\n"), "{text}");
    assert!(text.contains("\nplimsoll_config_last_reload_successful 1.0\n"), "{text}");
}
