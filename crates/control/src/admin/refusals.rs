//! How requests may be refused, for the description of the API.

use utoipa::IntoResponses;

use crate::api::Problem;

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
