//! What the parts of control share, and the one writer of it: whatever is wanted, by the file, the API or a signal, is put in
//! force here, whole or not at all.

use std::fmt::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use plimsoll_config::Config;
use plimsoll_core::Pools;
use tokio::sync::watch;

use crate::admin::gate::Gate;
use crate::api::{Changed, Difference, EventKind, Reloaded};
use crate::beginning::{Beginning, Load, Source};
use crate::control_error::ControlError;
use crate::desired::{Desired, Edit};
use crate::file_watch::FileWatch;
use crate::journal::{Happened, Journal};
use crate::names::Names;
use crate::plane::DataPlane;
use crate::samples::Samples;
use crate::webhook::counts::Counts;

/// A configuration in force.
#[derive(Clone, Debug)]
pub struct Published {
    /// Counts them, from 1.
    pub generation: u64,
    /// Since when.
    pub at: Timestamp,
    /// What holds: the file with the edits.
    pub config: Config,
    /// What differs from the file.
    pub differences: Vec<Difference>,
}

/// What the parts of control share.
pub(crate) struct Shared {
    pub(crate) pools: Arc<Pools>,
    pub(crate) plane: Arc<dyn DataPlane>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) samples: Samples,
    pub(crate) webhook: Counts,
    pub(crate) gate: Gate,
    /// When the process began to serve.
    pub(crate) started: (Timestamp, Instant),
    pub(crate) file: Option<PathBuf>,
    published: watch::Sender<Arc<Published>>,
    writer: Mutex<Writer>,
}

/// What only one may hold at a time.
struct Writer {
    desired: Desired,
    names: Names,
    /// `None` where there is no file.
    load: Option<Load>,
}

impl Shared {
    /// Shares what is in force already, which is told about in the journal.
    pub(crate) fn new(beginning: Beginning, gate: Gate) -> (Self, Option<FileWatch>) {
        let Beginning { config, source, names, pools, plane, journal } = beginning;
        let (file, load, watch) = match source {
            Source::Arguments => (None, None, None),
            Source::File { path, load, watch } => (Some(path), Some(load), watch),
        };
        let published =
            Published { generation: 1, at: Timestamp::now(), config: config.clone(), differences: Vec::new() };
        let shared = Self {
            pools,
            plane,
            journal,
            samples: Samples::default(),
            webhook: Counts::default(),
            gate,
            started: (published.at, Instant::now()),
            file,
            published: watch::Sender::new(Arc::new(published)),
            writer: Mutex::new(Writer { desired: Desired::new(config), names, load }),
        };
        for warning in shared.warnings(&shared.published().config) {
            shared.journal.add(Happened::new(EventKind::Warning, warning));
        }
        (shared, watch)
    }

    /// What is in force.
    pub(crate) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.borrow())
    }

    /// Tells whenever something else is in force.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Published>> {
        self.published.subscribe()
    }

    /// See [`Control::reload`].
    pub(crate) fn reload(&self) -> Result<Reloaded, ControlError> {
        let reloaded = self.try_reload();
        match &reloaded {
            Ok(Reloaded { generation, notes, .. }) => {
                let mut message = format!("reloaded: configuration {generation} is in force");
                for note in notes {
                    let _ = write!(message, "\n  {note}");
                }
                self.journal.add(Happened::new(EventKind::Reload, message));
            }
            Err(error) => {
                let message = format!("not reloaded, everything stays as it was: {error}");
                self.journal.add(Happened::new(EventKind::ReloadRefused, message));
            }
        }
        reloaded
    }

    /// What an operator should know of `config`, which is in force.
    fn warnings(&self, config: &Config) -> Vec<String> {
        let exposed = config.exposed().into_iter().chain(config.credulous()).chain(config.forgetful());
        exposed.chain(self.gate.warnings()).chain(self.plane.warnings(config)).collect()
    }

    fn try_reload(&self) -> Result<Reloaded, ControlError> {
        let mut writer = self.writer();
        let load = writer.load.as_ref().ok_or(ControlError::NoFile)?;
        let file = load().map_err(ControlError::Configuration)?;
        let (desired, mut notes) = writer.desired.rebased(file);
        let before = self.published();
        let generation = self.put_in_force(&mut writer, desired, true)?;
        let now = self.published();
        notes.extend(self.warnings(&now.config));
        let later = at_next_start(&before.config, &now.config);
        notes.extend(later.map(|setting| format!("`{setting}` takes effect at the next start")));
        Ok(Reloaded { generation, differences: now.differences.len(), notes })
    }

    /// Takes up certificates as they are in their files now. The file of the configuration is not read for that. What came
    /// of it is in the journal.
    pub(crate) fn renew_certificates(&self) {
        let mut writer = self.writer();
        let renewed = match writer.desired.with_certificates_anew() {
            Ok(None) => return,
            Ok(Some(desired)) => self.put_in_force(&mut writer, desired, false),
            Err(why) => Err(ControlError::Plane(why)),
        };
        drop(writer);
        self.journal.add(match renewed {
            Ok(generation) => {
                let mut message = format!("certificates were read anew: configuration {generation} is in force");
                for warning in self.plane.warnings(&self.published().config) {
                    let _ = write!(message, "\n  {warning}");
                }
                Happened::new(EventKind::Reload, message)
            }
            Err(error) => {
                let message = format!("the new certificates were not taken, the ones before stay: {error}");
                Happened::new(EventKind::ReloadRefused, message)
            }
        });
    }

    /// See [`Control::edit`].
    pub(crate) fn edit(&self, edit: &Edit) -> Result<Changed, ControlError> {
        let mut writer = self.writer();
        let desired = writer.desired.edited(edit).map_err(ControlError::Edit)?;
        let generation = self.put_in_force(&mut writer, desired, false)?;
        drop(writer);
        self.journal.add(told(edit));
        Ok(Changed { generation, differences: self.published().differences.len() })
    }

    /// All that can fail comes first. `fresh` looks all host names up anew.
    fn put_in_force(&self, writer: &mut Writer, desired: Desired, fresh: bool) -> Result<u64, ControlError> {
        let config = desired.effective();
        let mut names = writer.names.clone();
        let specs = names.pool_specs(&config, fresh).map_err(ControlError::Name)?;
        let admin = self.gate.prepare(config.admin.as_ref()).map_err(ControlError::Admin)?;
        let prepared = self.plane.prepare(&config).map_err(ControlError::Plane)?;
        self.pools.apply(specs, self.plane.now());
        prepared.commit(&self.pools).map_err(ControlError::Plane)?;
        if let Some(admin) = admin {
            self.gate.commit(admin);
        }
        let generation = self.published().generation + 1;
        let differences = desired.differences();
        (writer.desired, writer.names) = (desired, names);
        let published = Published { generation, at: Timestamp::now(), config, differences };
        self.published.send_replace(Arc::new(published));
        Ok(generation)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The settings that differ and that a running process cannot follow.
fn at_next_start(before: &Config, now: &Config) -> impl Iterator<Item = &'static str> {
    let (old, new) = (&before.process, &now.process);
    [
        ("workers", before.workers != now.workers),
        ("pin_workers", old.pin_workers != new.pin_workers),
        ("user", old.user != new.user),
        ("group", old.group != new.group),
        ("pid_file", old.pid_file != new.pid_file),
    ]
    .into_iter()
    .filter_map(|(setting, differs)| differs.then_some(setting))
}

/// An edit as it stands in the journal.
fn told(edit: &Edit) -> Happened {
    let (pool, server, what) = match edit {
        Edit::Set { pool, server, patch } => {
            let state = patch.state.map(|state| format!("state {}", plimsoll_core::AdminState::from(state)));
            let weight = patch.weight.map(|weight| format!("weight {weight}"));
            let max = patch.max_connections.map(|max| match max {
                Some(max) => format!("max_connections {max}"),
                None => "no max_connections".to_owned(),
            });
            let set: Vec<String> = [state, weight, max].into_iter().flatten().collect();
            (Some(pool), Some(server), format!("pool {pool}: server {server} was set to {}", set.join(", ")))
        }
        Edit::Add { pool, servers } => match &servers[..] {
            [one] => {
                let name = one.name.as_ref().unwrap_or(&one.address);
                (Some(pool), Some(name), format!("pool {pool}: server {name} was added"))
            }
            many => (Some(pool), None, format!("pool {pool}: {} servers were added", many.len())),
        },
        Edit::Remove { pool, server } => {
            (Some(pool), Some(server), format!("pool {pool}: server {server} was removed"))
        }
        Edit::Undo => (None, None, "all edits were undone: what the file says holds".to_owned()),
    };
    let happened = Happened::new(EventKind::Edit, what);
    Happened { pool: pool.cloned(), server: server.cloned(), ..happened }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generation = self.published().generation;
        f.debug_struct("Shared").field("generation", &generation).field("file", &self.file).finish_non_exhaustive()
    }
}
