//! The settings of the admin API.

use crate::address::HostAlone;
use crate::bind::IpBind;
use crate::reader::Reader;
use crate::secret::{FilePath, VariableName};
use crate::setting::{Item, Place, Setting, Shape, settings};
use crate::value::{OneOrMore, Whole};

/// Thirty lines each: above it Prometheus itself has trouble.
const MOST_SHOWN: u64 = 100_000;

settings! {
    /// The admin API, the dashboard and the metrics. Without this table there are none.
    struct Admin, called Place::nested {
        /// The addresses to serve them on, written as those of listeners but for Unix sockets. Where one is not of
        /// this machine alone, a `token` is required.
        bind: OneOrMore<IpBind>, optional "none";
        /// A Unix socket to serve them on, without a token: only the user that runs Plimsoll may open it. One that is
        /// left behind is replaced.
        socket: FilePath, optional "none";
        /// What clients must show (`Authorization: Bearer TOKEN`) on every address that is not of this machine alone.
        token: Token, optional "none";
        /// Serves `bind` by TLS.
        tls: Tls, optional "no TLS";
        /// Further names that clients may call this API by, beside its addresses and localhost. Others are refused, so
        /// that no web page can reach it under a name of its own.
        hosts: OneOrMore<HostAlone>, optional "none";
        /// The most servers a pool may have for the metrics to show each of them. A larger one has its sums only.
        metrics_servers: Whole<0, MOST_SHOWN>, default 2000;
    }

    /// Where the token is, which is at least 16 characters: in a file or in an environment variable.
    struct TokenTable, called Place::nested {
        /// The file; a line end after the token is left out.
        file: FilePath, optional "none";
        /// The environment variable.
        env: VariableName, optional "none";
    }

    /// A certificate and its key.
    struct Tls, called Place::nested {
        /// The certificate, then those that lead to a known one, in PEM.
        cert: FilePath, required "`cert = \"admin.pem\"`";
        /// Its private key, in PEM.
        key: FilePath, required "`key = \"admin.key\"`";
    }
}

/// Where the token is; `None` where that could not be read and was reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token(pub(crate) Option<TokenTable>);

impl Setting for Token {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        if item.get_ref().as_table().is_some() {
            return Some(Self(TokenTable::read(item, place, reader)));
        }
        // Not `unfit`, which would repeat it.
        let help = "write it into a file of its own, and here `token = { file = \"admin.token\" }`";
        reader.report(item.span(), "`token` must say where the token is, not what it is".to_owned(), help);
        Some(Self(None))
    }

    fn shape() -> Shape {
        TokenTable::shape()
    }
}
