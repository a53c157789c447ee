//! Plimsoll's program: arguments, wiring, signals, exit codes.
//!
//! `arguments` says what can be typed. `serve`, `check`, `route`, `cert` and `demo` are the commands; `schema` and `reference` only
//! print what the configuration crate knows, and `remote` holds those that ask a running Plimsoll. `source` finds the configuration, `names` looks its hosts up, `limits`
//! makes room for its sockets, and `plane` wires it all to the data plane. `account` is whom the process becomes, `access` what
//! that one can reach, `pid_file` the file with the process's number, and `systemd` what is told to and taken from that. `watch` tells what happens to the pools,
//! `signals` when to stop, `failure` what the program exits with, and `console` writes to people.

mod access;
mod account;
mod arguments;
mod cert;
mod check;
mod console;
mod demo;
mod duration;
mod failure;
mod limits;
mod pid_file;
mod plane;
mod remote;
mod route;
mod serve;
mod signals;
mod source;
mod systemd;
mod trace;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            console::say(&failure);
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Route(arguments) => route::run(&arguments),
        Command::Cert(arguments) => cert::run(&arguments),
        Command::Remote(command) => remote::run(&command),
        Command::Schema => Ok(console::print(&format!("{:#}\n", plimsoll_config::schema()))?),
        Command::Reference => Ok(console::print(&plimsoll_config::reference())?),
    }
}
