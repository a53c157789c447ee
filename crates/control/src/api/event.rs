//! What happened.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Counts the events of this process, from 1.
    pub number: u64,
    /// When.
    pub at: String,
    /// Of what kind.
    pub kind: EventKind,
    /// The pool concerned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pool: Option<String>,
    /// The server concerned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server: Option<String>,
    /// What was before, of a change.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// What is now, of a change.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<String>,
    /// All of it in words.
    pub message: String,
}

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The health of a server changed.
    Health,
    /// Requests found no server.
    Refused,
    /// A setting was changed by the API.
    Edit,
    /// A configuration was put in force.
    Reload,
    /// A configuration was refused; nothing changed.
    ReloadRefused,
    /// Long-lived connections are being spread anew, or have been.
    Rebalance,
    /// Something else to be known, such as a worker that died or log lines that were dropped.
    Warning,
}

impl EventKind {
    /// Every kind, each at the place of its number.
    pub const ALL: [Self; 7] =
        [Self::Health, Self::Refused, Self::Edit, Self::Reload, Self::ReloadRefused, Self::Rebalance, Self::Warning];

    /// The word for it in JSON and in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Refused => "refused",
            Self::Edit => "edit",
            Self::Reload => "reload",
            Self::ReloadRefused => "reload-refused",
            Self::Rebalance => "rebalance",
            Self::Warning => "warning",
        }
    }
}

/// One message of the stream, as server-sent events have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// What it tells.
    pub event: MessageKind,
    /// That, in JSON.
    pub data: String,
    /// The number of an event, to go on after.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
}

/// What a message of the stream tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MessageKind {
    /// How the process is: a `Status`.
    Status,
    /// How the pool is that was asked for: a `Pool` with its servers.
    Pool,
    /// What happened: an `Event`.
    Event,
}
