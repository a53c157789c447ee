//! Certificates and keys read anew from their files, which change while the configuration itself stays: whoever issues
//! them puts new ones there every few weeks.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use super::{LARGEST_PEM, Secret};
use crate::protocol::CertPair;
use crate::resolved::Config;

impl Config {
    /// The files of certificates, keys and OCSP responses, each once.
    pub fn certificate_files(&self) -> Vec<PathBuf> {
        let admin = self.admin.iter().filter_map(|admin| admin.tls.as_ref()).flat_map(|tls| [&tls.cert, &tls.key]);
        let listeners = self.listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| {
            let clients = tls.client_cert.as_ref().map(|wanted| &wanted.ca);
            tls.pairs.iter().flat_map(CertPair::files).chain(clients)
        });
        let pools = self.pools.iter().filter_map(|pool| pool.tls.as_ref());
        let pools = pools.flat_map(|tls| tls.ca.iter().chain(tls.cert.iter().flat_map(CertPair::files)));
        let mut files: Vec<PathBuf> =
            admin.chain(listeners).chain(pools).map(|secret| PathBuf::from(secret.source())).collect();
        files.sort();
        files.dedup();
        files
    }

    /// The same with certificates, keys and OCSP responses as they are in their files now. No other file is read.
    ///
    /// # Errors
    /// Which one cannot be read, and why.
    pub fn with_certificates_anew(&self) -> Result<Self, String> {
        let mut config = self.clone();
        for tls in config.admin.iter_mut().filter_map(|admin| admin.tls.as_mut()) {
            tls.cert.renew()?;
            tls.key.renew()?;
        }
        for tls in config.listeners.iter_mut().filter_map(|listener| listener.tls.as_mut()) {
            tls.pairs.iter_mut().try_for_each(CertPair::renew)?;
            tls.client_cert.iter_mut().try_for_each(|wanted| wanted.ca.renew())?;
        }
        for tls in config.pools.iter_mut().filter_map(|pool| pool.tls.as_mut()) {
            tls.ca.iter_mut().try_for_each(Secret::renew)?;
            tls.cert.iter_mut().try_for_each(CertPair::renew)?;
        }
        Ok(config)
    }
}

impl CertPair {
    fn files(&self) -> impl Iterator<Item = &Secret> {
        [&self.cert, &self.key].into_iter().chain(&self.ocsp)
    }

    fn renew(&mut self) -> Result<(), String> {
        self.cert.renew()?;
        self.key.renew()?;
        self.ocsp.iter_mut().try_for_each(Secret::renew)
    }
}

impl Secret {
    /// Reads its file again.
    fn renew(&mut self) -> Result<(), String> {
        let unreadable = |error: io::Error| format!("{}: {}", self.source, crate::files::unreadable(&error));
        let about = fs::metadata(&self.source).map_err(unreadable)?;
        // Not opened before it is known to be a file: to open a pipe waits for someone who writes to it.
        if !about.is_file() {
            return Err(format!("{}: this is no regular file", self.source));
        }
        let mut content = Vec::new();
        let file = File::open(&self.source).map_err(unreadable)?;
        file.take(LARGEST_PEM + 1).read_to_end(&mut content).map_err(unreadable)?;
        if content.len() as u64 > LARGEST_PEM {
            return Err(format!("{}: this is larger than 1 MiB", self.source));
        }
        self.exposed = super::is_exposed(&about);
        if *self.content != *content {
            self.content = content.into();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_read_anew_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("plimsoll-renew-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("plimsoll.toml");
        let text = "[listen.web]\nbind = '127.0.0.1:0'\npool = 'app'\n[pool.app]\nservers = ['127.0.0.1:1']\n\
                    [admin]\nbind = '127.0.0.1:0'\ntls = { cert = 'site.pem', key = 'site.key' }\n";
        fs::write(&file, text).unwrap();
        fs::write(folder.join("site.pem"), "one").unwrap();
        fs::write(folder.join("site.key"), "two").unwrap();
        let config = crate::load(&file).unwrap();
        assert_eq!(config.certificate_files(), [folder.join("site.key"), folder.join("site.pem")]);
        assert_eq!(config.with_certificates_anew().unwrap(), config);
        fs::write(&file, "nonsense").unwrap();
        fs::write(folder.join("site.pem"), "three").unwrap();
        let anew = config.with_certificates_anew().unwrap();
        assert_ne!(anew, config);
        assert_eq!(anew.admin.unwrap().tls.unwrap().cert.bytes(), b"three");
        fs::remove_file(folder.join("site.key")).unwrap();
        let error = config.with_certificates_anew().unwrap_err();
        assert!(error.ends_with("site.key: there is no such file"), "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
