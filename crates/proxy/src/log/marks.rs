//! Field lines that we add to the messages of a request, so that it can be found again elsewhere.

use crate::trace::tracing::Tracing;

/// The lines, each with its line end.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    pub(crate) to_server: Vec<u8>,
    pub(crate) to_client: Vec<u8>,
    /// How much of `to_server` is the same for every try.
    pub(super) fixed: usize,
}

impl Marks {
    pub(super) fn clear(&mut self) {
        self.to_server.clear();
        self.to_client.clear();
        self.fixed = 0;
    }

    /// Writes what tells the server of the try under way.
    pub(crate) fn begin_try(&mut self, tracing: Option<&Tracing>) {
        if let Some(tracing) = tracing {
            self.to_server.truncate(self.fixed);
            tracing.write_line(&mut self.to_server);
        }
    }

    /// Writes the marks of another try over those in a head that ends with them and the empty line.
    pub(crate) fn renew(&self, head: &mut [u8]) {
        const EMPTY_LINE: usize = b"\r\n".len();
        let start = head.len().checked_sub(self.to_server.len() + EMPTY_LINE);
        if let Some(old) = start.and_then(|start| head.get_mut(start..start + self.to_server.len())) {
            old.copy_from_slice(&self.to_server);
        }
    }
}
