//! How long a client gives its call, as `grpc-timeout` tells it.

use std::time::Duration;

use crate::http1::decimal;

/// What may pass of a timeout without being told: less than a millisecond matters to nobody, and the server gets the very
/// value that the client sent.
pub(super) const LITTLE: Duration = Duration::from_millis(1);

/// A value has at most eight digits, so that it is below this.
const BOUND: u128 = 100_000_000;

/// The units and what one of each lasts, in nanoseconds, the finest first.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// A timeout as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeout {
    count: u32,
    unit: u8,
    nanos: u128,
}

impl Timeout {
    /// Reads one to eight digits and a unit.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let (letter, digits) = value.split_last()?;
        let (unit, nanos) = UNITS.into_iter().find(|(unit, _)| unit == letter)?;
        if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let count = digits.iter().fold(0, |count, digit| count * 10 + u32::from(digit - b'0'));
        Some(Self { count, unit, nanos })
    }

    pub(super) fn span(self) -> Duration {
        let nanos = u128::from(self.count) * self.nanos;
        // The longest there is lasts 11,000 years.
        Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
    }

    /// What is left of it after `spent`, in the finest unit that can tell it; the same where that is little.
    pub(super) fn less(self, spent: Duration) -> Self {
        if spent < LITTLE {
            return self;
        }
        let left = self.span().saturating_sub(spent).as_nanos();
        let finest = UNITS.into_iter().find(|(_, nanos)| left / nanos < BOUND);
        finest.map_or(self, |(unit, nanos)| Self { count: (left / nanos) as u32, unit, nanos })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        decimal(out, self.count.into());
        out.push(self.unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(timeout: Timeout) -> String {
        let mut out = Vec::new();
        timeout.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn digits_and_a_unit_and_nothing_else() {
        for (text, span) in [
            ("1n", Duration::from_nanos(1)),
            ("250u", Duration::from_micros(250)),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("5S", Duration::from_secs(5)),
            ("2M", Duration::from_secs(120)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
            ("0S", Duration::ZERO),
        ] {
            let timeout = Timeout::parse(text.as_bytes()).unwrap();
            assert_eq!((timeout.span(), written(timeout)), (span, text.to_owned()));
        }
        for wrong in ["", "S", "5", "5s", "5 S", " 5S", "+5S", "-5S", "1.5S", "123456789m", "5SS", "0x5S", "٥S"] {
            assert_eq!(Timeout::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_left_is_told_as_finely_as_eight_digits_can() {
        let less = |text: &str, spent: Duration| written(Timeout::parse(text.as_bytes()).unwrap().less(spent));
        assert_eq!(less("1S", Duration::from_micros(900)), "1S");
        assert_eq!(less("1S", Duration::from_millis(1)), "999000u");
        assert_eq!(less("90m", Duration::from_millis(10)), "80000000n");
        assert_eq!(less("1H", Duration::from_secs(60)), "3540000m");
        assert_eq!(less("99999999H", Duration::from_secs(3600)), "99999998H");
        assert_eq!(less("1S", Duration::from_secs(2)), "0n");
    }
}
