//! A part of the table behind one lock: its clients, where they are, and who goes when there is no room.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::entry::{Entry, Judged};
use super::key::ClientKey;
use super::over::Over;
use super::rules::{Kind, Limits};
use super::secret::Secret;
use super::stats::{Busiest, ClientTableStats};
use super::store::Store;
use super::window::Place;
use crate::Time;

/// The hand looks at some entries after so many calls, and at each newcomer.
const CALLS: u32 = 64;

/// At so many each time.
const LOOKS: usize = 8;

/// Clients of the table, and how many there may be: what its shards share.
#[derive(Debug)]
pub(super) struct Room {
    taken: AtomicUsize,
    capacity: AtomicUsize,
    secret: Secret,
}

impl Room {
    pub(super) fn new(capacity: usize, secret: Secret) -> Self {
        Self { taken: AtomicUsize::new(0), capacity: AtomicUsize::new(capacity), secret }
    }

    /// What places a client.
    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Relaxed)
    }

    pub(super) fn resize(&self, capacity: usize) {
        self.capacity.store(capacity, Ordering::Relaxed);
    }

    fn claim(&self) -> bool {
        let capacity = self.capacity();
        let one_more = |taken| if taken < capacity { Some(taken + 1) } else { None };
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    pub(super) fn give_back(&self, clients: usize) {
        if clients > 0 {
            self.taken.fetch_sub(clients, Ordering::Relaxed);
        }
    }

    /// Whether there are more than there may be, since a change made it smaller.
    fn is_overfull(&self) -> bool {
        self.taken() > self.capacity()
    }
}

/// What a client wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) key: ClientKey,
    pub(super) tag: u32,
    pub(super) kind: Kind,
    pub(super) now: Time,
    /// How long it would wait.
    pub(super) most: Duration,
}

/// What it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// One more, in this slot, after a wait.
    Counted { slot: usize, wait: Duration },
    /// No room to count it, and nobody here who could go.
    Full,
    /// Nothing.
    Over(Over),
}

#[derive(Debug)]
pub(super) struct Shard {
    store: Store,
    /// Where the search for those who can go is.
    hand: usize,
    calls: u32,
    limits: Limits,
    tally: ClientTableStats,
}

impl Shard {
    /// For about so many entries, whose memory becomes real as they come.
    pub(super) fn new(expected: usize, limits: Limits) -> Self {
        let store = Store::new(with_slack(expected));
        Self { store, hand: 0, calls: 0, limits, tally: ClientTableStats::default() }
    }

    /// Follows a change of the rules.
    pub(super) fn apply(&mut self, expected: usize, limits: Limits) {
        self.store.expect(with_slack(expected));
        let before = std::mem::replace(&mut self.limits, limits);
        self.store.entries_mut().iter_mut().for_each(|entry| entry.follow_change(&before, &limits));
    }

    /// Lets a client begin one more, or not. A newcomer may bring along its `claim` of room.
    pub(super) fn admit(&mut self, wish: &Wish, room: &Room, claim: bool) -> Answer {
        self.calls = self.calls.wrapping_add(1);
        if self.calls.is_multiple_of(CALLS) {
            self.tidy(wish.now, room);
        }
        let slot = if let Some(slot) = self.store.find(wish.key, wish.tag) {
            room.give_back(usize::from(claim));
            slot
        } else if let Some(slot) = self.welcome(wish, room, claim) {
            slot
        } else {
            return Answer::Full;
        };
        let (limits, dry_run) = (self.limits.of(wish.kind), self.limits.dry_run);
        let entry = self.store.at_mut(slot);
        entry.see(wish.now);
        let mut wait = Duration::ZERO;
        match entry.judge(wish.kind, limits, wish.now, wish.most) {
            Judged::Fits(place) => {
                entry.begin(wish.kind, limits, place);
                if let Place::Later(at) = place {
                    self.tally.delayed += 1;
                    wait = if dry_run { Duration::ZERO } else { at.saturating_since(wish.now) };
                }
            }
            Judged::Over(over) => {
                entry.refuse();
                if !dry_run {
                    self.tally.refused.count(over.limit);
                    return Answer::Over(over);
                }
                self.tally.would_refuse.count(over.limit);
            }
        }
        entry.hold(wish.kind);
        Answer::Counted { slot, wait }
    }

    /// Takes one off a client that has it, and that stood in `slot` when it got it: others who came and went since may
    /// have moved it.
    pub(super) fn release(&mut self, key: ClientKey, tag: u32, slot: usize, kind: Kind) {
        let there = self.store.is_in(slot, key);
        let Some(slot) = (if there { Some(slot) } else { self.store.find(key, tag) }) else {
            debug_assert!(false, "who holds something stays");
            return;
        };
        let entry = self.store.at_mut(slot);
        entry.release(kind);
        if !entry.is_listed() && !entry.is_held() {
            self.store.list(slot);
        }
    }

    /// Counts one that was let in without a count.
    pub(super) fn let_pass(&mut self) {
        self.tally.untracked += 1;
    }

    /// Makes one client go for a newcomer of another shard, who gets its claim; false when none can.
    pub(super) fn make_way(&mut self, now: Time, room: &Room) -> bool {
        let gone = self.sweep(now, true, room);
        room.give_back(gone.saturating_sub(1));
        gone > 0
    }

    /// A slot for a client that has none; `None` when there is no room and nobody who can go. A `claim` is used up.
    /// Apart from the rest, so that a look-up has no registers to save and no memory to set aside for it.
    #[inline(never)]
    fn welcome(&mut self, wish: &Wish, room: &Room, claim: bool) -> Option<usize> {
        self.tidy(wish.now, room);
        if !(claim || room.claim()) {
            // The newcomer takes over what one of these had claimed, so that nobody else can take it in between.
            let gone = self.sweep(wish.now, true, room);
            room.give_back(gone.saturating_sub(1));
            if gone == 0 {
                return None;
            }
        }
        let slot = self.store.add(Entry::new(wish.key, wish.now), |key| room.secret().tag(key));
        room.give_back(usize::from(slot.is_none()));
        slot
    }

    /// Moves the hand on a little.
    #[inline(never)]
    fn tidy(&mut self, now: Time, room: &Room) {
        let gone = self.sweep(now, room.is_overfull(), room);
        room.give_back(gone);
    }

    /// Moves the hand on over the next [`LOOKS`] who hold nothing: of these goes who is over, and if `one_goes` and
    /// nobody was, the quietest. Gives how many went; their room is still claimed.
    fn sweep(&mut self, now: Time, one_goes: bool, room: &Room) -> usize {
        let mut gone = 0;
        let mut quietest: Option<(u32, usize)> = None;
        for _ in 0..LOOKS {
            let Some(slot) = self.store.next_idle(self.hand) else { break };
            self.hand = slot + 1;
            let entry = self.store.at(slot);
            let quiet = entry.quiet(now);
            if entry.is_over(&self.limits, now) {
                self.store.remove(slot, |key| room.secret().tag(key));
                self.tally.expired += 1;
                gone += 1;
            } else if quietest.is_none_or(|(longest, _)| quiet > longest) {
                quietest = Some((quiet, slot));
            }
        }
        // Nobody has moved if nobody has gone.
        if let (Some((_, slot)), true, 0) = (quietest, one_goes, gone) {
            self.store.remove(slot, |key| room.secret().tag(key));
            self.tally.evicted += 1;
            gone = 1;
        }
        gone
    }

    /// What it did; the rest of the stats is the table's.
    pub(super) fn tally(&self) -> &ClientTableStats {
        &self.tally
    }

    /// Shows so many entries from a slot on; false when there are none.
    pub(super) fn show(&self, from: usize, many: usize, now: Time, busiest: &mut Busiest) -> bool {
        let rest = self.store.from(from);
        let shown = rest.iter().take(many);
        shown
            .filter_map(|entry| entry.stats(&self.limits, now))
            .for_each(|(recent, stats)| busiest.show(recent, stats));
        many < rest.len()
    }
}

/// A hash spreads keys unevenly: by the square root of their number and, rarely, by four times that.
fn with_slack(expected: usize) -> usize {
    expected + 4 * expected.isqrt()
}
