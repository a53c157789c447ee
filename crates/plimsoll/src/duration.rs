//! Durations as they are typed.

use std::time::Duration;

/// A whole number with a unit, as in the configuration file.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        _ => return Err("write a whole number with a unit: 500ms, 5s, 2m or 1h".to_owned()),
    };
    let number = number.parse::<u64>().map_err(|error| error.to_string())?;
    let total = number.checked_mul(milliseconds).ok_or("that is too long")?;
    match total {
        0 => Err("that is no time at all".to_owned()),
        _ => Ok(Duration::from_millis(total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_with_a_unit() {
        for (text, milliseconds) in [("500ms", 500), ("5s", 5000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "s", "0s", "-1s", "1.5s", "5 s", "99999999999999999999s", "9999999999999999h"] {
            assert!(duration(text).is_err(), "{text:?} was taken");
        }
    }
}
