//! A TCP connection, balanced as a whole.

use crate::serve::Connection;

/// Serves `connection` to its end.
pub(crate) async fn serve(connection: Connection) {
    drop(connection);
}
