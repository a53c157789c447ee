//! The audit of permits: those alive, held against the slots they hold.

use std::collections::VecDeque;

use plimsoll_core::Audit;

/// Permits and slots are apart when they were at so many looks in a row: what lasts is no matter of when one looked.
const LOOKS: usize = 3;

/// The last looks.
#[derive(Debug, Default)]
pub(super) struct Permits(VecDeque<Audit>);

impl Permits {
    /// Takes in what one look found.
    pub(super) fn take(&mut self, audit: Audit) {
        self.0.push_back(audit);
        if self.0.len() > LOOKS {
            self.0.pop_front();
        }
    }

    /// What the last look found, with how far apart they were at least at all of the last looks.
    pub(super) fn lasting(&self) -> Audit {
        let Some(last) = self.0.back() else {
            return Audit::default();
        };
        let least = self.0.iter().map(|audit| audit.apart).min().unwrap_or(0);
        Audit { apart: if self.0.len() < LOOKS { 0 } else { least }, ..*last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_apart_is_told() {
        let mut permits = Permits::default();
        let told = [0, 7, 0, 2, 3, 2, 2, 5, 5, 5, 0].map(|apart| {
            permits.take(Audit { permits_alive: 9, apart, ..Audit::default() });
            assert_eq!(permits.lasting().permits_alive, 9);
            permits.lasting().apart
        });
        assert_eq!(told, [0, 0, 0, 0, 0, 2, 2, 2, 2, 5, 0]);
    }
}
