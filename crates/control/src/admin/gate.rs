//! Where the admin API is served and by whom it may be used, as the configuration has it now.

use std::net::SocketAddr;
use std::sync::Arc;

use plimsoll_config::{Admin, Secret};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::door::{Door, Place};
use super::tls;

/// The setup in force. What a reload changes of it holds from the next request on.
#[derive(Debug)]
pub(crate) struct Gate(watch::Sender<Arc<Setup>>);

/// Open doors and who may come through them. Dropping it closes those that no other setup has.
#[derive(Default)]
pub(crate) struct Setup {
    pub(super) doors: Vec<Arc<Door>>,
    /// Of the doors that are addresses.
    pub(super) tls: Option<TlsAcceptor>,
    /// What must be shown at doors that are not local.
    pub(super) token: Option<Secret>,
    /// Names we answer to, beside our addresses and localhost.
    pub(super) hosts: Vec<String>,
    admin: Option<Admin>,
}

impl Gate {
    /// Whether what `admin` names could be used, without opening anything.
    ///
    /// # Errors
    /// Why it cannot, in a sentence for the user.
    pub(crate) fn check(admin: Option<&Admin>) -> Result<(), String> {
        let tls = admin.and_then(|admin| admin.tls.as_ref());
        tls.map(tls::acceptor).transpose().map(drop)
    }

    /// Opens what `admin` wants.
    ///
    /// # Errors
    /// Why it cannot be done, in a sentence for the user.
    pub(crate) fn open(admin: Option<&Admin>) -> Result<Self, String> {
        let setup = Setup::follow(admin, &Setup::default())?;
        Ok(Self(watch::Sender::new(Arc::new(setup))))
    }

    /// Opens what a new configuration wants, and changes nothing yet; `None` is no change. Doors that stay are kept.
    ///
    /// # Errors
    /// Why it cannot be done, in a sentence for the user.
    pub(crate) fn prepare(&self, admin: Option<&Admin>) -> Result<Option<Setup>, String> {
        let before = self.setup();
        if before.admin.as_ref() == admin {
            return Ok(None);
        }
        Setup::follow(admin, &before).map(Some)
    }

    /// Puts a setup in force.
    pub(crate) fn commit(&self, setup: Setup) {
        self.0.send_replace(Arc::new(setup));
    }

    /// What an operator should know of the setup in force.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.setup().warnings()
    }

    /// Where it is served: `http://` or `https://` and an address, or `unix:` and a path.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let setup = self.setup();
        let scheme = if setup.tls.is_some() { "https" } else { "http" };
        let address = |door: &Arc<Door>| match &door.bound {
            Place::Tcp(address) => format!("{scheme}://{address}"),
            unix @ Place::Unix(_) => unix.to_string(),
        };
        setup.doors.iter().map(address).collect()
    }

    /// Closes every door.
    pub(super) fn close(&self) {
        self.0.send_replace(Arc::default());
    }

    pub(super) fn setup(&self) -> Arc<Setup> {
        Arc::clone(&self.0.borrow())
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Setup>> {
        self.0.subscribe()
    }
}

impl Setup {
    fn follow(admin: Option<&Admin>, before: &Self) -> Result<Self, String> {
        let Some(admin) = admin else { return Ok(Self::default()) };
        let wanted = admin.binds.iter().copied().map(Place::Tcp).chain(admin.socket.clone().map(Place::Unix));
        let mut open: Vec<Arc<Door>> = before.doors.clone();
        let mut door = |place: Place| match open.iter().position(|door| door.place == place) {
            // Not the same twice: each port 0 is a port of its own.
            Some(known) => Ok(open.swap_remove(known)),
            None => open_door(place, admin.spare_port).map(Arc::new),
        };
        Ok(Self {
            doors: wanted.map(&mut door).collect::<Result<_, _>>()?,
            tls: admin.tls.as_ref().map(tls::acceptor).transpose()?,
            token: admin.token.clone(),
            hosts: admin.hosts.clone(),
            admin: Some(admin.clone()),
        })
    }

    /// What an operator should know of it.
    fn warnings(&self) -> Vec<String> {
        let open = self.doors.iter().filter(|door| !door.is_local() && self.tls.is_none());
        open.map(|door| format!("the admin API at {} has no `tls`: its token can be overheard on the way", door.bound))
            .collect()
    }
}

/// Opens a door, at a port that is free where that of `place` is taken and any is good enough.
fn open_door(place: Place, spare_port: bool) -> Result<Door, String> {
    let spare = match &place {
        Place::Tcp(address) if spare_port => Some(Place::Tcp(SocketAddr::new(address.ip(), 0))),
        _ => None,
    };
    Door::open(place).or_else(|error| spare.map_or(Err(error), Door::open))
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("doors", &self.doors).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}
