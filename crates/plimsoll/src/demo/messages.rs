//! As much HTTP/1.1 as the demo's servers and its load need to speak with the balancer, which sends nothing that is
//! not well formed.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

/// More than the balancer's own limit on heads.
const MOST_HEAD: u64 = 64 * 1024;

/// The head of a message, as text.
pub(super) struct Head(String);

impl Head {
    /// Reads a head; `None` at the end of the connection.
    pub(super) async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let mut limited = stream.take(MOST_HEAD);
        while !bytes.ends_with(b"\r\n\r\n") {
            if limited.read_until(b'\n', &mut bytes).await? == 0 {
                return match bytes.len() {
                    0 => Ok(None),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
        Ok(Some(Self(String::from_utf8_lossy(&bytes).into_owned())))
    }

    /// The first line.
    pub(super) fn first_line(&self) -> &str {
        self.0.lines().next().unwrap_or_default()
    }

    /// The value of a field; `name` in lower case.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.0.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut named = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim())
    }

    /// Whether the connection ends with this message.
    pub(super) fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Reads the body and forgets it; an error where its length is not given up front.
    pub(super) async fn skip_body(&self, stream: &mut BufReader<TcpStream>) -> io::Result<()> {
        if self.field("transfer-encoding").is_some() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let length = self.field("content-length").unwrap_or("0");
        let length: u64 = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
        let read = tokio::io::copy(&mut stream.take(length), &mut tokio::io::sink()).await?;
        if read < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}
