//! The page of metrics. It is written on another thread, as with thousands of servers that takes a while.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::admin::desk::Desk;
use crate::api::Problem;
use crate::metrics;

/// Everything counted, for Prometheus: as `OpenMetrics` where the request accepts it.
pub(super) async fn metrics(State(desk): State<Desk>, fields: HeaderMap) -> Result<Response, Problem> {
    let gone = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "it stops");
    let turn = Arc::clone(&desk.scrapes).acquire_owned().await.map_err(gone)?;
    let accept = fields.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).map(str::to_owned);
    let written = tokio::task::spawn_blocking(move || {
        let page = metrics::render(&desk.shared, accept.as_deref());
        drop(turn);
        page
    });
    match written.await {
        Ok(page) => Ok(([(header::CONTENT_TYPE, page.content_type)], page.text).into_response()),
        Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written")),
    }
}
