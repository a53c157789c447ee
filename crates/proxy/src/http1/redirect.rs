//! Where a request is sent that is to come back by TLS.

use plimsoll_config::Redirect;

use super::target::host_of;

/// The address with `https` for what was asked for at `host`, a valid authority, with this path and query.
pub(crate) fn location(redirect: Redirect, host: &[u8], path: &[u8]) -> String {
    // A request that was parsed holds nothing but visible ASCII here.
    let text = String::from_utf8_lossy;
    let (host, path) = (text(host_of(host)), text(path));
    let port = if redirect.port == 443 { String::new() } else { format!(":{}", redirect.port) };
    let start = if path.starts_with('/') { "" } else { "/" };
    // `OPTIONS *` asks for no path.
    let path = if path == "*" { "" } else { &*path };
    format!("https://{host}{port}{start}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_path_and_query_stay_and_the_port_is_the_one_of_tls() {
        let to =
            |port, host: &str, path: &str| location(Redirect { status: 308, port }, host.as_bytes(), path.as_bytes());
        assert_eq!(to(443, "a.example", "/x?y=1"), "https://a.example/x?y=1");
        assert_eq!(to(443, "a.example:80", "//evil.example"), "https://a.example//evil.example");
        assert_eq!(to(8443, "[::1]:8080", ""), "https://[::1]:8443/");
        assert_eq!(to(8443, "[::1]", "?q"), "https://[::1]:8443/?q");
        assert_eq!(to(443, "a.example", "*"), "https://a.example/");
    }
}
