//! `hash`: the same key to the same server, unless that is far busier than others.
//!
//! The key is a hash of what the request is told by: its client's address, a header, a cookie or its path. It is asked for
//! around a ring (see `ring.rs`), and goes to the first server there that can take it and has less than its bound: *the
//! average in flight / weight, this request included, x its weight x [`HashBound`](crate::HashBound)*, rounded up. So caches
//! stay warm and few keys move when servers come and go, and yet a hot key spreads over as many servers as it needs. One that
//! is down or full takes nothing meanwhile, and has its keys back afterwards.
//!
//! The average is that of the servers which take requests. In a pool of more than 64 what all others still have in flight is
//! counted with it, since adding up would be a walk: the bound is looser by that, never tighter.
//!
//! Keys are shared out by weight, but for chance (see `POINTS`). When nobody is found within the bound, because those below it
//! are full or nearly all are down, and for requests without a key, it is least connections.
//!
//! All idle: every key goes to its own server. There are no ties.
//!
//! Source: consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, 2018).

use crate::{Ask, Choice, Policy, PolicyKind, Ranking, View};

#[derive(Debug)]
pub(super) struct Hash;

impl Policy for Hash {
    fn name(&self) -> &str {
        PolicyKind::Hash.name()
    }

    fn choose(&self, view: &View<'_>, ask: &Ask<'_>) -> Option<Choice> {
        match ask.key {
            Some(key) => view.keyed(key),
            None => view.least(Ranking::Load),
        }
    }

    fn ranking(&self) -> Option<Ranking> {
        Some(Ranking::Load)
    }

    fn is_keyed(&self) -> bool {
        true
    }
}
