//! Every setting of the file: its type, bounds, default and meaning. The reader, the reference and the JSON schema
//! all come from what is declared here.

use plimsoll_core::{AdminState, PolicyKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::address::{Address, Bind};
use crate::quantity::{Bytes, Lasts};
use crate::reader::Reader;
use crate::resolved::{BareLf, FieldMode, HostMode};
use crate::setting::{Item, Place, Setting, Shape, settings};
use crate::value::{Choice, List, Name, Named, OneOrMore, Whole, Word};
use crate::wording::quoted;

// Bounds on durations, in milliseconds. None may be zero where that would refuse everyone, and none may outlast a
// day: what waits longer is a mistake of units.
const MILLISECOND: u64 = 1;
const SECOND: u64 = 1000;
const DAY: u64 = 24 * 3600 * SECOND;

// Bounds on heads. Below 1 KiB ordinary browsers are refused; a head is held in memory whole, so above 1 MiB a few
// thousand clients could fill it.
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The shortest limit on request targets: room for "/" and a short path.
const SHORTEST_TARGET: u64 = 16;
/// 1 TiB: above it a limit protects nothing, and is a slip of the keyboard.
const LARGEST_BODY: u64 = 1 << 40;
/// More threads than this serve no machine, and each costs memory.
const MOST_WORKERS: u64 = 1024;
/// Above what one machine can hold in sockets.
const MOST_CLIENTS: u64 = 10_000_000;
/// Idle connections are looked through one by one.
const MOST_IDLE: u64 = 65_535;
const LARGEST_U16: u64 = u16::MAX as u64;
const LARGEST_U32: u64 = u32::MAX as u64;

settings! {
    /// The whole file.
    struct File, called whole_file {
        /// Worker threads, each with its own share of the connections.
        workers: Whole<1, MOST_WORKERS>, optional "the cores this process may use";
        /// How long a graceful stop waits for requests in flight before it breaks them off.
        shutdown_timeout: Lasts<0, DAY>, default "30s";
        /// Where clients connect, by name.
        listen: Named<Listener>, required "`[listen.web]` and below it `bind = \"127.0.0.1:8080\"` and `pool = \"app\"`";
        /// Sets of servers, by name.
        pool: Named<Pool>, required "`[pool.app]` and below it `servers = [\"127.0.0.1:9001\"]`";
    }

    /// One place where clients connect.
    struct Listener, called listener {
        /// The addresses to listen on. A port alone, such as "8080", and "localhost:8080" are this machine only
        /// (127.0.0.1); "0.0.0.0:8080" is every IPv4 address of the machine, and "*:8080" or "[::]:8080" every
        /// address, IPv6 and IPv4. Port 0 leaves the choice to the system.
        bind: OneOrMore<Bind>, required "`bind = \"127.0.0.1:8080\"`";
        /// The pool that serves the requests.
        pool: Name, required "`pool = \"app\"`";
        /// Client connections at once, all workers together. Past it, new ones wait to be accepted.
        max_connections: Whole<1, MOST_CLIENTS>, default 20000;
        /// The largest request head. A larger one gets 431.
        max_head: Bytes<KIB, MIB>, default "16KiB";
        /// The longest request target, less than `max_head`. A longer one gets 414.
        max_target: Bytes<SHORTEST_TARGET, MIB>, default "8KiB";
        /// The largest request body. A larger one gets 413.
        max_body: Bytes<0, LARGEST_BODY>, optional "no limit";
        /// How long to wait for a client.
        timeout: ClientTimeouts, default {};
        /// How strictly HTTP/1 is read.
        http1: Http1, default {};
        /// What to tell the server about the client: for each field "set" (ours only), "append" (ours after the
        /// client's), "keep" (the client's as it came) or "off" (removed).
        forward: Forward, default {};
    }

    /// How long to wait for a client.
    struct ClientTimeouts, called Place::nested {
        /// For the whole request head. A slower client gets 408.
        head: Lasts<MILLISECOND, DAY>, default "10s";
        /// The longest pause inside a body, either way.
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

    /// A set of servers, and the rule by which one is picked for each request.
    struct Pool, called pool {
        /// The rule of the pick.
        policy: Word<PolicyKind>, default "least-connections";
        /// The servers. One that needs no settings is its address alone: "192.168.1.10:8080".
        servers: List<Server>, required "`servers = [\"127.0.0.1:9001\"]`";
        /// How long to wait for a server.
        timeout: ServerTimeouts, default {};
        /// How idle connections to the servers are kept for reuse.
        keep_alive: KeepAlive, default {};
        /// What a client is told when no server can take its request (503).
        unavailable: Unavailable, default {};
    }

    /// One server of a pool.
    struct ServerTable, called server {
        /// Its host and port. A name is looked up once, at the start.
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
        /// The longest quiet of a connection that has switched to another protocol, such as a WebSocket.
        tunnel: Lasts<MILLISECOND, DAY>, default "1h";
    }

    /// How idle connections to the servers are kept for reuse.
    struct KeepAlive, called Place::nested {
        /// How many, to each server by each worker. 0 keeps none.
        connections: Whole<0, MOST_IDLE>, default 128;
        /// How long an idle one is kept.
        timeout: Lasts<MILLISECOND, DAY>, default "60s";
    }

    /// What a client is told when no server can take its request (503).
    struct Unavailable, called Place::nested {
        /// `Retry-After`, in whole seconds.
        retry_after: Lasts<SECOND, DAY>, default "5s";
    }
}

fn whole_file(_: &Place) -> String {
    "the file".to_owned()
}

fn listener(place: &Place) -> String {
    format!("listener {}", quoted(&place.key))
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
