//! The servers of a run: processes on the load's core that can be told what is wrong with them, killed and started
//! again on the same port, and that count for themselves.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::process::{ChildStdin, ChildStdout};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use rustix::fd::OwnedFd;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};

use super::server::{Fault, Server, Sums};
use crate::interrupt;
use crate::process::{Launch, Process, Scratch};

/// All servers of the pool.
pub(super) struct Fleet<'a> {
    members: Vec<Member>,
    core: usize,
    scratch: &'a Scratch,
    seed: u64,
}

struct Member {
    port: u16,
    /// Bound to the port but listening to nothing: while the server is down nobody else is given its port, and no
    /// connection to it can begin at that very port and so meet itself.
    _reserved: OwnedFd,
    lives: Vec<Life>,
}

/// One process of a server, from its start to its end.
struct Life {
    process: Process,
    orders: ChildStdin,
    reports: BufReader<ChildStdout>,
    killed: bool,
    /// When it was asked to count.
    asked: Vec<Duration>,
}

/// What one process of a server counted, and when it was asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Record {
    pub(super) samples: Vec<(Duration, Sums)>,
}

impl<'a> Fleet<'a> {
    /// Starts all but those that are to be absent at first, and waits until they listen.
    pub(super) fn start(servers: usize, absent: Option<usize>, seed: u64, place: Place<'a>) -> anyhow::Result<Self> {
        let reserve = |_| reserve().context("no free port");
        let members: anyhow::Result<Vec<Member>> = (0..servers).map(reserve).collect();
        let mut fleet = Self { members: members?, core: place.core, scratch: place.scratch, seed };
        for index in (0..servers).filter(|index| Some(*index) != absent) {
            fleet.revive(index, Fault::None)?;
            let life = fleet.members[index].lives.last_mut().context("a server without a process")?;
            let mut line = String::new();
            life.reports.read_line(&mut line)?;
            if line.trim_ascii() != READY {
                bail!("server {index} did not start: {}", life.process.last_words());
            }
            // The line of a process started later stays in its pipe until the end, and is skipped then.
        }
        Ok(fleet)
    }

    /// The ports, whether somebody listens there or not.
    pub(super) fn ports(&self) -> Vec<u16> {
        self.members.iter().map(|member| member.port).collect()
    }

    /// Starts a server that is not running; it listens a moment later. Each life of each of fewer than a hundred
    /// servers has a seed of its own.
    pub(super) fn revive(&mut self, index: usize, fault: Fault) -> anyhow::Result<()> {
        let member = &mut self.members[index];
        let seed = self.seed.wrapping_add((index + 1 + member.lives.len() * 100) as u64);
        let fault = fault.to_possible_value().context("a fault without a name")?.get_name().to_owned();
        let (port, seed) = (member.port.to_string(), seed.to_string());
        let arguments = ["server", "--port", &port, "--seed", &seed, "--fault", &fault].map(OsString::from);
        let room = self.scratch.room(&format!("server-{index}-{}", member.lives.len()))?;
        let mut process = Process::start(&Launch {
            name: "a server",
            program: &std::env::current_exe()?,
            arguments: &arguments,
            core: self.core,
            log: room.join("log"),
            read_stdout: true,
            write_stdin: true,
        })?;
        let (orders, reports) = (process.take_stdin()?, BufReader::new(process.take_stdout()?));
        member.lives.push(Life { process, orders, reports, killed: false, asked: Vec::new() });
        Ok(())
    }

    /// Kills a server, as `kill -9` does.
    pub(super) fn kill(&mut self, index: usize) -> anyhow::Result<()> {
        let life = self.members[index].lives.last_mut().context("a server that was never started")?;
        life.killed = true;
        life.process.kill()
    }

    /// Tells a server what is wrong with it from now on.
    pub(super) fn set(&mut self, index: usize, fault: Fault) -> anyhow::Result<()> {
        let name = fault.to_possible_value().context("a fault without a name")?;
        let life = self.members[index].lives.last_mut().context("a server that was never started")?;
        writeln!(life.orders, "{}", name.get_name()).context("a server does not take orders")
    }

    /// Asks all that live to count now; they are heard at the end, so that nobody waits for them meanwhile.
    pub(super) fn ask_for_counts(&mut self, now: Duration) -> anyhow::Result<()> {
        for life in self.members.iter_mut().filter_map(|member| member.lives.last_mut()).filter(|life| !life.killed) {
            writeln!(life.orders, "count").context("a server has ended by itself")?;
            life.asked.push(now);
        }
        Ok(())
    }

    /// Ends all servers. Gives what each of their processes counted, by server.
    pub(super) fn finish(self) -> anyhow::Result<Vec<Vec<Record>>> {
        self.members.into_iter().map(|member| member.lives.into_iter().map(Life::finish).collect()).collect()
    }
}

impl Life {
    fn finish(self) -> anyhow::Result<Record> {
        let Self { process: _process, orders, reports, asked, .. } = self;
        // The end of its orders ends the server, and with it the reports.
        drop(orders);
        let lines: io::Result<Vec<String>> = reports.lines().collect();
        let lines = lines.context("cannot read what a server counted")?;
        let sums = lines.iter().filter(|line| *line != READY).map(|line| Sums::parse(line));
        let sums: Option<Vec<Sums>> = sums.collect();
        // One that was killed may have been asked more often than it answered.
        let samples = asked.into_iter().zip(sums.context("a server's count is not in the form this program knows")?);
        Ok(Record { samples: samples.collect() })
    }
}

impl Record {
    /// The sums at a time: those of the last count before it.
    pub(super) fn at(&self, time: Duration) -> Sums {
        self.samples.iter().rev().find(|(asked, _)| *asked <= time).map(|(_, sums)| *sums).unwrap_or_default()
    }
}

/// Where servers run and write.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) core: usize,
    pub(super) scratch: &'a Scratch,
}

/// A port of our own. `SO_REUSEADDR` on both sockets lets a server listen on it all the same.
fn reserve() -> anyhow::Result<Member> {
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    net::sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let address = SocketAddr::try_from(net::getsockname(&socket)?)?;
    Ok(Member { port: address.port(), _reserved: socket, lives: Vec::new() })
}

const READY: &str = "ready";

/// The child's side: serves on that port and says when it does.
pub(crate) fn serve(port: u16, seed: u64, fault: Fault) -> anyhow::Result<()> {
    interrupt::watch()?;
    // The standard library sets `SO_REUSEADDR`.
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| format!("cannot open port {port}"))?;
    let server = Server::new(listener, seed, fault)?;
    println!("{READY}");
    // Not through the buffer of the standard library, in which an order could wait unseen.
    let orders = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    server.run(orders, io::stdout().lock(), interrupt::flag())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_can_be_listened_on_and_refuses_while_nobody_does() {
        let member = reserve().expect("a free port");
        let address = (Ipv4Addr::LOCALHOST, member.port);
        let refused = std::net::TcpStream::connect(address).expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        for _ in 0..2 {
            let listener = TcpListener::bind(address).expect("the port is ours");
            std::net::TcpStream::connect(address).expect("a connection");
            listener.accept().expect("it came");
        }
    }

    #[test]
    fn a_record_holds_what_was_counted_last() {
        let second = |seconds| Duration::from_secs(seconds);
        let sums = |answered| Sums { answered, ..Sums::default() };
        let record = Record { samples: vec![(second(1), sums(10)), (second(2), sums(30))] };
        let answered = |at| record.at(second(at)).answered;
        assert_eq!([answered(0), answered(1), answered(2), answered(9)], [0, 10, 30, 30]);
    }
}
