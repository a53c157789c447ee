//! Sets of statuses, and what may go wrong with a try, as people write them.

use serde_json::json;
use toml::de::DeValue;

use crate::reader::Reader;
use crate::setting::{Item, Place, Setting, Shape};
use crate::wording::nearest;

/// The statuses from `first` to `last`, none below `LEAST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Statuses<const LEAST: u16> {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

/// What a try may end in that speaks against its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Connect,
    Reset,
    Timeout,
    /// A status of gRPC by its number.
    Grpc(u8),
    Statuses(Statuses<FIRST_FAILURE>),
}

/// Below it an answer tells of no failure (RFC 9110, section 15), so that to eject or to retry for it would turn good
/// answers away.
const FIRST_FAILURE: u16 = 400;

/// The last status there is (RFC 9110, section 15).
const LAST: u16 = 599;

const WORDS: [(&str, Condition); 3] =
    [("connect", Condition::Connect), ("reset", Condition::Reset), ("timeout", Condition::Timeout)];

/// The statuses of gRPC that tell of a failure, as a word and its number.
const GRPC: [(&str, u8); 16] = [
    ("grpc-cancelled", 1),
    ("grpc-unknown", 2),
    ("grpc-invalid-argument", 3),
    ("grpc-deadline-exceeded", 4),
    ("grpc-not-found", 5),
    ("grpc-already-exists", 6),
    ("grpc-permission-denied", 7),
    ("grpc-resource-exhausted", 8),
    ("grpc-failed-precondition", 9),
    ("grpc-aborted", 10),
    ("grpc-out-of-range", 11),
    ("grpc-unimplemented", 12),
    ("grpc-internal", 13),
    ("grpc-unavailable", 14),
    ("grpc-data-loss", 15),
    ("grpc-unauthenticated", 16),
];

/// Every word and what it stands for.
fn words() -> impl Iterator<Item = (&'static str, Condition)> {
    WORDS.into_iter().chain(GRPC.into_iter().map(|(word, number)| (word, Condition::Grpc(number))))
}

impl Setting for Condition {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let text = item.get_ref().as_str();
        if let Some((_, condition)) = words().find(|(word, _)| Some(*word) == text) {
            return Some(condition);
        }
        let meant = text.and_then(|text| nearest(text, words().map(|(word, _)| word)));
        match statuses(item, FIRST_FAILURE) {
            Ok((first, last)) => Some(Self::Statuses(Statuses { first, last })),
            Err(help) => {
                let help = meant.map_or(help, |near| format!("did you mean \"{near}\"?"));
                reader.unfit(item, place, help)
            }
        }
    }

    fn shape() -> Shape {
        let short = WORDS.map(|(word, _)| word).join("\", \"");
        let statuses = Statuses::<FIRST_FAILURE>::shape();
        Shape {
            expects: format!("\"{short}\", a status of gRPC such as \"grpc-unavailable\", {}", statuses.expects),
            schema: json!({ "anyOf": [{ "enum": words().map(|(word, _)| word).collect::<Vec<_>>() }, statuses.schema] }),
            table: None,
        }
    }
}

impl<const LEAST: u16> Setting for Statuses<LEAST> {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match statuses(item, LEAST) {
            Ok((first, last)) => Some(Self { first, last }),
            Err(help) => reader.unfit(item, place, help),
        }
    }

    fn shape() -> Shape {
        let (class, hundreds) = (LEAST / 100, format!("[{}-5]", LEAST / 100));
        let pattern = format!("^{hundreds}(xx|[0-9]{{2}}-{hundreds}[0-9]{{2}})$");
        Shape {
            expects: format!("a status from {LEAST} to {LAST} or several as in \"{class}xx\" or \"{LEAST}-{LAST}\""),
            schema: json!({ "anyOf": [
                { "type": "integer", "minimum": LEAST, "maximum": LAST },
                { "type": "string", "pattern": pattern },
            ] }),
            table: None,
        }
    }
}

/// The first and the last of the statuses that a value of the file says, or what to write instead, which is empty
/// where the bounds say it all.
fn statuses(item: &Item<'_>, least: u16) -> Result<(u16, u16), String> {
    let (first, last) = match item.get_ref() {
        DeValue::Integer(number) => {
            let status = number.as_str().parse().map_err(|_| String::new())?;
            (status, status)
        }
        DeValue::String(text) => range(text)?,
        _ => return Err(String::new()),
    };
    if first > last {
        return Err(format!("write the smaller one first: \"{last}-{first}\""));
    }
    match (first, last) {
        (100.., ..=LAST) if first >= least => Ok((first, last)),
        (100.., ..=LAST) if least == FIRST_FAILURE => Err("an answer below 400 tells of no failure".to_owned()),
        (100.., ..=LAST) => Err("a status below 200 is never the last of an answer".to_owned()),
        _ => Err(String::new()),
    }
}

/// The first and the last of the statuses in `text`, "5xx" or "500-504", or what to write instead.
fn range(text: &str) -> Result<(u16, u16), String> {
    let number = |digits: &str| {
        let fits = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| fits).ok_or_else(String::new)
    };
    if number(text).is_ok() {
        return Err(format!("write {text} without quotes"));
    }
    if let Some((first, last)) = text.split_once('-') {
        return Ok((number(first)?, number(last)?));
    }
    let class = text.strip_suffix("xx").filter(|class| class.len() == 1);
    match class.and_then(|class| class.parse::<u16>().ok()) {
        Some(class) => Ok((class * 100, class * 100 + 99)),
        None if text.to_ascii_lowercase().ends_with("xx") && text.len() == 3 => {
            Err(format!("write \"{}\"", text.to_ascii_lowercase()))
        }
        None => Err(String::new()),
    }
}
