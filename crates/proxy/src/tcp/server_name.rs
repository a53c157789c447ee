//! Which pool serves a TLS connection that goes through as it is: by the name that its handshake asks for (SNI, RFC 6066,
//! section 3). The handshake is only read, and stays in the buffer for the server.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use plimsoll_config::ServerName;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt;

use crate::buffer::Buffer;
use crate::connection::Connection;
use crate::served::Served;
use crate::tls::UNRECOGNIZED_NAME;
use crate::wire::Wire;

/// How much of a connection is looked at. The first message of a handshake has 200 bytes to 2 KiB, with tickets, large
/// keys and certificates of the future at most a few more.
const MOST: usize = 16 * 1024;

/// The first byte of a TLS connection: the type of a record with a handshake in it.
const HANDSHAKE: u8 = 22;

/// Which pool serves which names, and which one all else.
pub(super) type Choice<'a> = (&'a [(ServerName, Arc<Served>)], Option<&'a Arc<Served>>);

/// How a client begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    /// With a TLS handshake that asks for this name, in lower case, or for none.
    Tls(Option<String>),
    /// With something else.
    Foreign,
}

/// Why a client is not passed on.
#[derive(Debug)]
pub(super) enum Unnamed {
    Left,
    Late,
    TooLong,
    /// With what the client is told.
    Broken(Vec<u8>),
    /// No pool is for the name, or for clients that ask for none.
    Unknown,
    /// No pool is for what is no TLS.
    Foreign,
}

impl Unnamed {
    /// For the access log; `None` for a client that has left.
    pub(super) fn reason(&self) -> Option<&'static str> {
        Some(match self {
            Self::Left => return None,
            Self::Late => "the TLS handshake did not begin in time",
            Self::TooLong => "the first message of the TLS handshake is too long",
            Self::Broken(_) => "the TLS handshake is broken",
            Self::Unknown => "no pool is for this server name",
            Self::Foreign => "the client does not speak TLS",
        })
    }

    /// Tells the client, if it speaks TLS, and closes.
    pub(super) async fn tell(&self, wire: &mut Wire) {
        let alert = match self {
            Self::Broken(alert) => alert,
            Self::Unknown => &UNRECOGNIZED_NAME[..],
            _ => return wire.reset_on_close(true),
        };
        // These few bytes fit into an empty send buffer; a client that has gone needs to hear nothing.
        if wire.write_all(alert).await.is_ok() {
            let _ = wire.shutdown().await;
        }
    }
}

/// The pool for `name`: one that is for it alone rather than one for all names beside it.
pub(super) fn choose<'a>(names: &'a [(ServerName, Arc<Served>)], name: Option<&str>) -> Option<&'a Arc<Served>> {
    let find = |wanted: &dyn Fn(&ServerName) -> bool| names.iter().find(|(known, _)| wanted(known));
    let name = name?;
    let exact = |known: &ServerName| matches!(known, ServerName::Exact(known) if known == name);
    let parent = name.split_once('.').map(|(_, parent)| parent);
    let beside = |known: &ServerName| matches!(known, ServerName::Wildcard(known) if Some(&**known) == parent);
    find(&exact).or_else(|| find(&beside)).map(|(_, served)| served)
}

/// Reads how a client begins into `input`, where it stays.
pub(super) async fn read(
    connection: &mut Connection,
    input: &mut Buffer,
    patience: Duration,
) -> Result<Greeting, Unnamed> {
    let Connection { wire, deadline, worker, .. } = connection;
    // Room for all that may be looked at, whatever the size of heads is.
    input.grow();
    deadline.set(worker.now() + patience);
    let mut hello = Hello::default();
    poll_fn(|cx| {
        loop {
            if let Some(greeting) = hello.read(input.filled()).transpose() {
                return Poll::Ready(greeting);
            }
            match input.poll_fill(wire, cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => return Poll::Ready(Err(Unnamed::Left)),
                Poll::Pending => return deadline.poll(cx).map(|()| Err(Unnamed::Late)),
            }
        }
    })
    .await
}

/// The first message of a handshake as far as it has come.
#[derive(Default)]
struct Hello {
    acceptor: Acceptor,
    /// Bytes given to it.
    taken: usize,
}

impl Hello {
    /// Looks at all that has come; `None` while that is too little to tell.
    fn read(&mut self, come: &[u8]) -> Result<Option<Greeting>, Unnamed> {
        if come.first().is_some_and(|first| *first != HANDSHAKE) {
            return Ok(Some(Greeting::Foreign));
        }
        while self.taken < come.len().min(MOST) {
            let mut more = &come[self.taken..come.len().min(MOST)];
            let before = more.len();
            // It takes only as much as it has room for, until it is asked for the message.
            let read = self.acceptor.read_tls(&mut more).unwrap_or(0);
            self.taken += before - more.len();
            match self.acceptor.accept() {
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
                    return Ok(Some(Greeting::Tls(name)));
                }
                Ok(None) if read > 0 => {}
                Ok(None) => return Err(Unnamed::TooLong),
                Err((_, mut told)) => {
                    let mut alert = Vec::new();
                    // Writing to a Vec cannot fail.
                    let _ = told.write_all(&mut alert);
                    return Err(Unnamed::Broken(alert));
                }
            }
        }
        if come.len() >= MOST { Err(Unnamed::TooLong) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(bytes: &[u8]) -> Vec<u8> {
        [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    /// The first message of a TLS 1.2 handshake in records of at most `fragment` bytes.
    fn hello(name: Option<&str>, fragment: usize) -> Vec<u8> {
        let mut extensions = [&[0, 13], &*counted(&counted(&[4, 3, 8, 4]))].concat();
        if let Some(name) = name {
            let entry = [&[0], &*counted(name.as_bytes())].concat();
            extensions.extend([&[0, 0], &*counted(&counted(&entry))].concat());
        }
        // Version, random, no session, one cipher suite, no compression.
        let body = [&[3, 3], &[7; 32][..], &[0], &[0, 2, 0xc0, 0x2f], &[1, 0], &counted(&extensions)].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [&[1], &length[1..], &body].concat();
        message.chunks(fragment).flat_map(|part| [&[HANDSHAKE, 3, 1], &*counted(part)].concat()).collect()
    }

    /// What is found when the bytes come in pieces that end at each of `ends`.
    fn in_pieces(bytes: &[u8], ends: impl IntoIterator<Item = usize>) -> Result<Option<Greeting>, Unnamed> {
        let mut hello = Hello::default();
        for end in ends {
            match hello.read(&bytes[..end]) {
                Ok(None) => {}
                found => return found,
            }
        }
        hello.read(bytes)
    }

    fn name(name: &str) -> Greeting {
        Greeting::Tls(Some(name.to_owned()))
    }

    #[test]
    fn a_name_is_found_however_the_handshake_is_cut() {
        for fragment in [1, 7, 16_384] {
            let bytes = hello(Some("App.Example.com"), fragment);
            assert_eq!(in_pieces(&bytes, [0]).unwrap(), Some(name("app.example.com")));
            assert_eq!(in_pieces(&bytes, 0..bytes.len()).unwrap(), Some(name("app.example.com")));
            for end in 0..bytes.len() {
                assert_eq!(in_pieces(&bytes[..end], [end / 2]).unwrap(), None, "{end} of {}", bytes.len());
            }
        }
    }

    #[test]
    fn who_asks_for_no_name_asks_for_none() {
        assert_eq!(in_pieces(&hello(None, 100), []).unwrap(), Some(Greeting::Tls(None)));
        // An address is no name (RFC 6066, section 3), and some send it all the same.
        assert_eq!(in_pieces(&hello(Some("192.0.2.1"), 100), []).unwrap(), Some(Greeting::Tls(None)));
    }

    #[test]
    fn what_is_no_tls_is_known_by_its_first_byte() {
        assert_eq!(in_pieces(b"S", []).unwrap(), Some(Greeting::Foreign));
        assert_eq!(in_pieces(b"", []).unwrap(), None);
    }

    #[test]
    fn what_is_broken_gets_an_alert() {
        let told = |bytes: &[u8]| match in_pieces(bytes, []) {
            Err(Unnamed::Broken(alert)) => alert,
            other => panic!("{other:?}"),
        };
        // A fatal alert in a record.
        assert_eq!(told(&[HANDSHAKE, 3, 1, 0, 4, 2, 0, 0, 0])[..6], [21, 3, 3, 0, 2, 2]);
        assert_eq!(told(&hello(Some("not a name"), 100))[..6], [21, 3, 3, 0, 2, 2]);
    }

    #[test]
    fn a_handshake_that_never_comes_to_its_point_is_given_up() {
        let mut endless = vec![HANDSHAKE, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
        endless.resize(5 + 0x4000, 0);
        endless.extend([HANDSHAKE, 3, 1, 0x40, 0]);
        endless.resize(MOST, 0);
        assert_eq!(in_pieces(&endless[..MOST - 1], []).unwrap(), None);
        assert!(matches!(in_pieces(&endless, []), Err(Unnamed::TooLong)));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_breaks_it(mut bytes in prop::collection::vec(any::<u8>(), 0..600), end in 0..600_usize) {
            bytes.insert(0, HANDSHAKE);
            let _ = in_pieces(&bytes, [end.min(bytes.len())]);
        }

        #[test]
        fn no_change_of_a_byte_breaks_it(at in 0..200_usize, to in any::<u8>()) {
            let mut bytes = hello(Some("app.example.com"), 50);
            let length = bytes.len();
            bytes[at % length] = to;
            let _ = in_pieces(&bytes, [at.min(length)]);
        }
    }
}
