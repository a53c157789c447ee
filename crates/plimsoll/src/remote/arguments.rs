//! What can be typed to speak to a running Plimsoll.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::duration::duration;

/// What to ask a running Plimsoll, by its admin API.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the pools and their servers: load, health, response times
    Status(Status),
    /// Watch pools and servers full screen, and drain or weigh them by a key
    Top(Top),
    /// Show the limits for each client, and the clients that are busiest
    Clients(Clients),
    /// Let servers finish what they have and take nothing new
    Drain(Drain),
    /// Let servers take requests again
    Ready(Servers),
    /// Take servers out of use
    Down(Servers),
    /// Set the share of a server relative to the others
    Weight(Weight),
    /// Set the most a server may have in flight
    Limit(Limit),
    /// Add a server to a pool
    Add(Add),
    /// Remove a server from its pool; what it has in flight is finished
    Remove(Servers),
    /// Say which server would be picked now, and why not the others
    Explain(Explain),
    /// Print what happened
    Events(Events),
    /// Read the configuration file anew and put it in force
    Reload(Reload),
    /// Print what was changed and differs from the configuration file
    Diff(Diff),
}

/// How the admin API is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Where the admin API is: host:port, a URL, or the path of its Unix socket [default: what `admin` in
    /// ./plimsoll.toml says, else 127.0.0.1:9900]
    #[arg(long, value_name = "ADDRESS", env = "PLIMSOLL_ADMIN")]
    pub(crate) admin: Option<String>,
    /// The file with the token of the API [default: the token in `PLIMSOLL_TOKEN`, if it is set]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The certificates (PEM) to trust with https, in place of those of the system
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

/// The arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  plimsoll status
  plimsoll status app --all
  plimsoll status --json | jq '.pools[].in_flight'
  plimsoll status --admin /run/plimsoll.sock")]
pub(crate) struct Status {
    /// This pool only
    pub(crate) pool: Option<String>,
    /// Every server, where a pool has many, in the order of the configuration
    #[arg(long)]
    pub(crate) all: bool,
    /// What the API says, as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The arguments of `top`.
#[derive(Debug, Args)]
#[command(
    after_help = "Keys: arrows or j k select, tab the next pool, s sort, / filter, d drain, r ready, x down, w weight,
e explain, ? help, q quit.

Examples:
  plimsoll top
  plimsoll top app"
)]
pub(crate) struct Top {
    /// The pool to begin with
    pub(crate) pool: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The arguments of `clients`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  plimsoll clients
  plimsoll clients per_address --top 5
  plimsoll clients per_address --json | jq '.[0].client'")]
pub(crate) struct Clients {
    /// This limit only
    pub(crate) limit: Option<String>,
    /// How many clients of a limit, up to 100
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) top: u8,
    /// What the API says, as JSON: the limits, or the clients of the limit that is named
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The arguments of `drain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  plimsoll drain app/10.0.0.7:8080
  plimsoll drain app/s1 app/s2 --wait --timeout 5m && ssh s1 systemctl restart app")]
pub(crate) struct Drain {
    #[command(flatten)]
    pub(crate) servers: Servers,
    /// Return when they have nothing in flight
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long to wait for that at most, such as 30s or 5m; the exit code is 1 when it was not enough
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s", requires = "wait")]
    pub(crate) timeout: Duration,
}

/// Some servers.
#[derive(Debug, Args)]
pub(crate) struct Servers {
    /// The servers; where there is one pool only their names alone will do
    #[arg(value_name = "POOL/SERVER", required = true)]
    pub(crate) servers: Vec<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The arguments of `weight`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  plimsoll weight app/big 4")]
pub(crate) struct Weight {
    /// The server; where there is one pool only its name alone will do
    #[arg(value_name = "POOL/SERVER")]
    pub(crate) server: String,
    /// Its share; 0 takes nothing new
    #[arg(value_name = "NUMBER")]
    pub(crate) share: u16,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The arguments of `limit`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  plimsoll limit app/small 100
  plimsoll limit app/small none")]
pub(crate) struct Limit {
    /// The server; where there is one pool only its name alone will do
    #[arg(value_name = "POOL/SERVER")]
    pub(crate) server: String,
    /// The most it may have in flight, or `none`
    #[arg(value_name = "NUMBER", value_parser = limit)]
    pub(crate) most: Most,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The most a server may have in flight; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Most(pub(crate) Option<NonZeroU32>);

/// The arguments of `add`.
#[derive(Debug, Args)]
#[command(after_help = "Settings: name, weight, max_connections, backup, state.

Examples:
  plimsoll add app 10.0.0.8:8080
  plimsoll add app 10.0.0.8:8080,name=big,weight=4,max_connections=750 10.0.0.9:8080,backup=true")]
pub(crate) struct Add {
    /// The pool
    pub(crate) pool: String,
    /// The servers: of each its address, and after commas its settings; all of them are added or none
    #[arg(value_name = "ADDRESS[,KEY=VALUE...]", required = true)]
    pub(crate) servers: Vec<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  plimsoll explain app
  plimsoll explain app --tried s1     what a second try would do
  plimsoll explain app --last 20      the last picks as they were made")]
pub(crate) struct Explain {
    /// The pool; where there is only one it need not be named
    pub(crate) pool: Option<String>,
    /// As if the request had been sent to this server before; give it once for each
    #[arg(long, value_name = "SERVER", conflicts_with = "last")]
    pub(crate) tried: Vec<String>,
    /// The last picks instead, this many at most
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) last: Option<u32>,
    /// What the API says, as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The arguments of `events`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  plimsoll events
  plimsoll events --follow
  plimsoll events --after 120 --json")]
pub(crate) struct Events {
    /// Those after this number only
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) after: u64,
    /// Go on with each as it happens, until Ctrl-C
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// As JSON, an event in a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The arguments of `reload`.
#[derive(Debug, Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The arguments of `diff`.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// Undo all of it: what the file says holds again
    #[arg(long, conflicts_with = "json")]
    pub(crate) undo: bool,
    /// What the API says, as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

fn limit(text: &str) -> Result<Most, String> {
    match text {
        "none" => Ok(Most(None)),
        _ => text.parse().map(|limit| Most(Some(limit))).map_err(|_| "write a number from 1, or none".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!(limit("none"), Ok(Most(None)));
        assert_eq!(limit("750"), Ok(Most(NonZeroU32::new(750))));
        for text in ["", "0", "-1", "many", "4294967296"] {
            assert!(limit(text).is_err(), "{text:?}");
        }
    }
}
