//! Secrets that everyone may read, for a warning.

use crate::resolved::{Admin, Config};
use crate::secret::Secret;
use crate::wording::quoted;

impl Config {
    /// A warning for each private key and each token whose file every user of the machine can read, with what it is
    /// for.
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
        let all = admin.chain(webhook).chain(listeners).chain(pools);
        all.filter(|(secret, _)| secret.is_exposed()).map(|(secret, user)| warning(secret, &user)).collect()
    }
}

impl Admin {
    /// What nobody else may read, and for whom it is.
    fn secrets(&self) -> impl Iterator<Item = (&Secret, String)> {
        let key = self.tls.as_ref().map(|tls| &tls.key);
        self.token.iter().chain(key).map(|secret| (secret, "the admin API".to_owned()))
    }
}

fn warning(secret: &Secret, user: &str) -> String {
    format!("every user can read {}, a secret of {user}; make its mode 0600", secret.source())
}
