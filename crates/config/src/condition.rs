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
    Statuses(Statuses<FIRST_FAILURE>),
}

/// Below it an answer tells of no failure (RFC 9110, section 15), so that to eject or to retry for it would turn good
/// answers away.
const FIRST_FAILURE: u16 = 400;

/// The last status there is (RFC 9110, section 15).
const LAST: u16 = 599;

const WORDS: [(&str, Condition); 3] =
    [("connect", Condition::Connect), ("reset", Condition::Reset), ("timeout", Condition::Timeout)];

impl Setting for Condition {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        let text = item.get_ref().as_str();
        if let Some((_, condition)) = WORDS.iter().find(|(word, _)| Some(*word) == text) {
            return Some(*condition);
        }
        let meant = text.and_then(|text| nearest(text, WORDS.iter().map(|(word, _)| *word)));
        match statuses(item, FIRST_FAILURE) {
            Ok((first, last)) => Some(Self::Statuses(Statuses { first, last })),
            Err(help) => {
                let help = meant.map_or(help, |near| format!("did you mean \"{near}\"?"));
                reader.unfit(item, place, help)
            }
        }
    }

    fn shape() -> Shape {
        let words = WORDS.map(|(word, _)| word);
        let statuses = Statuses::<FIRST_FAILURE>::shape();
        Shape {
            expects: format!("\"{}\", {}", words.join("\", \""), statuses.expects),
            schema: json!({ "anyOf": [{ "enum": words }, statuses.schema] }),
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
    if first < least || last > LAST {
        return Err(String::new());
    }
    Ok((first, last))
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
