//! The cookie that tells which server a client had: opaque, signed, and bounded in time.
//!
//! Its value is, in Base64 for URLs: a version, 8 bytes that stand for the server, the minute it was made in, and 16 bytes of
//! an HMAC-SHA-256 over these (RFC 2104). What stands for a server is such an HMAC too, of the names of pool and server: it
//! tells nobody anything, and every balancer with the same key and names knows it. The key of both is derived from the one
//! that was given and the name of the cookie, so that one cookie cannot pass for another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use plimsoll_config::{Pool as PoolRules, SameSite, Secret, Secure, StickyCookie};

use crate::http1::decimal;
use crate::http1::fields::Field;

/// The form of the value; another form would get another number.
const VERSION: u8 = 1;

const ID: usize = 8;
const MINUTES: usize = 4;
const MAC: usize = 16;
const SIGNED: usize = 1 + ID + MINUTES;
const VALUE: usize = SIGNED + MAC;

/// As many characters as Base64 makes of the value.
const TEXT: usize = (VALUE * 4).div_ceil(3);

/// What stands for a server.
type Id = [u8; ID];

/// A time in whole minutes since 1970, which lasts for some thousand years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Minutes(u32);

impl Minutes {
    pub(super) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(u32::try_from(since.as_secs() / 60).unwrap_or(u32::MAX))
    }

    /// How long ago this was; nothing where clocks differ and it is still to come.
    fn age(self, now: Self) -> Duration {
        Duration::from_secs(u64::from(now.0.saturating_sub(self.0)) * 60)
    }
}

/// What the values of a request say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// This server; half of the time that it holds is over.
    Server { name: Arc<str>, old: bool },
    /// Nothing that we would have said, or not any more.
    Foreign,
    /// There are none.
    Nothing,
}

/// The most values of one request that are looked at, as each costs a signature. A browser has one for each path and domain
/// that the cookie was ever for.
const MOST_VALUES: usize = 8;

/// Makes and reads the cookies of one pool.
pub(super) struct Signer {
    name: String,
    key: Key,
    max_age: Option<Duration>,
    pub(super) no_store: bool,
    secure: Secure,
    /// What stands behind the value but for `Secure`.
    attributes: String,
    ids: HashMap<Arc<str>, Id>,
    servers: HashMap<Id, Arc<str>>,
}

impl Signer {
    /// For the servers of `rules`, with `secret` where the cookie has no key of its own.
    pub(super) fn new(cookie: &StickyCookie, rules: &PoolRules, secret: &[u8]) -> Self {
        let given = cookie.key.as_ref().map_or(secret, Secret::bytes);
        let purpose = [b"plimsoll sticky cookie ".as_slice(), cookie.name.as_bytes()].concat();
        let key = Key::new(HMAC_SHA256, sign(&Key::new(HMAC_SHA256, given), &purpose).as_ref());
        let names: Vec<Arc<str>> = rules.servers.iter().map(|server| server.name.as_str().into()).collect();
        let ids: HashMap<Arc<str>, Id> =
            names.iter().map(|name| (Arc::clone(name), id(&key, &rules.name, name))).collect();
        Self {
            name: cookie.name.clone(),
            max_age: cookie.max_age,
            no_store: cookie.no_store,
            secure: cookie.secure,
            attributes: attributes(cookie),
            servers: ids.iter().map(|(name, id)| (*id, Arc::clone(name))).collect(),
            ids,
            key,
        }
    }

    /// The name of the cookie.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What `values` say to us. Several come from a browser that has one from before a change of `path` or `domain`, and
    /// perhaps another that is none of ours. Of those that we have signed the newest holds: it names the server that the
    /// client had last, and a cookie that is signed can do no harm.
    pub(super) fn read<'a>(&self, values: impl Iterator<Item = &'a [u8]>, now: impl FnOnce() -> Minutes) -> Read {
        let mut values = values.take(MOST_VALUES).peekable();
        if values.peek().is_none() {
            return Read::Nothing;
        }
        let now = now();
        let known = values.filter_map(|value| self.known(value, now));
        let newest = known.reduce(|newest, other| if other.1 > newest.1 { other } else { newest });
        newest.map_or(Read::Foreign, |(name, made)| {
            let old = self.max_age.is_some_and(|max_age| made.age(now) > max_age / 2);
            Read::Server { name: Arc::clone(name), old }
        })
    }

    /// The server that `value` stands for, and when it was made, unless that is too long ago.
    fn known(&self, value: &[u8], now: Minutes) -> Option<(&Arc<str>, Minutes)> {
        let (id, made) = self.verified(value)?;
        let holds = self.max_age.is_none_or(|max_age| made.age(now) <= max_age);
        Some((self.servers.get(&id).filter(|_| holds)?, made))
    }

    /// The server and the time in `value`, if that was signed by us.
    fn verified(&self, value: &[u8]) -> Option<(Id, Minutes)> {
        if value.len() != TEXT {
            return None;
        }
        let mut bytes = [0; VALUE];
        let length = BASE64.decode_slice(value, &mut bytes).ok()?;
        let (signed, mac) = bytes.get(..length)?.split_at_checked(SIGNED)?;
        verify_slices_are_equal(&sign(&self.key, signed).as_ref()[..MAC], mac).ok()?;
        let (version, rest) = signed.split_first()?;
        let (id, minutes) = rest.split_at_checked(ID)?;
        let minutes = u32::from_be_bytes(minutes.try_into().ok()?);
        (*version == VERSION).then_some((id.try_into().ok()?, Minutes(minutes)))
    }

    /// Writes the line that sets the cookie to the server of this name; false where the pool has none.
    pub(super) fn write(&self, out: &mut Vec<u8>, server: &str, tls: bool, now: Minutes) -> bool {
        let Some(id) = self.ids.get(server) else { return false };
        let mut value = [0; VALUE];
        value[0] = VERSION;
        value[1..=ID].copy_from_slice(id);
        value[1 + ID..SIGNED].copy_from_slice(&now.0.to_be_bytes());
        let mac = sign(&self.key, &value[..SIGNED]);
        value[SIGNED..].copy_from_slice(&mac.as_ref()[..MAC]);
        let mut text = [0; TEXT];
        let Ok(length) = BASE64.encode_slice(value, &mut text) else { return false };
        for part in [b"Set-Cookie: ", self.name.as_bytes(), b"=", &text[..length], self.attributes.as_bytes()] {
            out.extend_from_slice(part);
        }
        let secure = match self.secure {
            Secure::Auto => tls,
            Secure::Always => true,
            Secure::Never => false,
        };
        out.extend_from_slice(if secure { b"; Secure\r\n" } else { b"\r\n" });
        true
    }
}

/// What stands for a server of this name.
fn id(key: &Key, pool: &str, server: &str) -> Id {
    let mac = sign(key, &[b"server ", pool.as_bytes(), b"\0", server.as_bytes()].concat());
    let mut id = Id::default();
    id.copy_from_slice(&mac.as_ref()[..ID]);
    id
}

/// The attributes but for `Secure` (RFC 6265bis, section 4.1.2).
fn attributes(cookie: &StickyCookie) -> String {
    let mut text = format!("; Path={}", cookie.path).into_bytes();
    let mut put = |part: &str, number: Option<u64>| {
        text.extend_from_slice(part.as_bytes());
        if let Some(number) = number {
            decimal(&mut text, number);
        }
    };
    if let Some(domain) = &cookie.domain {
        put("; Domain=", None);
        put(domain, None);
    }
    if let Some(max_age) = cookie.max_age {
        put("; Max-Age=", Some(max_age.as_secs()));
    }
    if cookie.http_only {
        put("; HttpOnly", None);
    }
    put(
        match cookie.same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::Strict => "; SameSite=Strict",
            SameSite::None => "; SameSite=None",
            SameSite::Off => "",
        },
        None,
    );
    String::from_utf8_lossy(&text).into_owned()
}

/// The values that an answer sets the cookie of this name to, but for empty ones, which take it away.
pub(super) fn set<'a>(head: &'a [u8], fields: &'a [Field], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let lines = fields.iter().filter(|field| field.name.slice(head).eq_ignore_ascii_case(b"Set-Cookie"));
    let value = move |field: &Field| {
        let pair = field.value.slice(head).split(|byte| *byte == b';').next()?;
        let (known, value) = pair.split_at_checked(pair.iter().position(|byte| *byte == b'=')?)?;
        let value = value.get(1..)?.trim_ascii();
        (known.trim_ascii() == name.as_bytes() && !value.is_empty()).then_some(value)
    };
    lines.filter_map(value)
}

#[cfg(test)]
mod tests;
