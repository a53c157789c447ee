//! Where the clients of a shard stand: each in the slot that its hash names, its *home*, unless another one does.
//!
//! A look-up of one client among a million waits for memory, so nothing may stand between its hash and its entry: even
//! an index of a byte for each client is too large for a cache that others use too. Whoever is alone in having a home is
//! there. Of those who share one the first is there, and the others are in free slots near it, one leading to the next:
//! coalesced chaining (Williams, 1959), but who is at home makes the others move, so that no two chains meet. About seven
//! of ten are found at once, two more at the second look.
//!
//! A store grows by a slot at a time (linear hashing, Litwin 1980), so that it takes memory as clients come, and no call
//! waits until all have moved: only those go to a new slot who had one other home until then. Since clients move, one is
//! known by its key, and a slot is only good as long as the shard stays locked.
//!
//! The new slot is the home of half of those who shared the old one. So while the number of slots is between two powers
//! of two, some homes are shared by twice as many as others.

use super::entry::Entry;
use super::key::ClientKey;
use super::slots::Slots;

/// Two of three slots are taken, with which a client takes 192 bytes. With three of four it is 171, and one of 25
/// look-ups more has to look further.
const SLOTS: usize = 3;
const CLIENTS: usize = 2;

/// Slots whose entries share a page of memory, most likely.
const NEAR: usize = 32;

/// Slots that are asked for at once where more clients come than was expected.
const MORE: usize = 64;

/// Slots for so many clients: never all are taken.
pub(super) fn slots(clients: usize) -> usize {
    clients * SLOTS / CLIENTS + 1
}

#[derive(Debug)]
pub(super) struct Store {
    entries: Vec<Entry>,
    /// Slots where nobody is.
    vacant: Slots,
    /// Slots of all who hold nothing, and of some who do: who begins to hold something is not taken out at once.
    listed: Slots,
    taken: usize,
}

impl Store {
    /// For about so many clients, whose memory becomes real as they come.
    pub(super) fn new(expected: usize) -> Self {
        let mut store = Self { entries: Vec::new(), vacant: Slots::default(), listed: Slots::default(), taken: 0 };
        store.expect(expected);
        store.ready(0, |_| 0);
        store
    }

    /// Takes care that there can be so many clients without their being moved; without the memory now, it is asked for
    /// as they come.
    pub(super) fn expect(&mut self, clients: usize) {
        let _ = self.entries.try_reserve_exact(slots(clients).saturating_sub(self.entries.len()));
    }

    /// The slot of a client.
    pub(super) fn find(&self, key: ClientKey, tag: u32) -> Option<usize> {
        let mut slot = self.home(tag);
        loop {
            let entry = self.entries.get(slot)?;
            if entry.key() == Some(key) {
                return Some(slot);
            }
            slot = entry.next()?;
        }
    }

    /// Whether it is this client that stands there.
    pub(super) fn is_in(&self, slot: usize, key: ClientKey) -> bool {
        self.entries.get(slot).is_some_and(|entry| entry.key() == Some(key))
    }

    /// What stands in a slot.
    pub(super) fn at(&self, slot: usize) -> &Entry {
        &self.entries[slot]
    }

    /// What stands in a slot, to be changed but for where it leads.
    pub(super) fn at_mut(&mut self, slot: usize) -> &mut Entry {
        &mut self.entries[slot]
    }

    /// All slots from one on.
    pub(super) fn from(&self, slot: usize) -> &[Entry] {
        self.entries.get(slot..).unwrap_or_default()
    }

    pub(super) fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries
    }

    /// Adds a client that is not in it and holds nothing, and tells where; `None` without the memory. Whoever stands in
    /// its home without being at home there goes to another slot. `tag` tells the tags of all.
    pub(super) fn add(&mut self, mut entry: Entry, tag: impl Fn(ClientKey) -> u32) -> Option<usize> {
        let home = self.ready(tag(entry.key()?), &tag);
        let other = self.entries.get(home)?.key().map_or(home, |key| self.home(tag(key)));
        let free = if self.is_vacant(home) { home } else { self.vacant.next(other - other % NEAR)? };
        if other != home {
            self.lead(self.before(other, home), Some(free));
            self.relocate(home, free);
        }
        entry.list(true);
        self.taken += 1;
        Some(self.settle(home, free, entry))
    }

    /// The home of a newcomer, after there is a slot for it if there can be.
    fn ready(&mut self, newcomer: u32, tag: impl Fn(ClientKey) -> u32) -> usize {
        while self.entries.len() < slots(self.taken + 1) && self.grow(&tag) {}
        self.home(newcomer)
    }

    /// Takes a client out.
    pub(super) fn remove(&mut self, slot: usize, tag: impl Fn(ClientKey) -> u32) {
        let entry = self.take(slot);
        let Some(key) = entry.key() else { return };
        self.taken -= 1;
        let home = self.home(tag(key));
        if home != slot {
            self.lead(self.before(home, slot), entry.next());
        } else if let Some(next) = entry.next() {
            self.relocate(next, slot);
        }
    }

    /// Begins to have the client among those who may hold nothing.
    pub(super) fn list(&mut self, slot: usize) {
        self.entries[slot].list(true);
        self.listed.add(slot);
    }

    /// The next client from a slot on, or from the start, that holds nothing. Those on the way who do hold something are
    /// listed no more: each is so passed once, however long it stays.
    pub(super) fn next_idle(&mut self, from: usize) -> Option<usize> {
        loop {
            let slot = self.listed.next(from)?;
            let entry = self.entries.get_mut(slot)?;
            if !entry.is_held() {
                return Some(slot);
            }
            entry.list(false);
            self.listed.remove(slot);
        }
    }

    /// The home of a tag: its lower bits, as many as there are slots for.
    fn home(&self, tag: u32) -> usize {
        let mask = self.entries.len().next_power_of_two() - 1;
        let home = tag as usize & mask;
        if home < self.entries.len() { home } else { tag as usize & mask >> 1 }
    }

    /// Adds a slot, which becomes the home of some who had another one; false without the memory.
    fn grow(&mut self, tag: impl Fn(ClientKey) -> u32) -> bool {
        let slot = self.entries.len();
        if slot == self.entries.capacity() && self.entries.try_reserve_exact(MORE).is_err() {
            return false;
        }
        self.entries.push(Entry::VACANT);
        self.vacant.add(slot);
        if slot > 0 {
            self.split(slot - (1 << slot.ilog2()), slot, tag);
        }
        true
    }

    /// Lets those go from an old home whose home is the new one by now: the one at home there last, as it leads to the
    /// others.
    fn split(&mut self, old: usize, new: usize, tag: impl Fn(ClientKey) -> u32) {
        let home = |store: &Self, slot: usize| store.entries[slot].key().map(|key| store.home(tag(key)));
        let first = home(self, old);
        if first != Some(old) && first != Some(new) {
            // Nobody had this home; who stands here has yet another one.
            return;
        }
        let mut before = old;
        while let Some(slot) = self.entries[before].next() {
            if home(self, slot) == Some(new) {
                let entry = self.take(slot);
                self.lead(Some(before), entry.next());
                self.settle(new, slot, entry);
            } else {
                before = slot;
            }
        }
        if first == Some(new) {
            let entry = self.take(old);
            let next = entry.next();
            if let Some(next) = next {
                self.relocate(next, old);
            }
            self.settle(new, next.unwrap_or(old), entry);
        }
    }

    /// Puts a client to its home, or to another slot when somebody is there who has the same home. Gives where it is.
    fn settle(&mut self, home: usize, otherwise: usize, mut entry: Entry) -> usize {
        if self.is_vacant(home) {
            entry.set_next(None);
            self.put(home, entry);
            return home;
        }
        entry.set_next(self.entries[home].next());
        self.entries[home].set_next(Some(otherwise));
        self.put(otherwise, entry);
        otherwise
    }

    /// The slot from which one is led to another that is not its home.
    fn before(&self, home: usize, slot: usize) -> Option<usize> {
        let mut at = home;
        loop {
            let next = self.entries[at].next()?;
            if next == slot {
                return Some(at);
            }
            at = next;
        }
    }

    fn lead(&mut self, from: Option<usize>, to: Option<usize>) {
        debug_assert!(from.is_some(), "whoever is not at home is led to");
        if let Some(from) = from {
            self.entries[from].set_next(to);
        }
    }

    fn relocate(&mut self, from: usize, to: usize) {
        let entry = self.take(from);
        self.put(to, entry);
    }

    fn put(&mut self, slot: usize, entry: Entry) {
        self.vacant.remove(slot);
        if entry.is_listed() {
            self.listed.add(slot);
        }
        self.entries[slot] = entry;
    }

    fn take(&mut self, slot: usize) -> Entry {
        self.vacant.add(slot);
        self.listed.remove(slot);
        std::mem::replace(&mut self.entries[slot], Entry::VACANT)
    }

    fn is_vacant(&self, slot: usize) -> bool {
        self.entries[slot].key().is_none()
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
