//! What went wrong.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was refused, as RFC 9457 has it (`application/problem+json`). Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says of what kind it is.
    pub r#type: String,
    /// The status in words.
    pub title: String,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong and what to do instead.
    pub detail: String,
    /// The field of the body that is wrong, as a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pointer: Option<String>,
}
