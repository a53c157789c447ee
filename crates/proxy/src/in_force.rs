//! The configuration in force, as far as the data plane has to remember it: what listens where, under which limits, over
//! which pools.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_config::{Bind, Config, Listener};
use plimsoll_core::Pools;

use crate::catalog::Catalog;
use crate::http1::edits::Edits;
use crate::limit::{Limit, Limits};
use crate::log::Plan;
use crate::mirror::copied::MirrorCounts;
use crate::room::{Occupancy, Room};
use crate::route::RouteCounts;
use crate::service::{self, Aim, Service};
use crate::sockets::{self, Bound, Listening, PlaceId, Socket, Wanted};
use crate::start_error::StartError;
use crate::stats::{LimitStats, ListenerStats, MirrorStats, RouteStats, StickyStats};
use crate::tls::{HandshakeStats, Handshakes, TlsPlan};

/// What is in force; by default nothing.
#[derive(Default)]
pub(crate) struct InForce {
    listening: Vec<Listening>,
    /// One for each listener, in the order of the configuration.
    services: Vec<Arc<Service>>,
    /// Of listeners that are gone, as long as anybody is inside.
    leaving: Vec<Leaving>,
    catalog: Catalog,
    tls: TlsPlan,
    patience: Duration,
    /// Room for the clients of all listeners, for as many as are let in.
    house: Arc<Room>,
    clients: usize,
    /// Places ever made.
    places: u64,
    /// Who serves all that.
    workers: usize,
    /// Of each client.
    limits: Limits,
}

/// What is left of a listener that is gone.
struct Leaving {
    listener: String,
    pools: Vec<String>,
    room: Arc<Room>,
}

/// The sockets of one new place, one for each worker.
type NewSockets = (PlaceId, Vec<Socket>);

impl InForce {
    /// Nothing yet, to be served by so many workers.
    pub(crate) fn by(workers: usize) -> Self {
        Self { workers, catalog: Catalog::by(workers), ..Self::default() }
    }

    /// What `config` needs and neither listens nor is among `bound`, with that. Each is bound `count` times.
    pub(crate) fn bind(&self, config: &Config, count: usize, mut bound: Vec<Bound>) -> Result<Vec<Bound>, StartError> {
        let wanted = sockets::wanted(config, &self.listening);
        let kept: HashSet<PlaceId> = wanted.iter().filter_map(|wanted| Some(wanted.kept?.place)).collect();
        let mut here = std::mem::take(&mut bound);
        for Wanted { listener, configured, .. } in wanted.into_iter().filter(|wanted| wanted.kept.is_none()) {
            if let Some(position) = here.iter().position(|bound| bound.configured == *configured) {
                bound.push(here.swap_remove(position));
                continue;
            }
            let going = self.listening.iter().filter(|known| !kept.contains(&known.place));
            let beside = sockets::gives_way(configured, going);
            let failed =
                |source| StartError::Bind { listener: listener.name.clone(), address: configured.clone(), source };
            bound.push(sockets::bind(configured, count, beside).map_err(failed)?);
        }
        Ok(bound)
    }

    /// What is in force next, by `config` with what is `bound` for it, in its order, and for so many `clients`; and the
    /// sockets that are new. Nothing changes by this.
    pub(crate) fn next(
        &self,
        config: &Config,
        (bound, telling, tls): (Vec<Bound>, &Plan, TlsPlan),
        clients: usize,
        pools: &Pools,
    ) -> Result<(Self, Vec<NewSockets>), StartError> {
        let mut catalog = Catalog::new(config, (pools, &tls), &self.catalog).map_err(|pool| no_pool(config, pool))?;
        let (mut listening, mut sockets, mut places) = (Vec::new(), Vec::new(), self.places);
        let wanted = sockets::wanted(config, &self.listening);
        let mut bound = bound.into_iter();
        for Wanted { listener, kept, .. } in &wanted {
            let name = listener.name.clone();
            if let Some(kept) = *kept {
                listening.push(Listening { listener: name, ..kept.clone() });
            } else if let Some(bound) = bound.next() {
                let place = PlaceId(places);
                places += 1;
                let Bound { configured, local, sockets: bound, file } = bound;
                listening.push(Listening { place, listener: name, configured, local, file });
                sockets.push((place, bound));
            }
        }
        let mut rooms = self.rooms(config, &wanted);
        let limits = self.limits.next(config);
        let asks = |listener: &Listener| listener.tls.as_ref().is_some_and(|tls| tls.client_cert.is_some());
        let certificates = config.listeners.iter().any(asks);
        let services = config.listeners.iter().map(|listener| {
            let mut routed = self.routed(&listener.name);
            let aim = Aim::new(&listener.target, &mut catalog, &mut routed).map_err(|pool| no_pool(config, pool))?;
            let room =
                rooms.remove(&*listener.name).unwrap_or_else(|| Room::within(&self.house, listener.max_connections));
            let tls = tls.of_listener(&listener.name);
            let handshakes = self.handshakes(&listener.name);
            let limits = limits.of_listener(listener);
            Ok(Arc::new(Service {
                listener: listener.clone(),
                cookies: aim.own_cookies(),
                aim,
                tls,
                handshakes,
                certificates,
                response_edits: Edits::new(&listener.response_headers),
                limits,
                routed,
                hsts: listener.hsts.as_ref().map(service::hsts).unwrap_or_default(),
                observe: telling.observe(listener),
                room,
            }))
        });
        let services = services.collect::<Result<Vec<_>, StartError>>()?;
        catalog.seal();
        let leaving = self.leaving(&services);
        let (patience, house, workers) = (config.shutdown_timeout, Arc::clone(&self.house), self.workers);
        Ok((
            Self { listening, services, leaving, catalog, tls, patience, house, clients, places, workers, limits },
            sockets,
        ))
    }

    /// What is counted of the routes of the listener of this name, which goes on.
    fn routed(&self, listener: &str) -> RouteCounts {
        let before = self.services.iter().find(|service| service.listener.name == *listener);
        before.map_or_else(|| RouteCounts::new(self.workers), |before| before.routed.clone())
    }

    /// The count of handshakes of the listener of this name, which goes on.
    fn handshakes(&self, listener: &str) -> Arc<Handshakes> {
        let before = self.services.iter().find(|service| service.listener.name == *listener);
        before.map_or_else(Handshakes::new, |before| Arc::clone(&before.handshakes))
    }

    /// What is in force of TLS.
    pub(crate) fn tls(&self) -> &TlsPlan {
        &self.tls
    }

    /// What is left of the listeners that are not among the `next`.
    fn leaving(&self, next: &[Arc<Service>]) -> Vec<Leaving> {
        let of_now = self.services.iter().map(|service| (&service.listener.name, pools(service), &service.room));
        let left = self.leaving.iter().map(|leaving| (&leaving.listener, leaving.pools.clone(), &leaving.room));
        let goes_on = |room: &Arc<Room>| next.iter().any(|service| Arc::ptr_eq(&service.room, room));
        let gone = of_now.chain(left).filter(|(_, _, room)| !goes_on(room) && room.occupancy().inside > 0);
        let leaving = |(listener, pools, room): (&String, Vec<String>, &Arc<Room>)| Leaving {
            listener: listener.clone(),
            pools,
            room: Arc::clone(room),
        };
        gone.map(leaving).collect()
    }

    /// The rooms that go on, by the name of the listener they are for from now on: that of the same name, be it one that
    /// comes back, else that of a listener that goes and had one of its addresses.
    fn rooms<'a>(&self, config: &'a Config, wanted: &[Wanted<'a>]) -> HashMap<&'a str, Arc<Room>> {
        let gone = self.leaving.iter().map(|leaving| (&*leaving.listener, &leaving.room));
        let of_now = self.services.iter().map(|service| (&*service.listener.name, &service.room));
        // A listener that is there comes after one that is gone and was called the same.
        let mut left: HashMap<&str, &Arc<Room>> = gone.chain(of_now).collect();
        let mut rooms = HashMap::new();
        for Listener { name, .. } in &config.listeners {
            rooms.extend(left.remove(&**name).map(|room| (&**name, Arc::clone(room))));
        }
        for Wanted { listener, kept, .. } in wanted {
            let before = kept.filter(|_| !rooms.contains_key(&*listener.name));
            let room = before.and_then(|kept| left.remove(&*kept.listener));
            rooms.extend(room.map(|room| (&*listener.name, Arc::clone(room))));
        }
        rooms
    }

    /// Puts the limits in force.
    pub(crate) fn set_limits(&self) {
        self.house.set_limit(self.clients);
        self.limits.apply();
        for service in &self.services {
            service.room.set_limit(service.listener.max_connections);
        }
    }

    /// Every place, with what is served there.
    pub(crate) fn places(&self) -> Arc<[(PlaceId, Arc<Service>)]> {
        let service = |name: &str| self.services.iter().find(|service| service.listener.name == *name);
        self.listening.iter().filter_map(|at| Some((at.place, Arc::clone(service(&at.listener)?)))).collect()
    }

    /// What became of the ties of requests, in each pool whose clients stick.
    pub(crate) fn sticky(&self) -> Vec<StickyStats> {
        self.catalog.sticky()
    }

    pub(crate) fn addresses(&self) -> Vec<(String, Bind)> {
        self.listening.iter().map(|at| (at.listener.clone(), at.local.clone())).collect()
    }

    pub(crate) fn listeners(&self) -> Vec<ListenerStats> {
        let of_now = self.services.iter().map(|service| {
            let Service { listener: Listener { name, proxy_protocol, .. }, handshakes, tls, .. } = &**service;
            let handshakes = tls.as_ref().map(|_| handshakes.read());
            let at = self.listening.iter().filter(|at| at.listener == *name).map(|at| at.local.clone());
            (
                name,
                pools(service),
                (&service.room, handshakes, proxy_protocol.is_some(), service.routed.read()),
                at.collect(),
            )
        });
        let gone = self.leaving.iter().filter(|gone| gone.room.occupancy().inside > 0);
        let gone =
            gone.map(|gone| (&gone.listener, gone.pools.clone(), (&gone.room, None, false, Vec::new()), Vec::new()));
        let stats =
            |(name, pools, (room, handshakes, proxied, routes), addresses): (&String, Vec<String>, Counts<'_>, _)| {
                let Occupancy { limit, inside, entered } = room.occupancy();
                let (name, proxy_headers) = (name.clone(), proxied.then(|| room.refused()));
                ListenerStats {
                    name,
                    pools,
                    addresses,
                    open: inside,
                    limit,
                    accepted: entered,
                    denied: room.denied(),
                    handshakes,
                    proxy_headers,
                    routes,
                }
            };
        of_now.chain(gone).map(stats).collect()
    }

    /// What became of copies of requests, for each pool that gets some.
    pub(crate) fn mirrors(&self) -> Vec<MirrorStats> {
        let stats = |(pool, counts): (&str, &MirrorCounts)| {
            let [sent, skipped, failed] = counts.read();
            MirrorStats { pool: pool.to_owned(), sent, skipped, failed }
        };
        self.catalog.mirrors().map(stats).collect()
    }

    /// From now on nobody finds the way in by a file.
    pub(crate) fn remove_files(&mut self) {
        for listening in &mut self.listening {
            listening.file = None;
        }
    }

    /// The client connections of all listeners.
    pub(crate) fn clients(&self) -> Occupancy {
        self.house.occupancy()
    }

    /// What the limits of clients did.
    pub(crate) fn limits(&self) -> Vec<LimitStats> {
        self.limits.stats()
    }

    /// The limit of this name.
    pub(crate) fn limit(&self, name: &str) -> Option<Arc<Limit>> {
        self.limits.find(name).cloned()
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }
}

/// Where it is counted who comes to a listener, how handshakes went, whether PROXY headers are expected, and what routes had.
type Counts<'a> = (&'a Arc<Room>, Option<HandshakeStats>, bool, Vec<RouteStats>);

/// The names of the pools of a service.
fn pools(service: &Service) -> Vec<String> {
    service.listener.target.pools().into_iter().map(str::to_owned).collect()
}

/// The error for a pool that is not there, with the listener that wants it, be it as a fallback.
fn no_pool(config: &Config, pool: String) -> StartError {
    let names = |listener: &&Listener| listener.target.pools().contains(&&*pool);
    let wants = config.listeners.iter().find(names).or(config.listeners.first());
    StartError::NoPool { listener: wants.map_or_else(String::new, |listener| listener.name.clone()), pool }
}
