//! Fields of heads that are set, added or removed on their way, as a route says.

use plimsoll_config::{HeaderEdit, Template};

use super::encoding::tells_of_body;
use super::fields::Kind;
use super::put;
use super::variables::{Values, names_request, names_server};

/// What becomes of the fields of a head, each name once. A head without edits costs a look whether there are any.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    fields: Vec<FieldEdit>,
    /// What is written depends on the head of the request.
    pub(crate) names_request: bool,
    /// It depends on the server.
    pub(crate) names_server: bool,
    /// It decides whether a body is compressed, or would not be true of it then.
    pub(crate) tells_of_body: bool,
}

/// What becomes of all fields of one name.
#[derive(Debug)]
struct FieldEdit {
    name: String,
    /// Nothing that was there stays.
    replaces: bool,
    /// What is said in lines of their own, behind what stays.
    values: Vec<Template>,
}

/// Edits, and what their templates tell of.
pub(crate) type Edited<'a> = Option<(&'a Edits, Values<'a>)>;

impl Edits {
    /// These edits, one after the other.
    pub(crate) fn new(edits: &[HeaderEdit]) -> Self {
        let mut fields: Vec<FieldEdit> = Vec::new();
        for edit in edits {
            let (HeaderEdit::Set(name, _) | HeaderEdit::Add(name, _) | HeaderEdit::Remove(name)) = edit;
            let known = fields.iter().position(|field| same_name(field.name.as_bytes(), name.as_bytes()));
            let place = known.unwrap_or_else(|| {
                fields.push(FieldEdit { name: name.clone(), replaces: false, values: Vec::new() });
                fields.len() - 1
            });
            let field = &mut fields[place];
            if !matches!(edit, HeaderEdit::Add(..)) {
                field.replaces = true;
                field.values.clear();
            }
            if let HeaderEdit::Set(_, value) | HeaderEdit::Add(_, value) = edit {
                field.name.clone_from(name);
                field.values.push(value.clone());
            }
        }
        let any = |holds: fn(&Template) -> bool| fields.iter().flat_map(|field| &field.values).any(holds);
        let (names_request, names_server) = (any(names_request), any(names_server));
        let tells = |field: &FieldEdit| !field.values.is_empty() && tells_of_body(field.name.as_bytes());
        Self { tells_of_body: fields.iter().any(tells), fields, names_request, names_server }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// These with what their templates tell of; `None` where there is nothing to do.
    pub(crate) fn telling<'a>(&'a self, values: impl FnOnce() -> Values<'a>) -> Edited<'a> {
        (!self.is_empty()).then(|| (self, values()))
    }

    /// Whether a field that was there goes. What frames a message or belongs to one connection is not touched.
    pub(crate) fn remove(&self, kind: Kind, name: &[u8]) -> bool {
        kind.is_editable() && self.fields.iter().any(|field| field.replaces && same_name(field.name.as_bytes(), name))
    }

    /// Writes the lines that are new, but for those of fields that are to stay `unsaid`. A field whose value comes out empty
    /// is left out.
    pub(crate) fn write(&self, out: &mut Vec<u8>, values: &Values<'_>, unsaid: impl Fn(&[u8]) -> bool) {
        for FieldEdit { name, values: templates, .. } in &self.fields {
            if unsaid(name.as_bytes()) {
                continue;
            }
            for template in templates {
                let before = out.len();
                put(out, &[name.as_bytes(), b": "]);
                let start = out.len();
                values.write(out, template);
                if out.len() == start {
                    out.truncate(before);
                } else {
                    put(out, &[b"\r\n"]);
                }
            }
        }
    }

    /// Edits the head in `out`, of our own making, that has no empty line yet. What we say ourselves is never encoded, so a
    /// coding that is meant for the bodies of servers is not told of it.
    pub(crate) fn apply(&self, out: &mut Vec<u8>, values: &Values<'_>) {
        let head = std::mem::take(out);
        for (number, line) in head.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            if number == 0 || !self.remove(Kind::of(name), name) {
                put(out, &[line]);
            }
        }
        self.write(out, values, |name| name.eq_ignore_ascii_case(b"Content-Encoding"));
    }
}

/// Whether two names are one to a server, be it one that knows fields as variables of CGI: a client must not be able to say
/// `X_User` past a rule for `X-User`.
fn same_name(one: &[u8], other: &[u8]) -> bool {
    let folded = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.iter().map(folded).eq(other.iter().map(folded))
}

#[cfg(test)]
mod tests {
    use plimsoll_config::{Piece, Variable};

    use super::*;

    fn text(text: &str) -> Template {
        Template(vec![Piece::Literal(text.to_owned())])
    }

    #[test]
    fn edits_follow_one_another() {
        let of = |edits: &[HeaderEdit]| {
            let edits = Edits::new(edits);
            let field = &edits.fields[0];
            let values = field.values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            (edits.fields.len(), field.replaces, values)
        };
        let set = |value: &str| HeaderEdit::Set("X-A".to_owned(), text(value));
        let add = |value: &str| HeaderEdit::Add("x-a".to_owned(), text(value));
        let remove = || HeaderEdit::Remove("x_A".to_owned());
        assert_eq!(of(&[set("1"), add("2")]), (1, true, "1 2".to_owned()));
        assert_eq!(of(&[add("1"), set("2")]), (1, true, "2".to_owned()));
        assert_eq!(of(&[set("1"), remove()]), (1, true, String::new()));
        assert_eq!(of(&[remove(), add("1")]), (1, true, "1".to_owned()));
        assert_eq!(of(&[add("1")]), (1, false, "1".to_owned()));
    }

    #[test]
    fn what_frames_a_message_is_never_removed() {
        let names = ["Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "TE", "Expect", "X-A"];
        let edits = Edits::new(&names.map(|name| HeaderEdit::Remove(name.to_owned())));
        let gone = names.map(|name| edits.remove(Kind::of(name.as_bytes()), name.as_bytes()));
        assert_eq!(gone, [false, false, false, false, false, false, false, true]);
    }

    #[test]
    fn it_is_known_what_templates_need() {
        let edits =
            |variable| Edits::new(&[HeaderEdit::Set("A".to_owned(), Template(vec![Piece::Variable(variable)]))]);
        assert!(edits(Variable::Path).names_request && !edits(Variable::Path).names_server);
        assert!(edits(Variable::Server).names_server && !edits(Variable::ClientIp).names_request);
    }
}
