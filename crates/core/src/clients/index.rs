//! From a hash to a slot: open addressing with linear probing, in memory that is asked for once.
//!
//! A cell holds 32 bits of the hash and the slot, so that a probe looks at an entry only when it is most likely the right
//! one, and cells can move without the entries being read. Removing closes the gap at once (Knuth, 6.4, algorithm R), so that
//! probes stay short however long clients come and go.

/// Cells for each entry: two thirds are taken when all is full.
const CELLS: usize = 3;
const ENTRIES: usize = 2;

/// Room beside, so that the smallest index is none of full cells only.
const SPARE: usize = 8;

/// Where the entries of a shard are. The cells are never all taken: the shard asks [`has_room`](Index::has_room) before.
#[derive(Debug)]
pub(super) struct Index {
    /// Zero is an empty one.
    cells: Vec<u64>,
    taken: usize,
}

impl Index {
    /// For about so many entries.
    pub(super) fn new(entries: usize) -> Self {
        // Zeroes from the system are memory only once they are written.
        Self { cells: vec![0; entries * CELLS / ENTRIES + SPARE], taken: 0 }
    }

    /// Takes care that there is room for about so many entries.
    pub(super) fn grow(&mut self, entries: usize) {
        let mut larger = Self::new(entries);
        if larger.cells.len() > self.cells.len() {
            self.cells.iter().filter(|cell| **cell != 0).for_each(|cell| larger.put(*cell));
            *self = larger;
        }
    }

    /// Whether one more may come: at seven eighths probes begin to be long.
    pub(super) fn has_room(&self) -> bool {
        self.taken < self.cells.len() / 8 * 7
    }

    /// The slot with this tag that `is_it`.
    pub(super) fn find(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.probe(tag, is_it).map(|(_, slot)| slot)
    }

    fn probe(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Option<(usize, u32)> {
        let mut at = self.home(tag);
        loop {
            let cell = self.cells[at];
            if cell == 0 {
                return None;
            }
            if tag_of(cell) == tag && is_it(slot_of(cell)) {
                return Some((at, slot_of(cell)));
            }
            at = self.after(at);
        }
    }

    /// Adds a slot that is not in it.
    pub(super) fn insert(&mut self, tag: u32, slot: u32) {
        self.put(u64::from(tag) << 32 | (u64::from(slot) + 1));
    }

    fn put(&mut self, cell: u64) {
        let mut at = self.home(tag_of(cell));
        while self.cells[at] != 0 {
            at = self.after(at);
        }
        self.cells[at] = cell;
        self.taken += 1;
    }

    /// Takes a slot out.
    pub(super) fn remove(&mut self, tag: u32, slot: u32) {
        let Some((mut gap, _)) = self.probe(tag, |other| other == slot) else { return };
        self.taken -= 1;
        let mut at = gap;
        loop {
            at = self.after(at);
            let cell = self.cells[at];
            if cell == 0 {
                break;
            }
            // It may move into the gap unless its home lies after that.
            if self.distance(self.home(tag_of(cell)), at) >= self.distance(gap, at) {
                self.cells[gap] = cell;
                gap = at;
            }
        }
        self.cells[gap] = 0;
    }

    /// Where the search for a tag begins: its share of all cells (Lemire, 2019), which takes no division.
    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.cells.len() as u64) >> 32) as usize
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.cells.len() { 0 } else { at + 1 }
    }

    /// Steps from one cell on to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.cells.len() - from }
    }
}

fn tag_of(cell: u64) -> u32 {
    (cell >> 32) as u32
}

fn slot_of(cell: u64) -> u32 {
    (cell as u32).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_finds_what_a_plain_map_finds() {
        let mut index = Index::new(40);
        let mut model: BTreeMap<u32, u32> = BTreeMap::new();
        let mut random = 1_u64;
        for step in 0..20_000_u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let slot = (random >> 33) as u32 % 64;
            // Few tags at both ends, so that they meet and wrap.
            let tag = [0, 1, u32::MAX, u32::MAX - 1, u32::MAX / 2][slot as usize % 5];
            if model.remove(&slot).is_some() {
                index.remove(tag, slot);
            } else if index.has_room() {
                index.insert(tag, slot);
                model.insert(slot, tag);
            }
            if step == 10_000 {
                index.grow(100);
            }
            assert_eq!(index.taken, model.len());
            for other in 0..64 {
                let tag = [0, 1, u32::MAX, u32::MAX - 1, u32::MAX / 2][other as usize % 5];
                assert_eq!(index.find(tag, |slot| slot == other), model.contains_key(&other).then_some(other));
            }
        }
    }
}
