//! What can be changed, and what differs from the file because of it.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::object::Object;
use super::status::State;

/// New settings of a server; what is left out stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerPatch {
    /// What is wanted of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<State>,
    /// Its share relative to the others; 0 takes nothing new.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(maximum = 65_535)]
    pub weight: Option<u16>,
    /// The most it may have in flight; null is no limit.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "even_null")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 4_294_967_295_u32)]
    pub max_connections: Option<Option<u32>>,
}

/// Tells null from what is left out.
#[expect(clippy::option_option, reason = "the type of the field it reads")]
fn even_null<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// A server to be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewServer {
    /// Its host and port, as in the file.
    #[schema(pattern = "^[^/]+:[0-9]+$")]
    pub address: String,
    /// Its name in the pool; its address where this is left out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(min_length = 1, max_length = 128)]
    pub name: Option<String>,
    /// Its share relative to the others.
    #[serde(default = "one")]
    #[schema(default = 1, maximum = 65_535)]
    pub weight: u16,
    /// The most it may have in flight.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(minimum = 1, maximum = 4_294_967_295_u32)]
    pub max_connections: Option<u32>,
    /// Whether it serves only when no other can.
    #[serde(default)]
    pub backup: bool,
    /// What is wanted of it.
    #[serde(default = "ready")]
    pub state: State,
}

fn one() -> u16 {
    1
}

fn ready() -> State {
    State::Ready
}

/// Servers to be added to a pool, all of them or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddServers {
    /// The servers.
    #[serde(deserialize_with = "objects")]
    #[schema(min_items = 1)]
    pub servers: Vec<NewServer>,
}

fn objects<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<NewServer>, D::Error> {
    let servers = Vec::<Object<NewServer>>::deserialize(list)?;
    Ok(servers.into_iter().map(|Object(server)| server).collect())
}

/// What a change led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// The number of the configuration in force now.
    pub generation: u64,
    /// Settings that differ from the file now.
    pub differences: usize,
}

/// What a reload led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// The number of the configuration in force now.
    pub generation: u64,
    /// Settings that differ from the file still.
    pub differences: usize,
    /// What is to be known: edits that the file has overtaken, settings that take effect at the next start only.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

/// One setting that is not what the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// The pool.
    pub pool: String,
    /// The server.
    pub server: String,
    /// The setting: `state`, `weight`, `max_connections`, or `server` for one that was added or removed.
    pub setting: String,
    /// What the file says; left out where it says nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// What holds; left out where nothing does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub now: Option<String>,
}
