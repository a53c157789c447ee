//! What can be asked. Each function below is a path, and its declaration is its description: the `OpenAPI` document is
//! made of the very list that requests are routed by.

mod change;
mod read;
mod scrape;
mod why;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Json, Router};
use tokio::sync::{Semaphore, watch};
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::{IntoResponses, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::guard::{Intruders, guard};
use super::{page, stream};
use crate::api::Problem;
use crate::control::Shared;

/// What answers need.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    pub(super) ended: watch::Receiver<bool>,
    pub(super) intruders: Arc<Intruders>,
    /// Room for those who listen to a stream.
    pub(super) listeners: Arc<Semaphore>,
    /// Room for those who read metrics.
    scrapes: Arc<Semaphore>,
    /// Room for those who change something; they would wait for each other anyway.
    changes: Arc<Semaphore>,
}

/// Streams at once. Each costs a look at the pools a second.
const STREAMS: usize = 32;

/// Pages of metrics that are written at once, each some megabytes with thousands of servers. Others wait.
const SCRAPES: usize = 2;

/// Changes at once, each with a body of megabytes at most.
const CHANGES: usize = 4;

impl Desk {
    pub(super) fn new(shared: Arc<Shared>, ended: watch::Receiver<bool>) -> Self {
        let room = |count| Arc::new(Semaphore::new(count));
        let (listeners, scrapes, changes) = (room(STREAMS), room(SCRAPES), room(CHANGES));
        Self { shared, ended, intruders: Arc::default(), listeners, scrapes, changes }
    }
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Plimsoll",
        description = "Sees and changes a running Plimsoll. On loopback addresses and the Unix socket no token is due.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
    ),
    components(schemas(Problem))
)]
struct Description;

/// Every path, behind the guard.
pub(super) fn router(desk: Desk) -> Router {
    let (router, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(read::status))
        .routes(routes!(read::listeners))
        .routes(routes!(read::limits))
        .routes(routes!(read::clients))
        .routes(routes!(read::pools))
        .routes(routes!(read::pool))
        .routes(routes!(read::servers, change::add))
        .routes(routes!(read::server, change::set, change::remove))
        .routes(routes!(read::events))
        .routes(routes!(read::differences, change::undo))
        .routes(routes!(why::explain))
        .routes(routes!(why::picks))
        .routes(routes!(why::history))
        .routes(routes!(change::reload))
        .routes(routes!(stream::stream))
        .split_for_parts();
    secure(&mut description);
    let description = Arc::new(description);
    router
        .route("/api/v1/openapi.json", get(async move || Json((*description).clone())))
        .route(page::HEALTH, get(health))
        .route("/metrics", get(scrape::metrics))
        .merge(page::router())
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(desk.clone(), guard))
        .with_state(desk)
}

/// Says that a token may be due.
fn secure(description: &mut OpenApi) {
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    description.components.get_or_insert_default().add_security_scheme("token", scheme);
    description.security =
        Some(vec![SecurityRequirement::default(), SecurityRequirement::new::<_, [&str; 0], _>("token", [])]);
}

/// What every request may be answered with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes; answers are made where what they tell is known")]
pub(super) enum Refusals {
    /// The request is not understood.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// A token is due.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// It comes from a page of another site.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// It calls us by a name that is not ours.
    #[response(status = 421, content_type = "application/problem+json")]
    Misdirected(Problem),
}

/// What a request about one thing may be answered with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes; answers are made where what they tell is known")]
pub(super) enum Missing {
    /// There is no such pool or limit, or no such server in it.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
}

/// What a request that changes something may be answered with. Then nothing has changed.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes; answers are made where what they tell is known")]
pub(super) enum Unchanged {
    /// The body did not come in time.
    #[response(status = 408, content_type = "application/problem+json")]
    Timeout(Problem),
    /// It does not go with what is there.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The body is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is not called JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    NoJson(Problem),
    /// What is wanted cannot be.
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(Problem),
}

/// Whether it serves.
async fn health(State(desk): State<Desk>) -> (StatusCode, &'static str) {
    if desk.shared.plane.stats().stopping {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn nothing(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}; see /api/v1/openapi.json", uri.path());
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} cannot be asked with {method}; see Allow", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
