//! The settings of a pool and its servers.

use plimsoll_core::{AdminState, PolicyKind, WhenNone};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::bounds::{DAY, MILLISECOND, SECOND};
use super::failure::{Eject, Retry, WarmUp};
use super::probe::Probe;
use super::protocol::{ServerHttp2, ServerTls};
use super::rebalance::Rebalance;
use super::sticky::{Hash, Sticky};
use crate::address::Address;
use crate::page::PagePath;
use crate::pool::OnDown;
use crate::protocol::{ProxyVersion, ServerProtocol};
use crate::quantity::Lasts;
use crate::reader::Reader;
use crate::setting::{Item, Place, Setting, Shape, settings};
use crate::value::{Choice, List, Name, OrOff, Whole, Word};
use crate::wording::quoted;

/// Idle connections are looked through one by one.
const MOST_IDLE: u64 = 65_535;
/// The most that may wait: each holds a client connection open, and a machine holds few more of those.
const MOST_WAITING: u64 = 1_000_000;
const LARGEST_U16: u64 = u16::MAX as u64;
const LARGEST_U32: u64 = u32::MAX as u64;

settings! {
    /// A set of servers, and the rule by which one is picked for each request.
    struct Pool, called pool {
        /// The rule of the pick.
        policy: Word<PolicyKind>, default "least-connections";
        /// What the policy "hash" goes by.
        hash: Hash, optional "the client's address";
        /// Keeps a client at the server that it had before: a table, or "off".
        sticky: OrOff<Sticky>, default "off";
        /// The servers. One that needs no settings is its address alone: "192.168.1.10:8080".
        servers: List<Server>, required "`servers = [\"127.0.0.1:9001\"]`";
        /// What is spoken with the servers: "http1", or "http2" as gRPC needs it. By TLS it is agreed on by ALPN.
        protocol: Word<ServerProtocol>, default "http1";
        /// HTTP/2 with the servers.
        http2: ServerHttp2, default {};
        /// TLS with the servers: `true`, or a table. They must have certificates that hold.
        tls: ServerTls, default false;
        /// The PROXY header that connections to the servers begin with, which tells who the client is: "v1", "v2" or
        /// "off". Such connections are not shared between clients.
        send_proxy: Word<Option<ProxyVersion>>, default "off";
        /// How long to wait for a server.
        timeout: ServerTimeouts, default {};
        /// How idle connections to the servers are kept for reuse.
        keep_alive: KeepAlive, default {};
        /// What to do when servers are ready but all of them are down or ejected: "refuse" the request, or "try-all" of
        /// them as if they were up.
        when_none: Word<WhenNone>, default "refuse";
        /// Lets a failure that came fast count as in flight for as long as requests to the pool usually take, so that
        /// a broken server is not the least busy.
        black_hole_guard: bool, default true;
        /// What becomes of requests in flight on a server that goes down or is ejected: "keep" lets them go on,
        /// "close" breaks them off.
        on_down: Word<OnDown>, default "keep";
        /// How a server that is new or recovered is brought in: the time it takes, a table, or "off" for its whole share
        /// at once. Where all are new, none is held back.
        warm_up: WarmUp, default "10s";
        /// How the servers are asked whether they are well: a table with one of `http`, `grpc`, `tcp` and `expect`.
        probe: OrOff<Probe>, default "off";
        /// When a server that fails requests is left out for a while.
        eject: OrOff<Eject>, default {};
        /// When a request that failed is tried again, on another server if there is one.
        retry: OrOff<Retry>, default {};
        /// When connections that live long, such as a WebSocket and those of a listener with `protocol = "tcp"`, are closed so
        /// that they spread over servers that joined: a table, in which `{}` is all defaults, or "off".
        rebalance: OrOff<Rebalance>, default "off";
        /// Who may wait when all servers have their `max_connections`. Without a queue nobody does.
        queue: OrOff<Queue>, default "off";
        /// What a client is told when no server can take its request.
        unavailable: Unavailable, default {};
    }

    /// One server of a pool.
    struct ServerTable, called server {
        /// Its host and port. A name is looked up once, at the start. `unix:/run/app.sock` is a Unix socket, from the folder
        /// of this file where its path does not begin with a slash.
        address: Address, required "`address = \"127.0.0.1:9001\"`";
        /// What it is called in logs and tables; no two in a pool may be called the same.
        name: Name, optional "its address";
        /// Its share of the load: twice the weight, twice the requests in flight. 0 takes nothing new.
        weight: Whole<0, LARGEST_U16>, default 1;
        /// The most requests it carries at once.
        max_connections: Whole<1, LARGEST_U32>, optional "no limit";
        /// Whether it is used only when no server that is not a backup can be.
        backup: bool, default false;
        /// "ready" takes requests, "drain" finishes what it has, "down" is not used.
        state: Word<AdminState>, default "ready";
    }

    /// How long to wait for a server.
    struct ServerTimeouts, called Place::nested {
        /// For a connection to it.
        connect: Lasts<MILLISECOND, DAY>, default "5s";
        /// From the end of the request to the first byte of the response.
        first_byte: Lasts<MILLISECOND, DAY>, default "60s";
        /// The longest pause inside a response.
        idle: Lasts<MILLISECOND, DAY>, default "60s";
        /// The longest quiet of a connection that has switched to another protocol, such as a WebSocket, and of one that
        /// came by a listener with `protocol = "tcp"`; and of a gRPC call, for which `first_byte` and `idle` do not hold,
        /// as streams may have nothing to say for long. Beside this it is the client's own deadline that ends a call.
        tunnel: Lasts<MILLISECOND, DAY>, default "1h";
    }

    /// How idle connections to the servers are kept for reuse.
    struct KeepAlive, called Place::nested {
        /// How many, to each server by each worker. 0 keeps none.
        connections: Whole<0, MOST_IDLE>, default 128;
        /// How long an idle one is kept.
        timeout: Lasts<MILLISECOND, DAY>, default "60s";
    }

    /// Who may wait when all servers have their `max_connections`: first come, first served.
    struct Queue, called Place::nested {
        /// How many requests at once.
        limit: Whole<1, MOST_WAITING>, default 1000;
        /// For how long.
        timeout: Lasts<MILLISECOND, DAY>, default "5s";
    }

    /// What a client is told when no server can take its request.
    struct Unavailable, called Place::nested {
        /// The status.
        status: Whole<400, 599>, default 503;
        /// `Retry-After`, in whole seconds.
        retry_after: Lasts<SECOND, DAY>, default "5s";
        /// A file that is sent as the body, from the folder of this file where its path does not begin with a slash;
        /// 1 MiB at most. The end of its name tells what it is, ".html" for instance. It is read with the configuration.
        page: PagePath, optional "a line of text";
        /// A pool that the request goes to instead. If that cannot serve it either, its own `unavailable` answers.
        fallback: Name, optional "none";
        /// Whether the field `Plimsoll-Reason` of the answer tells why.
        reason_header: bool, default false;
    }
}

fn pool(place: &Place) -> String {
    format!("pool {}", quoted(&place.key))
}

fn server(place: &Place) -> String {
    format!("a server of {}", place.within)
}

/// One server of a pool: a table, or its address alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server(pub(crate) ServerTable);

impl Setting for Server {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            DeValue::String(_) => {
                let key = Spanned::new(item.span(), "address".into());
                let entries = DeTable::from_iter([(key, item.clone())]);
                ServerTable::read_entries(&entries, item.span(), place, reader).map(Self)
            }
            DeValue::Table(_) => ServerTable::read(item, place, reader).map(Self),
            _ => reader.unfit(item, place, "write its address, such as \"127.0.0.1:9001\""),
        }
    }

    fn shape() -> Shape {
        let (address, table) = (Address::shape(), ServerTable::shape());
        Shape {
            expects: format!("{} or a table", address.expects),
            schema: serde_json::json!({ "anyOf": [address.schema, table.schema] }),
            table: table.table,
        }
    }
}

impl Choice for PolicyKind {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|kind| (kind.name(), kind)).to_vec()
    }
}

impl Choice for AdminState {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|state| (state.name(), state)).to_vec()
    }
}

impl Choice for WhenNone {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("refuse", Self::Refuse), ("try-all", Self::TryAll)]
    }
}

impl Choice for OnDown {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("keep", Self::Keep), ("close", Self::Close)]
    }
}
