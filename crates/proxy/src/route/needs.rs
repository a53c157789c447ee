//! What routes need of a request, and which of it a request has: each of its fields and parameters, and its client, is
//! looked up once, whatever the number of routes.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use plimsoll_config::{Asked, Network, ValuePattern, When};

use super::expressions::{Expressions, Look};

/// All that some route needs, each with its number.
#[derive(Debug, Default)]
pub(super) struct Needs {
    fields: Names,
    parameters: Names,
    clients: Networks,
}

/// One of them: that a field or a parameter is there, that it has a certain value or one like an expression, or that the client
/// is in a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NeedId(u32);

/// What is asked for by name. Few names are asked for, so most of what a request has is passed over by a look at how long its
/// name is.
#[derive(Debug, Default)]
struct Names {
    /// By the length of their names, then by these.
    all: Vec<Name>,
}

#[derive(Debug, Default)]
struct Name {
    text: String,
    /// That it is there.
    present: Option<NeedId>,
    values: HashMap<Vec<u8>, NeedId>,
    expressions: Expressions,
    /// That it has a value like an expression, for each of them.
    like: Vec<NeedId>,
}

#[derive(Debug, Default)]
struct Networks {
    all: HashMap<Network, NeedId>,
    /// How many bits they have, each number once: only beginnings of an address that are so long are looked for.
    bits: Vec<u8>,
}

/// A route that is for clients in more networks than this is looked for by something else, so that a few lines of a file
/// cannot become millions of entries.
const MOST_NETWORKS: usize = 16;

impl Needs {
    /// All that `routes` need, and by which of it each is to be looked for: a request must have one of these to have the
    /// route. They are what the fewest other routes need. None at all stands for a route without needs that have a number.
    pub(super) fn new(routes: &[When]) -> (Self, Vec<Vec<NeedId>>) {
        let mut needs = Self::default();
        let mut tally = Tally::default();
        let all: Vec<_> = routes.iter().map(|when| needs.of(when, &mut tally)).collect();
        let rarest = |own: Vec<Vec<NeedId>>| own.into_iter().min_by_key(|any| tally.count(any)).unwrap_or_default();
        let all = all.into_iter().map(rarest).collect();
        for name in needs.fields.all.iter_mut().chain(&mut needs.parameters.all) {
            name.expressions.seal();
        }
        (needs, all)
    }

    /// What a route needs: one of each list.
    fn of(&mut self, when: &When, tally: &mut Tally) -> Vec<Vec<NeedId>> {
        let When { headers, query, clients, .. } = when;
        let mut own = Vec::new();
        for (names, conditions) in [(&mut self.fields, headers), (&mut self.parameters, query)] {
            own.extend(conditions.iter().filter_map(|(name, value)| Some(vec![names.number(name, value, tally)?])));
        }
        if (1..=MOST_NETWORKS).contains(&clients.len()) {
            own.push(clients.iter().map(|network| self.clients.number(*network, tally)).collect());
        }
        own
    }

    /// Writes to `found` which of them a request has, each once and in their order.
    pub(super) fn find(&self, asked: &Asked<'_>, found: &mut Vec<NeedId>) {
        found.clear();
        if !self.fields.all.is_empty() {
            asked.fields.each(&mut |name, value| self.fields.find((name, u8::to_ascii_lowercase), value, found));
        }
        if !self.parameters.all.is_empty() {
            for (name, value) in asked.query.each() {
                self.parameters.find((name, |byte| *byte), value, found);
            }
        }
        self.clients.find(asked.client, found);
        found.sort_unstable();
        found.dedup();
    }
}

/// How many routes need each of them, by number.
#[derive(Default)]
struct Tally(Vec<u32>);

impl Tally {
    fn next(&self) -> NeedId {
        NeedId(self.0.len() as u32)
    }

    /// Counts one route more.
    fn add(&mut self, need: NeedId) -> NeedId {
        let place = need.0 as usize;
        if place == self.0.len() {
            self.0.push(0);
        }
        self.0[place] += 1;
        need
    }

    fn count(&self, needs: &[NeedId]) -> u64 {
        needs.iter().map(|need| u64::from(self.0[need.0 as usize])).sum()
    }
}

impl Names {
    /// The number of what a condition needs, which one route more has. That something is not there can only be seen by a look.
    fn number(&mut self, name: &str, pattern: &ValuePattern, tally: &mut Tally) -> Option<NeedId> {
        if *pattern == ValuePattern::Absent {
            return None;
        }
        let place = self.place((name.as_bytes(), |byte| *byte)).unwrap_or_else(|place| {
            self.all.insert(place, Name { text: name.to_owned(), ..Name::default() });
            place
        });
        let Name { present, values, expressions, like, .. } = &mut self.all[place];
        let need = match pattern {
            ValuePattern::Exact(value) => *values.entry(value.as_bytes().to_vec()).or_insert(tally.next()),
            ValuePattern::Present => *present.get_or_insert(tally.next()),
            ValuePattern::Regex(expression) => {
                let place = expressions.place(expression);
                if place == like.len() {
                    like.push(tally.next());
                }
                like[place]
            }
            ValuePattern::Absent => return None,
        };
        Some(tally.add(need))
    }

    /// Adds to `found` what a value of a `name` meets. The bytes of the name are compared as `fold` makes them.
    fn find(&self, (name, fold): (&[u8], impl Fn(&u8) -> u8), value: &[u8], found: &mut Vec<NeedId>) {
        if let Ok(place) = self.place((name, fold)) {
            let Name { present, values, expressions, like, .. } = &self.all[place];
            found.extend(present);
            if !values.is_empty() {
                found.extend(values.get(value));
            }
            match expressions.look(value) {
                Look::None => {}
                Look::These(places) => found.extend(places.into_iter().map(|place| like[place])),
                Look::Any => found.extend(
                    (0..).zip(like).filter(|(place, _)| expressions.is_in(*place, value)).map(|(_, need)| need),
                ),
            }
        }
    }

    /// Where a name stands, or is to stand.
    fn place(&self, (name, fold): (&[u8], impl Fn(&u8) -> u8)) -> Result<usize, usize> {
        let compare = |known: &str| match known.len().cmp(&name.len()) {
            Ordering::Equal => known.bytes().cmp(name.iter().map(&fold)),
            unequal => unequal,
        };
        self.all.binary_search_by(|known| compare(&known.text))
    }
}

impl Networks {
    fn number(&mut self, network: Network, tally: &mut Tally) -> NeedId {
        if let Network::Ip { bits, .. } = network
            && !self.bits.contains(&bits)
        {
            self.bits.push(bits);
        }
        tally.add(*self.all.entry(network).or_insert(tally.next()))
    }

    /// Adds to `found` those that a client is in.
    fn find(&self, client: Option<IpAddr>, found: &mut Vec<NeedId>) {
        if self.all.is_empty() {
            return;
        }
        let Some(address) = client.map(|address| address.to_canonical()) else {
            found.extend(self.all.get(&Network::Unix));
            return;
        };
        for bits in &self.bits {
            found.extend(network(address, *bits).and_then(|network| self.all.get(&network)));
        }
    }
}

/// The network of so many bits that an address is in; `None` where it has fewer.
fn network(address: IpAddr, bits: u8) -> Option<Network> {
    let address = match address {
        IpAddr::V4(own) => {
            let rest = 32_u32.checked_sub(bits.into())?;
            Ipv4Addr::from(u32::from(own) & u32::MAX.checked_shl(rest).unwrap_or(0)).into()
        }
        IpAddr::V6(own) => {
            let rest = 128_u32.checked_sub(bits.into())?;
            Ipv6Addr::from(u128::from(own) & u128::MAX.checked_shl(rest).unwrap_or(0)).into()
        }
    };
    Some(Network::Ip { address, bits })
}
