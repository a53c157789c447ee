//! Stickiness, and what the policy `hash` goes by.

use std::ops::Range;
use std::time::Duration;

use plimsoll_core::{HashBound, PolicyKind};

use crate::entries::untouched;
use crate::files::Files;
use crate::raw::{self, HashBy};
use crate::reader::Reader;
use crate::secret::signing_key;
use crate::sticky::{HashOn, LearnFrom, SameSite, Secure, Sticky, StickyCookie, StickyLearnt};

/// Where the file gives a setting, by its name.
type Given<'a> = (&'a str, Option<Range<usize>>);

/// How clients of the pool stick, and how long a server that drains keeps them.
pub(super) fn sticky(raw: &raw::Pool, files: &Files<'_>, reader: &mut Reader) -> (Option<Sticky>, Duration) {
    let Some(table) = &raw.sticky.value.0 else { return (None, Duration::ZERO) };
    let before = reader.reported();
    let sticky = match (&table.cookie, &table.learn_cookie, &table.header) {
        (Some(name), None, None) => {
            check_cookie(&name.value.0, table, reader);
            Some(Sticky::Cookie(cookie(&name.value.0, table, files, reader)))
        }
        (None, Some(name), None) => Some(learnt(LearnFrom::Cookie(name.value.0.clone()), table, reader)),
        (None, None, Some(name)) => Some(learnt(LearnFrom::Header(name.value.0.clone()), table, reader)),
        (None, None, None) => {
            // What was there and could not be read may be one of them.
            if !reader.has_problem_in(&raw.sticky.span) {
                let message = "`sticky` has none of `cookie`, `learn_cookie` and `header`".to_owned();
                reader.report(raw.sticky.span.clone(), message, "write `sticky = { cookie = \"srv\" }`");
            }
            None
        }
        (cookie, learnt, header) => {
            let given = [("cookie", cookie), ("learn_cookie", learnt), ("header", header)];
            let mut given = given.into_iter().filter_map(|(key, field)| Some((key, field.as_ref()?.span.clone())));
            if let (Some((first, _)), Some((second, span))) = (given.next(), given.next()) {
                let message = format!("`sticky` has both `{first}` and `{second}`, and goes by one");
                reader.report(span, message, format!("remove `{first}` or `{second}`"));
            }
            None
        }
    };
    (sticky.filter(|_| reader.reported() == before), table.drain.value.0)
}

fn cookie(name: &str, table: &raw::Sticky, files: &Files<'_>, reader: &mut Reader) -> StickyCookie {
    StickyCookie {
        name: name.to_owned(),
        key: table.key.as_ref().and_then(|path| signing_key(path, files, reader)),
        max_age: table.max_age.as_ref().map(|age| age.value.0),
        path: table.path.value.0.clone(),
        domain: table.domain.as_ref().map(|domain| domain.value.0.clone()),
        same_site: table.same_site.value.0,
        secure: table.secure.value.0,
        http_only: table.http_only.value,
        no_store: table.no_store.value,
    }
}

fn learnt(from: LearnFrom, table: &raw::Sticky, reader: &mut Reader) -> Sticky {
    let given: [Given<'_>; 8] = [
        ("key", table.key.as_ref().map(|key| key.span.clone())),
        ("max_age", table.max_age.as_ref().map(|age| age.span.clone())),
        ("path", table.path.where_given()),
        ("domain", table.domain.as_ref().map(|domain| domain.span.clone())),
        ("same_site", table.same_site.where_given()),
        ("secure", table.secure.where_given()),
        ("http_only", table.http_only.where_given()),
        ("no_store", table.no_store.where_given()),
    ];
    no_effect(given, "is for a cookie of Plimsoll's own, and none is set here", reader);
    Sticky::Learnt(StickyLearnt { from, entries: table.entries.value.0 as usize, expires: table.expires.value.0 })
}

fn no_effect<const N: usize>(given: [Given<'_>; N], why: &str, reader: &mut Reader) {
    for (key, span) in given {
        if let Some(span) = span {
            reader.report(span, format!("`{key}` has no effect, as it {why}"), format!("remove `{key}`"));
        }
    }
}

/// What browsers would not take, and what a cookie of ours does not need.
fn check_cookie(name: &str, table: &raw::Sticky, reader: &mut Reader) {
    let given = [("entries", table.entries.where_given()), ("expires", table.expires.where_given())];
    no_effect(given, "is for what is learnt, and `cookie` needs no table", reader);
    let lower = name.to_ascii_lowercase();
    let (host, secure) = (lower.starts_with("__host-"), lower.starts_with("__secure-"));
    let always = table.secure.value.0 == Secure::Always;
    if table.same_site.value.0 == SameSite::None && !always {
        let message = "browsers take a cookie with `same_site = \"none\"` only with `secure = true`".to_owned();
        reader.report(table.same_site.span.clone(), message, "add `secure = true`, or write `same_site = \"lax\"`");
    }
    let span = table.cookie.as_ref().map_or(0..0, |cookie| cookie.span.clone());
    if (host || secure) && !always {
        let prefix = if host { "__Host-" } else { "__Secure-" };
        let message = format!("browsers take a cookie that is called `{prefix}…` only with `secure = true`");
        reader.report(span, message, "add `secure = true`, or give it another name");
    }
    if let (true, Some(domain)) = (host, &table.domain) {
        let message = "browsers take a cookie that is called `__Host-…` only without `domain`".to_owned();
        reader.report(domain.span.clone(), message, "remove `domain`, or give the cookie another name");
    }
    if host && table.path.value.0 != "/" {
        let message = "browsers take a cookie that is called `__Host-…` only with `path = \"/\"`".to_owned();
        reader.report(table.path.span.clone(), message, "remove `path`, or give the cookie another name");
    }
}

/// What the policy goes by, where it is `hash`, and its bound.
pub(super) fn hash(raw: &raw::Pool, reader: &mut Reader) -> (Option<HashOn>, HashBound) {
    let usual = untouched();
    let table = raw.hash.as_ref().map_or(&usual, |given| &given.value);
    if raw.policy.value.0 != PolicyKind::Hash {
        if let Some(given) = &raw.hash {
            let message = "`hash` has no effect, as the policy is another".to_owned();
            reader.report(given.span.clone(), message, "write `policy = \"hash\"`, or remove `hash`");
        }
        return (None, HashBound::default());
    }
    let on = match &table.on.value {
        HashBy::Client => HashOn::Client { ipv6_prefix: table.ipv6_prefix.value.0 as u8 },
        HashBy::Path => HashOn::Path,
        HashBy::Header(name) => HashOn::Header(name.clone()),
        HashBy::Cookie(name) => HashOn::Cookie(name.clone()),
    };
    if let (false, Some(span)) = (matches!(on, HashOn::Client { .. }), table.ipv6_prefix.where_given()) {
        let message = "`ipv6_prefix` has no effect, as the hash is not of the client's address".to_owned();
        reader.report(span, message, "write `on = \"client\"`, or remove `ipv6_prefix`");
    }
    (Some(on), table.bound.value.0)
}
