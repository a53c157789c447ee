//! How long-lived connections are spread anew.

use plimsoll_core::{PolicyKind, Rebalance};

use crate::raw;
use crate::reader::Reader;

/// The rule, if there is one. It only helps where clients who come back are sent to the server that is least busy: whom a key
/// or a tie brings back to where they were would be closed for nothing.
pub(super) fn resolve(raw: &raw::Pool, reader: &mut Reader) -> Option<Rebalance> {
    let rule = raw.rebalance.value.0.as_ref()?;
    let policy = raw.policy.value.0;
    if !matches!(policy, PolicyKind::LeastConnections | PolicyKind::ShortestExpectedDelay) {
        let message = format!(
            "`rebalance` does not help with `policy = \"{policy}\"`, which does not send clients who come back to the server \
             that is least busy"
        );
        let help = "remove `rebalance`, or write `policy = \"least-connections\"`";
        reader.report(raw.rebalance.span.clone(), message, help);
    }
    if raw.sticky.value.0.is_some() {
        let message =
            "`rebalance` does not help beside `sticky`, which sends clients who come back to the server that they \
                       were asked to leave"
                .to_owned();
        reader.report(raw.rebalance.span.clone(), message, "remove `rebalance` or `sticky`");
    }
    Some(Rebalance {
        spread: rule.spread.value.count(),
        budget: rule.budget.value.0,
        idle: rule.idle.value.0,
        settle: rule.settle.value.0,
    })
}
