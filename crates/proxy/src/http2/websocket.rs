//! What a WebSocket needs of its handshake (RFC 6455, section 1.3): in HTTP/2 it has none (RFC 8441), so that between the
//! two versions we take the part of the side that has left it out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What `Sec-WebSocket-Accept` says to a client that sent `nonce` as its key.
pub(super) fn accept(nonce: &str) -> String {
    BASE64.encode(Sha1::new().chain_update(nonce).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(super::accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
