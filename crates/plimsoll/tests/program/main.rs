//! The program as its user meets it: what it prints, what it exits with, how it stops.

mod cert;
mod check;
mod commands;
mod demo;
mod kit;
mod reload;
mod remote;
mod serve;
mod stop;
mod tls;
