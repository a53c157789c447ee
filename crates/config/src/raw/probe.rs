//! The settings of probes.

use std::net::IpAddr;

use plimsoll_core::Initial;

use super::bounds::{DAY, MIB, MILLISECOND};
use crate::address::HostText;
use crate::condition::Statuses;
use crate::http::{ByField, FieldValue, GrpcService, Method, Target, Text};
use crate::pattern::Regex;
use crate::quantity::{Bytes, Lasts};
use crate::setting::{Place, settings};
use crate::value::{Choice, OneOrMore, Whole, Word};

/// Above it a server would fall or rise hours late.
const MOST_RESULTS: u64 = 1000;
const LARGEST_PORT: u64 = u16::MAX as u64;

settings! {
    /// How the servers are asked whether they are well, or "off" for not at all. One of `http`, `grpc`, `tcp` and
    /// `expect` tells what is asked.
    struct Probe, called Place::nested {
        /// Sends a request for this path, in the pool's `protocol`.
        http: Target, optional "none";
        /// Asks by the standard health check of gRPC (grpc.health.v1) for this service; "" is the server as a whole. Only
        /// with `protocol = "http2"`.
        grpc: GrpcService, optional "none";
        /// `true` only connects.
        tcp: bool, optional "no";
        /// Connects and sends this text, in UTF-8. TOML's escapes tell what cannot be typed, such as "\r\n".
        send: Text, optional "nothing is sent";
        /// A regular expression that must match what comes back, read up to `body_limit`.
        expect: Regex, optional "nothing is expected";
        /// The method of the request.
        method: Method, default "GET";
        /// `Host` of the request, by gRPC `:authority`.
        host: HostText, optional "the server's host and port";
        /// Further fields of the request, but for those that tell its host, its length and what becomes of its connection.
        headers: ByField<FieldValue>, optional "none";
        /// The statuses that pass: one or a list, each as a number, as "2xx" or as "200-399".
        status: OneOrMore<Statuses<200>>, default ["200-399"];
        /// Fields that the answer must have, each with a regular expression that must match its value.
        header: ByField<Regex>, optional "none";
        /// A regular expression that must match the answer's body, read up to `body_limit`.
        body: Regex, optional "any body passes";
        /// How much is read to look for `body` or `expect`.
        body_limit: Bytes<1, MIB>, default "64KiB";
        /// From one probe of a server to the next.
        interval: Lasts<MILLISECOND, DAY>, default "5s";
        /// The same while the server is down.
        interval_down: Lasts<MILLISECOND, DAY>, optional "the smaller of `interval` and 1s";
        /// For the whole probe, connecting included. It may be longer than `interval`: a server has one probe at a time.
        timeout: Lasts<MILLISECOND, DAY>, default "2s";
        /// Probes that must fail one after the other to take a server down.
        fall: Whole<1, MOST_RESULTS>, default 3;
        /// Probes that must pass one after the other to bring it up.
        rise: Whole<1, MOST_RESULTS>, default 2;
        /// The port to probe.
        port: Whole<1, LARGEST_PORT>, optional "the server's";
        /// The IP address to probe.
        address: IpAddr, optional "the server's";
        /// Whether the probe goes by the TLS of the pool. With `tcp = true` it then waits for the handshake.
        tls: bool, optional "whether the pool has `tls`; for `tcp` false";
        /// Whether a PROXY header comes first, in the version of the pool's `send_proxy`. It tells of no client.
        send_proxy: bool, default false;
        /// What a server counts as before its first result: "ready", or "down" until a probe passes.
        initial: Word<Initial>, default "ready";
    }
}

impl Choice for Initial {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("ready", Self::Ready), ("down", Self::Down)]
    }
}
