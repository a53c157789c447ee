//! Which of the values that routes ask for a request has: each of its fields and parameters is looked up once, whatever the
//! number of routes.

use std::cmp::Ordering;
use std::collections::HashMap;

use plimsoll_config::{Asked, ValuePattern, When};

/// The values that fields and parameters must have for some route, each with its number.
#[derive(Debug, Default)]
pub(super) struct Values {
    fields: Names,
    parameters: Names,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ValueId(u32);

/// What is asked for by name. Few names are asked for, so most of what a request has is passed over by a look at how long its
/// name is.
#[derive(Debug, Default)]
struct Names {
    /// By the length of their names, then by these.
    all: Vec<(String, HashMap<Vec<u8>, ValueId>)>,
}

impl Values {
    /// All that `routes` ask for, and under which of it each route is to be looked for: what the fewest others ask for too.
    /// `None` stands for a route that asks for no value.
    pub(super) fn new(routes: &[When]) -> (Self, Vec<Option<ValueId>>) {
        let mut values = Self::default();
        // How many routes ask for each.
        let mut asking: Vec<u32> = Vec::new();
        let mut of_routes = Vec::with_capacity(routes.len());
        for When { headers, query, .. } in routes {
            let fields = exact(headers).map(|(name, value)| values.fields.number(name, value, &mut asking));
            let mut own: Vec<_> = fields.collect();
            own.extend(exact(query).map(|(name, value)| values.parameters.number(name, value, &mut asking)));
            of_routes.push(own);
        }
        let rarest = |own: Vec<ValueId>| own.into_iter().min_by_key(|id| asking[id.0 as usize]);
        let of_routes = of_routes.into_iter().map(rarest).collect();
        (values, of_routes)
    }

    /// Writes to `found` which of them a request has, each once and in their order.
    pub(super) fn find(&self, asked: &Asked<'_>, found: &mut Vec<ValueId>) {
        found.clear();
        if !self.fields.all.is_empty() {
            let fields = &self.fields;
            asked.fields.each(&mut |name, value| found.extend(fields.find((name, u8::to_ascii_lowercase), value)));
        }
        if !self.parameters.all.is_empty() {
            let parameters = asked.query.each();
            found.extend(parameters.filter_map(|(name, value)| self.parameters.find((name, |byte| *byte), value)));
        }
        found.sort_unstable();
        found.dedup();
    }
}

/// The conditions that ask for one value.
fn exact(conditions: &[(String, ValuePattern)]) -> impl Iterator<Item = (&str, &str)> {
    conditions.iter().filter_map(|(name, pattern)| match pattern {
        ValuePattern::Exact(value) => Some((&**name, &**value)),
        ValuePattern::Present | ValuePattern::Absent | ValuePattern::Regex(_) => None,
    })
}

impl Names {
    /// The number of a value, which one route more asks for.
    fn number(&mut self, name: &str, value: &str, asking: &mut Vec<u32>) -> ValueId {
        let place = self.place((name.as_bytes(), |byte| *byte)).unwrap_or_else(|place| {
            self.all.insert(place, (name.to_owned(), HashMap::new()));
            place
        });
        let next = ValueId(asking.len() as u32);
        let id = *self.all[place].1.entry(value.as_bytes().to_vec()).or_insert(next);
        if id == next {
            asking.push(0);
        }
        asking[id.0 as usize] += 1;
        id
    }

    /// The number of a value of a `name`, whose bytes are compared as `fold` makes them.
    fn find(&self, (name, fold): (&[u8], fn(&u8) -> u8), value: &[u8]) -> Option<ValueId> {
        let (_, values) = &self.all[self.place((name, fold)).ok()?];
        values.get(value).copied()
    }

    /// Where a name stands, or is to stand.
    fn place(&self, (name, fold): (&[u8], fn(&u8) -> u8)) -> Result<usize, usize> {
        let compare = |known: &str| match known.len().cmp(&name.len()) {
            Ordering::Equal => known.bytes().cmp(name.iter().map(fold)),
            unequal => unequal,
        };
        self.all.binary_search_by(|(known, _)| compare(known))
    }
}
