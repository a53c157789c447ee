//! What a configuration needs of TLS, all of it.

use std::collections::HashMap;
use std::sync::Arc;

use plimsoll_config::Config;

use super::to_clients::{self, ClientSide};
use super::to_servers::{self, ServerSide};
use crate::start_error::StartError;

/// The sides of TLS that a configuration needs, ready for use.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsPlan {
    listeners: HashMap<String, Arc<ClientSide>>,
    pools: HashMap<String, Arc<ServerSide>>,
}

/// Looks whether the certificates and keys of `config` can be used.
///
/// # Errors
/// What is wrong with the first that cannot, and whose it is.
pub fn check_tls(config: &Config) -> Result<(), StartError> {
    TlsPlan::new(config, &TlsPlan::default()).map(drop)
}

impl TlsPlan {
    /// What `config` needs. What is the same as `before` goes on as it is.
    pub(crate) fn new(config: &Config, before: &Self) -> Result<Self, StartError> {
        let of_listener = |(listener, source)| StartError::Tls { owner: format!("listener `{listener}`"), source };
        let of_pool = |(pool, source)| StartError::Tls { owner: format!("pool `{pool}`"), source };
        Ok(Self {
            listeners: to_clients::all(&config.listeners, &before.listeners).map_err(of_listener)?,
            pools: to_servers::all(&config.pools, &before.pools).map_err(of_pool)?,
        })
    }

    /// TLS with the clients of this listener, if it has any.
    pub(crate) fn of_listener(&self, name: &str) -> Option<Arc<ClientSide>> {
        self.listeners.get(name).cloned()
    }

    /// TLS with the servers of this pool, if it has any.
    pub(crate) fn of_pool(&self, name: &str) -> Option<Arc<ServerSide>> {
        self.pools.get(name).cloned()
    }
}
