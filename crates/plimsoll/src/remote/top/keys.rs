//! What keys do.

use plimsoll_control::api::{ServerPatch, State};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::feed::Ask;
use super::model::{Message, Mode, Model};

/// What a key asks for beyond the screen.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// To end.
    Quit,
    /// Something of the API.
    Ask(Ask),
}

/// The keys and what they do, as the help shows them.
pub(super) const HELP: [(&str, &str); 13] = [
    ("↑ ↓  k j", "select a server"),
    ("PgUp PgDn", "the same by ten"),
    ("Home End  g G", "the first, the last"),
    ("Tab  → ←", "the next pool, the one before"),
    ("s", "sort: as listed, busiest, sick, slowest, by name"),
    ("/", "show only servers with this in their names"),
    ("d", "drain: it finishes what it has"),
    ("r", "ready: it takes requests"),
    ("x", "down: out of use"),
    ("w", "set its weight"),
    ("e", "explain which server would be picked, and why"),
    ("?", "this help"),
    ("q  Esc  Ctrl-C", "quit"),
];

/// How far a page is.
const PAGE: isize = 10;

/// The longest filter and the longest weight that can be typed.
const LONGEST: usize = 100;

/// Does what `key` means at the moment.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Option<Action> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Action::Quit);
    }
    match std::mem::take(&mut model.mode) {
        Mode::Watch => watch(model, key.code),
        // Any key closes them.
        Mode::Help | Mode::Explain(_) => None,
        Mode::Filter => {
            filter(model, key.code);
            None
        }
        Mode::Weight { pool, server, typed } => {
            weight(model, (pool, server, typed), key.code);
            None
        }
        Mode::Sure { ask, .. } if matches!(key.code, KeyCode::Char('y' | 'Y')) => Some(Action::Ask(ask)),
        Mode::Sure { .. } => {
            model.message = Some(Message { text: "nothing was changed".to_owned(), bad: false });
            None
        }
    }
}

fn watch(model: &mut Model, key: KeyCode) -> Option<Action> {
    model.message = None;
    match key {
        KeyCode::Char('q') | KeyCode::Esc => return Some(Action::Quit),
        KeyCode::Down | KeyCode::Char('j') => model.select(1),
        KeyCode::Up | KeyCode::Char('k') => model.select(-1),
        KeyCode::PageDown => model.select(PAGE),
        KeyCode::PageUp => model.select(-PAGE),
        KeyCode::Home | KeyCode::Char('g') => model.select(isize::MIN),
        KeyCode::End | KeyCode::Char('G') => model.select(isize::MAX),
        KeyCode::Tab | KeyCode::Right => return model.pool_beside(true).map(Ask::Pool).map(Action::Ask),
        KeyCode::BackTab | KeyCode::Left => return model.pool_beside(false).map(Ask::Pool).map(Action::Ask),
        KeyCode::Char('s') => model.sort = model.sort.next(),
        KeyCode::Char('/') => model.mode = Mode::Filter,
        KeyCode::Char('?' | 'h') => model.mode = Mode::Help,
        KeyCode::Char('d') => model.ask("drain", state(State::Drain)),
        KeyCode::Char('r') => model.ask("set ready", state(State::Ready)),
        KeyCode::Char('x') => model.ask("set down", state(State::Down)),
        KeyCode::Char('w') => {
            let (pool, server) = model.subject()?;
            let (pool, server) = (pool.name.clone(), server.name.clone());
            model.mode = Mode::Weight { pool, server, typed: String::new() };
        }
        KeyCode::Char('e') => {
            let pool = model.pool()?.name.clone();
            return Some(Action::Ask(Ask::Explain(pool)));
        }
        _ => {}
    }
    None
}

fn state(state: State) -> ServerPatch {
    ServerPatch { state: Some(state), ..ServerPatch::default() }
}

fn filter(model: &mut Model, key: KeyCode) {
    match key {
        KeyCode::Enter => return,
        KeyCode::Esc => {
            model.filter.clear();
            return;
        }
        KeyCode::Backspace => {
            model.filter.pop();
        }
        KeyCode::Char(c) if model.filter.chars().count() < LONGEST => model.filter.push(c),
        _ => {}
    }
    model.mode = Mode::Filter;
}

fn weight(model: &mut Model, (pool, server, mut typed): (String, String, String), key: KeyCode) {
    match key {
        KeyCode::Esc => return,
        KeyCode::Enter => {
            let Ok(weight) = typed.parse::<u16>() else {
                let text = "a weight is a whole number from 0 to 65535; nothing was changed".to_owned();
                model.message = Some(Message { text, bad: true });
                return;
            };
            let question = format!("set weight {weight} on {pool}/{server}?");
            let patch = ServerPatch { weight: Some(weight), ..ServerPatch::default() };
            model.mode = Mode::Sure { question, ask: Ask::Set { pool, server, patch } };
            return;
        }
        KeyCode::Backspace => {
            typed.pop();
        }
        KeyCode::Char(c) if typed.len() < LONGEST => typed.push(c),
        _ => {}
    }
    model.mode = Mode::Weight { pool, server, typed };
}
