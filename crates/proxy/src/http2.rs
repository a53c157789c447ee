//! HTTP/2.

use crate::serve::Connection;

/// Serves an HTTP/2 connection of which `read` has been read already to its end.
pub(crate) async fn serve(connection: Connection, read: Vec<u8>) {
    drop((connection, read));
}
