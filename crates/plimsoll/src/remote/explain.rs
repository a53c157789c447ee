//! `plimsoll explain`: why that server?

use std::fmt::Write;
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_control::api::{Candidate, Explanation, Pick};

use super::arguments::Explain;
use super::client::Client;
use super::status::json;
use super::table::{Cell, Column, Sheet, Table, Tint};
use super::text::{score, visible};
use super::trouble::Trouble;
use super::{names, setup};
use crate::console::{print, say};
use crate::failure::Failure;

/// How long to wait for picks to be made, once they are recorded.
const WAIT: Duration = Duration::from_secs(5);

/// How often is looked whether there are some.
const LOOK: Duration = Duration::from_millis(250);

/// `plimsoll explain`.
pub(crate) fn run(arguments: &Explain) -> Result<(), Failure> {
    let client = setup::client(&arguments.connection)?;
    let pool = names::pool(&client, arguments.pool.as_deref())?;
    if let Some(last) = arguments.last {
        let url = last_picks(&client, &pool, last);
        let picks = recorded(&client, &url, last as usize)?;
        let text = if arguments.json { json(&client.text(url)?) } else { of_picks(&picks, Sheet::stdout()) };
        return Ok(print(&text)?);
    }
    let mut url = client.at(["pools", &pool, "explain"]);
    let tried: Vec<String> = arguments.tried.iter().map(|server| format!("{pool}/{server}")).collect();
    for tried in names::servers(&client, &tried)? {
        url.query_pairs_mut().append_pair("tried", &tried.server.name);
    }
    if arguments.json {
        return Ok(print(&json(&client.text(url)?))?);
    }
    Ok(print(&of_now(&client.get(url)?, Sheet::stdout()))?)
}

fn last_picks(client: &Client, pool: &str, last: u32) -> reqwest::Url {
    let mut url = client.at(["pools", pool, "picks"]);
    url.query_pairs_mut().append_pair("last", &last.to_string());
    url
}

/// Asks for recorded picks, which has more recorded, and waits a moment while there are fewer than `wanted`.
fn recorded(client: &Client, url: &reqwest::Url, wanted: usize) -> Result<Vec<Pick>, Trouble> {
    let started = Instant::now();
    let mut said = false;
    loop {
        let picks: Vec<Pick> = client.get(url.clone())?;
        if picks.len() >= wanted || started.elapsed() >= WAIT {
            return Ok(picks);
        }
        if !said {
            let wait = WAIT.as_secs();
            say(format_args!("picks are recorded from now on, for a minute; waiting up to {wait} s for {wanted}"));
            said = true;
        }
        thread::sleep(LOOK);
    }
}

/// What a pick would do now.
pub(crate) fn of_now(explanation: &Explanation, sheet: Sheet) -> String {
    let Explanation { pool, policy, rule, picked, because, refused, servers } = explanation;
    let mut text = sheet.tinted(&format!("pool {}, {}", visible(pool), visible(policy)), Tint::Bold);
    let _ = writeln!(text, ": {}", visible(rule));
    let best = servers.iter().find(|server| picked.as_ref() == Some(&server.name));
    let mut table = Table::new(&CANDIDATES);
    for server in servers {
        let is_picked = best.is_some_and(|best| best.name == server.name);
        let (mark, tint) = if is_picked { (">", Tint::Good) } else { ("", Tint::Plain) };
        table.push(vec![
            mark.into(),
            Cell::new(visible(&server.name), tint),
            in_flight(server).into(),
            charged(server).into(),
            server.weight.to_string().into(),
            score(server.score).into(),
            format!("{:.2}", server.turn).into(),
            Cell::new(why(server, best, policy), tint),
        ]);
    }
    text.push_str(&table.render(sheet));
    match because.as_deref() {
        Some("stuck") => text.push_str("picked because the client is stuck to it\n"),
        Some("key") => text.push_str("picked by the hash of what the request has\n"),
        _ => {}
    }
    if let Some(refused) = refused {
        let line = format!("none would be picked: {}", visible(refused));
        let _ = writeln!(text, "{}", sheet.tinted(&line, Tint::Bad));
    }
    text
}

const CANDIDATES: [Column; 8] = [
    Column::text("", 0),
    Column::text("server", 0),
    Column::number("in flight", 0),
    Column::number("charged", 4),
    Column::number("weight", 2),
    Column::number("score", 1),
    Column::number("turn", 3),
    Column::text("why", 0),
];

fn in_flight(server: &Candidate) -> String {
    match server.max_connections {
        Some(limit) => format!("{}/{limit}", server.in_flight),
        None => server.in_flight.to_string(),
    }
}

fn charged(server: &Candidate) -> String {
    if server.charged > 0 { server.charged.to_string() } else { String::new() }
}

/// Why a server would be picked or not, in plain words; `best` is the one that would be.
pub(crate) fn why(server: &Candidate, best: Option<&Candidate>, policy: &str) -> String {
    let is_best = best.is_some_and(|best| best.name == server.name);
    match &*server.verdict {
        "on trial" if is_best => "picked: it was left out, and one request finds out whether it works again".to_owned(),
        _ if is_best => "picked".to_owned(),
        "eligible" => passed_over(server, best, policy),
        "standby" => "a backup, and others can serve".to_owned(),
        "full" => match server.max_connections {
            Some(limit) => format!("full: it may have {limit} in flight"),
            None => "full".to_owned(),
        },
        "weight 0" => "weight 0 takes nothing".to_owned(),
        "draining" => "it drains: it takes nobody new".to_owned(),
        "down" => "it was set down".to_owned(),
        "ejected" => "ejected: it failed, and is left out for a while".to_owned(),
        "on trial" => "it was left out, and one request is finding out whether it works again".to_owned(),
        "warming up" => "it warms up, and has had its share of arrivals".to_owned(),
        "tried before" => "the request was sent there before".to_owned(),
        verdict => visible(verdict),
    }
}

/// Why one that could be picked would not be.
fn passed_over(server: &Candidate, best: Option<&Candidate>, policy: &str) -> String {
    match policy {
        "random" => return "it could be: chance decides, by weight".to_owned(),
        "two-choices" => return "it could be: chance draws two, and the less loaded wins".to_owned(),
        "hash" => return "its hash is not the one".to_owned(),
        _ => {}
    }
    let Some(best) = best else { return "it could be picked".to_owned() };
    match (server.score, best.score) {
        (Some(own), Some(least)) if own > least => {
            format!("its score is {}, and {} has {}", score(server.score), visible(&best.name), score(best.score))
        }
        (Some(own), Some(least)) if own.to_bits() == least.to_bits() => "as good, but its turn comes later".to_owned(),
        _ => "it could be picked, and another comes first".to_owned(),
    }
}

/// Picks as they were made.
fn of_picks(picks: &[Pick], sheet: Sheet) -> String {
    if picks.is_empty() {
        return "no pick was made\n".to_owned();
    }
    let mut table = Table::new(&PICKS);
    for pick in picks {
        let (picked, tint) = match (&pick.picked, &pick.refused) {
            (Some(server), _) => (visible(server), Tint::Plain),
            (None, Some(refused)) => (format!("none: {}", visible(refused)), Tint::Bad),
            (None, None) => ("none".to_owned(), Tint::Bad),
        };
        let best = pick.candidates.first().filter(|first| pick.picked.as_ref() == Some(&first.name));
        table.push(vec![
            visible(&pick.at).into(),
            Cell::new(picked, tint),
            pick.in_flight.to_string().into(),
            best.map(|best| score(best.score)).unwrap_or_default().into(),
            Cell::new(if pick.retry { "retry" } else { "" }, Tint::Odd),
            others(pick).into(),
            passed(pick).into(),
        ]);
    }
    table.render(sheet)
}

const PICKS: [Column; 7] = [
    Column::text("at", 3),
    Column::text("picked", 0),
    Column::number("in flight", 0),
    Column::number("score", 1),
    Column::text("try", 4),
    Column::text("others and their scores", 0),
    Column::text("passed over", 2),
];

/// The best of those that were not picked.
fn others(pick: &Pick) -> String {
    let others = pick.candidates.iter().filter(|other| pick.picked.as_ref() != Some(&other.name));
    let others: Vec<String> = others.map(|other| format!("{} {}", visible(&other.name), score(other.score))).collect();
    others.join(", ")
}

fn passed(pick: &Pick) -> String {
    let passed: Vec<String> =
        pick.passed_over.iter().map(|(verdict, number)| format!("{number} {}", visible(verdict))).collect();
    passed.join(", ")
}

#[cfg(test)]
mod tests;
