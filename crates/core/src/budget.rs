//! The retry budget: retries are a share of live traffic, so that an outage is never multiplied.
//!
//! Over the last [`WINDOW`] retries may be at most the share of the requests that came, and [`FLOOR`] more so that a
//! quiet pool may retry at all. Requests are not counted on their way: they are the picks of all servers less the
//! retries among them, read when a retry is asked for.
//!
//! Source: the retry budgets of Finagle and linkerd, over a window in place of their token bucket.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{Percent, Time};

/// Long enough for the retries of a server's death to be a small part of it.
const WINDOW: Duration = Duration::from_secs(10);

/// The window moves on in steps of this.
const STEP: Duration = Duration::from_secs(1);

/// Picks are summed up this often, which walks the pool.
const SUMMED_EVERY: Duration = Duration::from_millis(100);

/// And before a retry is refused, but at most this often, so that an outage does not walk it all the time.
const SUMMED_AT_MOST: Duration = Duration::from_millis(1);

/// Retries a pool may make in a window on account of nothing.
const FLOOR: u64 = 5;

/// What a pool may retry in the window that ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Retries it may make within the window: its share of the requests that came, and a few more.
    pub size: u64,
    /// Those of them that it has not made yet.
    pub left: u64,
}

/// The requests and retries of a pool of late.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    /// What had been, a step or more apart; the oldest first, and only that one may be from before the window.
    marks: VecDeque<Mark>,
    /// What had been when the picks were last summed up.
    summed: Mark,
    retries: u64,
    /// Retries that were refused.
    exhausted: u64,
    /// Picks of servers that left, less those that servers brought along which came back.
    departed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Time,
    /// Picks that were no retries.
    requests: u64,
    retries: u64,
}

impl Budget {
    /// The budget of a pool that begins at `now`.
    pub(crate) fn new(now: Time) -> Self {
        let start = Mark { at: now, requests: 0, retries: 0 };
        Self { marks: VecDeque::from([start]), summed: start, retries: 0, exhausted: 0, departed: 0 }
    }

    /// Follows a change of the pool's servers, who had so many picks `before` and have so many `after`.
    pub(crate) fn follow(&mut self, before: u64, after: u64) {
        self.departed = self.departed.wrapping_add(before).wrapping_sub(after);
    }

    /// Takes one retry out of the budget; `picks` tells how many picks the servers of now had ever.
    pub(crate) fn take(&mut self, share: Percent, now: Time, picks: impl Fn() -> u64) -> bool {
        self.sum(SUMMED_EVERY, now, &picks);
        // What came since the last sum may allow what that does not.
        let allowed = self.has_room(share) || (self.sum(SUMMED_AT_MOST, now, &picks) && self.has_room(share));
        if allowed {
            self.retries += 1;
        } else {
            self.exhausted += 1;
        }
        allowed
    }

    fn has_room(&self, share: Percent) -> bool {
        self.room(share).left > 0
    }

    /// What may be retried, as of the last sum.
    fn room(&self, share: Percent) -> RetryBudget {
        let start = self.marks.front().copied().unwrap_or(self.summed);
        // Servers are read one after the other, so a change meanwhile may let the sum fall a little.
        let requests = self.summed.requests.saturating_sub(start.requests);
        let size = share.of(requests) + FLOOR;
        RetryBudget { size, left: size.saturating_sub(self.retries - start.retries) }
    }

    /// What may be retried at `now`, and no sum is kept: to be called on a copy, so that to read changes nothing.
    pub(crate) fn room_at(mut self, share: Percent, now: Time, picks: impl Fn() -> u64) -> RetryBudget {
        self.sum(Duration::ZERO, now, &picks);
        self.room(share)
    }

    /// Sums requests up if the last sum is so old; false when it is not.
    fn sum(&mut self, age: Duration, now: Time, picks: impl Fn() -> u64) -> bool {
        let due = now.saturating_since(self.summed.at) >= age || self.summed.requests == 0;
        if due {
            let requests = picks().wrapping_add(self.departed).saturating_sub(self.retries);
            self.summed = Mark { at: now, requests, retries: self.retries };
            self.advance(now);
        }
        due
    }

    /// Retries made, and retries refused.
    pub(crate) fn spent(&self) -> (u64, u64) {
        (self.retries, self.exhausted)
    }

    /// Moves the window on.
    fn advance(&mut self, now: Time) {
        if self.marks.back().is_none_or(|last| now.saturating_since(last.at) >= STEP) {
            self.marks.push_back(self.summed);
        }
        while self.marks.len() > 1 && now.saturating_since(self.marks[1].at) >= WINDOW {
            self.marks.pop_front();
        }
        if let [oldest, next, ..] = self.marks.make_contiguous() {
            let over = now.saturating_since(oldest.at).saturating_sub(WINDOW);
            if over >= STEP {
                // Requests are taken to have come evenly between the two; retries came within a step of a mark.
                let span = next.at.saturating_since(oldest.at);
                let came = u128::from(next.requests.saturating_sub(oldest.requests));
                oldest.requests += (came * over.as_nanos() / span.as_nanos().max(1)) as u64;
                oldest.retries = next.retries;
                oldest.at = oldest.at + over;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIFTH: Percent = Percent::new(20);

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    /// How many retries are allowed at `now` after so many requests.
    fn allowed(budget: &mut Budget, now: Time, requests: u64) -> u64 {
        let before = budget.spent().0;
        // A retry is a pick too.
        while budget.take(FIFTH, now, || requests + before) {}
        budget.spent().0 - before
    }

    #[test]
    fn retries_are_a_share_of_requests_and_a_few() {
        let mut budget = Budget::new(at(0));
        assert_eq!(allowed(&mut budget, at(500), 1000), 205);
        assert_eq!(budget.spent(), (205, 1));
        assert_eq!(allowed(&mut budget, at(600), 1000), 0, "spent is spent");
    }

    #[test]
    fn a_quiet_pool_may_retry_a_little_again_and_again() {
        let mut budget = Budget::new(at(0));
        assert_eq!([0, 5_000, 12_000, 24_000].map(|now| allowed(&mut budget, at(now), 0)), [5, 0, 5, 5]);
    }

    #[test]
    fn what_came_before_the_window_does_not_count() {
        let mut budget = Budget::new(at(0));
        // A hundred a second for a hundred seconds; a tenth of them in the window.
        assert_eq!(allowed(&mut budget, at(100_000), 10_000), 205);
    }

    #[test]
    fn servers_that_come_and_go_change_nothing() {
        let mut budget = Budget::new(at(0));
        assert_eq!(allowed(&mut budget, at(500), 1000), 205);
        budget.follow(1205, 0);
        assert!(!budget.take(FIFTH, at(600), || 0));
        budget.follow(0, 500);
        assert!(!budget.take(FIFTH, at(700), || 500));
        assert!(budget.take(FIFTH, at(800), || 505));
    }

    #[test]
    fn a_full_outage_is_not_multiplied() {
        let mut budget = Budget::new(at(0));
        let (mut requests, mut retries) = (0, 0);
        for millis in 0..60_000 {
            requests += 1;
            // Every try fails; each request would be tried twice more.
            for _ in 0..2 {
                let picks = requests + retries;
                retries += u64::from(budget.take(FIFTH, at(millis), || picks));
            }
        }
        let multiplied = (requests + retries) as f64 / requests as f64;
        assert!((1.15..=1.25).contains(&multiplied), "{multiplied}");
    }
}
