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
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::desk::Desk;
use super::guard::guard;
use super::{page, stream};
use crate::api::Problem;

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
