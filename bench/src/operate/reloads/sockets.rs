//! The clients' ends of WebSockets, each of which now and then sends a message and waits for its echo.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::epoll;
use rustix::fd::OwnedFd;

use crate::open_loop::wait;
use crate::{interrupt, load, websocket};

/// From one message to the next, of another WebSocket: each of 200 speaks twice a second.
const EVERY: Duration = Duration::from_micros(2500);

/// How long an echo may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer to the handshake is not longer than this.
const MAX_HEAD: usize = 4096;

/// WebSockets of one address.
pub(super) struct Sockets {
    epoll: OwnedFd,
    target: SocketAddr,
    all: Vec<Socket>,
    sent: u64,
    echoes: u64,
}

struct Socket {
    /// `None` when it was closed, or spoke nonsense.
    stream: Option<TcpStream>,
    heard: Vec<u8>,
    /// The number of the message whose echo has not come yet.
    awaits: Option<u64>,
}

impl Sockets {
    /// None yet.
    pub(super) fn new(target: SocketAddr) -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, target, all: Vec::new(), sent: 0, echoes: 0 })
    }

    /// Opens that many more, one after the other.
    pub(super) fn open(&mut self, count: usize) -> anyhow::Result<()> {
        for number in 1..=count {
            interrupt::check()?;
            let stream = open(self.target).with_context(|| format!("number {number} of {count}"))?;
            let place = self.all.len() as u64;
            epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(place), epoll::EventFlags::IN)?;
            self.all.push(Socket { stream: Some(stream), heard: Vec::new(), awaits: None });
        }
        Ok(())
    }

    /// Has them speak in turn until the flag is set. One whose last message has no echo yet says nothing more.
    pub(super) fn talk(&mut self, over: &AtomicBool) -> anyhow::Result<()> {
        let began = Instant::now();
        for turn in 0.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            self.send(turn as usize % self.all.len());
            let next = EVERY * turn + EVERY;
            loop {
                let left = next.saturating_sub(began.elapsed());
                if left.is_zero() {
                    break;
                }
                self.hear(left)?;
            }
        }
        Ok(())
    }

    /// Has all send a message, once they have the echo of the one before, and waits until they have those echoes, or until
    /// that has taken too long.
    pub(super) fn all_answer(&mut self) -> anyhow::Result<()> {
        self.await_echoes()?;
        (0..self.all.len()).for_each(|place| self.send(place));
        self.await_echoes()
    }

    fn await_echoes(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.silent() > 0 && began.elapsed() < PATIENCE {
            interrupt::check()?;
            self.hear(Duration::from_millis(50))?;
        }
        Ok(())
    }

    /// Those that were closed, and those whose last message has no echo.
    pub(super) fn lost(&self) -> u64 {
        self.all.iter().filter(|socket| socket.stream.is_none()).count() as u64 + self.silent()
    }

    /// How many messages came back.
    pub(super) fn echoes(&self) -> u64 {
        self.echoes
    }

    fn silent(&self) -> u64 {
        self.all.iter().filter(|socket| socket.stream.is_some() && socket.awaits.is_some()).count() as u64
    }

    fn send(&mut self, place: usize) {
        let socket = &mut self.all[place];
        if let Some(stream) = socket.stream.as_mut().filter(|_| socket.awaits.is_none()) {
            self.sent += 1;
            socket.awaits = Some(self.sent);
            // So few bytes are taken whole or not at all.
            if stream.write_all(&websocket::message(self.sent)).is_err() {
                socket.stream = None;
            }
        }
    }

    fn hear(&mut self, time: Duration) -> anyhow::Result<()> {
        let mut events = Vec::with_capacity(64);
        wait::for_events(&self.epoll, &mut events, time)?;
        for event in events {
            let socket = &mut self.all[event.data.u64() as usize];
            match socket.read() {
                Ok(echoes) => self.echoes += echoes,
                Err(Over) => socket.stream = None,
            }
        }
        Ok(())
    }
}

/// A WebSocket was closed, or spoke nonsense.
struct Over;

impl Socket {
    /// Gives how many echoes are whole.
    fn read(&mut self) -> Result<u64, Over> {
        let mut buffer = [0; 256];
        let length = match self.stream.as_mut().map_or(Ok(0), |stream| stream.read(&mut buffer)) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(0),
            Ok(0) | Err(_) => return Err(Over),
            Ok(length) => length,
        };
        self.heard.extend_from_slice(&buffer[..length]);
        let mut echoes = 0;
        while let Some((echo, rest)) = self.heard.split_at_checked(websocket::ECHOED) {
            let number = websocket::number(echo);
            if number.is_none() || number != self.awaits.take() {
                return Err(Over);
            }
            self.heard = rest.to_vec();
            echoes += 1;
        }
        Ok(echoes)
    }
}

/// One WebSocket, open.
fn open(target: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = load::connect(target)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    stream.write_all(&websocket::request(target))?;
    let mut head = Vec::new();
    let mut buffer = [0; MAX_HEAD];
    while !head.ends_with(b"\r\n\r\n") {
        let length = stream.read(&mut buffer).context("no answer")?;
        head.extend_from_slice(&buffer[..length]);
        if length == 0 || head.len() > MAX_HEAD {
            bail!("the answer has no end");
        }
    }
    if !websocket::is_switched(&head) {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        bail!("not switched: {}", String::from_utf8_lossy(line));
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use super::*;
    use crate::origin::Origin;

    #[test]
    fn they_speak_are_counted_by_the_origin_and_are_missed_when_it_goes() {
        let origin = Origin::bind(2).expect("two free ports");
        let targets: Vec<SocketAddr> =
            origin.ports().expect("its ports").iter().map(|port| (Ipv4Addr::LOCALHOST, *port).into()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let serving = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || origin.run(&stop)
        });
        let mut sockets = Sockets::new(targets[1]).expect("an epoll");
        sockets.open(3).expect("it switches");
        assert_eq!(load::websockets_open(targets[0]).expect("it tells"), [0, 3]);
        sockets.all_answer().expect("they wait");
        assert_eq!((sockets.echoes(), sockets.lost()), (3, 0));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let talking = scope.spawn(|| sockets.talk(&over));
            // Ordinary requests are answered meanwhile.
            load::ask_once(&targets[1].into(), 128).expect("an answer");
            over.store(true, Ordering::Relaxed);
            talking.join().expect("the thread").expect("it talks");
        });
        sockets.all_answer().expect("they wait");
        assert!(sockets.echoes() >= 6 && sockets.lost() == 0, "{} echoes", sockets.echoes());
        stop.store(true, Ordering::Relaxed);
        serving.join().expect("the origin's thread").expect("the origin");
        sockets.all_answer().expect("they find it gone");
        assert_eq!(sockets.lost(), 3);
        drop(sockets);
    }
}
