//! Where the configuration comes from: a file that was named, the usual one, or the options.

use std::path::Path;

use plimsoll_config::{Admin, Config};
use plimsoll_control::{FileWatch, Source};

use crate::access;
use crate::arguments::Serve;
use crate::console;
use crate::failure::Failure;

/// The file that is read when none is named.
pub(crate) const USUAL_FILE: &str = "plimsoll.toml";

/// The configuration that the arguments of `serve` ask for, and where it can be had anew.
pub(crate) fn for_serve(arguments: &Serve) -> Result<(Config, Source), Failure> {
    let (policy, workers) = (arguments.policy, arguments.workers);
    let complete = move |mut config: Config| {
        if let Some(policy) = policy {
            for pool in &mut config.pools {
                pool.policy = policy;
            }
        }
        config.workers = workers.or(config.workers);
        config
    };
    if let Some(listen) = &arguments.listen {
        let admin = (!arguments.no_admin).then(Admin::local);
        let config = complete(Config::quick(listen, &arguments.to)?);
        return Ok((Config { admin, ..config }, Source::Arguments));
    }
    let file = file(arguments.file.as_deref(), SERVE_WITHOUT_FILE)?.to_owned();
    let watch = arguments.watch.then(|| FileWatch::new(file.clone()));
    let path = file.clone();
    // The start sees to it that a reload can do as much. That one does it by itself: it is the account already.
    let config = plimsoll_config::load_judged(&file, access::judge).map(complete)?;
    let load = move || plimsoll_config::load(&path).map(complete);
    Ok((config, Source::File { path: file, load: Box::new(load), watch }))
}

/// The configuration in `file`, or in the usual file when none is named; `otherwise` is said when that is not there
/// either.
///
/// An account that this machine does not know is a warning, since a configuration is often checked elsewhere; what the account
/// cannot reach is an error.
pub(crate) fn from_file(file: Option<&Path>, otherwise: &str) -> Result<Config, Failure> {
    let file = self::file(file, otherwise)?;
    let config = plimsoll_config::load_judged(file, access::judge_file)?;
    if let Err(unknown) = plimsoll_config::load_judged(file, access::judge_account) {
        for diagnostic in &unknown {
            let line = diagnostic.line().map_or_else(String::new, |line| format!(":{line}"));
            let help = diagnostic.help().map_or_else(String::new, |help| format!("\n  = help: {help}"));
            let (file, message) = (diagnostic.file(), diagnostic.message());
            console::say(format_args!("warning: {file}{line}: {message} on this machine{help}"));
        }
    }
    Ok(config)
}

fn file<'a>(named: Option<&'a Path>, otherwise: &str) -> Result<&'a Path, Failure> {
    let usual = Some(Path::new(USUAL_FILE)).filter(|usual| usual.exists());
    named.or(usual).ok_or_else(|| Failure::Arguments(otherwise.to_owned()))
}

const SERVE_WITHOUT_FILE: &str = "there is no plimsoll.toml here, and no file is named
Name one:         plimsoll serve FILE
or do without:    plimsoll serve --listen 8080 --to 127.0.0.1:9001 --to 127.0.0.1:9002
or just look on:  plimsoll demo";
