//! `WebSocket`s that spread, also over a server that comes back.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message};

use super::named;
use crate::kit::{Example, Mortal, echo_messages, get, until};

/// Opens a `WebSocket`, says something that must come back, and listens until its end: whether it was asked to connect
/// again.
fn live(to: SocketAddr) -> bool {
    let Ok(stream) = TcpStream::connect(to) else { return false };
    let Ok((mut socket, _)) = tungstenite::client(format!("ws://{to}/ws"), stream) else { return false };
    let mut asked = false;
    if socket.send(Message::text("hello")).is_err() {
        return false;
    }
    loop {
        match socket.read() {
            Ok(Message::Close(Some(frame))) => asked = frame.code == CloseCode::Restart,
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return asked,
            Err(_) => return false,
        }
    }
}

#[test]
fn open_ones_count_and_the_oldest_make_way_for_a_server_that_comes_back() {
    let pages = ["a", "b"].map(named);
    // How many are open on each, which lives longer than the server.
    let open = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    let mut servers = open.each_ref().map(|open| {
        let open = Arc::clone(open);
        Mortal::start(move |talk| {
            open.fetch_add(1, Ordering::SeqCst);
            echo_messages(talk);
            open.fetch_sub(1, Ordering::SeqCst);
        })
    });
    let mut example = Example::of("websockets.toml").server(9001, pages[0].address()).server(9002, pages[1].address());
    for (port, server) in (9003..).zip(&servers) {
        example = example.server(port, server.address());
    }
    let program = example.start();
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..12)
        .map(|_| {
            let (over, asked, to) = (Arc::clone(&over), Arc::clone(&asked), program.address());
            thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    asked.fetch_add(usize::from(live(to)), Ordering::SeqCst);
                }
            })
        })
        .collect();
    let spread = || open.each_ref().map(|open| open.load(Ordering::SeqCst));
    until("they are spread evenly", || spread() == [4, 4, 4]);
    assert!(["a", "b"].contains(&program.ask(get("/")).text().as_str()), "requests are the other pool's");
    servers[2].kill();
    until("the others have them all", || spread() == [6, 6, 0]);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    servers[2].restart();
    until("they are level again", || spread() == [4, 4, 4]);
    assert_eq!(asked.load(Ordering::SeqCst), 4, "no more were asked than it took");
    over.store(true, Ordering::SeqCst);
    drop(program);
    for client in clients {
        client.join().unwrap();
    }
}
