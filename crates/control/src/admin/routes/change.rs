//! What can be changed. A change may wait for the resolver and for other changes, so it is made on another thread.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;

use super::read::Nothing;
use crate::admin::answer::Answer;
use crate::admin::ask::{Given, Named, Query};
use crate::admin::desk::Desk;
use crate::admin::refusals::{Missing, Refusals, Unchanged};
use crate::api::{AddServers, Changed, Problem, Reloaded, ServerPatch};
use crate::control_error::ControlError;
use crate::desired::Edit;
use crate::shared::Shared;

/// Adds servers to a pool, all of them or none. It is an edit: it holds until it is undone, through any reload.
#[utoipa::path(post, path = "/api/v1/pools/{pool}/servers", params(("pool" = String, Path, description = "The pool.")),
    request_body = AddServers, responses((status = 201, body = Changed), Refusals, Missing, Unchanged))]
pub(super) async fn add(
    State(desk): State<Desk>,
    Named(pool): Named<String>,
    Query(Nothing {}): Query<Nothing>,
    request: Request,
) -> Result<(StatusCode, Json<Changed>), Problem> {
    let (turn, AddServers { servers }) = desk.turn_with(request).await?;
    let added = edit(&desk, turn, Edit::Add { pool, servers }).await?;
    Ok((StatusCode::CREATED, added))
}

/// Sets what is wanted of a server: its state, its weight, its limit. It is an edit: it holds until it is undone or the
/// file says something else about the same setting.
#[utoipa::path(patch, path = "/api/v1/pools/{pool}/servers/{server}", params(
    ("pool" = String, Path, description = "The pool."), ("server" = String, Path, description = "Its name there.")),
    request_body = ServerPatch, responses((status = 200, body = Changed), Refusals, Missing, Unchanged))]
pub(super) async fn set(
    State(desk): State<Desk>,
    Named((pool, server)): Named<(String, String)>,
    Query(Nothing {}): Query<Nothing>,
    request: Request,
) -> Answer<Changed> {
    let (turn, patch) = desk.turn_with::<ServerPatch>(request).await?;
    edit(&desk, turn, Edit::Set { pool, server, patch }).await
}

/// Takes a server out of its pool; what it has in flight is finished.
#[utoipa::path(delete, path = "/api/v1/pools/{pool}/servers/{server}", params(
    ("pool" = String, Path, description = "The pool."), ("server" = String, Path, description = "Its name there.")),
    responses((status = 200, body = Changed), Refusals, Missing, Unchanged))]
pub(super) async fn remove(
    State(desk): State<Desk>,
    Named((pool, server)): Named<(String, String)>,
    Query(Nothing {}): Query<Nothing>,
) -> Answer<Changed> {
    let turn = desk.turn().await?;
    edit(&desk, turn, Edit::Remove { pool, server }).await
}

/// Undoes every edit, so that what the file says holds.
#[utoipa::path(delete, path = "/api/v1/diff", responses((status = 200, body = Changed), Refusals, Unchanged))]
pub(super) async fn undo(State(desk): State<Desk>, Query(Nothing {}): Query<Nothing>) -> Answer<Changed> {
    let turn = desk.turn().await?;
    edit(&desk, turn, Edit::Undo).await
}

/// Reads the file anew and puts it in force, under the edits that still stand. A file that is wrong changes nothing.
#[utoipa::path(post, path = "/api/v1/reload", responses((status = 200, body = Reloaded), Refusals, Unchanged))]
pub(super) async fn reload(State(desk): State<Desk>, Query(Nothing {}): Query<Nothing>) -> Answer<Reloaded> {
    let turn = desk.turn().await?;
    aside(&desk, turn, Shared::reload).await
}

async fn edit(desk: &Desk, turn: OwnedSemaphorePermit, edit: Edit) -> Answer<Changed> {
    aside(desk, turn, move |shared| shared.edit(&edit)).await
}

/// Does it on another thread, so that the thread of control goes on.
async fn aside<T: Send + 'static>(
    desk: &Desk,
    turn: OwnedSemaphorePermit,
    change: impl FnOnce(&Shared) -> Result<T, ControlError> + Send + 'static,
) -> Answer<T> {
    let shared = Arc::clone(&desk.shared);
    let work = move || {
        // Kept until the work is done, also when nobody waits for it any more.
        let _turn = turn;
        change(&shared)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map(Json).map_err(Problem::from),
        Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the change broke off; this is a bug of ours")),
    }
}

impl Desk {
    /// Waits for room to change something.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let closed = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "nothing can be changed any more");
        Arc::clone(&self.changes).acquire_owned().await.map_err(closed)
    }

    /// The same, and then reads the body.
    async fn turn_with<T: DeserializeOwned>(&self, request: Request) -> Result<(OwnedSemaphorePermit, T), Problem> {
        let turn = self.turn().await?;
        let Given(body) = Given::from_request(request, &()).await?;
        Ok((turn, body))
    }
}
