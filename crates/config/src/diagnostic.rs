//! What is wrong with a configuration, where, and what to write instead.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet, renderer::DecorStyle};

/// One thing wrong with a configuration.
///
/// Its `Display` is the message, the line it is about and the help, without a line end after them:
///
/// ```text
/// error: unknown setting `max_conections` in a server of pool `app`
///  --> plimsoll.toml:9:33
///   |
/// 9 |   { address = "127.0.0.1:9001", max_conections = 5 },
///   |                                 ^^^^^^^^^^^^^^
///   |
///   = help: did you mean `max_connections`?
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    file: String,
    message: String,
    help: Option<String>,
    place: Option<Place>,
}

/// Where in a text a diagnostic points: its bytes `span`, at `line` and `column`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    text: Arc<str>,
    span: Range<usize>,
    line: usize,
    column: usize,
}

impl Diagnostic {
    /// A diagnostic about `file` as a whole.
    pub(crate) fn of_file(file: &str, message: String, help: Option<String>) -> Self {
        Self { file: file.to_owned(), message, help, place: None }
    }

    /// Points this diagnostic at the bytes `span` of `text`, cut to whole characters of its first line.
    pub(crate) fn at(self, text: &Arc<str>, span: Range<usize>) -> Self {
        let start = char_boundary_before(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = text[line_start..].lines().next().unwrap_or_default();
        let line_end = line_start + line.len();
        // What is missing at the end of a line may be missed between its CR and LF.
        let start = start.min(line_end);
        let end = char_boundary_before(text, span.end).clamp(start, line_end);
        let place = Place {
            text: Arc::clone(text),
            span: start..end,
            line: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
        };
        Self { place: Some(place), ..self }
    }

    /// The file, as it was named to the parser.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The line it is about, counted from 1; `None` where it is about the file as a whole.
    pub fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.line)
    }

    /// The character of the line where the trouble begins, counted from 1.
    pub fn column(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.column)
    }

    /// The text of the line it is about, without its line end.
    pub fn source_line(&self) -> Option<&str> {
        self.place.as_ref().map(Place::line_text)
    }
}

impl Place {
    fn line_start(&self) -> usize {
        self.text[..self.span.start].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_text(&self) -> &str {
        let rest = &self.text[self.line_start()..];
        rest.lines().next().unwrap_or_default()
    }

    /// The span within the line. A file may end where something is missing, so the span may be empty.
    fn span_in_line(&self) -> Range<usize> {
        let (start, length) = (self.line_start(), self.line_text().len());
        (self.span.start - start).min(length)..(self.span.end - start).min(length)
    }
}

/// The start of the character that byte `at` of `text` belongs to, or the end of the text.
fn char_boundary_before(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The longest line that is shown, in bytes. Nobody reads more, and to lay out a line of megabytes takes seconds.
const LONGEST_LINE: usize = 4096;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(place) = self.place.as_ref().filter(|place| place.line_text().len() <= LONGEST_LINE) else {
            write!(f, "error: {}", self.file)?;
            if let Some(place) = &self.place {
                write!(f, ":{}:{}", place.line, place.column)?;
            }
            write!(f, ": {}", self.message)?;
            return match &self.help {
                Some(help) => write!(f, "\n  = help: {}", help.replace('\n', "\n    ")),
                None => Ok(()),
            };
        };
        let snippet = Snippet::source(place.line_text())
            .path(self.file.as_str())
            .line_start(place.line)
            .annotation(AnnotationKind::Primary.span(place.span_in_line()));
        let mut report = Level::ERROR.primary_title(self.message.as_str()).element(snippet);
        if let Some(help) = &self.help {
            report = report.element(Level::HELP.message(help.as_str()));
        }
        let renderer = Renderer::plain().decor_style(DecorStyle::Ascii);
        f.write_str(&renderer.render(&[report]))
    }
}

impl std::error::Error for Diagnostic {}

/// What is wrong with a configuration, in the order of the file: everything, or the hundred things found first. Never
/// empty.
///
/// Its `Display` is every diagnostic, with an empty line between two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Collects `diagnostics`, ordered by where they point; those about the file as a whole come first.
    pub(crate) fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(|diagnostic| (diagnostic.line(), diagnostic.column()));
        Self(diagnostics)
    }

    /// The diagnostics, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
