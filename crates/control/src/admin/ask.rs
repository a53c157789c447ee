//! How questions are read: each part of a request as its type, or a problem that says what is wrong with it.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use tokio::time::timeout;

use crate::api::{Object, Problem};

/// The largest body: a hundred thousand servers fit.
const LARGEST_BODY: usize = 16 << 20;

/// For a whole body.
const BODY_TIME: Duration = Duration::from_secs(30);

/// What stands in the path.
pub(super) struct Named<T>(pub(super) T);

/// What stands behind the question mark.
pub(super) struct Query<T>(pub(super) T);

/// A body of JSON.
pub(super) struct Given<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(path)| Self(path)).map_err(|rejection| match rejection {
            PathRejection::FailedToDeserializePathParams(wrong) => {
                Problem::new(StatusCode::BAD_REQUEST, wrong.body_text())
            }
            other => Problem::new(StatusCode::BAD_REQUEST, other.body_text()),
        })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = serde_html_form::Deserializer::from_bytes(parts.uri.query().unwrap_or_default().as_bytes());
        serde_path_to_error::deserialize(query).map(Self).map_err(|error| {
            let at = error.path().to_string();
            let what = error.into_inner();
            let detail = if at == "." { format!("query: {what}") } else { format!("query parameter {at:?}: {what}") };
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Given<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        if !kind.is_some_and(|kind| is_json(kind.as_bytes())) {
            let detail = "write `Content-Type: application/json`, and the body in JSON";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let body = content(request.into_body()).await?;
        let mut json = serde_json::Deserializer::from_slice(&body);
        let read = serde_path_to_error::deserialize::<_, Object<T>>(&mut json);
        let Object(value) = read.map_err(|error| wrong(&error))?;
        match json.end() {
            Ok(()) => Ok(Self(value)),
            Err(error) => {
                Err(Problem::new(StatusCode::BAD_REQUEST, format!("the body goes on after its end: {error}")))
            }
        }
    }
}

/// Whether a content type is that of JSON, with or without parameters.
pub(super) fn is_json(kind: &[u8]) -> bool {
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// The whole body, in bounded memory and time.
async fn content(body: Body) -> Result<Bytes, Problem> {
    match timeout(BODY_TIME, Limited::new(body, LARGEST_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("the body is larger than {} MiB", LARGEST_BODY >> 20);
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        Ok(Err(error)) => Err(Problem::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}"))),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

/// What is wrong with a body, and where.
fn wrong(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let what = error.inner();
    if !what.is_data() {
        return Problem::new(StatusCode::BAD_REQUEST, format!("the body is no JSON: {what}"));
    }
    let pointer = error.path().iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    });
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, what.to_string());
    Problem { pointer: Some(pointer.collect()), ..problem }
}
