//! What is told.

use plimsoll_control::DataPlane;
use plimsoll_core::{Admission, Ask, ClientKey, Time};
use serde_json::json;

use crate::kit::{LOCAL, Stand, say};

#[test]
fn the_status_tells_of_the_process_its_listeners_workers_and_pools() {
    let stand = Stand::start(LOCAL);
    let status = stand.get("/api/v1/status");
    assert_eq!(status.status, 200);
    assert_eq!(status.field("content-type"), Some("application/json"));
    let status = status.json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], std::process::id());
    assert_eq!((&status["generation"], &status["differences"]), (&json!(1), &json!(0)));
    assert_eq!((&status["connections"], &status["connections_limit"]), (&json!(3), &json!(2011)));
    assert_eq!(status["descriptor_shortages"], 0);
    assert_eq!(status["file"], stand.file.to_str().expect("it is text"));
    let mut listeners = stand.get("/api/v1/listeners").json();
    let routes = listeners[0].as_object_mut().and_then(|listener| listener.remove("routes"));
    let route = json!({ "name": "default", "when": "every request", "comes_to": "pool app", "requests": 5 });
    assert_eq!(routes, Some(json!([route])));
    assert_eq!(status["listeners"], listeners);
    assert_eq!(status["listeners"][0]["limit"], 20_000);
    assert_eq!(status["workers"][0]["requests"], 11);
    assert_eq!(status["pools"][0]["name"], "app");
    assert_eq!(status["pools"][0].get("servers"), None);
    assert_eq!(status["pools"][0]["queue"], json!({ "waiting": 0, "limit": 8, "left": 0 }));
}

#[test]
fn a_pool_tells_what_its_servers_carry() {
    let stand = Stand::start(LOCAL);
    let pool = stand.pools.pool("app").expect("it is there");
    let permits: Vec<_> =
        (0..4).map(|_| pool.pick(&Ask { now: Time::ZERO, ..Ask::default() }).expect("there is room")).collect();
    let told = stand.get("/api/v1/pools/app").json();
    assert_eq!((&told["in_flight"], &told["eligible"], &told["imbalance"]), (&json!(4), &json!(2), &json!(1.0)));
    let b = stand.get("/api/v1/pools/app/servers/b").json();
    assert_eq!((&b["in_flight"], &b["weight"], &b["max_connections"]), (&json!(3), &json!(3), &json!(9)));
    assert_eq!((&b["score"], &b["picks"], &b["addresses"]), (&json!(1.0), &json!(3), &json!(["127.0.0.1:9002"])));
    assert_eq!((&b["state"], &b["health"]["state"], &b["listed"]), (&json!("ready"), &json!("up"), &json!(true)));
    let a = &stand.get("/api/v1/pools/app/servers").json()[0];
    assert_eq!((&a["name"], &a["in_flight"], &a["max_connections"]), (&json!("a"), &json!(1), &json!(null)));
    assert_eq!(stand.get("/api/v1/pools?servers=true").json()[0]["servers"][1]["name"], "b");
    drop(permits);
    let told = stand.get("/api/v1/pools/app").json();
    assert_eq!((&told["in_flight"], &told["servers"][1]["outcomes"]["aborted"]), (&json!(0), &json!(3)));
}

#[test]
fn limits_tell_their_rules_what_they_did_and_who_is_busiest() {
    let stand = Stand::start(LOCAL);
    let client = |last: u8| ClientKey::address([192, 0, 2, last].into(), 64);
    let request = |last| stand.plane.clients.request(client(last), stand.plane.now());
    let held = [request(1), request(2)];
    assert!(matches!(request(2), Admission::Over(_)));
    let told = &stand.get("/api/v1/limits").json()[0];
    assert_eq!((&told["name"], &told["key"], &told["requests"]), (&json!("each"), &json!("client"), &json!(1)));
    assert_eq!((&told["request_rate"], &told["over"]), (&json!("600/min"), &json!("delay")));
    assert_eq!((&told["delay_seconds"], told.get("connections")), (&json!(1.5), None));
    assert_eq!((&told["clients"], &told["capacity"], &told["refused"]["requests"]), (&json!(2), &json!(10), &json!(1)));
    assert_eq!(stand.get("/api/v1/status").json()["limits"][0], *told);
    let clients = stand.get("/api/v1/limits/each/clients").json();
    assert_eq!(clients.as_array().expect("a list").len(), 2);
    let second = clients.as_array().expect("a list").iter().find(|client| client["client"] == "192.0.2.2");
    let second = second.expect("it is there");
    assert_eq!((&second["requests"], &second["refused"], &second["total_requests"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(stand.get("/api/v1/limits/each/clients?top=1").json().as_array().expect("a list").len(), 1);
    let missing = stand.get("/api/v1/limits/eech/clients").problem(404);
    assert_eq!(missing["detail"], "there is no limit \"eech\"");
    drop(held);
    assert_eq!(stand.get("/api/v1/limits/each/clients").json()[0]["requests"], 0);
}

#[test]
fn a_pick_is_explained() {
    let stand = Stand::start(LOCAL);
    let told = stand.get("/api/v1/pools/app/explain?tried=a").json();
    assert_eq!((&told["policy"], &told["picked"]), (&json!("least-connections"), &json!("b")));
    assert!(told["rule"].as_str().expect("a sentence").contains("in flight / weight"));
    assert_eq!(told["servers"][0]["verdict"], "tried before");
    let both = stand.get("/api/v1/pools/app/explain?tried=a&tried=b").json();
    assert!(both["picked"].is_string(), "when all were tried, any will do: {both}");
    assert!(
        stand.get("/api/v1/pools/app/explain?tried=c").problem(404)["detail"].as_str().expect("why").contains("\"c\"")
    );
}

#[test]
fn picks_are_kept_once_somebody_asks_for_them() {
    let stand = Stand::start(LOCAL);
    let pool = stand.pools.pool("app").expect("it is there");
    let pick = || drop(pool.pick(&Ask { now: stand.plane.now(), ..Ask::default() }).expect("there is room"));
    pick();
    assert_eq!(stand.get("/api/v1/pools/app/picks").json(), json!([]), "nobody had asked");
    pick();
    pick();
    let picks = stand.get("/api/v1/pools/app/picks?last=1").json();
    assert_eq!((picks.as_array().map(Vec::len), &picks[0]["number"]), (Some(1), &json!(2)));
    assert_eq!((&picks[0]["candidates"][0]["name"], &picks[0]["in_flight"]), (&picks[0]["picked"], &json!(1)));
}

#[test]
fn events_are_told_after_a_number_and_up_to_a_limit() {
    let stand = Stand::start(LOCAL);
    for weight in [2, 3, 4] {
        let body = format!("{{\"weight\":{weight}}}");
        assert_eq!(stand.ask("PATCH", "/api/v1/pools/app/servers/a", &body).status, 200);
    }
    let all = stand.get("/api/v1/events").json();
    assert_eq!(all.as_array().map(Vec::len), Some(3));
    assert_eq!((&all[0]["kind"], &all[0]["server"]), (&json!("edit"), &json!("a")));
    let later = stand.get("/api/v1/events?after=1").json();
    assert_eq!((later[0]["number"].as_u64(), later.as_array().map(Vec::len)), (Some(2), Some(2)));
    let last = stand.get("/api/v1/events?limit=1").json();
    assert_eq!(last[0]["number"], 3);
}

#[test]
fn what_is_not_there_is_not_found_and_what_is_no_question_is_refused() {
    let stand = Stand::start(LOCAL);
    for path in [
        "/api/v1/pools/none",
        "/api/v1/pools/none/servers",
        "/api/v1/pools/none/servers/a",
        "/api/v1/pools/app/servers/none",
        "/api/v1/pools/none/explain",
        "/api/v1/pools/none/history",
        "/api/v1/stream?pool=none",
        "/api/v1/",
        "/api/v1/pools/",
        "/api/v2/status",
        "/nothing",
        "/..%2f..%2fetc/passwd",
    ] {
        stand.get(path).problem(404);
    }
    for path in [
        "/api/v1/status?x=1",
        "/api/v1/events?after=-1",
        "/api/v1/events?limit=x",
        "/api/v1/events?limit=1&limit=2",
        "/api/v1/pools?servers=yes",
        "/api/v1/pools/%ff",
        "/api/v1/pools/app/history?servers=99999999999999999999999",
    ] {
        stand.get(path).problem(400);
    }
    for (method, path, allow) in [
        ("POST", "/api/v1/status", "GET,HEAD"),
        ("PUT", "/api/v1/pools/app/servers/a", "GET,HEAD,DELETE,PATCH"),
        ("GET", "/api/v1/reload", "POST"),
        ("TRACE", "/healthz", "GET,HEAD"),
        ("OPTIONS", "/api/v1/diff", "GET,HEAD,DELETE"),
    ] {
        let answer = stand.ask(method, path, "");
        answer.problem(405);
        let mut allowed: Vec<_> = answer.field("allow").expect("it says what is").split(',').collect();
        let mut wanted: Vec<_> = allow.split(',').collect();
        allowed.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(allowed, wanted, "{method} {path}");
    }
}

#[test]
fn whether_it_serves_is_told_to_everyone() {
    let stand = Stand::start(LOCAL);
    let answer = stand.get("/healthz");
    assert_eq!((answer.status, &*answer.body), (200, "ok\n"));
    stand.plane.stopping.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(stand.get("/healthz").status, 503);
    assert_eq!(stand.get("/api/v1/status").json()["stopping"], true);
}

#[test]
fn the_description_has_every_path_and_is_served() {
    let stand = Stand::start(LOCAL);
    let described = stand.get("/api/v1/openapi.json").json();
    let paths = described["paths"].as_object().expect("paths");
    for path in ["/api/v1/status", "/api/v1/pools/{pool}/servers/{server}", "/api/v1/stream", "/api/v1/reload"] {
        assert!(paths.contains_key(path), "{path} is not described");
    }
    let methods = paths["/api/v1/pools/{pool}/servers/{server}"].as_object().expect("methods");
    assert!(["get", "patch", "delete"].iter().all(|method| methods.contains_key(*method)));
    assert!(described["components"]["schemas"].get("Problem").is_some());
}

#[test]
fn one_connection_serves_many_requests_by_the_socket_too() {
    let stand = Stand::start(LOCAL);
    let answer = say(stand.unix(), "GET /api/v1/pools HTTP/1.1\r\nHost: whatever.example\r\n", "");
    assert_eq!(answer.status, 200, "by the socket no name is foreign");
    let output = std::process::Command::new("curl")
        .args(["-sS", "--max-time", "30", "--unix-socket"])
        .arg(stand.socket())
        .args(["-w", "%{http_code} %{num_connects}\n", "-o", "/dev/null", "http://localhost/api/v1/status"])
        .args(["-o", "/dev/null", "http://localhost/healthz"])
        .output()
        .expect("curl runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200 1\n200 0\n", "{output:?}");
}
