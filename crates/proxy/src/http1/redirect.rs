//! Where a request is sent that is to come elsewhere.

use plimsoll_config::{Piece, Template, Variable};

use super::target::host_of;

/// The address that `to` says for what was asked for at `host`, a valid authority, with this path and query.
pub(crate) fn location(to: &Template, host: &[u8], path: &[u8]) -> String {
    // A request that was parsed holds nothing but visible ASCII here.
    let text = String::from_utf8_lossy;
    let (host, path) = (text(host_of(host)), text(path));
    // `OPTIONS *` asks for no path.
    let path = if path == "*" { "" } else { &*path };
    let mut location = String::new();
    for piece in &to.0 {
        match piece {
            Piece::Literal(literal) => location.push_str(literal),
            Piece::Variable(Variable::Host) => location.push_str(&host),
            Piece::Variable(Variable::Target) => {
                location.push_str(if path.starts_with('/') { "" } else { "/" });
                location.push_str(path);
            }
            Piece::Variable(_) => {}
        }
    }
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_path_and_query_stay_and_the_port_is_the_one_of_tls() {
        let to = |port: &str, host: &str, path: &str| {
            let literal = |text: &str| Piece::Literal(text.to_owned());
            let (host_piece, target) = (Piece::Variable(Variable::Host), Piece::Variable(Variable::Target));
            let to = Template(vec![literal("https://"), host_piece, literal(port), target]);
            location(&to, host.as_bytes(), path.as_bytes())
        };
        assert_eq!(to("", "a.example", "/x?y=1"), "https://a.example/x?y=1");
        assert_eq!(to("", "a.example:80", "//evil.example"), "https://a.example//evil.example");
        assert_eq!(to(":8443", "[::1]:8080", ""), "https://[::1]:8443/");
        assert_eq!(to(":8443", "[::1]", "?q"), "https://[::1]:8443/?q");
        assert_eq!(to("", "a.example", "*"), "https://a.example/");
    }
}
