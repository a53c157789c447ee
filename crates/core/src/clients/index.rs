//! From a hash to a slot: open addressing with linear probing, in memory that is asked for once.
//!
//! A cell is 32 bits, the slot and of the hash what fits beside it: a probe looks at an entry only when it is most
//! likely the right one, and the cells of a million clients are 6 MB, which caches and page tables hold far better than
//! the entries. Removing closes the gap at once (Knuth, 6.4, algorithm R), so that probes stay short however long
//! clients come and go; it asks the entries for the rest of their hash.

/// Cells for each entry: two thirds are taken when all is full.
const CELLS: usize = 3;
const ENTRIES: usize = 2;

/// Room beside, so that the smallest index is none of full cells only.
const SPARE: usize = 8;

/// Where the entries of a shard are. The cells are never all taken: the shard asks [`has_room`](Index::has_room)
/// before.
#[derive(Debug)]
pub(super) struct Index {
    /// Zero is an empty one; otherwise the lower bits are the slot and one.
    cells: Vec<u32>,
    /// How many bits a slot takes.
    slot_bits: u32,
    taken: usize,
}

impl Index {
    /// For about so many entries.
    pub(super) fn new(entries: usize) -> Self {
        let cells = entries * CELLS / ENTRIES + SPARE;
        // Zeroes from the system are memory only once they are written.
        Self { cells: vec![0; cells], slot_bits: usize::BITS - cells.leading_zeros(), taken: 0 }
    }

    /// Takes care that there is room for about so many entries.
    pub(super) fn grow(&mut self, entries: usize, tag_of: impl Fn(u32) -> u32) {
        let mut larger = Self::new(entries);
        if larger.cells.len() > self.cells.len() {
            for slot in self.cells.iter().filter_map(|cell| self.slot_of(*cell)) {
                larger.insert(tag_of(slot), slot);
            }
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
        while let Some(slot) = self.slot_of(self.cells[at]) {
            if self.cells[at] == self.cell(tag, slot) && is_it(slot) {
                return Some((at, slot));
            }
            at = self.after(at);
        }
        None
    }

    /// Adds a slot that is not in it. Slots are below the number of cells.
    pub(super) fn insert(&mut self, tag: u32, slot: u32) {
        let mut at = self.home(tag);
        while self.cells[at] != 0 {
            at = self.after(at);
        }
        self.cells[at] = self.cell(tag, slot);
        self.taken += 1;
    }

    /// Takes a slot out; `tag_of` tells the tags of the others.
    pub(super) fn remove(&mut self, tag: u32, slot: u32, tag_of: impl Fn(u32) -> u32) {
        let Some((mut gap, _)) = self.probe(tag, |other| other == slot) else { return };
        self.taken -= 1;
        let mut at = self.after(gap);
        while let Some(other) = self.slot_of(self.cells[at]) {
            // It may move into the gap unless its home lies after that.
            if self.distance(self.home(tag_of(other)), at) >= self.distance(gap, at) {
                self.cells[gap] = self.cells[at];
                gap = at;
            }
            at = self.after(at);
        }
        self.cells[gap] = 0;
    }

    /// The lower bits of the tag, since the higher ones tell the home.
    fn cell(&self, tag: u32, slot: u32) -> u32 {
        tag << self.slot_bits | (slot + 1)
    }

    fn slot_of(&self, cell: u32) -> Option<u32> {
        (cell & ((1 << self.slot_bits) - 1)).checked_sub(1)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_finds_what_a_plain_map_finds() {
        // Few tags, at both ends, so that they meet and wrap.
        let tag_of = |slot: u32| [0, 1, u32::MAX, u32::MAX - 1, u32::MAX / 2][slot as usize % 5];
        let mut index = Index::new(40);
        let mut model = BTreeSet::new();
        let mut random = 1_u64;
        for step in 0..20_000_u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let slot = (random >> 33) as u32 % 64;
            if model.remove(&slot) {
                index.remove(tag_of(slot), slot, tag_of);
            } else if index.has_room() {
                index.insert(tag_of(slot), slot);
                model.insert(slot);
            }
            if step == 10_000 {
                index.grow(100, tag_of);
            }
            assert_eq!(index.taken, model.len());
            for other in 0..64 {
                let found = index.find(tag_of(other), |slot| slot == other);
                assert_eq!(found, model.contains(&other).then_some(other));
            }
        }
    }
}
