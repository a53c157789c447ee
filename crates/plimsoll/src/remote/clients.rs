//! `plimsoll clients`: the limits for each client, and who is busiest.

use std::fmt::Write;

use plimsoll_control::api::{Client, Limit};

use super::arguments::Clients;
use super::client::Client as Api;
use super::setup;
use super::status::json;
use super::table::{Cell, Column, Sheet, Table, Tint};
use super::text::{count, lasting, nearest, rate, visible};
use crate::console;
use crate::failure::Failure;

/// `plimsoll clients`.
pub(crate) fn run(arguments: &Clients) -> Result<(), Failure> {
    let client = setup::client(&arguments.connection)?;
    let limits: Vec<Limit> = client.get(client.at(["limits"]))?;
    let wanted = chosen(&limits, arguments.limit.as_deref())?;
    if arguments.json {
        let url = match (&arguments.limit, &wanted[..]) {
            (Some(_), [limit]) => top(&client, limit, arguments.top),
            _ => client.at(["limits"]),
        };
        return Ok(console::print(&json(&client.text(url)?))?);
    }
    if wanted.is_empty() {
        return Ok(console::print("there are no limits for clients\n")?);
    }
    let sheet = Sheet::stdout();
    let mut text = String::new();
    for limit in wanted {
        if !text.is_empty() {
            text.push('\n');
        }
        let busiest: Vec<Client> = client.get(top(&client, limit, arguments.top))?;
        text.push_str(&of_limit(limit, &busiest, sheet));
    }
    Ok(console::print(&text)?)
}

/// Where the busiest clients of a limit are told of.
fn top(client: &Api, limit: &Limit, most: u8) -> reqwest::Url {
    let mut url = client.at(["limits", &limit.name, "clients"]);
    url.query_pairs_mut().append_pair("top", &most.to_string());
    url
}

/// The limit that is meant, or all of them.
fn chosen<'a>(limits: &'a [Limit], typed: Option<&str>) -> Result<Vec<&'a Limit>, Failure> {
    let Some(typed) = typed else { return Ok(limits.iter().collect()) };
    if let Some(found) = limits.iter().find(|limit| limit.name == typed) {
        return Ok(vec![found]);
    }
    let names: Vec<&str> = limits.iter().map(|limit| &*limit.name).collect();
    let help = match nearest(typed, names.iter().copied()) {
        Some(near) => format!("did you mean `{}`?", visible(near)),
        None if names.is_empty() => "there are no limits".to_owned(),
        None => format!("the limits are: {}", visible(&names.join(", "))),
    };
    Err(Failure::Arguments(format!("there is no limit `{}`; {help}", visible(typed))))
}

/// A limit in some lines, and its clients as a table.
fn of_limit(limit: &Limit, busiest: &[Client], sheet: Sheet) -> String {
    let mut text = sheet.tinted(&format!("limit {}", visible(&limit.name)), Tint::Bold);
    let _ = writeln!(text, " ({}): {}", visible(&limit.key), visible(&rules(limit)));
    let counted = count(limit.clients, "client");
    let _ = write!(text, "{counted} of {}", limit.capacity);
    for (number, word) in
        [(limit.evicted, "evicted"), (limit.untracked, "let in uncounted"), (limit.delayed, "delayed")]
    {
        if number > 0 {
            let _ = write!(text, ", {number} {word}");
        }
    }
    text.push('\n');
    let (refused, word) =
        if limit.dry_run { (&limit.would_refuse, "would have been refused") } else { (&limit.refused, "refused") };
    let told: Vec<String> =
        refused.iter().filter(|(_, number)| **number > 0).map(|(rule, number)| format!("{number} by {rule}")).collect();
    if !told.is_empty() {
        let _ = writeln!(text, "{}", sheet.tinted(&visible(&format!("{word}: {}", told.join(", "))), Tint::Odd));
    }
    let mut table = Table::new(&COLUMNS);
    for client in busiest {
        table.push(row(client));
    }
    if !busiest.is_empty() {
        text.push_str(&table.render(sheet));
    }
    text
}

/// What a limit says, in a line.
fn rules(limit: &Limit) -> String {
    let at_once = |number: Option<u32>, what| number.map(|number| format!("{} at once", count(number.into(), what)));
    let rate = |rate: &Option<String>, what| rate.as_ref().map(|rate| format!("{what} {rate}"));
    let connections = limit.connections.is_some() || limit.connection_rate.is_some();
    let requests = limit.requests.is_some() || limit.request_rate.is_some();
    let over = match (limit.delay_seconds, connections, requests) {
        (Some(delay), ..) => format!("more are delayed for up to {}", lasting(delay)),
        // Before its first request nobody can be told anything.
        (None, true, true) if limit.over == "reject" => {
            "more connections are closed, more requests are rejected".to_owned()
        }
        (None, false, true) if limit.over == "reject" => "more are rejected".to_owned(),
        (None, ..) => "more are closed".to_owned(),
    };
    let parts = [
        at_once(limit.connections, "connection"),
        at_once(limit.requests, "request"),
        rate(&limit.connection_rate, "connections"),
        rate(&limit.request_rate, "requests"),
        Some(over),
        limit.dry_run.then(|| "a dry run".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The columns of clients. What tells least beside the others goes first.
const COLUMNS: [Column; 6] = [
    Column::text("client", 0),
    Column::number("connections", 3),
    Column::number("requests", 1),
    Column::number("req/s", 0),
    Column::number("refused", 2),
    Column::number("total", 4),
];

fn row(client: &Client) -> Vec<Cell> {
    let refused = if client.refused > 0 { Tint::Odd } else { Tint::Plain };
    vec![
        visible(&client.client).into(),
        client.connections.to_string().into(),
        client.requests.to_string().into(),
        rate(client.requests_per_second).into(),
        Cell::new(client.refused.to_string(), refused),
        client.total_requests.to_string().into(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn limit() -> Limit {
        Limit {
            name: "each".to_owned(),
            key: "client".to_owned(),
            connections: Some(100),
            requests: None,
            connection_rate: None,
            request_rate: Some("50/s".to_owned()),
            over: "delay".to_owned(),
            delay_seconds: Some(2.0),
            dry_run: false,
            clients: 2,
            capacity: 100_000,
            refused: BTreeMap::from([("connections".to_owned(), 3), ("request_rate".to_owned(), 0)]),
            would_refuse: BTreeMap::new(),
            delayed: 7,
            evicted: 0,
            untracked: 0,
        }
    }

    #[test]
    fn a_limit_is_told_with_its_rules_its_counts_and_its_clients() {
        let client = Client {
            client: "192.0.2.1".to_owned(),
            connections: 4,
            requests: 1,
            requests_per_second: 2.5,
            refused: 3,
            total_requests: 120,
        };
        let told = of_limit(&limit(), &[client], Sheet { width: None, colours: false });
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(
            lines,
            [
                "limit each (client): 100 connections at once, requests 50/s, more are delayed for up to 2s",
                "2 clients of 100000, 7 delayed",
                "refused: 3 by connections",
                "client     connections  requests  req/s  refused  total",
                "192.0.2.1            4         1    2.5        3    120",
            ]
        );
    }

    #[test]
    fn connections_that_are_too_many_are_said_to_be_closed() {
        let over = |connections, request_rate: Option<&str>, over: &str| {
            let request_rate = request_rate.map(str::to_owned);
            let (over, delay_seconds) = (over.to_owned(), None);
            rules(&Limit { connections, request_rate, over, delay_seconds, ..limit() })
        };
        assert_eq!(over(Some(9), None, "reject"), "9 connections at once, more are closed");
        assert_eq!(over(None, Some("5/s"), "reject"), "requests 5/s, more are rejected");
        assert_eq!(
            over(Some(9), Some("5/s"), "reject"),
            "9 connections at once, requests 5/s, more connections are closed, more requests are rejected"
        );
        assert_eq!(over(None, Some("5/s"), "close"), "requests 5/s, more are closed");
    }

    #[test]
    fn a_limit_that_is_not_there_is_told_with_the_nearest() {
        let limits = [limit()];
        let Err(Failure::Arguments(told)) = chosen(&limits, Some("eech")) else { panic!("it was found") };
        assert_eq!(told, "there is no limit `eech`; did you mean `each`?");
        assert_eq!(chosen(&limits, None).unwrap().len(), 1);
    }
}
