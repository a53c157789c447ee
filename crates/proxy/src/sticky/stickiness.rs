//! How the clients of one pool stick: what a request shows of the server that its client had, and what its answer needs so
//! that the client comes back.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::rand;
use plimsoll_config::{LearnFrom, Pool as PoolRules, Sticky, StickyLearnt};
use plimsoll_core::{Permit, Time};

use super::cookie::{self, Minutes, Read, Signer};
use super::counts::{Counts, Shown};
use super::key::field;
use super::learnt::{Table, ValueHash};
use crate::http1::cookies;
use crate::http1::request::RequestHead;
use crate::http1::response::ResponseHead;
use crate::stats::StickyStats;

/// How the clients of a pool stick.
pub(crate) struct Stickiness {
    way: Way,
    counts: Arc<Counts>,
}

enum Way {
    Cookie(Box<Signer>),
    Learnt { rule: StickyLearnt, table: Arc<Table> },
}

/// What the stickiness of all pools is made from, for as long as the process runs.
#[derive(Clone)]
pub(crate) struct Origin {
    /// Signs cookies where there is no other key.
    secret: [u8; 32],
    workers: usize,
}

impl Origin {
    /// One with a new secret, for so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        let mut secret = [0; 32];
        rand::fill(&mut secret).expect("the system has random numbers, or TLS would not work either");
        Self { secret, workers }
    }
}

impl Default for Origin {
    fn default() -> Self {
        Self::new(0)
    }
}

/// What ties a request to a server of one pool.
#[derive(Debug, Default)]
pub(crate) struct Tie {
    /// What the policy `hash` goes by.
    pub(crate) key: Option<u64>,
    /// The server that the client had before.
    pub(crate) server: Option<Arc<str>>,
    pub(super) shown: Shown,
    /// What the request shows of what is learnt.
    pub(super) value: Option<ValueHash>,
}

/// An answer on its way to the client.
pub(crate) struct Answer<'a> {
    pub(crate) head: &'a [u8],
    pub(crate) response: &'a mut ResponseHead,
    /// The client came by TLS.
    pub(crate) tls: bool,
    /// Field lines of ours.
    pub(crate) lines: &'a mut Vec<u8>,
}

impl Stickiness {
    /// How the clients of the pool stick that `rules` describe; `before` is how they did so far, of which is kept what is
    /// known of them.
    pub(crate) fn new(rules: &PoolRules, origin: &Origin, before: Option<&Self>) -> Option<Self> {
        let way = match rules.sticky.as_ref()? {
            Sticky::Cookie(cookie) => Way::Cookie(Box::new(Signer::new(cookie, rules, &origin.secret))),
            Sticky::Learnt(rule) => {
                let kept = before.and_then(|before| match &before.way {
                    Way::Learnt { rule: had, table } if had.from == rule.from => Some(table),
                    _ => None,
                });
                let table = kept.map_or_else(|| Arc::new(Table::new(rule.entries)), Arc::clone);
                Way::Learnt { rule: rule.clone(), table }
            }
        };
        let counts = before.map_or_else(|| Arc::new(Counts::new(origin.workers)), |before| Arc::clone(&before.counts));
        Some(Self { way, counts })
    }

    /// The name of the cookie that is ours alone.
    pub(crate) fn own_cookie(&self) -> Option<&str> {
        if let Way::Cookie(signer) = &self.way { Some(signer.name()) } else { None }
    }

    /// What was counted so far.
    pub(crate) fn stats(&self, pool: &str) -> StickyStats {
        let learnt = if let Way::Learnt { table, .. } = &self.way { Some(table.len()) } else { None };
        StickyStats { pool: pool.to_owned(), learnt, ..self.counts.read() }
    }

    /// What a request shows of the server that its client had.
    pub(super) fn read(&self, (head, request): (&[u8], &RequestHead), now: Time) -> Tie {
        match &self.way {
            Way::Cookie(signer) => {
                let values = cookies::named(head, &request.fields, signer.name());
                let (server, shown) = match signer.read(values, || Minutes::of(SystemTime::now())) {
                    Read::Server { name, old } => (Some(name), Shown::Known { old }),
                    Read::Foreign => (None, Shown::Refused),
                    Read::Nothing => (None, Shown::Nothing),
                };
                Tie { server, shown, ..Tie::default() }
            }
            Way::Learnt { rule, table } => {
                let value = match &rule.from {
                    LearnFrom::Cookie(name) => cookies::named(head, &request.fields, name).next(),
                    LearnFrom::Header(name) => field(head, &request.fields, name),
                };
                let Some(value) = value.filter(|value| !value.is_empty()).map(|value| table.hash(value)) else {
                    return Tie::default();
                };
                let server = table.find(value, rule, now);
                let shown = if server.is_some() { Shown::Known { old: false } } else { Shown::Nothing };
                Tie { server, shown, value: Some(value), ..Tie::default() }
            }
        }
    }

    /// Remembers whom the policy has picked for what the request shows. `shared` tells the name of a server as it is shared.
    pub(super) fn picked<'a>(&self, tie: &Tie, shared: impl FnOnce(&str) -> Option<&'a Arc<str>>, permit: &Permit) {
        let Way::Learnt { rule, table } = &self.way else { return };
        let name = permit.server().id().name();
        if let (Some(value), false) = (tie.value, tie.server.as_deref() == Some(name))
            && let Some(name) = shared(name)
        {
            table.learn(value, name, rule, permit.picked_at());
        }
    }

    /// Sees to it that the client comes back to the server of `permit`, which has answered.
    pub(super) fn answered<'a>(
        &self,
        (tie, shared): (&Tie, impl FnOnce(&str) -> Option<&'a Arc<str>>),
        permit: &Permit,
        answer: Answer<'_>,
        (worker, now): (usize, Time),
    ) {
        let name = permit.server().id().name();
        let same = tie.server.as_deref() == Some(name);
        self.counts.add(worker, tie.shown, same);
        match &self.way {
            Way::Cookie(signer) => {
                if same && tie.shown == (Shown::Known { old: false }) {
                    return;
                }
                if signer.write(answer.lines, name, answer.tls, Minutes::of(SystemTime::now())) && signer.no_store {
                    uncacheable(answer);
                }
            }
            Way::Learnt { rule, table } => {
                let Some(name) = shared(name) else { return };
                if let Some(value) = tie.value.filter(|_| !same) {
                    table.learn(value, name, rule, now);
                }
                if let LearnFrom::Cookie(cookie) = &rule.from {
                    for value in cookie::set(answer.head, &answer.response.fields, cookie) {
                        table.learn(table.hash(value), name, rule, now);
                    }
                }
            }
        }
    }
}

/// Forbids caches to store an answer, whatever the server says.
fn uncacheable(answer: Answer<'_>) {
    const REPLACED: [&[u8]; 3] = [b"Cache-Control", b"Expires", b"Pragma"];
    let Answer { head, response, lines, .. } = answer;
    response.fields.retain(|field| !REPLACED.iter().any(|name| field.name.slice(head).eq_ignore_ascii_case(name)));
    lines.extend_from_slice(b"Cache-Control: no-store\r\n");
}
