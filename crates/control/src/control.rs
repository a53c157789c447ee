//! A control plane that runs, as the program holds it.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use plimsoll_config::Config;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

use crate::admin::gate::Gate;
use crate::api::{Changed, Reloaded};
use crate::beginning::Beginning;
use crate::control_error::ControlError;
use crate::desired::Edit;
use crate::shared::Shared;
use crate::tasks;

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
        let (shared, watch) = Shared::new(beginning, gate);
        let shared = Arc::new(shared);
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
