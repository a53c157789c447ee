use plimsoll_control::api::{Event, EventKind, HealthName, ServerPatch, State};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::draw::draw;
use super::feed::{Ask, Look, Told};
use super::keys::{Action, press};
use super::model::{Mode, Model, Sort};
use crate::remote::samples;

/// A model that has looked at two pools, of which `app` with its servers is shown.
fn model(servers: u32) -> Model {
    let mut model = Model::default();
    model.take(look(servers));
    model
}

fn look(servers: u32) -> Told {
    let pool = samples::pool("app", servers);
    let mut status = samples::status();
    status.pools = vec![samples::pool("app", 0), samples::pool("api", 0)];
    Told::Look(Box::new(Look { status, pool: Some(pool), events: vec![event()] }))
}

fn event() -> Event {
    Event {
        number: 1,
        at: "2026-03-01T12:03:04.567Z".to_owned(),
        kind: EventKind::Health,
        pool: Some("app".to_owned()),
        server: Some("s1".to_owned()),
        from: Some("up".to_owned()),
        to: Some("down".to_owned()),
        message: "server s1 is down\u{1b}[2J".to_owned(),
    }
}

/// The screen as text.
fn screen(model: &mut Model, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test backend has nothing to fail at");
    terminal.draw(|frame| draw(model, frame)).expect("the same");
    let buffer = terminal.backend().buffer();
    let cells: Vec<&str> = buffer.content().iter().map(ratatui::buffer::Cell::symbol).collect();
    cells.chunks(width.into()).map(|line| line.concat().trim_end().to_owned() + "\n").collect()
}

fn type_in(model: &mut Model, keys: &str) -> Vec<Action> {
    let key = |c| match c {
        '\n' => KeyCode::Enter,
        '\t' => KeyCode::Tab,
        c => KeyCode::Char(c),
    };
    keys.chars().filter_map(|c| press(model, KeyEvent::new(key(c), KeyModifiers::NONE))).collect()
}

fn set(server: &str, patch: ServerPatch) -> Action {
    Action::Ask(Ask::Set { pool: "app".to_owned(), server: server.to_owned(), patch })
}

#[test]
fn everything_is_on_the_screen() {
    let mut model = model(3);
    let text = screen(&mut model, (160, 24));
    for part in [
        "plimsoll 0.1.0, up 1h 1m, configuration 3",
        " app 0 ",
        " api 0",
        "3 of 3 servers take requests, imbalance 1.25",
        "requests   12.5/s",
        "s2     up       ████████████",
        "12:03:04 server s1 is down\\u{1b}[2J",
        "q quit",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn no_size_of_a_terminal_is_too_small() {
    let mut model = model(50);
    let help = type_in(&mut model, "?");
    assert!(help.is_empty() && model.mode == Mode::Help);
    for size in [(1, 1), (5, 3), (20, 8), (40, 12), (80, 24), (300, 100)] {
        screen(&mut model, size);
    }
}

#[test]
fn the_screen_follows_the_selected_server() {
    let mut model = model(1000);
    assert!(screen(&mut model, (100, 30)).contains("\ns0 "));
    type_in(&mut model, "G");
    let text = screen(&mut model, (100, 30));
    assert!(text.contains("\ns999 ") && !text.contains("\ns0 "), "{text}");
    type_in(&mut model, "k");
    assert_eq!(model.subject().map(|(_, server)| &*server.name), Some("s998"));
    type_in(&mut model, "g");
    assert!(screen(&mut model, (100, 30)).contains("\ns0 "));
}

#[test]
fn a_filter_and_an_order_choose_what_is_shown() {
    let mut model = model(30);
    type_in(&mut model, "/s2\n");
    assert_eq!(model.servers().len(), 11, "s2 and s20 to s29");
    assert!(screen(&mut model, (100, 30)).contains("11 of 30 with `s2`"));
    type_in(&mut model, "s");
    assert_eq!((model.sort, &*model.servers()[0].name), (Sort::Busiest, "s29"));
    for _ in 0..4 {
        type_in(&mut model, "s");
    }
    assert_eq!((model.sort, &*model.servers()[0].name), (Sort::Listed, "s2"));
}

#[test]
fn the_sick_come_first_where_that_is_wanted() {
    let mut model = Model::default();
    model.sort = Sort::Sick;
    let Told::Look(mut look) = look(3) else { panic!("it is a look") };
    let servers = look.pool.as_mut().and_then(|pool| pool.servers.as_mut()).expect("the servers are there");
    servers[1].health.state = HealthName::Ejected;
    model.take(Told::Look(look));
    let names: Vec<&str> = model.servers().iter().map(|server| &*server.name).collect();
    assert_eq!(names, ["s1", "s2", "s0"]);
}

#[test]
fn nothing_is_changed_without_a_yes() {
    let mut model = model(3);
    assert!(type_in(&mut model, "jd").is_empty());
    assert!(screen(&mut model, (100, 30)).contains("drain app/s1? y/n"));
    assert!(type_in(&mut model, "n").is_empty());
    assert_eq!(model.mode, Mode::Watch);
    let state = |state| ServerPatch { state: Some(state), ..ServerPatch::default() };
    assert_eq!(type_in(&mut model, "dy"), [set("s1", state(State::Drain))]);
    assert_eq!(type_in(&mut model, "ry"), [set("s1", state(State::Ready))]);
    assert_eq!(type_in(&mut model, "xy"), [set("s1", state(State::Down))]);
    let weight = ServerPatch { weight: Some(12), ..ServerPatch::default() };
    assert_eq!(type_in(&mut model, "w12\ny"), [set("s1", weight)]);
    assert!(type_in(&mut model, "wmuch\ny").is_empty());
    assert!(model.mode == Mode::Watch);
}

#[test]
fn other_pools_and_the_end_are_a_key_away() {
    let mut model = model(3);
    assert_eq!(type_in(&mut model, "\t"), [Action::Ask(Ask::Pool("api".to_owned()))]);
    assert_eq!(type_in(&mut model, "e"), [Action::Ask(Ask::Explain("app".to_owned()))]);
    assert_eq!(type_in(&mut model, "q"), [Action::Quit]);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    type_in(&mut model, "/");
    assert_eq!(press(&mut model, interrupt), Some(Action::Quit), "whatever is being typed");
}

#[test]
fn a_balancer_that_is_gone_is_told_until_it_is_back() {
    let mut model = model(3);
    model.take(Told::Lost("no Plimsoll answers at http://127.0.0.1:1".to_owned()));
    let text = screen(&mut model, (100, 30));
    assert!(text.starts_with("reconnecting: no Plimsoll answers"), "{text}");
    assert!(text.contains("\ns2 "), "what was known is still shown");
    model.take(look(3));
    assert!(screen(&mut model, (100, 30)).starts_with("plimsoll 0.1.0"));
}

#[test]
fn curves_have_a_sample_for_each_look() {
    let mut model = model(2);
    for _ in 0..100 {
        model.take(look(2));
    }
    assert_eq!((model.trace().in_flight.len(), model.trace().rate.len()), (60, 60));
    assert_eq!(model.trace_of("s1").map(|trace| trace.in_flight.len()), Some(60));
    model.take(look(1));
    assert!(model.trace_of("s1").is_none(), "what is gone is forgotten");
}
