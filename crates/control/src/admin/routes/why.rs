//! Why that server, and what was before.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::answer::Answer;
use crate::admin::ask::{Named, Query};
use crate::admin::desk::Desk;
use crate::admin::refusals::{Missing, Refusals};
use crate::api::{Explanation, History, Pick, Problem};
use crate::views::Picture;
use crate::views::why::Unknown;

/// Every server of a pool as a pick would see it now, and which it would take.
#[utoipa::path(get, path = "/api/v1/pools/{pool}/explain", params(("pool" = String, Path, description = "The pool."), Explain),
    responses((status = 200, body = Explanation), Refusals, Missing))]
pub(super) async fn explain(
    State(desk): State<Desk>,
    Named(pool): Named<String>,
    Query(asked): Query<Explain>,
) -> Answer<Explanation> {
    let explained = Picture::take(&desk.shared).explain(&pool, &asked.tried);
    explained.map(Json).map_err(|unknown| match unknown {
        Unknown::Pool => Problem::no_pool(&pool),
        Unknown::Server(server) => Problem::no_server(&pool, &server),
    })
}

/// The last picks, the latest last, each as it was made. Asking has them recorded for the next minute: the first few of each
/// second.
#[utoipa::path(get, path = "/api/v1/pools/{pool}/picks", params(("pool" = String, Path, description = "The pool."), Last),
    responses((status = 200, body = [Pick]), Refusals, Missing))]
pub(super) async fn picks(
    State(desk): State<Desk>,
    Named(pool): Named<String>,
    Query(asked): Query<Last>,
) -> Answer<Vec<Pick>> {
    let picks = Picture::take(&desk.shared).picks(&pool, usize::from(asked.last));
    picks.map(Json).ok_or_else(|| Problem::no_pool(&pool))
}

/// The last ten minutes of a pool.
#[utoipa::path(get, path = "/api/v1/pools/{pool}/history", params(("pool" = String, Path, description = "The pool."), Past),
    responses((status = 200, body = History), Refusals, Missing))]
pub(super) async fn history(
    State(desk): State<Desk>,
    Named(pool): Named<String>,
    Query(asked): Query<Past>,
) -> Answer<History> {
    let history = desk.shared.samples.history(&pool, usize::from(asked.servers));
    history.map(Json).ok_or_else(|| Problem::no_pool(&pool))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Explain {
    /// Servers the request was sent to before; may be given several times.
    #[serde(default)]
    #[param(required = false)]
    tried: Vec<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Last {
    /// At most so many.
    #[serde(default = "twenty")]
    #[param(default = 20, required = false, maximum = 65_535)]
    last: u16,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Past {
    /// At most so many servers, those that carried most.
    #[serde(default = "twenty")]
    #[param(default = 20, required = false, maximum = 65_535)]
    servers: u16,
}

fn twenty() -> u16 {
    20
}
