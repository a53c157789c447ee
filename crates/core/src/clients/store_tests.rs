//! The store against a plain map, with tags that meet.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::Time;
use crate::clients::rules::Kind;

fn key(number: u32) -> ClientKey {
    ClientKey::address(std::net::Ipv4Addr::from_bits(number).into(), 64)
}

fn number(key: ClientKey) -> u32 {
    key.bits() as u32
}

/// A generator of whole histories.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(end)) as u32
    }
}

impl Store {
    /// All that must hold between two calls.
    fn check(&self, tag: impl Fn(ClientKey) -> u32) {
        let mut reached = BTreeSet::new();
        for slot in 0..self.entries.len() {
            let entry = &self.entries[slot];
            let Some(key) = entry.key() else {
                assert!(entry.next().is_none() && !entry.is_listed(), "nothing is left in {slot}");
                continue;
            };
            assert!(entry.is_listed() || entry.is_held(), "{slot} can be found when it may go");
            if self.home(tag(key)) != slot {
                continue;
            }
            let mut at = Some(slot);
            while let Some(next) = at {
                let key = self.entries[next].key().expect("a chain leads to somebody");
                assert_eq!(self.home(tag(key)), slot, "chains do not meet");
                assert!(reached.insert(next), "{next} is reached once");
                at = self.entries[next].next();
            }
        }
        assert_eq!(reached.len(), self.taken, "each is reached from its home");
        let all = |slots: &Slots| {
            let mut found = BTreeSet::new();
            let mut from = 0;
            while let Some(slot) = slots.next(from).filter(|slot| *slot >= from) {
                found.insert(slot);
                from = slot + 1;
            }
            found
        };
        let which = |is: fn(&Entry) -> bool| {
            let slots = (0..self.entries.len()).filter(|slot| is(&self.entries[*slot]));
            slots.collect::<BTreeSet<usize>>()
        };
        assert_eq!(all(&self.vacant), which(|entry| entry.key().is_none()));
        assert_eq!(all(&self.listed), which(Entry::is_listed));
        assert!(self.entries.len() <= slots(self.taken.max(self.most_so_far())), "no more slots than clients need");
    }

    /// Slots never become fewer.
    fn most_so_far(&self) -> usize {
        self.entries.len() * CLIENTS / SLOTS
    }
}

/// Tags of all kinds: few that meet, those that differ in their highest bits only, and any.
fn tags() -> [fn(ClientKey) -> u32; 4] {
    [
        |key| [0, 1, u32::MAX, u32::MAX - 1, u32::MAX / 2][number(key) as usize % 5],
        |key| number(key) << 25 | 3,
        |key| number(key).wrapping_mul(0x9E37_79B1).rotate_left(16),
        number,
    ]
}

#[test]
fn it_finds_what_a_plain_map_finds() {
    for (seed, tag) in (1..).zip(tags()) {
        let mut random = Random(seed);
        let mut store = Store::new(0);
        // The requests each has at once.
        let mut model: BTreeMap<u32, u32> = BTreeMap::new();
        for step in 0..6000 {
            let clients = if step < 3000 { 40 } else { 150 };
            let client = random.below(clients);
            let slot = store.find(key(client), tag(key(client)));
            assert_eq!(slot.is_some(), model.contains_key(&client));
            match (slot, random.below(3)) {
                (None, _) => {
                    let slot = store.add(Entry::new(key(client), Time::ZERO), tag).expect("there is memory");
                    assert!(store.is_in(slot, key(client)));
                    model.insert(client, 0);
                }
                (Some(slot), 0) => {
                    store.at_mut(slot).hold(Kind::Request);
                    *model.get_mut(&client).unwrap() += 1;
                }
                (Some(slot), _) if model[&client] > 0 => {
                    store.at_mut(slot).release(Kind::Request);
                    *model.get_mut(&client).unwrap() -= 1;
                    if model[&client] == 0 {
                        store.list(slot);
                    }
                }
                (Some(slot), _) => {
                    store.remove(slot, tag);
                    model.remove(&client);
                }
            }
            if step % 7 == 0 {
                store.check(tag);
            }
        }
        for (client, requests) in &model {
            let slot = store.find(key(*client), tag(key(*client))).expect("it is there");
            let (limits, entry) =
                (crate::clients::Limits::new(&crate::ClientRules::counting(1.try_into().unwrap())), slot);
            let (_, stats) = store.at(entry).stats(&limits, Time::ZERO).expect("somebody is there");
            assert_eq!(stats.requests, *requests, "what a client holds moves with it");
        }
    }
}

#[test]
fn all_who_hold_nothing_are_found_in_one_round_and_nobody_else() {
    for tag in tags() {
        let mut store = Store::new(0);
        for client in 0..300 {
            store.add(Entry::new(key(client), Time::ZERO), tag).expect("there is memory");
        }
        for client in (0..300).filter(|client| client % 3 != 0) {
            let slot = store.find(key(client), tag(key(client))).expect("it is there");
            store.at_mut(slot).hold(Kind::Connection);
        }
        let mut found = BTreeSet::new();
        let mut from = 0;
        while let Some(slot) = store.next_idle(from).filter(|slot| *slot >= from) {
            found.extend(store.at(slot).key().map(number));
            from = slot + 1;
        }
        let idle: BTreeSet<u32> = (0..300).filter(|client| client % 3 == 0).map(|client| number(key(client))).collect();
        assert_eq!(found, idle);
        store.check(tag);
        let held = store.find(key(1), tag(key(1))).expect("it is there");
        assert!(!store.at(held).is_listed(), "who holds something is passed once");
    }
}

#[test]
fn memory_comes_with_clients_and_most_are_found_at_once() {
    let tag = |key| number(key).wrapping_mul(0x9E37_79B1).rotate_left(7).wrapping_mul(0x85EB_CA77);
    let mut store = Store::new(100_000);
    for client in 0..10_000 {
        store.add(Entry::new(key(client), Time::ZERO), tag).expect("there is memory");
        assert_eq!(store.entries.len(), slots(client as usize + 1), "two of three slots are taken");
    }
    let at_home = store
        .entries
        .iter()
        .enumerate()
        .filter(|(slot, entry)| entry.key().is_some_and(|key| store.home(tag(key)) == *slot));
    let at_home = at_home.count();
    assert!(at_home > 6500, "{at_home} of 10,000");
}
