//! The access log, request ids and traces.

use std::path::Path;

use crate::log::LogTarget;
use crate::process::Need;
use crate::raw;
use crate::reader::Reader;
use crate::resolved::{AccessLog, RequestId, Trace};
use crate::setting::Field;
use crate::value::{Entry, OrOff};
use crate::wording::quoted_path;

/// The access log; `folder` is where relative paths begin.
pub(super) fn access_log(file: &raw::File, folder: &Path, reader: &mut Reader) -> Option<AccessLog> {
    check_use(file, reader);
    let table = &file.access_log.as_ref()?.value;
    Some(AccessLog {
        to: target(&table.to, folder, reader),
        format: table.format.value.clone(),
        sample: table.sample.value.0,
        buffer: table.buffer.value.0 as usize,
    })
}

/// A log that no listener writes, and a listener that keeps out of a log that is not there, are slips.
fn check_use(file: &raw::File, reader: &mut Reader) {
    let listen = &file.listen.value.0;
    let off = |entry: &Entry<raw::Listener>| {
        entry.table.as_ref().map(|table| &table.access_log).filter(|field| !field.value).cloned()
    };
    match &file.access_log {
        Some(table) if listen.iter().all(|entry| off(entry).is_some()) => {
            let message = "`access_log` has no effect, as every listener has `access_log = false`".to_owned();
            reader.report(table.span.clone(), message, "remove it, or let a listener write it");
        }
        Some(_) => {}
        None => {
            for field in listen.iter().filter_map(off) {
                let message = "`access_log = false` has no effect, as there is no table `[access_log]`".to_owned();
                reader.report(field.span, message, "remove it");
            }
        }
    }
}

fn target(field: &Field<LogTarget>, folder: &Path, reader: &mut Reader) -> LogTarget {
    let LogTarget::File(path) = &field.value else { return field.value.clone() };
    let path = folder.join(path);
    // A path without a folder is in the current one, which is there.
    let inside = path.parent().filter(|inside| !inside.as_os_str().is_empty());
    if let Some(missing) = inside.filter(|inside| !inside.is_dir()) {
        let message = format!("there is no folder {} to write this log in", quoted_path(missing));
        reader.report(field.span.clone(), message, "make the folder, or write another path");
    } else if path.is_dir() {
        let message = format!("{} is a folder, not a file", quoted_path(&path));
        reader.report(field.span.clone(), message, "write the path of a file in it");
    } else {
        reader.need(field.span.clone(), Need::Write(path.clone()));
    }
    LogTarget::File(path)
}

/// How requests get their ids.
pub(super) fn request_id(setting: &OrOff<raw::RequestId>) -> Option<RequestId> {
    let table = setting.0.as_ref()?;
    Some(RequestId {
        header: table.header.value.0.clone(),
        from_client: table.from_client.value.0,
        to_client: table.to_client.value,
    })
}

/// How requests are traced.
pub(super) fn trace(file: &raw::File) -> Option<Trace> {
    let table = &file.trace.as_ref()?.value;
    Some(Trace {
        endpoint: table.endpoint.value.0.clone(),
        sample: table.sample.value.0,
        service_name: table.service_name.value.0.clone(),
    })
}
