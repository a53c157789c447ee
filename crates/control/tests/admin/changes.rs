//! What can be changed, and what is refused and changes nothing.

use std::sync::atomic::Ordering;
use std::thread;

use serde_json::{Value, json};

use crate::kit::{LOCAL, REST, Stand};

const A: &str = "/api/v1/pools/app/servers/a";
const SERVERS: &str = "/api/v1/pools/app/servers";

#[test]
fn a_server_is_set_and_the_difference_is_told_until_it_is_undone() {
    let stand = Stand::start(LOCAL);
    let changed = stand.ask("PATCH", A, r#"{"state":"drain","weight":7,"max_connections":5}"#);
    assert_eq!((changed.status, changed.json()), (200, json!({ "generation": 2, "differences": 3 })));
    let a = stand.get(A).json();
    assert_eq!((&a["state"], &a["weight"], &a["max_connections"]), (&json!("drain"), &json!(7), &json!(5)));
    assert_eq!(a["edited"], json!(["state", "weight", "max_connections"]));
    assert_eq!(stand.get("/api/v1/pools/app").json()["eligible"], 1);
    let diff = stand.get("/api/v1/diff").json();
    assert_eq!(diff[1], json!({ "pool": "app", "server": "a", "setting": "weight", "file": "1", "now": "7" }));
    // Null is no limit; what is left out stays.
    stand.ask("PATCH", A, r#"{"max_connections":null}"#);
    let a = stand.get(A).json();
    assert_eq!((&a["max_connections"], &a["weight"]), (&Value::Null, &json!(7)));
    let reloaded = stand.ask("POST", "/api/v1/reload", "").json();
    assert_eq!(reloaded["differences"], 2, "edits survive a reload of a file that has not changed");
    assert_eq!(stand.ask("DELETE", "/api/v1/diff", "").json()["differences"], 0);
    assert_eq!(stand.get(A).json()["state"], "ready");
    assert_eq!(stand.get("/api/v1/diff").json(), json!([]));
}

#[test]
fn servers_come_and_go() {
    let stand = Stand::start(LOCAL);
    let body = r#"{"servers":[{"address":"127.0.0.1:9003"},{"address":"[::1]:9004","name":"d / ü%","weight":2,"backup":true,"state":"down"}]}"#;
    let added = stand.ask("POST", SERVERS, body);
    assert_eq!((added.status, &added.json()["differences"]), (201, &json!(2)));
    let named = "/api/v1/pools/app/servers/d%20%2F%20%C3%BC%25";
    let d = stand.get(named).json();
    assert_eq!((&d["name"], &d["addresses"], &d["backup"]), (&json!("d / ü%"), &json!(["[::1]:9004"]), &json!(true)));
    assert_eq!(stand.get("/api/v1/pools/app").json()["servers_total"], 4);
    assert_eq!(stand.ask("DELETE", named, "").status, 200);
    stand.get(named).problem(404);
    assert_eq!(stand.ask("DELETE", "/api/v1/pools/app/servers/127.0.0.1:9003", "").json()["differences"], 0);
}

#[test]
fn ten_thousand_servers_are_added_by_one_call() {
    let stand = Stand::start(LOCAL);
    let servers: Vec<_> =
        (0..10_000).map(|n| json!({ "address": format!("10.{}.{}.1:80", n / 250, n % 250) })).collect();
    let added = stand.ask("POST", SERVERS, &json!({ "servers": servers }).to_string());
    assert_eq!((added.status, &added.json()["differences"]), (201, &json!(10_000)));
    assert_eq!(stand.get("/api/v1/pools/app").json()["servers_total"], 10_002);
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_changes_nothing() {
    let stand = Stand::start(LOCAL);
    let before = stand.state();
    for (method, path, body, status, pointer) in [
        ("PATCH", A, "{", 400, None),
        ("PATCH", A, "", 415, None),
        ("PATCH", A, "{} {}", 400, None),
        ("PATCH", A, "[]", 422, Some("")),
        ("PATCH", A, "[\"down\",1,null]", 422, Some("")),
        ("PATCH", A, "null", 422, Some("")),
        ("PATCH", A, r#"{"weight":65536}"#, 422, Some("/weight")),
        ("PATCH", A, r#"{"weight":-1}"#, 422, Some("/weight")),
        ("PATCH", A, r#"{"weight":"1"}"#, 422, Some("/weight")),
        ("PATCH", A, r#"{"weight":1,"weight":2}"#, 422, Some("")),
        ("PATCH", A, r#"{"state":"off"}"#, 422, Some("/state")),
        ("PATCH", A, r#"{"max_connections":0}"#, 422, Some("/max_connections")),
        ("PATCH", A, r#"{"wight":1}"#, 422, Some("/wight")),
        ("PATCH", "/api/v1/pools/app/servers/c", r#"{"weight":1}"#, 404, None),
        ("PATCH", "/api/v1/pools/web/servers/a", r#"{"weight":1}"#, 404, None),
        ("PATCH", "/api/v1/pools/app/servers/a?force", r#"{"weight":2}"#, 400, None),
        ("DELETE", "/api/v1/pools/app/servers/c", "", 404, None),
        ("POST", SERVERS, r#"{"servers":[]}"#, 422, Some("/servers")),
        ("POST", SERVERS, "{}", 422, Some("")),
        ("POST", SERVERS, r#"{"servers":[["127.0.0.1:9003"]]}"#, 422, Some("/servers/0")),
        (
            "POST",
            SERVERS,
            r#"{"servers":[{"address":"127.0.0.1:9003"},{"address":"nope"}]}"#,
            422,
            Some("/servers/1/address"),
        ),
        ("POST", SERVERS, r#"{"servers":[{"address":"127.0.0.1:1","name":" x"}]}"#, 422, Some("/servers/0/name")),
        (
            "POST",
            SERVERS,
            r#"{"servers":[{"address":"127.0.0.1:1","max_connections":0}]}"#,
            422,
            Some("/servers/0/max_connections"),
        ),
        ("POST", SERVERS, r#"{"servers":[{"address":"127.0.0.1:1","name":"a"}]}"#, 409, None),
        ("POST", SERVERS, r#"{"servers":[{"address":"127.0.0.1:1"},{"address":"127.0.0.1:1"}]}"#, 409, None),
        ("POST", "/api/v1/pools/web/servers", r#"{"servers":[{"address":"127.0.0.1:1"}]}"#, 404, None),
    ] {
        let problem = stand.ask(method, path, body).problem(status);
        assert_eq!(problem["pointer"].as_str(), pointer, "{method} {path} {body}: {problem}");
        assert_eq!(stand.state(), before, "{method} {path} {body}");
    }
}

#[test]
fn the_last_server_stays() {
    let stand = Stand::start(LOCAL);
    assert_eq!(stand.ask("DELETE", A, "").status, 200);
    let before = stand.state();
    let detail = &stand.ask("DELETE", "/api/v1/pools/app/servers/b", "").problem(409)["detail"];
    assert!(detail.as_str().expect("why").contains("last server"), "{detail}");
    assert_eq!(stand.state(), before);
}

#[test]
fn a_body_must_be_json_and_not_too_large() {
    let stand = Stand::start(LOCAL);
    let before = stand.state();
    let patch = format!("PATCH {A} HTTP/1.1\r\nHost: localhost\r\n");
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "multipart/form-data; boundary=x"]
    {
        stand.say(&format!("{patch}Content-Type: {kind}\r\n"), r#"{"weight":2}"#).problem(415);
    }
    stand.say(&patch, r#"{"weight":2}"#).problem(415);
    let json = format!("{patch}Content-Type: Application/JSON ; charset=utf-8\r\n");
    let huge = " ".repeat((16 << 20) + 1);
    stand.say(&json, &huge).problem(413);
    stand.say(&format!("{json}Content-Encoding: gzip\r\n"), "\u{1f}").problem(400);
    assert_eq!(stand.state(), before);
    assert_eq!(stand.say(&json, r#"{"weight":2}"#).status, 200);
}

#[test]
fn a_bad_file_and_a_plane_that_cannot_follow_are_told_and_change_nothing() {
    let stand = Stand::start(LOCAL);
    let before = stand.state();
    stand.write(LOCAL, &REST.replace("weight = 3", "wight = 3"));
    let detail = stand.ask("POST", "/api/v1/reload", "").problem(422)["detail"].to_string();
    assert!(detail.contains("unknown setting `wight`") && detail.contains("plimsoll.toml:"), "{detail}");
    stand.write(LOCAL, REST);
    stand.plane.unable.store(true, Ordering::Relaxed);
    let detail = stand.ask("POST", "/api/v1/reload", "").problem(422)["detail"].to_string();
    assert!(detail.contains("127.0.0.1:80 is taken"), "{detail}");
    stand.ask("PATCH", A, r#"{"weight":2}"#).problem(422);
    assert_eq!(stand.state(), before);
    stand.plane.unable.store(false, Ordering::Relaxed);
    assert_eq!(stand.ask("POST", "/api/v1/reload", "").status, 200);
    let events = stand.get("/api/v1/events").json();
    let kinds: Vec<_> = events.as_array().expect("a list").iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(kinds, ["reload-refused", "reload-refused", "reload"]);
}

#[test]
fn many_who_change_at_once_lose_nothing() {
    let stand = Stand::start(LOCAL);
    let add = |name: String| {
        let body = json!({ "servers": [{ "address": "127.0.0.1:9100", "name": name }] }).to_string();
        let added = stand.ask("POST", SERVERS, &body);
        assert_eq!(added.status, 201, "{added:?}");
    };
    thread::scope(|scope| {
        for caller in 0..8 {
            scope.spawn(move || (0..10).for_each(|n| add(format!("{caller}-{n}"))));
        }
    });
    let status = stand.get("/api/v1/status").json();
    assert_eq!((&status["generation"], &status["differences"]), (&json!(81), &json!(80)));
    assert_eq!(stand.get("/api/v1/pools/app").json()["servers_total"], 82);
}
