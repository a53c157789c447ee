//! The settings of the access log, of request ids and of traces.

use super::bounds::{KIB, MIB};
use crate::log::{Endpoint, FieldName, LogFormat, LogTarget};
use crate::quantity::{Bytes, Share};
use crate::resolved::FromClient;
use crate::setting::{Place, settings};
use crate::value::{Choice, Name, Word};

// Bounds on what waits for the writer. Below 64 KiB a burst of a millisecond is dropped; above 1 GiB it is memory that
// requests need.
const LEAST_BUFFER: u64 = 64 * KIB;
const MOST_BUFFER: u64 = 1024 * MIB;

settings! {
    /// One line for each request, written once the client has its answer. Without this table there is none.
    struct AccessLog, called Place::nested {
        /// Where the lines go: "syslog" is the daemon of this machine (/dev/log), `syslog://10.0.0.5:514` one on the
        /// network (UDP, RFC 5424), `syslog:/run/log.sock` another socket. Anything with a slash or a dot is a file, from
        /// the folder of this file where its path does not begin with a slash. A file is opened again on USR1, and
        /// within a second of being moved away.
        to: LogTarget, default "stdout";
        /// How a line looks: "json", "common", "combined", or a text with variables, such as
        /// `$client_ip "$request" $status $duration_ms $pool/$server`. What clients send is escaped in all of them.
        format: LogFormat, default "json";
        /// The share of requests that are logged. Those that a server or Plimsoll failed (statuses from 500, broken
        /// connections, timeouts) are logged in any case.
        sample: Share<0, 100>, default "100%";
        /// Lines that wait for a slow reader or disk. Beyond it lines are dropped and counted; no request waits.
        buffer: Bytes<LEAST_BUFFER, MOST_BUFFER>, default "4MiB";
    }

    /// Traces for OpenTelemetry. Without this table there are none, and the fields of traces pass through untouched.
    struct Trace, called Place::nested {
        /// Where spans are sent, by OTLP over HTTP with protobuf.
        endpoint: Endpoint, default "http://127.0.0.1:4318/v1/traces";
        /// The share of requests traced, among those that come without a `traceparent`. One that comes with it is traced
        /// if that says so.
        sample: Share<0, 100>, default "1%";
        /// What the spans call this service.
        service_name: Name, default "plimsoll";
    }

    /// An id for each request, for finding it in the logs of all that had to do with it.
    struct RequestId, called Place::nested {
        /// The field that carries it to the server.
        header: FieldName, default "X-Request-Id";
        /// What becomes of an id that the client sends: "accept" keeps it if it is at most 128 visible ASCII characters,
        /// "replace" makes one for every request.
        from_client: Word<FromClient>, default "accept";
        /// Whether the answer tells it too.
        to_client: bool, default true;
    }
}

impl Choice for FromClient {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("accept", Self::Accept), ("replace", Self::Replace)]
    }
}
