//! What control begins with, and where it reads the configuration anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll_config::{Config, Diagnostics};
use plimsoll_core::Pools;

use crate::file_watch::FileWatch;
use crate::journal::Journal;
use crate::names::Names;
use crate::plane::DataPlane;

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

impl Source {
    /// A file that is loaded as it stands.
    pub fn file(path: &Path) -> Self {
        let from = path.to_owned();
        Self::File { path: path.to_owned(), load: Box::new(move || plimsoll_config::load(&from)), watch: None }
    }
}
