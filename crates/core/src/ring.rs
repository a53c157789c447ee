//! Consistent hashing: who is asked first for a key, and who next.
//!
//! Keys and servers lie on one circle of 2^64 places, each server at many points that its name alone decides. A key is asked
//! for at the points that follow its own place. So a server that comes takes keys only from those whose points it precedes, and
//! one that goes leaves its keys to whoever follows; between two servers that stay no key moves. Nothing else has a say:
//! no seed, no address, no order of the list, so that a key finds its server after a restart and in another balancer too.
//!
//! Source: consistent hashing (Karger, Lehman, Leighton, Panigrahy, Levine, Lewin, 1997).

use crate::shares::Draws;

/// Servers of one tier around the circle.
#[derive(Debug)]
pub(crate) struct Ring {
    /// In rising order.
    points: Box<[u64]>,
    /// The member whose point it is, of each.
    owners: Box<[u32]>,
    /// How many points lie before each of as many equal arcs as there are points, about: in a large ring each step of a
    /// search is memory that no cache has.
    arcs: Box<[u32]>,
}

/// A server that is to have its points.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    /// Its number in the pool.
    pub(crate) member: u32,
    pub(crate) name: &'a str,
    pub(crate) weight: u16,
}

/// Points at weight 1. Shares of keys stray from the weights by about one part in the root of it: nine per cent.
const POINTS: u64 = 128;

/// The most points of a ring, which take 32 MiB. Where weights ask for more, all have half as many, or a quarter, and so on.
const MOST_POINTS: u64 = 1 << 21;

impl Ring {
    /// The ring of these servers. One of weight 0 has no points.
    pub(crate) fn new(owners: &[Owner<'_>]) -> Self {
        let wanted: u64 = owners.iter().map(|owner| POINTS * u64::from(owner.weight)).sum();
        // By halves, so that no number of servers changes all points but for a few.
        let shift = (0..u64::BITS).find(|shift| wanted >> shift <= MOST_POINTS).unwrap_or(0);
        let mut points = Vec::new();
        for (place, owner) in owners.iter().enumerate().filter(|(_, owner)| owner.weight > 0) {
            let count = ((POINTS * u64::from(owner.weight)) >> shift).max(1);
            let mut draws = Draws::new(hash_of(owner.name));
            points.extend((0..count).map(|_| (draws.next(), place)));
        }
        // Where two points fall together, the names decide as they do elsewhere.
        points.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| owners[a.1].name.cmp(owners[b.1].name)));
        let (points, owners): (Vec<u64>, Vec<u32>) =
            points.into_iter().map(|(point, place)| (point, owners[place].member)).unzip();
        let arcs = 1 << points.len().checked_ilog2().unwrap_or(0);
        let mut before = 0;
        let starts = (0..=arcs).map(|arc| {
            before += points[before..].iter().take_while(|&&point| arc_of(point, arcs) < arc).count();
            before as u32
        });
        Self { arcs: starts.collect(), points: points.into(), owners: owners.into() }
    }

    /// The members around the circle from the place of `key` on, each as often as it has points there.
    pub(crate) fn from(&self, key: u64) -> impl Iterator<Item = usize> {
        // Keys may be numbers that are no hashes.
        let place = Draws::new(key).next();
        let arc = arc_of(place, self.arcs.len() as u64 - 1) as usize;
        let first = self.arcs[arc] as usize;
        let points = &self.points[first..self.arcs[arc + 1] as usize];
        let (before, after) = self.owners.split_at(first + points.partition_point(|&point| point < place));
        after.iter().chain(before).map(|&member| member as usize)
    }
}

/// On which of so many equal arcs of the circle a place lies.
fn arc_of(place: u64, arcs: u64) -> u64 {
    ((u128::from(place) * u128::from(arcs)) >> 64) as u64
}

/// The hash of a name, for ever the same: FNV-1a (Fowler, Noll, Vo, 1991).
pub(crate) fn hash_of(name: &str) -> u64 {
    const BASIS: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    name.bytes().fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn ring(servers: &[(String, u16)]) -> Ring {
        let owners = (0..).zip(servers).map(|(member, (name, weight))| Owner { member, name, weight: *weight });
        Ring::new(&owners.collect::<Vec<_>>())
    }

    /// Where each of some keys is asked for first.
    fn firsts(servers: &[(String, u16)], keys: u64) -> Vec<String> {
        let ring = ring(servers);
        (0..keys).map(|key| ring.from(key).next().map_or_else(String::new, |i| servers[i].0.clone())).collect()
    }

    fn servers(count: u16) -> Vec<(String, u16)> {
        (0..count).map(|i| (format!("s{i}"), 1)).collect()
    }

    #[test]
    fn a_key_belongs_to_the_same_server_in_every_version() {
        let servers = ["a", "b", "c", "192.168.1.10:8080"].map(|name| (name.to_owned(), 1));
        let expected = "b a 192.168.1.10:8080 192.168.1.10:8080 c 192.168.1.10:8080 b 192.168.1.10:8080 b a c b";
        assert_eq!(firsts(&servers, 12).join(" "), expected);
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let servers = servers(20);
        let turned: Vec<_> = servers.iter().rev().cloned().collect();
        assert_eq!(firsts(&servers, 1000), firsts(&turned, 1000));
    }

    #[test]
    fn all_are_met_around_the_circle_but_those_of_weight_0() {
        let owners = [("a", 1), ("b", 0), ("c", 3)];
        let owners = owners.map(|(name, weight)| Owner { member: u32::from(weight), name, weight });
        let mut met = BTreeMap::new();
        Ring::new(&owners).from(77).for_each(|member| *met.entry(member).or_insert(0) += 1);
        assert_eq!(met, BTreeMap::from([(1, POINTS), (3, 3 * POINTS)]));
        assert_eq!(Ring::new(&[]).from(1).count(), 0);
    }

    #[test]
    fn weights_are_honoured_and_the_number_of_points_is_bounded() {
        let weights = [u16::MAX, u16::MAX / 2, 1];
        let servers: Vec<_> = servers(3).into_iter().zip(weights).map(|((name, _), weight)| (name, weight)).collect();
        let ring = ring(&servers);
        assert!((MOST_POINTS / 2..=MOST_POINTS).contains(&(ring.points.len() as u64)));
        assert!(ring.owners.contains(&2), "nobody is left out");
        let of_first = firsts(&servers, 10_000).iter().filter(|name| *name == "s0").count();
        assert!(of_first.abs_diff(6667) < 200, "{of_first}");
    }
}
