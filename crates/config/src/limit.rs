//! Limits per client, as listeners and routes name them.

use std::fmt;
use std::time::Duration;

use plimsoll_core::ClientRules;

use crate::quantity::{show_duration, show_rate};

/// One limit: what makes a client, how much it may, and what becomes of more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The name in the file, `logins` in `[limit.logins]`.
    pub name: String,
    /// What makes a client.
    pub key: LimitKey,
    /// The first bits of IPv6 addresses that count as one client when they are the same.
    pub ipv6_prefix: u8,
    /// How much it may have and begin, and of how many clients it is known. At least one limit is there; those of
    /// connections only with `LimitKey::Client`.
    pub rules: ClientRules,
    /// What becomes of one too many.
    pub over: Over,
    /// The status of a request that is rejected, 400 to 599.
    pub status: u16,
}

impl Limit {
    /// Whether it has a limit for connections.
    pub fn counts_connections(&self) -> bool {
        self.rules.connections.is_some() || self.rules.connection_rate.is_some()
    }

    /// Whether it has a limit for requests.
    pub fn counts_requests(&self) -> bool {
        self.rules.requests.is_some() || self.rules.request_rate.is_some()
    }
}

impl fmt::Display for Limit {
    /// Writes what it says of requests: `5 at once and 10/min for each client; one too many gets 429`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_once = self.rules.requests.map(|most| format!("{most} at once"));
        let most: Vec<_> = at_once.into_iter().chain(self.rules.request_rate.as_ref().map(show_rate)).collect();
        f.write_str(&most.join(" and "))?;
        match &self.key {
            LimitKey::Client => f.write_str(" for each client")?,
            LimitKey::Header(name) => write!(f, " for each value of the field {name}")?,
            LimitKey::Cookie(name) => write!(f, " for each value of the cookie {name}")?,
            LimitKey::Route => f.write_str(" for all clients together")?,
        }
        match self.over {
            _ if self.rules.dry_run => f.write_str("; one too many is counted and let in"),
            Over::Reject => write!(f, "; one too many gets {}", self.status),
            Over::Close => f.write_str("; one too many is closed"),
            Over::Delay(most) => {
                write!(f, "; one too many waits up to {} or gets {}", show_duration(most), self.status)
            }
        }
    }
}

/// What makes a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitKey {
    /// Its address.
    Client,
    /// The value of this field, whose name is in lower case.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// The route: all its requests are one client.
    Route,
}

/// What becomes of a connection or a request that is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The request is answered by a status and told when to come again; the connection is closed.
    Reject,
    /// The connection is closed.
    Close,
    /// It waits for its place in time, for up to so long; with none in that time it is as with `Reject`.
    Delay(Duration),
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroUsize};

    use plimsoll_core::Rate;

    use super::*;

    #[test]
    fn a_limit_is_told_in_words() {
        let number = |number| NonZeroU32::new(number).unwrap();
        let rate = Rate { limit: number(10), window: Duration::from_secs(60) };
        let counting = ClientRules::counting(NonZeroUsize::MIN);
        let rules = ClientRules { requests: Some(number(5)), request_rate: Some(rate), ..counting.clone() };
        let limit = Limit {
            name: "logins".to_owned(),
            key: LimitKey::Client,
            ipv6_prefix: 64,
            rules,
            over: Over::Reject,
            status: 429,
        };
        assert_eq!(limit.to_string(), "5 at once and 10/min for each client; one too many gets 429");
        let key = LimitKey::Cookie("sid".to_owned());
        let rules = ClientRules { request_rate: Some(rate), ..counting };
        let slow = Limit { key, rules: rules.clone(), over: Over::Delay(Duration::from_secs(2)), ..limit.clone() };
        assert_eq!(
            slow.to_string(),
            "10/min for each value of the cookie sid; one too many waits up to 2s or gets 429"
        );
        let rules = ClientRules { dry_run: true, ..rules };
        let dry = Limit { key: LimitKey::Route, rules, ..limit };
        assert_eq!(dry.to_string(), "10/min for all clients together; one too many is counted and let in");
    }
}
