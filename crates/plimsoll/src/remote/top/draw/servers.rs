//! The table of servers: as many rows as there is room for around the selected one.

use plimsoll_control::api::{Server, State};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Borders, Cell, Row, Table};

use super::tint::style;
use crate::remote::status::{health_tint, health_word, in_flight, notes};
use crate::remote::table::{Tint, cut};
use crate::remote::text::{doing, maybe_milliseconds, rate, score, share, visible};
use crate::remote::top::chart::{bar, curve};
use crate::remote::top::model::Model;

/// A column: its title, how wide it is, and the smallest width of a screen on which it is shown.
struct Column {
    title: &'static str,
    width: u16,
    from: u16,
    right: bool,
    cell: fn(&Scene<'_>, &Server) -> (String, Style),
}

/// What cells need beside their server.
struct Scene<'a> {
    model: &'a Model,
    /// The most that any server has in flight: full for the bars of those without a limit.
    most: f64,
    name_width: usize,
}

/// The widest that names are shown, in characters.
const WIDEST_NAME: u16 = 32;

const BAR: u16 = 12;

const CURVE: u16 = 16;

const COLUMNS: [Column; 11] = [
    Column { title: "state", width: 8, from: 0, right: false, cell: state },
    Column { title: "", width: BAR, from: 60, right: false, cell: filled },
    Column { title: "in flight", width: 9, from: 0, right: true, cell: carried },
    Column {
        title: "req/s",
        width: 6,
        from: 0,
        right: true,
        cell: |_, server| plain(rate(server.requests_per_second)),
    },
    Column { title: "p99", width: 7, from: 0, right: true, cell: |_, server| plain(maybe_milliseconds(server.p99_ms)) },
    Column { title: "errors", width: 6, from: 70, right: true, cell: errors },
    Column { title: "weight", width: 6, from: 90, right: true, cell: |_, server| plain(server.weight.to_string()) },
    Column {
        title: "p50",
        width: 7,
        from: 100,
        right: true,
        cell: |_, server| plain(maybe_milliseconds(server.p50_ms)),
    },
    Column { title: "score", width: 7, from: 110, right: true, cell: |_, server| plain(score(server.score)) },
    Column { title: "in flight then", width: CURVE, from: 120, right: false, cell: in_flight_curve },
    Column { title: "req/s then", width: CURVE, from: 140, right: false, cell: rate_curve },
];

/// Draws the servers into `area`.
pub(super) fn draw(model: &mut Model, frame: &mut Frame<'_>, area: Rect) {
    let block = Block::new().borders(Borders::TOP).title(title(model));
    // The titles of the columns take a line.
    let rows = usize::from(block.inner(area).height.saturating_sub(1));
    let place = model.selected(&model.servers());
    // Scrolls as little as it takes for the selected one to be seen, and leaves no room at the end.
    let last = model.servers().len().saturating_sub(rows);
    model.first = model.first.min(place).max((place + 1).saturating_sub(rows)).min(last);
    let servers = model.servers();
    let widest = servers.iter().map(|server| server.name.chars().count()).max().unwrap_or(0) as u16;
    let name = widest.max("server".len() as u16).min(WIDEST_NAME).min(area.width / 3);
    let most = servers.iter().map(|server| server.in_flight).max().unwrap_or(0).into();
    let scene = Scene { model, most, name_width: name.into() };
    let columns: Vec<&Column> = COLUMNS.iter().filter(|column| column.from <= area.width).collect();
    let titles = columns.iter().map(|column| cell(column.title.to_owned(), column));
    let head = [Cell::from("server")].into_iter().chain(titles).chain([Cell::from("notes")]);
    let shown = servers.iter().enumerate().skip(model.first).take(rows);
    let lines = shown.map(|(at, server)| row(&scene, server, &columns, at == place));
    let widths = [Constraint::Length(name)];
    let widths = widths.into_iter().chain(columns.iter().map(|column| Constraint::Length(column.width)));
    let table = Table::new(lines, widths.chain([Constraint::Min(0)]))
        .header(Row::new(head).style(style(Tint::Bold)))
        .block(block);
    frame.render_widget(table, area);
}

fn title(model: &Model) -> String {
    let shown = model.servers().len();
    let all = model.pool().map_or(0, |pool| pool.servers_total);
    let order = model.sort.name();
    if model.filter.is_empty() {
        return format!("servers, {order}");
    }
    format!("servers, {order}, {shown} of {all} with `{}`", visible(&model.filter))
}

fn row(scene: &Scene<'_>, server: &Server, columns: &[&Column], selected: bool) -> Row<'static> {
    let name = Cell::from(cut(&visible(&server.name), scene.name_width));
    let middle = columns.iter().map(|column| {
        let (text, style) = (column.cell)(scene, server);
        cell(text, column).style(style)
    });
    let why = if server.health.reason.is_empty() || health_tint(server) == Tint::Good {
        None
    } else {
        Some(visible(&server.health.reason))
    };
    let notes: Vec<String> = why.into_iter().chain(notes(server)).collect();
    let row = Row::new([name].into_iter().chain(middle).chain([Cell::from(notes.join(", "))]));
    if selected { row.style(Style::new().add_modifier(Modifier::REVERSED)) } else { row }
}

fn cell(text: String, column: &Column) -> Cell<'static> {
    let alignment = if column.right { Alignment::Right } else { Alignment::Left };
    Cell::from(Text::from(Line::from(text).alignment(alignment)))
}

fn plain(text: String) -> (String, Style) {
    (text, Style::new())
}

/// What the operator wants where that is not everything, else how it is.
fn state(_: &Scene<'_>, server: &Server) -> (String, Style) {
    match server.state {
        State::Ready => (health_word(server).to_owned(), style(health_tint(server))),
        other => (doing(other).to_owned(), style(Tint::Odd)),
    }
}

fn filled(scene: &Scene<'_>, server: &Server) -> (String, Style) {
    let full = server.max_connections.map_or(scene.most, f64::from);
    let share = f64::from(server.in_flight) / full.max(1.0);
    let near = server.max_connections.is_some() && share >= NEAR_LIMIT;
    let color = if near { Color::Yellow } else { Color::Cyan };
    (bar(server.in_flight.into(), full, BAR.into()), Style::new().fg(color))
}

/// The share of its limit from which on a server stands out: one that is there has little left for a burst.
const NEAR_LIMIT: f64 = 0.9;

fn carried(_: &Scene<'_>, server: &Server) -> (String, Style) {
    plain(in_flight(server))
}

fn errors(_: &Scene<'_>, server: &Server) -> (String, Style) {
    let tint = if server.error_rate > 0.0 { Tint::Bad } else { Tint::Plain };
    (share(server.error_rate), style(tint))
}

fn in_flight_curve(scene: &Scene<'_>, server: &Server) -> (String, Style) {
    let trace = scene.model.trace_of(&server.name);
    let curve = trace.map(|trace| curve(trace.in_flight.iter().copied(), CURVE.into()));
    (curve.unwrap_or_default(), Style::new().fg(Color::Cyan))
}

fn rate_curve(scene: &Scene<'_>, server: &Server) -> (String, Style) {
    let trace = scene.model.trace_of(&server.name);
    let curve = trace.map(|trace| curve(trace.rate.iter().copied(), CURVE.into()));
    (curve.unwrap_or_default(), Style::new().fg(Color::Cyan))
}
