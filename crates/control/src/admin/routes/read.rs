//! What is and what happened.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Desk, Missing, Refusals};
use crate::admin::answer::Answer;
use crate::admin::ask::{Named, Query};
use crate::api::{Difference, Event, Listener, Pool, Problem, Server, Status};
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
    Json(desk.shared.journal.since(asked.after, asked.limit.min(MOST_EVENTS)))
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

/// More events than the journal keeps cannot be told.
const MOST_EVENTS: usize = 10_000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Events {
    /// Only those with a larger number.
    #[serde(default)]
    #[param(default = 0, required = false, format = "uint64")]
    after: u64,
    /// At most so many, the last ones.
    #[serde(default = "hundred")]
    #[param(default = 100, required = false)]
    limit: usize,
}

fn hundred() -> usize {
    100
}
