//! Texts with variables of the request in them.

use std::fmt;

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
