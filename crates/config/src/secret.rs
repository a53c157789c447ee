//! What the configuration only points at and nobody else may see: tokens and private keys.

mod renew;

use std::env;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use serde_json::json;

use crate::files::{Files, Unfit, content_of};
use crate::process::Need;
use crate::reader::Reader;
use crate::setting::{Field, Item, Place, Setting, Shape};
use crate::wording::{quoted, quoted_path};

/// Something that no message shows: its `Debug` says only where it comes from.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    content: Arc<[u8]>,
    source: String,
    exposed: bool,
}

impl Secret {
    /// The secret itself.
    pub fn bytes(&self) -> &[u8] {
        &self.content
    }

    /// Where it was read, to end a message: the path of a file, or the name of an environment variable.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether its file can be read by every user of the machine.
    pub fn is_exposed(&self) -> bool {
        self.exposed
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("source", &self.source).finish_non_exhaustive()
    }
}

/// The path of a file, relative to the folder of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilePath(pub(crate) String);

impl Setting for FilePath {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref().as_str() {
            None => reader.unfit(item, place, "write it in quotes"),
            Some(path) if path.is_empty() || path.contains('\0') || path.ends_with('/') => {
                reader.unfit(item, place, "write \"/run/plimsoll/name\", or a path from the folder of this file")
            }
            Some(path) => Some(Self(path.to_owned())),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "the path of a file".to_owned(),
            schema: json!({ "type": "string", "pattern": "[^/]$" }),
            table: None,
        }
    }
}

/// The name of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VariableName(pub(crate) String);

impl Setting for VariableName {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let fits = |name: &str| !name.is_empty() && !name.contains(['=', '\0', ' ']);
        match item.get_ref().as_str().filter(|name| fits(name)) {
            Some(name) => Some(Self(name.to_owned())),
            None => reader.unfit(item, place, "write \"PLIMSOLL_TOKEN\""),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "the name of an environment variable".to_owned(),
            schema: json!({ "type": "string", "pattern": "^[^= ]+$" }),
            table: None,
        }
    }
}

/// A longer file is something else than a token.
const LONGEST_TOKEN: u64 = 4096;

/// A shorter token can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// As long as what it signs with it (RFC 2104, section 3).
const SHORTEST_KEY: usize = 32;

/// Certificates and keys: a chain with its intermediates is some kilobytes.
const LARGEST_PEM: u64 = 1 << 20;

/// An OCSP response, which goes into each handshake, is one or two kilobytes.
const LARGEST_OCSP: u64 = 64 << 10;

/// The token in the file at `path`, or a report why there is none.
pub(crate) fn token_in_file(path: &Field<FilePath>, files: &Files<'_>, reader: &mut Reader) -> Option<Secret> {
    let secret = in_file("file", path, LONGEST_TOKEN, files, reader)?;
    let content = without_line_end(secret.bytes()).into();
    checked(Secret { content, ..secret }, path, reader)
}

/// The token in an environment variable, or a report why there is none.
pub(crate) fn token_in_variable(name: &Field<VariableName>, reader: &mut Reader) -> Option<Secret> {
    let variable = &name.value.0;
    let Some(text) = env::var_os(variable) else {
        let message = format!("there is no environment variable {}", quoted(variable));
        reader.report(name.span.clone(), message, "set it, or write `file = …` to read the token from a file");
        return None;
    };
    let content = without_line_end(text.as_encoded_bytes()).into();
    checked(Secret { content, source: variable.clone(), exposed: false }, name, reader)
}

/// The key in a file, with which cookies are signed, or a report why there is none.
pub(crate) fn signing_key(path: &Field<FilePath>, files: &Files<'_>, reader: &mut Reader) -> Option<Secret> {
    let secret = in_file("key", path, LONGEST_TOKEN, files, reader)?;
    let content: Arc<[u8]> = without_line_end(secret.bytes()).into();
    if content.len() < SHORTEST_KEY {
        let message = format!("the key is shorter than {SHORTEST_KEY} bytes");
        reader.report(path.span.clone(), message, "make one with `openssl rand -hex 32`");
        return None;
    }
    Some(Secret { content, ..secret })
}

/// The certificates or the key in a file, which are PEM.
pub(crate) fn pem(key: &str, path: &Field<FilePath>, files: &Files<'_>, reader: &mut Reader) -> Option<Secret> {
    in_file(key, path, LARGEST_PEM, files, reader)
}

/// The OCSP response in a file, which is DER.
pub(crate) fn ocsp(path: &Field<FilePath>, files: &Files<'_>, reader: &mut Reader) -> Option<Secret> {
    in_file("ocsp", path, LARGEST_OCSP, files, reader)
}

fn in_file(key: &str, path: &Field<FilePath>, largest: u64, files: &Files<'_>, reader: &mut Reader) -> Option<Secret> {
    let file = files.path(&path.value.0);
    match content_of(&file, largest) {
        Ok(content) => {
            reader.need(path.span.clone(), Need::Read(file.clone()));
            let exposed = file.metadata().is_ok_and(|about| is_exposed(&about));
            Some(Secret { content: content.into(), source: file.display().to_string(), exposed })
        }
        Err(Unfit(why)) => {
            let help = format!("it was looked for at {}", quoted_path(&file));
            reader.report(path.span.clone(), format!("`{key}` cannot be used: {why}"), help);
            None
        }
    }
}

/// Whether every user of the machine can read a file.
pub(crate) fn is_exposed(about: &Metadata) -> bool {
    let everyone = 0o004;
    about.mode() & everyone != 0
}

/// Editors and `echo` end a file with a line end that is no part of the token.
fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// The token, if it can stand in a field of a request (RFC 6750, section 2.1) and cannot be guessed.
fn checked<T>(secret: Secret, setting: &Field<T>, reader: &mut Reader) -> Option<Secret> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    let what = if secret.bytes().len() < SHORTEST_TOKEN {
        format!("the token is shorter than {SHORTEST_TOKEN} characters")
    } else if !secret.bytes().iter().all(allowed) {
        "the token has a character other than letters, digits and -._~+/=".to_owned()
    } else {
        return Some(secret);
    };
    reader.report(setting.span.clone(), what, "make one with `openssl rand -hex 32`");
    None
}
