//! A page of metrics as it is written: one family after the other, each with what it means.

use std::fmt;
use std::mem::replace;
use std::time::Duration;

use plimsoll_core::Distribution;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// A page that is being written.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

/// The labels of one line.
pub(super) type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// The upper bounds of buckets, from a quarter of a millisecond to 17 seconds, each twice the one before. They are ends of
/// buckets of core, so that what is counted below each is exact.
pub(super) const BOUNDS: [Duration; 17] = {
    let mut bounds = [Duration::ZERO; 17];
    let mut i = 0;
    while i < bounds.len() {
        bounds[i] = Duration::from_micros(256 << i);
        i += 1;
    }
    bounds
};

/// Lines written before a worker gets its turn, where the processors are all busy: some ten microseconds, against the
/// milliseconds that the system would let us go on.
const LINES_A_TURN: usize = 64;

impl<'a> Page<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// Writes what goes up and down.
    pub(super) fn gauges<'l, const N: usize>(
        &mut self,
        (name, help): (&str, &str),
        lines: impl IntoIterator<Item = (Labels<'l, N>, f64)>,
    ) -> fmt::Result {
        self.family((name, help), MetricType::Gauge, lines, |line, value| line.encode_gauge(&value))
    }

    /// Writes what only goes up, under the name with `_total` after it.
    pub(super) fn counters<'l, const N: usize>(
        &mut self,
        (name, help): (&str, &str),
        lines: impl IntoIterator<Item = (Labels<'l, N>, u64)>,
    ) -> fmt::Result {
        let write = |line: &mut MetricEncoder<'_>, value| line.encode_counter::<NoLabelSet, _, u64>(&value, None);
        self.family((name, help), MetricType::Counter, lines, write)
    }

    /// Writes time that only adds up, in seconds.
    pub(super) fn seconds<'l, const N: usize>(
        &mut self,
        (name, help): (&str, &str),
        lines: impl IntoIterator<Item = (Labels<'l, N>, Duration)>,
    ) -> fmt::Result {
        let write = |line: &mut MetricEncoder<'_>, time: Duration| {
            line.encode_counter::<NoLabelSet, _, u64>(&time.as_secs_f64(), None)
        };
        self.family((name, help), MetricType::Counter, lines, write)
    }

    /// Writes durations with their buckets.
    pub(super) fn histograms<'l, const N: usize>(
        &mut self,
        (name, help): (&str, &str),
        lines: impl IntoIterator<Item = (Labels<'l, N>, &'l Distribution)>,
    ) -> fmt::Result {
        self.family((name, help), MetricType::Histogram, lines, |line, times| {
            let (sum, count) = (times.sum().as_secs_f64(), times.count());
            let bounds = BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
            // Each bucket is told without those below it, which the encoder adds.
            let mut below = 0;
            let between = times.below(&BOUNDS).into_iter().chain([count]).map(|most| most - replace(&mut below, most));
            let buckets: Vec<(f64, u64)> = bounds.zip(between).collect();
            line.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        })
    }

    /// Writes durations with their sum and count only.
    pub(super) fn means<'l, const N: usize>(
        &mut self,
        (name, help): (&str, &str),
        lines: impl IntoIterator<Item = (Labels<'l, N>, &'l Distribution)>,
    ) -> fmt::Result {
        self.family((name, help), MetricType::Histogram, lines, |line, times| {
            let (sum, count) = (times.sum().as_secs_f64(), times.count());
            line.encode_histogram::<NoLabelSet>(sum, count, &[(f64::INFINITY, count)], None)
        })
    }

    /// Writes a fact as labels of a line that is always 1, under the name with `_info` after it.
    pub(super) fn info<const N: usize>(&mut self, (name, help): (&str, &str), labels: Labels<'_, N>) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&labels)
    }

    /// Writes a family, if it has any line.
    fn family<'l, T, const N: usize>(
        &mut self,
        (name, help): (&str, &str),
        kind: MetricType,
        lines: impl IntoIterator<Item = (Labels<'l, N>, T)>,
        write: impl Fn(&mut MetricEncoder<'_>, T) -> fmt::Result,
    ) -> fmt::Result {
        let mut lines = lines.into_iter().peekable();
        if lines.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (i, (labels, value)) in lines.enumerate() {
            if i % LINES_A_TURN == LINES_A_TURN - 1 {
                std::thread::yield_now();
            }
            if N == 0 {
                write(&mut family, value)?;
            } else {
                write(&mut family.encode_family(&labels)?, value)?;
            }
        }
        Ok(())
    }
}
