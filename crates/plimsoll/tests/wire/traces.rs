//! Traces: the place of a request in one, as servers are told it, and the spans that a collector gets.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData, span::SpanKind};
use prost::Message;

use crate::access_log::LogFile;
use crate::kit::{Config, Request, Server, answer, get, ok, until};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A GET with these field lines.
fn asking(lines: &str) -> String {
    get("/a?b=1").replace("\r\n\r\n", &format!("\r\n{lines}\r\n"))
}

fn traceparent(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{PARENT}-{flags}\r\n")
}

/// The trace, the span and the flags that a server was told.
#[track_caller]
fn told(request: &Request) -> [String; 3] {
    let value = request.field("traceparent").expect("there is one traceparent");
    let parts: Vec<_> = value.split('-').collect();
    let [version, trace, span, flags] = parts[..] else { panic!("{value}") };
    assert_eq!((version, trace.len(), span.len()), ("00", 32, 16), "{value}");
    [trace, span, flags].map(str::to_owned)
}

/// A collector that takes whatever it is sent.
fn collector() -> Server {
    Server::answering(|_| ok(""))
}

fn settings(collector: &Server, sample: &str) -> String {
    format!("trace = {{ endpoint = \"http://{}/v1/traces\", sample = \"{sample}\" }}", collector.address())
}

/// Waits until the collector has so many spans.
#[track_caller]
fn spans(collector: &Server, count: usize) -> Vec<Span> {
    let all = || {
        let messages = collector.requests().into_iter().map(|request| TracesData::decode(&*request.body).unwrap());
        let scopes = messages.flat_map(|message| message.resource_spans).flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect::<Vec<_>>()
    };
    until(&format!("the collector has {count} spans"), || all().len() >= count);
    let spans = all();
    assert_eq!(spans.len(), count);
    spans
}

fn text(value: &KeyValue) -> String {
    match value.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

fn attributes(span: &Span) -> BTreeMap<&str, String> {
    span.attributes.iter().map(|attribute| (attribute.key.as_str(), text(attribute))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn without_the_table_fields_of_traces_pass_through() {
    let server = Server::saying("hello");
    let program = Config::to(&[server.address()]).start();
    program.ask(asking("traceparent: what ever\r\ntracestate: a=b\r\n"));
    let request = server.request();
    assert_eq!((request.field("traceparent"), request.field("tracestate")), (Some("what ever"), Some("a=b")));
}

#[test]
fn a_trace_goes_on_and_its_decision_holds() {
    let (server, collector, log) = (Server::saying("hello"), collector(), LogFile::new());
    let config = Config::to(&[server.address()]).top(&log.settings("")).top(&settings(&collector, "0%"));
    let program = config.start();
    for flags in ["01", "00"] {
        program.ask(asking(&format!("{}tracestate: a=1,b=2\r\n", traceparent(flags))));
        let request = server.requests().pop().unwrap();
        let [trace, span, told] = told(&request);
        assert_eq!((trace.as_str(), told.as_str()), (TRACE, flags));
        assert_ne!(span, PARENT);
        assert_eq!(request.fields("tracestate"), ["a=1,b=2"]);
    }
    let lines = log.json(2);
    assert!(lines.iter().all(|line| line["trace_id"] == TRACE), "{lines:?}");
    let spans = spans(&collector, 2);
    assert!(spans.iter().all(|span| span.trace_state == "a=1,b=2" && hex(&span.trace_id) == TRACE));
}

#[test]
fn what_is_no_traceparent_counts_as_none() {
    let (server, collector) = (Server::saying("hello"), collector());
    let program = Config::to(&[server.address()]).top(&settings(&collector, "0%")).start();
    let twice = traceparent("01").repeat(2);
    for lines in ["", "traceparent: 00-1-2-01\r\ntracestate: a=1\r\n", &twice, "tracestate: a=1\r\n"] {
        program.ask(asking(lines));
        let request = server.requests().pop().unwrap();
        let [trace, _, flags] = told(&request);
        assert!(trace != TRACE && flags == "00", "{lines}");
        assert!(request.fields("tracestate").is_empty(), "{lines}");
    }
}

#[test]
fn a_collector_gets_a_span_of_the_request_and_one_of_each_try() {
    let bad = Server::answering(|_| answer(503));
    let good = Server::saying("hello");
    let collector = collector();
    let program = Config::to(&[])
        .server(bad.address(), "name = \"bad\", weight = 9")
        .server(good.address(), "name = \"good\"")
        .pool("retry = { on = [503], tries = 2 }")
        .listen("request_id = {}")
        .top(&settings(&collector, "100%"))
        .start();
    let request = asking(&format!("User-Agent: test/1\r\n{}", traceparent("01")));
    assert_eq!(program.ask(request).status, 200);
    let spans = spans(&collector, 3);
    let [server, first, second] = &spans[..] else { panic!("three spans") };
    assert_eq!((server.kind(), server.name.as_str()), (SpanKind::Server, "GET"));
    assert_eq!((hex(&server.trace_id).as_str(), hex(&server.parent_span_id).as_str()), (TRACE, PARENT));
    let facts = attributes(server);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/a"),
        ("url.query", "b=1"),
        ("url.scheme", "http"),
        ("http.response.status_code", "200"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "test/1"),
        ("server.address", "test"),
        ("client.address", "127.0.0.1"),
        ("plimsoll.pool", "app"),
        ("plimsoll.server", "good"),
        ("plimsoll.tries", "2"),
    ] {
        assert_eq!(facts.get(key).map(String::as_str), Some(value), "{key}");
    }
    for (span, asked, name, status) in [(first, &bad, "bad", "503"), (second, &good, "good", "200")] {
        assert_eq!((span.kind(), &span.parent_span_id), (SpanKind::Client, &server.span_id));
        assert_eq!(hex(&span.span_id), told(&asked.request())[1], "a server belongs to the span of its try");
        assert!(span.start_time_unix_nano >= server.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= server.end_time_unix_nano);
        let facts = attributes(span);
        assert_eq!((facts["plimsoll.server"].as_str(), facts["http.response.status_code"].as_str()), (name, status));
        assert_eq!(facts["url.full"], format!("http://{}/a?b=1", asked.address()));
    }
    assert_eq!(bad.request().field("x-request-id"), good.request().field("x-request-id"));
    assert_eq!(attributes(second)["http.request.resend_count"], "1");
    assert_eq!(attributes(first)["error.type"], "503");
    let message = TracesData::decode(&*collector.request().body).unwrap();
    let resource = message.resource_spans[0].resource.as_ref().unwrap();
    assert_eq!(
        (resource.attributes[0].key.as_str(), text(&resource.attributes[0])),
        ("service.name", "plimsoll".to_owned())
    );
    assert_eq!(collector.request().field("content-type"), Some("application/x-protobuf"));
}

#[test]
fn a_collector_that_refuses_or_is_gone_costs_traces_only() {
    let server = Server::saying("hello");
    let refusing = Server::answering(|_| answer(500));
    let mut program = Config::to(&[server.address()]).top(&settings(&refusing, "100%")).start();
    assert_eq!(program.ask(get("/")).status, 200);
    program.await_said("traces: 1 requests could not be told to http://");
    drop(refusing);
    assert_eq!(program.ask(get("/")).status, 200);
    program.assert_well();
    program.terminate();
    assert!(program.ended().success());
}

#[test]
fn a_stop_sends_the_last_traces() {
    let (server, collector) = (Server::saying("hello"), collector());
    let mut program = Config::to(&[server.address()]).top(&settings(&collector, "100%")).start();
    for _ in 0..20 {
        program.ask(get("/"));
    }
    program.terminate();
    assert!(program.ended().success());
    spans(&collector, 40);
}
