//! The screen: the process and its pools at the top, the servers, what happened, and a line for keys.

mod servers;
mod tint;

use std::fmt::Write;

use plimsoll_control::api::{Event, Pool};
use ratatui::Frame;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::chart::curve;
use super::keys::HELP;
use super::model::{Mode, Model};
use crate::remote::table::{Sheet, Tint};
use crate::remote::text::{count, lasting, maybe_milliseconds, milliseconds, rate, share, visible};
use crate::remote::{events, explain};
use tint::style;

/// Lines of events, with their title.
const EVENTS: u16 = 7;

/// The least height at which events are shown: below, servers need the room.
const ROOM_FOR_EVENTS: u16 = 18;

/// Characters of the pool's curves.
const CURVE: usize = 30;

/// Draws all of it.
pub(super) fn draw(model: &mut Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let events = if area.height >= ROOM_FOR_EVENTS { EVENTS } else { 0 };
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(3),
        Constraint::Min(3),
        Constraint::Length(events),
        Constraint::Length(1),
    ];
    let [top, tabs, pool, servers, events, bottom] = Layout::vertical(rows).areas(area);
    frame.render_widget(process(model), top);
    frame.render_widget(pools(model), tabs);
    frame.render_widget(of_pool(model), pool);
    servers::draw(model, frame, servers);
    frame.render_widget(happened(model, events), events);
    frame.render_widget(keys(model), bottom);
    match &model.mode {
        Mode::Help => popup(frame, "keys", help()),
        Mode::Explain(explanation) => {
            let sheet = Sheet { width: Some(usize::from(area.width.saturating_sub(4))), colours: false };
            let text = explain::of_now(explanation, sheet);
            popup(frame, "which server, and why", text.lines().map(|line| Line::from(line.to_owned())).collect());
        }
        _ => {}
    }
}

fn process(model: &Model) -> Line<'static> {
    if let Some(lost) = &model.lost {
        return Line::styled(format!("reconnecting: {}", visible(lost)), style(Tint::Bad).add_modifier(Modifier::BOLD));
    }
    let Some(look) = &model.look else { return Line::from("connecting") };
    let status = &look.status;
    let open: u64 = status.listeners.iter().map(|listener| listener.open).sum();
    let (version, up) = (visible(&status.version), lasting(status.uptime_seconds));
    let mut text = format!(" {version}, up {up}, configuration {}", status.generation);
    if status.differences > 0 {
        let _ = write!(text, ", {} edited", status.differences);
    }
    let _ = write!(text, ", {open} client connections");
    let alive: Vec<f64> = status.workers.iter().filter(|worker| worker.alive).map(|worker| worker.load).collect();
    if !alive.is_empty() {
        let busiest = alive.iter().copied().fold(0.0, f64::max);
        let _ = write!(text, ", {}, the busiest {}", count(alive.len() as u64, "worker"), share(busiest));
    }
    let mut spans = vec![Span::styled("plimsoll", style(Tint::Bold)), Span::raw(text)];
    if alive.len() < status.workers.len() {
        spans.push(Span::styled(format!(", {} died", status.workers.len() - alive.len()), style(Tint::Bad)));
    }
    if status.stopping {
        spans.push(Span::styled(", stopping", style(Tint::Odd)));
    }
    Line::from(spans)
}

fn pools(model: &Model) -> Line<'static> {
    let all = model.look.as_ref().map(|look| &*look.status.pools).unwrap_or_default();
    let shown = model.pool().map(|pool| &*pool.name);
    let tab = |pool: &Pool| {
        let chosen = if shown == Some(&pool.name) { Modifier::REVERSED } else { Modifier::empty() };
        let tint = if pool.eligible == 0 { Tint::Bad } else { Tint::Plain };
        let text = format!(" {} {} ", visible(&pool.name), pool.in_flight);
        [Span::styled(text, style(tint).add_modifier(chosen)), Span::raw(" ")]
    };
    all.iter().flat_map(tab).collect()
}

fn of_pool(model: &Model) -> Paragraph<'static> {
    let Some(pool) = model.pool() else { return Paragraph::new("") };
    let trace = model.trace();
    let taking = format!("{} of {} servers take requests", pool.eligible, pool.servers_total);
    let tint = if pool.eligible < pool.servers_total { Tint::Odd } else { Tint::Plain };
    let mut first = vec![
        Span::raw(format!("{}: ", visible(&pool.policy))),
        Span::styled(taking, style(tint)),
        Span::raw(format!(", imbalance {:.2}, errors ", pool.imbalance)),
        Span::styled(share(pool.error_rate), style(if pool.error_rate > 0.0 { Tint::Bad } else { Tint::Plain })),
    ];
    if let Some(queue) = &pool.queue {
        let oldest = queue.oldest_ms.map(|oldest| format!(" for up to {}", milliseconds(oldest)));
        let text = format!("{} of {} queued{}", queue.waiting, queue.limit, oldest.unwrap_or_default());
        first.push(Span::raw(", "));
        first.push(Span::styled(text, style(if queue.waiting > 0 { Tint::Odd } else { Tint::Plain })));
    }
    let refused: u64 = pool.refused.values().sum();
    if refused > 0 {
        first.push(Span::styled(format!(", {refused} found no server"), style(Tint::Bad)));
    }
    let times = format!("  p50 {}  p99 {}", maybe_milliseconds(pool.p50_ms), maybe_milliseconds(pool.p99_ms));
    let lines = vec![
        Line::from(first),
        Line::from(vec![
            Span::raw(format!("in flight {:>7} ", pool.in_flight)),
            Span::styled(curve(trace.in_flight.iter().copied(), CURVE), Style::new().fg(Color::Cyan)),
        ]),
        Line::from(vec![
            Span::raw(format!("requests {:>6}/s ", rate(pool.requests_per_second))),
            Span::styled(curve(trace.rate.iter().copied(), CURVE), Style::new().fg(Color::Cyan)),
            Span::raw(times),
        ]),
    ];
    Paragraph::new(lines)
}

fn happened(model: &Model, area: Rect) -> Paragraph<'static> {
    let block = Block::new().borders(ratatui::widgets::Borders::TOP).title("events");
    let lines = usize::from(block.inner(area).height);
    let skipped = model.events.len().saturating_sub(lines);
    let line = |event: &Event| {
        let message = event.message.lines().next().unwrap_or_default();
        Line::from(vec![
            Span::raw(format!("{} ", time_of_day(&event.at))),
            Span::styled(visible(message), style(events::tint(event))),
        ])
    };
    let lines: Vec<Line<'_>> = model.events.iter().skip(skipped).map(line).collect();
    Paragraph::new(lines).block(block)
}

/// `12:03:04` of `2026-03-01T12:03:04.5Z`.
fn time_of_day(at: &str) -> String {
    let time = at.split_once('T').map_or(at, |(_, time)| time);
    visible(time).chars().take("12:03:04".len()).collect()
}

fn keys(model: &Model) -> Line<'static> {
    let asking = style(Tint::Odd).add_modifier(Modifier::BOLD);
    match (&model.mode, &model.message) {
        (Mode::Sure { question, .. }, _) => Line::styled(format!("{} y/n", visible(question)), asking),
        (Mode::Filter, _) => {
            Line::styled(format!("/{}_  (Enter keeps it, Esc clears it)", visible(&model.filter)), asking)
        }
        (Mode::Weight { pool, server, typed }, _) => {
            let name = visible(&format!("{pool}/{server}"));
            Line::styled(format!("weight of {name}: {}_  (Enter, Esc)", visible(typed)), asking)
        }
        (_, Some(message)) => {
            let tint = if message.bad { Tint::Bad } else { Tint::Good };
            Line::styled(visible(&message.text), style(tint))
        }
        _ => Line::from(
            "q quit  ? help  j k select  tab pool  s sort  / filter  d drain  r ready  x down  w weight  e explain",
        ),
    }
}

fn help() -> Vec<Line<'static>> {
    let line = |(keys, what): &(&'static str, &'static str)| {
        Line::from(vec![Span::styled(format!("{keys:<16}"), style(Tint::Bold)), Span::raw(*what)])
    };
    HELP.iter().map(line).collect()
}

/// Lines in a frame in the middle of the screen.
fn popup(frame: &mut Frame<'_>, title: &'static str, lines: Vec<Line<'static>>) {
    let widest = lines.iter().map(Line::width).max().unwrap_or(0) as u16;
    let area = frame.area();
    // The frame takes a character on each side, and a space beside the text.
    let (width, height) = ((widest + 4).min(area.width), (lines.len() as u16 + 2).min(area.height));
    let [area] = Layout::horizontal([Constraint::Length(width)]).flex(Flex::Center).areas(area);
    let [area] = Layout::vertical([Constraint::Length(height)]).flex(Flex::Center).areas(area);
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(title).padding(ratatui::widgets::Padding::horizontal(1));
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
