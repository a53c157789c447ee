//! Where requests are sent to by `redirect`.

use super::head;
use crate::raw::{self, RedirectTo};
use crate::reader::Reader;
use crate::route::Redirect;
use crate::setting::Field;
use crate::template::{Piece, Template, Variable};

/// The port of https that an address need not say.
const HTTPS: u64 = 443;

/// Where `redirect` of a listener, or of one of its routes, sends requests.
pub(super) fn resolve(redirect: &Field<raw::Redirect>, listener: &raw::Listener, reader: &mut Reader) -> Redirect {
    let raw = &redirect.value.0;
    let to = match &raw.to.value {
        RedirectTo::Https => to_https(raw.port.as_ref().map_or(HTTPS, |port| port.value.0)),
        RedirectTo::Address(address) => {
            if let Some(port) = &raw.port {
                let message = "`port` has no effect, as `to` says the whole address".to_owned();
                reader.report(port.span.clone(), message, "write the port into `to`, or remove it");
            }
            for variable in [Variable::Server, Variable::Pool].into_iter().filter(|variable| address.names(*variable)) {
                let message = format!("`${}` is always empty here, as a redirect asks no server", variable.name());
                reader.report(raw.to.span.clone(), message, "remove it");
            }
            head::check_id(address, &raw.to.span, listener, reader);
            address.clone()
        }
    };
    Redirect { status: raw.status.value.0, to }
}

/// The same host and target by https.
fn to_https(port: u64) -> Template {
    let mut to = vec![Piece::Literal("https://".to_owned()), Piece::Variable(Variable::Host)];
    if port != HTTPS {
        to.push(Piece::Literal(format!(":{port}")));
    }
    to.push(Piece::Variable(Variable::Target));
    Template(to)
}

/// What is sent to https must not come from there.
pub(super) fn check(redirect: Option<&Field<raw::Redirect>>, by_tls: bool, reader: &mut Reader) {
    let Some(redirect) = redirect.filter(|redirect| by_tls && redirect.value.0.to.value == RedirectTo::Https) else {
        return;
    };
    let message = "`redirect` to https on a listener with `tls` would send clients to where they are".to_owned();
    let help = "remove `tls`, or give this listener a `pool` and redirect from another without `tls`";
    reader.report(redirect.span.clone(), message, help);
}
