//! Plimsoll's configuration: text to raw to resolved, with diagnostics.
//!
//! [`load`] reads a file, [`parse`] a text, and [`Config::quick`] the arguments of a command line. Each gives a
//! [`Config`] in which every default is filled in and every rule holds, or [`Diagnostics`]: everything that is wrong,
//! each with its line and what to write instead. [`reference()`] and [`schema`] tell what can be written.
//!
//! Inside, `raw` declares each setting once; `setting`, `entries` and `reader` are the machinery that a declaration becomes;
//! `value`, `quantity`, `address`, `bind` (which share `address_text`), `network`, `server_name`, `webhook`, `condition`,
//! `http`, `log`, `pattern`, `template`, `secret`, `users` and `page` are the types a setting can have; `resolve` checks what
//! no setting can know alone. `route` tells of a request whether a route is for it; `process` holds what only the program can
//! judge. Nothing here looks up a name, opens a socket or asks the time, and the disk is touched only where a configuration
//! names a file beside it (`files`), and to see whether the folder of a log or a socket is there; the environment only for a
//! token.

mod address;
mod address_text;
mod bind;
mod condition;
mod diagnostic;
mod document;
mod entries;
mod exposed;
mod files;
mod http;
mod limit;
mod log;
mod network;
mod page;
mod pattern;
mod pool;
mod probe;
mod process;
mod protocol;
mod quantity;
mod quick;
mod raw;
mod reader;
mod resolve;
mod resolved;
mod route;
mod secret;
mod server_name;
mod setting;
mod source;
mod sticky;
mod template;
mod users;
mod value;
mod webhook;
mod wording;

pub use address_text::Host;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use document::{reference, schema};
pub use limit::{Limit, LimitKey, Over};
pub use log::{LogFormat, LogPiece, LogTarget, LogVariable};
pub use network::{Network, NetworkSet};
pub use page::Page;
pub use pool::{KeepAlive, OnDown, Pool, Retry, Server, ServerTimeouts, Unavailable};
pub use probe::{Check, Conditions, GrpcStatusSet, Http, Pattern, Probe, StatusSet};
pub use process::{Need, Process, Unmet};
pub use protocol::{
    Bind, CertPair, ClientCert, ClientField, ClientHttp2, Hsts, ListenerProtocol, ListenerTls, ProxyFrom, ProxyVersion,
    ServerHttp2, ServerName, ServerProtocol, ServerTls, TlsVersion, TrustedProxies, UnknownServerName,
};
pub use quantity::{show_bytes, show_rate};
pub use resolved::{
    AccessLog, Admin, BareLf, ClientTimeouts, Config, FieldMode, Forward, FromClient, HostMode, Listener, RequestId,
    Target, Tls, Trace,
};
pub use route::{
    Access, Action, Algorithm, Asked, BasicAuth, Compress, DecodedQuery, Denial, Fields, HeaderEdit, HostPattern,
    Mirror, Parameters, PathFault, PathPattern, Redirect, Refusal, Respond, Route, RouteRules, RouteTimeouts, Share,
    ValuePattern, When, normalise_path, with_slashes_decoded,
};
pub use secret::Secret;
pub use source::{load, load_judged, parse};
pub use sticky::{HashOn, LearnFrom, SameSite, Secure, Sticky, StickyCookie, StickyLearnt};
pub use template::{Piece, Template, Variable};
pub use webhook::{Occasion, Webhook};
