//! Where the configuration comes from: a file that was named, the usual one, or the options.

use std::path::Path;

use plimsoll_config::Config;

use crate::arguments::Serve;
use crate::failure::Failure;

/// The file that is read when none is named.
const USUAL_FILE: &str = "plimsoll.toml";

/// The configuration that the arguments of `serve` ask for.
pub(crate) fn for_serve(arguments: &Serve) -> Result<Config, Failure> {
    let mut config = match &arguments.listen {
        Some(listen) => Config::quick(listen, &arguments.to)?,
        None => from_file(arguments.file.as_deref(), SERVE_WITHOUT_FILE)?,
    };
    if let Some(policy) = arguments.policy {
        for pool in &mut config.pools {
            pool.policy = policy;
        }
    }
    config.workers = arguments.workers.or(config.workers);
    Ok(config)
}

/// The configuration in `file`, or in the usual file when none is named; `otherwise` is said when that is not there
/// either.
pub(crate) fn from_file(file: Option<&Path>, otherwise: &str) -> Result<Config, Failure> {
    let usual = Path::new(USUAL_FILE);
    match file {
        Some(file) => Ok(plimsoll_config::load(file)?),
        None if usual.exists() => Ok(plimsoll_config::load(usual)?),
        None => Err(Failure::Arguments(otherwise.to_owned())),
    }
}

const SERVE_WITHOUT_FILE: &str = "there is no plimsoll.toml here, and no file is named
Name one:         plimsoll serve FILE
or do without:    plimsoll serve --listen 8080 --to 127.0.0.1:9001 --to 127.0.0.1:9002
or just look on:  plimsoll demo";
