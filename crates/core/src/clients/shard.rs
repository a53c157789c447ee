//! A part of the table behind one lock: its clients, where they are, and who goes when there is no room.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::entry::{Entry, Judged};
use super::idle::Idle;
use super::index::Index;
use super::rules::{Kind, Limits};
use super::stats::{Busiest, ClientTableStats};
use super::window::Place;
use super::{ClientKey, Over};
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
}

impl Room {
    pub(super) fn new(capacity: usize) -> Self {
        Self { taken: AtomicUsize::new(0), capacity: AtomicUsize::new(capacity) }
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
    Counted { slot: u32, wait: Duration },
    /// No room to count it, and nobody here who could go.
    Full,
    /// Nothing.
    Over(Over),
}

#[derive(Debug)]
pub(super) struct Shard {
    index: Index,
    entries: Vec<Entry>,
    /// Slots where nobody is.
    free: Vec<u32>,
    /// Slots of clients that hold nothing.
    idle: Idle,
    /// Where the search for those who can go is.
    hand: usize,
    calls: u32,
    limits: Limits,
    tally: ClientTableStats,
}

impl Shard {
    /// For about so many entries, whose memory becomes real as they come.
    pub(super) fn new(expected: usize, limits: Limits) -> Self {
        let mut entries = Vec::new();
        // Without the memory now, each entry asks for its own.
        let _ = entries.try_reserve_exact(with_slack(expected));
        let index = Index::new(expected);
        let (free, idle, hand, calls) = (Vec::new(), Idle::default(), 0, 0);
        Self { index, entries, free, idle, hand, calls, limits, tally: ClientTableStats::default() }
    }

    /// Follows a change of the rules.
    pub(super) fn apply(&mut self, expected: usize, limits: Limits) {
        self.index.grow(expected, |slot| self.entries[slot as usize].tag);
        let _ = self.entries.try_reserve_exact(with_slack(expected).saturating_sub(self.entries.len()));
        let before = std::mem::replace(&mut self.limits, limits);
        self.entries.iter_mut().for_each(|entry| entry.follow_change(&before, &limits));
    }

    /// Lets a client begin one more, or not. A newcomer may bring along its `claim` of room.
    pub(super) fn admit(&mut self, wish: &Wish, room: &Room, claim: bool) -> Answer {
        self.calls = self.calls.wrapping_add(1);
        if self.calls.is_multiple_of(CALLS) {
            self.tidy(wish.now, room);
        }
        let slot = if let Some(slot) = self.find(wish.key, wish.tag) {
            room.give_back(usize::from(claim));
            slot
        } else if let Some(slot) = self.welcome(wish, room, claim) {
            slot
        } else {
            return Answer::Full;
        };
        let (limits, dry_run) = (self.limits.of(wish.kind), self.limits.dry_run);
        let entry = &mut self.entries[slot as usize];
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
        self.idle.clear(slot);
        Answer::Counted { slot, wait }
    }

    /// Takes one off a client that has it.
    pub(super) fn release(&mut self, slot: u32, kind: Kind) {
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            entry.release(kind);
            if !entry.is_held() {
                self.idle.set(slot);
            }
        }
    }

    /// Counts one that was let in without a count.
    pub(super) fn let_pass(&mut self) {
        self.tally.untracked += 1;
    }

    /// Makes one client go for a newcomer of another shard, who gets its claim; false when none can.
    pub(super) fn make_way(&mut self, now: Time, room: &Room) -> bool {
        let gone = self.sweep(now, true);
        room.give_back(gone.saturating_sub(1));
        gone > 0
    }

    fn find(&self, key: ClientKey, tag: u32) -> Option<u32> {
        self.index.find(tag, |slot| self.entries[slot as usize].key == Some(key))
    }

    /// A slot for a client that has none; `None` when there is no room and nobody who can go. A `claim` is used up.
    fn welcome(&mut self, wish: &Wish, room: &Room, claim: bool) -> Option<u32> {
        self.tidy(wish.now, room);
        if !(self.index.has_room() && (claim || room.claim())) {
            // The newcomer takes over what one of these had claimed, so that nobody else can take it in between.
            let claimed = self.sweep(wish.now, true) + usize::from(claim);
            room.give_back(claimed.saturating_sub(1));
            if claimed == 0 || !self.index.has_room() {
                room.give_back(claimed.min(1));
                return None;
            }
        }
        let Some(slot) = self.vacancy() else {
            room.give_back(1);
            return None;
        };
        self.entries[slot as usize] = Entry::new(wish.key, wish.tag);
        self.index.insert(wish.tag, slot);
        self.idle.set(slot);
        Some(slot)
    }

    /// A slot where nobody is.
    fn vacancy(&mut self) -> Option<u32> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let slot = u32::try_from(self.entries.len()).ok()?;
        if self.entries.len() == self.entries.capacity() {
            self.entries.try_reserve_exact(LOOKS).ok()?;
        }
        self.entries.push(Entry::VACANT);
        Some(slot)
    }

    /// Moves the hand on a little.
    fn tidy(&mut self, now: Time, room: &Room) {
        let gone = self.sweep(now, room.is_overfull());
        room.give_back(gone);
    }

    /// Moves the hand on over the next [`LOOKS`] who hold nothing: of these goes who is over, and if `one_goes` and
    /// nobody was, the quietest. Gives how many went; their room is still claimed.
    fn sweep(&mut self, now: Time, one_goes: bool) -> usize {
        let mut gone = 0;
        let mut quietest: Option<(u64, usize)> = None;
        for _ in 0..LOOKS {
            let Some(slot) = self.idle.next(self.hand) else { break };
            self.hand = slot + 1;
            let entry = &self.entries[slot];
            if entry.is_over(&self.limits, now) {
                self.forget(slot);
                self.tally.expired += 1;
                gone += 1;
            } else if quietest.is_none_or(|(seen, _)| entry.seen() < seen) {
                quietest = Some((entry.seen(), slot));
            }
        }
        if let (Some((_, slot)), true, 0) = (quietest, one_goes, gone) {
            self.forget(slot);
            self.tally.evicted += 1;
            gone = 1;
        }
        gone
    }

    fn forget(&mut self, slot: usize) {
        let tag = self.entries[slot].tag;
        self.index.remove(tag, slot as u32, |other| self.entries[other as usize].tag);
        self.entries[slot] = Entry::VACANT;
        self.idle.clear(slot as u32);
        self.free.push(slot as u32);
    }

    /// What it did; the rest of the stats is the table's.
    pub(super) fn tally(&self) -> &ClientTableStats {
        &self.tally
    }

    /// Shows so many entries from a slot on; false when there are none.
    pub(super) fn show(&self, from: usize, many: usize, now: Time, busiest: &mut Busiest) -> bool {
        let shown = self.entries.iter().skip(from).take(many);
        shown
            .filter_map(|entry| entry.stats(&self.limits, now))
            .for_each(|(recent, stats)| busiest.show(recent, stats));
        from + many < self.entries.len()
    }
}

/// A hash spreads keys unevenly: by the square root of their number and, rarely, by four times that.
fn with_slack(expected: usize) -> usize {
    expected + 4 * expected.isqrt()
}
