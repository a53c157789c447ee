//! Limits per client: how many connections and requests one client may have at once, and how many it may begin within
//! any window of time.
//!
//! A [`ClientTable`] keeps count of the clients that matter now, never of more than its rules allow. Each has an entry
//! of 128 bytes, 193 with the room beside it, in a place that a hash with a secret seed names (`clients/store.rs`), so
//! that nobody can choose addresses or values that meet. The table is cut into shards behind locks of their own, and all
//! that one call does happens under one of them: a limit is never exceeded, by any number of threads, and what is counted
//! at once equals the [`ClientHold`]s alive. How time is counted, and by how much that is too strict, is told in
//! `clients/window.rs`.
//!
//! Room is made a few entries at a time (the clock algorithm of paging, Corbató 1968): a hand goes round in each shard,
//! and takes out who holds nothing and whose windows have run out. When the table is full, a newcomer takes the place
//! of the one that was quiet longest among the next eight; one who holds anything never goes. When nobody can go there
//! or in eight shards more, the newcomer is let in without a count: to refuse those who did nothing would be the
//! greater harm.
//!
//! ```
//! use std::num::{NonZeroU32, NonZeroUsize};
//! use std::time::Duration;
//! use plimsoll_core::{Admission, ClientKey, ClientLimit, ClientRules, ClientTable, Rate, Time};
//!
//! let second = Rate { limit: NonZeroU32::new(2).unwrap(), window: Duration::from_secs(1) };
//! let entries = NonZeroUsize::new(100_000).unwrap();
//! let rules = ClientRules { request_rate: Some(second), ..ClientRules::counting(entries) };
//! let table = ClientTable::new(rules, 0x5eed);
//!
//! let client = ClientKey::address([192, 0, 2, 1].into(), 64);
//! let held = [table.request(client, Time::ZERO), table.request(client, Time::ZERO)];
//! assert!(held.iter().all(|admission| matches!(admission, Admission::In(_))));
//! let Admission::Over(over) = table.request(client, Time::ZERO) else { panic!("the third is one too many") };
//! assert_eq!(over.limit, ClientLimit::RequestRate);
//! assert_eq!(over.retry_after, Duration::from_micros(1_062_500));
//! ```

mod admission;
mod entry;
mod key;
mod over;
mod rules;
mod secret;
mod shard;
mod slots;
mod stats;
mod store;
mod window;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::Time;
use crate::lock::lock;
use admission::Seat;
pub use admission::{Admission, ClientHold};
pub use key::ClientKey;
pub use over::{ClientLimit, Over};
pub use rules::{ClientRules, Rate};
use rules::{Kind, Limits};
use secret::Secret;
use shard::{Answer, Room, Shard, Wish};
use stats::Busiest;
pub use stats::{ClientStats, ClientTableStats, LimitCounts};

/// Slots a shard has at least when the table is full, unless there is only one; so few are uneven enough already.
const LEAST_SLOTS: usize = 512;

/// More locks than any machine has cores.
const MOST_SHARDS: usize = 256;

/// Shards that a newcomer asks for room when there is none in its own.
const NEIGHBOURS: usize = 8;

/// Entries that are looked at for [`ClientTable::top`] under one lock: some ten microseconds.
const LOOKED_AT: usize = 256;

/// The clients of one limit rule, by their keys.
pub struct ClientTable {
    shards: Box<[Mutex<Shard>]>,
    room: Room,
    /// Held while the shards follow a change.
    rules: Mutex<ClientRules>,
}

impl ClientTable {
    /// The most clients that [`top`](Self::top) tells of.
    pub const MOST_TOP: usize = 100;

    /// An empty table. The seed is to be secret and random, another one for each process: who knows it could send keys
    /// that all meet in one place. How many locks there are follows from the entries of these rules, also after a
    /// change.
    pub fn new(rules: ClientRules, seed: u64) -> Arc<Self> {
        let capacity = rules.capacity();
        let shards = shards(capacity);
        let limits = Limits::new(&rules);
        let shard = || Mutex::new(Shard::new(capacity.div_ceil(shards), limits));
        Arc::new(Self {
            shards: (0..shards).map(|_| shard()).collect(),
            room: Room::new(capacity, Secret::new(seed)),
            rules: Mutex::new(rules),
        })
    }

    /// Follows a change of the rules, as a reload brings it. All counts stay, and all holds. When fewer entries are
    /// allowed, those beyond go as calls come and they hold nothing. When the length of a window changes, what still
    /// counts is taken to have begun as late as the client's latest, which may be too strict for one window and is
    /// never too lax; what counted no more is not remembered.
    pub fn apply(&self, rules: ClientRules) {
        let mut current = lock(&self.rules);
        let capacity = rules.capacity();
        let limits = Limits::new(&rules);
        for shard in &self.shards {
            lock(shard).apply(capacity.div_ceil(self.shards.len()), limits);
        }
        self.room.resize(capacity);
        *current = rules;
    }

    /// The rules in force.
    pub fn rules(&self) -> ClientRules {
        lock(&self.rules).clone()
    }

    /// A connection of a client that comes `now`: [`Admission::In`] or [`Admission::Over`].
    pub fn connect(self: &Arc<Self>, key: ClientKey, now: Time) -> Admission {
        self.admit(key, Kind::Connection, now, Duration::ZERO)
    }

    /// The same for one that would wait for `most`, as [`request_or_wait`](Self::request_or_wait) tells.
    pub fn connect_or_wait(self: &Arc<Self>, key: ClientKey, now: Time, most: Duration) -> Admission {
        self.admit(key, Kind::Connection, now, most)
    }

    /// A request of a client that comes `now`: [`Admission::In`] or [`Admission::Over`].
    pub fn request(self: &Arc<Self>, key: ClientKey, now: Time) -> Admission {
        self.admit(key, Kind::Request, now, Duration::ZERO)
    }

    /// The same for one that would wait for `most`: [`Admission::Later`] when the rate alone is exceeded and its place
    /// comes in time. Each gets a place of its own, a share of the window apart, and nobody who comes later is let in
    /// before. Those who wait are requests at once, so that [`ClientRules::requests`] bounds them.
    pub fn request_or_wait(self: &Arc<Self>, key: ClientKey, now: Time, most: Duration) -> Admission {
        self.admit(key, Kind::Request, now, most)
    }

    fn admit(self: &Arc<Self>, key: ClientKey, kind: Kind, now: Time, most: Duration) -> Admission {
        let hash = self.room.secret().hash(key);
        // Its share of all hashes (Lemire, 2019), which takes no division.
        let shard = ((u64::from(hash as u32) * self.shards.len() as u64) >> u32::BITS) as usize;
        let tag = secret::tag(hash);
        let wish = Wish { key, tag, kind, now, most };
        let mut answer = lock(&self.shards[shard]).admit(&wish, &self.room, false);
        if answer == Answer::Full && self.make_way(shard, now) {
            answer = lock(&self.shards[shard]).admit(&wish, &self.room, true);
        }
        let hold = |seat| ClientHold::new(Arc::clone(self), seat, kind);
        match answer {
            Answer::Counted { slot, wait } => {
                let hold = hold(Some(Seat { key, tag, shard: shard as u32, slot: slot as u32 }));
                if wait.is_zero() { Admission::In(hold) } else { Admission::Later { hold, wait } }
            }
            Answer::Full => {
                lock(&self.shards[shard]).let_pass();
                Admission::In(hold(None))
            }
            Answer::Over(over) => Admission::Over(over),
        }
    }

    /// Makes a client of one of the next shards go, whose claim of room the caller has then. Among many shards a small
    /// table may have left some without anybody.
    fn make_way(&self, shard: usize, now: Time) -> bool {
        let others = (shard + 1..shard + self.shards.len()).take(NEIGHBOURS);
        others.map(|other| &self.shards[other % self.shards.len()]).any(|other| lock(other).make_way(now, &self.room))
    }

    /// The end of a hold: the one place where what a client has at once goes down.
    fn release(&self, seat: Seat, kind: Kind) {
        if let Some(shard) = self.shards.get(seat.shard as usize) {
            lock(shard).release(seat.key, seat.tag, seat.slot as usize, kind);
        }
    }

    /// How many it knows, and what it did.
    pub fn stats(&self) -> ClientTableStats {
        let start = ClientTableStats {
            entries: self.room.taken(),
            capacity: self.room.capacity(),
            ..ClientTableStats::default()
        };
        self.shards.iter().fold(start, |mut sum, shard| {
            sum.add(lock(shard).tally());
            sum
        })
    }

    /// The `most` busiest clients at `now`, at most [`MOST_TOP`](Self::MOST_TOP): by requests within the window, then
    /// by all their requests, then by connections. It walks the whole table, a little at a time, so that those who call
    /// meanwhile wait for microseconds; what moves meanwhile may be missed.
    pub fn top(&self, most: usize, now: Time) -> Vec<ClientStats> {
        let mut busiest = Busiest::new(most.min(Self::MOST_TOP));
        for shard in &self.shards {
            let mut from = 0;
            while lock(shard).show(from, LOOKED_AT, now, &mut busiest) {
                from += LOOKED_AT;
            }
        }
        busiest.in_order()
    }
}

/// So many that the slots of each are about a power of two when the table is full: then no home is shared by more
/// clients than another, as the store tells.
fn shards(capacity: usize) -> usize {
    let slots = store::slots(capacity);
    (slots / slots.div_ceil(MOST_SHARDS).next_power_of_two().max(LEAST_SLOTS)).max(1)
}

impl fmt::Debug for ClientTable {
    /// Without a million entries.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTable").field("room", &self.room).finish_non_exhaustive()
    }
}
