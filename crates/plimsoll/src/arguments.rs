//! What can be typed.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use plimsoll_core::PolicyKind;

/// The most workers, as in the setting of that name.
const MOST_WORKERS: u64 = 1024;

/// A load balancer that sends every request to the server that is least busy right now.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "Nothing at hand to balance? Try: plimsoll demo"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Balance requests, as a file says or as the options say
    Serve(Serve),
    /// Check a configuration and say what it would do
    Check(Check),
    /// Print the JSON schema of the configuration file
    Schema,
    /// Print all settings of the configuration file, in Markdown
    Reference,
}

/// The arguments of `serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without a file and without options, plimsoll.toml is read where it is there.

Examples:
  plimsoll serve plimsoll.toml
  plimsoll serve --listen 8080 --to 127.0.0.1:9001 --to 127.0.0.1:9002,weight=4"
)]
pub(crate) struct Serve {
    /// The configuration file
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Where clients connect, without a file: a port of this machine or an address, such as 0.0.0.0:8080
    #[arg(long, value_name = "ADDRESS", conflicts_with = "file", requires = "to")]
    pub(crate) listen: Option<String>,
    /// A server, without a file: its address, and after commas its settings. Give it once for each server
    #[arg(long, value_name = "ADDRESS[,KEY=VALUE...]", requires = "listen")]
    pub(crate) to: Vec<String>,
    /// How servers are picked, without a file [default: least-connections]
    #[arg(long, value_name = "NAME", value_parser = policy(), requires = "listen")]
    pub(crate) policy: Option<PolicyKind>,
    /// Worker threads, whatever the file says [default: the cores this process may use]
    #[arg(long, value_name = "NUMBER", value_parser = workers())]
    pub(crate) workers: Option<NonZeroUsize>,
}

/// The arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The configuration file [default: plimsoll.toml]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Look host names up too, as `serve` would
    #[arg(long)]
    pub(crate) look_up: bool,
}

fn policy() -> impl TypedValueParser<Value = PolicyKind> {
    PossibleValuesParser::new(PolicyKind::ALL.map(PolicyKind::name)).try_map(|name| name.parse::<PolicyKind>())
}

fn workers() -> impl TypedValueParser<Value = NonZeroUsize> {
    clap::value_parser!(u64)
        .range(1..=MOST_WORKERS)
        .try_map(|count| NonZeroUsize::try_from(count as usize))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_declarations_agree_with_each_other() {
        Arguments::command().debug_assert();
    }
}
