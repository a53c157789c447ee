//! A set of slots: a bit for each, so that the next one is found at once, also where few are in it.

/// Bits of a word.
const WORD: usize = u64::BITS as usize;

#[derive(Debug, Default)]
pub(super) struct Slots {
    words: Vec<u64>,
}

impl Slots {
    pub(super) fn add(&mut self, slot: usize) {
        let (word, bit) = (slot / WORD, slot % WORD);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << bit;
    }

    pub(super) fn remove(&mut self, slot: usize) {
        if let Some(word) = self.words.get_mut(slot / WORD) {
            *word &= !(1 << (slot % WORD));
        }
    }

    /// The first from `slot` on, and from the start where there is none.
    pub(super) fn next(&self, slot: usize) -> Option<usize> {
        let (word, bit) = (slot / WORD, slot % WORD);
        let rest = self.words.get(word).map_or(0, |bits| bits & (u64::MAX << bit));
        if rest != 0 {
            return Some(word * WORD + rest.trailing_zeros() as usize);
        }
        let first = |(at, bits): (usize, &u64)| (*bits != 0).then(|| at * WORD + bits.trailing_zeros() as usize);
        let mut after = self.words.iter().enumerate().skip(word + 1);
        after.find_map(first).or_else(|| self.words.iter().enumerate().take(word + 1).find_map(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_one_is_found_also_round_the_end() {
        let mut slots = Slots::default();
        assert_eq!(slots.next(0), None);
        for slot in [3, 63, 64, 500] {
            slots.add(slot);
        }
        let expected = [(0, 3), (3, 3), (4, 63), (64, 64), (65, 500), (500, 500), (501, 3), (10_000, 3)];
        assert!(expected.iter().all(|(from, slot)| slots.next(*from) == Some(*slot)));
        for slot in [3, 63, 64, 9999] {
            slots.remove(slot);
        }
        assert_eq!(slots.next(501), Some(500));
        slots.remove(500);
        assert_eq!(slots.next(0), None);
    }
}
