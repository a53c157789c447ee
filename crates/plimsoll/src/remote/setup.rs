//! From what was typed to a client: where the API is, the token it wants, the certificates to trust.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::Context;
use reqwest::Certificate;
use reqwest::header::HeaderValue;

use super::arguments::Connection;
use super::client::{Access, Client};
use super::place::Place;
use super::trouble::Origin;
use crate::failure::Failure;

/// The variable that a token may be in.
const TOKEN: &str = "PLIMSOLL_TOKEN";

/// Where the API listens when nothing else is said.
const USUAL: &str = "127.0.0.1:9900";

/// The client that `connection` asks for. Nothing is sent yet.
pub(crate) fn client(connection: &Connection) -> Result<Client, Failure> {
    let (place, origin) = place(connection)?;
    let access = Access { place, origin, token: token(connection)?, trusted: trusted(connection)? };
    Ok(Client::new(access)?)
}

fn place(connection: &Connection) -> Result<(Place, Origin), Failure> {
    // A variable that is set to nothing says nothing.
    if let Some(admin) = connection.admin.as_deref().filter(|admin| !admin.is_empty()) {
        return Ok((Place::parse(admin).map_err(Failure::Arguments)?, Origin::User));
    }
    Ok((Place::parse(USUAL).map_err(Failure::Arguments)?, Origin::Usual))
}

/// What to send as `Authorization` (RFC 6750, section 2.1).
fn token(connection: &Connection) -> Result<Option<HeaderValue>, Failure> {
    let (token, from) = match &connection.token_file {
        Some(file) => (read(file)?, file.display().to_string()),
        None => match env::var(TOKEN) {
            Ok(token) if !token.is_empty() => (token.into_bytes(), TOKEN.to_owned()),
            _ => return Ok(None),
        },
    };
    // An editor's line end is no part of it.
    let header = [b"Bearer ", token.trim_ascii_end()].concat();
    let wrong = |_| Failure::Arguments(format!("what is in {from} can be no token: it has control characters"));
    let mut header = HeaderValue::from_bytes(&header).map_err(wrong)?;
    header.set_sensitive(true);
    Ok(Some(header))
}

fn trusted(connection: &Connection) -> Result<Option<Vec<Certificate>>, Failure> {
    let Some(file) = &connection.ca else { return Ok(None) };
    let certificates = Certificate::from_pem_bundle(&read(file)?).unwrap_or_default();
    if certificates.is_empty() {
        return Err(Failure::Arguments(format!("{} has no certificate in PEM in it", file.display())));
    }
    Ok(Some(certificates))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}
