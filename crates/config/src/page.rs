//! The page a client gets from us and not from a server: a file that is read with the configuration.

mod file;

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::reader::Reader;
use crate::setting::{Item, Place, Setting, Shape};
use crate::wording::{listed, quoted};

/// A page of the user's own, read when the configuration was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What it is, by the extension of its file's name.
    pub content_type: &'static str,
    /// The file's content.
    pub content: Arc<[u8]>,
}

/// The path of a page, and what its name says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PagePath {
    path: String,
    content_type: &'static str,
}

/// What a page can be, by the end of its name. HTML, style sheets and plain text do not all say how they are encoded,
/// so it is said for them.
const TYPES: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("txt", "text/plain; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("json", "application/json"),
    ("xml", "application/xml"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
];

impl Setting for PagePath {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let Some(path) = item.get_ref().as_str() else {
            return reader.unfit(item, place, "write \"sorry.html\"");
        };
        let extension = Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let found = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension));
        if let Some((_, content_type)) = found {
            return Some(Self { path: path.to_owned(), content_type });
        }
        let known: Vec<_> = TYPES.iter().map(|(known, _)| format!(".{known}")).collect();
        let help = format!("let its name end in one of {}", listed(&known));
        reader.report(item.span(), format!("{} does not tell by its name what it is", quoted(path)), help);
        None
    }

    fn shape() -> Shape {
        Shape {
            expects: "the path of a file".to_owned(),
            schema: json!({ "type": "string", "pattern": "\\.[A-Za-z]+$" }),
            table: None,
        }
    }
}
