//! How answers are written: problems as RFC 9457 has them, and the fields every answer has.

use axum::Json;
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::Problem;
use crate::control_error::ControlError;
use crate::desired::edit_error::EditError;

/// JSON, or why not.
pub(super) type Answer<T> = Result<Json<T>, Problem>;

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            r#type: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            pointer: None,
        }
    }

    pub(super) fn no_pool(pool: &str) -> Self {
        EditError::NoPool(pool.to_owned()).into()
    }

    pub(super) fn no_limit(limit: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no limit {limit:?}"))
    }

    pub(super) fn no_server(pool: &str, server: &str) -> Self {
        EditError::NoServer { pool: pool.to_owned(), server: server.to_owned() }.into()
    }
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        let status = match &error {
            EditError::NoPool(_) | EditError::NoServer { .. } => StatusCode::NOT_FOUND,
            EditError::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            EditError::Conflict(_) => StatusCode::CONFLICT,
        };
        let detail = error.to_string();
        let pointer = if let EditError::Invalid { pointer, .. } = error { Some(pointer) } else { None };
        Self { pointer, ..Self::new(status, detail) }
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let status = match error {
            ControlError::Edit(error) => return error.into(),
            ControlError::NoFile => StatusCode::CONFLICT,
            // What was asked for cannot be put in force as it stands.
            ControlError::Configuration(_)
            | ControlError::Name(_)
            | ControlError::Plane(_)
            | ControlError::Admin(_) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];
        // A problem has nothing in it that JSON has not.
        (status, kind, serde_json::to_vec(&self).unwrap_or_default()).into_response()
    }
}

/// What every answer says, unless it says otherwise itself: it is no document, is not to be kept, and is for this origin.
const ALWAYS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Adds the fields that every answer has.
pub(super) fn finish(fields: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        fields.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // Axum says which methods a path knows; an empty list would say that it knows none.
    if fields.get(ALLOW).is_some_and(HeaderValue::is_empty) {
        fields.remove(ALLOW);
    }
}
