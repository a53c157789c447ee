//! Traced requests as spans, with the attributes of OpenTelemetry's semantic conventions for HTTP.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData, span::SpanKind};
use plimsoll_core::OutcomeKind;
use plimsoll_proxy::{TracedRequest, TracedTry};

/// The methods that the conventions know (RFC 9110, section 9, and RFC 5789).
const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

// Flags of a span: it is sampled; it is known whether its parent is elsewhere; it is elsewhere.
const SAMPLED: u32 = 1;
const PARENT_KNOWN: u32 = 0x100;
const PARENT_ELSEWHERE: u32 = 0x200;

/// The message that tells of these requests. What the collector takes in is called `ExportTraceServiceRequest`, which on the
/// wire is the same as this.
pub(super) fn message(batch: &[TracedRequest], service: &str) -> TracesData {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let resource = Resource {
        attributes: vec![text("service.name", service), text("service.version", &version)],
        ..Resource::default()
    };
    let scope = InstrumentationScope { name: "plimsoll".to_owned(), version, ..InstrumentationScope::default() };
    let spans = batch.iter().flat_map(spans).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    TracesData {
        resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }],
    }
}

/// The span of a request and those of its tries.
fn spans(request: &TracedRequest) -> Vec<Span> {
    let mut spans = vec![server_span(request)];
    spans.extend(request.tries.iter().enumerate().map(|(number, one)| client_span(request, one, number)));
    spans
}

fn server_span(request: &TracedRequest) -> Span {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut attributes = vec![
        text("url.scheme", request.scheme),
        text("url.path", path),
        text("network.protocol.version", request.version),
        text("plimsoll.listener", &request.listener),
        number("plimsoll.tries", count(request.tries.len())),
        double("plimsoll.queue_ms", request.queued.as_secs_f64() * 1000.0),
    ];
    if let Some(client) = request.client {
        attributes.push(text("client.address", &client.ip().to_canonical().to_string()));
        // What a proxy tells of its clients is without ports.
        if client.port() > 0 {
            attributes.push(number("client.port", client.port().into()));
        }
    }
    push_method(&mut attributes, &request.method);
    push_authority(&mut attributes, &request.host);
    for (key, value) in [
        ("url.query", query),
        ("user_agent.original", &request.user_agent),
        ("plimsoll.pool", &request.pool),
        ("plimsoll.server", &request.server),
        ("plimsoll.request_id", &request.request_id),
        ("plimsoll.reason", request.reason.unwrap_or_default()),
    ] {
        if !value.is_empty() {
            attributes.push(text(key, value));
        }
    }
    let failed = request.status >= 500;
    if request.status != 0 {
        attributes.push(number("http.response.status_code", request.status.into()));
    }
    if failed {
        attributes.push(text("error.type", &request.status.to_string()));
    }
    let parent = request.parent_id.map_or(0, |_| PARENT_KNOWN | PARENT_ELSEWHERE);
    Span {
        trace_id: request.trace_id.to_vec(),
        span_id: request.span_id.to_vec(),
        parent_span_id: request.parent_id.map_or(Vec::new(), |parent| parent.to_vec()),
        trace_state: request.state.clone(),
        flags: SAMPLED | parent,
        name: name(&request.method),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: nanos(request.start),
        end_time_unix_nano: nanos(request.end),
        attributes,
        status: status(failed),
        ..Span::default()
    }
}

fn client_span(request: &TracedRequest, one: &TracedTry, number_of_try: usize) -> Span {
    let mut attributes = vec![text("plimsoll.pool", &request.pool), text("plimsoll.server", &one.server)];
    push_method(&mut attributes, &request.method);
    if let Some(address) = &one.address {
        let host = address.ip().map_or_else(|| address.to_string(), |address| address.ip().to_string());
        attributes.push(text("server.address", &host));
        if let Some(address) = address.ip() {
            attributes.push(number("server.port", address.port().into()));
        }
        let path = if request.target.starts_with('/') { &request.target } else { "/" };
        attributes.push(text("url.full", &format!("http://{address}{path}")));
    }
    if number_of_try > 0 {
        attributes.push(number("http.request.resend_count", count(number_of_try)));
    }
    if let Some(status) = one.status {
        attributes.push(number("http.response.status_code", status.into()));
    }
    // To who asks a server each status from 400 on is an error; of other failures the outcome tells.
    let error = match (one.status.filter(|status| *status >= 400), one.outcome) {
        (Some(status), _) => Some(status.to_string()),
        (None, Some(outcome)) if outcome != OutcomeKind::Success => Some(outcome.to_string()),
        _ => None,
    };
    if let Some(error) = &error {
        attributes.push(text("error.type", error));
    }
    Span {
        trace_id: request.trace_id.to_vec(),
        span_id: one.span_id.to_vec(),
        parent_span_id: request.span_id.to_vec(),
        trace_state: request.state.clone(),
        flags: SAMPLED | PARENT_KNOWN,
        name: name(&request.method),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: nanos(one.start),
        end_time_unix_nano: nanos(one.end),
        attributes,
        status: status(error.is_some()),
        ..Span::default()
    }
}

/// A span is called by its method, as there are no routes; by methods that nobody knows there would be no end of names.
fn name(method: &str) -> String {
    if METHODS.contains(&method) { method.to_owned() } else { "HTTP".to_owned() }
}

fn push_method(attributes: &mut Vec<KeyValue>, method: &str) {
    if METHODS.contains(&method) {
        attributes.push(text("http.request.method", method));
    } else {
        attributes.push(text("http.request.method", "_OTHER"));
        attributes.push(text("http.request.method_original", method));
    }
}

/// The host and the port that the client asked for.
fn push_authority(attributes: &mut Vec<KeyValue>, host: &str) {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        _ => (host, None),
    };
    if !name.is_empty() {
        attributes.push(text("server.address", name.trim_matches(['[', ']'])));
    }
    if let Some(port) = port {
        attributes.push(number("server.port", port));
    }
}

fn status(failed: bool) -> Option<Status> {
    failed.then(|| Status { code: StatusCode::Error.into(), message: String::new() })
}

/// How many of something there are, which is never past what fits.
fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn nanos(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn double(key: &str, value: f64) -> KeyValue {
    attribute(key, Value::DoubleValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
