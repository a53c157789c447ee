//! The settings of what is spoken with clients and servers: TLS, HTTP/2, the PROXY protocol.

use serde_json::json;
use toml::de::{DeTable, DeValue};

use super::bounds::{DAY, KIB, MIB, MILLISECOND, SECOND};
use crate::network::Network;
use crate::protocol::{ListenerProtocol, ProxyVersion, ServerProtocol, TlsVersion, UnknownServerName};
use crate::quantity::{Bytes, Lasts, LastsOrOff, Seconds};
use crate::reader::Reader;
use crate::secret::FilePath;
use crate::server_name::ProvenName;
use crate::setting::{Field, Item, Place, Setting, Shape, settings};
use crate::value::{Choice, OFF, OneOrMore, Whole, Word, off_help};

/// Beyond it one connection is a flood.
const MOST_STREAMS: u64 = 10_000;
/// Fewer resets are those of an ordinary browser that leaves a page.
const LEAST_RESETS: u64 = 10;
const MOST_RESETS: u64 = 1_000_000;
/// The window that HTTP/2 itself begins with (RFC 9113, section 6.9.2), nearly; a smaller one only slows uploads down.
const LEAST_WINDOW: u64 = 64 * KIB;
/// Above it one stream holds more memory than a fast path across the world needs.
const LARGEST_WINDOW: u64 = 16 * MIB;
const LARGEST_CONNECTION_WINDOW: u64 = 256 * MIB;
/// Three years, in seconds. Lists of browsers ask for one, and the longest in use are two.
const LONGEST_HSTS: u64 = 3 * 365 * 24 * 3600;

settings! {
    /// A certificate, its key, and what proves that it is not revoked. Of several the name that a client asks for chooses,
    /// and the first is for all other clients.
    struct CertPair, called Place::nested {
        /// The certificate, then those that lead to a known one, in PEM.
        cert: FilePath, required "`cert = \"site.pem\"`";
        /// Its private key, in PEM.
        key: FilePath, required "`key = \"site.key\"`";
        /// The OCSP response to staple, in DER, as `openssl ocsp -respout` writes it.
        ocsp: FilePath, optional "none is stapled";
    }

    /// How TLS is spoken with clients.
    struct TlsOptions, called Place::nested {
        /// The oldest version of TLS: "1.2" or "1.3".
        min_version: Word<TlsVersion>, default "1.2";
        /// Whether clients may resume sessions by tickets, which saves most of a handshake.
        session_tickets: bool, default true;
        /// What becomes of a client that asks for a name that no certificate has: "default" gives it the first
        /// certificate, "refuse" ends the handshake.
        unknown_name: Word<UnknownServerName>, default "default";
        /// For the whole handshake.
        timeout: Lasts<MILLISECOND, DAY>, default "10s";
    }

    /// Certificates of clients.
    struct ClientCert, called Place::nested {
        /// The authorities that are believed, in PEM.
        ca: FilePath, required "`ca = \"clients.pem\"`";
        /// Whether a client without a certificate is refused. One with a certificate that does not hold always is.
        required: bool, default true;
    }

    /// `Strict-Transport-Security` on every answer over TLS: browsers then come by https alone for this long.
    struct HstsTable, called Place::nested {
        /// For how long, also in days: "365d". "0s" makes browsers forget it.
        max_age: Seconds<0, LONGEST_HSTS>, default "365d";
        /// Whether this holds for all subdomains too.
        include_subdomains: bool, default false;
        /// Whether browsers may ship it, which needs `include_subdomains` and 365 days, and is hard to undo.
        preload: bool, default false;
    }

    /// HTTP/2 with clients, or "off" for HTTP/1 alone. It is agreed on by ALPN over TLS, and by its preface without.
    struct ClientHttp2, called Place::nested {
        /// Requests at once on a connection.
        max_streams: Whole<1, MOST_STREAMS>, default 128;
        /// Requests that a client may open and reset within ten seconds. Beyond it the connection is closed.
        max_resets: Whole<LEAST_RESETS, MOST_RESETS>, default 200;
        /// How much of a request's body may be on the way to us and not yet passed on.
        stream_window: Bytes<LEAST_WINDOW, LARGEST_WINDOW>, default "256KiB";
        /// The same for all requests of a connection; at least `stream_window`.
        connection_window: Bytes<LEAST_WINDOW, LARGEST_CONNECTION_WINDOW>, default "1MiB";
        /// How often a quiet client is asked whether it is still there, or "off".
        ping: LastsOrOff<SECOND, DAY>, default "30s";
        /// How long a connection lives, up to a tenth more or less, or "off" for ever.
        max_age: LastsOrOff<SECOND, DAY>, default "off";
    }

    /// Reads a PROXY header (version 1 or 2) before all else of a connection: who the client is, as told by a balancer in
    /// front.
    struct ProxyFrom, called Place::nested {
        /// Who may and must send one: addresses, networks such as "10.0.0.0/8", and "unix" for whoever comes by a Unix
        /// socket. Connections from elsewhere are refused.
        from: OneOrMore<Network>, required "`from = [\"10.0.0.0/8\"]`";
        /// For the whole header.
        timeout: Lasts<MILLISECOND, DAY>, default "5s";
    }

    /// HTTP/2 with servers, where `protocol` is "http2".
    struct ServerHttp2, called Place::nested {
        /// Requests at once on a connection, where the server allows as many. Beyond it another is opened.
        max_streams: Whole<1, MOST_STREAMS>, default 128;
        /// How often a quiet server is asked whether it is still there, or "off".
        ping: LastsOrOff<SECOND, DAY>, default "30s";
        /// How long a connection takes new requests, up to a tenth more or less, or "off" for ever.
        max_age: LastsOrOff<SECOND, DAY>, default "off";
    }

    /// TLS with servers.
    struct ServerTlsTable, called Place::nested {
        /// The name a server must prove, and is asked for (SNI).
        server_name: ProvenName, optional "its host";
        /// The authorities that are believed, in PEM.
        ca: FilePath, optional "those of the system";
        /// What we show to servers that ask for a certificate, in PEM, with `key`.
        cert: FilePath, optional "none";
        /// Its private key, in PEM.
        key: FilePath, optional "none";
        /// Believes any server, so that anyone on the way can read and change what is sent.
        danger_accept_any_certificate: bool, default false;
    }
}

/// `Strict-Transport-Security`; `None` is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hsts(pub(crate) Option<HstsTable>);

impl Setting for Hsts {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        const HELP: &str = "write `hsts = \"365d\"`";
        match item.get_ref() {
            DeValue::Table(_) => HstsTable::read(item, place, reader).map(|table| Self(Some(table))),
            DeValue::String(word) if word == OFF => Some(Self(None)),
            DeValue::String(_) | DeValue::Integer(_) => match Seconds::parse(item) {
                Ok(max_age) => {
                    let mut table = HstsTable::read_entries(&DeTable::new(), item.span(), place, reader)?;
                    table.max_age = Field { value: max_age, span: item.span(), given: true };
                    Some(Self(Some(table)))
                }
                Err(help) => reader.unfit(item, place, off_help(item, place).unwrap_or(help)),
            },
            _ => reader.unfit(item, place, off_help(item, place).unwrap_or_else(|| HELP.to_owned())),
        }
    }

    fn shape() -> Shape {
        let (time, table) = (Seconds::<0, LONGEST_HSTS>::shape(), HstsTable::shape());
        Shape {
            expects: format!("{}, a table or \"{OFF}\"", time.expects),
            schema: json!({ "anyOf": [time.schema, table.schema, { "enum": [OFF] }] }),
            table: table.table,
        }
    }
}

/// TLS with servers: a table, `true` for one in which nothing is set, or `None` for `false`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerTls(pub(crate) Option<ServerTlsTable>);

impl Setting for ServerTls {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let nothing = DeTable::new();
        match item.get_ref() {
            DeValue::Table(_) => ServerTlsTable::read(item, place, reader).map(|table| Self(Some(table))),
            DeValue::Boolean(false) => Some(Self(None)),
            DeValue::Boolean(true) => {
                ServerTlsTable::read_entries(&nothing, item.span(), place, reader).map(|table| Self(Some(table)))
            }
            DeValue::String(word) if word == OFF => reader.unfit(item, place, "write `tls = false`"),
            _ => reader.unfit(item, place, "write `tls = true`"),
        }
    }

    fn shape() -> Shape {
        let (word, table) = (bool::shape(), ServerTlsTable::shape());
        Shape {
            expects: format!("{} or {}", word.expects, table.expects),
            schema: json!({ "anyOf": [word.schema, table.schema] }),
            table: table.table,
        }
    }
}

impl Choice for ListenerProtocol {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("http", Self::Http), ("tcp", Self::Tcp)]
    }
}

impl Choice for ServerProtocol {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("http1", Self::Http1), ("http2", Self::Http2)]
    }
}

impl Choice for TlsVersion {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("1.2", Self::V1_2), ("1.3", Self::V1_3)]
    }
}

impl Choice for UnknownServerName {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("default", Self::Default), ("refuse", Self::Refuse)]
    }
}

/// `None` is no header.
impl Choice for Option<ProxyVersion> {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("v1", Some(ProxyVersion::V1)), ("v2", Some(ProxyVersion::V2)), (OFF, None)]
    }
}
