//! What is worked out from the names of a pool's servers: where to find one, and where keys belong.

use crate::ring::{Owner, Ring, hash_of};
use crate::snapshot::Wanted;

/// Of the members of a snapshot, and of those made from it while only health changes.
#[derive(Debug)]
pub(crate) struct Roll {
    /// The hash of each name and whose it is, in order: numbers that lie side by side are searched faster than names.
    names: Box<[(u64, u32)]>,
    /// Of primaries and of backups, in a pool whose policy goes by them.
    rings: Option<[Ring; 2]>,
}

impl Roll {
    /// The roll of these servers, of which the first `primaries` are not backups.
    pub(crate) fn new(servers: &[Wanted], primaries: usize, keyed: bool) -> Self {
        let mut names: Vec<(u64, u32)> = servers.iter().map(|wanted| hash_of(wanted.name())).zip(0..).collect();
        names.sort_unstable();
        let ring = |tier: &[Wanted], first: usize| {
            let numbered = tier.iter().zip(first as u32..);
            let owners = numbered.map(|(wanted, member)| Owner { member, name: wanted.name(), weight: wanted.weight });
            Ring::new(&owners.collect::<Vec<_>>())
        };
        let (first, last) = servers.split_at(primaries);
        Self { names: names.into(), rings: keyed.then(|| [ring(first, 0), ring(last, primaries)]) }
    }

    /// The member of this name. `is_called` tells whether it is, since two names may have one hash.
    pub(crate) fn find(&self, name: &str, is_called: impl Fn(usize) -> bool) -> Option<usize> {
        let hash = hash_of(name);
        let first = self.names.partition_point(|&(other, _)| other < hash);
        let alike = self.names[first..].iter().take_while(|&&(other, _)| other == hash);
        alike.map(|&(_, member)| member as usize).find(|&member| is_called(member))
    }

    /// The ring of a tier.
    pub(crate) fn ring(&self, backup: bool) -> Option<&Ring> {
        self.rings.as_ref().map(|rings| &rings[usize::from(backup)])
    }
}
