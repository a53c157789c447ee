//! What ties a request to a server: how its client comes back to the one that it had before, and the key that the policy
//! `hash` goes by.
//!
//! A request comes with a [`Tie`] for its pool, and one for each pool that serves while that cannot. It goes into every pick,
//! where the core has its way with it: a server that is down or full gives way to the policy. What the answer then needs, a
//! cookie anew or an entry in the table, is found by comparing who answered with whom the tie named.

use std::sync::Arc;

use plimsoll_core::{Permit, Time};

use crate::http1::request::RequestHead;
use crate::served::Served;

mod cookie;
mod counts;
mod key;
mod learnt;
pub(crate) mod stickiness;

pub(crate) use key::Asked;
pub(crate) use stickiness::{Answer, Origin, Stickiness, Tie};

/// The ties of a request, by the pools that it may come to.
#[derive(Debug, Default)]
pub(crate) struct Ties {
    first: Tie,
    /// Of the pools that serve while the first cannot, as far as any of them has something to tie to.
    others: Vec<Tie>,
}

impl Ties {
    /// What ties a request to the servers of `served` and of those that serve while it cannot.
    pub(crate) fn new(served: &Arc<Served>, asked: &Asked<'_>, now: Time) -> Self {
        if !served.ties {
            return Self::default();
        }
        let of_fallback = |served: &Arc<Served>| Tie::new(served, asked, now);
        let others = served.fallback.iter().filter(|fallback| fallback.ties).flat_map(Served::chain).map(of_fallback);
        Self { first: Tie::new(served, asked, now), others: others.collect() }
    }

    /// That of the pool behind so many fallbacks.
    pub(crate) fn behind(&self, fallbacks: usize) -> Option<&Tie> {
        if fallbacks == 0 { Some(&self.first) } else { self.others.get(fallbacks - 1) }
    }
}

impl Tie {
    fn new(served: &Served, asked: &Asked<'_>, now: Time) -> Self {
        let key = served.rules.hash.as_ref().and_then(|on| key::of(on, asked));
        match (&served.sticky, asked.head) {
            (Some(sticky), Some(head)) => Self { key, ..sticky.read(head, now) },
            _ => Self { key, ..Self::default() },
        }
    }
}

/// The first of these pools that knows the client: it stays with the pool that it had, whatever the weights draw.
pub(crate) fn pool_of<'a>(
    shares: &'a [(Arc<Served>, u32)],
    head: (&[u8], &RequestHead),
    now: Time,
) -> Option<&'a Arc<Served>> {
    if shares.len() < 2 {
        return None;
    }
    let knows =
        |served: &&Arc<Served>| served.sticky.as_ref().is_some_and(|sticky| sticky.read(head, now).server.is_some());
    shares.iter().map(|(served, _)| served).find(knows)
}

/// Remembers whom the policy has picked for what the request shows, so that what comes meanwhile goes there too.
pub(crate) fn picked((served, tie): (&Served, Option<&Tie>), permit: &Permit) {
    if let (Some(sticky), Some(tie)) = (&served.sticky, tie) {
        sticky.picked(tie, |name| served.shared_name(name), permit);
    }
}

/// Sees to it that the client comes back to the server of `permit`, which has answered, and counts what became of its tie, in
/// the column of this worker.
pub(crate) fn answered((served, tie): (&Served, Option<&Tie>), permit: &Permit, answer: Answer<'_>, at: (usize, Time)) {
    if let (Some(sticky), Some(tie)) = (&served.sticky, tie) {
        sticky.answered((tie, |name| served.shared_name(name)), permit, answer, at);
    }
}
