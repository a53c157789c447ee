//! How protocols are named in a handshake.

/// HTTP/1.1 and HTTP/2 (RFC 7301, section 6).
pub(super) const HTTP1: &[u8] = b"http/1.1";
pub(super) const HTTP2: &[u8] = b"h2";
