//! The settings of who a client is believed to be.

use serde_json::json;
use toml::de::DeValue;

use crate::network::Network;
use crate::protocol::ClientField;
use crate::reader::Reader;
use crate::setting::{Field, Item, Place, Setting, Shape, settings};
use crate::value::{Choice, OneOrMore, Word};

settings! {
    /// The proxies in front that are believed, and the field in which they tell whom they serve.
    struct TrustedTable, called Place::nested {
        /// Their addresses: single ones, networks such as "10.0.0.0/8", and "unix" for whoever comes by a Unix socket.
        from: OneOrMore<Network>, required "`from = [\"10.0.0.0/8\"]`";
        /// "x-forwarded-for", with which goes `X-Forwarded-Proto`, or "forwarded" (RFC 7239).
        field: Word<ClientField>, default "x-forwarded-for";
    }
}

/// The table, or only who is in its `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrustedProxies(pub(crate) TrustedTable);

impl Setting for TrustedProxies {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            DeValue::Table(_) => TrustedTable::read(item, place, reader).map(Self),
            DeValue::Array(_) | DeValue::String(_) => {
                let from = Field { value: OneOrMore::read(item, place, reader)?, span: item.span(), given: true };
                let field = Field { value: Word(ClientField::default()), span: item.span(), given: false };
                Some(Self(TrustedTable { from, field }))
            }
            _ => reader.unfit(item, place, format!("write `{} = [\"10.0.0.0/8\"]`", place.key)),
        }
    }

    fn shape() -> Shape {
        let (from, table) = (OneOrMore::<Network>::shape(), TrustedTable::shape());
        Shape {
            expects: format!("{}, or a table", from.expects),
            schema: json!({ "anyOf": [from.schema, table.schema] }),
            table: table.table,
        }
    }
}

impl Choice for ClientField {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("x-forwarded-for", Self::XForwardedFor), ("forwarded", Self::Forwarded)]
    }
}
