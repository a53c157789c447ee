//! `plimsoll events`: what happened, and what happens.

use std::thread;
use std::time::Duration;

use plimsoll_control::api::{Event, EventKind};

use super::arguments::Events;
use super::client::Client;
use super::setup;
use super::stream::{Message, Stream};
use super::table::{Sheet, Tint};
use super::text::{visible, visible_json, visible_lines};
use super::trouble::Trouble;
use crate::console::{print, say};
use crate::failure::Failure;

/// The most events that are asked for at once: more than Plimsoll remembers.
const MOST: &str = "10000";

/// How long to wait before Plimsoll is looked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// `plimsoll events`.
pub(crate) fn run(arguments: &Events) -> Result<(), Failure> {
    let client = setup::client(&arguments.connection)?;
    let mut printer = Printer { sheet: Sheet::stdout(), json: arguments.json };
    let mut seen = arguments.after;
    // Before what happened is read: a restart in between must be noticed.
    let mut process = client.status()?.started;
    let past = past(&client, seen)?;
    seen = past.iter().map(|event| event.number).fold(seen, u64::max);
    printer.print(&past)?;
    if !arguments.follow {
        return Ok(());
    }
    loop {
        let trouble = follow(&client, &mut seen, &mut printer)?;
        say(format_args!(
            "the stream has ended{}; looking for Plimsoll again",
            trouble.as_ref().map(reason).unwrap_or_default()
        ));
        let started = found_again(&client)?;
        if started != process {
            say("it was started anew; its events count from 1");
            (process, seen) = (started, 0);
        }
    }
}

fn past(client: &Client, after: u64) -> Result<Vec<Event>, Trouble> {
    let mut url = client.at(["events"]);
    url.query_pairs_mut().append_pair("after", &after.to_string()).append_pair("limit", MOST);
    client.get(url)
}

/// Prints what happens until the stream ends; why it did, where that is known.
fn follow(client: &Client, seen: &mut u64, printer: &mut Printer) -> Result<Option<Trouble>, Failure> {
    let mut stream = match Stream::follow(client, Some(*seen)) {
        Ok(stream) => stream,
        Err(trouble) if trouble.may_pass() => return Ok(Some(trouble)),
        Err(trouble) => return Err(trouble.into()),
    };
    loop {
        match stream.next() {
            Ok(Some(Message { event, data })) if event == "event" => {
                // One that is not understood is of a later version; the next may be.
                let Ok(event) = serde_json::from_str::<Event>(&data) else { continue };
                if event.number > *seen {
                    *seen = event.number;
                    printer.print(&[event])?;
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(trouble) => return Ok(Some(trouble)),
        }
    }
}

fn reason(trouble: &Trouble) -> String {
    let text = trouble.to_string();
    format!(" ({})", text.lines().next().unwrap_or_default())
}

/// Waits until Plimsoll answers again; when it was started.
fn found_again(client: &Client) -> Result<String, Trouble> {
    loop {
        thread::sleep(AGAIN);
        match client.status() {
            Ok(status) => return Ok(status.started),
            Err(trouble) if trouble.may_pass() => {}
            Err(trouble) => return Err(trouble),
        }
    }
}

struct Printer {
    sheet: Sheet,
    json: bool,
}

impl Printer {
    fn print(&mut self, events: &[Event]) -> anyhow::Result<()> {
        let lines: Vec<String> = events.iter().map(|event| self.line(event)).collect();
        print(&lines.concat())
    }

    fn line(&self, event: &Event) -> String {
        if self.json {
            // A type of strings and numbers always becomes JSON.
            return serde_json::to_string(event).map(|json| visible_json(&json) + "\n").unwrap_or_default();
        }
        let message = self.sheet.tinted(&visible_lines(&event.message), tint(event));
        format!("{:>5}  {}  {message}\n", event.number, visible(&event.at))
    }
}

/// How an event stands out.
pub(crate) fn tint(event: &Event) -> Tint {
    match (event.kind, event.to.as_deref()) {
        (EventKind::Health, Some("up")) => Tint::Good,
        (EventKind::Health, Some("down" | "ejected")) | (EventKind::Refused | EventKind::ReloadRefused, _) => Tint::Bad,
        (EventKind::Warning, _) => Tint::Odd,
        _ => Tint::Plain,
    }
}
