//! Every setting of the file: its type, bounds, default and meaning. The reader, the reference and the JSON schema
//! all come from what is declared here.

use self::bounds::{DAY, KIB, LARGEST_BODY, MIB, MILLISECOND, MOST_CLIENTS};
use crate::bind::Bind;
use crate::network::Network;
use crate::protocol::ListenerProtocol;
use crate::quantity::{Bytes, Lasts};
use crate::resolved::{BareLf, FieldMode, HostMode};
use crate::secret::FilePath;
use crate::server_name::BySni;
use crate::setting::{Place, settings};
use crate::value::{Choice, List, Name, Named, OneOrMore, OrOff, Whole, Word};
use crate::wording::quoted;

mod admin;
mod answer;
mod bounds;
mod client;
mod failure;
mod head;
mod limit;
mod log;
mod pool;
mod probe;
mod process;
mod protocol;
mod rebalance;
mod redirect;
mod route;
mod sticky;
mod webhook;

pub(crate) use admin::{Admin, Tls, Token};
pub(crate) use answer::{BasicAuth, Compress, ErrorPages, Respond};
pub(crate) use client::TrustedProxies;
pub(crate) use failure::{Eject, Retry, WarmUp};
pub(crate) use head::HeaderEdits;
pub(crate) use limit::Limit;
pub(crate) use log::{AccessLog, RequestId, Trace};
pub(crate) use pool::{KeepAlive, Pool, Server, ServerTable, ServerTimeouts, Unavailable};
pub(crate) use probe::Probe;
pub(crate) use process::Account;
pub(crate) use protocol::{
    CertPair, ClientCert, ClientHttp2, Hsts, ProxyFrom, ServerHttp2, ServerTls, ServerTlsTable, TlsOptions,
};
pub(crate) use redirect::{REDIRECT_STATUSES, Redirect, RedirectTable, RedirectTo};
pub(crate) use route::{Mirror, Route, RouteTimeouts};
pub(crate) use sticky::{HashBy, Sticky};
pub(crate) use webhook::Webhook;

/// The shortest limit on request targets: room for "/" and a short path.
const SHORTEST_TARGET: u64 = 16;
/// More threads than this serve no machine, and each costs memory.
const MOST_WORKERS: u64 = 1024;

settings! {
    /// The whole file.
    struct File, called whole_file {
        /// Worker threads, each with its own share of the connections.
        workers: Whole<1, MOST_WORKERS>, optional "the cores this process may use";
        /// Keeps each worker on one of the cores this process may use.
        pin_workers: bool, default false;
        /// Client connections at once of all listeners together, each of which has a `max_connections` of its own. Past
        /// it, new ones wait to be accepted, and those leave for them that are idle between two requests.
        max_connections: Whole<1, MOST_CLIENTS>, optional "half of what the limit on open files leaves";
        /// Whom to become once everything is bound, by name or number: for a start as root.
        user: Account, optional "who starts it";
        /// The group to become, by name or number.
        group: Account, optional "that of `user`";
        /// A file for the number of the process, which is locked while it runs.
        pid_file: FilePath, optional "none";
        /// How long a graceful stop waits for requests in flight before it breaks them off.
        shutdown_timeout: Lasts<0, DAY>, default "30s";
        /// The admin API, the dashboard and the metrics.
        admin: Admin, optional "none of them";
        /// One line for each request.
        access_log: AccessLog, optional "no log";
        /// Traces for OpenTelemetry.
        trace: Trace, optional "no traces";
        /// Whom to tell of events.
        webhook: Webhook, optional "nobody";
        /// Limits for each client, by name.
        limit: Named<Limit>, optional "none";
        /// Where clients connect, by name.
        listen: Named<Listener>, required "`[listen.web]` and below it `bind = \"127.0.0.1:8080\"` and `pool = \"app\"`";
        /// Sets of servers, by name. One is needed unless listeners only redirect or answer by themselves.
        pool: Named<Pool>, optional "none";
    }

    /// One place where clients connect.
    struct Listener, called listener {
        /// The addresses to listen on. A port alone, such as "8080", and "localhost:8080" are this machine only
        /// (127.0.0.1); "0.0.0.0:8080" is every IPv4 address of the machine, and "*:8080" or "[::]:8080" every
        /// address, IPv6 and IPv4. Port 0 leaves the choice to the system. `unix:/run/web.sock` is a Unix socket, from the
        /// folder of this file where its path does not begin with a slash.
        bind: OneOrMore<Bind>, required "`bind = \"127.0.0.1:8080\"`";
        /// What clients speak: "http" is HTTP/1 and HTTP/2, of which each request is balanced; "tcp" is anything, of
        /// which each connection is.
        protocol: Word<ListenerProtocol>, default "http";
        /// The pool that serves the requests or connections, but for requests that a route is for. Each listener has one,
        /// or `redirect`, `route` or `sni`.
        pool: Name, optional "none; with `route`, requests that no route is for get 404";
        /// Sends every request elsewhere, in place of a pool and but for those that a route is for: "https" is the same
        /// host and path by https, any other text an address with $variables.
        redirect: Redirect, optional "none";
        /// Ways through the listener, of which a request takes the first that it matches.
        route: List<Route>, optional "none";
        /// A pool for each name that clients ask for in the handshake of their TLS, which passes through as it is; only
        /// with `protocol = "tcp"`. "*.example.com" is every name right below it. `pool` is then for all other
        /// connections, which without it are closed.
        sni: BySni, optional "none";
        /// Serves this listener by TLS.
        tls: OneOrMore<CertPair>, optional "no TLS";
        /// How TLS is spoken with clients.
        tls_options: TlsOptions, default {};
        /// Asks clients for certificates of their own.
        client_cert: ClientCert, optional "none is asked for";
        /// `Strict-Transport-Security` on every answer over TLS: for how long browsers come by https alone, such as
        /// "365d", a table, or "off".
        hsts: Hsts, default "off";
        /// HTTP/2 with clients.
        http2: OrOff<ClientHttp2>, default {};
        /// Reads a PROXY header before all else of a connection.
        proxy_protocol: ProxyFrom, optional "none is read";
        /// The proxies in front of this listener, a list of addresses and networks or a table. When such a one asks, the client
        /// is the last address in its `X-Forwarded-For` that is not itself one of them. Nobody else is believed.
        trusted_proxies: TrustedProxies, optional "nobody";
        /// Client connections at once, all workers together. Past it, new ones wait to be accepted, and those leave for them
        /// that are idle between two requests, the one that was idle longest first.
        max_connections: Whole<1, MOST_CLIENTS>, default 20000;
        /// The largest request head. A larger one gets 431.
        max_head: Bytes<KIB, MIB>, default "16KiB";
        /// The longest request target, less than `max_head`. A longer one gets 414.
        max_target: Bytes<SHORTEST_TARGET, MIB>, default "8KiB";
        /// The largest request body. A larger one gets 413.
        max_body: Bytes<0, LARGEST_BODY>, optional "no limit";
        /// The limits for each client, by their names in `[limit]`: for its connections, and for its requests before those
        /// that their route names.
        limit: OneOrMore<Name>, optional "none";
        /// What becomes of the fields of requests, before what their route says.
        request_headers: HeaderEdits, optional "nothing";
        /// What becomes of the fields of answers, before what their route says. Also of those of Plimsoll itself, be it that
        /// no route is known: variables are empty where there is nothing to tell.
        response_headers: HeaderEdits, optional "nothing";
        /// The clients that are let in: addresses, networks such as "10.0.0.0/8", and "unix" for whoever comes by a Unix
        /// socket. All others get 403; where connections are balanced, they are closed.
        allow: OneOrMore<Network>, optional "all";
        /// More of them, in a file with one a line; `#` begins a comment. It is read again at each reload.
        allow_file: FilePath, optional "none";
        /// The clients that are not let in, though they may be among those allowed.
        deny: OneOrMore<Network>, optional "none";
        /// More of them, in a file.
        deny_file: FilePath, optional "none";
        /// Asks for a name and a password.
        basic_auth: OrOff<BasicAuth>, default "off";
        /// Pages for answers of Plimsoll itself: one for a status such as 502, or for a kind as in 5xx. Also for those where no
        /// route is known: 404 where there is none, and 400, 408, 414 and 431 for what is no request.
        errors: ErrorPages, optional "a line of text";
        /// Compresses answers: `true`, a table, or "off".
        compress: Compress, default "off";
        /// How long to wait for a client.
        timeout: ClientTimeouts, default {};
        /// How strictly HTTP/1 is read.
        http1: Http1, default {};
        /// What to tell the server about the client: for each field "set" (ours only), "append" (ours after the
        /// client's), "keep" (the client's as it came) or "off" (removed).
        forward: Forward, default {};
        /// Whether its requests are in the access log, if there is one.
        access_log: bool, default true;
        /// An id for each request, or "off" for none.
        request_id: OrOff<RequestId>, default "off";
    }

    /// How long to wait for a client.
    struct ClientTimeouts, called Place::nested {
        /// For the whole request head. A slower client gets 408.
        head: Lasts<MILLISECOND, DAY>, default "10s";
        /// The longest pause inside a body, either way. A call of gRPC may be quiet for `tunnel` in `timeout` of the
        /// pool, but its client must not leave what is there for it untaken for longer than this.
        body: Lasts<MILLISECOND, DAY>, default "60s";
        /// The longest pause between two requests on a connection.
        keep_alive: Lasts<MILLISECOND, DAY>, default "75s";
    }

    /// How strictly HTTP/1 is read.
    struct Http1, called Place::nested {
        /// A line of a request head that ends in LF alone instead of CRLF: "reject" answers 400, "accept" takes it.
        bare_lf: Word<BareLf>, default "reject";
    }

    /// What to tell the server about the client.
    struct Forward, called Place::nested {
        /// `X-Forwarded-For`: the client's address.
        x_forwarded_for: Word<FieldMode>, default "set";
        /// `X-Forwarded-Proto`: http or https.
        x_forwarded_proto: Word<FieldMode>, default "set";
        /// `X-Forwarded-Host`: the Host the client asked for.
        x_forwarded_host: Word<FieldMode>, default "set";
        /// `X-Forwarded-Port`: the port the client reached.
        x_forwarded_port: Word<FieldMode>, default "off";
        /// `X-Real-IP`: the client's address.
        x_real_ip: Word<FieldMode>, default "off";
        /// `Forwarded` (RFC 7239): the client's address, the protocol and the Host in one.
        forwarded: Word<FieldMode>, default "off";
        /// `Host`: "keep" sends what the client asked for, "server" the server's own host and port, and any other
        /// text is sent as it is.
        host: HostMode, default "keep";
    }
}

fn whole_file(_: &Place) -> String {
    "the file".to_owned()
}

fn listener(place: &Place) -> String {
    format!("listener {}", quoted(&place.key))
}

impl Choice for BareLf {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("reject", Self::Reject), ("accept", Self::Accept)]
    }
}

impl Choice for FieldMode {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("set", Self::Set), ("append", Self::Append), ("keep", Self::Keep), ("off", Self::Off)]
    }
}
