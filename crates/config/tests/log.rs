//! What the settings of the access log, of request ids and of traces mean.

use std::path::Path;

use plimsoll_config::{
    AccessLog, Config, FromClient, LogFormat, LogPiece, LogTarget, LogVariable, RequestId, Trace, parse,
};
use plimsoll_core::Percent;

/// A listener with `listen` among its settings, and `top` as the file's other tables.
fn config(listen: &str, top: &str) -> Config {
    let text = format!(
        "[listen.web]\nbind = \"8080\"\npool = \"app\"\n{listen}\n[pool.app]\nservers = [\"127.0.0.1:9001\"]\n{top}\n"
    );
    parse("log.toml", &text).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn access_log(lines: &str) -> AccessLog {
    config("", &format!("[access_log]\n{lines}")).access_log.expect("there is a log")
}

#[test]
fn each_setting_reaches_its_field() {
    let config = parse("everything.toml", include_str!("everything.toml")).expect("the file is right");
    let log = config.access_log.expect("there is a log");
    assert_eq!(log.to, LogTarget::File(Path::new("tests/access.log").into()));
    assert_eq!((log.sample, log.buffer), (Percent::new(29), 30 << 20));
    let LogFormat::Text(pieces) = log.format else { panic!("the format is a text") };
    assert_eq!(pieces[0], LogPiece::Variable(LogVariable::ClientIp));
    assert_eq!(pieces.last(), Some(&LogPiece::Literal(" $".to_owned())));
    let trace = Trace {
        endpoint: "https://collector.example:4318/v1/traces".to_owned(),
        sample: Percent::new(31),
        service_name: "edge 32".to_owned(),
    };
    assert_eq!(config.trace, Some(trace));
    let id = RequestId { header: "X-Trace".to_owned(), from_client: FromClient::Replace, to_client: false };
    assert_eq!(config.listeners[0].request_id, Some(id));
}

#[test]
fn what_is_left_open_has_its_default() {
    let nothing = config("", "");
    assert_eq!((nothing.access_log, nothing.trace, &nothing.listeners[0].request_id), (None, None, &None));
    assert!(nothing.listeners[0].access_log);
    let log = access_log("");
    let expected =
        AccessLog { to: LogTarget::Stdout, format: LogFormat::Json, sample: Percent::new(100), buffer: 4 << 20 };
    assert_eq!(log, expected);
    let with_id = config("request_id = {}", "");
    let id = RequestId { header: "X-Request-Id".to_owned(), from_client: FromClient::Accept, to_client: true };
    assert_eq!(with_id.listeners[0].request_id, Some(id));
    let trace = config("", "[trace]").trace.expect("there are traces");
    assert_eq!((trace.endpoint.as_str(), trace.sample), ("http://127.0.0.1:4318/v1/traces", Percent::new(1)));
}

#[test]
fn a_log_goes_where_the_text_says() {
    let to = |text: &str| access_log(&format!("to = \"{text}\"")).to;
    assert_eq!(to("stderr"), LogTarget::Stderr);
    assert_eq!(to("syslog"), LogTarget::SyslogSocket("/dev/log".into()));
    assert_eq!(to("syslog:/tmp/x.sock"), LogTarget::SyslogSocket("/tmp/x.sock".into()));
    for (text, address) in [
        ("10.0.0.5:5514", "10.0.0.5:5514"),
        ("10.0.0.5", "10.0.0.5:514"),
        ("[::1]:514", "[::1]:514"),
        ("[::1]", "[::1]:514"),
    ] {
        assert_eq!(to(&format!("syslog://{text}")), LogTarget::SyslogUdp(address.parse().unwrap()));
    }
    assert_eq!(to("access.log"), LogTarget::File("access.log".into()));
    assert_eq!(to("/tmp/access"), LogTarget::File("/tmp/access".into()));
}
