//! The program as its user meets it: what it prints, what it exits with, how it stops.

mod cert;
mod check;
mod commands;
mod demo;
mod descriptors;
mod kit;
mod packaging;
mod reload;
mod remote;
mod rights;
mod serve;
mod stop;
mod systemd;
mod tls;
mod workers;
