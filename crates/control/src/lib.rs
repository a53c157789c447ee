//! Plimsoll's control plane: what is wanted, what is, and those who ask.
//!
//! [`Control`] is the one writer of the desired state: the configuration file, edits made through the admin API, and
//! reloads all become a new resolved configuration by the same way, which is put in force whole or not at all. The
//! data plane is reached through [`DataPlane`] alone.
//!
//! `desired` is the file with the edits laid over it, `names` looks hosts up, `shared` puts in force, `observer` looks at
//! the pools and `journal` remembers what happened, `samples` remembers what was done, `alarm` warns, `webhook` tells those
//! who want to be told, `tasks` runs on the one thread of control. `api` holds the types of the admin API, `views` fills
//! them in, and `admin` serves them, with the page that `metrics` writes. All of it is beside the workers: nothing here
//! is on the way of a request.

mod admin;
mod alarm;
pub mod api;
mod beginning;
mod certificates;
mod control;
mod control_error;
mod dashboard;
mod desired;
mod file_watch;
mod journal;
mod metrics;
mod names;
mod observer;
mod plane;
mod samples;
mod shared;
mod tasks;
mod views;
mod wall;
mod webhook;

pub use beginning::{Beginning, Load, Source};
pub use control::{AdminDoors, Control};
pub use control_error::ControlError;
pub use desired::Edit;
pub use desired::edit_error::EditError;
pub use file_watch::FileWatch;
pub use journal::Journal;
pub use names::{NameError, Names};
pub use plane::{
    DataPlane, HandshakeStats, ListenerStats, LogStats, MirrorStats, PlaneStats, Prepared, RouteStats, StickyStats,
    TopClient, WorkerStats,
};
pub use shared::Published;
