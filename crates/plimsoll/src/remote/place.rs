//! Where the admin API is: as it was said, as the configuration file here says, or where it usually is.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use reqwest::Url;

/// Where an admin API listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On TCP; the URL is the root of the API's server and has no path, user or query.
    Tcp(Url),
    /// On a Unix socket.
    Unix(PathBuf),
}

impl Place {
    /// Reads what a user typed: a URL, `host:port`, a port of this machine, or the path of a socket.
    ///
    /// # Errors
    /// What is wrong with it and what to write, in a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}` is no address of an admin API: {why}\n{FORMS}");
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        let url = match text.split_once("://") {
            Some(("http" | "https", _)) => text.to_owned(),
            Some(_) => return Err(wrong("only http and https are spoken")),
            None if text.contains('/') => return Ok(Self::Unix(text.into())),
            None if text.parse::<u16>().is_ok() => format!("http://127.0.0.1:{text}"),
            None if !text.contains(':') => return Err(wrong("it has no port")),
            None => format!("http://{text}"),
        };
        let url: Url = url.parse().map_err(|error| wrong(&format!("{error}")))?;
        if url.host_str().is_none() {
            return Err(wrong("it has no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("a token is given by --token-file or PLIMSOLL_TOKEN"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("nothing may follow the port"));
        }
        Ok(Self::Tcp(url))
    }

    /// The one at a socket address that is listened on; where that is every address of the machine, the one of the
    /// machine itself.
    pub(crate) fn listening(address: SocketAddr, tls: bool) -> Option<Self> {
        let own = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            ip => ip,
        };
        let scheme = if tls { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{}", SocketAddr::new(own, address.port()))).ok().map(Self::Tcp)
    }

    /// The root of the API's server, as it stands in requests.
    pub(crate) fn root(&self) -> Url {
        match self {
            Self::Tcp(url) => url.clone(),
            Self::Unix(_) => Url::parse("http://localhost").expect("it is a URL"),
        }
    }

    /// The path of the Unix socket.
    pub(crate) fn socket(&self) -> Option<&Path> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => Some(path),
        }
    }

    /// Whether TLS is spoken there.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp(url) if url.scheme() == "https")
    }
}

const FORMS: &str =
    "write host:port, https://host:port, or the path of a Unix socket with a slash in it, such as ./plimsoll.sock";

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(url) => f.write_str(url.as_str().trim_end_matches('/')),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_url_a_port_or_a_socket() {
        for (text, place) in [
            ("127.0.0.1:9900", "http://127.0.0.1:9900"),
            ("9901", "http://127.0.0.1:9901"),
            ("lb.example.com:9900", "http://lb.example.com:9900"),
            ("[::1]:9900", "http://[::1]:9900"),
            ("https://lb.example.com", "https://lb.example.com"),
            ("http://127.0.0.1:9900/", "http://127.0.0.1:9900"),
            ("/run/plimsoll.sock", "/run/plimsoll.sock"),
            ("unix:plimsoll.sock", "plimsoll.sock"),
            ("./plimsoll.sock", "./plimsoll.sock"),
        ] {
            assert_eq!(Place::parse(text).map(|place| place.to_string()).as_deref(), Ok(place), "{text}");
        }
        for text in
            ["", "lb", "ftp://lb:21", "http://", "http://u:p@lb:1", "http://lb:1/api", "lb:99999", "http://lb?x"]
        {
            assert!(Place::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn who_listens_everywhere_is_reached_here() {
        for (address, tls, place) in [
            ("0.0.0.0:9900", false, "http://127.0.0.1:9900"),
            ("[::]:9900", true, "https://[::1]:9900"),
            ("10.1.2.3:9900", true, "https://10.1.2.3:9900"),
        ] {
            let found = Place::listening(address.parse().unwrap(), tls);
            assert_eq!(found.map(|place| place.to_string()).as_deref(), Some(place));
        }
    }
}
