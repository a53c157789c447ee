//! Whatever is in a file, reading it neither panics nor says nothing.
//!
//! A failing case is printed at its smallest and kept beside this file with its seed, from which the next run begins.
//! `PROPTEST_RNG_SEED` sets the seed of a whole run, `PROPTEST_CASES` its length.

use plimsoll_config::{
    Action, Config, HeaderEdit, Host, ListenerProtocol, PathPattern, Piece, Pool, Route, Server, Target, Template,
    normalise_path, parse,
};
use proptest::prelude::*;

const RIGHT: [&str; 3] = [include_str!("everything.toml"), include_str!("protocols.toml"), include_str!("routes.toml")];

/// Pieces that a file is made of, so that chance comes far enough into the reader.
const PIECES: &[&str] = &[
    "[listen.web]\n",
    "[pool.app]\n",
    "[[pool.app.servers]]\n",
    "[access_log]\n",
    "[trace]\n",
    "to = ",
    "format = ",
    "\"$status ${\"\n",
    "\"syslog://[\"\n",
    "request_id = ",
    "endpoint = ",
    "bind = ",
    "pool = ",
    "servers = ",
    "timeout = ",
    "weight = ",
    "address = ",
    "host = ",
    "max_head = ",
    "policy = ",
    "[pool.app.probe]\n",
    "http = ",
    "tcp = ",
    "grpc = ",
    "protocol = ",
    "redirect = ",
    "sni = ",
    "[[listen.web.route]]\n",
    "route = ",
    "path = ",
    "exact = ",
    "regex = ",
    "\"/a/%2e\"",
    "'^/a$'",
    "split = ",
    "respond = ",
    "mirror = ",
    "strip_prefix = ",
    "request_headers = ",
    "set = ",
    "remove = ",
    "errors = ",
    "5xx = ",
    "compress = ",
    "basic_auth = ",
    "allow = ",
    "deny_file = ",
    "\"https://$host/${\"",
    "tls = ",
    "tls_options = ",
    "client_cert = ",
    "hsts = ",
    "http2 = ",
    "proxy_protocol = ",
    "send_proxy = ",
    "from = ",
    "\"https\"\n",
    "\"http2\"\n",
    "\"365d\"\n",
    "\"10.0.0.0/8\"",
    "\"*.example.com\" = ",
    "\"unix:x.sock\"",
    "{ cert = \"tests/site.pem\", key = \"tests/site.key\" }\n",
    "expect = ",
    "status = ",
    "header = ",
    "warm_up = ",
    "eject = ",
    "retry = ",
    "queue = ",
    "unavailable = ",
    "fallback = ",
    "page = ",
    "on = ",
    "tries = ",
    "max_share = ",
    "\"off\"\n",
    "\"5xx\"",
    "\"50%\"\n",
    "\"a(b\"\n",
    "\"",
    "'",
    "\"8080\"\n",
    "\"app\"\n",
    "\"127.0.0.1:9001\"",
    "\"[::1\"",
    "{ ",
    " }\n",
    "[",
    "]\n",
    ", ",
    "= ",
    ".",
    "\n",
    "1",
    "-",
    "0x",
    "1979-05-27",
    "true",
    "nan",
    "\"\"\"",
    "\\u0000",
    "é",
    "語",
    "\t",
    "\u{202e}",
    "\u{1b}",
    "\r",
    "99999999999999999999",
    "1h",
    "KiB",
];

/// Reads a text and looks at everything that comes out.
fn look(text: &str) -> Result<(), TestCaseError> {
    match parse("plimsoll.toml", text) {
        Ok(config) => {
            prop_assert_eq!(parse("again.toml", text).ok(), Some(config.clone()));
            holds(&config)
        }
        Err(problems) => {
            prop_assert!(problems.iter().count() > 0);
            prop_assert!(problems.to_string().starts_with("error: "));
            for problem in &problems {
                prop_assert!(problem.line().is_none_or(|line| line <= text.lines().count() + 1));
                let width = problem.source_line().map_or(0, |line| line.chars().count());
                prop_assert!(problem.column().is_none_or(|column| (1..=width + 1).contains(&column)));
            }
            Ok(())
        }
    }
}

/// What a resolved configuration promises.
fn holds(config: &Config) -> Result<(), TestCaseError> {
    prop_assert!(!config.listeners.is_empty());
    for listener in &config.listeners {
        prop_assert!(!listener.binds.is_empty());
        for name in listener.target.pools() {
            prop_assert!(config.pools.iter().any(|pool| pool.name == name));
        }
        if listener.protocol == ListenerProtocol::Http {
            prop_assert!(listener.max_target < listener.max_head);
        }
        let routes = listener.target.routes();
        prop_assert_eq!(routes.is_empty(), listener.protocol == ListenerProtocol::Tcp);
        let mut names: Vec<_> = routes.iter().map(|route| &route.name).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), routes.len());
        for route in routes {
            route_holds(route)?;
        }
        if let Target::Sni { names, .. } = &listener.target {
            prop_assert!(!names.is_empty() && listener.protocol == ListenerProtocol::Tcp && listener.tls.is_none());
        }
        prop_assert!(listener.hsts.is_none() || listener.tls.is_some());
        prop_assert!(listener.tls.as_ref().is_none_or(|tls| !tls.pairs.is_empty()));
        prop_assert!(listener.proxy_protocol.as_ref().is_none_or(|proxy| !proxy.from.is_empty()));
        prop_assert!(listener.http2.stream_window <= listener.http2.connection_window);
    }
    for pool in &config.pools {
        prop_assert!(pool.servers.iter().any(|server| !server.backup));
        let at_socket = |server: &Server| matches!(server.host, Host::Unix(_));
        prop_assert!(pool.servers.iter().all(|server| (server.port != 0) != at_socket(server)));
        let probe = pool.probe.as_ref();
        prop_assert!(probe.is_none_or(|probe| !probe.tls || pool.tls.is_some()));
        prop_assert!(probe.is_none_or(|probe| !probe.send_proxy || pool.send_proxy.is_some()));
        let mut names: Vec<_> = pool.servers.iter().map(|server| &server.name).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), pool.servers.len());
        prop_assert_eq!(pool.probe.is_some(), pool.rules.probe.is_some());
        prop_assert!(pool.retry.tries >= 1);
        prop_assert!(pool.rules.eject.is_none_or(|eject| eject.time <= eject.max_time));
        prop_assert!(fallbacks_end(config, pool));
    }
    Ok(())
}

/// What a resolved route promises.
fn route_holds(route: &Route) -> Result<(), TestCaseError> {
    for path in &route.when.paths {
        if let PathPattern::Exact { path, .. } | PathPattern::Prefix { path, .. } = path {
            let whole = if path.is_empty() { "/" } else { path.as_str() };
            prop_assert!(normalise_path(whole).is_ok_and(|normal| normal == whole));
        }
    }
    prop_assert!(route.when.headers.iter().all(|(name, _)| *name == name.to_lowercase()));
    let rules = &route.rules;
    match &route.action {
        Action::Pools(shares) => {
            prop_assert!(!shares.is_empty() && shares.iter().all(|share| share.weight > 0));
            let mirror = rules.mirror.as_ref().map(|mirror| &mirror.pool);
            prop_assert!(shares.iter().all(|share| Some(&share.pool) != mirror));
        }
        Action::Redirect(redirect) => prop_assert!([301, 302, 303, 307, 308].contains(&redirect.status)),
        Action::Respond(respond) => prop_assert!((200..600).contains(&respond.status)),
    }
    for prefix in [&rules.strip_prefix, &rules.add_prefix] {
        prop_assert!(prefix.is_empty() || prefix.starts_with('/') && !prefix.ends_with('/'));
    }
    for edit in rules.request_headers.iter().chain(&rules.response_headers) {
        let (HeaderEdit::Set(name, _) | HeaderEdit::Add(name, _) | HeaderEdit::Remove(name)) = edit;
        prop_assert!(!["connection", "content-length", "transfer-encoding"].contains(&&*name.to_lowercase()));
        if let HeaderEdit::Set(_, Template(pieces)) | HeaderEdit::Add(_, Template(pieces)) = edit {
            let field = |c: char| c == '\t' || (' '..='~').contains(&c);
            let fits =
                |piece: &Piece| !matches!(piece, Piece::Literal(text) if text.is_empty() || !text.chars().all(field));
            prop_assert!(pieces.iter().all(fits));
        }
    }
    prop_assert!(rules.compress.as_ref().is_none_or(|compress| !compress.algorithms.is_empty()));
    prop_assert!(rules.basic_auth.as_ref().is_none_or(|auth| !auth.users.is_empty()));
    Ok(())
}

/// Whether following fallbacks from `pool` comes to an end, by pools that are there.
fn fallbacks_end(config: &Config, pool: &Pool) -> bool {
    let mut at = pool;
    for _ in &config.pools {
        let Some(next) = &at.unavailable.fallback else { return true };
        let Some(pool) = config.pools.iter().find(|pool| pool.name == *next) else { return false };
        at = pool;
    }
    false
}

proptest! {
    #[test]
    fn any_text(text in any::<String>()) {
        look(&text)?;
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)) {
        look(&pieces.concat())?;
    }

    #[test]
    fn a_right_file_with_a_piece_replaced(text in prop::sample::select(&RIGHT[..]), at in any::<prop::sample::Index>(), length in 0..40_usize, piece in prop::sample::select(PIECES)) {
        let chars: Vec<char> = text.chars().collect();
        let start = at.index(chars.len());
        let end = (start + length).min(chars.len());
        let text: String = chars[..start].iter().copied().chain(piece.chars()).chain(chars[end..].iter().copied()).collect();
        look(&text)?;
    }

    #[test]
    fn a_right_file_with_a_line_moved(text in prop::sample::select(&RIGHT[..]), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let mut lines: Vec<&str> = text.lines().collect();
        let line = lines.remove(from.index(lines.len()));
        lines.insert(to.index(lines.len() + 1), line);
        look(&lines.join("\n"))?;
    }

    #[test]
    fn any_arguments(listen in any::<String>(), to in prop::collection::vec("[a-z0-9:.,=\\[\\] é\n]{0,40}", 0..4)) {
        if let Err(problems) = Config::quick(&listen, &to) {
            prop_assert!(problems.to_string().starts_with("error: "));
        }
    }
}
