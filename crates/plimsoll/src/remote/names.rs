//! What a user calls pools and servers, against those there are.

use plimsoll_control::api;

use super::client::Client;
use super::text::{nearest, visible};
use super::trouble::Trouble;
use crate::failure::Failure;

/// A server that there is.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) pool: String,
    /// As it was when it was looked up.
    pub(crate) server: api::Server,
}

impl Named {
    /// `POOL/SERVER`, safe to print.
    pub(crate) fn title(&self) -> String {
        visible(&format!("{}/{}", self.pool, self.server.name))
    }

    /// Its URL.
    pub(crate) fn url(&self, client: &Client) -> reqwest::Url {
        client.at(["pools", &self.pool, "servers", &self.server.name])
    }
}

/// The pool that is meant; where there is only one it need not be named.
pub(crate) fn pool(client: &Client, typed: Option<&str>) -> Result<String, Failure> {
    Pools::read(client)?.find(typed)
}

/// The servers that are meant, all of them there.
pub(crate) fn servers(client: &Client, typed: &[String]) -> Result<Vec<Named>, Failure> {
    let pools = Pools::read(client)?;
    typed.iter().map(|typed| pools.server(client, typed)).collect()
}

/// The names of all pools.
struct Pools(Vec<String>);

impl Pools {
    fn read(client: &Client) -> Result<Self, Failure> {
        Ok(Self(client.status()?.pools.into_iter().map(|pool| pool.name).collect()))
    }

    fn find(&self, typed: Option<&str>) -> Result<String, Failure> {
        let listed = || visible(&self.0.join(", "));
        let found = match (typed, &self.0[..]) {
            (Some(typed), pools) => pools.iter().find(|pool| *pool == typed),
            (None, [only]) => Some(only),
            (None, _) => return Err(Failure::Arguments(format!("there are several pools, name one: {}", listed()))),
        };
        found.cloned().ok_or_else(|| {
            let typed = typed.unwrap_or_default();
            let help = match nearest(typed, self.0.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{}`?", visible(near)),
                None => format!("the pools are: {}", listed()),
            };
            Failure::Arguments(format!("there is no pool `{}`; {help}", visible(typed)))
        })
    }

    fn server(&self, client: &Client, typed: &str) -> Result<Named, Failure> {
        let (pool, name) = match (typed.split_once('/'), &self.0[..]) {
            (Some((pool, name)), _) => (self.find(Some(pool))?, name),
            (None, [only]) => (only.clone(), typed),
            (None, _) => {
                let pools = visible(&self.0.join(", "));
                let typed = visible(typed);
                let message = format!("`{typed}`: there are several pools, write POOL/{typed}; the pools are: {pools}");
                return Err(Failure::Arguments(message));
            }
        };
        // An empty last part would name the list of all.
        if name.is_empty() {
            return Err(Failure::Arguments(format!("`{}` names no server; write POOL/SERVER", visible(typed))));
        }
        match client.get(client.at(["pools", &pool, "servers", name])) {
            Ok(server) => Ok(Named { pool, server }),
            Err(trouble) if trouble.is_not_found() => Err(no_server(client, &pool, name)?),
            Err(trouble) => Err(trouble.into()),
        }
    }
}

/// Says that there is no such server, and which there is of nearly the same name.
fn no_server(client: &Client, pool: &str, name: &str) -> Result<Failure, Trouble> {
    let servers: Vec<api::Server> = client.get(client.at(["pools", pool, "servers"]))?;
    let help = match nearest(name, servers.iter().map(|server| &*server.name)) {
        Some(near) => format!("did you mean `{}`?", visible(near)),
        None => format!("see `plimsoll status {}`", visible(pool)),
    };
    Ok(Failure::Arguments(format!("pool `{}` has no server `{}`; {help}", visible(pool), visible(name))))
}
