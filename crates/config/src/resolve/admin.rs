//! The admin API: where it is served, and who may use it.

use super::binds;
use crate::files::Files;
use crate::raw;
use crate::reader::Reader;
use crate::resolved::{Admin, Tls};
use crate::secret::{Secret, pem, token_in_file, token_in_variable};
use crate::setting::Field;

/// The admin API.
pub(super) fn resolve(table: &Field<raw::Admin>, files: &Files<'_>, reader: &mut Reader) -> Admin {
    let raw = &table.value;
    // What could not be read may have been either.
    if raw.bind.is_none() && raw.socket.is_none() && !reader.has_problem_in(&table.span) {
        let message = "`admin` says neither an address nor a socket".to_owned();
        reader.report(table.span.clone(), message, "write `bind = \"127.0.0.1:9900\"`");
    }
    check_use(raw, reader);
    let binds = raw.bind.iter().flat_map(|binds| &binds.value.0).map(|bind| bind.value.0);
    let hosts = raw.hosts.iter().flat_map(|hosts| &hosts.value.0).map(|host| host.value.0.clone());
    Admin {
        binds: binds.collect(),
        socket: raw
            .socket
            .as_ref()
            .map(|path| binds::socket("socket", (&path.value.0, &path.span), files.folder(), reader)),
        token: raw.token.as_ref().and_then(|setting| token(setting, files, reader)),
        tls: raw.tls.as_ref().and_then(|setting| tls(&setting.value, files, reader)),
        hosts: hosts.collect(),
        spare_port: false,
        metrics_servers: raw.metrics_servers.value.0 as usize,
    }
}

/// A token that is missing opens the API to everyone; one that nobody is asked for is a slip.
fn check_use(raw: &raw::Admin, reader: &mut Reader) {
    let binds = || raw.bind.iter().flat_map(|binds| &binds.value.0);
    let open = binds().find(|bind| !bind.value.0.ip().is_loopback());
    match (open, &raw.token) {
        (Some(bind), None) => {
            let message = format!("{} can be reached from other machines, so a `token` is required", bind.value.0);
            let help = "write `token = { file = \"admin.token\" }`, or bind 127.0.0.1";
            reader.report(bind.span.clone(), message, help);
        }
        (None, Some(token)) => {
            let message =
                "`token` has no effect: it is asked for only on addresses that other machines reach".to_owned();
            reader.report(token.span.clone(), message, "remove it, or bind such an address");
        }
        _ => {}
    }
    let spans =
        [("tls", raw.tls.as_ref().map(|tls| &tls.span)), ("hosts", raw.hosts.as_ref().map(|hosts| &hosts.span))];
    for (key, span) in spans {
        if let Some(span) = span.filter(|_| raw.bind.is_none()) {
            let message = format!("`{key}` has no effect without `bind`");
            reader.report(span.clone(), message, "remove it");
        }
    }
}

/// The token, or a report why there is none.
pub(super) fn token(setting: &Field<raw::Token>, files: &Files<'_>, reader: &mut Reader) -> Option<Secret> {
    let table = setting.value.0.as_ref()?;
    match (&table.file, &table.env) {
        (Some(file), None) => token_in_file(file, files, reader),
        (None, Some(variable)) => token_in_variable(variable, reader),
        // One of the two could not be read.
        (None, None) if reader.has_problem_in(&setting.span) => None,
        (file, _) => {
            let what = if file.is_some() { "says two places" } else { "does not say where it is" };
            let help = "write `token = { file = \"admin.token\" }` or `token = { env = \"PLIMSOLL_TOKEN\" }`";
            reader.report(setting.span.clone(), format!("`token` {what}"), help);
            None
        }
    }
}

fn tls(raw: &raw::Tls, files: &Files<'_>, reader: &mut Reader) -> Option<Tls> {
    let (cert, key) = (pem("cert", &raw.cert, files, reader), pem("key", &raw.key, files, reader));
    Some(Tls { cert: cert?, key: key? })
}
