//! What can be typed.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use plimsoll_core::PolicyKind;

use crate::duration::duration;
use crate::remote::arguments::Command as Remote;

/// The most workers, as in the setting of that name.
const MOST_WORKERS: u64 = 1024;

/// A load balancer that sends every request to the server that is least busy right now.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = "Nothing at hand to balance? Try: plimsoll demo")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Balance requests, as a file says or as the options say
    Serve(Serve),
    /// Show three servers of unequal speed, the balancer and a gentle load at work
    Demo(Demo),
    /// Check a configuration and say what it would do
    Check(Check),
    /// Say which route a request would have, and why those before it are not for it
    Route(RouteOf),
    /// Make a certificate to try TLS with, signed by itself
    Cert(Cert),
    /// Print the JSON schema of the configuration file
    Schema,
    /// Print all settings of the configuration file, in Markdown
    Reference,
    #[command(flatten)]
    Remote(Remote),
}

/// The arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "Without a file and without options, plimsoll.toml is read where it is there.

Examples:
  plimsoll serve plimsoll.toml
  plimsoll serve --listen 8080 --to 127.0.0.1:9001 --to 127.0.0.1:9002,weight=4")]
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
    /// Serve no admin API, dashboard and metrics, which without a file are at 127.0.0.1:9900 or, where that is taken, at a
    /// free port
    #[arg(long, requires = "listen")]
    pub(crate) no_admin: bool,
    /// Look at the file each second, and reload when it has changed
    #[arg(long, conflicts_with = "listen")]
    pub(crate) watch: bool,
    /// Worker threads, whatever the file says [default: the cores this process may use]
    #[arg(long, value_name = "NUMBER", value_parser = workers())]
    pub(crate) workers: Option<NonZeroUsize>,
}

/// The arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the balancer listens: a port of this machine or an address; port 0 is a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: String,
    /// How long to run, such as 5s, 500ms or 2m [default: until Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) lasts: Option<Duration>,
    /// Requests a second
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rate: u32,
    /// How servers are picked
    #[arg(long, value_name = "NAME", default_value_t, value_parser = policy())]
    pub(crate) policy: PolicyKind,
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

/// The arguments of `route`.
#[derive(Debug, Args)]
#[command(after_help = "Exits with 0 when there is a route, with 1 when there is none.

Examples:
  plimsoll route plimsoll.toml GET https://shop.example/cart?item=7 -H 'X-Beta: yes'
  plimsoll route plimsoll.toml POST /login --listener web --client 203.0.113.7")]
pub(crate) struct RouteOf {
    /// The configuration file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The method of the request, such as GET
    #[arg(value_name = "METHOD")]
    pub(crate) method: String,
    /// What is asked for: a URL, or a path where the host does not matter
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// A field of the request's head; give it once for each
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,
    /// The client's address, as it is believed: what X-Forwarded-For says is not looked at [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) client: Option<IpAddr>,
    /// The listener [default: the one that the URL leads to]
    #[arg(long, value_name = "NAME")]
    pub(crate) listener: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `cert`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  plimsoll cert --name app.example --name '*.app.example' --days 30")]
pub(crate) struct Cert {
    /// A host name or an IP address that it is for; give it once for each [default: localhost, 127.0.0.1 and `::1`]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Vec<String>,
    /// For how many days it is valid, from now on
    #[arg(long, value_name = "NUMBER", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub(crate) days: u32,
    /// The folder for the two files, NAME.pem and NAME.key after the first name
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) out: PathBuf,
    /// Replace files that are there already
    #[arg(long)]
    pub(crate) force: bool,
}

fn policy() -> impl TypedValueParser<Value = PolicyKind> {
    PossibleValuesParser::new(PolicyKind::ALL.map(PolicyKind::name)).try_map(|name| name.parse::<PolicyKind>())
}

fn workers() -> impl TypedValueParser<Value = NonZeroUsize> {
    clap::value_parser!(u64).range(1..=MOST_WORKERS).try_map(|count| NonZeroUsize::try_from(count as usize))
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
