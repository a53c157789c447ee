//! The settings of how long-lived connections are spread anew.

use super::bounds::{DAY, MOST_CLIENTS};
use crate::quantity::{Lasts, Rate};
use crate::setting::{Place, settings};
use crate::value::Whole;

/// What is quiet for less is between two packets.
const SHORTEST_QUIET: u64 = 100;

settings! {
    /// Closes long-lived connections, so that they spread over servers that joined or came back: a WebSocket gets a close
    /// frame 1012 (service restart) between two messages, HTTP/2 that came by a listener with `protocol = "tcp"` a GOAWAY,
    /// and all others end while nothing is said. The oldest go first, and no more than is needed; clients are expected to
    /// connect again, and must then be sent to the least busy server: so the policy is "least-connections" or
    /// "shortest-expected-delay", and there is no `sticky`. What servers have in flight beside them, such as requests, streams
    /// and connections that were open before this was switched on, is left alone and counts.
    struct Rebalance, called Place::nested {
        /// Servers may be so far apart by what they have in flight, scaled by their weights, before anything is closed.
        spread: Whole<1, MOST_CLIENTS>, default 1;
        /// The most that are closed, evenly over the time: "10/s", "100/min".
        budget: Rate, default "10/s";
        /// What has been quiet for so long looks idle; what has not is left alone.
        idle: Lasts<SHORTEST_QUIET, DAY>, default "1s";
        /// For how long servers must have been apart before anything is closed, which is then no more than was needed at
        /// every moment of it, and the longest wait for those that were closed to come back.
        settle: Lasts<0, DAY>, default "5s";
    }
}
