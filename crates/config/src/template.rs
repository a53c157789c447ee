//! Texts with variables of the request in them.

use std::fmt;

use serde_json::json;

use crate::reader::Reader;
use crate::setting::{Item, Place, Setting, Shape};
use crate::wording::{nearest, quoted};

/// A text in which variables stand for parts of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template(pub Vec<Piece>);

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// This text, which can stand in a field of a head.
    Literal(String),
    /// What the variable stands for.
    Variable(Variable),
}

/// Declares the variables once: what the program calls them, and what people write.
macro_rules! variables {
    ($($(#[doc = $doc:literal])+ $variable:ident = $name:literal;)+) => {
        /// A part of a request that a template can name, as `$name` or `${name}`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Variable {
            $($(#[doc = $doc])+ $variable,)+
        }

        impl Variable {
            /// Every variable.
            pub const ALL: &[Self] = &[$(Self::$variable),+];

            /// Its name in a template.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variable => $name,)+
                }
            }
        }
    };
}

variables! {
    /// The client's address; empty on a Unix socket.
    ClientIp = "client_ip";
    /// The host asked for, without its port.
    Host = "host";
    /// The port that the client reached; empty on a Unix socket.
    Port = "port";
    /// `http` or `https`.
    Scheme = "scheme";
    /// The method.
    Method = "method";
    /// The path as the client sent it, `/` where there is none.
    Path = "path";
    /// The query without its question mark.
    Query = "query";
    /// The path, and the query with its question mark where there is one.
    Target = "target";
    /// The request's id; empty where `request_id` is off.
    RequestId = "request_id";
    /// The route's name.
    Route = "route";
    /// The pool that serves the request; empty where none does.
    Pool = "pool";
    /// The server that serves the request; empty where none does.
    Server = "server";
}

impl fmt::Display for Template {
    /// Writes it as the file could say it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Literal(text) => f.write_str(&text.replace('$', "$$")),
            Piece::Variable(variable) => write!(f, "${{{}}}", variable.name()),
        })
    }
}

impl Template {
    /// Whether it names `variable`.
    pub fn names(&self, variable: Variable) -> bool {
        self.0.contains(&Piece::Variable(variable))
    }
}

/// Why a text is no template, to follow the key of its setting, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) help: String,
}

impl Fault {
    fn new<T>(what: impl Into<String>, help: impl Into<String>) -> Result<T, Self> {
        Err(Self { what: what.into(), help: help.into() })
    }
}

/// The longest text, in bytes, which keeps one field far below the 8 KiB that servers stop at.
const LONGEST: usize = 2048;

impl Setting for Template {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let Some(text) = item.get_ref().as_str() else {
            return reader.unfit(item, place, "write it in quotes");
        };
        if text.trim() != text {
            return reader.wrong(
                item,
                place,
                "begins or ends with a space",
                "remove the space, which nobody would see",
            );
        }
        match template(text) {
            Ok(template) => Some(template),
            Err(Fault { what, help }) => reader.wrong(item, place, &what, help),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "a text with $variables".to_owned(),
            schema: json!({ "type": "string", "pattern": "^[\\t -~]*$", "maxLength": LONGEST }),
            table: None,
        }
    }
}

/// The template that `text` says: `$name`, `${name}`, `$$` for a dollar sign, and what can stand in a field of a head.
pub(crate) fn template(text: &str) -> Result<Template, Fault> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Fault::new("has a control character in it", "write it in one line");
    }
    if !text.is_ascii() {
        return Fault::new(
            "has a letter that fields cannot have",
            "write it in ASCII; in an address with per cent signs",
        );
    }
    if text.len() > LONGEST {
        return Fault::new(format!("is longer than {LONGEST} bytes"), "");
    }
    let pieces = tokens(text, "host")?.into_iter().map(|token| match token {
        Token::Text(text) => Ok(Piece::Literal(text)),
        Token::Name(name) => named(name, Variable::ALL, Variable::name).map(Piece::Variable),
    });
    pieces.collect::<Result<_, _>>().map(Template)
}

/// A piece of a text with `$name`, `${name}`, and `$$` for a dollar sign.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// Never empty, and no two in a row.
    Text(String),
    Name(&'a str),
}

/// The most names in one text.
const MOST_NAMES: usize = 64;

/// The pieces of `text`; `example` is a name that can stand in it.
pub(crate) fn tokens<'a>(text: &'a str, example: &str) -> Result<Vec<Token<'a>>, Fault> {
    let (mut tokens, mut rest, mut names) = (Vec::new(), text, 0);
    while let Some((before, after)) = rest.split_once('$') {
        push(&mut tokens, before);
        if let Some(behind) = after.strip_prefix('$') {
            push(&mut tokens, "$");
            rest = behind;
            continue;
        }
        let (name, behind) = name(after, example)?;
        tokens.push(Token::Name(name));
        names += 1;
        rest = behind;
    }
    push(&mut tokens, rest);
    if names > MOST_NAMES {
        return Fault::new(format!("has more than {MOST_NAMES} variables"), "");
    }
    Ok(tokens)
}

/// Adds a text, to the one before it if that is the last piece.
fn push(tokens: &mut Vec<Token<'_>>, text: &str) {
    match tokens.last_mut() {
        _ if text.is_empty() => {}
        Some(Token::Text(before)) => before.push_str(text),
        _ => tokens.push(Token::Text(text.to_owned())),
    }
}

/// The name behind a dollar sign, and what follows it.
fn name<'a>(after: &'a str, example: &str) -> Result<(&'a str, &'a str), Fault> {
    if let Some(braced) = after.strip_prefix('{') {
        return match braced.split_once('}') {
            Some(found) => Ok(found),
            None => Fault::new("has a `${` without its `}`", format!("write `${{{example}}}`")),
        };
    }
    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
    if end == 0 {
        return Fault::new("has a `$` without a name", "write `$$` for a dollar sign");
    }
    Ok(after.split_at(end))
}

/// The one of `all` that is called `name`.
pub(crate) fn named<V: Copy>(name: &str, all: &[V], name_of: impl Fn(V) -> &'static str) -> Result<V, Fault> {
    if let Some(found) = all.iter().find(|one| name_of(**one) == name) {
        return Ok(*found);
    }
    let names = || all.iter().map(|one| name_of(*one));
    let help = match nearest(name, names()) {
        Some(near) => format!("did you mean `${near}`?"),
        None => format!("the variables are: {}", names().collect::<Vec<_>>().join(", ")),
    };
    Fault::new(format!("has an unknown variable {}", quoted(&format!("${name}"))), help)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_literals_and_variables() {
        let literal = |text: &str| Piece::Literal(text.to_owned());
        let expected =
            [literal("a"), Piece::Variable(Variable::Host), literal("s: $5"), Piece::Variable(Variable::Path)];
        assert_eq!(template("a${host}s: $$5$path").unwrap().0, expected);
        assert_eq!(template("").unwrap().0, []);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_as_the_same_template(text in "[a-z $${}_]{0,20}|[ -~]{0,20}") {
            if let Ok(read) = template(&text) {
                prop_assert_eq!(template(&read.to_string()), Ok(read));
            }
        }
    }
}
