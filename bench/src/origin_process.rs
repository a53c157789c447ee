//! The origin in a process of its own, on the load's core.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, bail};

use crate::interrupt;
use crate::machine::Cores;
use crate::origin::Origin;
use crate::process::{Launch, Process, Scratch};

/// A running origin; ends when dropped.
pub(crate) struct OriginProcess {
    _process: Process,
    ports: Vec<u16>,
}

impl OriginProcess {
    /// Starts one that listens on that many ports.
    pub(crate) fn start(servers: usize, cores: Cores, scratch: &Scratch) -> anyhow::Result<Self> {
        let arguments = ["origin", "--servers", &servers.to_string()].map(OsString::from);
        let mut process = Process::start(&Launch {
            name: "the origin",
            program: &std::env::current_exe()?,
            arguments: &arguments,
            core: cores.load,
            log: scratch.room("origin")?.join("log"),
            read_stdout: true,
            write_stdin: false,
        })?;
        let mut line = String::new();
        BufReader::new(process.take_stdout()?).read_line(&mut line)?;
        let ports: Result<Vec<u16>, _> = line.split_ascii_whitespace().map(str::parse).collect();
        let ports = ports.context("the origin's ports are not numbers")?;
        if ports.len() != servers {
            bail!("the origin did not start: {}", process.last_words());
        }
        Ok(Self { _process: process, ports })
    }

    /// The ports its servers listen on.
    pub(crate) fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// The address of its first server.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[0]))
    }
}

/// The child's side: serves on that many ports and writes them to stdout as one line.
pub(crate) fn serve(servers: usize) -> anyhow::Result<()> {
    interrupt::watch()?;
    let origin = Origin::bind(servers)?;
    let ports: Vec<String> = origin.ports()?.iter().map(u16::to_string).collect();
    println!("{}", ports.join(" "));
    origin.run(interrupt::flag())
}
