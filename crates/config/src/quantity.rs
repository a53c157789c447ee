//! Durations, sizes and shares: digits and a unit.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use plimsoll_core::Percent;
use serde_json::json;
use toml::de::DeValue;

use crate::reader::Reader;
use crate::setting::{Item, Place, Setting, Shape};
use crate::value::{OFF, off_help};
use crate::wording::listed;

/// A duration within bounds, which are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lasts<const MIN: u64, const MAX: u64>(pub(crate) Duration);

/// A duration within bounds, which are milliseconds, or `None` where the file says "off".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastsOrOff<const MIN: u64, const MAX: u64>(pub(crate) Option<Duration>);

/// A duration of whole seconds within bounds, which are seconds. It may be written in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seconds<const MIN: u64, const MAX: u64>(pub(crate) Duration);

/// A number of bytes within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes<const MIN: u64, const MAX: u64>(pub(crate) u64);

/// How many begin within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) plimsoll_core::Rate);

/// A share within bounds, which are whole per cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share<const MIN: u8, const MAX: u8>(pub(crate) Percent);

impl<const MIN: u64, const MAX: u64> Lasts<MIN, MAX> {
    /// The duration that a value of the file says, or what to write instead, which is empty where the bounds say it
    /// all.
    pub(crate) fn parse(item: &Item<'_>) -> Result<Self, String> {
        amount_in(item, MIN..=MAX, &DURATION).map(|milliseconds| Self(Duration::from_millis(milliseconds)))
    }
}

impl<const MIN: u64, const MAX: u64> Setting for Lasts<MIN, MAX> {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        Self::parse(item).map_or_else(|help| reader.unfit(item, place, help), Some)
    }

    fn shape() -> Shape {
        shape(MIN..=MAX, &DURATION)
    }
}

impl<const MIN: u64, const MAX: u64> Setting for LastsOrOff<MIN, MAX> {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        if item.get_ref().as_str() == Some(OFF) {
            return Some(Self(None));
        }
        match Lasts::<MIN, MAX>::parse(item) {
            Ok(time) => Some(Self(Some(time.0))),
            Err(help) => reader.unfit(item, place, off_help(item, place).unwrap_or(help)),
        }
    }

    fn shape() -> Shape {
        let time = Lasts::<MIN, MAX>::shape();
        Shape {
            expects: format!("{} or \"{OFF}\"", time.expects),
            schema: json!({ "anyOf": [time.schema, { "enum": [OFF] }] }),
            table: None,
        }
    }
}

impl<const MIN: u64, const MAX: u64> Seconds<MIN, MAX> {
    /// The duration that a value of the file says, or what to write instead, which is empty where the bounds say it
    /// all.
    pub(crate) fn parse(item: &Item<'_>) -> Result<Self, String> {
        // Where such durations end up they are seconds, so that is what a number alone is.
        if let Some(Ok(seconds)) = item.get_ref().as_integer().map(|number| number.as_str().parse()) {
            return Err(format!("write \"{}\"", show(seconds, &LONG_DURATION)));
        }
        amount_in(item, MIN..=MAX, &LONG_DURATION).map(|seconds| Self(Duration::from_secs(seconds)))
    }
}

impl<const MIN: u64, const MAX: u64> Setting for Seconds<MIN, MAX> {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        Self::parse(item).map_or_else(|help| reader.unfit(item, place, help), Some)
    }

    fn shape() -> Shape {
        shape(MIN..=MAX, &LONG_DURATION)
    }
}

impl<const MIN: u64, const MAX: u64> Setting for Bytes<MIN, MAX> {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match amount_in(item, MIN..=MAX, &SIZE) {
            Ok(bytes) => Some(Self(bytes)),
            Err(help) => reader.unfit(item, place, help),
        }
    }

    fn shape() -> Shape {
        shape(MIN..=MAX, &SIZE)
    }
}

impl<const MIN: u8, const MAX: u8> Setting for Share<MIN, MAX> {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match share(item) {
            Ok(percent) if (MIN..=MAX).contains(&percent) => Some(Self(Percent::new(percent))),
            Ok(_) => reader.unfit(item, place, ""),
            Err(help) => reader.unfit(item, place, help),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: format!("a share from \"{MIN}%\" to \"{MAX}%\""),
            schema: json!({ "type": "string", "pattern": "^[0-9]+%$" }),
            table: None,
        }
    }
}

/// The most that a rate may allow in its time: above it a limit protects nothing.
const MOST_IN_TIME: u32 = 1_000_000_000;
/// The times of rates, in milliseconds: clients do not tell apart what is shorter, and one that waits for longer than a day
/// has forgotten what for.
const RATE_TIMES: RangeInclusive<u64> = 100..=86_400_000;
const RATE_HELP: &str = "write a whole number, a slash and a time, such as \"50/s\", \"600/min\" or \"1000/10s\"";

impl Setting for Rate {
    fn read(item: &Item<'_>, place: &Place, reader: &mut Reader) -> Option<Self> {
        match item.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => {
                reader.unfit(item, place, format!("write the time in which they may begin, such as \"{number}/s\""))
            }
            DeValue::String(text) => match rate(text) {
                Ok(rate) => Some(Self(rate)),
                Err(help) => reader.unfit(item, place, help),
            },
            _ => reader.unfit(item, place, RATE_HELP),
        }
    }

    fn shape() -> Shape {
        Shape {
            expects: "a rate from \"1/24h\" to \"1000000000/100ms\"".to_owned(),
            schema: json!({ "type": "string", "pattern": "^[0-9]+/([0-9]*(ms|s|min|m|h))+$" }),
            table: None,
        }
    }
}

/// What a rate says, or what to write instead, which is empty where the bounds say it all.
fn rate(text: &str) -> Result<plimsoll_core::Rate, String> {
    let Some((number, time)) = text.split_once('/') else {
        let digits =
            !text.is_empty() && text.len() <= LONGEST_EXAMPLE && text.bytes().all(|byte| byte.is_ascii_digit());
        return Err(if digits {
            format!("write the time in which they may begin, such as \"{text}/s\"")
        } else {
            RATE_HELP.to_owned()
        });
    };
    let milliseconds = match time {
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => amount(time, &DURATION).map_err(|_| RATE_HELP.to_owned())?,
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RATE_HELP.to_owned());
    }
    let limit = number.parse().ok().filter(|number| *number <= MOST_IN_TIME).and_then(NonZeroU32::new);
    let window = RATE_TIMES.contains(&milliseconds).then(|| Duration::from_millis(milliseconds));
    match (limit, window) {
        (Some(limit), Some(window)) => Ok(plimsoll_core::Rate { limit, window }),
        _ => Err(String::new()),
    }
}

/// A rate as the file would say it.
pub fn show_rate(rate: &plimsoll_core::Rate) -> String {
    let time = show_duration(rate.window);
    let time = match &*time {
        "1s" => "s",
        "1m" => "min",
        "1h" => "h",
        other => other,
    };
    format!("{}/{time}", rate.limit)
}

/// The whole number of per cent that a value of the file says, or what to write instead. More than 8 bits hold counts
/// as the most they hold, which is past every bound.
fn share(item: &Item<'_>) -> Result<u8, String> {
    const HELP: &str = "write a whole number and a per cent sign, such as \"20%\"";
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let in_percent = |text: &str| match text.trim().parse::<u8>() {
        Ok(percent) if (1..=100).contains(&percent) => format!("write \"{percent}%\""),
        _ => HELP.to_owned(),
    };
    match item.get_ref() {
        DeValue::String(text) => match text.strip_suffix('%') {
            Some(number) if digits(number) => Ok(number.parse().unwrap_or(u8::MAX)),
            Some(number) => Err(in_percent(number)),
            None => Err(in_percent(text)),
        },
        DeValue::Integer(number) => Err(in_percent(number.as_str())),
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(fraction) if (0.01..=1.0).contains(&fraction) => Err(format!("write \"{:.0}%\"", fraction * 100.0)),
            _ => Err(HELP.to_owned()),
        },
        _ => Err(HELP.to_owned()),
    }
}

/// A duration as the file would say it.
pub(crate) fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATION)
}

/// A number of bytes as the file would say it.
pub fn show_bytes(bytes: u64) -> String {
    show(bytes, &SIZE)
}

/// A quantity written as digits and a unit.
struct Quantity {
    noun: &'static str,
    /// Every unit and what it is worth in the smallest, from the largest to the smallest.
    units: &'static [(&'static str, u64)],
    /// Those of the units that messages write.
    spoken: &'static [(&'static str, u64)],
    /// The unit to propose where there is none.
    usual: &'static str,
    /// Whether several may follow each other, as in "1m30s".
    sums: bool,
    /// What may be written, as a regular expression.
    pattern: &'static str,
}

const DURATION: Quantity = Quantity {
    noun: "a duration",
    units: DURATION_UNITS,
    spoken: DURATION_UNITS,
    usual: "s",
    sums: true,
    pattern: "^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
};

const DURATION_UNITS: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const LONG_DURATION: Quantity = Quantity {
    noun: "a duration",
    units: LONG_DURATION_UNITS,
    spoken: LONG_DURATION_UNITS,
    usual: "d",
    sums: true,
    pattern: "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$",
};

const LONG_DURATION_UNITS: &[(&str, u64)] = &[("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

const SIZE: Quantity = Quantity {
    noun: "a size",
    units: &[
        ("GiB", 1 << 30),
        ("GB", 1_000_000_000),
        ("MiB", 1 << 20),
        ("MB", 1_000_000),
        ("KiB", 1 << 10),
        ("KB", 1000),
        ("kB", 1000),
        ("B", 1),
    ],
    spoken: &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)],
    usual: "B",
    sums: false,
    pattern: "^[0-9]+(B|[kK]B|KiB|[MG]i?B)$",
};

/// What a value of the file says in the smallest unit, or what to write instead, which is empty where the bounds say
/// it all.
fn amount_in(item: &Item<'_>, bounds: RangeInclusive<u64>, quantity: &Quantity) -> Result<u64, String> {
    match item.get_ref() {
        DeValue::String(text) => amount(text, quantity).and_then(|amount| {
            let fits = bounds.contains(&amount);
            fits.then_some(amount).ok_or_else(String::new)
        }),
        DeValue::Integer(number) if number.radix() == 10 => {
            Err(unit_help(number.as_str().trim_start_matches('-'), "", quantity))
        }
        DeValue::Integer(_) => Err(unit_help("", "", quantity)),
        _ => Err(String::new()),
    }
}

/// What `text` says in the smallest unit, or what to write instead. More than 64 bits hold counts as the most they
/// hold, which is past every bound.
fn amount(text: &str, quantity: &Quantity) -> Result<u64, String> {
    let (mut rest, mut units, mut total) = (text, quantity.units, 0_u64);
    loop {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let unit = after.split(|c: char| c.is_ascii_digit()).next().unwrap_or("");
        let known = units.iter().position(|(name, _)| *name == unit);
        let (Some(at), false) = (known, number.is_empty()) else {
            return Err(quantity_help(number, unit, quantity));
        };
        let number = number.parse().unwrap_or(u64::MAX);
        total = total.saturating_add(units[at].1.saturating_mul(number));
        rest = &after[unit.len()..];
        units = if quantity.sums { &units[at + 1..] } else { &[] };
        if rest.is_empty() {
            return Ok(total);
        }
    }
}

/// How to write a quantity that stops making sense after `number` and at `unit`.
fn quantity_help(number: &str, unit: &str, quantity: &Quantity) -> String {
    let known = quantity.units.iter().any(|(name, _)| *name == unit);
    if unit.starts_with(['.', ',']) {
        "write a whole number, of a smaller unit if need be".to_owned()
    } else if !known || number.is_empty() {
        unit_help(number, unit, quantity)
    } else if quantity.sums {
        "write each unit once and the largest first, such as \"1m30s\"".to_owned()
    } else {
        "write one number and one unit".to_owned()
    }
}

/// How to write a quantity of which `number` and `unit` were typed.
fn unit_help(number: &str, unit: &str, quantity: &Quantity) -> String {
    let names: Vec<_> = quantity.units.iter().rev().map(|(name, _)| *name).collect();
    let typed = unit.trim();
    let same = |name: &&str| name.eq_ignore_ascii_case(typed);
    let begins_the_same = |name: &&str| {
        let (ours, theirs) = (name.chars().next(), typed.chars().next());
        theirs.is_some() && ours.map(|c| c.to_ascii_lowercase()) == theirs.map(|c| c.to_ascii_lowercase())
    };
    let spoken = || quantity.spoken.iter().map(|(name, _)| *name);
    let unit = spoken().find(same).or_else(|| spoken().find(begins_the_same)).unwrap_or(quantity.usual);
    let number: String = number.chars().take(LONGEST_EXAMPLE).collect();
    let number = if number.is_empty() { "10" } else { &number };
    format!("write a whole number and a unit, such as \"{number}{unit}\"; the units are {}", listed(&names))
}

/// The most digits of a number that a help repeats.
const LONGEST_EXAMPLE: usize = 12;

fn shape(bounds: RangeInclusive<u64>, quantity: &Quantity) -> Shape {
    let (least, most) = (show(*bounds.start(), quantity), show(*bounds.end(), quantity));
    Shape {
        expects: format!("{} from \"{least}\" to \"{most}\"", quantity.noun),
        schema: json!({ "type": "string", "minLength": 1, "pattern": quantity.pattern }),
        table: None,
    }
}

/// `amount` in the largest unit that needs no fraction.
fn show(amount: u64, quantity: &Quantity) -> String {
    let smallest = ("", 1);
    let (unit, worth) = quantity
        .spoken
        .iter()
        .find(|(_, worth)| amount >= *worth && amount.is_multiple_of(*worth))
        .or(quantity.spoken.last())
        .unwrap_or(&smallest);
    format!("{}{unit}", amount / worth)
}
