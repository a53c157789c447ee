//! Routes in words: which requests they are for, and what those come to.

use std::fmt;

use super::Action;
use super::when::{ValuePattern, When};

impl fmt::Display for When {
    /// Writes it as an operator would say it: `GET api.example.com /v1 or below it, field x-beta is yes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hosts, paths, methods, headers, query, clients } = self;
        let conditions = [
            either(methods),
            either(hosts),
            either(paths),
            all("field", headers),
            all("parameter", query),
            either(clients).map(|clients| format!("from {clients}")),
        ];
        let told: Vec<_> = conditions.into_iter().flatten().collect();
        f.write_str(if told.is_empty() { "every request" } else { "" })?;
        f.write_str(&told.join(", "))
    }
}

impl fmt::Display for Action {
    /// Writes it as an operator would say it: `pool app`, `95% pool app, 5% pool canary`, `redirect 308 to …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pools(shares) => {
                let total: f64 = shares.iter().map(|share| f64::from(share.weight)).sum();
                let told = shares.iter().map(|share| match shares.len() {
                    1 => format!("pool {}", share.pool),
                    _ => format!("{:.3}% pool {}", 100.0 * f64::from(share.weight) / total, share.pool)
                        .replacen(".000%", "%", 1),
                });
                f.write_str(&told.collect::<Vec<_>>().join(", "))
            }
            Self::Redirect(redirect) => write!(f, "redirect {} to {}", redirect.status, redirect.to),
            Self::Respond(respond) => write!(f, "answer {}", respond.status),
        }
    }
}

fn either<T: ToString>(all: &[T]) -> Option<String> {
    let words: Vec<_> = all.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| words.join(" or "))
}

fn all(what: &str, all: &[(String, ValuePattern)]) -> Option<String> {
    let words = all.iter().map(|(name, value)| match value {
        ValuePattern::Present => format!("{what} {name}"),
        ValuePattern::Absent => format!("no {what} {name}"),
        ValuePattern::Exact(value) => format!("{what} {name} is {value:?}"),
        ValuePattern::Regex(pattern) => format!("{what} {name} like {}", pattern.as_str()),
    });
    let words: Vec<_> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::when::{HostPattern, PathPattern};
    use super::super::{Redirect, Share};
    use super::*;
    use crate::template::{Piece, Template, Variable};

    #[test]
    fn a_route_is_told_in_words() {
        assert_eq!(When::default().to_string(), "every request");
        let prefix = PathPattern::Prefix { path: "/v1".into(), ignore_case: false };
        let when = When {
            hosts: vec![HostPattern::Exact("a.example".into()), HostPattern::Below("b.example".into())],
            paths: vec![prefix],
            methods: vec!["GET".into()],
            headers: vec![("x-beta".into(), ValuePattern::Exact("yes".into()))],
            query: vec![("v".into(), ValuePattern::Absent)],
            clients: Vec::new(),
        };
        let told = "GET, a.example or *.b.example, /v1 or below it, field x-beta is \"yes\", no parameter v";
        assert_eq!(when.to_string(), told);
    }

    #[test]
    fn what_a_route_comes_to_is_told_in_words() {
        let share = |pool: &str, weight| Share { pool: pool.into(), weight };
        assert_eq!(Action::Pools(vec![share("app", 7)]).to_string(), "pool app");
        assert_eq!(Action::Pools(vec![share("a", 19), share("b", 1)]).to_string(), "95% pool a, 5% pool b");
        assert_eq!(Action::Pools(vec![share("a", 1), share("b", 2)]).to_string(), "33.333% pool a, 66.667% pool b");
        let to = Template(vec![Piece::Literal("/new".into()), Piece::Variable(Variable::Path)]);
        assert_eq!(Action::Redirect(Redirect { status: 308, to }).to_string(), "redirect 308 to /new${path}");
    }
}
