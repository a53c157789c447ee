//! Whom the prober asks, and by what rules.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_config::{Probe, ProxyVersion};
use plimsoll_core::{HealthState, Server};

use crate::tls::ServerSide;

/// A server to be probed.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) server: Arc<Server>,
    /// Its `host:port` as configured, for `Host`.
    pub(crate) host: String,
    /// How it is probed.
    pub(crate) probe: Arc<Probe>,
    /// How hands are shaken with it; `None` is without TLS.
    pub(crate) tls: Option<Arc<ServerSide>>,
    /// The form of the PROXY header that comes first, if one does.
    pub(crate) greeting: Option<ProxyVersion>,
    /// It is asked by HTTP/2, if by HTTP.
    pub(crate) http2: bool,
}

impl Target {
    /// From one probe to the next.
    pub(super) fn interval(&self) -> Duration {
        if self.server.health() == HealthState::Down { self.probe.interval_down } else { self.probe.interval }
    }

    /// Whether a probe of one is as good as a probe of the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let told = |target: &Self| {
            (target.server.serial(), target.greeting, target.http2, target.tls.as_ref().map(Arc::as_ptr))
        };
        told(self) == told(other) && self.host == other.host && self.probe == other.probe
    }
}
