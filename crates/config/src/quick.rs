//! A configuration without a file, from the arguments of a command line.
//!
//! The arguments become the table a file would have become, with spans that point into the arguments, so that the
//! same reader checks them and its diagnostics show them.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::raw::ServerTable;
use crate::reader::Reader;
use crate::resolved::Config;
use crate::source::{read, settle};
use crate::wording::quoted;

/// What diagnostics call the arguments in place of a file.
const COMMAND_LINE: &str = "command line";

impl Config {
    /// The configuration of one listener, `web`, in front of one pool, `app`, with every other setting at its
    /// default: what `serve --listen 8080 --to 127.0.0.1:9001 --to 127.0.0.1:9002,weight=4` asks for.
    ///
    /// `listen` is an address as in the setting `bind`. Each of `to` is a server's address, and after it, each behind
    /// a comma, settings of a server as `key=value`.
    ///
    /// # Errors
    /// Everything that is wrong with the arguments; the line of a diagnostic is the argument it is about, `listen`
    /// being the first.
    pub fn quick<T: AsRef<str>>(listen: &str, to: &[T]) -> Result<Self, Diagnostics> {
        if to.is_empty() {
            let message = "no server is given to send requests to".to_owned();
            let help = "add a server: `--to 127.0.0.1:9001`".to_owned();
            return Err(Diagnostic::of_file(COMMAND_LINE, message, Some(help)).into());
        }
        let mut arguments = Arguments::default();
        let span = arguments.push("--listen ", listen);
        let web = table([("bind", text(listen, span.clone())), ("pool", text("app", span.clone()))]);
        let first = arguments.text.len();
        let servers = to.iter().map(|to| arguments.server(to.as_ref())).collect();
        let servers = Spanned::new(first..arguments.text.len(), DeValue::Array(servers));
        let app = table([("servers", servers)]);
        let inside = |name, inner, span: Range<usize>| {
            let inner = Spanned::new(span.clone(), DeValue::Table(inner));
            Spanned::new(span, DeValue::Table(table([(name, inner)])))
        };
        let document = table([("listen", inside("web", web, span.clone())), ("pool", inside("app", app, span))]);
        // The arguments name no page, so it does not matter where pages would be.
        let config = read(&document, Path::new(""), &mut arguments.reader);
        settle(config, arguments.reader, COMMAND_LINE, &arguments.text)
    }
}

/// The arguments read so far, one in a line, and what is wrong with their form.
#[derive(Default)]
struct Arguments {
    text: String,
    reader: Reader,
}

impl Arguments {
    /// Adds a line and gives the span of its value.
    fn push(&mut self, option: &str, value: &str) -> Range<usize> {
        self.text.push_str(option);
        let start = self.text.len();
        self.text.push_str(value);
        let span = start..self.text.len();
        self.text.push('\n');
        span
    }

    /// The table of a server given as `address,key=value,…`.
    fn server<'a>(&mut self, argument: &'a str) -> Spanned<DeValue<'a>> {
        let span = self.push("--to ", argument);
        let mut entries = DeTable::new();
        let mut start = span.start;
        for (index, part) in argument.split(',').enumerate() {
            let here = start..start + part.len();
            start = here.end + ",".len();
            let (key, value, at) = match part.split_once('=') {
                _ if index == 0 => ("address", part, here.start),
                Some((key, value)) => (key, value, here.end - value.len()),
                None => {
                    let message = format!("{} is no setting", quoted(part));
                    let help = "write key=value after the comma, such as `weight=4`";
                    self.reader.report(here, message, help);
                    continue;
                }
            };
            let key_span = here.start..here.start + key.len();
            let value = Spanned::new(at..here.end, scalar(key, value));
            let spanned_key = Spanned::new(key_span.clone(), key.into());
            if entries.insert(spanned_key, value).is_some() {
                let message = format!("{} is given twice", quoted(key));
                self.reader.report(key_span, message, "remove one of them");
            }
        }
        Spanned::new(span, DeValue::Table(entries))
    }
}

/// The value that `text` stands for. On a command line nothing is in quotes, so the setting tells whether it is a
/// text or a number.
fn scalar<'a>(key: &str, text: &'a str) -> DeValue<'a> {
    let rows = ServerTable::table().rows;
    let row = rows.iter().find(|row| row.key == key);
    let kind = row.and_then(|row| row.shape.schema["type"].as_str());
    let parsed = DeValue::parse(text).map(Spanned::into_inner);
    match (kind, parsed) {
        (Some("integer"), Ok(number @ (DeValue::Integer(_) | DeValue::Float(_)))) => number,
        (Some("boolean"), Ok(value @ DeValue::Boolean(_))) => value,
        _ => DeValue::String(text.into()),
    }
}

fn text(text: &str, span: Range<usize>) -> Spanned<DeValue<'_>> {
    Spanned::new(span, DeValue::String(text.into()))
}

fn table<'a, const N: usize>(entries: [(&'a str, Spanned<DeValue<'a>>); N]) -> DeTable<'a> {
    entries.into_iter().map(|(key, value)| (Spanned::new(value.span(), key.into()), value)).collect()
}
