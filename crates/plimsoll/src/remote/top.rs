//! `plimsoll top`: pools and servers full screen, and the keys to change them.
//!
//! `feed` asks the API on a thread of its own, so that keys are answered while it waits. `model` is what is shown and
//! what keys do to it, without a terminal; `draw` turns it into a screen, with `chart` for what is drawn out of
//! characters.

mod chart;
mod draw;
mod feed;
mod keys;
mod model;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::{Context, anyhow};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use self::feed::{Feed, Told};
use self::keys::Action;
use self::model::Model;
use super::arguments::Top;
use super::{names, setup};
use crate::failure::Failure;
use crate::signals::{self, Asks, Hangup};

/// How long a key is waited for before news are looked for: short for the eye, long for the processor.
const LOOK: Duration = Duration::from_millis(50);

/// `plimsoll top`.
pub(crate) fn run(arguments: &Top) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Failure::Arguments("top needs a terminal; without one: plimsoll status".to_owned()));
    }
    // Whatever is wrong from the start is said as by any other command.
    let client = setup::client(&arguments.connection)?;
    let pool = arguments.pool.as_deref().map(|pool| names::pool(&client, Some(pool))).transpose()?;
    client.status()?;
    let asks = signals::watch(Hangup::Stop)?;
    let feed = Feed::start(client, pool).context("a thread cannot be started")?;
    let mut screen = Screen::open().context("the terminal cannot be set up")?;
    Ok(watch(&mut screen.0, &feed, &asks)?)
}

/// Shows and obeys, until the user has seen enough.
fn watch(terminal: &mut DefaultTerminal, feed: &Feed, asks: &Asks) -> anyhow::Result<()> {
    let mut model = Model::default();
    let mut changed = true;
    loop {
        if changed {
            terminal.draw(|frame| draw::draw(&mut model, frame)).context("the terminal cannot be written to")?;
        }
        if asks.stop_within(Duration::ZERO) {
            return Ok(());
        }
        changed = false;
        // All that was typed before it is drawn again: pasted keys must not take a screen each.
        let mut patience = LOOK;
        while event::poll(patience).context("the terminal cannot be read from")? {
            changed = true;
            patience = Duration::ZERO;
            let Event::Key(key) = event::read()? else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            match keys::press(&mut model, key) {
                Some(Action::Quit) => return Ok(()),
                Some(Action::Ask(ask)) if feed.ask(ask.clone()) => {}
                Some(Action::Ask(_)) => {
                    model.take(Told::Failed("what was asked for before is not done yet".to_owned()));
                }
                None => {}
            }
        }
        while let Some(told) = feed.told().map_err(|_| anyhow!("what asks the admin API has failed"))? {
            changed = true;
            model.take(told);
        }
    }
}

/// The terminal, which is as it was before once this is dropped, or when a thread panics.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing any more.
        let _ = ratatui::try_restore();
    }
}
