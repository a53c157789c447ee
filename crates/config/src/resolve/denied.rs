//! Routes for clients that are all turned away: each of their requests would get 403.

use std::ops::Range;

use crate::network::{Network, NetworkSet};
use crate::raw;
use crate::reader::Reader;
use crate::setting::Field;
use crate::value::OneOrMore;

type Networks = Field<OneOrMore<Network>>;

/// Who may come by what the file itself says. What is in files of networks changes while this one does not, and must not
/// make it wrong.
struct Gate<'a> {
    whose: &'a str,
    /// `None` where more may be allowed by a file.
    allow: Option<&'a Networks>,
    deny: Option<&'a Networks>,
}

/// Reports a route whose clients its listener, or the route itself, does not let in.
pub(super) fn check(route: &raw::Route, listener: &raw::Listener, reader: &mut Reader) {
    let own = Gate {
        whose: "the route",
        allow: route.allow.as_ref().filter(|_| route.allow_file.is_none()),
        deny: route.deny.as_ref(),
    };
    let before = Gate {
        whose: "the listener",
        allow: listener.allow.as_ref().filter(|_| listener.allow_file.is_none()),
        deny: listener.deny.as_ref(),
    };
    // Whether a route denies all whom it allows is looked at where its rules are read.
    let (key, clients, gates) = match (&route.client, own.allow) {
        (Some(clients), _) => ("client", clients, &[&before, &own][..]),
        (None, Some(allowed)) => ("allow", allowed, &[&before][..]),
        (None, None) => return,
    };
    let turns = |client: &Network| gates.iter().find_map(|gate| Some((gate.whose, gate.turns_away(client)?)));
    let turned: Option<Vec<_>> = clients.value.0.iter().map(|client| turns(&client.value)).collect();
    if let Some((whose, (by, span))) = turned.and_then(|turned| turned.into_iter().next()) {
        let line = reader.line(span.start);
        let message = format!(
            "nobody of `{key}` is let in: by `{by}` of {whose} (line {line}) every request of the route gets 403"
        );
        reader.report(clients.span.clone(), message, "remove the route, or let its clients in");
    }
}

impl Gate<'_> {
    /// What keeps all of `client` out, and where it stands.
    fn turns_away(&self, client: &Network) -> Option<(&'static str, Range<usize>)> {
        let set = |networks: &Networks| networks.value.0.iter().map(|network| network.value).collect::<NetworkSet>();
        let denied = self.deny.filter(|deny| set(deny).holds(client)).map(|deny| ("deny", deny.span.clone()));
        let outside =
            || self.allow.filter(|allow| !set(allow).meets(client)).map(|allow| ("allow", allow.span.clone()));
        denied.or_else(outside)
    }
}
