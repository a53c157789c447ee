//! What is right and yet worth a warning: secrets that everyone may read, and those that are missing.

use crate::pool::Pool;
use crate::resolved::{Admin, Config, Listener};
use crate::secret::Secret;
use crate::sticky::Sticky;
use crate::wording::quoted;

impl Config {
    /// A warning for each private key, each token and each list of passwords whose file every user of the machine can
    /// read, with what it is for.
    pub fn exposed(&self) -> Vec<String> {
        let admin = self.admin.iter().flat_map(Admin::secrets);
        let webhook =
            self.webhook.iter().filter_map(|webhook| Some((webhook.token.as_ref()?, "the webhook".to_owned())));
        let listeners = self.listeners.iter().flat_map(|listener| {
            let pairs = listener.tls.iter().flat_map(|tls| &tls.pairs);
            pairs.map(|pair| (&pair.key, format!("listener {}", quoted(&listener.name))))
        });
        let pools = self.pools.iter().filter_map(|pool| {
            let pair = pool.tls.as_ref()?.cert.as_ref()?;
            Some((&pair.key, format!("pool {}", quoted(&pool.name))))
        });
        let signing = self.pools.iter().filter_map(|pool| match &pool.sticky {
            Some(Sticky::Cookie(cookie)) => Some((cookie.key.as_ref()?, format!("pool {}", quoted(&pool.name)))),
            _ => None,
        });
        let all = admin.chain(webhook).chain(listeners).chain(pools).chain(signing);
        let secrets = all.filter(|(secret, _)| secret.is_exposed());
        let mut told: Vec<_> = secrets.map(|(secret, user)| warning(secret.source(), &user)).collect();
        for listener in &self.listeners {
            let auths = listener.target.routes().iter().filter_map(|route| route.rules.basic_auth.as_ref());
            let user = format!("listener {}", quoted(&listener.name));
            let mut files: Vec<_> = auths.filter(|auth| auth.exposed).map(|auth| &*auth.file).collect();
            files.sort_unstable();
            files.dedup();
            told.extend(files.iter().map(|file| warning(file, &user)));
        }
        told
    }
}

impl Config {
    /// A warning for each listener that believes everybody about whom it serves.
    pub fn credulous(&self) -> Vec<String> {
        let believes = |listener: &&Listener| {
            listener.trusted_proxies.as_ref().is_some_and(|proxies| proxies.from.holds_a_whole_version())
        };
        let warning = |listener: &Listener| {
            format!(
                "`trusted_proxies` of listener {} believes everybody: whoever comes can say that it is any client, past `allow`, \
                 `deny` and limits; name the networks of your proxies",
                quoted(&listener.name)
            )
        };
        self.listeners.iter().filter(believes).map(warning).collect()
    }

    /// A warning for each pool whose cookies nobody understands after a restart, since there is no key for them.
    pub fn forgetful(&self) -> Vec<String> {
        let keyless = |pool: &&Pool| matches!(&pool.sticky, Some(Sticky::Cookie(cookie)) if cookie.key.is_none());
        let warning = |pool: &Pool| {
            let name = quoted(&pool.name);
            format!(
                "`sticky` of pool {name} has no `key`, so a restart forgets which client is where, and another balancer does \
                 not know; make one with `openssl rand -hex 32`"
            )
        };
        self.pools.iter().filter(keyless).map(warning).collect()
    }
}

impl Admin {
    /// What nobody else may read, and for whom it is.
    fn secrets(&self) -> impl Iterator<Item = (&Secret, String)> {
        let key = self.tls.as_ref().map(|tls| &tls.key);
        self.token.iter().chain(key).map(|secret| (secret, "the admin API".to_owned()))
    }
}

fn warning(source: &str, user: &str) -> String {
    format!("every user can read {source}, a secret of {user}; make its mode 0600")
}
