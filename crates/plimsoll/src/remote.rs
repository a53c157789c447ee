//! The commands that ask a running Plimsoll, or change it: clients of the admin API.
//!
//! `arguments` says what can be typed, `setup` finds the API (`place`) and makes the `client`, which knows what to say of
//! `trouble` and reads a `stream`. `names` finds what the user calls pools and servers. Then a module for each kind of
//! command: `status`, `top`, `clients`, `change` (with `new` servers and the `wait` for drained ones), `explain`, `events` and
//! `file`. `table` and `text` are what is printed.
//!
//! What the API says may come from anywhere, a server's name in a hostile file for instance: all of it goes through
//! `text` on its way to a terminal.

pub(crate) mod arguments;
mod change;
mod client;
mod clients;
mod events;
mod explain;
mod file;
mod names;
mod new;
mod place;
#[cfg(test)]
mod samples;
mod setup;
mod status;
mod stream;
pub(crate) mod table;
pub(crate) mod text;
mod top;
mod trouble;
mod wait;

use plimsoll_control::api::State;

use self::arguments::Command;
use crate::failure::Failure;

/// Does what was asked for.
pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Status(arguments) => status::run(arguments),
        Command::Clients(arguments) => clients::run(arguments),
        Command::Top(arguments) => top::run(arguments),
        Command::Drain(arguments) => change::drain(arguments),
        Command::Ready(arguments) => change::state(arguments, State::Ready),
        Command::Down(arguments) => change::state(arguments, State::Down),
        Command::Weight(arguments) => change::weight(arguments),
        Command::Limit(arguments) => change::limit(arguments),
        Command::Add(arguments) => change::add(arguments),
        Command::Remove(arguments) => change::remove(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Events(arguments) => events::run(arguments),
        Command::Reload(arguments) => file::reload(arguments),
        Command::Diff(arguments) => file::diff(arguments),
    }
}
