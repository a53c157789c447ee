//! What is and what happened.

use axum::Json;
use axum::extract::State;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

use crate::admin::answer::Answer;
use crate::admin::ask::{Named, Query};
use crate::admin::desk::Desk;
use crate::admin::refusals::{Missing, Refusals};
use crate::api::{Client, Difference, Event, Limit, Listener, Pool, Problem, Server, Status};
use crate::views::{Detail, Picture};

/// The process as a whole, with its pools.
#[utoipa::path(get, path = "/api/v1/status", responses((status = 200, body = Status), Refusals))]
pub(super) async fn status(State(desk): State<Desk>, Query(Nothing {}): Query<Nothing>) -> Json<Status> {
    Json(Picture::take(&desk.shared).status())
}

/// Where clients connect.
#[utoipa::path(get, path = "/api/v1/listeners", responses((status = 200, body = [Listener]), Refusals))]
pub(super) async fn listeners(State(desk): State<Desk>, Query(Nothing {}): Query<Nothing>) -> Json<Vec<Listener>> {
    Json(Picture::take(&desk.shared).listeners())
}

/// The limits for each client, in the order of the configuration.
#[utoipa::path(get, path = "/api/v1/limits", responses((status = 200, body = [Limit]), Refusals))]
pub(super) async fn limits(State(desk): State<Desk>, Query(Nothing {}): Query<Nothing>) -> Json<Vec<Limit>> {
    Json(Picture::take(&desk.shared).limits())
}

/// The busiest clients of a limit: by requests of late, then by all, then by connections.
#[utoipa::path(get, path = "/api/v1/limits/{limit}/clients", params(("limit" = String, Path, description = "Its name."), Top),
    responses((status = 200, body = [Client]), Refusals, Missing))]
pub(super) async fn clients(
    State(desk): State<Desk>,
    Named(limit): Named<String>,
    Query(asked): Query<Top>,
) -> Answer<Vec<Client>> {
    let found = Picture::take(&desk.shared).clients(&limit, usize::from(asked.top));
    found.map(Json).ok_or_else(|| Problem::no_limit(&limit))
}

/// The pools, in the order of the configuration.
#[utoipa::path(get, path = "/api/v1/pools", params(Pools), responses((status = 200, body = [Pool]), Refusals))]
pub(super) async fn pools(State(desk): State<Desk>, Query(asked): Query<Pools>) -> Json<Vec<Pool>> {
    let detail = if asked.servers { Detail::Servers } else { Detail::Sums };
    Json(Picture::take(&desk.shared).pools(detail))
}

/// One pool with its servers.
#[utoipa::path(get, path = "/api/v1/pools/{pool}", params(("pool" = String, Path, description = "Its name.")),
    responses((status = 200, body = Pool), Refusals, Missing))]
pub(super) async fn pool(
    State(desk): State<Desk>,
    Named(pool): Named<String>,
    Query(Nothing {}): Query<Nothing>,
) -> Answer<Pool> {
    let found = Picture::take(&desk.shared).pool(&pool, Detail::Servers);
    found.map(Json).ok_or_else(|| Problem::no_pool(&pool))
}

/// The servers of a pool: those listed, then those that finish what they have.
#[utoipa::path(get, path = "/api/v1/pools/{pool}/servers", params(("pool" = String, Path, description = "The pool.")),
    responses((status = 200, body = [Server]), Refusals, Missing))]
pub(super) async fn servers(
    State(desk): State<Desk>,
    Named(pool): Named<String>,
    Query(Nothing {}): Query<Nothing>,
) -> Answer<Vec<Server>> {
    let found = Picture::take(&desk.shared).pool(&pool, Detail::Servers);
    found.and_then(|pool| pool.servers).map(Json).ok_or_else(|| Problem::no_pool(&pool))
}

/// One server, with its last probes.
#[utoipa::path(get, path = "/api/v1/pools/{pool}/servers/{server}", params(
    ("pool" = String, Path, description = "The pool."), ("server" = String, Path, description = "Its name there.")),
    responses((status = 200, body = Server), Refusals, Missing))]
pub(super) async fn server(
    State(desk): State<Desk>,
    Named((pool, server)): Named<(String, String)>,
    Query(Nothing {}): Query<Nothing>,
) -> Answer<Server> {
    let found = Picture::take(&desk.shared).server(&pool, &server);
    found.map(Json).ok_or_else(|| match desk.shared.pools.pool(&pool) {
        Some(_) => Problem::no_server(&pool, &server),
        None => Problem::no_pool(&pool),
    })
}

/// What happened, the oldest first: the last events of those asked for.
#[utoipa::path(get, path = "/api/v1/events", params(Events), responses((status = 200, body = [Event]), Refusals))]
pub(super) async fn events(State(desk): State<Desk>, Query(asked): Query<Events>) -> Json<Vec<Event>> {
    Json(desk.shared.journal.since(asked.after, usize::from(asked.limit)))
}

/// What differs from the file.
#[utoipa::path(get, path = "/api/v1/diff", responses((status = 200, body = [Difference]), Refusals))]
pub(super) async fn differences(State(desk): State<Desk>, Query(Nothing {}): Query<Nothing>) -> Json<Vec<Difference>> {
    Json(desk.shared.published().differences.clone())
}

/// Nothing is taken behind the question mark.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Pools {
    /// Whether to tell of their servers too.
    #[serde(default)]
    #[param(default = false, required = false)]
    servers: bool,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Top {
    /// At most so many; a hundred are the most that are told of.
    #[serde(default = "twenty")]
    #[param(default = 20, required = false, maximum = 255)]
    top: u8,
}

fn twenty() -> u8 {
    20
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Events {
    /// Only those with a larger number.
    #[serde(default, deserialize_with = "number")]
    #[param(default = 0, required = false, maximum = 9_007_199_254_740_991_i64)]
    after: u64,
    /// At most so many, the last ones.
    #[serde(default = "hundred")]
    #[param(default = 100, required = false, maximum = 65_535)]
    limit: u16,
}

fn hundred() -> u16 {
    100
}

/// A number that every client can hold: up to 2^53 - 1 (RFC 8259, section 6).
fn number<'de, D: Deserializer<'de>>(number: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(number)?;
    if number < 1 << 53 { Ok(number) } else { Err(D::Error::custom("larger than 2^53 - 1")) }
}
