//! What a browser needs: the dashboard, which is the same for everyone and says nothing by itself.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::desk::Desk;
use crate::dashboard::{ASSETS, Asset};

/// What the page may load and where it may ask: here, and nowhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The path of whether it serves, for load balancers and orchestrators.
pub(super) const HEALTH: &str = "/healthz";

/// Whether a path is open to everyone who reaches the address: what lies there tells nothing of the servers.
pub(super) fn is_public(path: &str) -> bool {
    path == HEALTH || ASSETS.iter().any(|asset| asset.path == path)
}

/// Hands out each asset at its path.
pub(super) fn router() -> Router<Desk> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        let tag = tag(asset);
        router.route(asset.path, get(async move |fields: HeaderMap| answer(asset, &tag, &fields)))
    })
}

fn answer(asset: &'static Asset, tag: &HeaderValue, fields: &HeaderMap) -> Response {
    let always = [
        // Kept, but asked about each time: another version of the program has another page.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::ETAG, tag.clone()),
    ];
    if fields.get(header::IF_NONE_MATCH) == Some(tag) {
        return (StatusCode::NOT_MODIFIED, always).into_response();
    }
    (always, [(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type))], asset.content).into_response()
}

/// A name for the content of an asset, for as long as the program runs the same way.
fn tag(asset: &Asset) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    asset.content.hash(&mut hasher);
    HeaderValue::from_str(&format!("\"{:016x}\"", hasher.finish())).unwrap_or(HeaderValue::from_static("\"\""))
}
