//! The settings of routes.

use serde_json::json;
use toml::de::DeValue;

use super::answer::{BasicAuth, Compress, ErrorPages, Respond};
use super::bounds::{DAY, LARGEST_BODY, MIB, MILLISECOND};
use super::failure::Retry;
use super::head::HeaderEdits;
use super::redirect::Redirect;
use crate::http::{ByField, Method};
use crate::network::Network;
use crate::quantity::{Bytes, Lasts, Share};
use crate::reader::Reader;
use crate::route::HostPattern;
use crate::route::written::{ByParameter, PathTest, Segments, ValueTest};
use crate::secret::FilePath;
use crate::setting::{Field, Item, Place, Setting, Shape, settings};
use crate::value::{Name, OFF, OneOrMore, OrOff, Whole, off_help};

/// A finer split than one in a million nobody can measure.
const MOST_WEIGHT: u64 = 1_000_000;
/// Bodies that are copied are held in memory whole.
const LARGEST_COPY: u64 = 16 * MIB;
/// Each copy holds a connection and its body.
const MOST_COPIES: u64 = 10_000;
/// The most pools that one route splits its requests between.
const MOST_SHARES: usize = 100;

settings! {
    /// One way through a listener: the requests it is for, what they come to, and its rules. A request takes the first
    /// route of which it meets all of `host`, `path`, `method`, `header`, `query` and `client`. One of `pool`, `split`,
    /// `redirect` and `respond` says what becomes of it.
    struct Route, called route {
        /// What logs and metrics call it; no two of a listener may be called the same.
        name: Name, optional "\"route 1\", \"route 2\" and so on, by its place in the list";
        /// The hosts that are asked for, without a port. "*.example.com" is every name below this one.
        host: OneOrMore<HostPattern>, optional "any";
        /// The path: a text such as "/v1" is for this path and all below it, by whole segments; a table is
        /// `{ exact = "/login" }`, `{ prefix = "/v1", ignore_case = true }` or `{ regex = '^/u/\d+$' }`. Requests are
        /// compared by their path without dot segments, double slashes and needless per cent signs. Capitals, and parameters such
        /// as `;x=1`, are part of it.
        path: OneOrMore<PathTest>, optional "any";
        /// The method. "GET" is for HEAD too.
        method: OneOrMore<Method>, optional "any";
        /// Fields of the request, all of which must be met: a text is the whole value, `true` any value, `false` that the
        /// field is not there, and `{ regex = '…' }` an expression that is found in the value.
        header: ByField<ValueTest>, optional "any";
        /// Parameters of the query, in the same way.
        query: ByParameter, optional "any";
        /// The client's address or network.
        client: OneOrMore<Network>, optional "any";
        /// The pool that serves the requests.
        pool: Name, optional "none";
        /// Several pools in place of one, each with its weight: `{ app = 95, canary = 5 }`. Weight 0 is for nobody new, while
        /// clients that have the cookie of that pool stay with it. A pool none of whose servers takes requests gives way to
        /// the others, unless it has an `unavailable = { fallback = … }`, which comes before them.
        split: Split, optional "none";
        /// Sends the requests elsewhere, in place of a pool.
        redirect: Redirect, optional "none";
        /// Answers the requests without a server, in place of a pool.
        respond: Respond, optional "none";
        /// Cut from the front of the path before the request is forwarded, or sent elsewhere by `$path` or `$target` of its
        /// `redirect`. What servers say of paths, as in `Location` and in cookies, is left as it is.
        strip_prefix: Segments, optional "nothing";
        /// Put before the path after that.
        add_prefix: Segments, optional "nothing";
        /// What becomes of the fields of requests, after what the listener says.
        request_headers: HeaderEdits, optional "nothing";
        /// What becomes of the fields of answers, after what the listener says.
        response_headers: HeaderEdits, optional "nothing";
        /// How long to wait for a server, in place of what the pool says.
        timeout: RouteTimeouts, optional "the pool's";
        /// When a request that failed is tried again, in place of what the pool says, or "off" for never. The `budget`
        /// stays that of the pool.
        retry: OrOff<Retry>, optional "the pool's";
        /// The largest request body, or "off" for no limit. A larger one gets 413.
        max_body: MaxBody, optional "the listener's";
        /// The limits for requests of each client, by their names in `[limit]`, beside those of the listener.
        limit: OneOrMore<Name>, optional "none";
        /// The clients that are let in: addresses, networks, and "unix" for whoever comes by a Unix socket. All others get
        /// 403. What the listener says holds too.
        allow: OneOrMore<Network>, optional "all";
        /// More of them, in a file with one a line; `#` begins a comment. It is read again at each reload.
        allow_file: FilePath, optional "none";
        /// The clients that are not let in, though they may be among those allowed.
        deny: OneOrMore<Network>, optional "none";
        /// More of them, in a file.
        deny_file: FilePath, optional "none";
        /// Asks for a name and a password, or "off" where the listener does.
        basic_auth: OrOff<BasicAuth>, optional "the listener's";
        /// Pages for answers of Plimsoll itself, before those of the listener.
        errors: ErrorPages, optional "the listener's";
        /// Sends copies of requests to another pool, whose answers nobody gets.
        mirror: Mirror, optional "none";
        /// Compresses answers: `true`, a table, or "off".
        compress: Compress, optional "the listener's";
    }

    /// How long to wait for a server. What is not set is as the pool says.
    struct RouteTimeouts, called Place::nested {
        /// For a connection to it.
        connect: Lasts<MILLISECOND, DAY>, optional "the pool's";
        /// From the end of the request to the first byte of the response.
        first_byte: Lasts<MILLISECOND, DAY>, optional "the pool's";
        /// The longest pause inside a response.
        idle: Lasts<MILLISECOND, DAY>, optional "the pool's";
        /// The longest quiet of a connection that has switched to another protocol, and of a gRPC call.
        tunnel: Lasts<MILLISECOND, DAY>, optional "the pool's";
    }

    /// Copies of requests to another pool. They never delay a request: where one cannot be made at once, none is.
    struct Mirror, called Place::nested {
        /// The pool that gets them.
        pool: Name, required "`pool = \"shadow\"`";
        /// The share of requests that are copied.
        sample: Share<1, 100>, default "100%";
        /// The largest body that is copied. A request with a larger one is not.
        max_body: Bytes<0, LARGEST_COPY>, default "64KiB";
        /// Copies under way at once, in each worker. Beyond it none is made.
        limit: Whole<1, MOST_COPIES>, default 100;
    }
}

impl Route {
    /// Every pool that it names.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &Field<Name>> {
        let shares = self.split.iter().flat_map(|split| &split.value.0).map(|(pool, _)| pool);
        let mirror = self.mirror.as_ref().map(|mirror| &mirror.value.pool);
        self.pool.iter().chain(shares).chain(mirror)
    }
}

fn route(place: &Place) -> String {
    format!("a route of {}", place.within)
}

/// The weight of a pool in a split: 0 is for nobody new.
type Weight = Whole<0, MOST_WEIGHT>;

/// What to write where a weight is a share of a hundred, or a part of one.
fn weight_help(item: &Item<'_>) -> Option<String> {
    const FINER: &str = "weights are whole numbers that count against each other: \
                         `{ app = 995, canary = 5 }` is half a per cent for `canary`";
    let share = match item.get_ref() {
        DeValue::String(text) => text.strip_suffix('%')?.trim(),
        DeValue::Float(_) => return Some(FINER.to_owned()),
        _ => return None,
    };
    let whole = share.parse::<u64>().is_ok();
    whole.then(|| format!("write {share}: weights count against each other")).or_else(|| Some(FINER.to_owned()))
}

/// Pools and their weights, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Split(pub(crate) Vec<(Field<Name>, u32)>);

impl Setting for Split {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        const HELP: &str = "write `split = { app = 95, canary = 5 }`";
        let Some(entries) = item.get_ref().as_table() else {
            return reader.unfit(item, place, HELP);
        };
        if entries.is_empty() {
            return reader.wrong(item, place, "is empty", HELP);
        }
        if entries.len() > MOST_SHARES {
            return reader.wrong(item, place, &format!("has more than {MOST_SHARES} pools"), "");
        }
        let mut read = Vec::new();
        for (key, weight) in entries {
            let name = Name(key.get_ref().as_ref().to_owned());
            let inner = Place { key: name.0.clone(), within: place.nested() };
            let weight = match weight_help(weight) {
                Some(help) => reader.unfit::<Weight>(weight, &inner, help),
                None => Weight::read(weight, &inner, reader),
            };
            if let Some(weight) = weight {
                read.push((Field { value: name, span: key.span(), given: true }, weight.0 as u32));
            }
        }
        if read.len() == entries.len() && read.iter().all(|(_, weight)| *weight == 0) {
            let what = "leads to no pool, as each has weight 0";
            return reader.wrong(item, place, what, "give one of them a weight above 0");
        }
        read.sort_by_key(|(name, _)| name.span.start);
        Some(Self(read))
    }

    fn shape() -> Shape {
        let weight = Weight::shape();
        Shape {
            expects: format!("a table of pools, each with {}", weight.expects),
            schema: json!({ "type": "object", "additionalProperties": weight.schema, "minProperties": 2 }),
            table: None,
        }
    }
}

/// The largest request body, in bytes; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MaxBody(pub(crate) Option<u64>);

impl Setting for MaxBody {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            DeValue::String(word) if word == OFF => Some(Self(None)),
            _ => match off_help(item, place) {
                Some(help) => reader.unfit(item, place, help),
                None => Bytes::<0, LARGEST_BODY>::read(item, place, reader).map(|bytes| Self(Some(bytes.0))),
            },
        }
    }

    fn shape() -> Shape {
        let size = Bytes::<0, LARGEST_BODY>::shape();
        Shape {
            expects: format!("{} or \"{OFF}\"", size.expects),
            schema: json!({ "anyOf": [size.schema, { "enum": [OFF] }] }),
            table: None,
        }
    }
}
