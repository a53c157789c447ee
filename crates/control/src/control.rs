//! The one writer: whatever is wanted, by the file, the API or a signal, is put in force here, whole or not at all.

use std::error::Error;
use std::fmt::{self, Write};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use jiff::Timestamp;
use plimsoll_config::{Config, Diagnostics};
use plimsoll_core::Pools;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

use crate::admin::Gate;
use crate::api::{Changed, Difference, EventKind, Reloaded};
use crate::desired::{Desired, Edit, EditError};
use crate::file_watch::FileWatch;
use crate::journal::{Happened, Journal};
use crate::names::{NameError, Names};
use crate::plane::DataPlane;
use crate::samples::Samples;
use crate::tasks;
use crate::webhook;

/// A running control plane.
#[derive(Debug)]
pub struct Control {
    shared: Arc<Shared>,
    end: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// The addresses and sockets of the admin API, bound before there is a control plane: while there is one thread, so that
/// rights can be given up between this and the start.
#[derive(Debug)]
pub struct AdminDoors(Gate);

impl AdminDoors {
    /// Binds what `config` wants.
    ///
    /// # Errors
    /// An address or a socket that cannot be had, a certificate that cannot be used.
    pub fn open(config: &Config) -> io::Result<Self> {
        Gate::open(config.admin.as_ref()).map(Self).map_err(io::Error::other)
    }
}

/// What control begins with: what is in force already.
pub struct Beginning {
    /// The configuration in force.
    pub config: Config,
    /// Where it comes from.
    pub source: Source,
    /// The names that were looked up for it.
    pub names: Names,
    /// The pools, which follow it.
    pub pools: Arc<Pools>,
    /// The data plane, which follows it.
    pub plane: Arc<dyn DataPlane>,
    /// Where it is written down what happens.
    pub journal: Arc<Journal>,
}

/// Where the configuration comes from.
pub enum Source {
    /// The arguments of the program say everything.
    Arguments,
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// Reads it anew.
        load: Load,
        /// Looks at it each second, where it is to be read anew when it has changed. From before it was loaded, so that no
        /// change is missed.
        watch: Option<FileWatch>,
    },
}

/// Reads a configuration.
pub type Load = Box<dyn Fn() -> Result<Config, Diagnostics> + Send>;

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

/// Why something that was wanted is not in force. Then nothing has changed.
#[derive(Debug)]
pub enum ControlError {
    /// The edit cannot be made.
    Edit(EditError),
    /// The file is wrong.
    Configuration(Diagnostics),
    /// A host name has no address.
    Name(NameError),
    /// The data plane cannot follow.
    Plane(String),
    /// The admin API cannot be served as the file wants it.
    Admin(String),
    /// There is no file to reload.
    NoFile,
}

/// What the parts of control share.
pub(crate) struct Shared {
    pub(crate) pools: Arc<Pools>,
    pub(crate) plane: Arc<dyn DataPlane>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) samples: Samples,
    pub(crate) webhook: webhook::Counts,
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

impl Control {
    /// Starts the control plane on a thread of its own.
    ///
    /// # Errors
    /// An address or a socket of the admin API that cannot be had, a certificate that cannot be used; that of the system
    /// when it has no thread or descriptor left.
    pub fn start(beginning: Beginning) -> io::Result<Self> {
        let doors = AdminDoors::open(&beginning.config)?;
        Self::start_at(doors, beginning)
    }

    /// The same with `doors` that were opened for the configuration.
    ///
    /// # Errors
    /// That of the system when it has no thread or descriptor left.
    pub fn start_at(doors: AdminDoors, beginning: Beginning) -> io::Result<Self> {
        let AdminDoors(gate) = doors;
        let Beginning { config, source, names, pools, plane, journal } = beginning;
        let (file, load, watch) = match source {
            Source::Arguments => (None, None, None),
            Source::File { path, load, watch } => (Some(path), Some(load), watch),
        };
        let published =
            Published { generation: 1, at: Timestamp::now(), config: config.clone(), differences: Vec::new() };
        let shared = Arc::new(Shared {
            pools,
            plane,
            journal,
            samples: Samples::default(),
            webhook: webhook::Counts::default(),
            gate,
            started: (published.at, Instant::now()),
            file,
            published: watch::Sender::new(Arc::new(published)),
            writer: Mutex::new(Writer { desired: Desired::new(config), names, load }),
        });
        let config = &shared.published().config;
        for warning in shared.warnings(config) {
            shared.journal.add(Happened::new(EventKind::Warning, warning));
        }
        let (end, ended) = watch::channel(false);
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        // Made here, so that a system without descriptors is an error and not a silence; it is local to its thread, so
        // what counts is made there again.
        drop(runtime?);
        let of_thread = Arc::clone(&shared);
        let run = move || {
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            if let Ok(runtime) = runtime {
                runtime.block_on(tasks::run(of_thread, watch, ended));
            }
        };
        let thread = thread::Builder::new().name("control".to_owned()).spawn(run)?;
        Ok(Self { shared, end, thread })
    }

    /// Looks at what only this crate can judge of a configuration, and binds nothing: the certificate of the admin API.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence for the user.
    pub fn check(config: &Config) -> Result<(), String> {
        Gate::check(config.admin.as_ref())
    }

    /// Where the admin API is served: `http://` or `https://` and an address, or `unix:` and the path of a socket.
    pub fn admin_addresses(&self) -> Vec<String> {
        self.shared.gate.addresses()
    }

    /// Reads the file anew and puts it in force under the edits that still stand. May wait for the resolver.
    ///
    /// # Errors
    /// Why nothing has changed. It is in the journal too.
    pub fn reload(&self) -> Result<Reloaded, ControlError> {
        self.shared.reload()
    }

    /// Makes an edit. May wait for the resolver.
    ///
    /// # Errors
    /// Why nothing has changed.
    pub fn edit(&self, edit: &Edit) -> Result<Changed, ControlError> {
        self.shared.edit(edit)
    }

    /// Opens the files of the logs anew.
    pub fn reopen_logs(&self) {
        self.shared.plane.reopen_logs();
    }

    /// Ends it, after a last look at what happened.
    pub fn stop(self) {
        self.end.send_replace(true);
        // One that panicked has nothing left to wait for.
        let _ = self.thread.join();
    }
}

impl Shared {
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

impl Source {
    /// A file that is loaded as it stands.
    pub fn file(path: &Path) -> Self {
        let from = path.to_owned();
        Self::File { path: path.to_owned(), load: Box::new(move || plimsoll_config::load(&from)), watch: None }
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edit(error) => error.fmt(f),
            Self::Configuration(diagnostics) => write!(f, "the configuration is wrong\n{diagnostics}"),
            Self::Name(error) => error.fmt(f),
            Self::Plane(why) | Self::Admin(why) => f.write_str(why),
            Self::NoFile => f.write_str("there is no file to reload: the program was started with options alone"),
        }
    }
}

impl Error for ControlError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Edit(error) => Some(error),
            Self::Configuration(diagnostics) => Some(diagnostics),
            Self::Name(error) => Some(error),
            Self::Plane(_) | Self::Admin(_) | Self::NoFile => None,
        }
    }
}
