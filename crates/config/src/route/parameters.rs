//! The parameters of a query, read as forms write them.

use std::cell::{Cell, OnceCell};
use std::ops::Range;

use percent_encoding::percent_decode;

/// The parameters of a query. They are decoded once, when a route first asks for one, and in an order in which the values of
/// a name are found without a look at all: however many a request has, each route has them nearly for nothing.
pub struct Parameters<'a> {
    query: &'a str,
    decoded: OnceCell<DecodedQuery>,
    /// Where they are decoded to, until then.
    memory: Cell<DecodedQuery>,
}

/// Parameters that were decoded, or memory of some that were, for the next.
#[derive(Debug, Default)]
pub struct DecodedQuery {
    text: Vec<u8>,
    /// By name, then by value, each pair once.
    pairs: Vec<Pair>,
}

/// Where a parameter stands in the decoded text.
#[derive(Debug, Clone)]
struct Pair {
    name: Range<usize>,
    value: Range<usize>,
}

impl<'a> Parameters<'a> {
    /// Those of `query`, which is without its question mark and as it came.
    pub fn of(query: &'a str) -> Self {
        Self::in_memory(query, DecodedQuery::default())
    }

    /// The same, decoded into `memory`; [`Parameters::into_memory`] gives it back.
    pub fn in_memory(query: &'a str, memory: DecodedQuery) -> Self {
        Self { query, decoded: OnceCell::new(), memory: Cell::new(memory) }
    }

    /// What they were decoded into, for those of another query.
    pub fn into_memory(self) -> DecodedQuery {
        self.decoded.into_inner().unwrap_or(self.memory.into_inner())
    }

    /// Whether one of the values of the parameter called `name` passes `test`. No further value is looked at then.
    pub fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let DecodedQuery { text, pairs } = self.decoded();
        let first = pairs.partition_point(|pair| text[pair.name.clone()] < *name.as_bytes());
        let named = pairs[first..].iter().take_while(|pair| text[pair.name.clone()] == *name.as_bytes());
        named.map(|pair| &text[pair.value.clone()]).any(test)
    }

    /// Each of them, by name and value; what stands there twice is told once.
    pub fn each(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let DecodedQuery { text, pairs } = self.decoded();
        pairs.iter().map(|pair| (&text[pair.name.clone()], &text[pair.value.clone()]))
    }

    fn decoded(&self) -> &DecodedQuery {
        self.decoded.get_or_init(|| {
            let mut decoded = self.memory.take();
            decoded.read(self.query);
            decoded
        })
    }
}

impl DecodedQuery {
    /// Bytes of memory that it holds.
    pub fn capacity(&self) -> usize {
        self.text.capacity() + self.pairs.capacity() * size_of::<Pair>()
    }

    fn read(&mut self, query: &str) {
        let Self { text, pairs } = self;
        text.clear();
        pairs.clear();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name, text), decode(value, text));
            pairs.push(Pair { name, value });
        }
        let both = |pair: &Pair| (&text[pair.name.clone()], &text[pair.value.clone()]);
        pairs.sort_unstable_by(|one, other| both(one).cmp(&both(other)));
        // A query may say the same a thousand times, which is no reason to look at it as often.
        pairs.dedup_by(|one, other| both(one) == both(other));
    }
}

/// Appends a name or a value as forms write them, decoded, to `out`: a space is a plus sign.
fn decode(text: &str, out: &mut Vec<u8>) -> Range<usize> {
    let start = out.len();
    for (number, part) in text.split('+').enumerate() {
        if number > 0 {
            out.push(b' ');
        }
        out.extend(percent_decode(part.as_bytes()));
    }
    start..out.len()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    /// What each route did for itself: a walk along the query.
    fn walked(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        fn plain(text: &str) -> Cow<'_, [u8]> {
            Cow::Owned(percent_decode(text.replace('+', " ").as_bytes()).collect())
        }
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.map(|(name, value)| (plain(name).into_owned(), plain(value).into_owned())).collect()
    }

    fn any_query() -> impl Strategy<Value = String> {
        const PIECES: [&str; 12] = ["a", "b", "=", "&", "+", "%", "%61", "%2B", "%zz", "%ff", "1", "\u{e4}"];
        prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn each_parameter_is_found_by_its_name(query in any_query(), before in any_query()) {
            let used = Parameters::of(&before);
            used.any("", &mut |_| false);
            let parameters = Parameters::in_memory(&query, used.into_memory());
            let mut walked = walked(&query);
            for name in ["a", "b", "", "aa", "1", " ", "+"] {
                let mut found = Vec::new();
                parameters.any(name, &mut |value| {
                    found.push(value.to_vec());
                    false
                });
                let named = walked.iter().filter(|(known, _)| known == name.as_bytes());
                let mut expected: Vec<_> = named.map(|(_, value)| value.clone()).collect();
                expected.sort();
                expected.dedup();
                prop_assert_eq!(found, expected, "{}", name);
            }
            walked.sort();
            walked.dedup();
            let each: Vec<_> = parameters.each().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            prop_assert_eq!(each, walked);
        }
    }

    #[test]
    fn the_memory_of_one_query_serves_the_next() {
        let first = Parameters::of("a=1&b=2&c=3");
        assert!(first.any("b", &mut |value| value == b"2"));
        let memory = first.into_memory();
        let held = memory.capacity();
        assert!(held > 0);
        let unread = Parameters::in_memory("d=4", memory).into_memory();
        assert_eq!(unread.capacity(), held);
        let next = Parameters::in_memory("d=4&d", unread);
        assert!(next.any("d", &mut |value| value.is_empty()) && !next.any("a", &mut |_| true));
        assert_eq!(next.into_memory().capacity(), held);
    }
}
