//! The settings of probes.

use std::net::IpAddr;

use plimsoll_core::Initial;

use super::{DAY, MIB, MILLISECOND};
use crate::address::HostText;
use crate::condition::Statuses;
use crate::http::{ByField, FieldValue, Method, Target, Text};
use crate::pattern::Regex;
use crate::quantity::{Bytes, Lasts};
use crate::setting::{Place, settings};
use crate::value::{Choice, OneOrMore, Whole, Word};

/// Above it a server would fall or rise hours late.
const MOST_RESULTS: u64 = 1000;
const LARGEST_PORT: u64 = u16::MAX as u64;

settings! {
    /// How the servers are asked whether they are well, or "off" for not at all. One of `http`, `tcp` and `expect`
    /// tells what is asked.
    struct Probe, called Place::nested {
        /// Sends an HTTP/1.1 request for this path.
        http: Target, optional "no HTTP";
        /// `true` only connects.
        tcp: bool, optional "more than that";
        /// Connects and sends this text. TOML's escapes tell what cannot be typed, such as "\r\n".
        send: Text, optional "nothing is sent";
        /// A regular expression that must match what comes back, read up to `body_limit`.
        expect: Regex, optional "nothing is expected";
        /// The method of the request.
        method: Method, default "GET";
        /// `Host` of the request.
        host: HostText, optional "the server's host and port";
        /// Further fields of the request.
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
        /// What a server counts as before its first result: "ready", or "down" until a probe passes.
        initial: Word<Initial>, default "ready";
    }
}

impl Choice for Initial {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("ready", Self::Ready), ("down", Self::Down)]
    }
}
