//! Expressions that are all looked for in one text, at once where they are many.

use std::collections::HashMap;

use plimsoll_config::Pattern;
use regex::bytes::{RegexSet, RegexSetBuilder, SetMatches};

/// Expressions, each once, by the place it has among them.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    each: Vec<Pattern>,
    places: HashMap<String, usize>,
    /// All of them at once; `None` where there are too few or they are too large together.
    set: Option<RegexSet>,
}

/// Which of them a text may have.
pub(super) enum Look {
    None,
    These(SetMatches),
    /// Each is to be looked for by itself.
    Any,
}

/// Fewer expressions than this are tried one after the other: telling which of a set match takes an allocation.
const MANY: usize = 16;

/// The most memory that a set of expressions may take, in bytes. One expression may take 1 MiB, most take a few KiB.
const LARGEST_SET: usize = 64 << 20;

impl Expressions {
    /// The place of this one, which is the next if it is new.
    pub(super) fn place(&mut self, expression: &Pattern) -> usize {
        let place = *self.places.entry(expression.as_str().to_owned()).or_insert(self.each.len());
        if place == self.each.len() {
            self.each.push(expression.clone());
        }
        place
    }

    /// To be called once all are added.
    pub(super) fn seal(&mut self) {
        if self.each.len() > 1 {
            let all = self.each.iter().map(Pattern::as_str);
            // Those that are too large for a set were none alone.
            self.set = RegexSetBuilder::new(all).size_limit(LARGEST_SET).build().ok();
        }
    }

    pub(super) fn look(&self, text: &[u8]) -> Look {
        match &self.set {
            _ if self.each.is_empty() => Look::None,
            Some(set) if !set.is_match(text) => Look::None,
            Some(set) if self.each.len() >= MANY => Look::These(set.matches(text)),
            _ => Look::Any,
        }
    }

    /// Whether the one at this place is in the text.
    pub(super) fn is_in(&self, place: usize, text: &[u8]) -> bool {
        self.each[place].is_match(text)
    }
}
