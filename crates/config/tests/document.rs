//! The schema and the reference tell the same as the reader does.

use std::path::Path;

use plimsoll_config::{parse, reference, schema};
use regex_lite::Regex;
use serde_json::{Value, json};

/// Whether `value` holds to `schema`. It knows the words of JSON Schema that ours uses, and fails on any other, so
/// that none goes unchecked.
fn holds(schema: &Value, value: &Value) -> bool {
    let words = schema.as_object().expect("a schema is an object");
    words.iter().all(|(word, rule)| match word.as_str() {
        // The last two are looked at together, below.
        "$schema" | "title" | "description" | "default" | "properties" | "additionalProperties" => true,
        "type" => match rule.as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("boolean") => value.is_boolean(),
            _ => panic!("unknown type {rule}"),
        },
        "required" => rule.as_array().into_iter().flatten().all(|key| value.get(key.as_str().unwrap_or("")).is_some()),
        "minProperties" => value.as_object().is_none_or(|o| o.len() as u64 >= rule.as_u64().unwrap_or(0)),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| holds(rule, item))),
        "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap_or(0)),
        "anyOf" => rule.as_array().into_iter().flatten().any(|schema| holds(schema, value)),
        "enum" => rule.as_array().into_iter().flatten().any(|word| word == value),
        "minimum" => value.as_i64().is_none_or(|n| n >= rule.as_i64().unwrap_or(0)),
        "maximum" => value.as_i64().is_none_or(|n| n <= rule.as_i64().unwrap_or(i64::MAX)),
        "minLength" => value.as_str().is_none_or(|s| s.chars().count() as u64 >= rule.as_u64().unwrap_or(0)),
        "maxLength" => value.as_str().is_none_or(|s| s.chars().count() as u64 <= rule.as_u64().unwrap_or(0)),
        "pattern" => {
            let pattern = Regex::new(rule.as_str().expect("a pattern is a text")).expect("a pattern is a regex");
            value.as_str().is_none_or(|text| pattern.is_match(text))
        }
        word => panic!("unknown word {word}"),
    }) && properties_hold(schema, value)
}

fn properties_hold(schema: &Value, value: &Value) -> bool {
    let others = &schema["additionalProperties"];
    value.as_object().into_iter().flatten().all(|(key, value)| match (schema["properties"].get(key), others) {
        (Some(schema), _) => holds(schema, value),
        (None, Value::Object(_)) => holds(others, value),
        (None, allowed) => allowed != false,
    })
}

fn as_json(text: &str) -> Value {
    toml::from_str(text).expect("the text is TOML")
}

const EVERYTHING: &str = include_str!("everything.toml");
const PROTOCOLS: &str = include_str!("protocols.toml");
const ROUTES: &str = include_str!("routes.toml");

#[test]
fn the_schema_takes_what_the_reader_takes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples = std::fs::read_dir(folder.join("../../examples")).expect("the examples are there");
    let examples = examples.map(|entry| entry.expect("the folder can be read").path());
    for path in examples
        .chain(["tests/everything.toml", "tests/protocols.toml", "tests/routes.toml"].map(|file| folder.join(file)))
    {
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).expect("the example can be read");
            assert!(holds(&schema(), &as_json(&text)), "{path:?}");
        }
    }
    parse("everything.toml", EVERYTHING).expect("the file is right");
}

#[test]
fn the_schema_refuses_mistakes() {
    let mistakes = [
        ("/listen/web/bnd", json!("8080")),
        ("/listen/web/bind", json!(8080)),
        ("/listen/web/bind", json!([])),
        ("/listen/web/max_connections", json!(0)),
        ("/listen/web/max_head", json!("16")),
        ("/listen/web/timeout/head", json!("10")),
        ("/listen/web/timeout/head", json!("")),
        ("/listen/web/forward/x_real_ip", json!("on")),
        ("/pool/app/policy", json!("leastconn")),
        ("/pool/app/servers", json!([])),
        ("/pool/app/servers/0", json!("no-port")),
        ("/pool/app/servers/1/weight", json!(65536)),
        ("/pool/app/servers/1/backup", json!("true")),
        ("/pool/app/servers/1/state", json!("off")),
        ("/pool/app/when_none", json!("tryall")),
        ("/pool/app/warm_up", json!("on")),
        ("/pool/app/warm_up", json!({ "exponent": 11 })),
        ("/pool/app/queue", json!(true)),
        ("/pool/app/queue/limit", json!(0)),
        ("/pool/app/eject/max_share", json!(50)),
        ("/pool/app/eject/on", json!([])),
        ("/pool/app/eject/on/1", json!(200)),
        ("/pool/app/eject/on/1", json!("4x")),
        ("/pool/app/retry/tries", json!(0)),
        ("/pool/app/probe/http", json!("health")),
        ("/pool/app/probe/status/1", json!("1xx")),
        ("/pool/app/probe/method", json!("get")),
        ("/pool/app/probe/address", json!("a.example")),
        ("/pool/app/probe/headers/X-Empty", json!("a\nb")),
        ("/pool/app/probe/header", json!({})),
        ("/pool/app/unavailable/page", json!("sorry")),
        ("/pool/app/unavailable/status", json!(200)),
        ("/access_log/to", json!("stdot")),
        ("/access_log/format", json!("jsn")),
        ("/listen/web/request_id/header", json!("X Id")),
        ("/listen/web/request_id/from_client", json!("keep")),
        ("/trace/endpoint", json!("127.0.0.1:4318")),
        ("/pool", json!({})),
        ("/workers", json!("4")),
        ("/user", json!("no such name")),
        ("/user", json!("")),
        ("/group", json!(-1)),
        ("/pid_file", json!("run/")),
        ("/max_connections", json!(0)),
        ("/pin_workers", json!("yes")),
    ];
    refuses(EVERYTHING, &mistakes);
}

#[test]
fn the_schema_refuses_mistakes_in_protocols() {
    let mistakes = [
        ("/listen/web/bind/1", json!("unix:@web")),
        ("/listen/web/bind/1", json!("/run/web.sock")),
        ("/listen/web/protocol", json!("https")),
        ("/listen/web/tls/0/cret", json!("a.pem")),
        ("/listen/web/tls/0/cert", json!("folder/")),
        ("/listen/web/tls", json!([])),
        ("/listen/web/tls_options/min_version", json!(1.2)),
        ("/listen/web/tls_options/unknown_name", json!("reject")),
        ("/listen/web/client_cert/required", json!("yes")),
        ("/listen/web/hsts/max_age", json!("1y")),
        ("/listen/web/hsts", json!("on")),
        ("/listen/web/http2/max_resets", json!(9)),
        ("/listen/web/http2/ping", json!("never")),
        ("/listen/web/http2", json!(true)),
        ("/listen/web/proxy_protocol/from", json!([])),
        ("/listen/web/proxy_protocol/from/0", json!("lb.internal")),
        ("/listen/plain/redirect", json!("http")),
        ("/listen/plain/redirect/status", json!(304)),
        ("/listen/pass/sni", json!({})),
        ("/listen/pass/sni/a.example", json!("")),
        ("/pool/app/servers/0", json!("unix:app/")),
        ("/pool/app/protocol", json!("h2")),
        ("/pool/app/http2", json!("off")),
        ("/pool/app/tls", json!("on")),
        ("/pool/app/tls/server_name", json!("*.example")),
        ("/pool/app/send_proxy", json!(true)),
        ("/pool/app/probe/grpc", json!("a/b")),
        ("/pool/app/retry/on/0", json!("grpc-ok")),
    ];
    refuses(PROTOCOLS, &mistakes);
}

#[test]
fn the_schema_refuses_mistakes_in_routes() {
    let mistakes = [
        ("/listen/web/allow", json!([])),
        ("/listen/web/deny", json!("lb.internal")),
        ("/listen/web/errors", json!({ "502": "page" })),
        ("/listen/web/compress/algorithms", json!(["deflate"])),
        ("/listen/web/compress/types/0", json!("text")),
        ("/listen/web/basic_auth/realm", json!("a \"b\"")),
        ("/listen/web/request_headers/set", json!({})),
        ("/listen/web/request_headers/set/X-Env", json!("é")),
        ("/listen/web/response_headers/remove", json!("a b")),
        ("/listen/web/route/0/host", json!("a/b")),
        ("/listen/web/route/0/path", json!("v1")),
        ("/listen/web/route/0/path", json!({ "exakt": "/v1" })),
        ("/listen/web/route/0/method", json!("get")),
        ("/listen/web/route/0/header", json!({ "x": 1 })),
        ("/listen/web/route/0/query", json!({ "v": { "regexp": "1" } })),
        ("/listen/web/route/0/client", json!("all")),
        ("/listen/web/route/0/mirror/sample", json!("0")),
        ("/listen/web/route/0/timeout/first_byte", json!(5)),
        ("/listen/web/route/0/retry", json!("never")),
        ("/listen/web/route/0/max_body", json!("1M")),
        ("/listen/web/route/0/strip_prefix", json!("v1")),
        ("/listen/web/route/2/split", json!({ "app": 1 })),
        ("/listen/web/route/2/split/app", json!(-1)),
        ("/listen/web/route/3/redirect/to", json!("elsewhere")),
        ("/listen/web/route/4/respond/status", json!(199)),
    ];
    refuses(ROUTES, &mistakes);
}

/// Puts each mistake in its place in a text that is right, and expects schema and reader to refuse it.
fn refuses(right: &str, mistakes: &[(&str, Value)]) {
    let right = as_json(right);
    assert!(holds(&schema(), &right));
    for (place, mistake) in mistakes {
        let mistake = mistake.clone();
        let mut wrong = right.clone();
        let (table, key) = place.rsplit_once('/').expect("a place has a slash");
        match wrong.pointer_mut(table).expect("the table is there") {
            Value::Array(items) => items[key.parse::<usize>().expect("an index")] = mistake,
            table => table[key] = mistake,
        }
        assert!(!holds(&schema(), &wrong), "{place}");
        assert!(parse("plimsoll.toml", &toml_of(&wrong)).is_err(), "{place}");
    }
}

/// A JSON value as TOML, each table of the top in one line.
fn toml_of(value: &Value) -> String {
    let table = value.as_object().expect("a file is a table");
    let lines: Vec<_> = table.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
    lines.join("\n")
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let entries: Vec<_> = table.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        scalar => scalar.to_string(),
    }
}

/// Each setting of the schema, as the path of tables to it and its own schema.
fn settings(schema: &Value, found: &mut Vec<(String, Value)>) {
    for alternative in schema["anyOf"].as_array().into_iter().flatten() {
        settings(alternative, found);
    }
    for inner in [&schema["items"], &schema["additionalProperties"]] {
        if inner.is_object() {
            settings(inner, found);
        }
    }
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        found.push((key.clone(), schema.clone()));
        settings(schema, found);
    }
}

#[test]
fn the_reference_tells_of_each_setting_with_its_default() {
    let text = reference();
    let mut found = Vec::new();
    settings(&schema(), &mut found);
    assert!(found.len() > 130, "only {} settings found", found.len());
    for (key, schema) in found {
        let default = match &schema["default"] {
            Value::Null => String::new(),
            Value::Object(_) => "as below".to_owned(),
            // Written in a file a list has spaces, which it has not in JSON as this library writes it.
            value => format!("`{}`", value.to_string().replace(',', ", ")),
        };
        let told = text.lines().any(|line| line.starts_with(&format!("| `{key}` |")) && line.contains(&default));
        assert!(told, "{key} with default {default}");
        assert!(schema["description"].as_str().is_some_and(|text| text.len() > 5), "{key}");
    }
}

#[test]
fn what_is_written_as_default_is_the_default() {
    // Of each kind of table there is one, and of settings only those without which another would have no effect.
    let least = r#"
[listen.web]
bind = "8080"
pool = "app"
tls = { cert = "tests/site.pem", key = "tests/site.key" }
compress = {}
basic_auth = { users = "tests/users.htpasswd" }
[[listen.web.route]]
path = { prefix = "/a" }
pool = "app"
mirror = { pool = "shadow" }
[[listen.web.route]]
path = "/b"
redirect = { to = "/c" }
[[listen.web.route]]
path = "/d"
respond = {}
[pool.shadow]
servers = ["b:1"]
protocol = "http2"
[pool.app]
servers = [{ address = "a:1", max_connections = 9 }]
protocol = "http2"
warm_up = {}
queue = {}
probe = { http = "/", body = "ok" }
"#;
    let mut spelled = as_json(least);
    fill(&schema(), &mut spelled);
    assert_eq!(spelled["pool"]["app"]["servers"][0]["weight"], 1);
    assert_eq!(spelled["pool"]["app"]["probe"]["fall"], 3);
    assert_eq!(spelled["pool"]["app"]["retry"]["tries"], 3);
    assert_eq!(spelled["listen"]["web"]["tls_options"]["min_version"], "1.2");
    assert_eq!(spelled["pool"]["app"]["http2"]["max_streams"], 128);
    assert_eq!(spelled["listen"]["web"]["route"][0]["mirror"]["limit"], 100);
    assert_eq!(spelled["listen"]["web"]["route"][2]["respond"]["status"], 200);
    assert_eq!(spelled["listen"]["web"]["compress"]["min_size"], "1KiB");
    let spelled = parse("spelled.toml", &toml_of(&spelled)).expect("each default is right");
    // In the same lines, which routes know of themselves.
    let least = toml_of(&as_json(least));
    assert_eq!(spelled, parse("least.toml", &least).expect("the least is right"));
}

/// Writes out every default that `value` leaves open.
fn fill(schema: &Value, value: &mut Value) {
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        let default = &schema["default"];
        if value.get(key).is_none() && !default.is_null() {
            value[key] = default.clone();
        }
    }
    let table = schema["anyOf"].as_array().into_iter().flatten().find(|one| one["type"] == "object");
    if let Some(table) = table.filter(|_| value.is_object()) {
        fill(table, value);
    }
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let inner = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
                fill(inner, value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(&schema["items"], item)),
        _ => {}
    }
}
