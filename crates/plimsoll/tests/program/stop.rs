//! How `plimsoll serve` stops: nothing that was accepted is lost.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;

use super::kit::{Client, Folder, Origin, Running, plimsoll, until};

/// Clients at once.
const CLIENTS: usize = 6;

/// Requests answered before the stop, so that it comes in the middle of the load.
const WARM: usize = 300;

#[test]
fn a_stop_under_load_loses_no_request() {
    for signal in [Signal::TERM, Signal::INT] {
        let origins = [Origin::quick("a"), Origin::quick("b")];
        let to = origins.each_ref().map(|origin| origin.address.to_string());
        let arguments = ["serve", "--listen", "0", "--to", &to[0], "--to", &to[1], "--workers", "2"];
        let mut program = Running::saying(plimsoll(&arguments));
        let load = Arc::new(Load {
            address: program.address(),
            answered: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        });
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| Arc::clone(&load)).map(|load| thread::spawn(move || load.run())).collect();
        until("the load is under way", || load.answered.load(Ordering::SeqCst) >= WARM);
        load.stopping.store(true, Ordering::SeqCst);
        program.signal(signal);
        for client in clients {
            client.join().expect("no request was lost");
        }
        let (code, said) = program.end();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("stopping: "), "{said}");
        assert!(said.ends_with("stopped: every request was finished\n"), "{said}");
        let arrived: usize = origins.iter().map(Origin::requests).sum();
        assert_eq!(arrived, load.answered.load(Ordering::SeqCst), "each was forwarded once and answered once");
    }
}

struct Load {
    address: SocketAddr,
    answered: AtomicUsize,
    /// Set before the signal is sent.
    stopping: AtomicBool,
}

impl Load {
    /// One request after the other on connections that are kept, until a new one is not accepted any more. Panics
    /// when a request is lost.
    fn run(&self) {
        loop {
            let stopping = self.stopping.load(Ordering::SeqCst);
            match Client::connect(self.address) {
                Ok(mut client) => {
                    if self.use_up(&mut client, stopping) == Accepted::No {
                        return;
                    }
                }
                Err(error) => {
                    // Reset is what a connection gets that was not complete when the socket was closed.
                    let refused = matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset);
                    assert!(refused && self.stopping.load(Ordering::SeqCst), "{error}");
                    return;
                }
            }
        }
    }

    /// Requests until an answer says that the connection closes.
    fn use_up(&self, client: &mut Client, opened_while_stopping: bool) -> Accepted {
        let mut first = true;
        loop {
            let answer = client.send().and_then(|()| client.answer());
            match answer {
                Ok(Some(answer)) => {
                    assert_eq!(answer.status, 200, "{answer:?}");
                    self.answered.fetch_add(1, Ordering::SeqCst);
                    if answer.closes {
                        assert!(self.stopping.load(Ordering::SeqCst), "closed before the stop");
                        return Accepted::Yes;
                    }
                }
                // The kernel completes connections for a socket that is about to be closed and then resets them:
                // nobody had accepted this one.
                Ok(None) | Err(_) if first && opened_while_stopping => return Accepted::No,
                other => panic!("a request was lost: {other:?}"),
            }
            first = false;
        }
    }
}

#[derive(PartialEq, Eq)]
enum Accepted {
    Yes,
    No,
}

#[test]
fn a_request_under_way_is_waited_for_until_the_time_is_over() {
    let silent = Origin::silent();
    let folder = Folder::new();
    let text = format!(
        "shutdown_timeout = \"200ms\"\n[listen.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n[pool.app]\nservers = [\"{}\"]\n",
        silent.address
    );
    let file = folder.file("short.toml", &text);
    let mut program = Running::saying(plimsoll(&["serve", &file]));
    let mut client = Client::connect(program.address()).expect("it listens");
    client.send().expect("the request can be sent");
    until("the request is under way", || silent.requests() == 1);
    program.signal(Signal::TERM);
    let (code, said) = program.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("for up to 200ms"), "{said}");
    assert!(said.ends_with("stopped: 1 connection was still busy and was cut off\n"), "{said}");
    assert!(!matches!(client.answer(), Ok(Some(_))), "nothing can have been answered");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let silent = Origin::silent();
    let to = silent.address.to_string();
    let mut program = Running::saying(plimsoll(&["serve", "--listen", "0", "--to", &to]));
    let mut client = Client::connect(program.address()).expect("it listens");
    client.send().expect("the request can be sent");
    until("the request is under way", || silent.requests() == 1);
    program.signal(Signal::INT);
    program.line("once more to stop at once");
    program.signal(Signal::INT);
    let (code, said) = program.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.ends_with("stopping at once\n"), "{said}");
}
