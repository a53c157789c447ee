//! From what was typed to a client: where the API is, the token it wants, the certificates to trust.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::Context;
use plimsoll_config::Admin;
use reqwest::Certificate;
use reqwest::header::HeaderValue;

use super::arguments::Connection;
use super::client::{Access, Client};
use super::place::Place;
use super::trouble::Origin;
use crate::console::say;
use crate::failure::Failure;
use crate::source::USUAL_FILE;

/// The variable that a token may be in.
const TOKEN: &str = "PLIMSOLL_TOKEN";

/// Where the API listens when nothing else is said.
const USUAL: &str = "127.0.0.1:9900";

/// The client that `connection` asks for. Nothing is sent yet.
pub(crate) fn client(connection: &Connection) -> Result<Client, Failure> {
    // A variable that is set to nothing says nothing.
    let admin = connection.admin.as_deref().filter(|admin| !admin.is_empty());
    let of_file = if admin.is_none() { of_file() } else { None };
    let (place, origin) = match (admin, &of_file) {
        (Some(admin), _) => (Place::parse(admin).map_err(Failure::Arguments)?, Origin::User),
        (None, Some((_, place))) => (place.clone(), Origin::File),
        (None, None) => (Place::parse(USUAL).map_err(Failure::Arguments)?, Origin::Usual),
    };
    let settings = of_file.map(|(settings, _)| settings);
    let token = token(connection, settings.as_ref())?;
    let trusted = trusted(connection, settings.as_ref())?;
    Ok(Client::new(Access { place, origin, token, trusted })?)
}

/// The admin API of the usual file in this folder, and where it is reached; `None` where there is none.
fn of_file() -> Option<(Admin, Place)> {
    let file = Path::new(USUAL_FILE);
    if !file.exists() {
        return None;
    }
    // A file that is being edited, or whose secrets only Plimsoll's own user may read, must not be in the way.
    let Ok(config) = plimsoll_config::load(file) else {
        say(format_args!("note: ./{USUAL_FILE} cannot be used as it is (see plimsoll check), so {USUAL} is asked"));
        return None;
    };
    let admin = config.admin?;
    let bind = admin.binds.iter().find(|bind| bind.port() != 0);
    let place = match (bind, &admin.socket) {
        (Some(bind), _) => Place::listening(*bind, admin.tls.is_some())?,
        (None, Some(socket)) => Place::Unix(socket.clone()),
        (None, None) => return None,
    };
    Some((admin, place))
}

/// What to send as `Authorization` (RFC 6750, section 2.1).
fn token(connection: &Connection, settings: Option<&Admin>) -> Result<Option<HeaderValue>, Failure> {
    let of_variable = || env::var(TOKEN).ok().filter(|token| !token.is_empty());
    let of_file = || settings.and_then(|settings| settings.token.as_ref());
    let (token, from) = if let Some(file) = &connection.token_file {
        (read(file)?, file.display().to_string())
    } else if let Some(token) = of_variable() {
        (token.into_bytes(), TOKEN.to_owned())
    } else if let Some(token) = of_file() {
        (token.bytes().to_vec(), token.source().to_owned())
    } else {
        return Ok(None);
    };
    // An editor's line end is no part of it.
    let header = [b"Bearer ", token.trim_ascii_end()].concat();
    let wrong = |_| Failure::Arguments(format!("what is in {from} can be no token: it has control characters"));
    let mut header = HeaderValue::from_bytes(&header).map_err(wrong)?;
    header.set_sensitive(true);
    Ok(Some(header))
}

/// The certificates to trust: those that were given, else the one that the file says is used there.
fn trusted(connection: &Connection, settings: Option<&Admin>) -> Result<Option<Vec<Certificate>>, Failure> {
    let tls = settings.and_then(|settings| settings.tls.as_ref());
    let (pem, from) = match (&connection.ca, tls) {
        (Some(file), _) => (read(file)?, file.display().to_string()),
        (None, Some(tls)) => (tls.cert.bytes().to_vec(), tls.cert.source().to_owned()),
        (None, None) => return Ok(None),
    };
    let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if certificates.is_empty() {
        return Err(Failure::Arguments(format!("{from} has no certificate in PEM in it")));
    }
    Ok(Some(certificates))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}
