//! Where to listen: no two may want the same place, and a Unix socket needs a folder.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::address_text::LONGEST_SOCKET;
use crate::bind;
use crate::protocol::Bind;
use crate::raw;
use crate::reader::Reader;
use crate::setting::Field;
use crate::wording::{quoted, quoted_path};

/// Where a listener listens; `folder` is where relative paths begin.
pub(super) fn resolve(raw: &raw::Listener, folder: &Path, reader: &mut Reader) -> Vec<Bind> {
    let mut place = |field: &Field<bind::Bind>| match &field.value {
        bind::Bind::Ip(address) => Bind::Ip(*address),
        bind::Bind::Unix(path) => Bind::Unix(socket("bind", (path, &field.span), folder, reader)),
    };
    raw.bind.value.0.iter().map(&mut place).collect()
}

/// The path of the Unix socket that the setting `key` has made.
pub(super) fn socket(key: &str, (path, span): (&str, &Range<usize>), folder: &Path, reader: &mut Reader) -> PathBuf {
    let path = folder.join(path);
    let inside = path.parent().filter(|inside| !inside.as_os_str().is_empty());
    if !check_length(key, &path, span, reader) {
        return path;
    }
    if let Some(missing) = inside.filter(|inside| !inside.is_dir()) {
        let message = format!("there is no folder {} to make the socket in", quoted_path(missing));
        reader.report(span.clone(), message, "make the folder, or write another path");
    }
    path
}

/// Whether the system takes the path of a Unix socket; one that is too long is reported.
pub(super) fn check_length(key: &str, path: &Path, span: &Range<usize>, reader: &mut Reader) -> bool {
    let fits = path.as_os_str().len() <= LONGEST_SOCKET;
    if !fits {
        let message = format!("`{key}` is longer than {LONGEST_SOCKET} bytes, which the system allows");
        reader.report(span.clone(), message, "write a shorter path");
    }
    fits
}

/// No two binds may want the same place.
pub(super) fn check(file: &raw::File, folder: &Path, reader: &mut Reader) {
    let mut taken = Taken::default();
    for entry in &file.listen.value.0 {
        let owner = format!("listener {}", quoted(&entry.name));
        for bind in entry.table.iter().flat_map(|table| &table.bind.value.0) {
            match &bind.value {
                bind::Bind::Ip(address) => taken.address(*address, &owner, &bind.span, reader),
                bind::Bind::Unix(path) => taken.socket(folder.join(path), &owner, &bind.span, reader),
            }
        }
    }
    let Some(admin) = &file.admin else { return };
    for bind in admin.value.bind.iter().flat_map(|binds| &binds.value.0) {
        taken.address(bind.value.0, "`admin`", &bind.span, reader);
    }
    if let Some(socket) = &admin.value.socket {
        taken.socket(folder.join(&socket.value.0), "`admin`", &socket.span, reader);
    }
}

/// The places that are listened on, each with its owner.
#[derive(Default)]
struct Taken {
    /// By port.
    addresses: HashMap<u16, Vec<(SocketAddr, String)>>,
    sockets: HashMap<PathBuf, String>,
}

impl Taken {
    fn address(&mut self, address: SocketAddr, owner: &str, span: &Range<usize>, reader: &mut Reader) {
        // The system gives each of these a port of its own.
        if address.port() == 0 {
            return;
        }
        let others = self.addresses.entry(address.port()).or_default();
        if let Some((other, owner)) = others.iter().find(|(other, _)| overlap(*other, address)) {
            let message = if *other == address {
                format!("{address} is listened on twice")
            } else {
                format!("{address} overlaps {other}, as one of them is every address")
            };
            let help = format!("{owner} has {other} already: remove one, or change a port");
            reader.report(span.clone(), message, help);
        } else if others.len() < MOST_BINDS_OF_A_PORT {
            others.push((address, owner.to_owned()));
        }
    }

    fn socket(&mut self, path: PathBuf, owner: &str, span: &Range<usize>, reader: &mut Reader) {
        if let Some(owner) = self.sockets.get(&path) {
            let message = format!("the socket {} is listened on twice", quoted_path(&path));
            let help = format!("{owner} has it already: remove one, or write another path");
            reader.report(span.clone(), message, help);
        } else {
            self.sockets.insert(path, owner.to_owned());
        }
    }
}

/// How many binds of one port are compared with each other: more than any machine has addresses in use, and few
/// enough that a hostile file costs no time.
const MOST_BINDS_OF_A_PORT: usize = 1000;

/// Whether two addresses of the same port cannot both be bound. `[::]` takes IPv4 too.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let covers =
        |wide: SocketAddr, other: SocketAddr| wide.ip().is_unspecified() && (wide.is_ipv6() || other.is_ipv4());
    a.ip() == b.ip() || covers(a, b) || covers(b, a)
}
