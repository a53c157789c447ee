//! `least-response-time`: the server with the least *time to first byte x (in flight + 1) / weight*.
//!
//! The time is a moving average that rises at once and falls slowly, taught by successes only, since errors
//! are quick (see `latency.rs`). The product is the time a request would wait if the server worked off what it
//! has one by one, so a slow server still gets its small share, and one that hangs is left as its count
//! grows, before any answer tells its time.
//!
//! Times are compared in steps and above a floor of a millisecond, so that servers a noise apart stay equal; without this
//! the luckiest of equals would draw all traffic until it is no longer lucky. While a server is idle its time
//! halves every five seconds, so that one shunned for a slow moment gets another try. One that never answered
//! is tried with a single request.
//!
//! All idle: the fastest gets the first requests, and as many as make it equal to the next.
//!
//! Ties go to the server whose turn is due first (see `turn.rs`).
//!
//! Source: "peak EWMA" of Finagle; old measurements that decay, of nginx's `least_time`.

use crate::{Ask, Choice, Policy, PolicyKind, Ranking, View};

#[derive(Debug)]
pub(super) struct LeastResponseTime;

impl Policy for LeastResponseTime {
    fn name(&self) -> &str {
        PolicyKind::LeastResponseTime.name()
    }

    fn choose(&self, view: &View<'_>, _: &Ask<'_>) -> Option<Choice> {
        view.least(Ranking::ResponseTime)
    }

    fn ranking(&self) -> Option<Ranking> {
        Some(Ranking::ResponseTime)
    }
}
