//! Changes: what is wanted of a server, its weight and limit, servers that come and go.

use plimsoll_control::api::{AddServers, Changed, ServerPatch, State};
use reqwest::Method;

use super::arguments::{Add, Connection, Drain, Limit, Servers, Weight};
use super::client::Client;
use super::names::{self, Named};
use super::text::{count, doing, visible};
use super::{new, setup, wait};
use crate::console::say;
use crate::failure::Failure;

/// `plimsoll drain`.
pub(crate) fn drain(arguments: &Drain) -> Result<(), Failure> {
    let patch = ServerPatch { state: Some(State::Drain), ..ServerPatch::default() };
    let (client, drained) = set(&arguments.servers.connection, &arguments.servers.servers, patch)?;
    if arguments.wait {
        return wait::until_idle(&client, &drained, arguments.timeout);
    }
    Ok(())
}

/// `plimsoll ready` and `plimsoll down`.
pub(crate) fn state(arguments: &Servers, state: State) -> Result<(), Failure> {
    let patch = ServerPatch { state: Some(state), ..ServerPatch::default() };
    set(&arguments.connection, &arguments.servers, patch).map(drop)
}

/// `plimsoll weight`.
pub(crate) fn weight(arguments: &Weight) -> Result<(), Failure> {
    let patch = ServerPatch { weight: Some(arguments.share), ..ServerPatch::default() };
    set(&arguments.connection, std::slice::from_ref(&arguments.server), patch).map(drop)
}

/// `plimsoll limit`.
pub(crate) fn limit(arguments: &Limit) -> Result<(), Failure> {
    let limit = arguments.most.0.map(u32::from);
    let patch = ServerPatch { max_connections: Some(limit), ..ServerPatch::default() };
    set(&arguments.connection, std::slice::from_ref(&arguments.server), patch).map(drop)
}

/// `plimsoll remove`.
pub(crate) fn remove(arguments: &Servers) -> Result<(), Failure> {
    let client = setup::client(&arguments.connection)?;
    let mut changed = None;
    for named in names::servers(&client, &arguments.servers)? {
        changed = Some(client.ask::<Changed>(Method::DELETE, named.url(&client), None::<&()>)?);
        say(format_args!("{} is removed", named.title()));
    }
    tell_differences(changed);
    Ok(())
}

/// `plimsoll add`.
pub(crate) fn add(arguments: &Add) -> Result<(), Failure> {
    let servers = new::servers(&arguments.servers).map_err(Failure::Arguments)?;
    let client = setup::client(&arguments.connection)?;
    let pool = names::pool(&client, Some(&arguments.pool))?;
    let number = servers.len() as u64;
    let url = client.at(["pools", &pool, "servers"]);
    let changed = client.ask(Method::POST, url, Some(&AddServers { servers }))?;
    say(format_args!("{} added to pool {}", count(number, "server"), visible(&pool)));
    tell_differences(Some(changed));
    Ok(())
}

/// Sets `patch` on the servers that are named, once all of them are known to be there.
fn set(connection: &Connection, servers: &[String], patch: ServerPatch) -> Result<(Client, Vec<Named>), Failure> {
    let client = setup::client(connection)?;
    let named = names::servers(&client, servers)?;
    let mut changed = None;
    for named in &named {
        changed = Some(client.ask::<Changed>(Method::PATCH, named.url(&client), Some(&patch))?);
        say(format_args!("{}: {}", named.title(), told(named, patch)));
    }
    tell_differences(changed);
    Ok((client, named))
}

/// What a change means for a server, and what was before.
fn told(named: &Named, patch: ServerPatch) -> String {
    let before = &named.server;
    if let Some(state) = patch.state {
        let in_flight = format!("{} in flight", before.in_flight);
        return match state {
            _ if state == before.state => format!("{} already; {in_flight}", doing(state)),
            _ => format!("{} now, {} before; {in_flight}", doing(state), doing(before.state)),
        };
    }
    if let Some(weight) = patch.weight {
        return format!("weight {weight}, {} before", before.weight);
    }
    let limit = |limit: Option<u32>| limit.map_or_else(|| "no limit".to_owned(), |limit| format!("limit {limit}"));
    format!("{}, {} before", limit(patch.max_connections.flatten()), limit(before.max_connections))
}

fn tell_differences(changed: Option<Changed>) {
    match changed.map(|changed| changed.differences) {
        None | Some(0) => {}
        Some(1) => say("1 setting differs from the file: plimsoll diff"),
        Some(number) => say(format_args!("{number} settings differ from the file: plimsoll diff")),
    }
}
