//! Which server a value of the application belongs to: a bounded table, shared by the workers.
//!
//! Of a value only a hash by a secret seed is kept. Who is not seen for long is forgotten, and where there is no room for a
//! newcomer it is the one not seen for longest who goes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};

use plimsoll_config::StickyLearnt;
use plimsoll_core::Time;

use crate::lock::lock;

/// The hash of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ValueHash(u64);

/// The table.
pub(super) struct Table {
    seed: RandomState,
    /// Each with a lock of its own, so that workers seldom meet.
    shards: Box<[Mutex<Shard>]>,
}

/// Shards of a table that is large enough for it not to matter that each of them is bounded.
const SHARDS: usize = 16;

/// What begins smaller than this is one shard, and who goes is the one of all not seen for longest. It stays so when a
/// reload makes it larger, as nobody is to be forgotten: workers meet there more often, for less than a microsecond.
const LARGE: usize = 4096;

fn shards(entries: usize) -> usize {
    if entries < LARGE { 1 } else { SHARDS }
}

impl Table {
    /// An empty table for about so many entries. How many there may be is told by each call.
    pub(super) fn new(entries: usize) -> Self {
        let shards = (0..shards(entries)).map(|_| Mutex::default()).collect();
        Self { seed: RandomState::new(), shards }
    }

    pub(super) fn hash(&self, value: &[u8]) -> ValueHash {
        ValueHash(self.seed.hash_one(value))
    }

    /// The server that this value belongs to, which is seen now.
    pub(super) fn find(&self, value: ValueHash, rule: &StickyLearnt, now: Time) -> Option<Arc<str>> {
        lock(self.shard(value)).find(value, rule, now)
    }

    /// From now on this value belongs to this server.
    pub(super) fn learn(&self, value: ValueHash, server: &Arc<str>, rule: &StickyLearnt, now: Time) {
        let most = (rule.entries / self.shards.len()).max(1);
        lock(self.shard(value)).learn(value, server, (most, rule), now);
    }

    /// Entries there are, those that were not seen for long among them until their room is needed.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).places.len()).sum()
    }

    fn shard(&self, value: ValueHash) -> &Mutex<Shard> {
        &self.shards[(value.0 >> 32) as usize % self.shards.len()]
    }
}

/// Entries in the order in which they were last seen.
struct Shard {
    places: HashMap<ValueHash, u32>,
    entries: Vec<Entry>,
    /// Entries that are not in use.
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
}

struct Entry {
    value: ValueHash,
    server: Arc<str>,
    seen: Time,
    newer: u32,
    older: u32,
}

/// No entry.
const NONE: u32 = u32::MAX;

impl Default for Shard {
    fn default() -> Self {
        Self { places: HashMap::new(), entries: Vec::new(), free: Vec::new(), newest: NONE, oldest: NONE }
    }
}

impl Shard {
    fn find(&mut self, value: ValueHash, rule: &StickyLearnt, now: Time) -> Option<Arc<str>> {
        self.expire(rule, now);
        let place = *self.places.get(&value)?;
        if now.saturating_since(self.entries[place as usize].seen) > rule.expires {
            self.forget(place);
            return None;
        }
        self.touch(place, now);
        Some(Arc::clone(&self.entries[place as usize].server))
    }

    fn learn(&mut self, value: ValueHash, server: &Arc<str>, (most, rule): (usize, &StickyLearnt), now: Time) {
        self.expire(rule, now);
        if let Some(place) = self.places.get(&value).copied() {
            self.entries[place as usize].server = Arc::clone(server);
            return self.touch(place, now);
        }
        while self.places.len() >= most {
            self.forget_oldest();
        }
        let entry = Entry { value, server: Arc::clone(server), seen: now, newer: NONE, older: NONE };
        let place = if let Some(place) = self.free.pop() {
            self.entries[place as usize] = entry;
            place
        } else {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        };
        self.places.insert(value, place);
        self.link(place);
    }

    /// Forgets some of those not seen for long: more than one comes at a time, so that nothing piles up.
    fn expire(&mut self, rule: &StickyLearnt, now: Time) {
        const AT_ONCE: usize = 4;
        for _ in 0..AT_ONCE {
            let oldest = self.entries.get(self.oldest as usize);
            if oldest.is_none_or(|entry| now.saturating_since(entry.seen) <= rule.expires) {
                break;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        self.forget(self.oldest);
    }

    fn forget(&mut self, place: u32) {
        if let Some(entry) = self.entries.get(place as usize) {
            self.places.remove(&entry.value);
            self.unlink(place);
            self.free.push(place);
        }
    }

    fn touch(&mut self, place: u32, now: Time) {
        self.unlink(place);
        // Workers read the clock apart.
        let entry = &mut self.entries[place as usize];
        entry.seen = entry.seen.max(now);
        self.link(place);
    }

    /// Makes an entry that is not in the order the newest.
    fn link(&mut self, place: u32) {
        let before = std::mem::replace(&mut self.newest, place);
        let entry = &mut self.entries[place as usize];
        (entry.newer, entry.older) = (NONE, before);
        match self.entries.get_mut(before as usize) {
            Some(before) => before.newer = place,
            None => self.oldest = place,
        }
    }

    fn unlink(&mut self, place: u32) {
        let Entry { newer, older, .. } = self.entries[place as usize];
        match self.entries.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use plimsoll_config::LearnFrom;

    use super::*;

    fn rule(entries: usize) -> StickyLearnt {
        StickyLearnt { from: LearnFrom::Header("X".to_owned()), entries, expires: Duration::from_secs(60) }
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn found(table: &Table, value: &str, rule: &StickyLearnt, now: Time) -> Option<String> {
        table.find(table.hash(value.as_bytes()), rule, now).map(|server| server.to_string())
    }

    fn learn(table: &Table, value: &str, server: &str, rule: &StickyLearnt, now: Time) {
        table.learn(table.hash(value.as_bytes()), &server.into(), rule, now);
    }

    #[test]
    fn whoever_was_not_seen_for_longest_makes_room() {
        let (rule, table) = (rule(3), Table::new(3));
        for (second, value) in ["a", "b", "c"].into_iter().enumerate() {
            learn(&table, value, value, &rule, at(second as u64));
        }
        assert_eq!(found(&table, "a", &rule, at(3)).as_deref(), Some("a"));
        learn(&table, "d", "d", &rule, at(4));
        let known = ["a", "b", "c", "d"].map(|value| found(&table, value, &rule, at(5)).is_some());
        assert_eq!((known, table.len()), ([true, false, true, true], 3));
        learn(&table, "c", "other", &rule, at(6));
        assert_eq!((found(&table, "c", &rule, at(6)).as_deref(), table.len()), (Some("other"), 3));
    }

    #[test]
    fn whoever_is_not_seen_for_long_is_forgotten() {
        let (rule, table) = (rule(100), Table::new(100));
        learn(&table, "a", "s", &rule, at(0));
        learn(&table, "b", "s", &rule, at(1));
        assert!(found(&table, "a", &rule, at(60)).is_some());
        assert_eq!(found(&table, "b", &rule, at(62)), None);
        assert!(found(&table, "a", &rule, at(120)).is_some());
        assert_eq!((found(&table, "a", &rule, at(181)), table.len()), (None, 0));
    }

    #[test]
    fn a_smaller_bound_holds_from_the_next_newcomer_on() {
        let table = Table::new(1000);
        for value in 0..1000 {
            learn(&table, &value.to_string(), "s", &rule(1000), at(0));
        }
        assert_eq!(table.len(), 1000);
        learn(&table, "new", "s", &rule(10), at(0));
        assert_eq!(table.len(), 10);
    }

    #[test]
    fn a_larger_bound_forgets_nobody_and_holds() {
        let table = Table::new(10);
        for value in 0..10 {
            learn(&table, &value.to_string(), "s", &rule(10), at(0));
        }
        let larger = rule(2 * LARGE);
        for value in 10..3 * LARGE {
            assert!(value >= 2 * LARGE || found(&table, "0", &larger, at(0)).is_some(), "{value}");
            learn(&table, &value.to_string(), "s", &larger, at(0));
        }
        assert_eq!(table.len(), 2 * LARGE);
    }

    #[test]
    fn a_large_table_stays_within_its_bound_on_many_threads() {
        let (rule, table) = (rule(5000), Table::new(5000));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (table, rule) = (&table, &rule);
                scope.spawn(move || {
                    for value in 0..5000 {
                        let value = format!("{thread} {value}");
                        learn(table, &value, &value, rule, at(1));
                        if let Some(server) = found(table, &value, rule, at(1)) {
                            assert_eq!(server, value);
                        }
                    }
                });
            }
        });
        assert!((4000..=5000).contains(&table.len()), "{}", table.len());
    }
}
