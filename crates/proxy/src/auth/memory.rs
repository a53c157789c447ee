//! What was found, for a while: under a key that tells nothing of a password to who does not know what it was made with.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

/// A name with a password, for one version of the users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(u128);

/// Users with their passwords: another when one of them changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version(u128);

/// Makes keys, with `SipHash` under a secret of this process: who does not know that cannot make two things have the same
/// one, and with 128 bits nobody comes upon one by chance.
#[derive(Debug, Default)]
pub(super) struct Keys(RandomState);

impl Keys {
    pub(super) fn key(&self, Version(version): Version, credentials: &[u8]) -> Key {
        Key(self.hash([&version.to_ne_bytes()[..], credentials]))
    }

    pub(super) fn version(&self, users: &[(String, String)]) -> Version {
        // Neither has a control character in it.
        let parts = users.iter().flat_map(|(name, hash)| [name.as_bytes(), b"\n", hash.as_bytes(), b"\n"]);
        Version(self.hash(parts))
    }

    fn hash<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> u128 {
        let mut halves = [0_u8, 1].map(|half| {
            let mut hasher = self.0.build_hasher();
            hasher.write_u8(half);
            hasher
        });
        for part in parts {
            for hasher in &mut halves {
                hasher.write(part);
            }
        }
        let [high, low] = halves.map(|hasher| u128::from(hasher.finish()));
        high << 64 | low
    }
}

/// Keys, each for some time. When there are too many, those that came first go first.
#[derive(Debug)]
pub(super) struct Memory {
    life: Duration,
    most: usize,
    young: HashMap<Key, Instant>,
    old: HashMap<Key, Instant>,
}

impl Memory {
    /// One that keeps each key for this long, and at most so many.
    pub(super) fn new(life: Duration, most: usize) -> Self {
        Self { life, most, young: HashMap::new(), old: HashMap::new() }
    }

    pub(super) fn holds(&self, key: Key, now: Instant) -> bool {
        let until = self.young.get(&key).or_else(|| self.old.get(&key));
        until.is_some_and(|until| now < *until)
    }

    pub(super) fn add(&mut self, key: Key, now: Instant) {
        if self.young.len() >= self.most / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, now + self.life);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(hash: &str) -> [(String, String); 1] {
        [("amy".to_owned(), hash.to_owned())]
    }

    #[test]
    fn a_key_is_of_its_users_its_name_and_its_password() {
        let keys = Keys::default();
        let (one, other) = (keys.version(&users("1")), keys.version(&users("2")));
        let all = [(one, "amy:a"), (one, "amy:b"), (other, "amy:a"), (one, ""), (one, "amy:a ")];
        let made: std::collections::HashSet<_> =
            all.iter().map(|(version, text)| keys.key(*version, text.as_bytes())).collect();
        assert_eq!(made.len(), all.len());
        assert_eq!(keys.version(&users("1")), one);
        assert_eq!(keys.key(one, b"amy:a"), keys.key(one, b"amy:a"));
        assert_ne!(Keys::default().key(one, b"amy:a"), keys.key(one, b"amy:a"));
    }

    #[test]
    fn a_key_is_kept_for_its_time_and_many_push_out_the_first() {
        let (keys, begin) = (Keys::default(), Instant::now());
        let version = keys.version(&users("1"));
        let key = |number: usize| keys.key(version, &number.to_ne_bytes());
        let mut memory = Memory::new(Duration::from_secs(5), 10);
        memory.add(key(0), begin);
        assert!(memory.holds(key(0), begin + Duration::from_millis(4999)));
        assert!(!memory.holds(key(0), begin + Duration::from_secs(5)));
        for number in 1..1000 {
            memory.add(key(number), begin);
            assert!(memory.young.len() + memory.old.len() <= 10);
        }
        let held = (0..1000).filter(|number| memory.holds(key(*number), begin)).min();
        assert!(held >= Some(990) && memory.holds(key(999), begin), "{held:?}");
    }
}
